"""The HTTP interface of Notary v1, request by request, against both servers: routes, headers, errors, uploads, feed."""

from __future__ import annotations

import hashlib
import json
from datetime import timedelta
from typing import Any

import pytest

from tests.peers.handmade import HandCollection, envelope, key_id, key_object, signature, target, upload
from tests.peers.notary_client import digest_of
from tests.peers.notary_keys import new_ecdsa
from tests.peers.trust_servers import Answer, PeerServer

NOT_FOUND = "METADATA_NOT_FOUND"
CURRENT = "public, max-age=300, s-maxage=300, must-revalidate"
CONSISTENT = "public, max-age=2592000, s-maxage=2592000"
INCREMENT = "Root modifications must increment the version. Current {}, new {}"


@pytest.fixture
def hand(peer_server: PeerServer, collection: str) -> HandCollection:
    """A collection with one tag, not published yet; its owner signs snapshots."""
    return HandCollection(peer_server, collection, targets={"1.0": target(digest_of("1.0"))})


@pytest.fixture
def published(hand: HandCollection) -> dict[str, bytes]:
    """The files of that collection, published."""
    files = hand.files()
    hand.publish(files)
    return files


def error(answer: Answer) -> dict[str, Any]:
    """The one error of a refusal; its form is checked."""
    assert answer.headers["content-type"] == "application/json; charset=utf-8"
    assert answer.body.endswith(b"\n")
    # The clients read no more than this.
    assert len(answer.body) <= 1024
    (found,) = json.loads(answer.body)["errors"]
    return dict(found)


def refused(answer: Answer, status: int, code: str) -> dict[str, Any]:
    """The refusal, which must be this one."""
    found = error(answer)
    assert (answer.status, found["code"]) == (status, code)
    return found


def invalid(answer: Answer, name: str) -> str:
    """The message inside of an INVALID_UPDATE with this name."""
    detail = refused(answer, 400, "INVALID_UPDATE")["detail"]
    assert detail["Name"] == name
    return str(detail["Error"]["Msg"])


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


