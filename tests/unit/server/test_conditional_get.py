"""One decision on 304 and gzip behind every door: from the request's bytes or the store, and of the application."""

from __future__ import annotations

import asyncio
import gzip
import hashlib
from dataclasses import dataclass
from typing import Any

import pytest

from tests.support.server_owner import Owner
from tests.support.server_site import Site
from trustdata.roles import TARGETS
from trustserver.server.fast_path import Answer, HotAnswers

GUN = "localhost:5000/app"
LARGE, SMALL = "2.targets.json", "timestamp.json"

PLAIN, PACKED = "ETAG", "GZIP-ETAG"
"""In a condition: the entity tags of the two forms."""


@dataclass(frozen=True, kw_only=True)
class Case:
    """What is asked of a file, and what must come: a status, and the form whose tag it has."""

    name: str
    condition: str = ""
    codings: str = ""
    status: int
    form: str = PLAIN


CASES = (
    Case(name=SMALL, status=200),
    Case(name=SMALL, codings="gzip", status=200),
    Case(name=SMALL, condition=PLAIN, status=304),
    Case(name=SMALL, condition=PLAIN, codings="gzip", status=304),
    Case(name=SMALL, condition=f"W/{PLAIN}", status=304),
    Case(name=SMALL, condition="*", status=304),
    Case(name=SMALL, condition=PACKED, codings="gzip", status=200),
    Case(name=LARGE, status=200),
    Case(name=LARGE, codings="identity", status=200),
    Case(name=LARGE, codings="gzip", status=200, form=PACKED),
    Case(name=LARGE, codings="br, gzip;q=0.5", status=200, form=PACKED),
    Case(name=LARGE, codings="gzip;q=0", status=200),
    Case(name=LARGE, condition=PLAIN, status=304),
    Case(name=LARGE, condition=PLAIN, codings="gzip", status=304),
    Case(name=LARGE, condition=PACKED, codings="gzip", status=304, form=PACKED),
    Case(name=LARGE, condition=f'"x", W/{PACKED}', codings="gzip", status=304, form=PACKED),
    Case(name=LARGE, condition=f"{PACKED}, {PLAIN}", codings="gzip", status=304),
    Case(name=LARGE, condition=PACKED, status=200),
    Case(name=LARGE, condition=f'"{"0" * 64}"', codings="gzip", status=200, form=PACKED),
    Case(name=LARGE, condition=f'"{"0" * 64}"', status=200),
)


def large_site() -> Site:
    """A collection with a file that is worth compressing, and one that is not."""
    site = Site()
    owner: Owner = site.begin(GUN)
    owner.tags = {f"v{number}": hashlib.sha256(str(number).encode()).hexdigest() for number in range(50)}
    site.publish({TARGETS: owner.targets()}, GUN).raise_for_status()
    return site


def asgi(site: Site, path: str, headers: list[tuple[bytes, bytes]]) -> tuple[int, dict[str, str], bytes]:
    sent: list[Any] = []

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(event: Any) -> None:
        sent.append(event)

    scope = {"type": "http", "method": "GET", "path": path, "raw_path": path.encode(), "query_string": b""}
    asyncio.run(site.app.asgi({**scope, "headers": headers}, receive, send))
    return sent[0]["status"], {k.decode(): v.decode() for k, v in sent[0]["headers"]}, sent[1]["body"]


def from_bytes(site: Site, path: str, headers: list[tuple[bytes, bytes]]) -> tuple[int, dict[str, str], bytes] | None:
    """What the front says to these bytes at once; None where it leaves them to others."""
    return told(answers_of(site).answer(request(path, headers)))


def from_the_store(
    site: Site, path: str, headers: list[tuple[bytes, bytes]]
) -> tuple[int, dict[str, str], bytes] | None:
    """What the front says when it has asked the store; None where it leaves that to the server behind."""

    async def ask() -> Answer | None:
        reading = answers_of(site).begin(request(path, headers))
        found = None if reading is None else await reading
        return None if found is None else found[0]

    return told(asyncio.run(ask()))


def answers_of(site: Site) -> HotAnswers:
    return HotAnswers(site.app.asgi, may_hold=site.app.asgi.bodies.may_hold)


def request(path: str, headers: list[tuple[bytes, bytes]]) -> bytes:
    lines = [f"GET {path} HTTP/1.1".encode(), b"host: a", *(name + b": " + value for name, value in headers)]
    return b"\r\n".join(lines) + b"\r\n\r\n"


