"""Uploads of Notary v1, one by one, against both servers: what is taken, and in which words the rest is refused."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any

import pytest

from tests.peers.refusals import NOT_FOUND, error, invalid, refused
from tests.support.handmade import (
    HandCollection,
    envelope,
    file_meta,
    hand_snapshot,
    signature,
    target,
    upload,
    without_root,
)
from tests.support.notary_client import digest_of
from tests.support.notary_keys import new_ecdsa
from tests.support.trust_servers import PeerServer

INCREMENT = "Root modifications must increment the version. Current {}, new {}"


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

    def test_one_role_twice(self, hand: HandCollection, peer_server: PeerServer, collection: str) -> None:
        """Section 4: which of the two would it be?"""
        files = hand.files()
        answer = upload(peer_server, collection, {**files, "targets.json": files["targets"]})
        if peer_server.refuses_a_role_twice:
            refused(answer, 400, "VERSION")
            refused(peer_server.file(collection, "root.json"), 404, NOT_FOUND)
        else:
            assert answer.status == 200

    @pytest.mark.parametrize("custom", ["<", "a & b", "\u2028"], ids=ascii)
    def test_custom_data_that_go_cannot_sign_again(
        self, hand: HandCollection, peer_server: PeerServer, collection: str, custom: str
    ) -> None:
        """Section 13: it would be listed, and then nobody with an old client could publish to that role any more."""
        hand.targets = {"1.0": target("ab" * 32, custom={"note": custom})}
        answer = upload(peer_server, collection, hand.files())
        if peer_server.refuses_what_clients_cannot_survive:
            invalid(answer, "ErrBadTargets")
        else:
            assert answer.status == 200

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


class TestServerSnapshots:
    """Sections 4 and 5: as docker has it, the server signs snapshots, too."""

    @pytest.fixture
    def docker_s(self, peer_server: PeerServer, collection: str) -> HandCollection:
        hand = HandCollection(peer_server, collection, gives_snapshot=True)
        hand.publish()
        return hand

    def signed(self, server: PeerServer, gun: str, role: str) -> dict[str, Any]:
        return dict(json.loads(server.file(gun, f"{role}.json").body)["signed"])

    def test_what_a_snapshot_lists(self, docker_s: HandCollection, peer_server: PeerServer, collection: str) -> None:
        """What there was, and what came; lengths, sha256 and sha512."""
        for number in (2, 3):
            docker_s.version = number
            docker_s.publish({"targets": docker_s.targets_file()})
            snapshot = self.signed(peer_server, collection, "snapshot")
            assert snapshot["version"] == number
            assert snapshot["meta"] == {
                role: file_meta(peer_server.file(collection, f"{role}.json").body) for role in ("root", "targets")
            }
            raw = peer_server.file(collection, "snapshot.json").body
            assert self.signed(peer_server, collection, "timestamp")["meta"] == {"snapshot": file_meta(raw)}

    def test_an_upload_of_nothing(self, docker_s: HandCollection, peer_server: PeerServer, collection: str) -> None:
        """What `docker push` of an unchanged tag sends: 200, and snapshot and timestamp are new."""
        answer = upload(peer_server, collection, {})
        assert (answer.status, answer.body) == (200, b"")
        versions = {role: self.signed(peer_server, collection, role)["version"] for role in ("targets", "snapshot")}
        newest = 2 if peer_server.signs_anew_for_nothing else 1
        assert versions == {"targets": 1, "snapshot": newest}
        assert self.signed(peer_server, collection, "timestamp")["version"] == newest

    def test_racing_publishers(self, docker_s: HandCollection, peer_server: PeerServer, collection: str) -> None:
        """One of them wins, whole; what is stored fits together."""
        docker_s.version = 2
        rivals = []
        for number in range(6):
            docker_s.targets = {f"by-{number}": target(digest_of(str(number)))}
            rivals.append(docker_s.targets_file())
        with ThreadPoolExecutor(len(rivals)) as pool:
            answers = list(pool.map(lambda raw: upload(peer_server, collection, {"targets": raw}), rivals))
        winners = [raw for raw, answer in zip(rivals, answers, strict=True) if answer.status == 200]
        assert len(winners) == 1
        assert peer_server.file(collection, "targets.json").body == winners[0]
        meta = self.signed(peer_server, collection, "snapshot")["meta"]
        assert meta["targets"] == file_meta(winners[0])
        assert self.signed(peer_server, collection, "snapshot")["version"] == 2

    def test_nobody_makes_the_snapshot(self, hand: HandCollection, peer_server: PeerServer, collection: str) -> None:
        """Its key is the owner's, and it did not come."""
        files = hand.files()
        del files["snapshot"]
        answer = upload(peer_server, collection, files)
        assert answer.status == 400
        detail = error(answer)["detail"]
        said = detail["Error"]["Msg"]
        assert said in peer_server.said_of_missing_snapshot or said.startswith("rpc error")
        refused(peer_server.file(collection, "root.json"), 404, NOT_FOUND)