class TestUploads:
    """Sections 3 and 4."""

    def test_taken(self, hand: HandCollection, peer_server: PeerServer, collection: str) -> None:
        answer = upload(peer_server, collection, hand.files())
        assert (answer.status, answer.body) == (200, b"")

    @pytest.mark.parametrize("name", ["foo", "targets/A", "targets/", "targets/a b", "snapshots"])
    def test_invalid_role(self, peer_server: PeerServer, collection: str, name: str) -> None:
        refused(upload(peer_server, collection, {name: b"{}"}), 400, "INVALID_ROLE")

    def test_no_filename(self, peer_server: PeerServer, collection: str) -> None:
        refused(upload(peer_server, collection, {"": b"{}"}), 400, "NO_FILENAME")

    @pytest.mark.parametrize("raw", [b"", b"no JSON", b"{", b"\xff"])
    def test_malformed_json(self, peer_server: PeerServer, collection: str, raw: bytes) -> None:
        refused(upload(peer_server, collection, {"root": raw}), 400, "MALFORMED_JSON")

    @pytest.mark.parametrize("headers", [{}, {"Content-Type": "application/json"}])
    def test_malformed_upload(self, peer_server: PeerServer, collection: str, headers: dict[str, str]) -> None:
        answer = peer_server.request(f"/v2/{collection}/_trust/tuf/", method="POST", headers=headers, body=b"{}")
        refused(answer, 400, "MALFORMED_UPLOAD")

    def test_json_is_stripped_from_the_filename(self, hand: HandCollection, peer_server: PeerServer) -> None:
        hand.publish({f"{role}.json": raw for role, raw in hand.files().items()})

    def test_the_order_of_the_parts_is_free(self, hand: HandCollection) -> None:
        hand.publish(dict(reversed(hand.files().items())))

    def test_a_timestamp_is_ignored(self, hand: HandCollection, peer_server: PeerServer, collection: str) -> None:
        """Its maker is the server."""
        hand.publish({**hand.files(), "timestamp": b"{}"})
        assert json.loads(peer_server.file(collection, "timestamp.json").body)["signed"]["version"] == 1

    def test_again(self, published: dict[str, bytes], peer_server: PeerServer, collection: str) -> None:
        before = peer_server.file(collection, "timestamp.json").body
        found = refused(upload(peer_server, collection, published), 400, "VERSION")
        assert found["message"] == "A newer version of metadata is already available."
        assert peer_server.file(collection, "timestamp.json").body == before

    def test_nothing_on_nothing(self, peer_server: PeerServer, collection: str) -> None:
        said = invalid(upload(peer_server, collection, {}), "ErrValidation")
        assert said == "no pre-existing root and no root provided in update."

    def test_a_first_version_may_be_any(self, hand: HandCollection, peer_server: PeerServer, collection: str) -> None:
        """Section 9: a server must take any first version of targets and snapshot."""
        hand.version = 17
        hand.publish()
        assert json.loads(peer_server.file(collection, "targets.json").body)["signed"]["version"] == 17

    def test_versions_may_be_left_out(self, hand: HandCollection, published: dict[str, bytes]) -> None:
        hand.version = 5
        hand.publish(hand_snapshot(hand, published))

    @pytest.mark.parametrize("version", [3, 7])
    def test_roots_go_step_by_step(
        self, hand: HandCollection, published: dict[str, bytes], peer_server: PeerServer, collection: str, version: int
    ) -> None:
        answer = upload(peer_server, collection, {"root": hand.root(version=version)})
        assert invalid(answer, "ErrBadRoot") == INCREMENT.format(1, version)

    def test_root_by_a_stranger(
        self, hand: HandCollection, published: dict[str, bytes], peer_server: PeerServer, collection: str
    ) -> None:
        """Who has none of the old keys changes nothing."""
        hand.roots = [new_ecdsa(collection)]
        invalid(upload(peer_server, collection, {"root": hand.root(version=2)}), "ErrBadRoot")
        assert peer_server.file(collection, "root.json").body == published["root"]

    def test_a_certificate_for_another_name(self, peer_server: PeerServer, collection: str) -> None:
        hand = HandCollection(peer_server, collection, roots=[new_ecdsa("registry.example.com/other")])
        invalid(upload(peer_server, collection, hand.files()), "ErrBadRoot")

    def test_a_wildcard_certificate(self, peer_server: PeerServer, collection: str) -> None:
        """Section 4: or a prefix and `*`."""
        hand = HandCollection(peer_server, collection, roots=[new_ecdsa(f"{collection.rpartition('/')[0]}/*")])
        hand.publish()

    def test_targets_by_a_stranger(
        self, hand: HandCollection, published: dict[str, bytes], peer_server: PeerServer, collection: str
    ) -> None:
        hand.version, hand.targets_key = 2, new_ecdsa("somebody else")
        answer = upload(peer_server, collection, without_root(hand.files()))
        invalid(answer, "ErrBadTargets")

    def test_a_snapshot_by_a_stranger(
        self, hand: HandCollection, published: dict[str, bytes], peer_server: PeerServer, collection: str
    ) -> None:
        hand.version, hand.snapshot_key = 2, new_ecdsa("somebody else")
        answer = upload(peer_server, collection, hand_snapshot(hand, published))
        invalid(answer, "ErrBadSnapshot")

    @pytest.mark.parametrize(
        ("role", "name"), [("root", "ErrBadRoot"), ("targets", "ErrBadTargets"), ("snapshot", "ErrBadSnapshot")]
    )
    def test_expired(
        self, hand: HandCollection, peer_server: PeerServer, collection: str, role: str, name: str
    ) -> None:
        """Section 4: what no client would take is not taken."""
        hand.lifetime = {role: timedelta(seconds=-1)}
        invalid(upload(peer_server, collection, hand.files()), name)
        refused(peer_server.file(collection, "root.json"), 404, NOT_FOUND)

    def test_a_snapshot_of_other_files(self, hand: HandCollection, peer_server: PeerServer, collection: str) -> None:
        """Section 4: sha256 and length of every uploaded file."""
        files = hand.files()
        hand.version = 2
        others = hand.with_snapshot({"root": files["root"], "targets": files["targets"] + b" "})
        invalid(upload(peer_server, collection, {**files, "snapshot": others["snapshot"]}), "ErrBadSnapshot")
        refused(peer_server.file(collection, "root.json"), 404, NOT_FOUND)

    @pytest.mark.parametrize("role", ["root", "targets", "snapshot"])
    def test_trailing_bytes(self, hand: HandCollection, peer_server: PeerServer, collection: str, role: str) -> None:
        files = hand.files()
        answer = upload(peer_server, collection, {**files, role: files[role] + b"{}"})
        assert answer.status == 400
        error(answer)

    def test_a_role_that_nobody_delegated(
        self, hand: HandCollection, published: dict[str, bytes], peer_server: PeerServer, collection: str
    ) -> None:
        signed = hand.signed_targets()
        raw = envelope(signed, signature(hand.targets_key, signed))
        invalid(upload(peer_server, collection, {"targets/alice": raw}), "ErrBadTargets")

    def test_targets_null_is_refused(self, hand: HandCollection, peer_server: PeerServer, collection: str) -> None:
        """Section 13: it panics the Go client."""
        signed = hand.signed_targets(targets=None)
        files = hand.with_snapshot(
            {"root": hand.root(), "targets": envelope(signed, signature(hand.targets_key, signed))}
        )
        answer = upload(peer_server, collection, files)
        if peer_server.refuses_what_clients_cannot_survive:
            invalid(answer, "ErrBadTargets")
        else:
            assert answer.status == 200

    def test_members_in_another_case(self, hand: HandCollection, peer_server: PeerServer, collection: str) -> None:
        """Section 13: Go takes `Version` for `version`."""
        signed = {**hand.signed_targets(), "Version": 9}
        files = hand.with_snapshot(
            {"root": hand.root(), "targets": envelope(signed, signature(hand.targets_key, signed))}
        )
        answer = upload(peer_server, collection, files)
        assert answer.status == (400 if peer_server.refuses_what_clients_cannot_survive else 200)

    def test_unknown_members_are_kept(self, hand: HandCollection, peer_server: PeerServer, collection: str) -> None:
        """Section 13."""
        signed = {**hand.signed_targets(), "x-note": {"b": 1, "a": [2]}}
        raw = envelope(signed, signature(hand.targets_key, signed))
        hand.publish(hand.with_snapshot({"root": hand.root(), "targets": raw}))
        assert peer_server.file(collection, "targets.json").body == raw

    def test_null_delegations(self, hand: HandCollection, peer_server: PeerServer, collection: str) -> None:
        """Section 9: null, absent, or empty: all three are taken."""
        forms: list[object] = [None, {"keys": None, "roles": None}, {"keys": {}, "roles": []}]
        for number, delegations in enumerate(forms):
            gun = f"{collection}-{number}"
            mine = HandCollection(peer_server, gun)
            signed = mine.signed_targets(delegations=delegations)
            raw = envelope(signed, signature(mine.targets_key, signed))
            mine.publish(mine.with_snapshot({"root": mine.root(), "targets": raw}))
            assert peer_server.file(gun, "targets.json").body == raw


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


def without_root(files: dict[str, bytes]) -> dict[str, bytes]:
    return {role: raw for role, raw in files.items() if role != "root"}


def hand_snapshot(hand: HandCollection, published: dict[str, bytes]) -> dict[str, bytes]:
    """New targets, and a snapshot that lists the root that is there."""
    signed = hand.signed_targets()
    targets = envelope(signed, signature(hand.targets_key, signed))
    return without_root(hand.with_snapshot({"root": published["root"], "targets": targets}))
