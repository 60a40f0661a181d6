"""What an edit changes, as values."""

from __future__ import annotations

from tests.simulator.keyring import key, keyid
from tests.simulator.owner import Owner
from tests.simulator.repository import RepositorySimulator
from tests.simulator.scene import EVIL, GOOD, good_collection
from trustdata.editing import repository_editor as editor
from trustdata.editing.difference import Difference, KeysChange, TagChange, difference
from trustdata.editing.repository_editor import Contents, TagEdit
from trustdata.gun import parse_tag
from trustdata.model import Delegations, TargetFile, Targets
from trustdata.roles import RELEASES, ROOT, SNAPSHOT, TARGETS, TIMESTAMP, RoleName

ALICE = RoleName("targets/alice")


def of(owner: Owner, contents: Contents) -> Difference:
    return difference(owner.read(), contents)


def test_nothing() -> None:
    assert of(good_collection().owner, {}) == Difference()


def test_a_new_collection() -> None:
    owner = good_collection().owner
    contents = editor.new_collection(
        root_keys=[key("root"), key("recovery")],
        threshold=2,
        targets_key=key("targets"),
        snapshot_key=key("alice"),
        timestamp_key=key("bob"),
        terms=owner.terms,
    )
    found = difference({}, contents)
    assert [(r.role, r.version_before, r.version_after, r.expires_before) for r in found.roles] == [
        (ROOT, None, 1, None),
        (TARGETS, None, 1, None),
    ]
    assert {k.role: (k.delegator, k.added, k.threshold_before, k.threshold_after) for k in found.keys} == {
        ROOT: (ROOT, (keyid("root"), keyid("recovery")), None, 2),
        TARGETS: (ROOT, (keyid("targets"),), None, 1),
        SNAPSHOT: (ROOT, (keyid("alice"),), None, 1),
        TIMESTAMP: (ROOT, (keyid("bob"),), None, 1),
    }
    assert (found.tags, found.delegations) == ((), ())


def test_tags() -> None:
    """Added, moved, removed, and the same digest with other platforms; what stays is not named."""
    owner = good_collection().owner
    roles = owner.read()
    content = editor.renew(roles, [RELEASES], terms=owner.terms)[RELEASES]
    assert isinstance(content, Targets)
    (tag, *_) = sorted(content.targets)
    there = content.targets[tag]
    digest = there.hashes["sha256"]

    def with_tags(**targets: TargetFile) -> Difference:
        content.targets = {**targets}
        return difference(roles, {RELEASES: content})

    others = [t for t in roles[RELEASES].targets.targets if t != tag]
    gone = {TagChange(role=RELEASES, tag=t, before=_digest(owner, t), after=None) for t in others}
    moved = TargetFile(there.length, {"sha256": EVIL}, tag)
    new = TargetFile(1, {"sha256": GOOD}, "new")
    found = with_tags(**{tag: moved, "new": new})
    assert set(found.tags) == gone | {
        TagChange(role=RELEASES, tag=tag, before=digest, after=EVIL),
        TagChange(role=RELEASES, tag="new", before=None, after=GOOD),
    }
    kinds = {change.tag: change.kind for change in found.tags}
    assert kinds == {**dict.fromkeys(others, "removed"), tag: "moved", "new": "added"}
    rewritten = TargetFile(there.length + 1, {"sha256": digest}, tag)
    (change, *_) = [c for c in with_tags(**{tag: rewritten}).tags if c.tag == tag]
    assert (change.kind, change.before, change.after) == ("rewritten", digest, digest)
    same = TargetFile.from_dict(there.to_dict(), tag)
    assert [c for c in with_tags(**{tag: same}).tags if c.tag == tag] == []


def _digest(owner: Owner, tag: str) -> str:
    return owner.read()[RELEASES].targets.targets[tag].hashes["sha256"]


def test_a_signer_comes_and_goes() -> None:
    owner = good_collection().owner
    added = of(owner, editor.add_signer(owner.read(), "carol", [key("carol")], terms=owner.terms))
    carol = RoleName("targets/carol")
    assert [(d.role, d.delegator, d.kind, d.paths_before, d.paths_after) for d in added.delegations] == [
        (carol, TARGETS, "added", (), ("*",))
    ]
    assert [(k.role, k.added, k.removed, k.threshold_before, k.threshold_after) for k in added.keys] == [
        (RELEASES, (keyid("carol"),), (), 1, 1),
        (carol, (keyid("carol"),), (), None, 1),
    ]
    removed = of(owner, editor.remove_signer(owner.server.gun, owner.read(), "alice", terms=owner.terms))
    assert [(d.role, d.kind, d.paths_after) for d in removed.delegations] == [(ALICE, "removed", ())]
    assert [(r.role, r.version_after - (r.version_before or 0)) for r in removed.roles] == [(TARGETS, 1), (RELEASES, 1)]
    assert {k.role: (k.added, k.removed, k.threshold_after) for k in removed.keys} == {
        RELEASES: ((), (keyid("alice"),), 1),
        ALICE: ((), (keyid("alice"),), None),
    }


def test_the_first_signer_moves_the_tags() -> None:
    owner = Owner(RepositorySimulator())
    owner.initialise()
    owner.sign("1.0", GOOD)
    found = of(owner, editor.add_signer(owner.read(), "alice", [key("alice")], terms=owner.terms))
    tags = owner.read()[TARGETS].targets.targets
    assert {(c.role, c.tag, c.kind) for c in found.tags} == {
        *((TARGETS, tag, "removed") for tag in tags),
        *((RELEASES, tag, "added") for tag in tags),
    }
    assert {d.role: d.terminating_after for d in found.delegations} == {RELEASES: True, ALICE: False}


def test_keys_and_thresholds() -> None:
    owner = good_collection().owner
    found = of(
        owner, editor.replace_root_keys(owner.read(), remove=[keyid("root")], add=[key("carol")], terms=owner.terms)
    )
    assert found.keys == (
        KeysChange(
            role=ROOT,
            delegator=ROOT,
            added=(keyid("carol"),),
            removed=(keyid("root"),),
            kept=(keyid("recovery"),),
            threshold_before=1,
            threshold_after=1,
        ),
    )
    contents = editor.renew(owner.read(), [ROOT], terms=owner.terms)
    assert of(owner, contents).keys == ()
    contents[ROOT].roles[ROOT].threshold = 2  # type: ignore[union-attr]
    (change,) = of(owner, contents).keys
    assert (change.added, change.removed, change.threshold_before, change.threshold_after) == ((), (), 1, 2)


def test_paths_of_a_delegation() -> None:
    owner = good_collection().owner
    (content,) = editor.renew(owner.read(), [TARGETS], terms=owner.terms).values()
    assert isinstance(content, Targets)
    assert content.delegations is not None
    assert content.delegations.roles is not None
    copied = Delegations.from_dict(content.delegations.to_dict())
    assert copied.roles is not None
    copied.roles[ALICE].paths = ["1.*"]
    content.delegations = copied
    found = of(owner, {TARGETS: content})
    assert [(d.role, d.kind, d.paths_before, d.paths_after) for d in found.delegations] == [
        (ALICE, "changed", ("*",), ("1.*",))
    ]
    assert found.keys == ()


def test_signing_is_seen_in_every_role() -> None:
    owner = good_collection().owner
    edit = TagEdit(tag=parse_tag("9.0"), digest=GOOD, length=3)
    found = of(owner, owner.signing(owner.read(), edit))
    assert {(c.role, c.tag, c.kind, c.after) for c in found.tags} == {
        (role, "9.0", "added", GOOD) for role in (ALICE, RoleName("targets/bob"), RELEASES)
    }
