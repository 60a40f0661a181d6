"""Who has sent many bytes of uploads that were refused waits before more of them are read; nobody else does."""

from __future__ import annotations

import asyncio

import pytest

from tests.support.notary_site import NotarySite
from tests.support.server_site import GUN_A, Site
from trustdata.errors import TooLarge, TrustError
from trustdata.roles import TARGETS
from trustserver.api import publish_requests, refused_uploads
from trustserver.api.refused_uploads import FREE, LONGEST_WAIT, NEVER_WAITS, RATE, RefusedUploads
from trustserver.errors import BadRequest, Overloaded, RevisionMoved

LARGE = 2 * NEVER_WAITS


class Clock:
    def __init__(self) -> None:
        self.at = 1000.0

    def __call__(self) -> float:
        return self.at


def refuse(uploads: RefusedUploads, owner: str, size: int, error: Exception | None = None) -> float:
    """One upload that fails; the seconds that it had to wait."""
    waited = uploads.wait(owner, size)

    def attempt() -> None:
        with uploads.count(owner, size, is_fault=lambda error: isinstance(error, BadRequest)) as upload:
            upload.arrived = size
            raise expected

    expected = error or BadRequest(place="body", reason="is refused")
    with pytest.raises(type(expected)) as raised:
        attempt()
    assert raised.value is expected
    return waited


def refused_without_waiting(uploads: RefusedUploads, *, arrived: int) -> None:
    """An upload of `a` that began before anything was refused."""

    def attempt() -> None:
        with uploads.count("a", FREE, is_fault=lambda _: True) as upload:
            upload.arrived = arrived
            raise BadRequest(place="body", reason="is refused")

    with pytest.raises(BadRequest):
        attempt()


def wait_of(uploads: RefusedUploads, owner: str, size: int = LARGE) -> float:
    wait = uploads.wait(owner, size)
    with uploads.count(owner, size, is_fault=lambda _: True):
        return wait


def test_what_is_stored_or_is_no_fault_of_the_sender_slows_nobody_down() -> None:
    uploads = RefusedUploads(Clock())
    for _ in range(9):
        assert wait_of(uploads, "a", FREE) == 0
        assert refuse(uploads, "a", FREE, Overloaded(what="uploads")) == 0
    assert wait_of(uploads, "a", FREE) == 0


def test_after_many_refused_bytes_the_sender_waits_as_long_as_they_take_at_the_rate() -> None:
    uploads = RefusedUploads(clock := Clock())
    assert refuse(uploads, "a", FREE) == 0
    assert refuse(uploads, "a", 2 * RATE) == 0  # the limit is reached, and not passed
    assert wait_of(uploads, "a") == 2
    assert wait_of(uploads, "b") == 0
    clock.at += 1.5
    assert wait_of(uploads, "a") == 0.5
    clock.at += 1.5
    assert wait_of(uploads, "a") == 0


def test_a_small_upload_never_waits() -> None:
    uploads = RefusedUploads(Clock())
    refuse(uploads, "a", 9 * FREE)
    assert wait_of(uploads, "a", NEVER_WAITS) == 0
    assert wait_of(uploads, "a", NEVER_WAITS + 1) == LONGEST_WAIT


def test_no_more_is_remembered_than_the_longest_wait() -> None:
    uploads = RefusedUploads(clock := Clock())
    for _ in range(9):
        refused_without_waiting(uploads, arrived=9 * FREE)
    assert wait_of(uploads, "a") == LONGEST_WAIT
    clock.at += LONGEST_WAIT
    assert wait_of(uploads, "a") == 0


def test_what_is_announced_and_does_not_come_slows_nobody_down() -> None:
    uploads = RefusedUploads(Clock())
    for _ in range(100):
        refused_without_waiting(uploads, arrived=0)
    assert wait_of(uploads, "a") == 0
    with uploads.count("a", FREE, is_fault=lambda _: True), uploads.count("a", FREE, is_fault=lambda _: True):
        refuse(uploads, "a", FREE + RATE)
        assert wait_of(uploads, "a") == 1, "they did not have to wait, so nobody waits for them"


def test_uploads_at_one_time_wait_for_each_other_and_too_many_are_turned_away() -> None:
    uploads = RefusedUploads(Clock())
    refuse(uploads, "a", FREE + RATE)
    each = int(RATE * LONGEST_WAIT) - RATE + 1
    assert uploads.wait("a", each) == 1
    with uploads.count("a", each, is_fault=lambda _: True):
        with pytest.raises(Overloaded, match="too many refused uploads of yours; try again in 11 seconds"):
            uploads.wait("a", LARGE)
        assert wait_of(uploads, "b") == 0
    assert wait_of(uploads, "a") == 1


def test_the_sender_who_has_sent_least_recently_is_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(refused_uploads, "_REMEMBERED", 2)
    uploads = RefusedUploads(Clock())
    for owner in ("b", "c", "a"):
        refuse(uploads, owner, FREE + RATE)
    assert (wait_of(uploads, "c"), wait_of(uploads, "a")) == (1, 1)
    assert wait_of(uploads, "b") == 0


@pytest.mark.parametrize(
    ("error", "counts"),
    [
        (TooLarge(what="upload", limit=1), True),
        (BadRequest(place="body", reason="ends early"), True),
        (RevisionMoved(gun=GUN_A, base=1), False),
        (Overloaded(what="uploads"), False),
        (ZeroDivisionError(), False),
    ],
)
def test_which_refusals_count(error: TrustError, *, counts: bool) -> None:
    assert publish_requests._is_fault(error) is counts


@pytest.mark.parametrize("site", [Site, NotarySite])
def test_the_server_waits_before_it_reads_more(site: type[Site], monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in (("FREE", 1000), ("RATE", 1000), ("NEVER_WAITS", 500)):
        monkeypatch.setattr(refused_uploads, name, value)
    waits: list[float] = []

    async def sleep(seconds: float) -> None:
        waits.append(seconds)

    made = site()
    made.begin()
    bad = {"files": [("files", (TARGETS, b"[" * 3000))]}
    path = f"/api/v1/collections/{GUN_A}/publish"
    if isinstance(made, NotarySite):
        path = f"/v2/{GUN_A}/_trust/tuf/"
    assert made.request("POST", path, **bad).status_code in (400, 422)
    monkeypatch.setattr(asyncio, "sleep", sleep)
    assert made.request("POST", path, **bad).status_code in (400, 422)
    assert [2 < wait < 3 for wait in waits] == [True]
    made.later(seconds=60)
    waits.clear()
    assert made.request("POST", path, **bad).status_code in (400, 422)
    assert waits == []
