"""The record of changes: what the server says of each, in both formats, and what it leaves out."""

from __future__ import annotations

import hashlib
import json
import threading
from collections.abc import Callable
from typing import Any, cast

import pytest

from tests.simulator.memory_store import MemoryStore
from tests.support.judged_apart import AskedHere
from tests.support.notary_owner import NotaryOwner
from tests.support.notary_site import GUN_N, NotarySite
from tests.support.server_owner import DIGEST, Owner
from tests.support.server_site import GUN_A
from tests.unit.server.guarded_site import Guarded, bearer
from trustdata.roles import ROOT, SNAPSHOT, TARGETS, TIMESTAMP
from trustserver.api import event_list
from trustserver.repository import changes
from trustserver.responses.recorded import event_json
from trustserver.storage.events import Actor, StoredEvent, canonical

OTHER = "cd" * 32
BOTH = pytest.mark.parametrize("gun", [GUN_A, GUN_N], ids=["tuf", "notary"])


class Ground:
    """A collection of a format, its owner, and the events of it."""

    def __init__(self, gun: str, site: NotarySite | None = None) -> None:
        self.gun = gun
        self.site = site or NotarySite()
        self.owner: Owner | NotaryOwner = self.site.begin() if gun == GUN_A else self.site.begin_notary()

    def upload(self, files: dict[Any, bytes]) -> None:
        send: Callable[..., Any] = self.site.publish if self.gun == GUN_A else self.site.upload
        assert send(files).status_code == 200

    def stored(self) -> list[StoredEvent]:
        return list(self.site.store.events(None, after=0, limit=1000))

    def events(self) -> list[dict[str, Any]]:
        return [json.loads(each.body) for each in self.stored()]

    def newest(self) -> dict[str, Any]:
        return self.events()[-1]


@pytest.fixture(params=[GUN_A, GUN_N], ids=["tuf", "notary"])
def ground(request: pytest.FixtureRequest) -> Ground:
    return Ground(request.param)


def test_a_first_publish_says_what_there_is(ground: Ground) -> None:
    (event,) = ground.events()
    assert (event["kind"], event["number"], event["name_number"], event["revision"]) == ("published", 1, 1, 1)
    roles = {row["role"]: (row["version"], row["sha256"]) for row in event["roles"]["listed"]}
    files = ground.site.store.load(cast("Any", ground.gun)).files
    assert roles == {str(role): (file.version, file.sha256) for role, file in files.items()}
    assert (event["roles"]["total"], event["roles"]["cut"]) == (4, False)
    assert {(row["file"], row["role"], row["threshold_before"]) for row in event["keys"]["listed"]} == {
        ("root", role, None) for role in (ROOT, TARGETS, SNAPSHOT, TIMESTAMP)
    }


def test_tags_are_told_with_their_digests(ground: Ground) -> None:
    ground.owner.tags = {"1.0": DIGEST, "2.0": DIGEST, "3.0": DIGEST}
    ground.upload({TARGETS: ground.owner.targets()})
    ground.owner.tags = {"1.0": DIGEST, "2.0": OTHER, "4.0": OTHER}
    ground.upload({TARGETS: ground.owner.targets()})
    event = ground.newest()
    tags = event["tags"]
    assert (tags["added"], tags["changed"], tags["removed"], tags["total"], tags["cut"]) == (1, 1, 1, 3, False)
    assert [(row["tag"], row["before"], row["after"]) for row in tags["listed"]] == [
        ("2.0", f"sha256:{DIGEST}", f"sha256:{OTHER}"),
        ("3.0", f"sha256:{DIGEST}", None),
        ("4.0", None, f"sha256:{OTHER}"),
    ]
    assert {row["role"] for row in tags["listed"]} == {"targets"}
    assert "keys" not in event
    assert "delegations" not in event
    assert [row["role"] for row in event["roles"]["listed"]] == ["timestamp", "snapshot", "targets"]


def test_a_signer_is_told_with_its_key(ground: Ground) -> None:
    add = ground.owner.add_signer if isinstance(ground.owner, Owner) else ground.owner.add_delegation
    role = add("targets/alice" if isinstance(ground.owner, NotaryOwner) else "alice")
    ground.upload({TARGETS: ground.owner.targets()})
    event = ground.newest()
    (key,) = event["keys"]["listed"]
    assert (key["file"], key["role"], len(key["added"]), key["threshold_after"]) == ("targets", role, 1, 1)
    assert [(row["role"], row["change"]) for row in event["delegations"]["listed"]] == [(role, "added")]


def test_a_key_for_a_rotation_is_told_once(ground: Ground) -> None:
    path = f"/api/v1/collections/{GUN_A}/keys/timestamp" if ground.gun == GUN_A else ""
    ask = (lambda: ground.site.request("POST", path)) if path else (lambda: _notary_key(ground.site))
    assert [ask().status_code, ask().status_code] == [200, 200]
    event = ground.newest()
    assert (len(ground.events()), event["kind"], event["role"], event["revision"]) == (2, "key-made", "timestamp", 2)
    assert len(event["keyid"]) == 64


