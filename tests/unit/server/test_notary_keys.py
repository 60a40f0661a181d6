"""Server-held keys, deletion and the change feed of Notary v1 (docs/reference/notary-api.md)."""

from __future__ import annotations

import json
from hashlib import sha256
from typing import Any

import httpx
import pytest

from keys.notary import NotaryKey
from tests.support.notary_owner import NotaryOwner, bare_signer, content_of
from tests.support.notary_site import EMPTY, GUN_N, NotarySite, refusal, refused_update
from tests.support.server_site import GUN_A
from trustdata.gun import GUN
from trustdata.roles import ONLINE, ROOT, SNAPSHOT, TARGETS, TIMESTAMP, RoleName
from trustserver.api import changefeed
from trustserver.storage.ports import Status

BASE = f"/v2/{GUN_N}/_trust/tuf/"


def keyid(answer: httpx.Response) -> str:
    assert answer.status_code == 200, answer.text
    document = answer.json()
    return NotaryKey.of(document["keytype"], document["keyval"]["public"]).keyid


def signers_of(site: NotarySite, name: str) -> list[str]:
    return [signature["keyid"] for signature in json.loads(site.tuf(name).content)["signatures"]]


# --- keys


@pytest.mark.parametrize("role", ONLINE)
def test_key_json_has_its_members_in_notarys_order(role: RoleName) -> None:
    answer = NotarySite().tuf(f"{role}.key")
    public = answer.json()["keyval"]["public"]
    expected = f'{{"keytype":"ecdsa","keyval":{{"public":"{public}","private":null}}}}'
    assert answer.content == expected.encode()


def test_a_key_handed_out_for_an_unknown_name_is_usable_by_its_first_publish() -> None:
    site = NotarySite()
    first = keyid(site.tuf("timestamp.key"))
    assert keyid(site.tuf("timestamp.key")) == first, "whoever asked before can publish, too"
    owner = site.begin_notary()
    assert owner.online[TIMESTAMP].keyid == first
    assert signers_of(site, "timestamp.json") == [first]


def test_one_offered_key_serves_either_format() -> None:
    site = NotarySite()
    tuf = site.get(f"/api/v1/collections/{GUN_A}/keys/timestamp").json()
    site.begin_notary(GUN_A)
    assert [key.keyid for key in site.store.load(GUN_A).keys if key.role == TIMESTAMP] == [tuf["keyid"]]


def test_after_the_first_publish_the_key_named_in_root_is_given() -> None:
    site = NotarySite()
    owner = site.begin_notary()
    for role in ONLINE:
        assert keyid(site.tuf(f"{role}.key")) == owner.online[role].keyid


@pytest.mark.parametrize("role", ONLINE)
def test_post_makes_a_pending_key_that_signs_in_the_transaction_of_the_root_that_names_it(role: RoleName) -> None:
    site = NotarySite()
    owner = site.begin_notary()
    old = owner.online[role].keyid
    made = site.request("POST", f"{BASE}{role}.key")
    assert keyid(made) != old
    assert keyid(site.tuf(f"{role}.key")) == old, "until a root names the new one"
    assert site.post(EMPTY).status_code == 200
    assert signers_of(site, f"{role}.json") == [old], "old keys stay usable until then"
    owner.learn(role, made.json())
    assert site.upload({ROOT: owner.root()}).status_code == 200
    assert signers_of(site, f"{role}.json") == [keyid(made)]
    assert keyid(site.tuf(f"{role}.key")) == keyid(made)
    assert site.post(EMPTY).status_code == 200


@pytest.mark.parametrize("role", ONLINE)
def test_post_on_an_unknown_name_makes_a_new_key_for_its_first_publish(role: RoleName) -> None:
    """`notary init`, `notary key rotate`, and only then `notary publish`."""
    site = NotarySite()
    owner = NotaryOwner(GUN_N, at=site.at)
    site.learn_notary_keys(owner)
    made = site.request("POST", f"{BASE}{role}.key")
    again = site.request("POST", f"{BASE}{role}.key")
    assert len({owner.online[role].keyid, keyid(made), keyid(again)}) == 3
    assert keyid(site.tuf(f"{role}.key")) == owner.online[role].keyid, "others who ask get what they got before"
    owner.learn(role, made.json())
    assert site.upload(owner.first_upload()).status_code == 200
    assert signers_of(site, f"{role}.json") == [keyid(made)]
    assert len(site.store.load(GUN(GUN_N)).keys) == len(ONLINE), "no other offer is kept"


def test_a_new_key_is_not_made_for_a_name_in_another_format() -> None:
    site = NotarySite()
    site.begin()
    answer = site.request("POST", f"/v2/{GUN_A}/_trust/tuf/snapshot.key")
    assert (answer.status_code, refusal(answer)["code"]) == (404, "METADATA_NOT_FOUND")


