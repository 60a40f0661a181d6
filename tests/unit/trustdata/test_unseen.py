"""What a stored file says that was not verified before: every member that an owner's signature makes believed."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.simulator.forgery import Document
from tests.simulator.scene import EVIL, GOOD, OTHER, good_collection
from trustdata.editing.unseen import Unseen, carried_tags, find_unseen
from trustdata.envelope import Envelope
from trustdata.errors import ContentUnseen
from trustdata.gun import NAME_MEMBER
from trustdata.roles import RELEASES, ROOT, TARGETS, RoleName
from trustdata.wire import WireFormat
from trustdata.wire.formats import FORMATS
from trustdata.wire.tuf import TUF


@pytest.fixture(params=FORMATS.values(), ids=list(FORMATS))
def wire(request: pytest.FixtureRequest) -> WireFormat:
    return request.param  # type: ignore[no-any-return]


def versions(wire: WireFormat, role: RoleName, change: Callable[[Document], object]) -> tuple[Envelope, Envelope]:
    """The good file, and the next one with a change."""
    scene = good_collection(wire)
    before = scene.server.stored[role]

    def altered(document: Document) -> None:
        document["version"] += 1
        change(document)

    scene.forger.alter(role, altered)
    return before, scene.server.stored[role]


def found(wire: WireFormat, role: RoleName, change: Callable[[Document], object]) -> Unseen:
    before, after = versions(wire, role, change)
    unseen = find_unseen(after, before)
    assert unseen is not None
    assert (unseen.role, unseen.version, unseen.before) == (role, after.version, before.version)
    assert unseen.reference == f"{role}@sha256:{after.sha256}"
    return unseen


def test_the_same_bytes_and_the_same_content(wire: WireFormat) -> None:
    """A next version that says the same was only renewed."""
    before, after = versions(wire, RELEASES, lambda document: document.update(expires="2031-01-01T00:00:00Z"))
    assert find_unseen(before, before) is None
    assert before.sha256 != after.sha256
    assert find_unseen(after, before) is None
    before, after = versions(wire, TARGETS, lambda _: None)
    assert find_unseen(after, before) is None
    before, after = versions(wire, ROOT, lambda _: None)
    assert find_unseen(after, before) is None


def test_tags(wire: WireFormat) -> None:
    def change(document: Document) -> None:
        document["targets"]["3.0"] = dict(document["targets"]["1.0"])
        del document["targets"]["2.0"]
        document["targets"]["1.0"]["length"] = 7

    unseen = found(wire, RELEASES, change)
    assert [(tag.tag, tag.kind) for tag in unseen.difference.tags] == [
        ("1.0", "rewritten"),
        ("2.0", "removed"),
        ("3.0", "added"),
    ]
    assert not unseen.others


def test_keys_and_thresholds(wire: WireFormat) -> None:
    def change(document: Document) -> None:
        role = document["delegations"]["roles"][1]
        role["keyids"] = [keyid for keyid in document["delegations"]["keys"] if keyid not in role["keyids"]][:1]

    (keys,) = found(wire, TARGETS, change).difference.keys
    assert keys.role == "targets/alice"
    assert len(keys.added) == 1


def test_delegations_and_their_order(wire: WireFormat) -> None:
    def paths(document: Document) -> None:
        document["delegations"]["roles"][1]["paths"] = ["1.*"]

    def order(document: Document) -> None:
        document["delegations"]["roles"].reverse()

    assert [change.kind for change in found(wire, TARGETS, paths).difference.delegations] == ["changed"]
    unseen = found(wire, TARGETS, order)
    assert unseen.others
    assert not unseen.difference.delegations


def test_members_that_are_not_ours(wire: WireFormat) -> None:
    def member(document: Document) -> None:
        document["x-foreign"] = {"runs": "anything"}

    def of_a_role(document: Document) -> None:
        document["delegations"]["roles"][1]["x-foreign"] = True

    for change in (member, of_a_role):
        before, after = versions(wire, TARGETS, change)
        unseen = find_unseen(after, before)
        # What a format does not keep, nobody signs again.
        kept = "x-foreign" in str(after.content.unrecognized_fields) or any(
            role.unrecognized_fields
            for role in (after.targets.delegations.roles or {}).values()  # type: ignore[union-attr]
        )
        assert (unseen is not None and unseen.others) is kept


def test_hash_bins() -> None:
    """In TUF 1.0, and only there."""

    def bins(document: Document) -> None:
        del document["delegations"]["roles"]
        keyids = list(document["delegations"]["keys"])
        document["delegations"]["succinct_roles"] = {
            "keyids": keyids,
            "threshold": 1,
            "bit_length": 2,
            "name_prefix": "bin",
        }

    assert found(TUF, TARGETS, bins).others


def test_patterns_that_become_prefixes_of_hashes() -> None:
    """The same text names other tags then; in TUF 1.0, and only there."""

    def patterns(document: Document) -> None:
        document["delegations"]["roles"][1]["paths"] = ["20"]

    def prefixes(document: Document) -> None:
        role = document["delegations"]["roles"][1]
        role["path_hash_prefixes"] = role.pop("paths")

    scene = good_collection(TUF)
    scene.forger.alter(TARGETS, patterns)
    before = scene.server.stored[TARGETS]
    scene.forger.alter(TARGETS, prefixes)
    unseen = find_unseen(scene.server.stored[TARGETS], before)
    assert unseen is not None
    assert [change.kind for change in unseen.difference.delegations] == ["changed"]


def _of_a_denial(document: Document) -> None:
    document["x-content-trust-denied"] = {f"sha256:{OTHER}": {"x-foreign": True, "reason": "bad"}}


@pytest.mark.parametrize(
    ("role", "change"),
    [
        (TARGETS, lambda document: document["delegations"].update({"x-foreign": True})),
        (TARGETS, lambda document: document.update({NAME_MEMBER: "registry.example.com/other"})),
        (TARGETS, _of_a_denial),
        (ROOT, lambda document: document["roles"]["targets"].update({"x-foreign": True})),
        (ROOT, lambda document: document.update({"x-content-trust-denied": {}, "x-foreign": True})),
        (ROOT, lambda document: document.update({"consistent_snapshot": False})),
    ],
    ids=["delegations", "name of targets", "denial", "role of a root", "root", "consistent snapshot"],
)
def test_members_wherever_they_stand(role: RoleName, change: Callable[[Document], object]) -> None:
    """In TUF 1.0, which keeps them."""
    assert found(TUF, role, change).others


def test_what_is_denied() -> None:
    def deny(document: Document) -> None:
        document["x-content-trust-denied"] = {f"sha256:{EVIL}": {"reason": "bad"}}

    unseen = found(TUF, TARGETS, deny)
    assert [(change.digest, change.kind) for change in unseen.difference.denied] == [(f"sha256:{EVIL}", "added")]
    assert not unseen.others


def test_the_name_of_a_root() -> None:
    unseen = found(TUF, ROOT, lambda document: document.update({NAME_MEMBER: "registry.example.com/other"}))
    assert not unseen.others
    assert [role.named for role in unseen.difference.roles] == ["registry.example.com/other"]


def test_where_nothing_was_verified_before(wire: WireFormat) -> None:
    """Everything is new that says something; a root comes from the pin."""
    files = good_collection(wire).server.stored
    releases = find_unseen(files[RELEASES], None)
    assert releases is not None
    assert releases.before is None
    assert {tag.after for tag in releases.difference.tags} == {GOOD, OTHER}
    assert find_unseen(files[ROOT], None) is None
    empty = files[RELEASES].raw
    _, nothing = versions(wire, RELEASES, lambda document: document.update(targets={}))
    assert empty != nothing.raw
    assert find_unseen(nothing, None) is None


def test_what_is_carried_over(wire: WireFormat) -> None:
    def change(document: Document) -> None:
        document["targets"]["3.0"] = dict(document["targets"]["1.0"])
        document["targets"]["1.0"]["length"] = 7

    before, after = versions(wire, RELEASES, change)
    assert list(carried_tags(before, after.content)) == [("2.0", OTHER)]
    root = good_collection(wire).server.stored[ROOT]
    assert list(carried_tags(root, root.content)) == []
    assert list(carried_tags(before, root.content)) == []


def test_an_error_that_has_much_to_tell_is_cut() -> None:
    file = f"{RELEASES}@sha256:{'ab' * 32}"
    few = ContentUnseen(gun="registry.example.com/app", files=(file, file), changes=("+ tag 1.0",))
    assert str(few) == (
        f"{file} and {file} of registry.example.com/app would be signed again, and say what was not verified here "
        "before: + tag 1.0"
    )
    many = ContentUnseen(gun="registry.example.com/app", files=(file,), changes=tuple(f"<{n}>" for n in range(23)))
    assert str(many).endswith("; <19> and 3 more (--json has all)")
