"""Credential helpers of podman, skopeo and buildah: `credential-helpers` of their registries.conf, in its order.

Source: containers-registries.conf(5), containers-registries.conf.d(5), and what podman does. The main file is that of
CONTAINERS_REGISTRIES_CONF, else the user's, else the system's. After it come the files of `registries.conf.d`, of the
system (not beside a main file of the user) and of the user; each that has a list replaces the one before. The word
`containers-auth.json` in the list stands for the auth.json files; without a list, they alone count.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Final

from keys.record import record
from trustcli.config.auth_file import is_hub
from trustcli.config.credential import Credential
from trustcli.config.credential_helper import CredentialHelper
from trustcli.config.home_folder import home_folder
from trustcli.errors import SettingsUnusable
from trustdata import bounded_toml
from trustdata.hosts import DOCKER_HUB

AUTH_FILES: Final = "containers-auth.json"
_SYSTEM: Final = Path("/etc/containers")
_MAIN: Final = "registries.conf"
_LIST: Final = "credential-helpers"
_MAX_FILE: Final = 4 * 1024 * 1024  # bytes


@record
class HelperList:
    """Names of credential helpers, in order, AUTH_FILES among them, and the file that has the list."""

    names: tuple[str, ...] = (AUTH_FILES,)
    file: str = ""


def credential_helpers(environ: Mapping[str, str], *, system: Path = _SYSTEM) -> HelperList:
    """Return which helpers count for this user. Raises: SettingsUnusable, which names the file."""
    found = HelperList()
    for file in _files(environ, system):
        names = _names(file)
        if names is not None:
            found = HelperList(names=names or HelperList().names, file=str(file))
    return found


def _files(environ: Mapping[str, str], system: Path) -> list[Path]:
    given, user = environ.get("CONTAINERS_REGISTRIES_CONF"), _of_the_user(environ)
    if given:
        main, folders = Path(given), [system, user]
    elif user is not None and (user / _MAIN).exists():
        main, folders = user / _MAIN, [user]
    else:
        main, folders = system / _MAIN, [system, user]
    beside = [sorted((folder / f"{_MAIN}.d").glob("*.conf")) for folder in folders if folder is not None]
    return [main, *(file for files in beside for file in files)]


def _of_the_user(environ: Mapping[str, str]) -> Path | None:
    """Return the user's folder, which is the same whatever XDG_CONFIG_HOME says; None without a home folder."""
    try:
        return home_folder(environ, instead="CONTAINERS_REGISTRIES_CONF") / ".config" / "containers"
    except SettingsUnusable:
        return None


def _names(file: Path) -> tuple[str, ...] | None:
    """Return the list of a file; None if it has none, or is not there. Raises: SettingsUnusable."""
    try:
        with file.open("rb") as stream:
            raw = stream.read(_MAX_FILE + 1)
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        raise SettingsUnusable(place=str(file), reason=error.strerror or type(error).__name__) from error
    if len(raw) > _MAX_FILE:
        raise SettingsUnusable(place=str(file), reason=f"larger than {_MAX_FILE} bytes")
    if _LIST.encode() not in raw:
        return None  # nothing else of the file is of our concern
    try:
        names = bounded_toml.loads(raw.decode("utf-8-sig")).get(_LIST)
    except (ValueError, RecursionError) as error:
        raise SettingsUnusable(place=str(file), reason=f"is not TOML: {error}") from error
    if names is None:
        return None
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise SettingsUnusable(place=str(file), reason=f"{_LIST} must be a list of names of programs")
    return tuple(names)


class NamedHelper:
    """A place for credentials: one helper of the list."""

    is_there: Final = True

    def __init__(self, name: str, file: str, environ: Mapping[str, str], *, helper_timeout: float) -> None:
        self.path = f"docker-credential-{name} ({file})"
        self._name = name
        self._helper = CredentialHelper(environ, config=file, timeout=helper_timeout)

    def credential_for(self, server: str, *, repository: str = "") -> Credential | None:
        """Return what the helper has for a server, or None. Raises: SettingsUnusable."""
        del repository
        return self._helper.get(self._name, DOCKER_HUB if is_hub(server) else server)


class UnusableList:
    """Stands for a list that cannot be read: whoever asks is told why."""

    def __init__(self, error: SettingsUnusable) -> None:
        self.path = error.place
        self._error = error

    @property
    def is_there(self) -> bool:
        """Raise the error."""
        raise self._error

    def credential_for(self, server: str, *, repository: str = "") -> Credential | None:
        """Raise the error."""
        del server, repository
        raise self._error
