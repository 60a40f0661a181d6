"""Notary v1's routes, headers and errors (docs/reference/notary-api.md): what is where, and what is not there."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import MutableMapping
from datetime import UTC, datetime
from hashlib import sha256
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.notary_owner import NotaryOwner
from tests.support.notary_site import GUN_N, NotarySite, refusal
from tests.support.server_site import GUN_A
from trustdata.errors import InvalidName
from trustdata.gun import parse_notary_gun
from trustdata.roles import ROOT, SNAPSHOT, TARGETS, TIMESTAMP
from trustserver.api.notary_routes import Operation, match_route
from trustserver.errors import NoSuchRoute
from trustserver.responses.notary import last_modified

NOTHING = {"code": "METADATA_NOT_FOUND", "message": "You have requested metadata that does not exist."}
HEX = "ab" * 32


def test_current_files_are_served_verbatim_under_their_bare_names() -> None:
    site = NotarySite()
    owner = site.begin_notary()
    role = owner.add_delegation("targets/alice")
    site.upload({TARGETS: owner.targets(), role: owner.targets(role)})
    for name in (ROOT, TARGETS, SNAPSHOT, TIMESTAMP, role):
        stored = site.store.load(parse_notary_gun(GUN_N)).files[name]
        assert site.tuf(f"{name}.json").content == stored.raw
    assert site.tuf("targets/alice.json").content == owner.written[role].raw


def test_files_are_found_by_version_and_by_the_hash_of_their_own_role() -> None:
    site = NotarySite()
    owner = site.begin_notary()
    alice = owner.add_delegation("targets/alice")
    old = site.tuf("targets.json").content
    site.upload({TARGETS: owner.targets(), alice: owner.targets(alice)})
    for name, raw in (
        ("2.targets.json", old),
        ("002.targets.json", old),
        (f"targets.{sha256(old).hexdigest()}.json", old),
        ("3.targets.json", owner.written[TARGETS].raw),
        ("1.targets/alice.json", owner.written[alice].raw),
        (f"targets/alice.{owner.written[alice].sha256}.json", owner.written[alice].raw),
        ("1.root.json", owner.written[ROOT].raw),
        ("1.timestamp.json", None),
        ("2.timestamp.json", site.tuf("timestamp.json").content),
        ("1.snapshot.json", None),
    ):
        answer = site.tuf(name)
        assert answer.status_code == 200, name
        assert raw is None or answer.content == raw, name
    root = owner.written[ROOT].sha256
    assert site.tuf(f"root.{root}.json").status_code == 200
    assert site.tuf(f"snapshot.{root}.json").status_code == 404, "the hash of another role"
    assert site.tuf(f"root.{root.upper()}.json").status_code == 404
    assert site.tuf(f"root.{'ab' * 48}.json").status_code == site.tuf(f"root.{'ab' * 64}.json").status_code == 404
    assert site.tuf("0.root.json").status_code == site.tuf("2.root.json").status_code == 404


def test_every_read_is_the_same_from_the_store_as_from_the_view() -> None:
    site = NotarySite()
    owner = site.begin_notary()
    other = NotarySite(site.store, sealer=site.sealer)
    hashed = f"targets.{owner.written[TARGETS].sha256}.json"
    for name in ("root.json", "targets.json", "snapshot.json", "timestamp.json", hashed, "1.root.json"):
        one, two, again = site.tuf(name), other.tuf(name), other.tuf(name)
        assert (one.status_code, one.content, one.headers) == (two.status_code, two.content, two.headers), name
        assert (again.content, again.headers) == (two.content, two.headers), name


def test_hot_files_are_answered_from_the_view_without_the_store() -> None:
    site = NotarySite()
    owner = site.begin_notary()
    before = site.app.asgi.answered
    for name in (
        "root.json",
        "timestamp.json",
        "snapshot.json",
        "targets.json",
        f"targets.{owner.written[TARGETS].sha256}.json",
        f"root.{owner.written[ROOT].sha256}.json",
    ):
        assert site.tuf(name).status_code == 200
    assert site.app.asgi.answered == before + 6


def test_a_name_with_colons_slashes_and_odd_characters_is_read_under_the_path_that_the_clients_send() -> None:
    site = NotarySite()
    for gun in ("a/b/c/d", "Upper/CASE", "host:5000/x_y.z", "with space/é", "a/_trust/tuf/b", "x/_trust/changefeed"):
        site.begin_notary(gun)
        assert site.tuf("root.json", gun).status_code == 200, gun
    assert site.get("/v2/a%2Fb%2Fc%2fd/_trust/tuf/root.json").status_code == 200
    assert site.get("/v2/host%3A5000/x_y.z/_trust/tuf/root.json").status_code == 200


def test_headers_of_current_and_of_consistent_files() -> None:
    site = NotarySite()
    owner = site.begin_notary()
    current, hashed = site.tuf("targets.json"), site.tuf(f"targets.{owner.written[TARGETS].sha256}.json")
    versioned = site.tuf("2.targets.json")
    assert current.headers["cache-control"] == "public, max-age=300, s-maxage=300, must-revalidate"
    for answer in (hashed, versioned):
        assert answer.headers["cache-control"] == "public, max-age=2592000, s-maxage=2592000"
    for answer in (current, hashed, versioned):
        assert answer.headers["content-type"] == "text/plain; charset=utf-8"
        assert answer.headers["last-modified"] == "Sun, 01 Nov 2026 12:00:00 UTC"
        assert answer.headers["content-length"] == str(len(owner.written[TARGETS].raw))
        assert not {"etag", "content-encoding", "vary", "location"} & set(answer.headers)


def test_last_modified_has_the_name_of_the_zone() -> None:
    assert last_modified(datetime(2026, 1, 3, 4, 5, 6, tzinfo=UTC)) == b"Sat, 03 Jan 2026 04:05:06 UTC"


def test_conditions_and_gzip_are_ignored() -> None:
    site = NotarySite()
    owner = site.begin_notary()
    plain = site.tuf("targets.json").content
    for headers in (
        {"If-None-Match": f'"{owner.written[TARGETS].sha256}"'},
        {"If-None-Match": "*"},
        {"If-Modified-Since": "Sun, 01 Nov 2099 12:00:00 GMT"},
        {"Accept-Encoding": "gzip"},
    ):
        answer = site.tuf("targets.json", headers=headers)
        assert (answer.status_code, answer.content) == (200, plain), headers
        assert "content-encoding" not in answer.headers


def test_ping_and_health_answer_an_empty_object() -> None:
    site = NotarySite()
    for path in ("/v2/", "/_notary_server/health"):
        answer = site.get(path)
        assert (answer.status_code, answer.content) == (200, b"{}")


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("HEAD", "/v2/"),
        ("GET", "/v2"),
        ("POST", "/v2/"),
        ("PUT", f"/v2/{GUN_N}/_trust/tuf/root.json"),
        ("HEAD", f"/v2/{GUN_N}/_trust/tuf/root.json"),
        ("GET", f"/v2/{GUN_N}/_trust/tuf/"),
        ("POST", f"/v2/{GUN_N}/_trust/tuf"),
        ("DELETE", f"/v2/{GUN_N}/_trust/tuf"),
        ("DELETE", f"/v2/{GUN_N}/_trust/tuf/root.json"),
        ("DELETE", "/v2/x%0Ay/_trust/tuf/"),
        ("GET", "/v2/x%0Ay/_trust/tuf/timestamp.key"),
        ("GET", "/v2/x%0Ay/_trust/changefeed"),
        ("GET", f"/v2/{GUN_N}/_trust/tuf/targets.key"),
        ("GET", f"/v2/{GUN_N}/_trust/tuf/root.key"),
        ("DELETE", f"/v2/{GUN_N}/_trust/tuf/snapshot.key"),
        ("GET", f"/v2/{GUN_N}/_trust/tuf/foo.json"),
        ("GET", f"/v2/{GUN_N}/_trust/tuf/root.abcd.json"),
        ("GET", f"/v2/{GUN_N}/_trust/tuf/root"),
        ("GET", f"/v2/{GUN_N}/_trust/tuf/x1.root.json"),
        ("GET", f"/v2/{GUN_N}/_trust/tuf/targets//a.json"),
        ("GET", f"/v2/{GUN_N}/_trust/tuf/targets/a%20b.json"),
        ("GET", "/v2/_trust/tuf/root.json"),
        ("GET", "/v2//_trust/tuf/root.json"),
        ("GET", "/v2/a*b/_trust/tuf/root.json"),
        ("GET", "/v2/a//b/_trust/tuf/root.json"),
        ("GET", "/v2/../x/_trust/tuf/root.json"),
        ("GET", "/v2/x/%2e%2E/y/_trust/tuf/root.json"),
        ("GET", "/v2/x%0Ay/_trust/tuf/root.json"),
        ("GET", "/v2/x%FFy/_trust/tuf/root.json"),
        ("GET", "/v2/x%zzy/_trust/tuf/root.json"),
        ("GET", f"/v2/{'x' * 256}/_trust/tuf/root.json"),
        ("GET", f"/v2/{'x' * 7_000}/_trust/tuf/root.json"),
        ("POST", "/v2/_trust/changefeed"),
        ("POST", f"/v2/{GUN_N}/_trust/changefeed"),
        ("GET", "/_notary_server/"),
        ("POST", "/_notary_server/health"),
        ("OPTIONS", "/v2/"),
        ("GET", "/v2/token"),
    ],
)
def test_anything_else_is_nowhere_and_never_redirected(method: str, path: str) -> None:
    with pytest.raises(NoSuchRoute):
        match_route(method, path)
    assert NotarySite().raw(method, path.encode()) == 404


@pytest.mark.parametrize("path", ["/", "/index.html", "/v3/", "/metadata/1.root.json", "/v2x/"])
@pytest.mark.parametrize("method", ["GET", "POST", "DELETE"])
def test_paths_of_no_api_have_notary_s_error(method: str, path: str) -> None:
    answer = NotarySite().request(method, path)
    assert (answer.status_code, refusal(answer)) == (404, NOTHING)


@pytest.mark.parametrize("path", ["/api/v1/nothing", "/tuf/x"])
def test_paths_of_our_api_have_its_problems(path: str) -> None:
    answer = NotarySite().request("GET", path)
    assert answer.headers["content-type"] == "application/problem+json"


def test_no_route_has_no_detail_and_what_is_absent_has_an_empty_one() -> None:
    site = NotarySite()
    site.begin_notary()
    assert refusal(site.tuf("foo.json")) == NOTHING
    for name, gun in (("root.json", "never/seen"), ("9.root.json", GUN_N), (f"root.{HEX}.json", GUN_N)):
        answer = site.tuf(name, gun)
        assert (answer.status_code, refusal(answer)) == (404, {**NOTHING, "detail": {}})
        assert "cache-control" not in answer.headers


def test_head_of_nothing_has_no_body() -> None:
    events: list[MutableMapping[str, Any]] = []

    async def ask() -> None:
        async def send(event: MutableMapping[str, Any]) -> None:
            events.append(event)

        async def receive() -> dict[str, Any]:
            return {"type": "http.request", "body": b"", "more_body": False}

        scope = {"type": "http", "method": "HEAD", "path": "/v2/", "raw_path": b"/v2/", "headers": []}
        await NotarySite().app.asgi(scope, receive, send)

    asyncio.run(ask())
    assert events[0]["status"] == 404
    assert b"".join(event.get("body", b"") for event in events) == b""


@given(
    method=st.sampled_from(["GET", "POST", "DELETE", "PUT"]),
    inner=st.text(st.characters(max_codepoint=255), max_size=60),
)
def test_whatever_is_asked_has_a_route_or_none(method: str, inner: str) -> None:
    for path in (
        f"/v2/{inner}",
        f"/v2/{inner}/_trust/tuf/",
        f"/v2/a/_trust/tuf/{inner}",
        f"/v2/a/_trust/tuf/{inner}.json",
    ):
        with contextlib.suppress(NoSuchRoute, InvalidName):
            assert match_route(method, path).operation in Operation


@pytest.mark.parametrize(
    ("method", "path", "operation"),
    [
        ("GET", "/v2/g/_trust/tuf/root.json", Operation.FILE),
        ("GET", "/v2/g/_trust/changefeed", Operation.CHANGES),
        ("GET", "/v2/_trust/changefeed", Operation.ALL_CHANGES),
        ("GET", "/v2/g/_trust/tuf/snapshot.key", Operation.KEY),
        ("POST", "/v2/g/_trust/tuf/timestamp.key", Operation.NEW_KEY),
        ("POST", "/v2/g/_trust/tuf/", Operation.UPLOAD),
        ("DELETE", "/v2/g/_trust/tuf/", Operation.DELETE),
    ],
)
def test_every_route_is_what_it_asks(method: str, path: str, operation: Operation) -> None:
    assert match_route(method, path).operation is operation


def test_the_name_is_as_long_as_it_can_be() -> None:
    found = match_route("GET", "/v2/a/_trust/tuf/targets/_trust/tuf/root.json")
    assert found.gun == "a/_trust/tuf/targets"
    longest = "x" * 255
    assert match_route("GET", f"/v2/{longest}/_trust/tuf/root.json").gun == longest


def test_an_upload_to_a_name_that_cannot_be_one_is_an_invalid_gun() -> None:
    site = NotarySite()
    for gun in ("x%0Ay", "a/../b", "x" * 256):
        answer = site.request("POST", f"/v2/{gun.replace('..', '%2E%2E')}/_trust/tuf/", content=b"")
        error = refusal(answer)
        assert (answer.status_code, error["code"]) == (400, "INVALID_GUN")
        assert error["message"] == "The server does not support actions on images of this name."


@pytest.mark.parametrize("text", ["", "a*b", "a\nb", "\x7f", "a\x85b", "a//b", "/a", "a/", ".", "a/..", "x" * 256])
def test_names_that_notary_or_urls_cannot_hold_are_refused(text: str) -> None:
    with pytest.raises(InvalidName):
        parse_notary_gun(text)


def test_other_paths_stay_what_they_were() -> None:
    site = NotarySite()
    assert site.get("/v20/x").status_code == 404
    assert site.get("/healthz").json() == {"status": "ok"}


def test_a_tuf_collection_is_not_there_for_notarys_clients() -> None:
    site = NotarySite()
    site.begin()
    for name in ("root.json", "1.root.json", f"root.{HEX}.json", "timestamp.key"):
        assert site.tuf(name, GUN_A).status_code == 404, name
    assert site.request("POST", f"/v2/{GUN_A}/_trust/tuf/timestamp.key").status_code == 404
    root = site.store.load(GUN_A).files[ROOT]
    assert site.tuf(f"root.{root.sha256}.json", GUN_A).status_code == 404


def test_a_notary_collection_is_not_there_for_tuf_clients() -> None:
    site = NotarySite()
    site.begin_notary(GUN_A)
    for name in ("timestamp.json", "1.root.json", "root.json"):
        assert site.file(name).status_code == 404, name
    answer = site.get(f"/api/v1/collections/{GUN_A}/keys/timestamp")
    assert (answer.status_code, answer.json()["code"]) == (409, "collection-exists")
    assert site.get(f"/api/v1/collections/{GUN_A}").json()["format"] == "notary-v1"


def test_reads_of_a_name_that_began_anew_in_tuf_are_not_answered_from_before() -> None:
    site = NotarySite()
    site.begin_notary(GUN_A)
    assert site.tuf("root.json", GUN_A).status_code == 200
    assert site.request("DELETE", f"/v2/{GUN_A}/_trust/tuf/").status_code == 200
    site.begin()
    assert site.tuf("root.json", GUN_A).status_code == 404
    assert site.file("1.root.json").status_code == 200


def test_owners_of_two_collections_do_not_meet() -> None:
    site = NotarySite()
    one, two = site.begin_notary("a/b"), site.begin_notary("a/bfix")
    assert isinstance(one, NotaryOwner)
    assert site.tuf("root.json", "a/b").content == one.written[ROOT].raw
    assert site.tuf("root.json", "a/bfix").content == two.written[ROOT].raw


def test_reads_are_counted_for_the_metrics() -> None:
    site = NotarySite()
    site.begin_notary()
    for name in ("1.root.json", "9.root.json", "8.root.json"):
        site.tuf(name)
    page = site.get("/metrics").text
    assert 'trust_server_reads_total{answer="200"} 1.0' in page
    assert 'trust_server_reads_total{answer="404"} 2.0' in page
