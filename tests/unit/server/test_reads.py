"""Reads of trust data: statuses, cache headers, conditional and HEAD requests, names in paths, renewal when read."""

from __future__ import annotations

from collections.abc import Collection
from datetime import timedelta

import pytest

from tests.simulator.memory_store import MemoryStore
from tests.support.server_owner import NOW
from tests.support.server_site import GUN_A, Site
from trustdata.errors import NotStored
from trustdata.gun import GUN
from trustdata.roles import SNAPSHOT, TARGETS, TIMESTAMP, RoleName
from trustdata.wire.tuf import TUF
from trustserver.storage.ports import Publication, StoredCollection


@pytest.mark.parametrize("cold", [False, True], ids=["from the view", "from the store"])
@pytest.mark.parametrize(
    ("name", "status", "cache"),
    [
        ("1.root.json", 200, "public, max-age=31536000, immutable"),
        ("1.targets.json", 200, "public, max-age=31536000, immutable"),
        ("1.snapshot.json", 200, "public, max-age=31536000, immutable"),
        ("timestamp.json", 200, "no-cache"),
        ("root.json", 200, "no-cache"),
        ("2.root.json", 404, "no-store"),
        ("3.root.json", 404, "no-store"),
        ("2.targets.json", 404, "no-store"),
        ("1.targets%2Fnobody.json", 404, "no-store"),
        ("999999999999999999.root.json", 404, "no-store"),
    ],
)
def test_status_and_cache_control(name: str, status: int, cache: str, *, cold: bool) -> None:
    site = Site()
    site.begin()
    if cold:
        site = Site(site.store)
    for _ in range(2):
        answer = site.file(name)
        assert (answer.status_code, answer.headers["cache-control"]) == (status, cache)
        kind = "application/json" if status == 200 else "application/problem+json"
        assert answer.headers["content-type"] == kind
        assert int(answer.headers["content-length"]) == len(answer.content)


def test_published_files_and_the_next_root_need_no_store() -> None:
    site = Site()
    site.begin()
    for name in ("1.root.json", "2.root.json", "1.targets.json", "1.snapshot.json", "timestamp.json"):
        site.file(name)
    assert site.app.asgi.answered == 5


def test_the_next_root_is_found_as_soon_as_it_is_published() -> None:
    site = Site()
    owner = site.begin()
    assert site.file("2.root.json").status_code == 404
    site.publish({"root": owner.root()}).raise_for_status()
    assert site.file("2.root.json").status_code == 200
    assert site.file("3.root.json").status_code == 404


@pytest.mark.parametrize("given", ["{etag}", "W/{etag}", '"x", {etag}', "*"])
def test_a_client_that_has_the_file_gets_304(given: str) -> None:
    site = Site()
    site.begin()
    first = site.file("timestamp.json")
    answer = site.file("timestamp.json", headers={"If-None-Match": given.format(etag=first.headers["etag"])})
    assert (answer.status_code, answer.content, answer.headers["etag"]) == (304, b"", first.headers["etag"])
    assert answer.headers["cache-control"] == "no-cache"


def test_a_client_that_has_another_file_gets_this_one() -> None:
    site = Site()
    owner = site.begin()
    old = site.file("timestamp.json").headers["etag"]
    site.publish({TARGETS: owner.targets()}).raise_for_status()
    assert site.file("timestamp.json", headers={"If-None-Match": old}).status_code == 200


def test_head_has_the_headers_and_no_body() -> None:
    site = Site()
    site.begin()
    whole = site.file("timestamp.json")
    head = site.request("HEAD", f"/tuf/{GUN_A}/metadata/timestamp.json")
    assert head.content == b""
    assert head.headers["content-length"] == str(len(whole.content))
    assert head.headers["etag"] == whole.headers["etag"]
    assert site.request("HEAD", f"/tuf/{GUN_A}/metadata/9.root.json").content == b""


def test_a_port_may_be_percent_encoded() -> None:
    site = Site()
    site.begin("localhost:5000/app")
    plain = site.get("/tuf/localhost:5000/app/metadata/timestamp.json")
    assert plain.status_code == 200
    assert site.get("/tuf/localhost%3A5000/app/metadata/timestamp.json").content == plain.content
    assert site.get("/tuf/localhost%3a5000/app/metadata/timestamp.json").content == plain.content
    assert site.get("/api/v1/collections/localhost%3A5000/app").json()["gun"] == "localhost:5000/app"


