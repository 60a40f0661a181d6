"""Debian's `notary` against both servers: rotation of every key, roots of other kinds, readers that come late."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable

import pytest

from tests.support.handmade import HandCollection, key_id, key_object, target
from tests.support.notary_client import NotaryPeople, NotaryUser, digest_of
from tests.support.notary_keys import HandKey, new_ecdsa, new_rsa
from tests.support.trust_servers import PeerServer

ROLES = ("root", "targets", "snapshot", "timestamp")


def key_ids(user: NotaryUser, gun: str) -> dict[str, set[str]]:
    """Key ids of every role, as a reader knows them now."""
    user.run("list", gun)
    return {role: set(user.signed(gun, "root")["roles"][role]["keyids"]) for role in ROLES}


class TestEveryRole:
    @pytest.mark.parametrize(
        ("role", "options"),
        [("root", ()), ("targets", ()), ("snapshot", ()), ("snapshot", ("-r",)), ("timestamp", ("-r",))],
        ids="".join,
    )
    def test_rotation(
        self,
        publisher: NotaryUser,
        reader: NotaryUser,
        notary_people: NotaryPeople,
        collection: str,
        role: str,
        *,
        options: tuple[str, ...],
    ) -> None:
        """Section 5: in the same transaction the server signs with the new key; warm and cold readers go on."""
        publisher.add(collection, "1.0")
        before = key_ids(reader, collection)
        printed = publisher.rotate(collection, role, *options)
        assert f"Successfully rotated {role} key for repository {collection}" in printed
        after = key_ids(reader, collection)
        assert not before[role] & after[role]
        assert {name for name in ROLES if before[name] != after[name]} == {role}
        assert set(reader.listed(collection)) == {"1.0"}
        publisher.add(collection, "2.0")
        assert set(reader.listed(collection)) == {"1.0", "2.0"}
        assert set(notary_people("newcomer").listed(collection)) == {"1.0", "2.0"}

    def test_snapshot_to_the_server_and_back(self, publisher: NotaryUser, reader: NotaryUser, collection: str) -> None:
        """The server's snapshots go on where the client's ended, and the other way round."""
        publisher.rotate(collection, "snapshot", "-r")
        publisher.add(collection, "1.0")
        assert publisher.keys("snapshot") == set()
        # Section 5: under six months of life every command would warn.
        assert "expir" not in reader.run("list", collection)
        at_the_server = reader.signed(collection, "snapshot")["version"]
        publisher.rotate(collection, "snapshot")
        publisher.add(collection, "2.0")
        assert set(reader.listed(collection)) == {"1.0", "2.0"}
        assert reader.signed(collection, "snapshot")["version"] > at_the_server
        assert publisher.keys("snapshot") == key_ids(reader, collection)["snapshot"]

    def test_all_one_after_another(self, publisher: NotaryUser, reader: NotaryUser, collection: str) -> None:
        """Section 9: replaced keys of targets, snapshot and timestamp are dropped, old root certificates stay."""
        publisher.add(collection, "1.0")
        for role, options in (("timestamp", ["-r"]), ("snapshot", ["-r"]), ("targets", []), ("root", [])) * 2:
            publisher.rotate(collection, role, *options)
            assert set(reader.listed(collection)) == {"1.0"}
        root = reader.signed(collection, "root")
        assert root["version"] == 9
        current = {keyid for role in ROLES for keyid in root["roles"][role]["keyids"]}
        assert len(current) == 4
        assert len(root["keys"]) == 6
        assert all(root["keys"][keyid]["keytype"] == "ecdsa-x509" for keyid in set(root["keys"]) - current)

    def test_the_server_s_new_key_is_pending_until_a_root_names_it(
        self, publisher: NotaryUser, peer_server: PeerServer, reader: NotaryUser, collection: str
    ) -> None:
        """Section 5: GET goes on to give root's key; POST gives another."""
        target_path = f"/v2/{collection}/_trust/tuf/timestamp.key"
        held = peer_server.request(target_path).body
        pending = peer_server.request(target_path, method="POST")
        assert pending.status == 200
        assert key_id(json.loads(pending.body)) != key_id(json.loads(held))
        assert peer_server.request(target_path).body == held
        publisher.add(collection, "1.0")
        assert key_ids(reader, collection)["timestamp"] == {key_id(json.loads(held))}
        publisher.rotate(collection, "timestamp", "-r")
        now = peer_server.request(target_path).body
        assert key_ids(reader, collection)["timestamp"] == {key_id(json.loads(now))}

    def test_the_other_keys_stay_with_their_owners(self, publisher: NotaryUser, collection: str) -> None:
        """The client itself refuses to give root or targets to the server, and to hold the timestamp's key."""
        for role, options in (("root", ["-r"]), ("targets", ["-r"]), ("timestamp", [])):
            publisher.refused("key", "rotate", collection, role, *options, stdin="yes\n")


