"""Credentials that `docker login` stored in Docker's config.json, or in the credential helpers that it names."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from trustcli.config.auth_file import HUB_KEY, TRUST_LOGIN, AuthFile, host_of, is_hub
from trustcli.config.credential import Credential
from trustcli.config.credential_helper import HELPER_TIMEOUT, CredentialHelper
from trustcli.config.home_folder import home_folder
from trustdata.hosts import HUB_HOSTS

_CONFIG_FILE = "config.json"
_HUB_HELPER_KEYS = (HUB_KEY, *HUB_HOSTS)
"""docker looks for Docker Hub's key alone; people who edit the file write the host that they pull from."""


def docker_config_dir(environ: Mapping[str, str]) -> Path:
    """Return Docker's configuration folder: `$DOCKER_CONFIG`, or where that lies if it is a file; else `~/.docker`.

    Raises: SettingsUnusable (there is no home folder).
    """
    return docker_config_file(environ).parent


def docker_config_file(environ: Mapping[str, str]) -> Path:
    """Return the path of Docker's configuration file, which need not exist. Raises: SettingsUnusable."""
    given = environ.get("DOCKER_CONFIG")
    if given and _is_file(Path(given)):
        return Path(given)
    folder = Path(given) if given else home_folder(environ, instead="DOCKER_CONFIG") / ".docker"
    return folder / _CONFIG_FILE


def _is_file(path: Path) -> bool:
    """Return whether there is such a file; of one that may not be looked at, its reader says so."""
    try:
        return path.is_file()
    except OSError:
        return False


class DockerConfig:
    """Docker's stored credentials, read lazily: the file, and helpers, only when a credential is asked for."""

    def __init__(self, environ: Mapping[str, str], *, helper_timeout: float = HELPER_TIMEOUT) -> None:
        """Find the file. Raises: SettingsUnusable (there is no home folder)."""
        self._file = AuthFile(docker_config_file(environ))
        self._helper = CredentialHelper(environ, config=self.path, timeout=helper_timeout)

    @property
    def path(self) -> str:
        """The path of the file, for messages."""
        return self._file.path

    @property
    def is_there(self) -> bool:
        """Whether there is such a file. Raises: SettingsUnusable."""
        return self._file.is_there

    def credential_for(self, server: str, *, repository: str = "") -> Credential | None:
        """Return the credential for a server (`registry.example.com:5000`, `docker.io`), or None.

        A configured credential helper is asked first, then `auths` in the file. A login through a helper leaves an
        empty entry in `auths`: if the host stands there in another spelling, the helper knows it by that.
        `repository`: nothing here depends on it. Raises: SettingsUnusable.
        """
        del repository
        key = HUB_KEY if is_hub(server) else server
        helper = self._file.helper_name(_HUB_HELPER_KEYS if key == HUB_KEY else (key,))
        host = host_of(key)
        spelled = tuple(dict.fromkeys((key, *(name for name in self._file.names() if host_of(name) == host))))
        for name in spelled if helper else ():
            if found := self._helper.get(helper, name):
                return found
        return self._file.entry(spelled)

    def trust_login(self, server: str) -> Credential | None:
        """Return what `trust login` stored for a trust server (host, and port unless that is 443), or None.

        A helper is asked only if the file says that there is such a login. Raises: SettingsUnusable.
        """
        key = TRUST_LOGIN + server
        if key not in self._file.names():
            return None
        if (helper := self._file.helper_name((key,))) and (found := self._helper.get(helper, key)):
            return found
        return self._file.entry((key,))
