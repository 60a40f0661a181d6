"""Credentials that `docker login` stored in Docker's config.json, or in the credential helpers that it names.

Format: docker/cli, configuration file. Nothing is written.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping
from functools import cached_property
from pathlib import Path

from trustcli.config.credential import TOKEN_USER, Credential
from trustcli.config.credential_helper import HELPER_TIMEOUT, CredentialHelper
from trustcli.errors import SettingsUnusable
from trustdata import bounded_json
from trustdata.json_bounds import Excess

HUB_KEY = "https://index.docker.io/v1/"
"""The key under which every Docker client stores the credentials of docker.io."""

_HUB_HOSTS = frozenset({"docker.io", "index.docker.io", "registry-1.docker.io"})


def docker_config_dir(environ: Mapping[str, str]) -> Path:
    """Return Docker's configuration folder: `$DOCKER_CONFIG`, else `~/.docker`."""
    given = environ.get("DOCKER_CONFIG")
    return Path(given) if given else Path(environ.get("HOME") or "~").expanduser() / ".docker"


class DockerConfig:
    """Docker's stored credentials, read lazily: the file, and helpers, only when a credential is asked for."""

    def __init__(self, environ: Mapping[str, str], *, helper_timeout: float = HELPER_TIMEOUT) -> None:
        self._file = docker_config_dir(environ) / "config.json"
        self._helper = CredentialHelper(environ, config=self.path, timeout=helper_timeout)

    @property
    def path(self) -> str:
        """The path of the file, for messages."""
        return str(self._file)

    def credential_for(self, server: str) -> Credential | None:
        """Return the credential for a server (`registry.example.com:5000`, `docker.io`), or None.

        A configured credential helper is asked first, then `auths` in the file. Raises: SettingsUnusable.
        """
        key = HUB_KEY if server in _HUB_HOSTS else server
        helper = self._helper_name(key)
        found = self._helper.get(helper, key) if helper else None
        return found or self._credential_in_auths(key)

    @cached_property
    def _content(self) -> Mapping[str, object]:
        try:
            raw = self._file.read_bytes()
        except (FileNotFoundError, NotADirectoryError):
            return {}
        except OSError as error:
            raise SettingsUnusable(place=self.path, reason=error.strerror or "cannot be read") from error
        try:
            content = bounded_json.loads(raw)
        except Excess as error:
            raise SettingsUnusable(place=self.path, reason=str(error)) from error
        except (ValueError, RecursionError) as error:
            raise SettingsUnusable(place=self.path, reason="is not valid JSON") from error
        if not isinstance(content, dict):
            raise SettingsUnusable(place=self.path, reason="the file is not a JSON object")
        return content

    def _object(self, value: object, name: str) -> dict[str, object]:
        if value is None:
            return {}
        if not isinstance(value, dict):
            raise SettingsUnusable(place=self.path, reason=f"{name} is not a JSON object")
        return value

    def _text(self, value: object, name: str) -> str:
        if value is None:
            return ""
        if not isinstance(value, str):
            raise SettingsUnusable(place=self.path, reason=f"{name} is not text")
        return value

    def _helper_name(self, key: str) -> str:
        """Return the name of the helper that the file names for a key; empty if none."""
        helpers = self._object(self._content.get("credHelpers"), "credHelpers")
        # docker looks for Docker Hub's key alone; people who edit the file write the host that they pull from.
        names = (key, "docker.io", "index.docker.io") if key == HUB_KEY else (key,)
        own = next((helpers[n] for n in names if n in helpers), None)
        return self._text(own, "a value of credHelpers") or self._text(self._content.get("credsStore"), "credsStore")

    def _credential_in_auths(self, key: str) -> Credential | None:
        auths = self._object(self._content.get("auths"), "auths")
        entry = auths.get(key)
        if entry is None:
            host = _host_of(key)
            entry = next((value for name, value in auths.items() if _host_of(name) == host), None)
        if entry is None:
            return None
        entry = self._object(entry, f"auths of {key}")
        username, password = self._username_and_password(entry, key)
        identity_token = self._text(entry.get("identitytoken"), "identitytoken")
        if username == TOKEN_USER:
            username, password, identity_token = "", "", identity_token or password
        credential = Credential(
            source=self.path,
            username=username,
            password=password,
            identity_token=identity_token,
            registry_token=self._text(entry.get("registrytoken"), "registrytoken"),
        )
        empty = not (credential.password or credential.identity_token or credential.registry_token)
        return None if empty else credential

    def _username_and_password(self, entry: Mapping[str, object], key: str) -> tuple[str, str]:
        encoded = self._text(entry.get("auth"), "auth")
        if not encoded:
            return self._text(entry.get("username"), "username"), self._text(entry.get("password"), "password")
        try:
            username, colon, password = base64.b64decode(encoded, validate=True).decode().partition(":")
        except (binascii.Error, ValueError):
            colon = ""
        if not colon:
            # from None: the cause would show the secret in a traceback.
            raise SettingsUnusable(place=self.path, reason=f"auth of {key} is not base64 of USER:PASSWORD") from None
        return username, password.rstrip("\0")  # as docker/cli does


def _host_of(key: str) -> str:
    """Return the host of a key in `auths`, as docker does; the key may be a URL."""
    return key.removeprefix("https://").removeprefix("http://").partition("/")[0]
