"""What is taken for the head of a request, h11 takes for the same request."""

from __future__ import annotations

import contextlib

import h11
from hypothesis import event, example, given
from hypothesis import strategies as st

from trustcli.hooks.serving.request_head import END, RequestHead, RequestRefused, read_head

_PIECES = [
    b"GET",
    b"POST",
    b"HEAD",
    b"/",
    b"/v2/a?b=c",
    b"HTTP/1.1",
    b"HTTP/1.0",
    b" ",
    b"\t",
    b"\r",
    b"\n",
    b":",
    b"a",
    b"\xe9",
]
_NAMES = [
    b"Host",
    b"host",
    b"Content-Length",
    b"Transfer-Encoding",
    b"Connection",
    b"Expect",
    b"X-A",
    b"X A",
    b"",
    b" X",
]
_VALUES = [
    b"a",
    b"0",
    b"12",
    b"+1",
    b"1, 1",
    b"chunked",
    b"gzip, chunked",
    b"close",
    b"x, CLOSE",
    b"100-continue",
    b"\x00",
]
_LINES = st.one_of(
    st.tuples(st.sampled_from(_NAMES), st.sampled_from([b":", b": ", b":\t ", b" :"]), st.sampled_from(_VALUES)).map(
        b"".join
    ),
    st.lists(st.sampled_from(_PIECES), max_size=6).map(b"".join),
    st.binary(max_size=12),
)
_GOOD = st.tuples(
    st.sampled_from([b"X-A: ", b"x-b:", b"Connection:\t", b"Expect: ", b"Accept: "]),
    st.sampled_from([b"", b"a", b"a \xe9", b"close", b"x, CLOSE", b" Close ,y", b"100-continue", b"a,100-Continue "]),
).map(b"".join)
_GOOD_LENGTH = st.sampled_from([b"X: y", b"Content-Length: 0", b"content-length:12 ", b"Transfer-Encoding: chunked"])
_FIRST = st.sampled_from([b"GET /x HTTP/1.1", b"POST /v2/?q=%20 HTTP/1.1", b"PUT / HTTP/1.0"])
_ODD_FIRST = st.lists(st.sampled_from(_PIECES), max_size=6).map(b"".join)
_HOST = st.sampled_from([[b"Host: a"], [b"host:b:5000 "], [b"HOST: a"], []])


def _read(raw: bytes) -> RequestHead | None:
    with contextlib.suppress(RequestRefused):
        return read_head(raw, fields=100)
    return None


@given(
    first=_FIRST | _ODD_FIRST,
    host=_HOST,
    lines=st.lists(_LINES, max_size=5) | st.tuples(_GOOD_LENGTH, _GOOD, _GOOD).map(list),
)
@example(first=b"GET / HTTP/1.1", host=[], lines=[])
@example(first=b"GET / HTTP/1.1", host=[b"Host: a"], lines=[b"Content-Length: +1"])
@example(first=b"POST / HTTP/1.1", host=[b"Host: a"], lines=[b"Transfer-Encoding: chunked"])
@example(first=b"POST / HTTP/1.1", host=[b"Host: a"], lines=[b"Connection: x, CLOSE", b"Expect: 100-continue"])
@example(first=b"POST / HTTP/1.0", host=[], lines=[b"Content-Length: 3"])
@example(first=b"GET / HTTP/1.1", host=[b"Host: a"], lines=[b"Host: a"])
def test_what_is_taken_h11_takes_for_the_same(first: bytes, host: list[bytes], lines: list[bytes]) -> None:
    raw = b"\r\n".join([first, *host, *lines]) + END
    raw = raw[: raw.index(END) + len(END)]
    head = _read(raw)
    event("taken" if head else "refused")
    assert head is None or _taken_by_h11(raw, head.length) == _taken_by_us(head)


def _taken_by_us(head: RequestHead) -> tuple[object, ...]:
    waits = head.version == "1.1" and head.lists(b"expect", b"100-continue")
    closes = head.version == "1.0" or head.lists(b"connection", b"close")
    return head.method, head.target, head.version, head.fields, waits, closes, head.length or 0


def _taken_by_h11(raw: bytes, length: int | None) -> tuple[object, ...]:
    """The same of h11, which gets a body of this length, or an empty one in chunks, and takes so many bytes of it."""
    theirs = h11.Connection(h11.SERVER)
    theirs.receive_data(raw)
    head = theirs.next_event()
    assert isinstance(head, h11.Request)
    waits = theirs.they_are_waiting_for_100_continue
    body = b"0\r\n\r\n" if length is None else b"x" * length
    if body:  # to receive nothing is the end of the connection
        theirs.receive_data(body)
    taken = 0
    while isinstance(piece := theirs.next_event(), h11.Data):
        taken += len(piece.data)
    assert isinstance(piece, h11.EndOfMessage)
    assert theirs.trailing_data == (b"", False)
    closes = theirs.their_state is h11.MUST_CLOSE
    method, target, version = head.method.decode(), head.target.decode(), head.http_version.decode()
    return method, target, version, list(head.headers), waits, closes, taken