class TestReadersBehind:
    def test_three_roots_behind(
        self, publisher: NotaryUser, reader: NotaryUser, notary_people: NotaryPeople, collection: str
    ) -> None:
        """Section 15: a warm reader asks for each root between hers and the current one."""
        publisher.add(collection, "1.0")
        assert set(reader.listed(collection)) == {"1.0"}
        for _ in range(3):
            publisher.rotate(collection, "root")
        digest = publisher.add(collection, "2.0")
        assert reader.signed(collection, "root")["version"] == 1
        assert reader.listed(collection)["2.0"].digest == digest
        assert reader.signed(collection, "root")["version"] == 4
        # From 4 to 7 keys: the three old certificates stay.
        assert len(reader.signed(collection, "root")["keys"]) == 7

    def test_roots_by_version_are_as_they_were(
        self, publisher: NotaryUser, peer_server: PeerServer, collection: str
    ) -> None:
        """Sections 1 and 4: bytes are served verbatim, by name and by version."""
        first = peer_server.file(collection, "root.json").body
        publisher.rotate(collection, "root")
        assert peer_server.file(collection, "1.root.json").body == first
        second = peer_server.file(collection, "2.root.json").body
        assert peer_server.file(collection, "root.json").body == second
        assert peer_server.file(collection, "3.root.json").status == 404
        # Root rotation: signed by the old key and by the new one.
        old, new = (set(json.loads(raw)["signed"]["roles"]["root"]["keyids"]) for raw in (first, second))
        assert {entry["keyid"] for entry in json.loads(second)["signatures"]} == old | new

    def test_a_publisher_behind_a_rotation(self, publisher: NotaryUser, reader: NotaryUser, collection: str) -> None:
        """A second machine without the new root key goes on to sign with the targets key that it has."""
        other = publisher.copy("other")
        publisher.rotate(collection, "root")
        publisher.rotate(collection, "timestamp", "-r")
        other.add(collection, "1.0")
        assert set(reader.listed(collection)) == {"1.0"}
        publisher.rotate(collection, "targets")
        other.refused("addhash", collection, "2.0", "10", "--sha256", digest_of("2.0"), "-p")
        assert set(reader.listed(collection)) == {"1.0"}


class TestOwnRoots:
    @pytest.mark.parametrize("make", [new_ecdsa, new_rsa], ids=["ecdsa", "rsa"])
    @pytest.mark.parametrize("own_certificate", [False, True], ids=["", "own-certificate"])
    def test_own_root_key(
        self,
        notary_owner: NotaryUser,
        reader: NotaryUser,
        collection: str,
        make: Callable[[str], HandKey],
        *,
        own_certificate: bool,
    ) -> None:
        """`notary init --rootkey`, and `--rootcert`: the certificate stands in root as it was given."""
        key = make(collection)
        (notary_owner.folder / "root.key").write_bytes(key.root_pem())
        (notary_owner.folder / "root.crt").write_bytes(key.certificate)
        more = ["--rootcert", "root.crt"] if own_certificate else []
        notary_owner.run("init", collection, "--rootkey", "root.key", *more, "-p")
        notary_owner.add(collection, "1.0")
        assert set(reader.listed(collection)) == {"1.0"}
        root = reader.signed(collection, "root")
        (keyid,) = root["roles"]["root"]["keyids"]
        assert root["keys"][keyid]["keytype"] == f"{key.kind}-x509"
        given = base64.b64decode(root["keys"][keyid]["keyval"]["public"]) == key.certificate
        assert given == own_certificate
        notary_owner.rotate(collection, "root")
        assert set(reader.listed(collection)) == {"1.0"}
        assert reader.signed(collection, "root")["version"] == 2

    def test_rotation_to_a_key_of_choice(self, publisher: NotaryUser, reader: NotaryUser, collection: str) -> None:
        """`notary key rotate GUN root --key FILE`."""
        publisher.add(collection, "1.0")
        reader.listed(collection)
        key = new_ecdsa(collection)
        (publisher.folder / "next.key").write_bytes(key.root_pem())
        publisher.rotate(collection, "root", "--key", "next.key")
        assert set(reader.listed(collection)) == {"1.0"}
        root = reader.signed(collection, "root")
        (keyid,) = root["roles"]["root"]["keyids"]
        assert keyid != key_id(key_object(key, certificate=True))  # the client makes a certificate of its own
        assert publisher.keys("root") >= {key_id(key_object(key))}

    def test_a_certificate_for_another_collection_is_refused(
        self, notary_owner: NotaryUser, reader: NotaryUser, collection: str
    ) -> None:
        """Section 4: the certificate's name is the GUN's."""
        key = new_ecdsa("registry.example.com/another")
        (notary_owner.folder / "root.key").write_bytes(key.root_pem())
        (notary_owner.folder / "root.crt").write_bytes(key.certificate)
        notary_owner.refused("init", collection, "--rootkey", "root.key", "--rootcert", "root.crt", "-p")
        assert "does not have trust data" in reader.refused("list", collection)


