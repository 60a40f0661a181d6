"""Compressed answers: who gets them, under which entity tag, made once, counted, and never for small files."""

from __future__ import annotations

import asyncio
import gzip
import hashlib
import re
import threading
import zlib
from typing import Any

import pytest

from tests.support.server_owner import Owner
from tests.support.server_site import GUN_A, Site
from trustdata.roles import TARGETS
from trustserver.api import tuf
from trustserver.responses import gzip as packing
from trustserver.responses.conditional_get import asked
from trustserver.responses.gzip import _accepts, accepts_gzip
from trustserver.responses.ready import ReadyResponse

NAME = "2.targets.json"
Sent = tuple[int, dict[str, str], bytes]


def with_many_tags(site: Site) -> Owner:
    """A collection whose second targets file is large: 50 tags."""
    owner = site.begin()
    owner.tags = {f"v{number}": hashlib.sha256(str(number).encode()).hexdigest() for number in range(50)}
    site.publish({TARGETS: owner.targets()}).raise_for_status()
    return owner


def raw(site: Site, name: str = NAME, *, method: str = "GET", **headers: str) -> Sent:
    """One request, alone."""
    return asyncio.run(ask(site, name, method=method, **headers))


async def ask(site: Site, name: str = NAME, *, method: str = "GET", **headers: str) -> Sent:
    """Status, headers and the bytes of the body as they are sent."""
    sent: list[Any] = []

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(event: Any) -> None:
        sent.append(event)

    path = f"/tuf/{GUN_A}/metadata/{name}"
    given = [(key.replace("_", "-").encode(), value.encode()) for key, value in headers.items()]
    scope = {"type": "http", "method": method, "path": path, "raw_path": path.encode(), "query_string": b""}
    await site.app.asgi({**scope, "headers": given}, receive, send)
    return sent[0]["status"], {k.decode(): v.decode() for k, v in sent[0]["headers"]}, sent[1]["body"]


def wants_gzip(headers: list[tuple[bytes, bytes]]) -> bool:
    """Whether a request with these headers gets gzip."""
    return accepts_gzip(asked(headers)[1])


def weight(site: Site) -> int:
    """Bytes of the view, as /metrics has them."""
    found = re.search(r"^trust_server_view_bytes (\S+)$", site.get("/metrics").text, re.MULTILINE)
    assert found is not None
    return int(float(found[1]))


@pytest.mark.parametrize(
    ("accepted", "wanted"),
    [
        ("gzip", True),
        ("GZIP", True),
        ("x-gzip", True),
        ("deflate, gzip, br, zstd", True),
        ("gzip;q=0.5", True),
        ("gzip; q=1.0, identity; q=0.5", True),
        ("identity;q=0, gzip;q=0.1", True),
        ("*", True),
        ("br, *;q=0.1", True),
        ("gzip;q=0", False),
        ("gzip;q=0.000, *", False),
        ("gzip;q=0, identity", False),
        ("gzip;q=0.5, identity", False),
        ("gzip;q=nan", False),
        ("gzip;q=2", False),
        ("gzip;q=-1", False),
        ("gzip;q=", False),
        ("*;q=0", False),
        ("identity", False),
        ("br", False),
        ("gzipx", False),
        ("", False),
        (",;,=", False),
    ],
)
def test_who_wants_gzip(accepted: str, *, wanted: bool) -> None:
    assert wants_gzip([(b"host", b"x"), (b"accept-encoding", accepted.encode())]) is wanted


def test_without_the_header_nothing_is_compressed_and_two_headers_count_as_one() -> None:
    assert not wants_gzip([(b"host", b"gzip")])
    assert wants_gzip([(b"accept-encoding", b"br"), (b"accept-encoding", b"gzip")])
    assert not wants_gzip([(b"accept-encoding", b"gzip"), (b"accept-encoding", b"gzip;q=0")])


def test_what_nobody_would_send_is_neither_read_nor_remembered() -> None:
    """Hundreds of headers of 400 000 bytes each would otherwise be kept for as long as the server runs."""
    long = b"gzip," + b"x" * 1020
    before = _accepts.cache_info()
    assert not wants_gzip([(b"accept-encoding", long)])
    assert not wants_gzip([(b"accept-encoding", long[:600]), (b"accept-encoding", long[600:])])
    assert _accepts.cache_info() == before
    assert wants_gzip([(b"accept-encoding", long[:1024])])


def test_a_large_file_is_compressed_once_and_kept() -> None:
    site = Site()
    with_many_tags(site)
    status, plain_headers, plain = raw(site)
    assert (status, "content-encoding" in plain_headers) == (200, False)
    before = site.app.asgi.answered
    answers = [raw(site, accept_encoding="gzip, deflate") for _ in range(3)]
    assert answers[0] == answers[1] == answers[2]
    status, headers, packed = answers[0]
    assert status == 200
    assert gzip.decompress(packed) == plain
    assert len(packed) < len(plain) * 0.6
    assert headers == {
        **plain_headers,
        "content-length": str(len(packed)),
        "content-encoding": "gzip",
        "etag": f'{plain_headers["etag"][:-1]}-gzip"',
    }
    assert plain_headers["vary"] == "accept-encoding"
    assert site.app.asgi.answered == before + 2, "the first was handed on to be compressed, the others were ready"
    assert raw(site) == (200, plain_headers, plain)


