"""What the front reads from the store for everybody: what the application answers, or nothing."""

from __future__ import annotations

import asyncio
from urllib.parse import quote

import pytest

from tests.simulator.memory_store import MemoryStore
from tests.support.notary_site import GUN_N, NotarySite
from tests.support.server_site import GUN_A, Site
from tests.unit.server.guarded_site import Guarded
from trustdata.errors import NotStored
from trustdata.gun import GUN
from trustdata.roles import RoleName
from trustserver.responses.ready import ReadyResponse
from trustserver.storage.ports import StoredFile

TUF = f"/tuf/{GUN_A}/metadata/"
NOTARY = f"/v2/{GUN_N}/_trust/tuf/"


def read(site: Site, path: str) -> ReadyResponse | None:
    """What the store has for the front; None if it is not asked, or the application has to answer."""
    raw = path.encode()
    return asyncio.run(site.app.asgi.read(raw)) if site.app.asgi.may_be_stored(raw) else None


def alike(site: Site, path: str) -> None:
    """Assert that the front, on a server that has just started, says what the application says."""
    found = read(type(site)(site.store), path)
    assert found is not None, path
    answer = type(site)(site.store).get(path)
    told = {name.decode(): value.decode() for name, value in found.start["headers"]}
    assert (found.status, told, found.body["body"]) == (answer.status_code, dict(answer.headers), answer.content)


@pytest.mark.parametrize(
    "name",
    ["root.json", "1.root.json", "2.root.json", "9.root.json", "1.targets.json", "1.snapshot.json", "timestamp.json"],
)
def test_files_of_tuf_collections_and_those_that_are_not_there(name: str) -> None:
    site = Site()
    site.begin()
    alike(site, f"{TUF}{name}")
    alike(site, f"/tuf/{quote(GUN_A, safe='/')}-unknown/metadata/{name}")


@pytest.mark.parametrize("name", ["root.json", "1.root.json", "targets.json", "snapshot.json", "timestamp.json"])
def test_files_of_notary_collections(name: str) -> None:
    site = NotarySite()
    site.begin_notary()
    alike(site, f"{NOTARY}{name}")


@pytest.mark.parametrize(
    "path",
    [
        f"{TUF}timestamp.json?x=1",
        f"{TUF}1.timestamp.json",
        f"{TUF}../root.json",
        f"{TUF}",
        "/tuf/Upper/metadata/root.json",
        "/tuf/x",
        "/tuf",
        "/",
        "/healthz",
        "/metrics",
        f"/api/v1/collections/{GUN_A}",
        "/v2/",
        f"/v2/{GUN_N}/_trust/tuf/timestamp.key",
        f"/v2/{GUN_N}/_trust/changefeed",
        f"/v2/{GUN_N}/_trust/tuf/9.root.json",
        f"/v2/{GUN_N}/_trust/tuf/../root.json",
        "/v2/x%FF/_trust/tuf/root.json",
    ],
)
def test_everything_else_is_left_to_the_application(path: str) -> None:
    site = NotarySite()
    site.begin()
    site.begin_notary()
    assert read(site, path) is None


def test_what_must_be_renewed_first_is_left_to_it_too() -> None:
    for site, path in ((Site(), f"{TUF}timestamp.json"), (NotarySite(), f"{NOTARY}timestamp.json")):
        if isinstance(site, NotarySite):
            site.begin_notary()
        else:
            site.begin()
        again = type(site)(site.store, sealer=site.sealer)
        assert read(again, path) is not None
        again.later(days=13)
        assert read(again, path) is None
        assert again.get(path).status_code == 200
        assert read(again, path) is not None, "now it is renewed"


def test_a_store_that_fails_is_left_to_it_too() -> None:
    class Broken(MemoryStore):
        def current_timestamp(self, gun: GUN, *, wire: str = "") -> None:
            raise NotStored(reason="disk I/O error")

        def current(self, gun: GUN, role: RoleName, *, wire: str = "") -> StoredFile | None:
            raise NotStored(reason="disk I/O error")

    site = Site(Broken())
    assert read(site, f"{TUF}timestamp.json") is None
    assert site.get(f"{TUF}timestamp.json").status_code == 503


def test_nothing_is_read_for_those_who_must_bring_a_token() -> None:
    store = MemoryStore()
    Site(store).begin()
    for site, answers in ((Guarded(store), False), (Guarded(store, anonymous_pull=True), True)):
        assert site.app.asgi.may_be_stored(f"{TUF}timestamp.json".encode()) is answers


def test_reads_are_counted_by_status_and_time() -> None:
    site = NotarySite()
    site.begin()
    site.begin_notary()
    again = NotarySite(site.store)
    for path in (f"{TUF}1.root.json", f"{TUF}7.root.json", f"{NOTARY}root.json"):
        found = read(again, path)
        assert found is not None
        again.app.asgi.count(path.encode(), found.status)
    page = again.get("/metrics").text
    assert 'trust_server_reads_total{answer="200"} 2.0' in page
    assert 'trust_server_reads_total{answer="404"} 1.0' in page
    assert 'trust_server_request_seconds_count{kind="read"} 3.0' in page
