"""Credentials that `docker login` stored: in Docker's config.json, and in the credential helpers that it names.

Format: docker/cli, configuration file and credential helper protocol. Nothing is written.
"""

from __future__ import annotations

import base64
import binascii
import json
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from trustcli.errors import SettingsUnusable
from trustdata import bounded_json

if TYPE_CHECKING:
    import subprocess

HUB_KEY = "https://index.docker.io/v1/"
"""The key under which every Docker client stores the credentials of docker.io."""

_HUB_HOSTS = frozenset({"docker.io", "index.docker.io", "registry-1.docker.io"})
_HELPER = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]*", re.ASCII)
_TOKEN_USER = "<token>"  # noqa: S105 -- the user name that announces an identity token
_NOT_FOUND = "credentials not found"
HELPER_SECONDS = 60.0
"""How long a credential helper may take, unless a caller sets another limit."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Credential:
    """What is stored for one server; an absent part is empty. `source`: the file or helper, for messages."""

    source: str
    username: str = ""
    password: str = field(default="", repr=False)
    identity_token: str = field(default="", repr=False)
    registry_token: str = field(default="", repr=False)

    @property
    def who(self) -> str:
        """Return user and source for messages; never a secret."""
        return f"{self.username} ({self.source})" if self.username else self.source


def docker_folder(environ: Mapping[str, str]) -> Path:
    """Return Docker's configuration folder: `$DOCKER_CONFIG`, else `~/.docker`."""
    given = environ.get("DOCKER_CONFIG")
    return Path(given) if given else Path(environ.get("HOME") or "~").expanduser() / ".docker"


