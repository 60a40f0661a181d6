from __future__ import annotations

import tracemalloc
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.support.certificates import Authority, make_authority
from tests.support.hostile_server import HostileServer, Script
from tests.support.network_users import GUN, USERS, RegistryUser, Stored, User, network_of
from trustcli.client.server_link import ServerLink
from trustcli.client.tuf_remote import TufRemote
from trustcli.http.token_auth import CredentialSource

Serve = Callable[..., HostileServer]
Remotes = Callable[..., TufRemote]
Users = Callable[..., User]


def fetch(remote: TufRemote, limit: int = 1000) -> bytes | None:
    return remote.fetch(GUN, "timestamp.json", limit=limit)


@contextmanager
def memory_of(most: int) -> Iterator[None]:
    """What runs in it never holds more bytes than that at once."""
    tracemalloc.start()
    try:
        yield
    finally:
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
    assert peak <= most


@pytest.fixture
def serve() -> Iterator[Serve]:
    """Start hostile servers; all are stopped at the end."""
    started: list[HostileServer] = []

    def start(script: Script, **options: object) -> HostileServer:
        started.append(HostileServer(script, **options))  # type: ignore[arg-type]
        return started[-1]

    yield start
    for server in started:
        server.stop()


@pytest.fixture(scope="session")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return make_authority(tmp_path_factory.mktemp("ca"))


@pytest.fixture
def environ(tmp_path: Path) -> dict[str, str]:
    """An environment without anything of this machine."""
    return {"HOME": str(tmp_path), "DOCKER_CONFIG": str(tmp_path / "docker")}


@pytest.fixture
def remote_of(environ: dict[str, str]) -> Iterator[Remotes]:
    made: list[TufRemote] = []

    def make(server: HostileServer | str, *, credentials: CredentialSource | None = None, **options: Any) -> TufRemote:
        url = server if isinstance(server, str) else server.url
        made.append(TufRemote(ServerLink(url, network_of(environ, **options), credentials or Stored())))
        return made[-1]

    yield make
    for remote in made:
        remote.close()


@pytest.fixture(params=USERS)
def user_of(request: pytest.FixtureRequest, environ: dict[str, str]) -> Iterator[Users]:
    """Somebody who asks that server, once through each of the clients that this program has."""
    made: list[User] = []

    def make(server: HostileServer | str, *, credentials: CredentialSource | None = None, **options: Any) -> User:
        url = server if isinstance(server, str) else server.url
        made.append(USERS[request.param](url, network_of(environ, **options), credentials or Stored()))
        return made[-1]

    yield make
    for user in made:
        user.close()


@pytest.fixture
def registry_user_of(environ: dict[str, str]) -> Iterator[Users]:
    """Somebody who asks a registry: only there may a redirect lead elsewhere."""
    made: list[User] = []

    def make(server: HostileServer, *, credentials: CredentialSource | None = None, **options: Any) -> User:
        made.append(RegistryUser(server.url, network_of(environ, **options), credentials or Stored()))
        return made[-1]

    yield make
    for user in made:
        user.close()
