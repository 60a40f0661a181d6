"""Laws of rollback memory: machines may remember in any order, again and again."""

from __future__ import annotations

import json
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from keys.record import replace
from tests.simulator.scene import good_collection
from tests.support.strategies import MEMORIES
from trustdata.errors import MalformedMetadata
from trustdata.roles import ROOT
from trustdata.verification.rollback_memory import Memory, from_document, merge, to_document


@given(MEMORIES, MEMORIES)
def test_merging_is_commutative(one: Memory, other: Memory) -> None:
    assert merge(one, other) == merge(other, one)


@given(MEMORIES, MEMORIES)
def test_merging_is_idempotent(one: Memory, other: Memory) -> None:
    assert merge(one, one) == one
    merged = merge(one, other)
    assert merge(merged, one) == merged
    assert merge(merged, merged) == merged


@given(MEMORIES, MEMORIES)
def test_what_counts_under_the_newest_root_is_never_lowered(one: Memory, other: Memory) -> None:
    merged = merge(one, other)
    for memory in (one, other):
        for role, seen in memory.roles.items():
            if seen.holds_under(role, merged.roles[role].keys):
                assert merged.roles[role].version >= seen.version


@given(MEMORIES)
def test_it_survives_the_disk(memory: Memory) -> None:
    document = json.loads(json.dumps(to_document(memory)))
    assert from_document(document, place="seen.json") == memory


@given(MEMORIES)
def test_a_file_of_an_older_program_has_no_hashes(memory: Memory) -> None:
    """Nor need it have them: then less is known, and an owner is asked more."""
    document: Any = to_document(memory)
    for seen in document["roles"].values():
        assert seen.keys() <= {"version", "root_version", "sha256"}
        seen.pop("sha256", None)
    read = from_document(document, place="seen.json")
    assert {role: seen.version for role, seen in read.roles.items()} == {r: s.version for r, s in memory.roles.items()}
    assert {seen.sha256 for seen in read.roles.values()} <= {""}


@given(MEMORIES, MEMORIES)
def test_a_hash_is_not_lost_while_its_version_is_the_newest(one: Memory, other: Memory) -> None:
    merged = merge(one, other)
    for memory in (one, other):
        for role, seen in memory.roles.items():
            if seen.sha256 and merged.roles[role].version == seen.version and merged.roles[role].keys == seen.keys:
                assert merged.roles[role].sha256


@given(MEMORIES)
def test_different_roots_of_trust_are_never_merged(memory: Memory) -> None:
    with pytest.raises(ValueError, match="different roots"):
        merge(memory, replace(memory, root_of_trust="cd" * 32))


@given(MEMORIES, st.sampled_from(["roles", "keys", "refreshed", "root_of_trust"]), st.sampled_from([1, "x", [], None]))
def test_damage_is_named(memory: Memory, member: str, value: object) -> None:
    document = {**to_document(memory), member: value}
    with suppress(MalformedMetadata):  # never anything else
        read = from_document(document, place="seen.json")
        assert from_document(to_document(read), place="seen.json") == read


@pytest.mark.parametrize(
    "damage",
    [
        lambda d: d["roles"][ROOT].update(version=True),
        lambda d: d["roles"][ROOT].update(version=0),
        lambda d: d["roles"][ROOT].update(root_version=7),
        lambda d: d["roles"][ROOT].update(sha256="AB" * 32),
        lambda d: d["roles"][ROOT].update(sha256=None),
        lambda d: d["keys"]["1"].update(timestamp="t"),
        lambda d: d["keys"]["1"].pop("snapshot_threshold"),
        lambda d: d.pop("roles"),
        lambda d: d.update(refreshed="yesterday"),
        lambda d: d.update(named="yes"),
        lambda d: d["keys"]["1"].update(fingerprints=["t"]),
        lambda d: d["keys"]["1"].update(fingerprints={"t": 1}),
    ],
)
def test_damage_is_refused(damage: object) -> None:
    client = good_collection().regular()
    (memory,) = client.memory.known.values()
    document = to_document(replace(memory, roles={ROOT: replace(memory.roles[ROOT], root_version=1)}))
    from_document(document, place="p")
    assert callable(damage)
    damage(document)
    with pytest.raises(MalformedMetadata):
        from_document(document, place="p")
    with pytest.raises(MalformedMetadata, match="must be an object"):
        from_document([], place="p")
