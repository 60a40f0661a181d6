"""Credentials for trust servers: the token of the environment, what `trust login` stored, what is stored for the host.

The environment's token is TRUST_TOKEN, or stands in the file that TRUST_TOKEN_FILE names.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from keys.file_access import exposed_secret, read_at_most
from trustcli.config.credential import (
    TOKEN_BEGINNINGS,
    TOKEN_FILE_VARIABLE,
    TOKEN_LOGIN,
    TOKEN_VARIABLE,
    Credential,
)
from trustcli.config.settings import Settings
from trustcli.config.stored_credentials import StoredCredentials
from trustcli.errors import SettingsUnusable
from trustcli.http.messages import parse_url
from trustdata.errors import InvalidName

MAX_TOKEN: Final = 16 * 1024
"""Bytes of a token, at most."""


class EnvironmentToken:
    """The token of the environment, for the one trust server that the settings name."""

    def __init__(self, environ: Mapping[str, str], settings: Settings) -> None:
        """Read nothing yet."""
        self._environ = environ
        self._settings = settings

    def credential_for(self, server: str) -> Credential | None:
        """Return the token, if the environment has one and it is for this host (and port unless that is 443).

        Raises: SettingsUnusable (two are given, it cannot be read, or more than one trust server could be meant).
        """
        given, file = self._environ.get(TOKEN_VARIABLE, "").strip(), self._environ.get(TOKEN_FILE_VARIABLE, "")
        if not given and not file:
            return None
        if given and file:
            raise SettingsUnusable(
                place=TOKEN_VARIABLE, reason=f"is given, and {TOKEN_FILE_VARIABLE} as well: unset one of them"
            )
        places = {_netloc(url) for url in self._settings.named_servers}
        if len(places) != 1:
            reason = "is for the one trust server that --server or TRUST_SERVER names"
            named = ", ".join(sorted(places)) or "none"
            raise SettingsUnusable(
                place=TOKEN_VARIABLE if given else TOKEN_FILE_VARIABLE, reason=f"{reason}; named are: {named}"
            )
        if server not in places:
            return None
        if given:
            token, source = checked_token(given, TOKEN_VARIABLE), TOKEN_VARIABLE
        else:
            token = token_from_file(Path(file), self._settings, given_by=TOKEN_FILE_VARIABLE)
            source = f"{file} ({TOKEN_FILE_VARIABLE})"
        return Credential(source=source, username=TOKEN_LOGIN, password=token)


def is_token(text: str) -> bool:
    """Return whether a text that should be something else is a token of a trust server, which no message may show."""
    text = text.strip()
    is_json_web_token = text.startswith("eyJ") and text.count(".") == 2
    return is_json_web_token or text.startswith(TOKEN_BEGINNINGS)


def checked_token(text: str, source: str) -> str:
    """Return a token without the white space around it. `source`: for messages. Raises: SettingsUnusable."""
    token = text.strip()
    if not token.isascii() or not token.isprintable() or " " in token or not token:
        raise SettingsUnusable(place=source, reason="holds no token, which is one word of printable ASCII")
    return token


def token_from_file(path: Path, settings: Settings, *, given_by: str) -> str:
    """Return the token that a file holds, which others cannot read.

    `given_by`: the option or variable that names the file. Raises: SettingsUnusable.
    """
    if is_token(str(path)):
        # Not shown: what is a secret would stand in the log of the job.
        raise SettingsUnusable(place=given_by, reason="is a token, and has to be the name of a file that holds one")
    named = f"{path} ({given_by})"
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        try:
            platform = settings.platform_secrets
            exposed = exposed_secret(path, descriptor, platform_secrets=platform, group_may_read=True)
            raw = read_at_most(descriptor, MAX_TOKEN)
        finally:
            os.close(descriptor)
    except OSError as error:
        raise SettingsUnusable(place=named, reason=error.strerror or "cannot be read") from error
    if exposed is not None:
        raise SettingsUnusable(place=exposed.path, reason=exposed.refusal)
    if len(raw) > MAX_TOKEN:
        raise SettingsUnusable(place=named, reason=f"has more than {MAX_TOKEN} bytes")
    return checked_token(raw.decode("utf-8", "replace"), named)


class TrustServerCredentials:
    """Where credentials for trust servers are looked for; the first place that has one for the host counts."""

    def __init__(self, stored: StoredCredentials, token: EnvironmentToken) -> None:
        self._stored = stored
        self._token = token

    def credential_for(self, server: str, *, repository: str = "") -> Credential | None:
        """Return the credential for a trust server, or None. `repository`: of no matter here.

        Raises: SettingsUnusable.
        """
        own = self._token.credential_for(server) or self._stored.docker.trust_login(server)
        return own or self._stored.credential_for(server, repository=repository)


def _netloc(url: str) -> str:
    """Return host and port of a trust server's URL; one that is none is refused elsewhere, with its source."""
    try:
        return parse_url(url, kind="trust server")[0].netloc
    except InvalidName:
        return ""
