"""The webhook's handler: paths, sizes, faults, and what it counts."""

from __future__ import annotations

import gc
import logging
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import pytest

from tests.support.admission import answered, pod, review, sent
from trustcli.hooks.deciding.decision import Decision
from trustcli.hooks.kubernetes.measures import Measures
from trustcli.hooks.kubernetes.review import MAX_REVIEW
from trustcli.hooks.kubernetes.time_limit import LimitedTime
from trustcli.hooks.kubernetes.webhook import AdmissionWebhook
from trustcli.hooks.serving.messages import Body, Request, Response
from trustcli.hooks.serving.operator_pages import OperatorPages
from trustcli.registry.reference import ImageReference
from trustdata.errors import NotSigned, NotTrusted

LARGE = 300 * 1024


class Decider:
    """Allows everything but names with a word in them that says what happens."""

    def decide(self, reference: ImageReference, digest: str | None = None) -> Decision:
        if "broken" in reference.given:
            raise ZeroDivisionError("a secret")
        refusal = NotSigned(gun=reference.gun, tag="1") if "unsigned" in reference.given else None
        watched = NotTrusted() if "watched" in reference.given else None
        return Decision(
            image=reference.given,
            trust_name=reference.gun,
            allowed=refusal is None,
            digest=digest,
            mode="audit",
            rule="policy.toml",
            reason="",
            refusal=refusal or watched,
            stale="stale" in reference.given,
        )

    def signed_tags(self, gun: object) -> Any:
        raise AssertionError(gun)

    def named_digests(self, gun: object) -> Any:
        raise AssertionError(gun)


@pytest.fixture
def measures() -> Measures:
    return Measures()


@pytest.fixture
def webhook(measures: Measures) -> Iterator[AdmissionWebhook]:
    deciding = LimitedTime({"": Decider()})
    pages = OperatorPages(why_not_ready=lambda: "", metrics=measures.text)
    yield AdmissionWebhook(deciding, pages=pages, measures=measures)
    deciding.close()


def request(raw: bytes, target: str = "/validate?timeout=30s", *, method: str = "POST", known: bool = True) -> Request:
    """A request with this body; `known`: whether it says how long it is."""

    def source(*, bounded: bool) -> Iterator[bytes]:
        assert bounded
        yield raw

    return Request(method=method, target=target, headers=(), body=Body(source, length=len(raw) if known else None))


def said(response: Response) -> bytes:
    assert isinstance(response.body, bytes)
    return response.body


def test_paths_and_methods(webhook: AdmissionWebhook) -> None:
    good = sent(review(pod("app:1")))
    for path in ("/validate", "/mutate", "/validate?timeout=5s", "/mutate?x"):
        assert answered(said(webhook(request(good, path))))["allowed"] is True
    for path, method, status in (
        ("/", "POST", 404),
        ("/validate/", "POST", 404),
        ("/Validate", "POST", 404),
        ("/%76alidate", "POST", 404),
        ("/validate", "GET", 405),
        ("/readyz", "GET", 200),
        ("/healthz", "POST", 405),
    ):
        assert webhook(request(good, path, method=method)).status == status, (path, method)


def test_who_trickles_a_large_review_holds_up_nobody(webhook: AdmissionWebhook) -> None:
    thing = pod("app:1")
    thing["metadata"]["annotations"] = {"text": "x" * LARGE}
    raw = sent(review(thing))
    reading, go = threading.Semaphore(0), threading.Event()

    def source(*, bounded: bool) -> Iterator[bytes]:
        assert bounded
        yield raw[:LARGE]
        reading.release()
        assert go.wait(60)
        yield raw[LARGE:]

    def slow() -> None:
        answers.append(webhook(Request(method="POST", target="/validate", headers=(), body=Body(source, length=None))))

    answers: list[Response] = []
    threads = [threading.Thread(target=slow) for _ in range(20)]
    for thread in threads:
        thread.start()
    for _ in threads:
        assert reading.acquire(timeout=60)
    assert webhook(request(raw)).status == 200
    go.set()
    for thread in threads:
        thread.join()
    assert [answered(said(answer))["allowed"] for answer in answers] == [True] * len(threads)