class DockerConfig:
    """Docker's configuration folder. Its file is read, and helpers are run, only when a credential is asked for."""

    def __init__(self, environ: Mapping[str, str], *, helper_seconds: float = HELPER_SECONDS) -> None:
        self._environ = environ
        self._file = docker_folder(environ) / "config.json"
        self._helper_seconds = helper_seconds

    @property
    def place(self) -> str:
        """Return the path of the file, for messages."""
        return str(self._file)

    def credential_for(self, server: str) -> Credential | None:
        """Return the credential for a server (`registry.example.com:5000`, `docker.io`), or None.

        A configured credential helper is asked first, then `auths` in the file. Raises: SettingsUnusable.
        """
        key = HUB_KEY if server in _HUB_HOSTS else server
        helper = self._helper(key)
        found = self._ask_helper(helper, key) if helper else None
        return found or self._stored(key)

    @cached_property
    def _content(self) -> Mapping[str, object]:
        try:
            raw = self._file.read_bytes()
        except (FileNotFoundError, NotADirectoryError):
            return {}
        except OSError as error:
            raise SettingsUnusable(place=self.place, reason=error.strerror or "cannot be read") from error
        try:
            content = json.loads(raw)
        except (ValueError, RecursionError) as error:
            raise SettingsUnusable(place=self.place, reason="is not valid JSON") from error
        return self._object(content if content is not None else "null", "the file")

    def _object(self, value: object, name: str) -> dict[str, object]:
        if value is None:
            return {}
        if not isinstance(value, dict):
            raise SettingsUnusable(place=self.place, reason=f"{name} is not a JSON object")
        return value

    def _text(self, value: object, name: str) -> str:
        if value is None:
            return ""
        if not isinstance(value, str):
            raise SettingsUnusable(place=self.place, reason=f"{name} is not text")
        return value

    def _helper(self, key: str) -> str:
        helpers = self._object(self._content.get("credHelpers"), "credHelpers")
        names = (key, "docker.io", "index.docker.io") if key == HUB_KEY else (key,)
        own = next((helpers[n] for n in names if n in helpers), None)
        name = self._text(own, "a value of credHelpers") or self._text(self._content.get("credsStore"), "credsStore")
        if name and not _HELPER.fullmatch(name):
            reason = f"names a credential helper {name!r}, which is no program's name"
            raise SettingsUnusable(place=self.place, reason=reason)
        return name

    def _stored(self, key: str) -> Credential | None:
        auths = self._object(self._content.get("auths"), "auths")
        entry = auths.get(key)
        if entry is None:
            host = _host_of(key)
            entry = next((value for name, value in auths.items() if _host_of(name) == host), None)
        if entry is None:
            return None
        entry = self._object(entry, f"auths of {key}")
        username, password = self._pair(entry, key)
        identity_token = self._text(entry.get("identitytoken"), "identitytoken")
        if username == _TOKEN_USER:
            username, password, identity_token = "", "", identity_token or password
        credential = Credential(
            source=self.place,
            username=username,
            password=password,
            identity_token=identity_token,
            registry_token=self._text(entry.get("registrytoken"), "registrytoken"),
        )
        empty = not (credential.password or credential.identity_token or credential.registry_token)
        return None if empty else credential

    def _pair(self, entry: Mapping[str, object], key: str) -> tuple[str, str]:
        encoded = self._text(entry.get("auth"), "auth")
        if not encoded:
            return self._text(entry.get("username"), "username"), self._text(entry.get("password"), "password")
        try:
            username, colon, password = base64.b64decode(encoded, validate=True).decode().partition(":")
        except (binascii.Error, ValueError):
            colon = ""
        if not colon:
            # from None: the cause would show the secret in a traceback.
            raise SettingsUnusable(place=self.place, reason=f"auth of {key} is not base64 of USER:PASSWORD") from None
        return username, password.rstrip("\0")

    def _ask_helper(self, name: str, key: str) -> Credential | None:
        import subprocess  # most invocations need no helper: start-up time

        program = f"docker-credential-{name}"
        try:
            done = self._run(program, key)
        except FileNotFoundError as error:
            raise SettingsUnusable(place=program, reason=f"not found, but {self.place} names it") from error
        except subprocess.TimeoutExpired:
            reason = f"gave no answer within {self._helper_seconds:g} seconds"
            raise SettingsUnusable(place=program, reason=reason) from None  # the cause holds the helper's output
        except OSError as error:
            raise SettingsUnusable(place=program, reason=error.strerror or "could not be started") from error
        if done.returncode != 0:
            output = done.stdout.decode(errors="replace").strip() or done.stderr.decode(errors="replace").strip()
            if _NOT_FOUND in output.lower():
                return None
            # A helper reports failures on stdout, where a success would print the secret.
            detail = "" if output.startswith("{") else f": {output.splitlines()[0]}" if output else ""
            raise SettingsUnusable(place=program, reason=f"failed with status {done.returncode}{detail}")
        return _from_helper(done.stdout, program)

    def _run(self, program: str, key: str) -> subprocess.CompletedProcess[bytes]:
        """Run a helper to its end; if it takes too long, kill it and all processes that it started."""
        import signal
        import subprocess
        from contextlib import suppress

        from keys.passphrase import without_passphrases

        with subprocess.Popen(
            [program, "get"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=without_passphrases(self._environ),
            start_new_session=True,  # so that its children, which hold the pipes, can be killed as one group
        ) as process:
            try:
                stdout, stderr = process.communicate(key.encode(), timeout=self._helper_seconds)
            except BaseException:
                with suppress(ProcessLookupError):
                    os.killpg(process.pid, signal.SIGKILL)
                raise
        return subprocess.CompletedProcess([program], process.returncode, stdout, stderr)


def _from_helper(output: bytes, program: str) -> Credential | None:
    try:
        answer = bounded_json.loads(output)
        username, secret = answer["Username"], answer["Secret"]
    except (ValueError, KeyError, TypeError, RecursionError):
        username = secret = None
    if not isinstance(username, str) or not isinstance(secret, str):
        raise SettingsUnusable(place=program, reason="gave an answer without Username and Secret")
    if not secret:
        return None
    if username == _TOKEN_USER:
        return Credential(source=program, identity_token=secret)
    return Credential(source=program, username=username, password=secret)


def _host_of(key: str) -> str:
    """Return the host of a key in `auths`, which may be a whole URL, as docker does."""
    return key.removeprefix("https://").removeprefix("http://").partition("/")[0]
