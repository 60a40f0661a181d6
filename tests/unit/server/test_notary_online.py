"""What the server makes of a Notary v1 upload: snapshot and timestamp, renewal, the owner's own snapshot."""

from __future__ import annotations

from datetime import timedelta
from hashlib import sha256

from tests.support.notary_owner import NotaryOwner, bare_signer, content_of
from tests.support.notary_site import EMPTY, GUN_N, NotarySite, form, refusal, refused_update
from trustdata.roles import ROOT, SNAPSHOT, TARGETS, TIMESTAMP, RoleName
from trustdata.verification import checks
from trustdata.wire.notary import NOTARY

HIERARCHY = "no snapshot was included in update and server does not hold current snapshot key for repository"


def started() -> tuple[NotarySite, NotaryOwner]:
    site = NotarySite()
    return site, site.begin_notary()


def unstarted(*, holds_snapshot: bool = False) -> tuple[NotarySite, NotaryOwner]:
    site = NotarySite()
    owner = NotaryOwner(GUN_N, holds_snapshot=holds_snapshot)
    site.learn_notary_keys(owner)
    return site, owner


# --- what the server makes of it


def test_a_server_made_snapshot_is_the_previous_one_plus_the_uploaded_roles() -> None:
    site, owner = started()
    alice = owner.add_delegation("targets/alice")
    before = content_of(site.tuf("snapshot.json").content)
    assert sorted(before["meta"]) == ["root", "targets"]
    site.upload({TARGETS: owner.targets(), alice: owner.targets(alice)})
    after = content_of(site.tuf("snapshot.json").content)
    assert after["version"] == before["version"] + 1
    assert sorted(after["meta"]) == ["root", "targets", "targets/alice"]
    assert after["meta"]["root"] == before["meta"]["root"]
    entry = after["meta"]["targets/alice"]
    assert sorted(entry) == ["hashes", "length"]
    assert sorted(entry["hashes"]) == ["sha256", "sha512"]
    assert entry["length"] == len(owner.written[alice].raw)


def test_the_whole_chain_verifies_as_a_client_verifies_it() -> None:
    site, owner = started()
    site.upload({TARGETS: owner.targets()})
    root = NOTARY.parse(ROOT, site.tuf("root.json").content)
    timestamp = NOTARY.parse(TIMESTAMP, site.tuf("timestamp.json").content)
    checks.check_signatures(root.root, ROOT, timestamp)
    snapshot = NOTARY.parse(SNAPSHOT, site.tuf("snapshot.json").content)
    checks.check_content(SNAPSHOT, snapshot.raw, timestamp.timestamp.snapshot_meta)
    checks.check_signatures(root.root, ROOT, snapshot)
    for role in (ROOT, TARGETS):
        meta = snapshot.snapshot.meta[f"{role}.json"]
        assert meta.hashes is not None
        checks.check_content(role, site.tuf(f"{role}.{meta.hashes['sha256']}.json").content, meta)


def test_online_roles_live_as_long_as_the_clients_expect() -> None:
    site, _ = started()
    for name, days in (("timestamp", 14), ("snapshot", 3 * 365)):
        expires = NOTARY.parse(RoleName(name), site.tuf(f"{name}.json").content).expires
        assert expires - site.at == timedelta(days=days)


def test_the_timestamp_is_renewed_at_half_of_its_life_when_it_is_read() -> None:
    site, _ = started()
    site.later(days=7, seconds=-1)
    assert content_of(site.tuf("timestamp.json").content)["version"] == 1
    site.later(seconds=1)
    assert content_of(site.tuf("timestamp.json").content)["version"] == 2
    assert site.versions() == {"root": 1, "targets": 2, "snapshot": 1, "timestamp": 2}


def test_a_server_that_has_just_started_renews_what_is_due_when_it_is_read() -> None:
    site, _ = started()
    again = NotarySite(site.store, sealer=site.sealer)
    again.at = site.at + timedelta(days=8)
    assert content_of(again.tuf("timestamp.json").content)["version"] == 2


