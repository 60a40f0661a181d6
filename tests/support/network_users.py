"""The two users of the HTTP stack, for tests that hold for both: a trust server's client and a registry's."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any, Protocol
from urllib.parse import urlsplit

from tests.support.hostile_server import HostileServer, Request
from trustcli.client.server_link import ServerLink
from trustcli.client.tuf_remote import TufRemote
from trustcli.config.credential import Credential
from trustcli.http.network import Network
from trustcli.http.time_budget import Timeouts
from trustcli.http.tls import CertificateAuthorities
from trustcli.http.token_auth import CredentialSource
from trustcli.registry.client import Registry
from trustcli.registry.manifest import MAX_MANIFEST, OCI_MANIFEST
from trustcli.registry.reference import parse_reference
from trustdata.gun import parse_gun

GUN = parse_gun("registry.example.com/team/app")
SHORT = Timeouts(connect=5, read=5, overall=60)

FILE = json.dumps({"schemaVersion": 2, "mediaType": OCI_MANIFEST, "config": {}, "layers": []}).encode()
"""What both take for a file."""
DIGEST = f"sha256:{hashlib.sha256(FILE).hexdigest()}"


class Stored:
    """Credentials by server name; remembers what it was asked for."""

    def __init__(self, **by_server: Credential) -> None:
        self.by_server = dict(by_server)
        self.asked: list[str] = []

    def credential_for(self, server: str) -> Credential | None:
        self.asked.append(server)
        return self.by_server.get(server)


def network_of(environ: Mapping[str, str], **options: Any) -> Network:
    """The network of an invocation on loopback, that believes only CAs which the test names."""
    authorities = CertificateAuthorities(environ, docker_certs=Path("/nonexistent"))
    return Network(**{"authorities": authorities, "environ": environ, "timeouts": SHORT, **options})


class User(Protocol):
    """Asks one server for a file, again and again. `limit`: bytes that the file may have."""

    limit: int

    def get(self) -> str:
        """`sha256:` of what came. Raises: what the client raises."""

    def close(self) -> None:
        """Close the connections."""


class TrustServerUser:
    """`verify`, which asks for a role's file."""

    limit = 1000

    def __init__(self, url: str, network: Network, credentials: CredentialSource) -> None:
        self._remote = TufRemote(ServerLink(url, network, credentials))

    def get(self) -> str:
        raw = self._remote.fetch(GUN, "timestamp.json", limit=self.limit)
        assert raw is not None
        return f"sha256:{hashlib.sha256(raw).hexdigest()}"

    def close(self) -> None:
        self._remote.close()


class RegistryUser:
    """`sign`, which asks for a tag's manifest; over https, or where nobody speaks that on loopback, without."""

    limit = MAX_MANIFEST

    def __init__(
        self, url: str, network: Network, credentials: CredentialSource, insecure: Collection[str] = ()
    ) -> None:
        self._registry = Registry(network, credentials, insecure=insecure)
        self._reference = parse_reference(f"{urlsplit(url).netloc}/team/app:1.0")

    def get(self) -> str:
        return self._registry.resolve(self._reference).digest

    def close(self) -> None:
        self._registry.close()


USERS: Mapping[str, type[TrustServerUser | RegistryUser]] = {
    "trust-server": TrustServerUser,
    "registry": RegistryUser,
}


def connections_of(requests: Collection[Request]) -> list[int]:
    """Over which connection each request came, counted from 1; one that carried none is not counted."""
    numbers = [request.connection for request in requests]
    return [sorted(set(numbers)).index(number) + 1 for number in numbers]


def padded(size: int) -> bytes:
    """A file of this size."""
    return FILE + b" " * (size - len(FILE))


def stored_for(server: HostileServer, username: str = "alice", password: str = "hunter2") -> Stored:
    """What `docker login` left for this server."""
    return Stored(**{server.netloc: Credential(source="config.json", username=username, password=password)})
