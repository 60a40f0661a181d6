"""TUF's own search (specification 5.6.7) over verified trees of any shape."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from tests.simulator import keyring
from tests.simulator.client import Client
from tests.simulator.forgery import file_of, text_of
from tests.simulator.scene import EVIL, GOOD, OTHER, Scene, good_collection
from tests.support.delegation_search import search_delegations
from trustcli.client.updater import Updater
from trustdata.errors import MalformedMetadata, MetadataMissing, ThresholdNotMet
from trustdata.inspection import inspect
from trustdata.roles import ROOT, TARGETS, RoleName
from trustdata.verification.delegations import delegations_of

Tree = Mapping[str, Any]


def role(name: str, *, terminating: bool = False, signer: str = "alice", **paths: list[str]) -> dict[str, Any]:
    return {
        "name": name,
        "keyids": [keyring.keyid(signer)],
        "threshold": 1,
        "terminating": terminating,
        **(paths or {"paths": ["*"]}),
    }


def grow(scene: Scene, tree: Mapping[str, tuple[Mapping[str, str], list[dict[str, Any]]]]) -> None:
    """Write targets and delegations: name -> (tags, delegated roles). All delegations are signed by alice."""
    keys = {keyring.keyid(name): keyring.key(name).to_dict() for name in ("alice", "bob")}
    for name, (tags, roles) in tree.items():
        document: dict[str, Any] = {
            "_type": "targets",
            "spec_version": "1.0.31",
            "version": 9,
            "expires": "2030-01-01T00:00:00Z",
            "targets": {tag: {"hashes": {"sha256": digest}, "length": 1} for tag, digest in tags.items()},
        }
        if roles:
            document["delegations"] = {"keys": keys, "roles": roles}
        signer = keyring.signer("targets" if name == TARGETS else "alice")
        scene.forger.put(RoleName(name), file_of(text_of(document), [signer]), version=9)


def find(scene: Scene, tag: str = "1.0") -> tuple[str, str] | None:
    updater = refreshed(scene)
    found = search_delegations(tag, updater.load)
    return None if found is None else (found[0], found[1].hashes["sha256"])


def refreshed(scene: Scene) -> Updater:
    return Client(scene.server, pins=[scene.pin]).collection().refresh()


def test_depth_first_in_the_order_of_delegation() -> None:
    scene = good_collection()
    grow(
        scene,
        {
            "targets": ({}, [role("a"), role("b")]),
            "a": ({}, [role("a/deep")]),
            "a/deep": ({"1.0": GOOD}, []),
            "b": ({"1.0": EVIL, "2.0": OTHER}, []),
        },
    )
    assert find(scene) == ("a/deep", GOOD)
    assert find(scene, "2.0") == ("b", OTHER)
    assert find(scene, "3.0") is None


def test_a_terminating_delegation_ends_the_search() -> None:
    scene = good_collection()
    grow(
        scene,
        {"targets": ({}, [role("a", terminating=True), role("b")]), "a": ({}, []), "b": ({"1.0": EVIL}, [])},
    )
    assert find(scene) is None


def test_a_terminating_delegation_deep_down_ends_the_whole_search() -> None:
    scene = good_collection()
    grow(
        scene,
        {
            "targets": ({}, [role("a"), role("b")]),
            "a": ({}, [role("a/deep", terminating=True)]),
            "a/deep": ({}, []),
            "b": ({"1.0": EVIL}, []),
        },
    )
    assert find(scene) is None


def test_a_terminating_delegation_for_other_tags_does_not() -> None:
    scene = good_collection()
    grow(
        scene,
        {
            "targets": ({}, [role("a", terminating=True, paths=["v*"]), role("b")]),
            "a": ({"1.0": EVIL}, []),
            "b": ({"1.0": GOOD}, []),
        },
    )
    assert find(scene) == ("b", GOOD)


def test_path_hash_prefixes() -> None:
    scene = good_collection()
    # SHA-256 of "1.0" starts with d0ff5974b6aa52cf562bea5921840c032a860a91a3512f7fe8f768f6bbe005f6
    grow(
        scene,
        {
            "targets": ({}, [role("a", path_hash_prefixes=["00"]), role("b", path_hash_prefixes=["d0"])]),
            "a": ({"1.0": EVIL}, []),
            "b": ({"1.0": GOOD}, []),
        },
    )
    assert find(scene) == ("b", GOOD)


def test_cycles_end() -> None:
    scene = good_collection()
    grow(scene, {"targets": ({}, [role("a")]), "a": ({}, [role("b")]), "b": ({}, [role("a")])})
    assert find(scene) is None


def test_at_most_32_delegations_are_visited() -> None:
    scene = good_collection()
    names = [f"r{index}" for index in range(40)]
    tree: dict[str, tuple[Mapping[str, str], list[dict[str, Any]]]] = {"targets": ({}, [role(n) for n in names])}
    tree |= {name: ({}, []) for name in names}
    tree["r31"] = ({"1.0": GOOD}, [])
    tree["r32"] = ({"2.0": EVIL}, [])
    grow(scene, tree)
    assert find(scene) == ("r31", GOOD)
    assert find(scene, "2.0") is None


def test_a_role_is_verified_again_for_each_delegator() -> None:
    """The second delegator names another key: that the first one was content does not count."""
    scene = good_collection()
    grow(
        scene,
        {
            "targets": ({}, [role("a"), role("b")]),
            "a": ({}, []),
            "b": ({}, [role("a", signer="bob")]),
        },
    )
    updater = refreshed(scene)
    assert updater.load(RoleName("a")).version == 9
    assert updater.load(RoleName("a")).version == 9
    updater.load(RoleName("b"))
    with pytest.raises(ThresholdNotMet) as caught:
        updater.load(RoleName("a"), RoleName("b"))
    assert caught.value.delegator == "b"


def test_a_role_that_is_not_delegated() -> None:
    scene = good_collection()
    grow(scene, {"targets": ({}, []), "stray": ({"1.0": EVIL}, [])})
    updater = refreshed(scene)
    with pytest.raises(MetadataMissing, match="does not delegate"):
        updater.load(RoleName("stray"))
    with pytest.raises(MetadataMissing, match="does not list it"):
        updater.load(RoleName("unknown"))
    with pytest.raises(RuntimeError, match="must be loaded before"):
        updater.load(RoleName("stray"), RoleName("unknown"))


def test_succinct_roles() -> None:
    scene = good_collection()
    succinct = {"bit_length": 1, "keyids": [keyring.keyid("alice")], "name_prefix": "bin", "threshold": 1}
    grow(scene, {"bin-0": ({"2.0": GOOD, "1.0": EVIL}, []), "bin-1": ({"1.0": GOOD, "2.0": EVIL}, [])})
    keys = {keyring.keyid("alice"): keyring.key("alice").to_dict()}

    def bins(document: dict[str, Any]) -> None:
        document["version"] = 10
        document["targets"] = {}
        document["delegations"] = {"keys": keys, "succinct_roles": succinct}

    scene.forger.alter(TARGETS, bins)
    assert find(scene) == ("bin-1", GOOD)  # the first bit of the name's SHA-256 chooses
    assert find(scene, "2.0") == ("bin-1", EVIL)
    updater = refreshed(scene)
    assert delegations_of(updater.roles()[TARGETS].targets) == ("bin-0", "bin-1")
    assert delegations_of(updater.roles()[ROOT].root) == ()

    def too_many(document: dict[str, Any]) -> None:
        bins(document)
        document["delegations"]["succinct_roles"] = {**succinct, "bit_length": 33}

    with pytest.raises(MalformedMetadata, match="32 or less"):
        scene.server.wire.parse(TARGETS, scene.forger.alter(TARGETS, too_many))


def test_foreign_trees_release_nothing_here() -> None:
    scene = good_collection()
    grow(scene, {"targets": ({"2.0": OTHER}, [role("a")]), "a": ({"1.0": GOOD}, [])})
    client = Client(scene.server, pins=[scene.pin])
    assert client.judge("2.0").digest == f"sha256:{OTHER}"
    assert not client.judge("1.0").allowed
    assert [tag.tag for tag in inspect(client.collection().owner_roles()).tags] == ["2.0"]
