"""Decisions in time: what is slow is refused in words, is asked once, and takes the time of nobody else."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from trustcli.errors import VerdictTooLate
from trustcli.hooks.deciding.decision import Decision
from trustcli.hooks.kubernetes.judging import Asked
from trustcli.hooks.kubernetes.time_limit import MAX_TIMEOUT, OF_ONE_REGISTRY, LimitedTime, seconds_for
from trustcli.registry.reference import ImageReference, parse_reference
from trustdata.errors import NotTrusted

SECONDS = 60.0
"""More than any test takes."""


class Slow:
    """Decides about everything but names that contain `slow`, which wait until `go`."""

    def __init__(self) -> None:
        self.go = threading.Event()
        self.begun: list[str] = []
        self.waiting = threading.Semaphore(0)

    def decide(self, reference: ImageReference, digest: str | None = None) -> Decision:
        self.begun.append(reference.given)
        if "slow" in reference.given:
            self.waiting.release()
            assert self.go.wait(SECONDS)
        if "refused" in reference.given:
            raise NotTrusted
        if "broken" in reference.given:
            raise ZeroDivisionError
        return Decision(
            image=reference.given,
            trust_name=reference.gun,
            allowed=True,
            digest=digest,
            mode="allow",
            rule="",
            reason="",
        )

    def signed_tags(self, gun: object) -> Any:
        raise AssertionError(gun)

    def named_digests(self, gun: object) -> Any:
        raise AssertionError(gun)


@pytest.fixture
def slow() -> Iterator[Slow]:
    decider = Slow()
    yield decider
    decider.go.set()


@pytest.fixture
def limited(slow: Slow) -> Iterator[Callable[..., LimitedTime]]:
    made = []

    def make(*, threads: int = 8, of_one_namespace: int = 4, of_one_registry: int = OF_ONE_REGISTRY) -> LimitedTime:
        deciders = {"": slow, "team-a": slow}
        limited = LimitedTime(
            deciders, threads=threads, of_one_namespace=of_one_namespace, of_one_registry=of_one_registry
        )
        made.append(limited)
        return made[-1]

    yield make
    slow.go.set()
    for each in made:
        each.close()


def asked(*images: str) -> list[Asked]:
    return [Asked("", image) for image in images]


def test_one_trust_server_behind_many_registries_does_not_take_all_threads(slow: Slow) -> None:
    servers = {"a.example": "https://one", "b.example": "https://one", "c.example": "https://one"}
    limited = LimitedTime(
        {"": slow},
        threads=8,
        of_one_namespace=4,
        of_one_registry=3,
        of_one_server=4,
        server_of=lambda question: servers.get(question.image.partition("/")[0], "https://other"),
    )
    hanging = [
        threading.Thread(
            target=limited.decide,
            args=(asked(f"{host}/slow/{number}:1"),),
            kwargs={"namespace": f"team-{number}", "seconds": SECONDS},
        )
        for number, host in enumerate([*servers, *servers])
    ]
    try:
        for thread in hanging:
            thread.start()
        for _ in range(4):
            assert slow.waiting.acquire(timeout=SECONDS)
        (answer,) = limited.decide(asked("d.example/app:1"), namespace="other", seconds=60.0).values()
        assert isinstance(answer, Decision)
        assert not slow.waiting.acquire(blocking=False), "no fifth one hangs"
    finally:
        slow.go.set()
        for thread in hanging:
            thread.join()
        limited.close()


@pytest.mark.parametrize(
    ("query", "seconds"),
    [
        ("timeout=10s", 8.0),
        ("timeout=1s", 0.8),
        ("a=b&timeout=5s&c=d", 4.0),
        ("timeout=500ms", 0.4),
        ("", 8.0),
        ("timeout=0s", 8.0),
        ("timeout=9999s", 0.8 * MAX_TIMEOUT),
        ("timeout=1m", 8.0),
        ("timeout=-5s", 8.0),
        ("timeout=99999999999999s", 8.0),
        ("xtimeout=1s", 8.0),
    ],
)
def test_the_time_is_less_than_the_api_server_waits(query: str, seconds: float) -> None:
    assert seconds_for(query) == pytest.approx(seconds)


def test_each_question_has_its_own_answer(limited: Callable[..., LimitedTime]) -> None:
    answers = limited().decide(asked("app:1", "refused:1", "app"), namespace="a", seconds=SECONDS)
    first, second, third = (answers[each] for each in asked("app:1", "refused:1", "app"))
    assert isinstance(first, Decision)
    assert isinstance(second, NotTrusted)
    assert isinstance(third, Decision)
    assert third.image == "app:latest"


def test_a_fault_of_the_program_is_no_answer(limited: Callable[..., LimitedTime]) -> None:
    with pytest.raises(ZeroDivisionError):
        limited().decide(asked("broken:1"), namespace="a", seconds=SECONDS)


def test_what_is_late_is_refused_and_goes_on_for_who_asks_next(limited: Callable[..., LimitedTime], slow: Slow) -> None:
    deciding = limited()
    (late,) = deciding.decide(asked("slow:1"), namespace="a", seconds=0).values()
    assert isinstance(late, VerdictTooLate)
    assert slow.waiting.acquire(timeout=SECONDS)
    (late,) = deciding.decide(asked("slow:1"), namespace="b", seconds=0).values()
    assert isinstance(late, VerdictTooLate)
    with ThreadPoolExecutor() as threads:
        waiting = threads.submit(deciding.decide, asked("slow:1"), namespace="b", seconds=SECONDS)
        slow.go.set()
        (answer,) = waiting.result(SECONDS).values()
    assert isinstance(answer, Decision)
    assert slow.begun == ["slow:1"]


def test_a_namespace_has_a_share_of_the_threads(limited: Callable[..., LimitedTime], slow: Slow) -> None:
    deciding = limited(threads=3, of_one_namespace=2)
    late = deciding.decide(asked("slow:1", "slow:2", "slow:3", "app:1"), namespace="a", seconds=0)
    assert {type(answer) for answer in late.values()} == {VerdictTooLate}
    for _ in range(2):
        assert slow.waiting.acquire(timeout=SECONDS)
    (other,) = deciding.decide(asked("app:2"), namespace="b", seconds=SECONDS).values()
    assert isinstance(other, Decision)
    assert sorted(slow.begun) == ["app:2", "slow:1", "slow:2"]


def test_the_names_of_one_registry_have_a_share_whatever_namespaces_they_come_from(
    limited: Callable[..., LimitedTime], slow: Slow
) -> None:
    """Whoever may make Pods in some namespaces would use up the shares of all with names that one slow server has."""
    deciding = limited(threads=6, of_one_namespace=2, of_one_registry=4)
    for namespace in "abc":
        images = (f"vendor.example/slow-{namespace}{number}:1" for number in range(2))
        deciding.decide(asked(*images), namespace=namespace, seconds=0)
    for _ in range(4):
        assert slow.waiting.acquire(timeout=SECONDS)
    (other,) = deciding.decide(asked("registry.example/app:1"), namespace="d", seconds=SECONDS).values()
    assert isinstance(other, Decision)
    slow.go.set()
    (later,) = deciding.decide(asked("vendor.example/app:1"), namespace="d", seconds=SECONDS).values()
    assert isinstance(later, Decision)


def test_threads_are_bounded_and_who_waits_gets_the_next_one(limited: Callable[..., LimitedTime], slow: Slow) -> None:
    deciding = limited(threads=1, of_one_namespace=1)
    deciding.decide(asked("slow:1"), namespace="a", seconds=0)
    assert slow.waiting.acquire(timeout=SECONDS)
    (late,) = deciding.decide(asked("app:1"), namespace="b", seconds=0).values()
    assert isinstance(late, VerdictTooLate)
    with ThreadPoolExecutor() as threads:
        waiting = threads.submit(deciding.decide, asked("app:1"), namespace="b", seconds=SECONDS)
        slow.go.set()
        (answer,) = waiting.result(SECONDS).values()
    assert isinstance(answer, Decision)


def test_policies_of_namespaces_are_asked_apart(limited: Callable[..., LimitedTime], slow: Slow) -> None:
    deciding = limited()
    assert deciding.namespaces == {"team-a"}
    answers = deciding.decide([Asked("", "app:1"), Asked("team-a", "app:1")], namespace="team-a", seconds=SECONDS)
    assert len(answers) == 2
    assert slow.begun == ["app:1", "app:1"]


def test_a_system_without_room_for_threads_stops_nothing_for_ever(
    limited: Callable[..., LimitedTime], slow: Slow, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_thread(_: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    deciding = limited(threads=2)
    with monkeypatch.context() as full:
        full.setattr(threading.Thread, "start", no_thread)
        for _ in range(5):
            (answer,) = deciding.decide(asked("app:1"), namespace="a", seconds=SECONDS).values()
            assert isinstance(answer, VerdictTooLate)
    (answer,) = deciding.decide(asked("app:1"), namespace="a", seconds=SECONDS).values()
    assert isinstance(answer, Decision)
    with monkeypatch.context() as full:
        full.setattr(threading.Thread, "start", no_thread)
        (answer,) = deciding.decide(asked("app:2"), namespace="a", seconds=SECONDS).values()
        assert isinstance(answer, Decision), "the thread that there is decides"


def test_what_is_known_at_once_takes_no_thread_and_the_rest_one_each(slow: Slow) -> None:
    def known(question: Asked) -> Decision | None:
        is_known = question.image.startswith("known")
        return slow.decide(parse_reference(question.image)) if is_known else None

    limited = LimitedTime({"": slow}, threads=1, at_once=known)
    try:
        before = threading.active_count()
        answers = limited.decide(asked("known/one:1", "known/two:1"), namespace="", seconds=SECONDS)
        assert [answer.image for answer in answers.values() if isinstance(answer, Decision)] == [
            "known/one:1",
            "known/two:1",
        ]
        assert threading.active_count() == before
        both = limited.decide(asked("known/one:1", "other:1"), namespace="", seconds=SECONDS)
        assert set(both) == set(asked("known/one:1", "other:1"))
        assert all(isinstance(answer, Decision) for answer in both.values())
    finally:
        limited.close()


def test_a_review_of_very_many_images_ends_in_time(slow: Slow) -> None:
    seconds = iter(range(100))
    at_once: list[str] = []

    def known(question: Asked) -> Decision:
        at_once.append(question.image)
        return slow.decide(parse_reference(question.image))

    limited = LimitedTime({"": slow}, threads=0, at_once=known, clock=lambda: float(next(seconds)))
    answers = limited.decide(asked("a:1", "b:1", "c:1", "d:1"), namespace="", seconds=2.5)
    assert at_once == ["a:1", "b:1"]
    assert [isinstance(answer, VerdictTooLate) for answer in answers.values()] == [False, False, True, True]
