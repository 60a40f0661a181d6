"""What `trust-server check` says of Notary v1's collections, and how they go on after a restore."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace
from datetime import timedelta

import pytest

from tests.simulator.memory_store import MemoryStore
from tests.support.notary_owner import NotaryOwner, bare_signer
from tests.support.notary_site import GUN_N, NotarySite
from trustdata.gun import GUN
from trustdata.roles import ROOT, SNAPSHOT, TARGETS, TIMESTAMP, RoleName
from trustserver.admin.audit import Audit, AuditFinding
from trustserver.admin.restore import Restore
from trustserver.repository.commit import Committer
from trustserver.repository.online_roles import OnlineRoles
from trustserver.repository.parsed_cache import ParsedCache
from trustserver.responses.response_cache import ResponseCache
from trustserver.storage.ports import StoredCollection, StoredFile

GUN_OF = GUN(GUN_N)


def found(site: NotarySite, store: MemoryStore | None = None) -> list[AuditFinding]:
    searched = store or site.store
    return list(Audit(searched, site.sealer, site.at).collection(searched.load(GUN_OF)))


def with_alice(site: NotarySite) -> NotaryOwner:
    owner = site.begin_notary()
    alice = owner.add_delegation("targets/alice")
    below = owner.add_delegation("targets/alice/deep")
    files = {TARGETS: owner.targets(), alice: owner.targets(alice), below: owner.targets(below)}
    assert site.upload(files).status_code == 200
    return owner


def test_a_collection_with_nested_delegations_and_a_rotated_root_is_sound() -> None:
    site = NotarySite()
    owner = with_alice(site)
    old = owner.root_keys[0]
    owner.root_keys = [owner.root_signer()]
    assert site.upload({ROOT: owner.root(signers=[old, owner.root_keys[0]])}).status_code == 200
    assert found(site) == []


def test_a_collection_whose_owner_holds_the_snapshot_is_sound() -> None:
    site = NotarySite()
    site.begin_notary(holds_snapshot=True)
    assert found(site) == []


def test_a_collection_that_began_with_a_later_root_is_sound() -> None:
    site = NotarySite()
    owner = NotaryOwner(GUN_N)
    site.learn_notary_keys(owner)
    owner.versions[ROOT] = 4
    assert site.upload(owner.first_upload()).status_code == 200
    assert site.upload({ROOT: owner.root()}).status_code == 200
    assert found(site) == []


def test_a_role_that_its_owner_broke_is_told_and_no_fault_of_the_database() -> None:
    site = NotarySite()
    owner = with_alice(site)
    alice = next(role for role in owner.delegated if role == "targets/alice")
    owner.keys[alice] = bare_signer()
    owner.delegated[alice] = [owner.keys[alice].public_key]
    assert site.upload({TARGETS: owner.targets()}).status_code == 200
    assert [(finding.code, finding.wrong) for finding in found(site)][:1] == [("does-not-verify", False)]


class _Damaged(MemoryStore):
    """Gives another collection than was stored."""

    def __init__(self, inner: MemoryStore, damaged: StoredCollection) -> None:
        super().__init__()
        self._inner, self._damaged = inner, damaged

    def load(self, gun: GUN, *, only: Collection[RoleName] | None = None) -> StoredCollection:
        return self._damaged if gun == self._damaged.gun else self._inner.load(gun, only=only)

    def file(self, gun: GUN, role: object, version: int, *, wire: str = "") -> StoredFile | None:
        return self._inner.file(gun, role, version, wire=wire)  # type: ignore[arg-type]


def test_a_changed_file_and_a_lost_key_are_wrong() -> None:
    site = NotarySite()
    with_alice(site)
    assert isinstance(site.store, MemoryStore)
    state = site.store.load(GUN_OF)
    targets = state.files[TARGETS]
    changed = replace(targets, raw=targets.raw.replace(b'"1.0"', b'"2.0"'))
    one = replace(state, files={**state.files, TARGETS: changed})
    assert [f.code for f in found(site, _Damaged(site.store, one)) if f.wrong] == ["does-not-verify"]
    keyless = replace(state, keys=tuple(key for key in state.keys if key.role != TIMESTAMP))
    assert [f.code for f in found(site, _Damaged(site.store, keyless)) if f.wrong] == ["online-key"]


def accept(site: NotarySite) -> None:
    online, parsed = OnlineRoles(site.store, site.sealer, site.app.guard), ParsedCache(site.store)
    committer = Committer(site.store, parsed, ResponseCache(limit=0))
    restoring = Restore(store=site.store, online=online, parsed=parsed, committer=committer, at=site.at)
    (accepted,) = restoring.accept({GUN_OF: {TIMESTAMP: 7}})
    assert not accepted.failed


def test_after_a_restore_both_online_roles_jump() -> None:
    site = NotarySite()
    site.begin_notary()
    accept(site)
    assert (site.versions()["timestamp"], site.versions()["snapshot"]) == (1007, 1001)
    assert found(site) == []


def test_after_a_restore_a_snapshot_that_its_owner_holds_stays() -> None:
    site = NotarySite()
    owner = site.begin_notary(holds_snapshot=True)
    accept(site)
    assert (site.versions()["timestamp"], site.versions()["snapshot"]) == (1007, 1)
    assert site.store.load(GUN_OF).files[SNAPSHOT].raw == owner.written[SNAPSHOT].raw
    assert found(site) == []


@pytest.mark.parametrize("holds_snapshot", [False, True])
def test_what_was_signed_while_the_clock_was_ahead_is_wrong(holds_snapshot: bool) -> None:  # noqa: FBT001
    site = NotarySite()
    site.begin_notary(holds_snapshot=holds_snapshot)
    site.at -= timedelta(days=365)
    findings = {finding.message.split()[0]: finding for finding in found(site)}
    assert {role: (finding.code, finding.wrong) for role, finding in findings.items()} == {
        "timestamp": ("lives-too-long", True),
        "snapshot": ("lives-too-long", True),
    }
    assert ("its owner signs another" in findings["snapshot"].remedy) is holds_snapshot
    assert "the server signs it again" in findings["timestamp"].remedy


def test_what_expired_is_told() -> None:
    site = NotarySite()
    site.begin_notary()
    site.at += timedelta(days=365 * 4)
    assert {finding.code for finding in found(site)} == {"expired"}
    assert not any(finding.wrong for finding in found(site))
