"""The witness: what was published, in lines; damaged ones passed over, never ahead, of one database only."""

from __future__ import annotations

import os
import resource
import signal
from pathlib import Path

import pytest

from tests.support.server_site import GUN_A, Site
from trustdata.gun import GUN
from trustdata.roles import ROOT, SNAPSHOT, TARGETS, TIMESTAMP
from trustserver.errors import DatabaseOlder
from trustserver.settings import Settings
from trustserver.storage.opening import open_published_log, open_sealer, open_store
from trustserver.storage.ports import MetadataStore, Status, Summary
from trustserver.storage.published_log import (
    LogEntry,
    OutdatedCollection,
    PublishedLogFile,
    find_outdated,
    merge_stored,
)
from trustserver.storage.sealed_keys import SealedKeys

A, B = GUN("example.com/a"), GUN("example.com/b")


def witness(path: Path, mark: str = "m") -> PublishedLogFile:
    return PublishedLogFile(path, mark=mark)


def summary(gun: GUN, revision: int, status: Status = Status.LIVE) -> Summary:
    return Summary(gun=gun, format="tuf-1.0", status=status, revision=revision)


def test_the_highest_of_everything_is_remembered_in_any_order(tmp_path: Path) -> None:
    file = witness(tmp_path / "w")
    file.rewrite({})
    file.record(A, LogEntry(revision=3, versions={TARGETS: 2, SNAPSHOT: 3}))
    file.record(A, LogEntry(revision=2, versions={TARGETS: 1, ROOT: 5}))
    file.record(B, LogEntry(revision=1, versions={ROOT: 1}))
    expected = {
        A: LogEntry(revision=3, versions={TARGETS: 2, SNAPSHOT: 3, ROOT: 5}),
        B: LogEntry(revision=1, versions={ROOT: 1}),
    }
    assert file.load() == expected
    file.rewrite(expected)
    assert len((tmp_path / "w").read_bytes().splitlines()) == 3
    assert file.load() == expected
    file.close()
    file.record(A, LogEntry(revision=9))
    assert witness(tmp_path / "w").load() == expected, "closed: nothing more is written"


def test_a_file_that_has_grown_long_is_written_anew_and_loses_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("trustserver.storage.published_log._REWRITE_AFTER", 1000)
    file = witness(tmp_path / "w")
    file.rewrite({})
    for revision in range(1, 11):
        file.record(A, LogEntry(revision=revision, versions={TARGETS: revision}))
    file.compact()
    assert len((tmp_path / "w").read_bytes().splitlines()) == 11, "not long yet"
    for revision in range(11, 31):
        file.record(A, LogEntry(revision=revision, versions={TARGETS: revision}))
    file.compact()
    assert len((tmp_path / "w").read_bytes().splitlines()) == 2
    file.record(B, LogEntry(revision=1))
    assert file.load() == {A: LogEntry(revision=30, versions={TARGETS: 30}), B: LogEntry(revision=1)}
    file.close()


def test_what_was_cut_off_does_not_spoil_the_next_line(tmp_path: Path) -> None:
    file = witness(tmp_path / "w")
    file.rewrite({})
    size = (tmp_path / "w").stat().st_size
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    ignored = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    try:
        resource.setrlimit(resource.RLIMIT_FSIZE, (size + 20, before[1]))
        file.record(A, LogEntry(revision=1))
        file.record(A, LogEntry(revision=2))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, ignored)
    assert (tmp_path / "w").stat().st_size == size + 20
    file.record(A, LogEntry(revision=3))
    assert file.load() == {A: LogEntry(revision=3)}
    file.close()


def test_a_deletion_ends_what_was_and_a_new_beginning_starts_from_nothing(tmp_path: Path) -> None:
    file = witness(tmp_path / "w")
    file.rewrite({A: LogEntry(revision=8, versions={TARGETS: 7})})
    file.record(A, LogEntry(revision=9, deleted=True))
    assert file.load() == {A: LogEntry(revision=9, deleted=True)}
    file.record(A, LogEntry(revision=11, versions={TARGETS: 1}))
    assert file.load() == {A: LogEntry(revision=11, versions={TARGETS: 1})}
    file.close()


