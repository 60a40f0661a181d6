"""All places in which credentials are stored on this machine, in the order in which they count (docs/adr/0063)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import cached_property
from pathlib import Path
from typing import TypeAlias

from trustcli.config.containers_auth import ContainersAuth, named_auth_file, usual_auth_files
from trustcli.config.containers_helpers import AUTH_FILES, NamedHelper, UnusableList, credential_helpers
from trustcli.config.credential import Credential
from trustcli.config.credential_helper import HELPER_TIMEOUT
from trustcli.config.docker_config import DockerConfig
from trustcli.errors import SettingsUnusable

CredentialPlace: TypeAlias = ContainersAuth | DockerConfig | NamedHelper | UnusableList


class StoredCredentials:
    """Credentials of `docker login` and of `podman login`, read lazily, place after place.

    1. the file that REGISTRY_AUTH_FILE names: somebody has said so; 2. Docker's; 3. those of podman and skopeo, files
    and helpers in the order of their registries.conf.
    """

    def __init__(
        self, environ: Mapping[str, str], *, helper_timeout: float = HELPER_TIMEOUT, named_only: bool = False
    ) -> None:
        """Find where to look. `named_only`: not in the user's session and home, where these must decide nothing.

        Raises: SettingsUnusable (there is no home folder).
        """
        self._environ = environ
        self._helper_timeout = helper_timeout
        self.docker = DockerConfig(environ, helper_timeout=helper_timeout)
        self._usual = None if named_only else usual_auth_files(environ)

    @cached_property
    def places(self) -> tuple[CredentialPlace, ...]:
        """All places, in order. What podman and skopeo are set to is read here."""
        named = named_auth_file(self._environ)
        own = () if self._usual is None else self._of_podman(self._usual)
        return (*([self._auth_file(named)] if named else []), self.docker, *own)

    def _of_podman(self, usual: Iterable[Path]) -> tuple[CredentialPlace, ...]:
        files = tuple(map(self._auth_file, usual))
        try:
            helpers = credential_helpers(self._environ)
        except SettingsUnusable as error:
            return (UnusableList(error),)
        found: list[CredentialPlace] = []
        for name in helpers.names:
            if name == AUTH_FILES:
                found += files
            else:
                found.append(NamedHelper(name, helpers.file, self._environ, helper_timeout=self._helper_timeout))
        return tuple(found)

    def _auth_file(self, file: Path) -> ContainersAuth:
        return ContainersAuth(file, self._environ, helper_timeout=self._helper_timeout)

    def credential_for(self, server: str, *, repository: str = "") -> Credential | None:
        """Return the credential for a server, or None. `repository`: which of its repositories is asked for, if any.

        A place that holds none is passed over; one that cannot be read is not. A helper of registries.conf that fails,
        or is not installed, is passed over where a later place has a credential, as podman does: the file is often that
        of the system. Raises: SettingsUnusable.
        """
        failure: SettingsUnusable | None = None
        for place in self.places:
            try:
                found = place.credential_for(server, repository=repository)
            except SettingsUnusable as error:
                if not isinstance(place, NamedHelper):
                    raise
                failure = failure or error
                continue
            if found:
                return found
        if failure is not None:
            raise failure
        return None
