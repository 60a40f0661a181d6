"""What an upload was parsed to is freed when the upload is done: nothing of it waits for the garbage collector."""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterator

import pytest

from tests.support.collector import without_collector
from tests.support.notary_site import NotarySite
from trustdata.envelope import Envelope
from trustdata.roles import RELEASES, TARGETS, RoleName
from trustserver.repository.stored_envelope import StoredEnvelope

ALICE = RoleName("targets/alice")


@pytest.fixture
def uncollected() -> Iterator[None]:
    """No collection while the test runs, and nothing left to collect at its beginning."""
    with without_collector():
        yield


def parsed() -> int:
    """How many parsed files there are."""
    return sum(type(each) in {Envelope, StoredEnvelope} for each in gc.get_objects())


def grows(upload: Callable[[], object]) -> bool:
    """Whether each of some uploads leaves more behind than the one before."""
    counts = []
    for _ in range(6):
        upload()
        counts.append(parsed())
    return counts[-1] > counts[1]


def test_of_accepted_uploads(uncollected: None) -> None:
    site = NotarySite()
    owner = site.begin()
    owner.add_signer("alice")

    def publish() -> None:
        files = {TARGETS: owner.targets(), ALICE: owner.delegation(ALICE, {"1.0": "ab" * 32})}
        assert site.publish(files).status_code == 200

    site.later(minutes=1)
    assert not grows(publish)


def test_of_accepted_uploads_in_notary_v1(uncollected: None) -> None:
    site = NotarySite(resign_seconds=0)
    owner = site.begin_notary()
    role = owner.add_delegation(RELEASES)
    assert not grows(lambda: site.upload({TARGETS: owner.targets(), role: owner.targets(role)}))


@pytest.mark.parametrize("raw", [b"{}", b"[[[[", b"\xff"], ids=["no metadata", "no JSON", "no text"])
def test_of_refused_uploads(uncollected: None, raw: bytes) -> None:
    site = NotarySite()
    owner = site.begin()
    assert not grows(lambda: site.publish({TARGETS: raw}))
    first = owner.targets()
    assert site.publish({TARGETS: first}).status_code == 200
    assert not grows(lambda: site.publish({TARGETS: first}))  # not the next version