@pytest.mark.parametrize(
    "gun",
    [
        "example.com%2Fapp",
        "example.com%2fapp",
        "example.com/%2e%2e/app",
        "example.com//app",
        "Example.com/app",
        "example.com/App",
        "example.com/a%00b",
        "example.com/app%20x",
        "example.com/app%",
        "example.com/" + "a" * 300,
        "",
    ],
)
def test_tricks_with_names_are_400(gun: str) -> None:
    site = Site()
    for path in (f"/tuf/{gun}/metadata/timestamp.json", f"/api/v1/collections/{gun}/keys/snapshot"):
        answer = site.get(path)
        assert (answer.status_code, answer.json()["code"]) == (400, "invalid-name"), path
    assert site.request("POST", f"/api/v1/collections/{gun}/publish").status_code == 400


@pytest.mark.parametrize("gun", [b"example.com/../app", b"example.com/./app", b"..", b"example.com/app/."])
def test_dot_segments_are_400(gun: bytes) -> None:
    site = Site()
    assert site.raw("GET", b"/tuf/" + gun + b"/metadata/timestamp.json") == 400
    assert site.raw("POST", b"/api/v1/collections/" + gun + b"/publish") == 400
    assert site.raw("DELETE", b"/api/v1/collections/" + gun) == 400


@pytest.mark.parametrize(
    "name", ["timestamp", "", ".json", "1.timestamp.json", "a/b.json", "1.%ff.json", "1.%00.json", "0.root.json/"]
)
def test_what_is_no_file_name_is_400(name: str) -> None:
    site = Site()
    site.begin()
    assert site.file(name).status_code == 400


@pytest.mark.parametrize("name", ["0.root.json", "01.root.json", "-1.root.json", "1.ROOT.json"])
def test_odd_versions_are_not_found(name: str) -> None:
    site = Site()
    site.begin()
    assert site.file(name).status_code == 404


def test_the_last_metadata_splits() -> None:
    site = Site()
    gun = "example.com/metadata/app"
    site.begin(gun)
    assert site.file("timestamp.json", gun).status_code == 200
    other = "example.com/keys/publish"
    site.begin(other)
    assert site.file("timestamp.json", other).status_code == 200


@pytest.mark.parametrize(
    "gun",
    [
        "example.com/ci/publish",
        "example.com/ci/keys/alice",
        "example.com/keys/publish",
        "example.com/publish/keys/root",
    ],
)
def test_names_that_look_like_questions_are_names(gun: str) -> None:
    site = Site()
    owner = site.begin(gun)
    assert site.get(f"/api/v1/collections/{gun}").json()["gun"] == gun
    assert site.publish({"root": owner.root()}, gun).json()["gun"] == gun
    assert site.request("DELETE", f"/api/v1/collections/{gun}").json() == {"gun": gun, "revision": 3}
    assert site.get(f"/api/v1/collections/{gun}").status_code == 410


def test_deleting_never_splits_a_name() -> None:
    """A DELETE that is meant for one collection must not hit another, nor none."""
    site = Site()
    site.begin("example.com/ci")
    for below in ("publish", "keys/snapshot", "keys/alice"):
        assert site.request("DELETE", f"/api/v1/collections/example.com/ci/{below}").json()["code"] == "no-trust-data"
    assert site.get("/api/v1/collections/example.com/ci").status_code == 200


@pytest.mark.parametrize(
    ("header", "value", "refused"),
    [
        ("Origin", "https://evil.example", True),
        ("origin", "null", True),
        ("Sec-Fetch-Site", "cross-site", True),
        ("Sec-Fetch-Site", "same-site", True),
        ("sec-fetch-site", "same-origin", True),  # a name of the page's own that points to this server
        ("Sec-Fetch-Site", "none", False),
        ("Accept", "*/*", False),
    ],
)
def test_a_web_page_gets_no_keys_made(header: str, value: str, *, refused: bool) -> None:
    site = Site()
    expected = 403 if refused else 200
    for path in (
        f"/api/v1/collections/{GUN_A}/keys/snapshot",
        f"/v2/{GUN_A}/_trust/tuf/timestamp.key",
        f"/v2/{GUN_A}/_trust/tuf/snapshot%2Ekey",
    ):
        assert site.request("GET", path, headers={header: value}).status_code == expected
    assert len(site.store.offer_salts()) == (0 if refused else 1)


def test_a_web_page_changes_nothing() -> None:
    site = Site()
    owner = site.begin()
    before = site.store.load(GUN(GUN_A))
    page = {"Origin": "http://rebound.example.com"}
    path = f"/api/v1/collections/{GUN_A}"
    for method, place in (("DELETE", path), ("POST", f"{path}/keys/snapshot"), ("OPTIONS", path), ("PUT", "/healthz")):
        answer = site.request(method, place, headers=page)
        assert (answer.status_code, answer.json()["code"]) == (403, "refused-origin")
    files = [("files", ("root", owner.root()))]
    assert site.request("POST", f"{path}/publish", files=files, headers=page).json()["code"] == "refused-origin"
    assert site.store.load(GUN(GUN_A)) == before
    for method in ("GET", "HEAD"):
        assert site.request(method, path, headers=page).status_code == (200 if method == "GET" else 405)
        assert site.request(method, f"/tuf/{GUN_A}/metadata/timestamp.json", headers=page).status_code == 200


