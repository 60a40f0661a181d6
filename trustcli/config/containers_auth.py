"""Credentials of podman, skopeo and buildah: their auth.json files, whose keys may be a part of a registry.

Source: containers-auth.json(5). The most precise key counts: `registry/namespace/repository`, then each shorter one,
then the registry; at last keys that are URLs, as Docker's.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from pathlib import Path

from trustcli.config.auth_file import AuthFile, host_of, is_hub
from trustcli.config.credential import Credential
from trustcli.config.credential_helper import HELPER_TIMEOUT, CredentialHelper
from trustcli.config.home_folder import home_folder
from trustdata.hosts import DOCKER_HUB

_NAME = Path("containers") / "auth.json"


def named_auth_file(environ: Mapping[str, str]) -> Path | None:
    """Return the file that REGISTRY_AUTH_FILE names, if it is set."""
    given = environ.get("REGISTRY_AUTH_FILE")
    return Path(given) if given else None


def usual_auth_files(environ: Mapping[str, str]) -> tuple[Path, ...]:
    """Return where `podman login` stores: in the folder of the session, and in that of the user's settings.

    Raises: SettingsUnusable (there is no home folder).
    """
    runtime = environ.get("XDG_RUNTIME_DIR")
    given = environ.get("XDG_CONFIG_HOME")
    config = Path(given) if given else home_folder(environ, instead="XDG_CONFIG_HOME") / ".config"
    return (
        Path(runtime) / _NAME if runtime else Path("/run/containers") / str(os.getuid()) / _NAME.name,
        config / _NAME,
    )


class ContainersAuth:
    """The credentials in one auth.json, read lazily, with the helpers that it names."""

    def __init__(self, file: Path, environ: Mapping[str, str], *, helper_timeout: float = HELPER_TIMEOUT) -> None:
        self._file = AuthFile(file)
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
        """Return the credential for a repository of a server, or None. Raises: SettingsUnusable."""
        host = DOCKER_HUB if is_hub(server) else server
        helper = self._file.helper_name([host])
        found = self._helper.get(helper, host) if helper else None
        if found is not None:
            return found
        names = self._file.names()
        spelled = {_normal(name): name for name in names if not _is_url(name)}
        precise = (key for name in _precise_first(host, repository) for key in (name, spelled.get(_normal(name), name)))
        urls = (name for name in names if host_of(name) == host_of(host) and _is_url(name))
        return self._file.entry([*precise, *urls])


def _precise_first(host: str, repository: str) -> Iterator[str]:
    name = f"{host}/{repository}" if repository else host
    while name:
        yield name
        name = name.rpartition("/")[0]


def _normal(key: str) -> str:
    """Return a key with its host in the one spelling that all compare by."""
    host, slash, rest = key.partition("/")
    return host_of(host) + slash + rest


def _is_url(key: str) -> bool:
    return key.startswith(("https://", "http://")) or key.partition("/")[2].rstrip("/") in {"v1", "v2"}
