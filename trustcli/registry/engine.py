"""Pull and tag images with a container engine, and ask what runs there, over Docker's Engine API (v1.24 and later).

Reached by its Unix socket, or by DOCKER_HOST (`unix://`, or `tcp://` on loopback). Docker contexts, ssh and remote
engines are not.
"""

from __future__ import annotations

import base64
import json
import socket
from collections.abc import Callable, Mapping
from dataclasses import replace
from http import HTTPStatus
from typing import TYPE_CHECKING
from urllib.parse import quote, urlencode, urlsplit

from trustcli.errors import (
    EngineUnreachable,
    ImageNotFound,
    RemoteMisbehaved,
    RemoteRefused,
    RemoteUnreachable,
    SettingsUnusable,
)
from trustcli.http.connection import EachLine, HttpConnection
from trustcli.http.messages import Origin, Response
from trustcli.http.network import Network
from trustcli.http.proxies import is_loopback
from trustcli.http.time_budget import Timeouts
from trustcli.registry.running import Running, image_ids, of_engine
from trustdata import bounded_json
from trustdata.digest import parse_digest
from trustdata.errors import (
    TooLarge,
    shown,
)

if TYPE_CHECKING:
    from trustcli.config.credential import Credential

DEFAULT_SOCKET = "/var/run/docker.sock"
MAX_ANSWER = 4 * 1024 * 1024  # bytes
MAX_LISTED_VALUES = 400_000
"""Values of a list of containers, each of which is some hundred."""
MAX_LINE = 1024 * 1024
"""Bytes of one message of a pull's progress, at most."""
PULL_SILENCE = 600.0
"""Seconds without any message after which a pull counts as lost. A pull as a whole may take long."""

_NAMELESS = ("docker", 80)

Progress = Callable[[str], None]
"""Told what the engine says about a pull, made safe to print."""


