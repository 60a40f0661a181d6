"""Fixtures: one trust server and one registry for all tests of a module; each test has a collection of its own."""

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


@pytest.fixture(scope="module")
def trust_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    """The real `trust-server`, ready."""
    server = ServerProcess(tmp_path_factory.mktemp("trust-server") / "data")
    server.start()
    yield server
    server.kill()


@pytest.fixture(scope="module")
def shared_registry(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningProgram]:
    """Debian's docker-registry, open."""
    with start_registry(tmp_path_factory.mktemp("registry")) as running_registry:
        yield running_registry


@pytest.fixture
def gun(request: pytest.FixtureRequest, shared_registry: RunningProgram) -> str:
    """A collection of the test's own."""
    name: str = request.node.name
    slug = re.sub("[^a-z0-9]+", "-", name.partition("[")[0])
    mark = f"-{hashlib.sha256(name.encode()).hexdigest()[:8]}" if "[" in name else ""
    return f"{shared_registry.netloc}/{slug}{mark}"


@pytest.fixture
def people(tmp_path: Path, trust_server: ServerProcess) -> People:
    """Persons by name, each with a home of her own."""

    def person(name: str) -> TrustUser:
        return TrustUser(tmp_path / name, trust_server.url)

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
    owner.arrange("init", gun, "--recovery-key", "recovery.key")
    owner.arrange("sign", f"{gun}:1.0")
    return image