def test_unknown_names_and_wrong_methods_are_problems() -> None:
    site = Site()
    assert site.file("timestamp.json").json()["code"] == "no-trust-data"
    assert site.get(f"/api/v1/collections/{GUN_A}").json()["code"] == "no-trust-data"
    assert site.request("POST", f"/tuf/{GUN_A}/metadata/timestamp.json").status_code == 400
    assert site.get("/api/v1/nothing/here").headers["content-type"] == "application/problem+json"
    assert site.get(f"/api/v1/collections/{GUN_A}/keys/ROOT").json()["code"] == "invalid-name"
    assert site.request("POST", f"/api/v1/collections/{GUN_A}/keys/root").status_code == 405
    assert site.request("PUT", f"/api/v1/collections/{GUN_A}").status_code == 405


def test_a_reader_renews_what_is_due() -> None:
    site = Site()
    site.begin()
    before = site.file("timestamp.json")
    site.later(hours=35)
    assert site.file("timestamp.json").content == before.content
    site.later(hours=2)
    after = TUF.parse(TIMESTAMP, site.file("timestamp.json").content)
    assert (after.version, after.expires) == (2, site.at + timedelta(days=3))
    assert after.timestamp.snapshot_meta.version == 1, "the snapshot was not due"
    assert site.get(f"/api/v1/collections/{GUN_A}").json()["revision"] == 2, "a renewal moves the revision"
    site.later(days=6)
    assert TUF.parse(TIMESTAMP, site.file("timestamp.json").content).timestamp.snapshot_meta.version == 2
    assert TUF.parse(SNAPSHOT, site.file("2.snapshot.json").content).expires == site.at + timedelta(days=14)


def test_a_round_renews_every_collection_that_is_due() -> None:
    site = Site()
    guns = [f"example.com/app{number}" for number in range(3)]
    for gun in guns:
        site.begin(gun)
    assert site.app.renewal.round(at=site.at).renewed == 0
    site.later(hours=36)
    assert site.app.renewal.round(at=site.at).renewed == 3
    assert site.app.renewal.round(at=site.at).renewed == 0
    for gun in guns:
        assert TUF.parse(TIMESTAMP, site.file("timestamp.json", gun).content).version == 2
    assert site.app.asgi.answered == 3, "the view shows what a round renewed"


def test_renewal_outlives_the_expiry_of_offline_roles() -> None:
    site = Site()
    site.begin()
    site.later(days=800)
    assert TUF.parse(TIMESTAMP, site.file("timestamp.json").content).expires > site.at


def test_readers_get_what_there_is_while_renewal_fails() -> None:
    class ReadOnly(MemoryStore):
        broken = False
        attempts = 0

        def publish(self, publication: Publication) -> int:
            if self.broken:
                self.attempts += 1
                raise NotStored(reason="read-only file system")
            return super().publish(publication)

    store = ReadOnly()
    site = Site(store)
    site.begin()
    before = site.file("timestamp.json").content
    store.broken = True
    site.later(hours=40)
    for _ in range(3):
        assert site.file("timestamp.json").content == before
    assert store.attempts == 1, "the next attempt waits"
    store.broken = False
    site.later(minutes=1)
    assert TUF.parse(TIMESTAMP, site.file("timestamp.json").content).version == 2


def test_deletion_leaves_410_with_the_tombstone_and_404_for_tuf_clients() -> None:
    site = Site()
    owner = site.begin()
    first_root = site.file("1.root.json").headers["etag"].strip('"')
    site.publish({"root": owner.root()}).raise_for_status()
    assert site.request("DELETE", f"/api/v1/collections/{GUN_A}").json() == {"gun": GUN_A, "revision": 3}
    answer = site.get(f"/api/v1/collections/{GUN_A}")
    assert answer.status_code == 410
    told = answer.json()
    assert told["code"] == "collection-deleted"
    assert told["deleted_root"] == f"sha256:{first_root}"
    assert told["versions"] == {"root": 2, "targets": 1, "snapshot": 2, "timestamp": 2}
    assert (told["deleted_at"], told["subject"]) == (NOW.strftime("%Y-%m-%dT%H:%M:%SZ"), "anonymous")
    for name in ("timestamp.json", "1.root.json", "3.root.json"):
        gone = site.file(name)
        assert (gone.status_code, gone.json()["code"]) == (404, "collection-deleted")
    assert site.request("DELETE", f"/api/v1/collections/{GUN_A}").status_code == 410
    assert site.get(f"/api/v1/collections/{GUN_A}/keys/snapshot").status_code == 410
    again = site.publish(owner.first_upload()).json()
    assert (again["code"], again["title"]) == ("collection-exists", "Collection exists")