class TestPinning:
    """Section 15: what the notary client can be told of roots; docker cannot."""

    def pinned(self, user: NotaryUser, pinning: dict[str, object]) -> str:
        """A configuration file with it."""
        file = user.folder / "pinning.json"
        file.write_text(json.dumps({"trust_pinning": pinning}))
        return str(file)

    def test_certificates(self, publisher: NotaryUser, reader: NotaryUser, collection: str) -> None:
        """By the id that root gives the certificate; a rotated root is followed from it."""
        publisher.add(collection, "1.0")
        (keyid,) = key_ids(publisher, collection)["root"]
        wrong = self.pinned(reader, {"certs": {collection: ["0" * 64]}, "disable_tofu": True})
        assert "could not validate the path to a trusted root" in reader.refused("-c", wrong, "list", collection)
        right = self.pinned(reader, {"certs": {collection: [keyid]}, "disable_tofu": True})
        assert "1.0" in reader.run("-c", right, "list", collection)
        publisher.rotate(collection, "root")
        assert "1.0" in reader.run("-c", right, "list", collection)

    def test_nothing_is_trusted_on_first_use(self, publisher: NotaryUser, reader: NotaryUser, collection: str) -> None:
        publisher.add(collection, "1.0")
        nothing = self.pinned(reader, {"disable_tofu": True})
        assert "could not validate the path to a trusted root" in reader.refused("-c", nothing, "list", collection)


class TestTwoRootCertificates:
    @pytest.mark.parametrize("signers", [1, 2], ids=["signed-by-one", "signed-by-both"])
    def test_a_root_with_two_keys_is_read(
        self, reader: NotaryUser, peer_server: PeerServer, collection: str, signers: int
    ) -> None:
        """Section 9: two certificates, threshold 1."""
        roots = [new_ecdsa(collection), new_rsa(collection)]
        hand = HandCollection(peer_server, collection, roots=roots, targets={"1.0": target("ab" * 32)})
        hand.publish(hand.files(signers=roots[:signers]))
        assert set(reader.listed(collection)) == {"1.0"}

    @pytest.mark.parametrize("which", [0, 1], ids=["by-the-first", "by-the-second"])
    def test_rotation_by_either(
        self,
        reader: NotaryUser,
        notary_owner: NotaryUser,
        notary_people: NotaryPeople,
        peer_server: PeerServer,
        collection: str,
        *,
        which: int,
    ) -> None:
        """Who holds only one of the two keys rotates root; warm and cold readers follow."""
        roots = [new_ecdsa(collection), new_ecdsa(collection)]
        hand = HandCollection(peer_server, collection, roots=roots, targets={"1.0": target(digest_of("1.0"))})
        hand.publish(hand.files(signers=roots[:1]))
        assert set(reader.listed(collection)) == {"1.0"}
        hand.give_keys_to(notary_owner, root=which)
        notary_owner.rotate(collection, "root")
        notary_owner.add(collection, "2.0")
        for user in (reader, notary_people("newcomer")):
            assert set(user.listed(collection)) == {"1.0", "2.0"}
            root = user.signed(collection, "root")
            assert root["version"] == 2
            assert not {key_id(key_object(key, certificate=True)) for key in roots} & set(
                root["roles"]["root"]["keyids"]
            )