@pytest.mark.parametrize("accepted", ["identity", "gzip"])
def test_head_says_what_get_would(accepted: str) -> None:
    site = Site()
    with_many_tags(site)
    _, headers, body = raw(site, method="HEAD", accept_encoding=accepted)
    assert (headers, body) == (raw(site, accept_encoding=accepted)[1], b"")


def test_both_forms_are_known_to_be_unchanged_also_before_one_is_made() -> None:
    site = Site()
    with_many_tags(site)
    plain = f'"{hashlib.sha256(raw(site)[2]).hexdigest()}"'
    packed = f'{plain[:-1]}-gzip"'
    for _ in range(2):  # before it is made, and after
        for tags, accepted, answered in (
            (plain, "", plain),
            (plain, "gzip", plain),
            (packed, "gzip", packed),
            (f"W/{packed}", "gzip", packed),
            (f'"x", {packed}', "gzip", packed),
            ("*", "gzip", plain),
        ):
            status, headers, body = raw(site, if_none_match=tags, accept_encoding=accepted)
            assert (status, headers["etag"], body) == (304, answered, b""), (tags, accepted)
            assert headers["vary"] == "accept-encoding"
            assert "content-encoding" not in headers
        # Who does not take gzip cannot use what he has of it.
        assert raw(site, if_none_match=packed)[0] == 200
        assert raw(site, if_none_match=packed, accept_encoding="gzip;q=0")[0] == 200
        assert raw(site, if_none_match='"other"', accept_encoding="gzip")[1]["content-encoding"] == "gzip"


@pytest.mark.parametrize("name", ["timestamp.json", "1.snapshot.json", "1.targets.json", "3.root.json", "targets.json"])
def test_small_files_problems_and_bare_names_are_never_compressed(name: str) -> None:
    site = Site()
    with_many_tags(site)
    plain, asked = raw(site, name), raw(site, name, accept_encoding="gzip")
    assert plain == asked
    assert "vary" not in plain[1]


def test_what_would_not_be_smaller_stays_as_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    site = Site()
    with_many_tags(site)
    monkeypatch.setattr(packing, "_LEVEL", 0)
    assert "content-encoding" not in raw(site, accept_encoding="gzip")[1]
    answered = site.app.asgi.answered
    raw(site, accept_encoding="gzip")
    assert site.app.asgi.answered == answered + 1, "it is not tried again"


def test_the_compressed_form_is_counted_and_without_room_there_is_none() -> None:
    site = Site()
    with_many_tags(site)
    before = weight(site)
    packed = raw(site, accept_encoding="gzip")[2]
    assert weight(site) == before + len(packed)
    site.request("DELETE", f"/api/v1/collections/{GUN_A}")
    assert weight(site) == 0

    for limit in (0, 9000):  # the file alone finds room in the second, but not both forms
        small = Site(view_bytes=limit)
        with_many_tags(small)
        raw(small, accept_encoding="gzip")  # finds out that there is no room
        for _ in range(2):
            status, headers, body = raw(small, accept_encoding="gzip")
            assert (status, "content-encoding" in headers, len(body)) == (200, False, len(raw(small)[2]))
        assert weight(small) <= limit


def test_readers_of_one_file_wait_for_one_compression_and_of_others_get_the_plain_file(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    site = Site()
    owner = with_many_tags(site)
    site.publish({TARGETS: owner.targets()}).raise_for_status()
    gate, calls = threading.Event(), []

    def slow(answer: ReadyResponse) -> ReadyResponse:
        calls.append(answer)
        gate.wait(10)
        return packing.pack(answer)

    monkeypatch.setattr(tuf, "pack", slow)

    async def other() -> Sent:
        answer = await ask(site, "3.targets.json", accept_encoding="gzip")
        gate.set()
        return answer

    async def together() -> list[Sent]:
        asked = (ask(site, accept_encoding="gzip") for _ in range(2))
        return await asyncio.gather(*asked, other())

    answers = asyncio.run(together())
    assert [headers.get("content-encoding") for _, headers, _ in answers] == ["gzip", "gzip", None]
    assert len(calls) == 1
    assert raw(site, "3.targets.json", accept_encoding="gzip")[1]["content-encoding"] == "gzip", "later it has its turn"


def test_the_size_of_a_packed_answer_can_be_read_by_zlib_alone() -> None:
    site = Site()
    with_many_tags(site)
    unpacker = zlib.decompressobj(31)
    assert unpacker.decompress(raw(site, accept_encoding="gzip")[2]) == raw(site)[2]
    assert unpacker.eof
    assert not unpacker.unused_data
