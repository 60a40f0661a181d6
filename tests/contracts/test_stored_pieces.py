"""What every MetadataStore promises of pieces of files: these bytes of this file, or none."""

from __future__ import annotations

import random
from dataclasses import replace
from hashlib import sha256

from tests.support.store_values import APP, OTHER, file, publication, tombstone
from trustdata.gun import GUN
from trustdata.roles import ROOT, TARGETS, TIMESTAMP, RoleName
from trustserver.storage.ports import MetadataStore


def test_a_file_is_read_in_pieces_by_its_hash(store: MetadataStore) -> None:
    raw = random.Random(1).randbytes(300_000)
    large = replace(file(TARGETS, 1), raw=raw, sha256=sha256(raw).hexdigest())
    store.publish(publication(1, files=(file(ROOT, 1), large, file(TIMESTAMP, 1))))

    def piece(
        start: int, length: int, *, gun: GUN = APP, role: RoleName = TARGETS, of: str = large.sha256
    ) -> bytes | None:
        return store.piece(gun, role, of, start=start, length=length)

    assert piece(0, 300_000) == raw
    for start in (0, 1, 4_095, 4_096, 100_000, 299_999):
        for length in (1, 4_096, 65_536):
            assert piece(start, length) == raw[start : start + length]
    assert piece(300_000, 10) == piece(400_000, 10) == b""
    assert piece(0, 10, of="ab" * 32) is None
    assert piece(0, 10, role=ROOT) is None
    assert piece(0, 10, gun=OTHER) is None


def test_of_a_file_that_was_dropped_there_are_no_pieces_and_none_of_what_took_its_place(store: MetadataStore) -> None:
    """A database gives the number of a row that is gone to the next."""
    first = file(TARGETS, 1, content="x" * 5_000)
    store.publish(publication(1, files=(file(ROOT, 1), file(TIMESTAMP, 1), first)))
    assert store.piece(APP, TARGETS, first.sha256, start=0, length=5) == first.raw[:5]
    store.delete(APP, base=1, tombstone=tombstone(), frees_name=True)
    assert store.piece(APP, TARGETS, first.sha256, start=0, length=5) is None
    second = file(TARGETS, 1, content="y" * 5_000)
    store.publish(publication(1, base=2, files=(file(ROOT, 1), file(TIMESTAMP, 1), second)))
    assert store.piece(APP, TARGETS, first.sha256, start=0, length=5) is None
    assert store.piece(APP, TARGETS, second.sha256, start=10, length=5) == second.raw[10:15]


def test_a_version_that_retention_drops_has_no_pieces_any_more(store: MetadataStore) -> None:
    versions = [file(TARGETS, version, content="x" * 5_000) for version in (1, 2)]
    for version, large in enumerate(versions, start=1):
        store.publish(publication(version, files=(file(ROOT, version), file(TIMESTAMP, version), large)))
    assert all(store.piece(APP, TARGETS, each.sha256, start=0, length=5) for each in versions)
    store.drop_versions(APP, [(TARGETS, 1)])
    assert store.piece(APP, TARGETS, versions[0].sha256, start=0, length=5) is None
    assert store.piece(APP, TARGETS, versions[1].sha256, start=0, length=5) == versions[1].raw[:5]
