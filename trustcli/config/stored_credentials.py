"""All places in which credentials are stored on this machine, in the order in which they count (docs/adr/0063)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeAlias

from trustcli.config.containers_auth import ContainersAuth, named_auth_file, usual_auth_files
from trustcli.config.credential import Credential
from trustcli.config.credential_helper import HELPER_TIMEOUT
from trustcli.config.docker_config import DockerConfig

CredentialPlace: TypeAlias = ContainersAuth | DockerConfig


class StoredCredentials:
    """Credentials of `docker login` and of `podman login`, read lazily, place after place.

    1. the file that REGISTRY_AUTH_FILE names: somebody has said so; 2. Docker's; 3. those of podman and skopeo.
    """

    def __init__(
        self, environ: Mapping[str, str], *, helper_timeout: float = HELPER_TIMEOUT, named_only: bool = False
    ) -> None:
        """Find the places. `named_only`: without those of the user's session and home, where these must decide nothing.

        Raises: SettingsUnusable (there is no home folder).
        """
        named = named_auth_file(environ)
        containers = [ContainersAuth(named, environ, helper_timeout=helper_timeout)] if named else []
        self.docker = DockerConfig(environ, helper_timeout=helper_timeout)
        self.places: tuple[CredentialPlace, ...] = (
            *containers,
            self.docker,
            *(
                ContainersAuth(file, environ, helper_timeout=helper_timeout)
                for file in (() if named_only else usual_auth_files(environ))
            ),
        )

    def credential_for(self, server: str, *, repository: str = "") -> Credential | None:
        """Return the credential for a server, or None. `repository`: which of its repositories is asked for, if any.

        A place that holds none is passed over; one that cannot be read is not. Raises: SettingsUnusable.
        """
        for place in self.places:
            if found := place.credential_for(server, repository=repository):
                return found
        return None
