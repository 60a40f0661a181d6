"""The HTTP interface of Notary v1, request by request, against both servers: routes, headers, keys, change feed."""

from __future__ import annotations

import hashlib
import json
from typing import Any

import pytest

from tests.peers.refusals import NOT_FOUND, error, refused
from tests.support.handmade import HandCollection, envelope, hand_snapshot, key_id, key_object, signature, upload
from tests.support.notary_keys import new_ecdsa
from tests.support.trust_servers import PeerServer

CURRENT = "public, max-age=300, s-maxage=300, must-revalidate"
CONSISTENT = "public, max-age=2592000, s-maxage=2592000"


class TestRoutes:
    """Section 1."""

    def test_ping(self, peer_server: PeerServer) -> None:
        answer = peer_server.request("/v2/")
        assert (answer.status, answer.body) == (200, b"{}")

    def test_health(self, peer_server: PeerServer) -> None:
        answer = peer_server.request("/_notary_server/health")
        assert (answer.status, json.loads(answer.body)) == (200, {})

    def test_metrics(self, peer_server: PeerServer) -> None:
        answer = peer_server.request("/metrics")
        assert answer.status == 200
        assert b"# HELP" in answer.body

    @pytest.mark.parametrize(
        ("method", "target"),
        [
            ("GET", "/v2"),
            ("POST", "/v2/"),
            ("PUT", "/v2/{}/_trust/tuf/"),
            ("GET", "/v2/{}/_trust/tuf/"),
            ("POST", "/v2/{}/_trust/tuf"),
            ("DELETE", "/v2/{}/_trust/tuf"),
            ("GET", "/v2/{}/_trust/tuf/targets.key"),
            ("GET", "/v2/{}/_trust/tuf/root.key"),
            ("POST", "/v2/{}/_trust/tuf/root.key"),
            ("GET", "/v2/{}/_trust/tuf/foo.json"),
            ("GET", "/v2/{}/_trust/tuf/root.abc.json"),
            ("GET", "/v2/{}/_trust/tuf/targets/A B.json"),
            ("GET", "/v2/a*b/_trust/tuf/root.json"),
        ],
    )
    def test_no_such_route(
        self, published: dict[str, bytes], peer_server: PeerServer, collection: str, method: str, target: str
    ) -> None:
        answer = peer_server.request(target.format(collection).replace(" ", "%20"), method=method)
        assert refused(answer, 404, NOT_FOUND)["message"] == "You have requested metadata that does not exist."

    def test_by_name_by_version_and_by_hash(
        self, published: dict[str, bytes], peer_server: PeerServer, collection: str
    ) -> None:
        """The bytes as they came; section 2: how long they may be kept."""
        for role, raw in published.items():
            version = 1
            sha256 = hashlib.sha256(raw).hexdigest()
            for name, caching in (
                (f"{role}.json", CURRENT),
                (f"{version}.{role}.json", CONSISTENT),
                (f"{role}.{sha256}.json", CONSISTENT),
            ):
                answer = peer_server.file(collection, name)
                assert (answer.status, answer.body) == (200, raw), name
                assert answer.headers["cache-control"] == caching
                assert "last-modified" in answer.headers
                assert "etag" not in answer.headers

    @pytest.mark.parametrize(
        "name", ["2.root.json", "10.root.json", "targets/alice.json", "1.targets/alice.json", f"root.{'0' * 64}.json"]
    )
    def test_what_there_is_not(
        self, published: dict[str, bytes], peer_server: PeerServer, collection: str, name: str
    ) -> None:
        answer = peer_server.file(collection, name)
        assert "cache-control" not in answer.headers
        if name == "targets/alice.json" and not peer_server.looks_up_exactly:
            refused(answer, 500, "UNKNOWN")
        else:
            refused(answer, 404, NOT_FOUND)

    def test_only_lower_case_sha256_finds_a_file(
        self, published: dict[str, bytes], peer_server: PeerServer, collection: str
    ) -> None:
        raw = published["root"]
        for name in (hashlib.sha256(raw).hexdigest().upper(), hashlib.sha384(raw).hexdigest()):
            refused(peer_server.file(collection, f"root.{name}.json"), 404, NOT_FOUND)
        refused(peer_server.file(collection, f"root.{hashlib.sha512(raw).hexdigest()}.json"), 404, NOT_FOUND)

    def test_a_hash_is_of_one_role(self, published: dict[str, bytes], peer_server: PeerServer, collection: str) -> None:
        sha256 = hashlib.sha256(published["root"]).hexdigest()
        assert peer_server.file(collection, f"root.{sha256}.json").status == 200  # from now on in Notary's cache
        answer = peer_server.file(collection, f"snapshot.{sha256}.json")
        assert answer.status == (404 if peer_server.looks_up_exactly else 200)

    def test_version_zero(self, published: dict[str, bytes], peer_server: PeerServer, collection: str) -> None:
        assert peer_server.file(collection, "0.root.json").status == (404 if peer_server.looks_up_exactly else 200)

    def test_a_gun_may_be_escaped(self, published: dict[str, bytes], peer_server: PeerServer, collection: str) -> None:
        answer = peer_server.request(f"/v2/{collection.replace('/', '%2F')}/_trust/tuf/root.json")
        assert (answer.status, answer.body) == (200, published["root"])

    def test_if_modified_since_is_ignored(
        self, published: dict[str, bytes], peer_server: PeerServer, collection: str
    ) -> None:
        """Section 2: never 304."""
        headers = {"If-Modified-Since": "Fri, 01 Jan 2100 00:00:00 GMT"}
        assert peer_server.request(f"/v2/{collection}/_trust/tuf/root.json", headers=headers).status == 200

    def test_an_unknown_collection(self, peer_server: PeerServer, collection: str) -> None:
        for name in ("root.json", "timestamp.json", "snapshot.json", "1.root.json", f"root.{'0' * 64}.json"):
            refused(peer_server.file(collection, name), 404, NOT_FOUND)


