"""Fixtures: one trust server and one registry for all tests of a worker; each test has a collection of its own."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.support.images import BuiltImage, build_image, build_index
from tests.support.programs import RunningProgram, push, start_registry
from tests.support.server_process import ServerProcess
from tests.support.trust_program import TrustUser

People = Callable[[str], TrustUser]
Put = Callable[..., BuiltImage]
OTHER_DIGEST = f"sha256:{'0' * 64}"
"""A digest that nothing has."""


@pytest.fixture(scope="session")
def trust_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    """The real `trust-server`, ready."""
    server = ServerProcess(tmp_path_factory.mktemp("trust-server") / "data")
    server.start()
    yield server
    server.kill()


@pytest.fixture(scope="session")
def shared_registry(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningProgram]:
    """Debian's docker-registry, open."""
    with start_registry(tmp_path_factory.mktemp("registry")) as running_registry:
        yield running_registry


@pytest.fixture
def gun(request: pytest.FixtureRequest, shared_registry: RunningProgram) -> str:
    """A collection of the test's own; tests of other modules may have the same name."""
    slug = re.sub("[^a-z0-9]+", "-", str(request.node.originalname))
    mark = hashlib.sha256(request.node.nodeid.encode()).hexdigest()[:8]
    return f"{shared_registry.netloc}/{slug}-{mark}"


@pytest.fixture
def people(request: pytest.FixtureRequest, tmp_path: Path, trust_server: ServerProcess) -> People:
    """Persons by name, each with a home of her own. A module with FRESH = True has every command started for real."""
    fresh = getattr(request.module, "FRESH", False)

    def person(name: str) -> TrustUser:
        return TrustUser(tmp_path / name, trust_server.url, fresh=fresh)

    return person


@pytest.fixture
def owner(people: People) -> TrustUser:
    """Who makes the collections."""
    return people("owner")


@pytest.fixture
def put(tmp_path: Path, shared_registry: RunningProgram, gun: str) -> Callable[..., BuiltImage]:
    """`put("1.0", text=...)` builds an image and pushes it to the test's collection; `index=True` makes an index."""
    number = 0

    def build_and_push(tag: str, *, text: str = "hello", index: bool = False, repository: str = "") -> BuiltImage:
        nonlocal number
        number += 1
        layout = tmp_path / f"layout{number}"
        image = build_index(layout, text=text) if index else build_image(layout, text=text)
        push(image, shared_registry, (repository or gun).partition("/")[2], tag)
        return image

    return build_and_push


@pytest.fixture
def begun(owner: TrustUser, gun: str, put: Put) -> BuiltImage:
    """A collection with a recovery key and tag 1.0 signed."""
    image = put("1.0")
    owner.run("init", gun, "--recovery-key", "recovery.key")
    owner.run("sign", f"{gun}:1.0")
    return image
