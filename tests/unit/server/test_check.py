"""`trust-server check`: each thing that can be wrong is named with a remedy; what is in order is called sound."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path

import pytest

from tests.support.cli_runner import CliRunner
from tests.support.served_folder import ALICE, Ground
from tests.support.server_owner import NOW, Owner
from tests.support.server_site import GUN_A
from trustdata.gun import GUN
from trustdata.roles import ROOT, SNAPSHOT, TARGETS, TIMESTAMP, RoleName
from trustdata.verification.rollback_memory import observe, to_document
from trustdata.wire.tuf import TUF
from trustserver.__main__ import app
from trustserver.errors import DatabaseOlder, ServerRunning, StartRefused
from trustserver.storage.opening import exclusive_use, existing_store


@pytest.fixture
def ground(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Ground:
    return Ground(tmp_path / "data", monkeypatch)


def seen(ground: Ground, folder: Path, changes: Mapping[str, int] | None = None, *, gun: str = GUN_A) -> str:
    """The file of a client that has seen the collection as it is, or with other versions."""
    store = existing_store(ground.settings)
    first, newest = store.file(GUN_A, ROOT, 1), store.current(GUN_A, ROOT)
    store.close()
    assert first is not None
    assert newest is not None
    versions = {ROOT: 2, TIMESTAMP: 2, SNAPSHOT: 2, TARGETS: 2, ALICE: 1}
    versions |= {RoleName(role): version for role, version in (changes or {}).items()}
    root = TUF.parse(ROOT, newest.raw).root
    memory = observe(root_of_trust=first.sha256, root=root, versions=versions, refreshed=NOW)
    file = folder / "seen.json"
    file.write_text(json.dumps({"format": "content-trust-seen-1", "collections": {gun: to_document(memory)}}))
    return str(file)


def test_all_is_sound_also_with_removed_signers_and_tombstones(ground: Ground) -> None:
    with ground.site() as site:
        ground.owner.signers.clear()
        site.publish({TARGETS: ground.owner.targets()}).raise_for_status()
        site.begin("registry.example.com/gone")
        site.request("DELETE", "/api/v1/collections/registry.example.com/gone")
        site.learn_keys(Owner(), "registry.example.com/begun")
    assert ground.check() == (
        0,
        {"sound": True, "names": 2, "sealed_keys": 2, "skipped": 0, "findings": [], "accepted": []},
    )


@pytest.mark.parametrize(
    ("damage", "codes"),
    [
        ("UPDATE file SET raw = x'00' WHERE role = 'targets' AND version = 1", ["file-changed"]),
        ("UPDATE file SET raw = x'00' WHERE role = 'targets' AND version = 2", ["file-changed", "does-not-verify"]),
        ("UPDATE file SET raw = x'00' WHERE role = 'root' AND version = 1", ["file-changed", "does-not-verify"]),
        ("DELETE FROM file WHERE role = 'root' AND version = 1", ["does-not-verify"]),
        ("DELETE FROM file WHERE role = 'targets/alice'", ["orphaned-file", "does-not-verify"]),
        ("DELETE FROM current_file WHERE role = 'timestamp'", ["orphaned-file", "does-not-verify"]),
        ("UPDATE current_file SET role = 'targets/bob' WHERE role = 'targets/alice'", ["orphaned-file"] * 2),
        ("UPDATE file SET version = 9 WHERE role = 'snapshot' AND version = 1", ["orphaned-file"]),
        ("UPDATE file SET collection_id = 77 WHERE role = 'targets' AND version = 1", ["orphaned-file"]),
        ("UPDATE collection SET format = 'tuf-9'", ["does-not-verify"]),
        ("DELETE FROM online_key WHERE role = 'timestamp'", ["online-key"]),
        ("UPDATE online_key SET state = 'pending' WHERE role = 'snapshot'", ["online-key"]),
        ("UPDATE online_key SET sealed = x'0100' WHERE role = 'snapshot'", ["sealed-key"]),
        ("UPDATE online_key SET gun = 'example.com/b' WHERE role = 'timestamp'", ["online-key", "sealed-key"]),
        ("UPDATE collection SET status = 'deleted'", ["orphaned-file"] * 8 + ["tombstone"]),
        ("DELETE FROM event WHERE number = 1", ["event-missing"]),
        ("DELETE FROM event", ["event-missing"]),
        ("DELETE FROM event WHERE number = (SELECT max(number) FROM event)", ["event-missing"]),
        ("UPDATE event_head SET newest = newest + 1", ["event-missing"]),
        ("UPDATE collection SET events = events + 1", ["event-missing"]),
        ("UPDATE event SET kind = 'deleted' WHERE number = 1", ["event-changed"]),
        ("UPDATE event SET body = CAST(replace(body, ',', ', ') AS BLOB) WHERE number = 1", ["event-changed"]),
        ("UPDATE event SET body = x'00' WHERE number = 1", ["event-changed"]),
        ("UPDATE event_person SET subject = 'token:mallory' WHERE number = 1", ["event-people"]),
    ],
)
def test_what_is_damaged(ground: Ground, damage: str, codes: list[str]) -> None:
    ground.sql(damage)
    status, document = ground.check()
    assert status == 1
    found = document["findings"]
    assert sorted({finding["code"] for finding in found}) == sorted(set(codes)), found
    assert all(finding["remedy"] and finding["wrong"] for finding in found)


def test_people_read_what_is_wrong_and_what_to_do(ground: Ground) -> None:
    ground.sql("DELETE FROM online_key WHERE role = 'timestamp'")
    output = CliRunner().invoke(app, ["check", "--data", str(ground.settings.data)]).output
    assert f"{GUN_A}: root version 2 names another timestamp key than the server holds\n  next: restore " in output
    assert output.endswith("1 name, 1 sealed key: 1 wrong\n")


def test_expired_roles_are_told_and_no_fault_of_the_database(ground: Ground) -> None:
    ground.at(NOW + timedelta(days=400))
    status, document = ground.check()
    assert status == 0
    expired = {finding["message"].split()[0]: finding["remedy"] for finding in document["findings"]}
    assert expired.keys() == {TARGETS, ALICE, SNAPSHOT, TIMESTAMP}
    assert "server renews" in expired[SNAPSHOT]
    assert "owner" in expired[TARGETS]
    assert not any(finding["wrong"] for finding in document["findings"])


def test_what_was_signed_while_the_clock_was_ahead_is_wrong(ground: Ground) -> None:
    """For clients it is a year later than it is."""
    ground.at(NOW - timedelta(days=365))
    status, document = ground.check()
    assert status == 1
    found = document["findings"]
    assert [finding["code"] for finding in found] == ["lives-too-long"] * 2
    assert {finding["message"].split()[0] for finding in found} == {SNAPSHOT, TIMESTAMP}
    assert all("the server signs it again" in finding["remedy"] for finding in found)
    ground.at(NOW - timedelta(minutes=1))
    assert ground.check()[0] == 0, "two honest clocks differ"


# --- against clients


def test_a_client_that_has_seen_no_more_finds_nothing(ground: Ground, tmp_path: Path) -> None:
    assert ground.check("--against", seen(ground, tmp_path))[0] == 0


@pytest.mark.parametrize("role", [ROOT, TIMESTAMP, SNAPSHOT, TARGETS, ALICE, "targets/other"])
def test_a_client_that_has_seen_more_is_believed(ground: Ground, tmp_path: Path, role: str) -> None:
    status, document = ground.check("--against", seen(ground, tmp_path, {role: 7}))
    (finding,) = document["findings"]
    assert (status, finding["code"]) == (1, "older-than-remembered")
    assert f"{role} has version" in finding["message"]
    assert "has seen version 7" in finding["message"]
    assert "--accept-restore" in finding["remedy"]


def test_a_client_that_knows_a_name_that_is_not_here_or_another_root(ground: Ground, tmp_path: Path) -> None:
    file = seen(ground, tmp_path, gun="registry.example.com/lost")
    assert ground.codes("--against", file) == ["older-than-remembered"]
    text_of = Path(seen(ground, tmp_path)).read_text()
    root = json.loads(text_of)["collections"][GUN_A]["root_of_trust"]
    (tmp_path / "seen.json").write_text(text_of.replace(root, "0" * 64))
    assert ground.codes("--against", str(tmp_path / "seen.json")) == ["older-than-remembered"]


@pytest.mark.parametrize(("targets", "wrong"), [(2, 0), (3, 1)])
def test_a_lock_file_is_such_a_memory(ground: Ground, tmp_path: Path, targets: int, wrong: int) -> None:
    file = tmp_path / "trust.lock"
    file.write_text(
        'format = "content-trust-lock-1"\n'
        f'[collections."{GUN_A}"]\nformat = "tuf-1.0"\nroot-version = 2\nroot = "sha256:{"0" * 64}"\n'
        f'[collections."{GUN_A}".minimum]\ntimestamp = 2\nsnapshot = 2\ntargets = {targets}\n'
    )
    assert len(ground.codes("--against", str(file))) == wrong


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{}",
        b"\xff",
        b'{"format": "content-trust-seen-1"}',
        b'{"format": "content-trust-seen-2", "collections": {}}',
        b'{"format": "content-trust-seen-1", "collections": []}',
        b'{"format": "content-trust-seen-1", "collections": {"NO": {}}}',
        b'{"format": "content-trust-seen-1", "collections": {"example.com/a": {}}}',
        b'format = "content-trust-lock-1"\n[collections."example.com/a"]\nroot-version = 0\n',
        b"[" * 100_000,
    ],
)
def test_a_file_that_is_no_memory_is_refused_by_name(ground: Ground, tmp_path: Path, content: bytes) -> None:
    file = tmp_path / "seen.json"
    file.write_bytes(content)
    with pytest.raises(StartRefused, match=r"seen\.json"):
        ground.check("--against", str(file))
    with pytest.raises(StartRefused, match="cannot be read"):
        ground.check("--against", str(tmp_path / "absent"))


# --- after a restore


def test_an_older_database_is_noticed_refused_and_accepted(ground: Ground, tmp_path: Path) -> None:
    backup = ground.backup()
    with ground.site() as site:
        site.publish({TARGETS: ground.owner.targets()}).raise_for_status()
        site.begin("registry.example.com/new")
    client = seen(ground, tmp_path, {TIMESTAMP: 3, SNAPSHOT: 3, TARGETS: 3})
    assert ground.codes() == []
    ground.restore(backup)

    assert ground.codes() == ["older-than-published"] * 2
    (one, other) = ground.check()[1]["findings"]
    assert (one["gun"], other["gun"]) == ("registry.example.com/new", GUN_A)
    assert "revision 2, but revision 3 was published (" in other["message"]
    assert "targets 3" in other["message"]
    with pytest.raises(DatabaseOlder, match="2 collections"), ground.site():
        pass

    status, document = ground.check("--accept-restore", "--against", client)
    assert status == 1, "what the owner had published is still not here"
    (accepted,) = document["accepted"]
    assert accepted == {
        "gun": GUN_A,
        "versions": {"snapshot": 1003, "timestamp": 1003},
        "lost": {"targets": 3},
        "failed": "",
    }
    assert [finding["message"].split()[0] for finding in document["findings"]] == ["targets"]
    with ground.site() as site:
        assert site.file("timestamp.json").json()["signed"]["version"] == 1003
        site.publish({TARGETS: _again(ground.owner)}).raise_for_status()
    assert ground.check()[0] == 0


def _again(owner: Owner) -> bytes:
    """The version of targets that was lost, made anew."""
    owner.versions[TARGETS] -= 1
    return owner.targets()


def test_only_online_roles_lost_heals_without_owners_and_a_witness_is_not_needed(
    ground: Ground, tmp_path: Path
) -> None:
    backup = ground.backup()
    with ground.site() as site:
        site.later(hours=40)
        assert site.file("timestamp.json").json()["signed"]["version"] == 3
    client = seen(ground, tmp_path, {TIMESTAMP: 3})
    ground.restore(backup)
    ground.settings.witness_file.unlink()
    assert ground.check()[0] == 0, "of itself the database cannot know"
    assert ground.codes("--against", client) == ["older-than-remembered"]
    assert ground.check("--accept-restore", "--against", client)[0] == 0
    store = existing_store(ground.settings)
    assert store.events(None, after=0, limit=99)[-1].kind == "restored", "changes since the backup are not recorded"
    store.close()
    with ground.site() as site:
        assert site.file("timestamp.json").json()["signed"]["version"] == 1003


def test_a_memory_that_claims_what_nobody_can_have_published_uses_up_no_versions(
    ground: Ground, tmp_path: Path
) -> None:
    """Two publishes below 2**53 the collection could never be published, nor renewed, again."""
    client = seen(ground, tmp_path, {TIMESTAMP: 2**53 - 1002, SNAPSHOT: 3})
    status, document = ground.check("--accept-restore", "--against", client)
    assert status == 1
    assert "never published" in document["accepted"][0]["failed"]
    with ground.site() as site:
        assert site.file("timestamp.json").json()["signed"]["version"] < 1000
        site.publish({TARGETS: ground.owner.targets()}).raise_for_status()


def test_what_was_deleted_since_the_backup_is_named(ground: Ground) -> None:
    backup = ground.backup()
    with ground.site() as site:
        site.request("DELETE", f"/api/v1/collections/{GUN_A}")
    ground.restore(backup)
    assert "it was deleted" in ground.check()[1]["findings"][0]["message"]


def test_accepting_names_collections_that_cannot_go_on_and_does_the_others(ground: Ground) -> None:
    with ground.site() as site:
        site.begin("registry.example.com/second")
    ground.sql(f"DELETE FROM online_key WHERE gun = '{GUN_A}' AND role = 'snapshot'")
    status, document = ground.check("--accept-restore")
    assert status == 1
    failed = {each["gun"]: each["failed"] for each in document["accepted"]}
    assert "snapshot" in failed[GUN_A]
    assert failed["registry.example.com/second"] == ""


def test_nothing_is_accepted_beside_a_running_server(ground: Ground) -> None:
    with exclusive_use(ground.settings, at=NOW, listen="http://127.0.0.1:1"):
        with pytest.raises(ServerRunning):
            ground.check("--accept-restore")
        assert ground.check()[0] == 0, "looking is allowed"
    store = existing_store(ground.settings)
    current = store.current(GUN(GUN_A), TIMESTAMP)
    store.close()
    assert current is not None
    assert current.version == 2