@pytest.mark.parametrize("known", [True, False])
def test_large_reviews_are_read_a_few_at_a_time(webhook: AdmissionWebhook, known: bool) -> None:  # noqa: FBT001
    thing = pod("app:1")
    thing["metadata"]["annotations"] = {"text": "x" * LARGE}
    raw = sent(review(thing))
    reading, go = threading.Semaphore(0), threading.Event()

    def source(*, bounded: bool) -> Iterator[bytes]:
        assert bounded
        yield b" " * (MAX_REVIEW - len(raw))
        reading.release()
        assert go.wait(60)
        yield raw

    def slow() -> None:
        answers.append(webhook(Request(method="POST", target="/validate", headers=(), body=Body(source, length=None))))

    answers: list[Response] = []
    threads = [threading.Thread(target=slow) for _ in range(4)]
    for thread in threads:
        thread.start()
    for _ in threads:
        assert reading.acquire(timeout=60)
    larger = b" " * 2_000_000 + raw
    turned_away = webhook(request(larger, "/validate?timeout=1ms", known=known))
    assert (turned_away.status, turned_away.close) == (503, True)
    assert webhook(request(sent(review(pod("app:1"))))).status == 200
    assert webhook(replace(request(larger, known=known), client="198.51.100.7")).status == 200, "it has room of its own"
    go.set()
    for thread in threads:
        thread.join()
    assert [answered(said(answer))["allowed"] for answer in answers] == [True] * 4
    assert webhook(request(raw, known=known)).status == 200


def test_what_is_too_long_is_told_so(webhook: AdmissionWebhook) -> None:
    for known in (True, False):
        response = webhook(request(b" " * (8 * 1024 * 1024 + 1), known=known))
        assert (response.status, response.close) == (413, True)


def test_a_fault_of_the_program_is_a_refusal_without_its_text(
    webhook: AdmissionWebhook, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.ERROR):
        response = answered(said(webhook(request(sent(review(pod("broken:1")))))))
    assert response["allowed"] is False
    assert "this should not happen (ZeroDivisionError in " in response["status"]["message"]
    assert "secret" not in response["status"]["message"]
    assert "for a fault of this program" in caplog.text


def test_a_review_that_cannot_be_judged_is_refused_as_a_review(webhook: AdmissionWebhook) -> None:
    response = answered(said(webhook(request(sent(review({"apiVersion": "v1", "kind": "Node"}))))))
    assert response["allowed"] is False
    assert response["status"]["code"] == 400
    assert "take it out of the webhook's rules" in response["status"]["message"]


def test_no_refusal_says_timeout(webhook: AdmissionWebhook) -> None:
    """A controller that creates a Pod takes that reason for success."""
    waiting = threading.Event()

    class Waiting(Decider):
        def decide(self, reference: ImageReference, digest: str | None = None) -> Decision:
            waiting.wait(60)
            return super().decide(reference, digest)

    pages = OperatorPages(why_not_ready=lambda: "", metrics=lambda: b"")
    slow = AdmissionWebhook(LimitedTime({"": Waiting()}), pages=pages, measures=Measures())
    try:
        response = answered(said(slow(request(sent(review(pod("app:1"))), "/validate?timeout=1ms"))))
    finally:
        waiting.set()
    assert response["allowed"] is False
    assert (response["status"]["code"], response["status"]["reason"]) == (403, "Forbidden")
    assert "no verdict within" in response["status"]["message"]