def test_a_snapshot_key_can_be_handed_to_the_server_and_taken_back() -> None:
    site = NotarySite()
    owner = site.begin_notary(holds_snapshot=True)
    theirs = owner.keys.pop(SNAPSHOT)
    offered = site.tuf("snapshot.key")
    assert keyid(offered) != theirs.public_key.keyid, "the server does not hold what root names"
    assert keyid(site.tuf("snapshot.key")) == keyid(offered)
    owner.learn(SNAPSHOT, offered.json())
    assert site.upload({ROOT: owner.root()}).status_code == 200
    assert signers_of(site, "snapshot.json") == [keyid(offered)]
    owner.keys[SNAPSHOT] = bare_signer()
    owner.written[SNAPSHOT] = owner.written[SNAPSHOT]
    root = owner.root()
    assert refused_update(site.upload({ROOT: root}))[0] == "ErrBadHierarchy"
    assert site.upload({ROOT: root, SNAPSHOT: owner.snapshot(version=9)}).status_code == 200
    assert keyid(site.tuf("snapshot.key")) not in {keyid(offered), owner.keys[SNAPSHOT].public_key.keyid}
    assert signers_of(site, "snapshot.json") == [owner.keys[SNAPSHOT].public_key.keyid]


def test_private_parts_never_leave() -> None:
    site = NotarySite()
    site.begin_notary()
    for answer in (site.tuf("timestamp.key"), site.request("POST", f"{BASE}snapshot.key")):
        assert answer.json()["keyval"]["private"] is None
        assert "PRIVATE" not in answer.text


# --- deletion


def test_deletion_removes_everything_and_a_new_init_starts_at_version_1_with_new_keys() -> None:
    site = NotarySite()
    owner = site.begin_notary()
    site.post(EMPTY)
    answer = site.request("DELETE", BASE)
    assert (answer.status_code, answer.content) == (200, b"")
    for name in ("root.json", "timestamp.json", "1.root.json", f"root.{owner.written[ROOT].sha256}.json"):
        assert site.tuf(name).status_code == 404, name
    again = site.begin_notary()
    assert again.online[TIMESTAMP].keyid != owner.online[TIMESTAMP].keyid
    assert site.versions() == {"root": 1, "targets": 2, "snapshot": 1, "timestamp": 1}


def test_deletion_is_200_also_if_nothing_was_there() -> None:
    site = NotarySite()
    for _ in range(2):
        assert site.request("DELETE", BASE).status_code == 200
    assert site.store.changes(None, after=0, limit=9) == ()


def test_deletion_leaves_a_tombstone_that_is_released_at_once() -> None:
    site = NotarySite()
    owner = site.begin_notary()
    site.request("DELETE", BASE)
    state = site.store.load(GUN(GUN_N))
    assert state.status is Status.RELEASED
    assert state.tombstone is not None
    assert state.tombstone.root_sha256 == owner.written[ROOT].sha256


def test_deletion_leaves_names_with_the_same_beginning_alone() -> None:
    site = NotarySite()
    for gun in ("a/b", "a/bfix", "a/b/c"):
        site.begin_notary(gun)
    site.request("DELETE", "/v2/a/b/_trust/tuf/")
    assert [site.tuf("root.json", gun).status_code for gun in ("a/b", "a/bfix", "a/b/c")] == [404, 200, 200]


def test_a_tuf_collection_is_not_deleted_from_here() -> None:
    site = NotarySite()
    site.begin()
    answer = site.request("DELETE", f"/v2/{GUN_A}/_trust/tuf/")
    assert refused_update(answer)[0] == "ErrValidation"
    assert site.store.load(GUN_A).status is Status.LIVE


def test_what_was_deleted_in_tuf_is_deleted_already() -> None:
    site = NotarySite()
    site.begin()
    assert site.request("DELETE", f"/api/v1/collections/{GUN_A}").status_code == 200
    assert site.request("DELETE", f"/v2/{GUN_A}/_trust/tuf/").status_code == 200
    assert site.store.load(GUN_A).status is Status.DELETED, "its name is still not free"


def test_the_management_interface_deletes_it_too() -> None:
    site = NotarySite()
    site.begin_notary(GUN_A)
    assert site.request("DELETE", f"/api/v1/collections/{GUN_A}").status_code == 200
    site.begin_notary(GUN_A)


# --- the change feed


def feed(site: NotarySite, query: str, gun: str = "") -> list[dict[str, Any]]:
    answer = site.get(f"/v2/{gun}{'/' if gun else ''}_trust/changefeed?{query}")
    assert answer.status_code == 200, answer.text
    document = answer.json()
    assert list(document) == ["count", "records"]
    assert document["count"] == len(document["records"])
    records: list[dict[str, Any]] = document["records"]
    return records