def test_a_released_name_may_begin_anew() -> None:
    site = Site()
    site.begin()
    site.request("DELETE", f"/api/v1/collections/{GUN_A}")
    assert site.store.release(GUN(GUN_A))
    site.begin()
    assert site.get(f"/api/v1/collections/{GUN_A}").json()["revision"] == 4
    assert TUF.parse(TIMESTAMP, site.file("timestamp.json").content).version == 1


def test_roles_that_expire_first_are_named_where_the_operator_says_so() -> None:
    site = Site(named_expiries=1)
    site.begin()
    lines = [line for line in site.get("/metrics").text.splitlines() if line.startswith("trust_server_seconds_to_exp")]
    named = [line.rpartition(" ") for line in lines if "gun=" in line]
    assert [(series, float(value)) for series, _, value in named] == [
        (f'trust_server_seconds_to_expiry{{gun="{GUN_A}",role="timestamp"}}', 3 * 86400),
        (f'trust_server_seconds_to_expiry{{gun="{GUN_A}",role="targets"}}', 365 * 86400),
    ]
    assert len([line for line in lines if "gun=" not in line]) == 4


def test_the_operators_pages() -> None:
    site = Site()
    site.begin()
    site.file("timestamp.json")
    site.file("7.root.json")
    assert site.get("/healthz").status_code == 200
    assert site.get("/readyz").status_code == 200
    text = site.get("/metrics").text
    assert 'trust_server_publishes_total{outcome="stored"} 1.0' in text
    assert 'trust_server_reads_total{answer="view"} 1.0' in text
    assert 'trust_server_reads_total{answer="404"} 1.0' in text
    assert 'trust_server_seconds_to_expiry{role="timestamp"} 259200.0' in text
    assert "gun=" not in text, "names are told nobody unless the operator says so"
    paths = site.get("/api/v1/openapi.json").json()["paths"]
    assert set(paths) == {
        "/api/v1/collections",
        "/api/v1/collections/{gun}",
        "/api/v1/collections/{gun}/keys/{role}",
        "/api/v1/collections/{gun}/publish",
        "/api/v1/collections/{gun}/take-over",
        "/api/v1/events",
        "/api/v1/access/exchange",
        "/api/v1/access/whoami",
    }


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/healthz"),
        ("GET", "/readyz"),
        ("GET", "/metrics"),
        ("GET", "/api/v1/openapi.json"),
        ("GET", "/api/v1/collections"),
        ("GET", "/api/v1/events"),
        ("GET", f"/api/v1/collections/{GUN_A}"),
        ("POST", f"/api/v1/collections/{GUN_A}/publish"),
        ("DELETE", "/healthz"),
        ("GET", "/nowhere"),
        ("GET", "/"),
        ("GET", f"/tuf/{GUN_A}/metadata/timestamp.json"),
        ("GET", f"/tuf/{GUN_A}/metadata/9.root.json"),
        ("GET", "/tuf/x"),
        ("GET", "/v2/"),
        ("GET", f"/v2/{GUN_A}/_trust/tuf/root.json"),
        ("GET", f"/v2/{GUN_A}/_trust/tuf/timestamp.key"),
        ("GET", f"/v2/{GUN_A}/_trust/changefeed"),
    ],
)
def test_no_browser_guesses_the_type_of_a_response(method: str, path: str) -> None:
    site = Site()
    site.begin()
    assert site.request(method, path).headers.get_list("x-content-type-options") == ["nosniff"]


def test_not_ready_without_the_database_or_while_stopping() -> None:
    class Silent(MemoryStore):
        def ping(self) -> None:
            raise NotStored(reason="disk I/O error")

    assert Site(Silent()).get("/readyz").status_code == 503
    site = Site()
    site.app.in_flight.stopping = True
    assert site.get("/readyz").status_code == 503
    assert site.request("DELETE", f"/api/v1/collections/{GUN_A}").json()["code"] == "stopping"


def test_failures_of_ours_are_500_without_a_word() -> None:
    class Broken(MemoryStore):
        def load(self, gun: GUN, *, only: Collection[RoleName] | None = None) -> StoredCollection:
            raise ZeroDivisionError("secret")

    answer = Site(Broken()).get(f"/api/v1/collections/{GUN_A}")
    assert (answer.status_code, answer.json()["code"]) == (500, "internal")
    assert "secret" not in answer.text