def _notary_key(site: NotarySite) -> Any:
    return site.request("POST", f"/v2/{GUN_N}/_trust/tuf/timestamp.key")


def test_a_deletion_is_told_with_what_was_deleted(ground: Ground) -> None:
    first = ground.events()[0]
    path = f"/api/v1/collections/{GUN_A}" if ground.gun == GUN_A else f"/v2/{GUN_N}/_trust/tuf/"
    assert ground.site.request("DELETE", path).status_code == 200
    event = ground.newest()
    roles = {row["role"]: row for row in first["roles"]["listed"]}
    assert (event["kind"], event["root"]) == ("deleted", f"sha256:{roles['root']['sha256']}")
    assert event["versions"] == {role: row["version"] for role, row in roles.items()}
    assert event["revision"] == 2


def test_what_the_server_does_by_itself_is_not_recorded(ground: Ground) -> None:
    ground.site.later(days=8)
    ground.site.upkeep()
    assert ground.site.store.load(cast("Any", ground.gun)).revision == 2
    assert len(ground.events()) == 1


def test_what_is_refused_is_not_recorded(ground: Ground) -> None:
    old = ground.owner.targets()
    ground.upload({TARGETS: old})
    send: Callable[..., Any] = ground.site.publish if ground.gun == GUN_A else ground.site.upload
    assert send({TARGETS: old}).status_code >= 400
    assert len(ground.events()) == 2


def test_who_published_stands_beside_the_event_with_address_and_program() -> None:
    ground = Ground(GUN_A)
    (by,) = ground.stored()[0].people
    assert (by.part, by.actor.subject, by.actor.kind) == ("by", "anonymous", "anonymous")
    assert by.actor.address == "127.0.0.1"
    assert by.actor.client.startswith("python-httpx/")
    assert ground.events()[0]["people"] == {"by": by.actor.commitment(by.salt)}


@BOTH
def test_an_upload_that_is_judged_apart_says_the_same(gun: str) -> None:
    """The same changes of a file with many tags, judged in the process and by another one."""
    said = []
    for apart in (False, True):
        store = MemoryStore()
        ground = Ground(gun, NotarySite(store, helper=AskedHere(store) if apart else None))
        many = {f"v{number}": hashlib.sha256(str(number).encode()).hexdigest() for number in range(3000)}
        for tags in (many, many | {"v7": OTHER, "new": OTHER}, {"v7": OTHER}):
            ground.owner.tags = dict(tags)
            ground.upload({TARGETS: ground.owner.targets()})
        said.append([event["tags"] for event in ground.events()])
    here, apart_said = said
    assert here == apart_said
    assert [(each["added"], each["changed"], each["removed"]) for each in here] == [
        (1, 0, 0),
        (3000, 0, 1),
        (1, 1, 0),
        (0, 0, 3000),
    ]
    assert [each["cut"] for each in here] == [False, True, False, True]
    assert all(len(json.dumps(each)) < 3 * changes.LIST_BYTES for each in here)


def test_a_tag_with_a_name_beyond_all_bounds_is_counted_and_not_listed() -> None:
    ground = Ground(GUN_N)
    ground.owner.tags = {"x" * changes.LIST_BYTES: DIGEST, "y": DIGEST}
    ground.upload({TARGETS: ground.owner.targets()})
    tags = ground.newest()["tags"]
    assert ([row["tag"] for row in tags["listed"]], tags["added"], tags["cut"]) == (["1.0", "y"], 2, True)


def page(site: NotarySite, query: str = "") -> tuple[list[dict[str, Any]], int | None]:
    answer = site.get(f"/api/v1/events{query}")
    assert answer.status_code == 200, answer.text
    document = answer.json()
    return document["events"], document["next"]


def test_the_record_is_read_in_pages() -> None:
    site = NotarySite()
    for number in range(5):
        site.begin(f"{GUN_A}/n{number}")
    whole, behind = page(site)
    assert ([row["event"]["number"] for row in whole], behind) == ([1, 2, 3, 4, 5], None)
    first, after = page(site, "?limit=2")
    assert (first, after) == (whole[:2], 2)
    assert page(site, "?limit=2&after=4") == (whole[4:], None)
    of_one, _ = page(site, f"?name={GUN_A}/n3")
    assert of_one == whole[3:4]
    assert page(site, "?name=registry.example.com/other") == ([], None)


class RecordingStore(MemoryStore):
    """Keeps those who read pages waiting until it is pinged. Counts how many there are, and notes in which threads."""

    def __init__(self) -> None:
        super().__init__()
        self.counting = threading.Lock()
        self.pinged = threading.Event()
        self.running = self.most = 0
        self.threads: set[int] = set()

    def ping(self) -> None:
        self.pinged.set()

    def events(self, *args: Any, **options: Any) -> tuple[StoredEvent, ...]:
        with self.counting:
            self.running += 1
            self.most = max(self.most, self.running)
            self.threads.add(threading.get_ident())
        self.pinged.wait(20)
        try:
            return super().events(*args, **options)
        finally:
            with self.counting:
                self.running -= 1


