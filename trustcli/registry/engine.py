"""A container engine over Docker's Engine API (v1.24 and later): pull by digest, tag, ask for repository digests.

Reached by its Unix socket, or by DOCKER_HOST (`unix://`, or `tcp://` on loopback). Docker contexts, ssh and remote
engines are not.
"""

from __future__ import annotations

import base64
import http.client
import json
import socket
from collections.abc import Callable, Mapping
from http import HTTPStatus
from typing import TYPE_CHECKING
from urllib.parse import quote, urlencode, urlsplit

from trustcli.http.proxies import is_loopback
from trustcli.registry.reference import parse_digest
from trustdata.errors import (
    EngineUnreachable,
    ImageNotFound,
    RemoteMisbehaved,
    RemoteRefused,
    RemoteUnreachable,
    SettingsUnusable,
    shown,
)

if TYPE_CHECKING:
    from trustcli.config.docker_config import Credential

DEFAULT_SOCKET = "/var/run/docker.sock"
MAX_ANSWER = 4 * 1024 * 1024
MAX_LINE = 1024 * 1024
"""Bytes of one message of a pull's progress, at most."""
PULL_SILENCE = 600.0
"""Seconds without any message after which a pull counts as lost. A pull as a whole may take long."""

Progress = Callable[[str], None]
"""Told what the engine says about a pull, made safe to print."""


class Engine:
    """One engine. Every call opens a connection of its own."""

    def __init__(self, environ: Mapping[str, str], *, seconds: float = 60.0, silence: float = PULL_SILENCE) -> None:
        """`seconds` for one read, `silence` for one read of a pull.

        Raises: SettingsUnusable for a DOCKER_HOST out of reach.
        """
        self._socket, self._address = _place(environ.get("DOCKER_HOST", ""))
        self._seconds = seconds
        self._silence = silence

    @property
    def name(self) -> str:
        """Where the engine is, for messages."""
        place = f"unix://{self._socket}" if self._socket else f"tcp://{self._address[0]}:{self._address[1]}"
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
        headers = {"X-Registry-Auth": _registry_auth(credential, server)} if credential else {}
        connection, response = self._request("POST", f"/images/create?{query}", headers=headers, seconds=self._silence)
        try:
            if response.status != HTTPStatus.OK:
                raise self._failure(response, f"{name}@{digest}")
            self._follow(response, f"{name}@{digest}", progress)
        except (OSError, http.client.HTTPException) as error:
            raise self._lost(error) from error
        finally:
            connection.close()
        # The stream has no message for success, and may end early: only the image itself proves it.
        self._whole(
            "GET", f"/images/{quote(f'{name}@{digest}', safe='/:@')}/json", f"{name}@{digest}", success=HTTPStatus.OK
        )

    def tag(self, image: str, name: str, tag: str) -> None:
        """Let `name:tag` mean `image` (`name@sha256:...`). Raises: ImageNotFound, RemoteRefused, RemoteUnreachable."""
        query = urlencode({"repo": name, "tag": tag})
        self._whole("POST", f"/images/{quote(image, safe='/:@')}/tag?{query}", image, success=HTTPStatus.CREATED)

    def repo_digests(self, image: str) -> tuple[str, ...]:
        """The `name@sha256:...` under which a local image was pushed or pulled; empty if never.

        Raises: ImageNotFound, RemoteRefused, RemoteUnreachable, RemoteMisbehaved.
        """
        answer = self._whole("GET", f"/images/{quote(image, safe='/:@')}/json", image, success=HTTPStatus.OK)
        try:
            digests = json.loads(answer).get("RepoDigests") or []
            return tuple(str(digest) for digest in digests)
        except (ValueError, AttributeError, TypeError, RecursionError) as error:
            raise RemoteMisbehaved(remote=self.name, reason="its answer about an image cannot be read") from error

    def _whole(self, method: str, target: str, image: str, *, success: int) -> bytes:
        connection, response = self._request(method, target, headers={}, seconds=self._seconds)
        try:
            if response.status != success:
                raise self._failure(response, image)
            return response.read(MAX_ANSWER)
        except (OSError, http.client.HTTPException) as error:
            raise self._lost(error) from error
        finally:
            connection.close()

    def _request(
        self, method: str, target: str, *, headers: Mapping[str, str], seconds: float
    ) -> tuple[http.client.HTTPConnection, http.client.HTTPResponse]:
        if self._socket:
            connection: http.client.HTTPConnection = _UnixConnection(self._socket, timeout=seconds)
        else:
            connection = http.client.HTTPConnection(*self._address, timeout=seconds)
        try:
            connection.request(
                method, target, body=b"" if method == "POST" else None, headers={"Host": "docker", **headers}
            )
            return connection, connection.getresponse()
        except FileNotFoundError as error:
            connection.close()
            raise EngineUnreachable(
                remote=self.name, reason="no such socket; is the engine installed and running?"
            ) from error
        except (OSError, http.client.HTTPException) as error:
            connection.close()
            raise self._lost(error) from error

    def _lost(self, error: Exception) -> EngineUnreachable:
        if isinstance(error, TimeoutError):
            return EngineUnreachable(remote=self.name, reason="no answer in time")
        reason = getattr(error, "strerror", None) or str(error) or type(error).__name__
        return EngineUnreachable(remote=self.name, reason=reason)

    def _follow(self, response: http.client.HTTPResponse, image: str, progress: Progress | None) -> None:
        """Read the stream of JSON messages to its end: the status came before the pull began, errors come in here."""
        while line := response.readline(MAX_LINE + 1):
            if len(line) > MAX_LINE:
                raise RemoteMisbehaved(remote=self.name, reason="a message of its pull is too long")
            if not line.strip():
                continue
            try:
                message = json.loads(line)
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

    def _failure(
        self, response: http.client.HTTPResponse, image: str
    ) -> ImageNotFound | RemoteRefused | RemoteUnreachable:
        try:
            said = json.loads(response.read(64 * 1024)).get("message")
        except (ValueError, AttributeError, RecursionError):
            said = None
        reason = said if isinstance(said, str) and said else f"it answered {response.status}"
        if response.status == HTTPStatus.NOT_FOUND:
            return ImageNotFound(image=image, registry=self.name, reason=reason)
        if response.status >= HTTPStatus.INTERNAL_SERVER_ERROR:
            return self._pull_failure(reason, image)
        return RemoteRefused(remote=self.name, status=response.status, reason=reason)


class _UnixConnection(http.client.HTTPConnection):
    def __init__(self, path: str, *, timeout: float) -> None:
        super().__init__("localhost", timeout=timeout)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self._path)


def _place(docker_host: str) -> tuple[str, tuple[str, int]]:
    """Socket path, or an empty path and an address."""
    if not docker_host:
        return DEFAULT_SOCKET, ("", 0)
    if docker_host.startswith("unix://"):
        return docker_host.removeprefix("unix://") or DEFAULT_SOCKET, ("", 0)
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