def busy() -> NotarySite:
    """Records 1 to 6: three of each of two collections, in turns."""
    site = NotarySite(resign_seconds=0)
    for gun in ("a", "b"):
        site.begin_notary(gun)
        site.later(seconds=1, microseconds=250_000)
    for gun in ("a", "b", "a", "b"):
        assert site.post(EMPTY, gun).status_code == 200
        site.later(seconds=1)
    return site


def ids(records: list[dict[str, Any]]) -> list[int]:
    return [int(record["ID"]) for record in records]


def test_a_record_of_the_feed_has_notarys_members() -> None:
    site = NotarySite()
    site.later(microseconds=120_000)
    site.begin_notary()
    assert feed(site, "records=1") == [
        {
            "ID": "1",
            "CreatedAt": "2026-11-01T12:00:00.12Z",
            "GUN": GUN_N,
            "Version": 1,
            "SHA256": sha256(site.tuf("timestamp.json").content).hexdigest(),
            "Category": "update",
        }
    ]
    assert list(feed(site, "records=1")[0]) == ["ID", "CreatedAt", "GUN", "Version", "SHA256", "Category"]


def test_a_renewal_and_a_deletion_are_in_the_feed() -> None:
    site = NotarySite()
    site.begin_notary()
    site.later(days=8)
    site.tuf("timestamp.json")
    site.request("DELETE", BASE)
    update, renewal, deletion = feed(site, "records=0")
    assert (update["Version"], renewal["Version"]) == (1, 2)
    assert deletion | {"ID": "", "CreatedAt": ""} == {
        "ID": "",
        "CreatedAt": "",
        "GUN": GUN_N,
        "Version": 0,
        "SHA256": "",
        "Category": "deletion",
    }
    assert deletion["CreatedAt"] == "2026-11-09T12:00:00Z"


def test_tuf_collections_are_not_in_the_feed() -> None:
    site = NotarySite()
    site.begin()
    assert feed(site, "records=0") == []
    assert feed(site, "records=0", GUN_A) == []


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("records=2", [1, 2]),
        ("records=0", [1, 2, 3, 4, 5, 6]),
        ("records=2&change_id=0", [1, 2]),
        ("records=2&change_id=3", [4, 5]),
        ("records=9&change_id=6", []),
        ("records=9&change_id=99", []),
        ("records=-2&change_id=5", [3, 4]),
        ("records=-9&change_id=1", []),
        ("records=2&change_id=-1", [5, 6]),
        ("records=-2&change_id=-1", [5, 6]),
        ("records=-2", [5, 6]),
        ("records=2&change_id=", [1, 2]),
    ],
)
def test_records_and_change_id(query: str, expected: list[int]) -> None:
    assert ids(feed(busy(), query)) == expected


def test_the_feed_of_one_collection_has_its_own_records_alone() -> None:
    site = busy()
    assert ids(feed(site, "records=9", "a")) == [1, 3, 5]
    assert ids(feed(site, "records=-2&change_id=5", "a")) == [1, 3]
    assert ids(feed(site, "records=1&change_id=-1", "b")) == [6]
    assert feed(site, "records=9", "unknown") == []


def test_zero_records_means_a_hundred_and_there_is_a_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(changefeed, "DEFAULT_RECORDS", 3)
    monkeypatch.setattr(changefeed, "MAX_RECORDS", 5)
    site = busy()
    assert len(feed(site, "records=0")) == 3
    assert len(feed(site, "records=6")) == len(feed(site, "records=-6")) == 5


@pytest.mark.parametrize(
    "query",
    [
        "",
        "records=",
        "records=x",
        "records=1.5",
        "records=99999999999",
        "records=9999999999",
        "change_id=1",
        "records=1&change_id=x",
        "a=b",
    ],
)
def test_parameters_that_are_missing_or_no_integers_are_refused(query: str) -> None:
    answer = NotarySite().get(f"/v2/_trust/changefeed?{query}")
    error = refusal(answer)
    assert (answer.status_code, error["code"]) == (400, "INVALID_PARAMETERS")
    assert error["message"] == "The parameters provided are not valid."


def test_an_upload_that_is_refused_leaves_no_record() -> None:
    site = NotarySite()
    owner = site.begin_notary()
    site.upload({TARGETS: owner.targets(signers=[bare_signer()])})
    assert len(feed(site, "records=0")) == 1


def test_every_timestamp_of_the_feed_can_be_fetched() -> None:
    site = NotarySite()
    owner = site.begin_notary()
    site.upload({TARGETS: owner.targets()})
    assert isinstance(owner, NotaryOwner)
    for record in feed(site, "records=0"):
        raw = site.tuf(f"timestamp.{record['SHA256']}.json").content
        assert content_of(raw)["version"] == record["Version"]
        assert site.tuf(f"{record['Version']}.timestamp.json").content == raw
