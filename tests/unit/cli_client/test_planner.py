"""Plans over the simulated server: who must sign, where the keys are, and how old and new clients fare."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import timedelta

import pytest

from keys.errors import KeyNotFound
from tests.simulator.keyring import key, keyid
from tests.simulator.owner import Owner
from tests.simulator.repository import APP
from tests.simulator.scene import GOOD, NEWER, good_collection
from tests.simulator.siblings import siblings
from trustcli.errors import TagChanged
from trustcli.publish import plan_view
from trustcli.publish.plan import Current, KeyPlace, Plan
from trustcli.publish.planner import Planner
from trustcli.publish.preparation import Roles
from trustdata.editing import repository_editor as editor
from trustdata.editing.owner_roles import OwnerRoles
from trustdata.editing.promises import Promises
from trustdata.editing.repository_editor import Contents, TagEdit
from trustdata.envelope import Envelope
from trustdata.errors import (
    MetadataExpired,
    PublishRefused,
    WouldBreakRole,
)
from trustdata.gun import parse_tag
from trustdata.model import Key, MetaFile, Signer
from trustdata.roles import RELEASES, ROOT, SNAPSHOT, TARGETS, TIMESTAMP, RoleName
from trustdata.wire.tuf import TUF

EVERY_NAME = ("root", "recovery", "targets", "alice", "bob", "carol")


class PromisingRing:
    """`HeldKeys` that promise; `names` are here."""

    def __init__(self, promises: Promises, *names: str) -> None:
        self._promises = promises
        self._keys: dict[str, Key] = {keyid(name): key(name) for name in names}

    def held(self, keys: Mapping[str, Key]) -> frozenset[str]:
        return frozenset(keys) & frozenset(self._keys)

    def opened(self, keys: Mapping[str, Key]) -> frozenset[str]:
        del keys
        return frozenset()

    def signer(self, key: Key) -> Signer:
        return self._promises.signer(key)

    def place(self, key: Key) -> KeyPlace | None:
        return KeyPlace(keyid=key.keyid, place="store", name="here") if key.keyid in self._keys else None


class Desk:
    """An owner who plans. The files of the server are read as a plan reads them."""

    def __init__(self, owner: Owner, *names: str) -> None:
        self.owner = owner
        self.promises = Promises(b"a secret of the test")
        self.wire = self.promises.wire(TUF)
        self.keys = PromisingRing(self.promises, *(names or EVERY_NAME))

    def read(self) -> Current:
        files = self.owner.server.files
        roots = [files[TUF.filename(ROOT, version=n)] for n in range(1, self.owner.read()[ROOT].version + 1)]
        return Current(
            roles=OwnerRoles({r: self.wire.parse(r, envelope.raw) for r, envelope in self.owner.read().items()}),
            chain=[self.wire.parse(ROOT, raw) for raw in roots],
        )

    def recall(self, role: RoleName, meta: MetaFile) -> Envelope:
        return self.wire.parse(role, self.owner.server.files[TUF.filename(role, version=meta.version)])

    def plan(self, edit: Callable[[Roles], Contents], **more: object) -> Plan:
        planner = Planner(gun=self.owner.server.gun, wire=self.wire, promises=self.promises, at=self.owner.at)
        before = dict(self.owner.server.files), self.owner.server.revision
        planned = planner.plan(
            self.read,
            edit,
            keys=self.keys,
            locate=self.keys.place,
            recall=self.recall,
            **more,  # type: ignore[arg-type]
        )
        assert (dict(self.owner.server.files), self.owner.server.revision) == before
        return planned.plan


@pytest.fixture
def desk() -> Desk:
    return Desk(good_collection().owner)


def signing(owner: Owner, tag: str, digest: str) -> Callable[[Roles], Contents]:
    return lambda roles: owner.signing(roles, TagEdit(tag=parse_tag(tag), digest=digest, length=1))


def test_a_tag(desk: Desk) -> None:
    """Versions as the simulated server then has them; clients see the new digest."""
    plan = desk.plan(signing(desk.owner, "1.0", NEWER))
    assert plan.refusal is None
    (change,) = plan.released
    assert (change.tag, change.before, change.after) == ("1.0", GOOD, NEWER)
    assert (change.signers_before, change.signers_after) == (("alice",), ("alice", "bob"))
    desk.owner.publish(signing(desk.owner, "1.0", NEWER))
    now = {role: envelope.version for role, envelope in desk.owner.read().items()}
    assert {r.role: r.version_after for r in (*plan.difference.roles, *plan.issued)}.items() <= now.items()
    assert all(walk.versions == now for walk in plan.clients)
    assert [(walk.behind, walk.root_from, walk.tags) for walk in plan.clients] == [
        ("one", 2, 2),
        ("ten", 1, 2),
        ("all", 1, 2),
    ]


def test_a_root_that_gets_its_name() -> None:
    """The plan says so before it is signed; once it has the name, there is nothing to say."""
    old = siblings(TUF, named=False)
    for named in (APP, None):
        desk = Desk(Owner(old.app))
        plan = desk.plan(lambda roles, desk=desk: editor.renew(roles, [ROOT], terms=desk.owner.terms))  # type: ignore[misc]
        assert plan.refusal is None
        assert [change.named for change in plan.difference.roles] == [named]
        assert (f"+ names {APP} from now on" in "\n".join(plan_view.lines(plan))) == (named is not None)
        assert plan_view.row(plan)["roles"][0]["named"] == named  # type: ignore[index]
        desk.owner.renew(ROOT)


def test_who_has_the_keys_that_are_missing() -> None:
    """And the clients are walked as if their holders had signed."""
    desk = Desk(good_collection().owner, "alice")
    plan = desk.plan(lambda roles: editor.renew(roles, [ROOT, TARGETS, RELEASES], terms=desk.owner.terms))
    assert isinstance(plan.refusal, KeyNotFound)
    assert [(need.role, need.asked_by, need.met(plan.places)) for need in plan.needs] == [
        (ROOT, "root version 2", False),
        (ROOT, "root version 3", False),
        (TARGETS, "root", False),
        (RELEASES, "targets", True),
    ]
    assert plan.places[keyid("alice")].place == "store"
    assert plan.places[keyid("bob")].holders == ("bob",)
    assert plan.places[keyid("root")].holders == ("root",)
    assert plan.places[keyid("targets")].holders == ("repository",)
    assert all(walk.refusal is None and walk.root_to == 3 for walk in plan.clients)


def test_the_server_s_keys(desk: Desk) -> None:
    theirs = {SNAPSHOT: key("carol")}
    plan = desk.plan(lambda roles: editor.replace_online_keys(roles, theirs, terms=desk.owner.terms))
    (change,) = plan.difference.keys
    assert plan.places[change.removed[0]].place == "server"
    assert all(walk.root_to == 3 and walk.refusal is None for walk in plan.clients)


def test_ten_roots_behind(desk: Desk) -> None:
    for _ in range(11):
        desk.owner.renew(ROOT)
    plan = desk.plan(lambda roles: editor.renew(roles, [ROOT], terms=desk.owner.terms))
    assert [(walk.behind, walk.root_from, walk.root_to) for walk in plan.clients] == [
        ("one", 13, 14),
        ("ten", 4, 14),
        ("all", 1, 14),
    ]


def test_an_edit_that_refuses(desk: Desk) -> None:
    def edit(roles: Roles) -> Contents:
        raise TagChanged(gun=desk.owner.server.gun, tag="1.0", ours="this", theirs="that")

    plan = desk.plan(edit)
    assert isinstance(plan.refusal, TagChanged)
    assert (plan.difference.roles, plan.clients) == ((), ())


def test_nothing_to_do(desk: Desk) -> None:
    plan = desk.plan(lambda _: {})
    assert (plan.note, plan.refusal) == ("nothing has to change", None)


def test_what_the_rules_refuse(desk: Desk) -> None:
    """The rules of the upload, since it is prepared like one; what would change is shown all the same."""

    def edit(roles: Roles) -> Contents:
        return {TARGETS: editor.remove_signer(desk.owner.server.gun, roles, "bob", terms=desk.owner.terms)[TARGETS]}

    plan = desk.plan(edit)
    assert plan.refusal is None, "bob has signed nothing, and no release"
    plan = desk.plan(
        lambda roles: {
            TARGETS: editor.remove_signer(desk.owner.server.gun, roles, "alice", terms=desk.owner.terms)[TARGETS]
        }
    )
    assert isinstance(plan.refusal, WouldBreakRole)
    assert plan.difference.delegations
    assert plan.clients == ()


def test_a_name_that_was_used(desk: Desk) -> None:
    """Its last file is not delegated any more, but it is on the server, and held against the new key."""
    desk.owner.remove_signer("alice")
    plan = desk.plan(lambda roles: editor.add_signer(roles, "alice", [key("carol")], terms=desk.owner.terms))
    assert isinstance(plan.refusal, WouldBreakRole)
    same = desk.plan(lambda roles: editor.add_signer(roles, "alice", [key("alice")], terms=desk.owner.terms))
    assert same.refusal is None
    assert [(c.tag, c.signers_after) for c in same.released] == [("1.0", ("alice",))]


def a_year_later() -> Owner:
    """The server has done its duty, the owner has not."""
    server = good_collection().server
    server.later(timedelta(days=400))
    server.issue()
    return Owner(server)


def test_clients_that_are_stuck() -> None:
    """An expired targets role is not mended by a new root: the plan ends as the command would, at the last look."""
    late = a_year_later()
    desk = Desk(late)
    plan = desk.plan(lambda roles: editor.renew(roles, [ROOT], terms=late.terms))
    assert isinstance(plan.refusal, MetadataExpired)
    assert all(isinstance(walk.refusal, MetadataExpired) for walk in plan.clients)
    assert desk.plan(lambda roles: editor.renew(roles, [ROOT], terms=late.terms), seen_as="owner").refusal is None
    mended = desk.plan(lambda roles: editor.renew(roles, [TARGETS, RELEASES], terms=late.terms))
    assert [(walk.refusal, walk.tags) for walk in mended.clients] == [(None, 2)] * 3


def test_releases_that_cannot_be_used() -> None:
    late = a_year_later()
    desk = Desk(late)
    plan = desk.plan(lambda roles: editor.renew(roles, [TARGETS], terms=late.terms))
    assert [(walk.refusal, walk.tags) for walk in plan.clients] == [(None, None)] * 3


def test_what_is_looked_at_afterwards(desk: Desk) -> None:
    def still_there(roles: Roles) -> None:
        raise PublishRefused(role=TARGETS, reason=f"version {roles[TARGETS].version} it is")

    def stop(before: OwnerRoles, after: OwnerRoles) -> None:
        raise PublishRefused(role=ROOT, reason=f"{before[TARGETS].version} -> {after[TARGETS].version}")

    renewal = lambda roles: editor.renew(roles, [TARGETS], terms=desk.owner.terms)  # noqa: E731
    plan = desk.plan(renewal, afterwards=still_there)
    assert str(plan.refusal) == "targets: version 5 it is"
    assert plan.clients
    stopped = desk.plan(renewal, check=stop)
    assert str(stopped.refusal) == "root: 4 -> 5"
    assert stopped.clients == ()


def test_a_new_collection() -> None:
    owner = good_collection().owner
    desk = Desk(owner)
    contents = editor.new_collection(
        root_keys=[key("root")],
        threshold=1,
        targets_key=key("targets"),
        snapshot_key=key("alice"),
        timestamp_key=key("bob"),
        terms=owner.terms,
    )
    planner = Planner(gun=owner.server.gun, wire=desk.wire, promises=desk.promises, at=owner.at)
    planned = planner.plan(
        lambda: Current(roles=OwnerRoles()),
        lambda _: contents,
        keys=desk.keys,
        locate=desk.keys.place,
        recall=desk.recall,
    )
    (walk,) = planned.plan.clients
    assert (walk.behind, walk.root_from, walk.root_to, walk.tags) == ("all", 1, 1, 0)
    assert {role.role: role.version_after for role in planned.plan.issued} == {SNAPSHOT: 1, TIMESTAMP: 1}
    assert planned.after is not None
    edit = signing(owner, "1.0", GOOD)
    after = planned.after
    second = planner.plan(lambda: after, edit, keys=desk.keys, locate=desk.keys.place, recall=desk.recall).plan
    assert second.refusal is None
    assert [(change.tag, change.after) for change in second.released] == [("1.0", GOOD)]
