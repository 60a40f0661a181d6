"""Where a root chain begins: at version 1, from a cache that holds the pins or else from the server."""

from __future__ import annotations

import pytest

from tests.simulator.client import Client
from tests.simulator.owner import Owner
from tests.simulator.repository import RepositorySimulator
from tests.simulator.scene import EVIL, GOOD, Scene, good_collection
from trustcli.client.memory_cache import MemoryCache
from trustdata.errors import PinsDisagree, RootNotPinned, ThresholdNotMet, VersionMismatch
from trustdata.roles import ROOT
from trustdata.verification.trust_pinning import Pin, SourcedPin


def second_root_first(scene: Scene) -> Pin:
    """The server gives root 2 as `1.root.json`; returns what a pin of root 2 would be."""
    second = scene.server.wire.parse(ROOT, scene.server.files["2.root.json"])
    scene.server.files["1.root.json"] = second.raw
    del scene.server.files["2.root.json"]
    return Pin("sha256", second.sha256)


@pytest.mark.parametrize("pinned", [True, False])
def test_a_later_root_is_no_first_root(*, pinned: bool) -> None:
    """Else this machine would remember another root of trust than everybody else."""
    scene = good_collection()
    pin = second_root_first(scene)
    client = Client(scene.server, pins=[pin] if pinned else [], tofu=not pinned)
    with pytest.raises(VersionMismatch) as caught:
        client.digest("1.0")
    assert caught.value.details() == {"role": "root", "offered": 2, "expected": 1}
    assert client.cache.roots() == []
    assert client.memory.known == {}
    assert client.recorded == []


def test_a_later_root_in_the_cache_is_no_first_root() -> None:
    scene = good_collection()
    client = scene.regular()
    client.cache = MemoryCache()
    client.pins = [SourcedPin(pin=Pin("sha256", scene.server.stored[ROOT].sha256), source="pins.toml")]
    client.cache.store_root(2, scene.server.files["2.root.json"])
    assert client.digest("1.0") == f"sha256:{GOOD}"
    assert client.cache.roots() == [scene.server.files["1.root.json"], scene.server.files["2.root.json"]]


def test_another_root_of_trust_than_the_remembered_one_is_a_refusal_and_no_warning(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    scene, other = good_collection(), another()
    client = scene.regular()
    (remembered,) = client.memory.known.values()
    monkeypatch.setattr(client.memory, "load", lambda _: None)  # another process remembers it meanwhile
    client.cache, client.server, client.pins = MemoryCache(), other, []
    client.tofu = True
    with pytest.raises(RootNotPinned, match="rollback memory"):
        client.digest("1.0")
    assert list(client.memory.known.values()) == [remembered]


def another(*, rotated: int = 0) -> RepositorySimulator:
    """Another collection under the same name, with other root and online keys."""
    other = RepositorySimulator(online_keys=" of another")
    owner = Owner(other, "another root", "targets")
    owner.initialise("another root")
    for _ in range(rotated):
        owner.renew(ROOT)
    owner.sign("1.0", EVIL)
    return other


def foreign_cache(rotated: int) -> MemoryCache:
    other = another(rotated=rotated)
    client = Client(other, tofu=True)
    assert client.digest("1.0") == f"sha256:{EVIL}"
    return client.cache


@pytest.mark.parametrize("rotated", [0, 1, 3])
def test_a_cached_chain_of_another_root_of_trust_is_not_final(rotated: int) -> None:
    scene = good_collection()
    client = scene.newcomer()
    client.cache = foreign_cache(rotated)
    assert client.digest("1.0") == f"sha256:{GOOD}"
    roots = [scene.server.files["1.root.json"], scene.server.files["2.root.json"]]
    assert client.cache.roots() == roots, "nothing of the other chain stands behind ours"
    scene.server.requests.clear()
    assert client.digest("1.0") == f"sha256:{GOOD}"
    assert "1.root.json" not in scene.server.requests, "the cache is good again"


def test_the_server_is_no_better_than_the_cache() -> None:
    """Pins and memory decide, whoever gives the roots; and nothing is kept."""
    scene = good_collection()
    client = scene.regular()
    client.server = another()
    cached = client.cache = foreign_cache(0)
    roots = cached.roots()
    with pytest.raises((RootNotPinned, PinsDisagree)):
        client.digest("1.0")
    assert cached.roots() == roots


def test_a_cached_chain_that_holds_the_pins_is_never_left_for_the_servers() -> None:
    scene = good_collection()
    client = scene.regular()
    scene.server.files["3.root.json"] = another(rotated=2).files["3.root.json"]
    roots = client.cache.roots()
    answer = client.judge("1.0")
    assert isinstance(answer.refusal, ThresholdNotMet)
    assert client.cache.roots() == roots
