"""Read one file of stored credentials: Docker's config.json, or auth.json of podman and skopeo, which is built alike.

Members: `auths` (a key for each server), `credHelpers` and `credsStore` (programs that keep the secrets). Formats:
docker/cli, configuration file; containers-auth.json(5). Nothing is written. As liberal as the programs of both: an
empty file, a byte order mark, base64 with line breaks or without its padding, and the older .dockercfg, which is what
`auths` holds and nothing around it (secrets of the type kubernetes.io/dockercfg are such files).
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Iterable, Mapping
from functools import cached_property
from pathlib import Path

from trustcli.config.credential import TOKEN_USER, Credential
from trustcli.errors import SettingsUnusable
from trustdata import bounded_json
from trustdata.hosts import HUB_HOSTS, same_host
from trustdata.json_bounds import Excess

HUB_KEY = "https://index.docker.io/v1/"
"""The key under which Docker stores the credentials of docker.io."""
TRUST_LOGIN = "content-trust+https://"
"""What the keys of logins at trust servers begin with (`trustcli.config.trust_logins`)."""
_BYTE_ORDER_MARK = b"\xef\xbb\xbf"
_MEMBERS = frozenset({"auths", "credHelpers", "credsStore"})
_OF_AN_ENTRY = frozenset({"auth", "username", "password", "identitytoken", "registrytoken"})


def is_hub(host: str) -> bool:
    """Return whether a host is one of the names of Docker Hub, which is one registry."""
    return host in HUB_HOSTS


def host_of(key: str) -> str:
    """Return the host of a key in `auths`, which may be a URL, in the spelling that all compare by.

    A login at a trust server is none at a registry on its host, and is returned as it is.
    """
    if key.startswith(TRUST_LOGIN):
        return key
    return same_host(key.removeprefix("https://").removeprefix("http://").partition("/")[0])


def is_old_form(content: Mapping[str, object]) -> bool:
    """Return whether a file is an old .dockercfg: entries, and nothing around them."""
    return not content.keys() & _MEMBERS and any(
        isinstance(v, dict) and v.keys() & _OF_AN_ENTRY for v in content.values()
    )


class AuthFile:
    """A file of credentials, which need not exist; read when a credential is asked for."""

    def __init__(self, file: Path) -> None:
        self._file = file

    @property
    def path(self) -> str:
        """The path of the file, for messages."""
        return str(self._file)

    @cached_property
    def is_there(self) -> bool:
        """Whether there is such a file. Raises: SettingsUnusable."""
        return self._raw is not None

    def entry(self, keys: Iterable[str]) -> Credential | None:
        """Return the credential of the first of these keys that has an entry in `auths`, or None.

        Raises: SettingsUnusable.
        """
        auths = self._auths
        key = next((key for key in keys if key in auths), None)
        return None if key is None else self._credential(self._object(auths[key], f"auths of {key}"), key)

    def names(self) -> tuple[str, ...]:
        """Return the keys of `auths`. Raises: SettingsUnusable."""
        return tuple(self._auths)

    def helper_name(self, keys: Iterable[str]) -> str:
        """Return the name of the helper program for the first of these keys that has one, else that for all; or "".

        A key of the file may be another spelling of the host. Raises: SettingsUnusable.
        """
        helpers = self._object(self._content.get("credHelpers"), "credHelpers")
        keys = tuple(keys)
        hosts = {host_of(key) for key in keys}
        spelled = (key for key in helpers if host_of(key) in hosts)
        own = next((key for key in (*keys, *spelled) if key in helpers), None)
        if own is not None:  # also if it is empty: then this server's entry stands in the file
            return self._text(helpers[own], "a value of credHelpers")
        return self._text(self._content.get("credsStore"), "credsStore")

    @property
    def _auths(self) -> dict[str, object]:
        if not self._content.keys() & _MEMBERS:
            return {k: v for k, v in self._content.items() if isinstance(v, dict) and v.keys() & _OF_AN_ENTRY}
        return self._object(self._content.get("auths"), "auths")

    @cached_property
    def _raw(self) -> bytes | None:
        try:
            return self._file.read_bytes()
        except (FileNotFoundError, NotADirectoryError):
            return None
        except OSError as error:
            raise SettingsUnusable(place=self.path, reason=error.strerror or "cannot be read") from error

    @cached_property
    def _content(self) -> Mapping[str, object]:
        raw = (self._raw or b"").removeprefix(_BYTE_ORDER_MARK)
        if not raw.strip():
            return {}
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

    def _credential(self, entry: Mapping[str, object], key: str) -> Credential | None:
        username, password = self._username_and_password(entry, key)
        identity_token = self._text(entry.get("identitytoken"), "identitytoken")
        if username == TOKEN_USER:
            username, password, identity_token = "", "", identity_token or password
        credential = Credential(
            source=self.path,
            entry=key,
            username=username,
            password=password,
            identity_token=identity_token,
            registry_token=self._text(entry.get("registrytoken"), "registrytoken"),
        )
        empty = not (credential.password or credential.identity_token or credential.registry_token)
        return None if empty else credential

    def _username_and_password(self, entry: Mapping[str, object], key: str) -> tuple[str, str]:
        encoded = "".join(self._text(entry.get("auth"), "auth").split())
        if not encoded:
            return self._text(entry.get("username"), "username"), self._text(entry.get("password"), "password")
        try:
            padded = encoded + "=" * (-len(encoded) % 4)
            username, colon, password = (
                base64.b64decode(padded, validate=True).decode(errors="surrogateescape").partition(":")
            )
        except (binascii.Error, ValueError):
            colon = ""
        if not colon:
            # from None: the cause would show the secret in a traceback.
            raise SettingsUnusable(place=self.path, reason=f"auth of {key} is not base64 of USER:PASSWORD") from None
        return username, password.rstrip("\0")  # as docker/cli does