def test_it_counts_and_logs(webhook: AdmissionWebhook, measures: Measures, caplog: pytest.LogCaptureFixture) -> None:
    measures.watch_certificate(lambda: 17.0)
    with caplog.at_level(logging.WARNING):
        webhook(request(sent(review(pod("app:1", "stale:1", "watched:1")))))
        webhook(request(sent(review(pod("unsigned:1"))), "/mutate"))
        webhook(request(b"{"))
    lines = set(measures.text().decode().splitlines())
    assert {
        'trust_admission_reviews_total{outcome="allowed",path="/validate"} 1.0',
        'trust_admission_reviews_total{outcome="refused",path="/mutate"} 1.0',
        'trust_admission_reviews_total{outcome="malformed",path="/validate"} 1.0',
        'trust_admission_images_total{outcome="allowed"} 2.0',
        'trust_admission_images_total{outcome="watched"} 1.0',
        'trust_admission_images_total{outcome="not-signed"} 1.0',
        "trust_admission_stale_images_total 1.0",
        "trust_admission_review_seconds_count 3.0",
        "trust_admission_certificate_expiry_timestamp_seconds 17.0",
    } <= lines
    assert [record.getMessage().partition(":")[0] for record in caplog.records] == ["would be refused", "refused"]
    assert "CREATE of Pod of v1 in team-a, container unsigned:1" in caplog.text


class Waiting(Decider):
    """Waits for a trust server where the name says so. `reached`: once for each that does; `opened`: it answers."""

    def __init__(self) -> None:
        self.reached, self.opened = threading.Semaphore(0), threading.Event()

    def decide(self, reference: ImageReference, digest: str | None = None) -> Decision:
        if "hangs" in reference.given:
            self.reached.release()
            assert self.opened.wait(60)
        return super().decide(reference, digest)


@pytest.fixture
def waiting() -> Iterator[Waiting]:
    made = Waiting()
    yield made
    made.opened.set()


def annotated(image: str, note: object) -> bytes:
    """A review about a Pod with an annotation."""
    thing = pod(image)
    thing["metadata"]["annotations"] = note
    return sent(review(thing))


def while_they_wait(waiting: Waiting, measures: Measures, raws: list[bytes], then: Callable[[Any], None]) -> None:
    """Call `then` with a webhook in which reviews wait for a trust server."""
    deciding = LimitedTime({"": waiting})
    pages = OperatorPages(why_not_ready=lambda: "", metrics=measures.text)
    webhook = AdmissionWebhook(deciding, pages=pages, measures=measures)
    threads = [threading.Thread(target=webhook, args=(request(raw),)) for raw in raws]
    try:
        for thread in threads:
            thread.start()
        for _ in threads:
            assert waiting.reached.acquire(timeout=60)
        then(webhook)
    finally:
        waiting.opened.set()
        for thread in threads:
            thread.join(60)
        deciding.close()


@pytest.mark.parametrize("size", [10, LARGE])
def test_who_waits_for_a_trust_server_keeps_nobody_from_being_read(
    waiting: Waiting, measures: Measures, size: int
) -> None:
    """Whose trust server is asked may be up to whoever names an image; it need not answer."""
    note = {"text": "x" * size}

    def others_are_answered(webhook: AdmissionWebhook) -> None:
        answer = webhook(request(annotated("app:1", note), "/validate?timeout=500ms"))
        assert answered(said(answer))["allowed"] is True

    raws = [annotated(f"hangs/{number}:1", note) for number in range(12)]
    while_they_wait(waiting, measures, raws, others_are_answered)


def test_who_waits_for_a_trust_server_holds_no_object_in_memory(waiting: Waiting, measures: Measures) -> None:
    """A review of some hundred kilobytes is some megabytes of objects, and an API server sends hundreds at a time."""

    def nothing_is_there(_: AdmissionWebhook) -> None:
        gc.collect()
        assert not any(isinstance(each, dict) and "a mark" in each for each in gc.get_objects())

    while_they_wait(waiting, measures, [annotated("hangs/app:1", {"a mark": [[]]})], nothing_is_there)