def told(found: Answer | None) -> tuple[int, dict[str, str], bytes] | None:
    if found is None:
        return None
    status_line, *rest = found[0].removesuffix(b"\r\n\r\n").decode().split("\r\n")
    fields = dict(line.split(": ", 1) for line in rest)
    assert fields.pop("date").endswith(" GMT")
    return int(status_line.split()[1]), fields, found[1]


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case.name}-{case.condition}-{case.codings}")
def test_every_door_decides_alike(case: Case) -> None:
    site = large_site()
    path = f"/tuf/{GUN}/metadata/{case.name}"
    plain = f'"{hashlib.sha256(asgi(site, path, [])[2]).hexdigest()}"'
    tags = {PLAIN: plain, PACKED: f'{plain[:-1]}-gzip"'}
    condition = case.condition.replace(PACKED, tags[PACKED]).replace(PLAIN, plain)
    given = {b"if-none-match": condition.encode(), b"accept-encoding": case.codings.encode()}
    headers = [(name, value) for name, value in given.items() if value]

    stored = from_the_store(Site(site.store), path, headers)  # a server that has just started
    before = from_bytes(site, path, headers)
    behind = asgi(site, path.replace("localhost:", "localhost%3A"), headers)  # the view knows no other spelling
    in_front = asgi(site, path, headers)
    after = from_bytes(site, path, headers)

    assert in_front == behind
    assert before is None or before == behind
    assert stored is None or stored == behind
    assert stored is not None or headers, "a plain read is answered in front"
    assert after is None or after == behind
    status, fields, body = behind
    assert (status, fields["etag"]) == (case.status, tags[case.form])
    assert fields.get("content-encoding") == ("gzip" if (case.status, case.form) == (200, PACKED) else None)
    assert fields.get("vary") == ("accept-encoding" if case.name == LARGE else None)
    if status == 304:
        assert (body, "content-length" in fields) == (b"", False)
    else:
        unpacked = gzip.decompress(body) if case.form == PACKED else body
        assert f'"{hashlib.sha256(unpacked).hexdigest()}"' == plain
        assert int(fields["content-length"]) == len(body)


@pytest.mark.parametrize(
    ("condition", "codings", "answered"),
    [("", "", True), (PLAIN, "", True), ("", "gzip", True), (PLAIN, "gzip", True), (f"W/{PLAIN}", "", False)],
)
def test_the_front_leaves_only_what_it_cannot_read_to_the_server_behind(
    condition: str, codings: str, *, answered: bool
) -> None:
    site = large_site()
    path = f"/tuf/{GUN}/metadata/{LARGE}"
    asgi(site, path, [(b"accept-encoding", b"gzip")])  # so that the compressed form is there
    plain = f'"{hashlib.sha256(asgi(site, path, [])[2]).hexdigest()}"'
    given = {b"if-none-match": condition.replace(PLAIN, plain).encode(), b"accept-encoding": codings.encode()}
    headers = [(name, value) for name, value in given.items() if value]
    assert (from_bytes(site, path, headers) is not None) is answered
    twice = [*headers, (b"accept-encoding", b"br"), (b"accept-encoding", b"gzip")]
    assert from_bytes(site, path, twice) is None


def test_the_form_that_is_not_made_yet_is_made_behind() -> None:
    site = large_site()
    path = f"/tuf/{GUN}/metadata/{LARGE}"
    wants = [(b"accept-encoding", b"gzip")]
    assert from_bytes(site, path, wants) is None
    answered = site.app.asgi.answered
    made = asgi(site, path, wants)
    assert site.app.asgi.answered == answered, "the view had it not"
    assert from_bytes(site, path, wants) == made
    assert asgi(site, path, wants) == made
    assert site.app.asgi.answered == answered + 2


def test_a_condition_in_two_headers_is_one_list() -> None:
    site = large_site()
    path = f"/tuf/{GUN}/metadata/{SMALL}"
    plain = f'"{hashlib.sha256(asgi(site, path, [])[2]).hexdigest()}"'.encode()
    for spelled in (path, path.replace("localhost:", "localhost%3A")):
        for tags in ((b'"x"', plain), (plain, b'"x"')):
            assert asgi(site, spelled, [(b"if-none-match", tag) for tag in tags])[0] == 304