def test_a_page_ends_before_it_has_too_many_bytes_and_says_where_to_go_on(monkeypatch: pytest.MonkeyPatch) -> None:
    site = NotarySite()
    for number in range(5):
        site.begin(f"{GUN_A}/n{number}")
    whole = site.get("/api/v1/events")
    for limit, numbers in ((len(whole.content) // 2, [[1, 2], [3, 4], [5]]), (1, [[1], [2], [3], [4], [5]])):
        monkeypatch.setattr(event_list, "PAGE_BYTES", limit)
        pages: list[list[dict[str, Any]]] = []
        after: int | None = 0
        while after is not None:
            rows, after = page(site, f"?after={after}")
            pages.append(rows)
        assert [[row["event"]["number"] for row in rows] for rows in pages] == numbers, "one event, however large it is"
        assert [row for rows in pages for row in rows] == whole.json()["events"]


def test_pages_are_made_beside_the_event_loop_and_two_at_one_time(monkeypatch: pytest.MonkeyPatch) -> None:
    store = RecordingStore()
    site = NotarySite(store)
    site.begin()
    made: set[int] = set()

    def made_in(event: StoredEvent) -> bytes:
        made.add(threading.get_ident())
        return event_json(event)

    monkeypatch.setattr(event_list, "event_json", made_in)
    paths = [*["/api/v1/events"] * 4, "/readyz"]  # this one pings, after all the others have begun
    answers = site.together(*({"method": "GET", "url": path} for path in paths))
    assert [answer.status_code for answer in answers] == [200] * 5
    assert store.most == 2
    assert made
    assert threading.get_ident() not in made | store.threads


def test_a_page_has_the_bytes_that_hashes_are_made_of_and_the_people() -> None:
    ground = Ground(GUN_A)
    (row,), _ = page(ground.site)
    (stored,) = ground.stored()
    assert canonical(row["event"]) == stored.body
    assert row["about"] is None
    salt = bytes.fromhex(row["by"].pop("salt"))
    assert Actor(**row["by"]).commitment(salt) == row["event"]["people"]["by"]
    ground.site.store.erase_people("anonymous", stored="anonymous", by=stored.people[0].actor, at=ground.site.now())
    rows, _ = page(ground.site)
    assert (rows[0]["by"], rows[0]["event"]) == (None, row["event"])


@pytest.mark.parametrize(
    ("query", "place"),
    [
        *((f"?limit={limit}", "limit") for limit in ("0", "101", "-1", "x", "1e1", "%D9%A1")),
        *((f"?after={after}", "after") for after in ("", "-1", "x", "1" * 19, "%D9%A1")),
    ],
)
def test_a_page_is_bounded(query: str, place: str) -> None:
    answer = NotarySite().get(f"/api/v1/events{query}")
    assert (answer.status_code, answer.json()["code"], answer.json()["place"]) == (400, "bad-request", place)


@pytest.mark.parametrize("name", ["", "UPPER/x", "a/../b", "x%00y/z"])
def test_a_name_that_is_none_is_told(name: str) -> None:
    assert NotarySite().get(f"/api/v1/events?name={name}").status_code == 400


def test_who_may_not_know_all_names_reads_no_events() -> None:
    site = Guarded()
    for headers in ({}, bearer("pull"), bearer("*")):
        answer = site.get("/api/v1/events", headers=headers)
        assert answer.status_code == 401
        assert 'scope="registry:catalog:*"' in answer.headers["www-authenticate"]
    assert site.get("/api/v1/events", headers=bearer("*", name="catalog", kind="registry")).status_code == 200


def test_a_token_names_who_changed_something() -> None:
    site = Guarded()
    site.get(f"/api/v1/collections/{GUN_A}/keys/timestamp", headers=bearer("push", "pull"))
    owner = Owner()
    for role in (SNAPSHOT, TIMESTAMP):
        path = f"/api/v1/collections/{GUN_A}/keys/{role}"
        owner.learn(role, site.get(path, headers=bearer("push", "pull")).raise_for_status().json())
    parts = [("files", (role, raw)) for role, raw in owner.first_upload().items()]
    path = f"/api/v1/collections/{GUN_A}/publish"
    assert site.request("POST", path, files=parts, headers=bearer("push", "pull", sub="alice")).status_code == 200
    ((person,),) = [each.people for each in site.store.events(None, after=0, limit=9)]
    assert (person.actor.subject, person.actor.kind) == ("registry-token:alice", "registry-token")


def test_the_oldest_events_go_where_the_operator_says_so() -> None:
    site = NotarySite(keep_events=2)
    for number in range(4):
        site.begin(f"{GUN_A}/n{number}")
    site.upkeep()
    assert [row["event"]["number"] for row in page(site)[0]] == [3, 4]


def test_owners_are_told_in_time_what_runs_out() -> None:
    ground = Ground(GUN_A)
    ground.site.later(days=330)
    ground.site.upkeep()
    assert len(ground.events()) == 1
    ground.site.later(days=10)
    for _ in range(2):
        ground.site.upkeep()
    event = ground.newest()
    assert (len(ground.events()), event["kind"], event["role"]) == (2, "expiring", "targets")
