"""The view: bounded by bytes, least recently read first out, never older than the last publish."""

from __future__ import annotations

from trustdata.gun import GUN
from trustserver.responses import cache_control
from trustserver.responses.ready import ReadyResponse
from trustserver.responses.response_cache import ResponseCache
from trustserver.responses.tuf import file_response

A, B = GUN("example.com/a"), GUN("example.com/b")


def answer(size: int = 0) -> ReadyResponse:
    return file_response(b"x" * size, "ab", cache=cache_control.REVALIDATE)


def put(cache: ResponseCache, gun: GUN, path: bytes, content: ReadyResponse) -> None:
    cache.offer(gun, path, content, ticket=cache.ticket(gun))


def test_the_least_recently_read_goes_first() -> None:
    cache = ResponseCache(limit=3 * answer(1000).size)
    for path in (b"1", b"2", b"3"):
        put(cache, A, path, answer(1000))
    assert cache.get(b"1") is not None
    put(cache, A, b"4", answer(1000))
    assert cache.get(b"2") is None
    assert all(cache.get(path) is not None for path in (b"1", b"3", b"4"))


def test_bytes_are_counted_through_replacing_evicting_and_dropping() -> None:
    cache = ResponseCache(limit=10 * answer(1000).size)
    for number in range(50):
        put(cache, A, str(number % 20).encode(), answer(number * 50))
        assert cache.weight <= 10 * answer(1000).size
    put(cache, B, b"b", answer(1))
    cache.drop(A)
    assert cache.weight == answer(1).size
    cache.drop(B)
    assert cache.weight == 0


def test_what_is_larger_than_the_view_is_not_kept_and_what_it_replaces_goes() -> None:
    cache = ResponseCache(limit=5000)
    put(cache, A, b"1", answer(100))
    put(cache, A, b"2", answer(100))
    put(cache, A, b"1", answer(6000))
    assert cache.get(b"1") is None
    assert cache.get(b"2") is not None


def test_a_limit_of_nothing_keeps_nothing() -> None:
    cache = ResponseCache(limit=0)
    put(cache, A, b"1", answer())
    assert (cache.get(b"1"), cache.weight) == (None, 0)


def test_an_answer_read_before_a_publish_is_not_kept_after_it() -> None:
    cache = ResponseCache()
    old, new = answer(1), answer(2)
    ticket = cache.ticket(A)
    cache.published(A, [(b"1", new)])
    cache.offer(A, b"1", old, ticket=ticket)
    assert cache.get(b"1") is new
    ticket = cache.ticket(A)
    cache.drop(A)
    cache.offer(A, b"1", old, ticket=ticket)
    assert cache.get(b"1") is None
