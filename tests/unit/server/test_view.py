"""The view: bounded by bytes, least recently read first out, never older than the last publish."""

from __future__ import annotations

from trustdata.gun import GUN
from trustserver.responses.cache import CACHE_REVALIDATE, Answer, View, file_answer

A, B = GUN("example.com/a"), GUN("example.com/b")


def answer(size: int = 0) -> Answer:
    return file_answer(b"x" * size, "ab", cache=CACHE_REVALIDATE)


def put(view: View, gun: GUN, path: bytes, content: Answer) -> None:
    view.offer(gun, path, content, ticket=view.ticket(gun))


def test_the_least_recently_read_goes_first() -> None:
    view = View(limit=3 * answer(1000).size)
    for path in (b"1", b"2", b"3"):
        put(view, A, path, answer(1000))
    assert view.get(b"1") is not None
    put(view, A, b"4", answer(1000))
    assert view.get(b"2") is None
    assert all(view.get(path) is not None for path in (b"1", b"3", b"4"))


def test_bytes_are_counted_through_replacing_evicting_and_dropping() -> None:
    view = View(limit=10 * answer(1000).size)
    for number in range(50):
        put(view, A, str(number % 20).encode(), answer(number * 50))
        assert view.weight <= 10 * answer(1000).size
    put(view, B, b"b", answer(1))
    view.drop(A)
    assert view.weight == answer(1).size
    view.drop(B)
    assert view.weight == 0


def test_what_is_larger_than_the_view_is_not_kept_and_what_it_replaces_goes() -> None:
    view = View(limit=5000)
    put(view, A, b"1", answer(100))
    put(view, A, b"2", answer(100))
    put(view, A, b"1", answer(6000))
    assert view.get(b"1") is None
    assert view.get(b"2") is not None


def test_a_limit_of_nothing_keeps_nothing() -> None:
    view = View(limit=0)
    put(view, A, b"1", answer())
    assert (view.get(b"1"), view.weight) == (None, 0)


def test_an_answer_read_before_a_publish_is_not_kept_after_it() -> None:
    view = View()
    old, new = answer(1), answer(2)
    ticket = view.ticket(A)
    view.published(A, [(b"1", new)])
    view.offer(A, b"1", old, ticket=ticket)
    assert view.get(b"1") is new
    ticket = view.ticket(A)
    view.drop(A)
    view.offer(A, b"1", old, ticket=ticket)
    assert view.get(b"1") is None