class Engine:
    """A client of one engine. Every call opens a connection of its own."""

    def __init__(self, network: Network, *, seconds: float = 60.0, silence: float = PULL_SILENCE) -> None:
        """`seconds` for one read, `silence` for one read of a pull; at most twice that for an answer, or a message.

        Raises: SettingsUnusable for a DOCKER_HOST out of reach.
        """
        self._socket, (host, port) = _place(network.environ.get("DOCKER_HOST", ""))
        self._origin = Origin(scheme="http", host=host, port=port)
        self._network = network
        self._seconds = seconds
        self._silence = silence

    @property
    def name(self) -> str:
        """Where the engine is, for messages."""
        place = f"unix://{self._socket}" if self._socket else f"tcp://{self._origin.host_port}"
        return f"the container engine at {place}"

    def pull(
        self,
        name: str,
        digest: str,
        *,
        credential: Credential | None = None,
        server: str = "",
        progress: Progress | None = None,
    ) -> None:
        """Pull `name@digest`; when it returns, the engine has the image under that name.

        `server` is the registry as it stands in the name. Raises: InvalidName, ImageNotFound, RemoteRefused,
        RemoteUnreachable, RemoteMisbehaved.
        """
        parse_digest(digest)
        query = urlencode({"fromImage": name, "tag": digest})
        image = f"{name}@{digest}"
        response = self._ask(
            "POST",
            f"/images/create?{query}",
            limit=MAX_LINE,
            seconds=self._silence,
            headers={"X-Registry-Auth": _registry_auth(credential, server)} if credential else {},
            each_line=lambda line: self._message(line, image, progress),
        )
        if not response.ok:
            raise self._failure(response, image)
        # The stream has no message for success, and may end early: only the image itself proves it.
        self._whole("GET", f"/images/{quote(image, safe='/:@')}/json", image, success=HTTPStatus.OK)

    def tag(self, image: str, name: str, tag: str) -> None:
        """Make `name:tag` mean `image` (`name@sha256:...`). Raises: ImageNotFound, RemoteRefused, RemoteUnreachable."""
        query = urlencode({"repo": name, "tag": tag})
        self._whole("POST", f"/images/{quote(image, safe='/:@')}/tag?{query}", image, success=HTTPStatus.CREATED)

    def repo_digests(self, image: str) -> tuple[str, ...]:
        """Return the `name@sha256:...` under which a local image was pushed or pulled; empty if never.

        Raises: ImageNotFound, RemoteRefused, RemoteUnreachable, RemoteMisbehaved.
        """
        answer = self._whole("GET", f"/images/{quote(image, safe='/:@')}/json", image, success=HTTPStatus.OK)
        try:
            digests = bounded_json.loads(answer).get("RepoDigests") or []
            return tuple(str(digest) for digest in digests)
        except (ValueError, AttributeError, TypeError, RecursionError) as error:
            raise RemoteMisbehaved(remote=self.name, reason="its answer about an image cannot be read") from error

    def running(self) -> list[Running]:
        """Return the containers that run, with what the engine knows of their content.

        Raises: RemoteRefused, RemoteUnreachable, RemoteMisbehaved.
        """
        answer = self._whole("GET", "/containers/json", "its containers", success=HTTPStatus.OK)
        try:
            listed = bounded_json.loads(answer, values=MAX_LISTED_VALUES)
            known: dict[str, tuple[str, ...]] = {}
            for image in image_ids(listed):
                try:
                    known[image] = self.repo_digests(image) if image else ()
                except ImageNotFound:  # removed by force, while a container runs
                    known[image] = ()
            return of_engine(listed, known)
        except (ValueError, RecursionError) as error:
            raise RemoteMisbehaved(remote=self.name, reason="its list of containers cannot be read") from error

    def _whole(self, method: str, target: str, image: str, *, success: int) -> bytes:
        response = self._ask(method, target, limit=MAX_ANSWER, seconds=self._seconds)
        if response.status != success:
            raise self._failure(response, image)
        return response.body

    def _ask(
        self,
        method: str,
        target: str,
        *,
        limit: int,
        seconds: float,
        headers: Mapping[str, str] | None = None,
        each_line: EachLine | None = None,
    ) -> Response:
        """Send one request on a connection of its own."""
        times = Timeouts(connect=seconds, read=seconds, overall=2 * seconds, upload=2 * seconds)
        network = replace(self._network, timeouts=times)
        connection = HttpConnection(self._origin, network, dial=self._dial if self._socket else None)
        body = b"" if method == "POST" else None
        try:
            return connection.exchange(
                method, target, headers=headers or {}, limit=limit, body=body, each_line=each_line
            )
        except (RemoteUnreachable, RemoteMisbehaved) as error:
            if error.remote == self.name:
                raise  # said by the engine itself, in a message
            no_socket = isinstance(error.__cause__, FileNotFoundError)
            reason = "no such socket; is the engine installed and running?" if no_socket else error.reason
            raise EngineUnreachable(remote=self.name, reason=reason) from error
        except TooLarge as error:
            what = "a message of its pull" if each_line else "its answer"
            raise RemoteMisbehaved(remote=self.name, reason=f"{what} is longer than {limit} bytes") from error
        finally:
            connection.close()

    def _dial(self, seconds: float) -> socket.socket:
        sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            sock.settimeout(seconds)
            sock.connect(self._socket)
        except BaseException:
            sock.close()
            raise
        return sock

    def _message(self, line: bytes, image: str, progress: Progress | None) -> None:
        """Read one JSON message of a pull. Errors come in here: the HTTP status was sent before the pull began."""
        if not line.strip():
            return
        try:
            message = bounded_json.loads(line)
            error, status = message.get("error"), message.get("status")
        except (ValueError, AttributeError, RecursionError) as cause:
            raise RemoteMisbehaved(remote=self.name, reason="a message of its pull cannot be read") from cause
        if error:
            raise self._pull_failure(str(error), image)
        if progress and isinstance(status, str):
            progress(shown(status))

    def _pull_failure(self, said: str, image: str) -> ImageNotFound | RemoteRefused | RemoteUnreachable:
        lower = said.lower()
        if "manifest unknown" in lower or "not found" in lower:
            return ImageNotFound(image=image, registry=self.name, reason=said)
        if "unauthorized" in lower or "denied" in lower:
            return RemoteRefused(remote=self.name, status=HTTPStatus.FORBIDDEN, reason=said)
        return RemoteUnreachable(remote=self.name, reason=f"the pull of {image} failed: {said}")

    def _failure(self, response: Response, image: str) -> ImageNotFound | RemoteRefused | RemoteUnreachable:
        try:
            said = bounded_json.loads(response.body).get("message")
        except (ValueError, AttributeError, RecursionError):
            said = None
        reason = said if isinstance(said, str) and said else f"it answered {response.status}"
        if response.absent:
            return ImageNotFound(image=image, registry=self.name, reason=reason)
        if response.status >= HTTPStatus.INTERNAL_SERVER_ERROR:
            return self._pull_failure(reason, image)
        return RemoteRefused(remote=self.name, status=response.status, reason=reason)


def _place(docker_host: str) -> tuple[str, tuple[str, int]]:
    """Return the socket's path with a name for the Host header, or an empty path and an address."""
    if not docker_host:
        return DEFAULT_SOCKET, _NAMELESS
    if docker_host.startswith("unix://"):
        return docker_host.removeprefix("unix://") or DEFAULT_SOCKET, _NAMELESS
    try:
        parts = urlsplit(docker_host)
        host, port = parts.hostname or "", parts.port or 2375
    except ValueError as error:
        raise SettingsUnusable(place="DOCKER_HOST", reason=f"{docker_host} is no address") from error
    if parts.scheme != "tcp" or not is_loopback(host):
        reason = f"{docker_host} is not on this machine (unix:// and tcp:// on loopback can be used)"
        raise SettingsUnusable(place="DOCKER_HOST", reason=reason)
    return "", (host, port)


def _registry_auth(credential: Credential, server: str) -> str:
    content = {
        "username": credential.username,
        "password": credential.password,
        "identitytoken": credential.identity_token,
        "registrytoken": credential.registry_token,
        "serveraddress": server,
    }
    plain = json.dumps({name: value for name, value in content.items() if value})
    return base64.urlsafe_b64encode(plain.encode()).decode()