def test_a_round_renews_both_and_the_snapshot_read_is_the_one_that_the_timestamp_names() -> None:
    site, _ = started()
    site.later(days=365 * 3 // 2 + 1)
    assert site.app.renewal.round(at=site.at).renewed == 1
    assert site.versions() == {"root": 1, "targets": 2, "snapshot": 2, "timestamp": 2}
    named = NOTARY.parse(TIMESTAMP, site.tuf("timestamp.json").content).timestamp.snapshot_meta
    assert (named.hashes or {})["sha256"] == sha256(site.tuf("snapshot.json").content).hexdigest()
    assert site.app.renewal.round(at=site.at).renewed == 0


# --- the snapshot that its owner holds


def test_a_first_upload_with_the_owners_snapshot_is_stored_verbatim() -> None:
    site, owner = unstarted(holds_snapshot=True)
    assert site.upload(owner.first_upload()).status_code == 200
    assert site.tuf("snapshot.json").content == owner.written[SNAPSHOT].raw
    named = NOTARY.parse(TIMESTAMP, site.tuf("timestamp.json").content).timestamp.snapshot_meta
    assert (named.hashes or {})["sha256"] == owner.written[SNAPSHOT].sha256


def test_an_upload_without_the_owners_snapshot_lacks_it() -> None:
    site = NotarySite()
    owner = site.begin_notary(holds_snapshot=True)
    for body in (form([("targets", owner.targets())]), EMPTY):
        answer = site.post(body)
        assert refused_update(answer) == ("ErrBadHierarchy", HIERARCHY)
        assert refusal(answer)["detail"]["Error"] == {"Missing": "snapshot", "Msg": HIERARCHY}
    assert site.upload({TARGETS: owner.targets(), SNAPSHOT: owner.snapshot()}).status_code == 200
    assert site.versions()["snapshot"] == 2


def test_a_snapshot_that_does_not_list_what_is_uploaded_is_bad_snapshot() -> None:
    site = NotarySite()
    owner = site.begin_notary(holds_snapshot=True)
    stale = owner.snapshot()
    assert refused_update(site.upload({TARGETS: owner.targets(), SNAPSHOT: stale}))[0] == "ErrBadSnapshot"


def test_a_snapshot_of_a_stranger_is_bad_snapshot() -> None:
    site = NotarySite()
    owner = site.begin_notary(holds_snapshot=True)
    owner.keys[SNAPSHOT] = bare_signer()
    files = {TARGETS: owner.targets(), SNAPSHOT: owner.snapshot()}
    assert refused_update(site.upload(files))[0] == "ErrBadSnapshot"


def test_renewal_issues_only_timestamps_over_a_snapshot_that_its_owner_holds() -> None:
    site = NotarySite()
    site.begin_notary(holds_snapshot=True)
    before = site.tuf("snapshot.json").content
    site.later(days=8)
    assert site.app.renewal.round(at=site.at).renewed == 1
    assert site.tuf("snapshot.json").content == before
    assert site.versions()["timestamp"] == 2


def test_an_expired_snapshot_that_its_owner_holds_is_served_as_it_is() -> None:
    site = NotarySite()
    site.begin_notary(holds_snapshot=True)
    before = site.tuf("snapshot.json").content
    site.later(days=365 * 4)
    answer = site.tuf("timestamp.json")
    assert answer.status_code == 200
    assert NOTARY.parse(TIMESTAMP, answer.content).expires > site.at
    assert site.tuf("snapshot.json").content == before
    assert not site.app.renewal.round(at=site.at).failed
    assert site.store.due(at=site.at, limit=9) == ()


# --- keys that are missing


def test_a_root_that_names_another_timestamp_key_is_bad_root() -> None:
    site, owner = unstarted()
    owner.online[TIMESTAMP] = bare_signer().public_key
    assert refused_update(site.upload(owner.first_upload())) == (
        "ErrBadRoot",
        "no timestamp keys exist on the server",
    )


def test_a_root_that_names_a_snapshot_key_that_nobody_here_has_lacks_its_snapshot() -> None:
    site, owner = unstarted()
    owner.online[SNAPSHOT] = bare_signer().public_key
    assert refused_update(site.upload(owner.first_upload())) == ("ErrBadHierarchy", HIERARCHY)