@pytest.mark.parametrize(
    "line",
    [
        b"",
        b"{",
        b'{"gun":"example.com/a","revision":9',
        b"[]",
        b'{"gun":1,"revision":9}',
        b'{"gun":"x","revision":true}',
        b'{"gun":"x","revision":1,"versions":[]}',
        b'{"gun":"x","revision":1,"versions":{"a":"b"}}',
        b"\xff",
    ],
)
def test_lines_that_cannot_be_read_are_passed_over(tmp_path: Path, line: bytes) -> None:
    file = witness(tmp_path / "w")
    file.rewrite({A: LogEntry(revision=1)})
    with (tmp_path / "w").open("ab") as raw:
        raw.write(line + b"\n")
    file.record(B, LogEntry(revision=2))
    assert file.load() == {A: LogEntry(revision=1), B: LogEntry(revision=2)}
    file.close()


def test_of_another_database_or_without_a_head_it_says_nothing(tmp_path: Path) -> None:
    assert witness(tmp_path / "w").load() is None
    file = witness(tmp_path / "w", "other")
    file.rewrite({A: LogEntry(revision=1)})
    file.close()
    assert witness(tmp_path / "w").load() is None
    (tmp_path / "w").write_bytes(b"\x00\n")
    assert witness(tmp_path / "w").load() is None
    assert witness(tmp_path).load() is None


def test_what_is_older() -> None:
    known = {A: LogEntry(revision=3), B: LogEntry(revision=2, deleted=True)}
    assert find_outdated(known, [summary(A, 3), summary(B, 2, Status.DELETED)]) == []
    assert find_outdated(known, [summary(A, 4), summary(B, 3)]) == []
    assert find_outdated(known, [summary(A, 2)]) == [
        OutdatedCollection(gun=A, stored=2, logged=known[A]),
        OutdatedCollection(gun=B, stored=0, logged=known[B]),
    ]


def test_with_what_is_stored() -> None:
    known = {A: LogEntry(revision=3, versions={TARGETS: 2})}
    found = merge_stored(known, [summary(A, 4), summary(B, 2, Status.DELETED)])
    assert found == {A: LogEntry(revision=4, versions={TARGETS: 2}), B: LogEntry(revision=2, deleted=True)}


def opened(folder: Path) -> tuple[Settings, MetadataStore, SealedKeys]:
    settings = Settings(data=folder)
    store = open_store(settings)
    return settings, store, open_sealer(settings, store)


def test_every_publish_renewal_and_deletion_leaves_a_line(tmp_path: Path) -> None:
    settings, store, sealer = opened(tmp_path / "data")
    file = open_published_log(settings, store, sealer)
    site = Site(store, sealer=sealer, witness=file)
    owner = site.begin()
    site.publish({TARGETS: owner.targets()}).raise_for_status()
    assert (file.load() or {})[GUN_A] == LogEntry(revision=2, versions={ROOT: 1, TARGETS: 2, SNAPSHOT: 2, TIMESTAMP: 2})
    site.later(hours=40)
    site.file("timestamp.json")
    assert (file.load() or {})[GUN_A] == LogEntry(revision=3, versions={ROOT: 1, TARGETS: 2, SNAPSHOT: 2, TIMESTAMP: 3})
    site.request("DELETE", f"/api/v1/collections/{GUN_A}")
    assert (file.load() or {})[GUN_A] == LogEntry(revision=4, deleted=True)
    file.close()
    open_published_log(settings, store, sealer).close()  # the same database: nothing to say
    store.close()


def test_a_start_on_an_older_database_is_refused_and_changes_nothing(tmp_path: Path) -> None:
    settings, store, sealer = opened(tmp_path / "data")
    witness(settings.witness_file, sealer.mark).rewrite({A: LogEntry(revision=1)})
    before = settings.witness_file.read_bytes()
    with pytest.raises(DatabaseOlder, match=r"\(1 collection, such as example\.com/a\): restored from a backup\?"):
        open_published_log(settings, store, sealer)
    assert settings.witness_file.read_bytes() == before
    store.close()


def test_a_witness_of_another_database_begins_anew_with_a_warning(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    settings, store, sealer = opened(tmp_path / "data")
    witness(settings.witness_file, "another").rewrite({A: LogEntry(revision=1)})
    file = open_published_log(settings, store, sealer)
    assert "another database" in caplog.text
    assert file.load() == {}
    file.close()
    store.close()


def test_without_room_for_it_the_server_works_on(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    settings, store, sealer = opened(tmp_path / "data")
    os.mkdir(settings.witness_file)  # noqa: PTH102 - a folder cannot be replaced by a file
    file = open_published_log(settings, store, sealer)
    assert "no witness of what is published is kept" in caplog.text
    Site(store, sealer=sealer, witness=file).begin()
    store.close()