class TestServerKeys:
    """Section 5."""

    @pytest.mark.parametrize("role", ["timestamp", "snapshot"])
    def test_the_form_of_a_key(self, peer_server: PeerServer, collection: str, role: str) -> None:
        answer = peer_server.file(collection, f"{role}.key")
        key = json.loads(answer.body)
        assert answer.status == 200
        assert answer.body == json.dumps(key, separators=(",", ":")).encode()
        assert list(key["keyval"]) == ["public", "private"]
        assert (key["keytype"], key["keyval"]["private"]) == ("ecdsa", None)

    def test_any_key_handed_out_is_good_for_the_first_publish(self, peer_server: PeerServer, collection: str) -> None:
        """Two clients may ask before one of them publishes."""
        first = HandCollection(peer_server, collection)
        HandCollection(peer_server, collection)
        first.publish()
        assert json.loads(peer_server.file(collection, "timestamp.key").body) == first.timestamp

    def test_a_key_that_the_server_does_not_hold(self, hand: HandCollection, peer_server: PeerServer) -> None:
        """Section 4.6."""
        hand.timestamp = key_object(new_ecdsa("timestamp"))
        answer = upload(peer_server, hand.gun, hand.files())
        assert answer.status == 400
        error(answer)

    def test_rotation_takes_effect_with_the_root_that_names_the_new_key(
        self, hand: HandCollection, published: dict[str, bytes], peer_server: PeerServer, collection: str
    ) -> None:
        """The next timestamp is signed with the new key in the same transaction."""
        path = f"/v2/{collection}/_trust/tuf/timestamp.key"
        new = json.loads(peer_server.request(path, method="POST").body)
        assert json.loads(peer_server.request(path).body) == hand.timestamp
        hand.timestamp, hand.version = new, 2
        root = hand.root(version=2)
        signed = hand.signed_targets()
        hand.publish(
            hand.with_snapshot({"root": root, "targets": envelope(signed, signature(hand.targets_key, signed))})
        )
        (entry,) = json.loads(peer_server.file(collection, "timestamp.json").body)["signatures"]
        assert entry["keyid"] == key_id(new)
        assert json.loads(peer_server.request(path).body) == new


class TestChangefeed:
    """Section 7."""

    def feed(self, server: PeerServer, gun: str, query: str = "records=100") -> list[dict[str, Any]]:
        answer = server.request(f"/v2/{gun}/_trust/changefeed?{query}")
        assert answer.status == 200, answer.body
        document = json.loads(answer.body)
        records: list[dict[str, Any]] = document["records"] or []
        assert document["count"] == len(records)
        return records

    def test_one_record_for_each_timestamp(
        self, hand: HandCollection, published: dict[str, bytes], peer_server: PeerServer, collection: str
    ) -> None:
        stamps = [peer_server.file(collection, "timestamp.json").body]
        hand.version = 2
        hand.publish(hand_snapshot(hand, published))
        stamps.append(peer_server.file(collection, "timestamp.json").body)
        records = self.feed(peer_server, collection)
        assert [record["SHA256"] for record in records] == [hashlib.sha256(raw).hexdigest() for raw in stamps]
        assert [record["Version"] for record in records] == [1, 2]
        assert {record["Category"] for record in records} == {"update"}
        assert {record["GUN"] for record in records} == {collection}
        assert all(isinstance(record["ID"], str) and record["CreatedAt"].endswith("Z") for record in records)
        first = records[0]["ID"]
        assert self.feed(peer_server, collection, f"records=5&change_id={first}") == records[1:]
        assert self.feed(peer_server, collection, "records=1") == records[:1]
        assert self.feed(peer_server, collection, "records=0") == records
        assert self.feed(peer_server, collection, "records=-1&change_id=-1") == records[1:]

    def test_deletion(self, published: dict[str, bytes], peer_server: PeerServer, collection: str) -> None:
        for _ in range(2):
            answer = peer_server.request(f"/v2/{collection}/_trust/tuf/", method="DELETE")
            assert (answer.status, answer.body) == (200, b"")
        records = self.feed(peer_server, collection)
        assert [record["Category"] for record in records] == ["update", "deletion"]
        assert (records[1]["Version"], records[1]["SHA256"].strip()) == (0, "")  # PostgreSQL pads it
        refused(peer_server.file(collection, "root.json"), 404, NOT_FOUND)

    def test_of_all_collections(self, published: dict[str, bytes], peer_server: PeerServer, collection: str) -> None:
        answer = peer_server.request("/v2/_trust/changefeed?records=-1&change_id=-1")
        (record,) = json.loads(answer.body)["records"]
        assert record["GUN"] == collection

    @pytest.mark.parametrize("query", ["", "?records=x", "?change_id=1", "?records=1&change_id=y"])
    def test_invalid_parameters(self, peer_server: PeerServer, collection: str, query: str) -> None:
        refused(peer_server.request(f"/v2/{collection}/_trust/changefeed{query}"), 400, "INVALID_PARAMETERS")

    def test_of_nothing(self, peer_server: PeerServer, collection: str) -> None:
        assert self.feed(peer_server, collection) == []
