"""Debian's `notary` against Debian's notary-server and ours: the life of a collection."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta

import pytest

from tests.support.handmade import HandCollection, target
from tests.support.notary_client import NotaryPeople, NotaryUser, digest_of
from tests.support.trust_servers import PeerServer

ONLINE_AND_OWN = ("root", "targets", "snapshot", "timestamp")
MANY = 1000


def versions(user: NotaryUser, gun: str) -> dict[str, int]:
    """Versions of what a reader has in the cache."""
    return {role: user.signed(gun, role)["version"] for role in ONLINE_AND_OWN}


class TestFirstPublish:
    def test_what_notary_init_makes(self, publisher: NotaryUser, reader: NotaryUser, collection: str) -> None:
        """Section 9: root 1, targets 2, a client-made snapshot 2; the server's timestamp is 1."""
        assert reader.run("list", collection).strip() == "No targets present in this repository."
        assert versions(reader, collection) == {"root": 1, "targets": 2, "snapshot": 2, "timestamp": 1}

    def test_lifetimes(self, publisher: NotaryUser, reader: NotaryUser, collection: str) -> None:
        """Section 9: root 10 years, targets and snapshot 3, timestamp 14 days."""
        reader.run("list", collection)
        days = {"root": 3650, "targets": 1095, "snapshot": 1095, "timestamp": 14}
        for role, life in days.items():
            expires = datetime.fromisoformat(reader.signed(collection, role)["expires"][:19]).replace(tzinfo=UTC)
            # The clients write the time of their zone; a day is more than any zone is away.
            assert abs(expires - datetime.now(UTC) - timedelta(days=life)) < timedelta(days=1), role

    def test_the_server_s_key_is_ecdsa(self, publisher: NotaryUser, reader: NotaryUser, collection: str) -> None:
        """Section 5: third-party readers refuse an Ed25519 timestamp."""
        reader.run("list", collection)
        root = reader.signed(collection, "root")
        (keyid,) = root["roles"]["timestamp"]["keyids"]
        assert root["keys"][keyid]["keytype"] == "ecdsa"

    def test_init_alone_leaves_no_trace_at_the_server(
        self, notary_owner: NotaryUser, reader: NotaryUser, peer_server: PeerServer, collection: str
    ) -> None:
        """Section 15: init asks for the timestamp's key; the first publish must find that very key."""
        notary_owner.run("init", collection)
        said = reader.refused("list", collection)
        assert f"{peer_server.netloc} does not have trust data for {collection}" in said
        notary_owner.add(collection, "1.0")
        assert set(reader.listed(collection)) == {"1.0"}

    def test_a_snapshot_key_of_the_server_from_the_start(
        self, notary_owner: NotaryUser, reader: NotaryUser, collection: str
    ) -> None:
        """Section 15: init, then rotation to the server before anything was published."""
        notary_owner.run("init", collection)
        notary_owner.rotate(collection, "snapshot", "-r")
        digest = notary_owner.add(collection, "1.0")
        assert reader.listed(collection)["1.0"].digest == digest
        assert notary_owner.keys("snapshot") == set()


class TestTags:
    def test_list_and_lookup_print_the_digest(self, publisher: NotaryUser, reader: NotaryUser, collection: str) -> None:
        """Section 15: columns NAME, DIGEST, SIZE (BYTES), ROLE."""
        digest = publisher.add(collection, "1.0")
        header = reader.run("list", collection).split("\n")[0].split("    ")
        assert [column.strip() for column in header if column.strip()] == ["NAME", "DIGEST", "SIZE (BYTES)", "ROLE"]
        listed = reader.listed(collection)["1.0"]
        assert (listed.digest, listed.size, listed.role) == (digest, 10, "targets")
        assert reader.run("lookup", collection, "1.0").strip() == f"1.0 sha256:{digest} 10"

    def test_a_tag_that_is_not_signed(self, publisher: NotaryUser, reader: NotaryUser, collection: str) -> None:
        publisher.add(collection, "1.0")
        assert "No valid trust data for 2.0" in reader.refused("lookup", collection, "2.0")

    def test_verify_of_a_file(self, publisher: NotaryUser, reader: NotaryUser, collection: str) -> None:
        """`notary add` signs sha256 and sha512 of a file; `verify` gives the file back, or refuses another one."""
        (publisher.folder / "file").write_text("what was signed")
        publisher.run("add", collection, "file", "file", "-p")
        assert reader.run("verify", collection, "file", stdin="what was signed") == "what was signed"
        assert "checksum for file did not match" in reader.refused("verify", collection, "file", stdin="another")
        assert set(reader.signed(collection, "targets")["targets"]["file"]["hashes"]) == {"sha256", "sha512"}

    def test_remove(self, publisher: NotaryUser, reader: NotaryUser, collection: str) -> None:
        publisher.add(collection, "1.0")
        publisher.add(collection, "2.0")
        publisher.run("remove", collection, "1.0", "-p")
        assert set(reader.listed(collection)) == {"2.0"}

    def test_a_moved_tag(self, publisher: NotaryUser, reader: NotaryUser, collection: str) -> None:
        publisher.add(collection, "1.0")
        reader.listed(collection)
        other = digest_of("another image")
        publisher.run("addhash", collection, "1.0", "20", "--sha256", other, "-p")
        listed = reader.listed(collection)["1.0"]
        assert (listed.digest, listed.size) == (other, 20)
        assert versions(reader, collection) == {"root": 1, "targets": 4, "snapshot": 4, "timestamp": 3}

    def test_a_thousand_tags(self, publisher: NotaryUser, reader: NotaryUser, collection: str) -> None:
        tags = [f"v{number}" for number in range(MANY)]
        changes = publisher.trust / "tuf" / collection / "changelist"
        publisher.add(collection, tags[0], publish=False)
        (made,) = changes.iterdir()
        change = json.loads(made.read_text())
        for number, tag in enumerate(tags):
            made.with_name(f"{number:020d}_many.change").write_text(json.dumps({**change, "path": tag}))
        made.unlink()
        publisher.run("publish", collection)
        listed = reader.listed(collection)
        assert set(listed) == set(tags)
        assert {row.digest for row in listed.values()} == {digest_of(tags[0])}
        publisher.add(collection, "one-more")
        assert len(reader.listed(collection)) == MANY + 1

    @pytest.mark.parametrize(
        "name",
        ["a b", "ü", "<&>", "a/b/c", "..", '"q"', "back\\slash", "x" * 300, "\u2028", "%2F", "targets", "root.json"],
        ids=ascii,
    )
    def test_odd_names_of_targets(self, publisher: NotaryUser, reader: NotaryUser, collection: str, name: str) -> None:
        """Section 9: Go escapes < > & and U+2028 on the wire but not in what is signed."""
        digest = publisher.add(collection, name)
        assert reader.run("lookup", collection, name).split()[-2] == f"sha256:{digest}"
        publisher.add(collection, "another")
        assert reader.run("lookup", collection, name).split()[-2] == f"sha256:{digest}"


class TestNames:
    @pytest.mark.parametrize(
        "form",
        [
            "127.0.0.1:5000/{}/b_c.d-e",
            "[::1]:5000/{}",
            "{}/and/a/path/that/is/longer/than/what/x509/allows/in/a/common/name",
            "docker.io/library/{}",
            "{}",
            "a/{}/targets/b",
            "a/{}/_trust/tuf",
            "a/{}/x.json",
            "a/{}/changefeed",
            "UPPER/{}",
            "a b/{}",
            "ü/{}",
        ],
    )
    def test_odd_names_of_collections(
        self, notary_owner: NotaryUser, reader: NotaryUser, collection: str, peer_server: PeerServer, form: str
    ) -> None:
        """Section 1: a GUN is greedy and may hold `/ : . _`, and what looks like a part of a route."""
        gun = form.format(collection.rpartition("/")[2])
        notary_owner.run("init", gun, "-p")
        digest = notary_owner.add(gun, "1.0")
        assert reader.listed(gun)["1.0"].digest == digest

    def test_a_name_that_begins_another(self, notary_owner: NotaryUser, reader: NotaryUser, collection: str) -> None:
        """Section 6: deleting `a/b` must leave `a/bfix` and `a/b/c` alone."""
        for gun in (collection, f"{collection}fix", f"{collection}/c"):
            notary_owner.run("init", gun, "-p")
            notary_owner.add(gun, "1.0")
        notary_owner.run("delete", collection, "--remote")
        reader.refused("list", collection)
        assert set(reader.listed(f"{collection}fix")) == set(reader.listed(f"{collection}/c")) == {"1.0"}


class TestDeletion:
    def test_delete_locally_leaves_the_server_alone(
        self, publisher: NotaryUser, reader: NotaryUser, collection: str
    ) -> None:
        publisher.add(collection, "1.0")
        publisher.run("delete", collection)
        assert set(reader.listed(collection)) == {"1.0"}
        assert not publisher.metadata(collection).exists()

    def test_delete_and_begin_anew(
        self, publisher: NotaryUser, reader: NotaryUser, notary_people: NotaryPeople, collection: str
    ) -> None:
        """Section 6: a new init starts at version 1, with new keys."""
        publisher.add(collection, "1.0")
        reader.listed(collection)
        old = reader.signed(collection, "root")["roles"]
        publisher.run("delete", collection, "--remote")
        assert "does not have trust data" in notary_people("fresh").refused("list", collection)
        publisher.run("init", collection, "-p")
        publisher.add(collection, "2.0")
        assert set(notary_people("newcomer").listed(collection)) == {"2.0"}
        # Who knows the old root is told, and may forget it himself.
        assert "could not rotate trust to a new trusted root" in reader.refused("list", collection)
        reader.run("delete", collection)
        assert set(reader.listed(collection)) == {"2.0"}
        new = reader.signed(collection, "root")
        assert new["version"] == 1
        for role in ONLINE_AND_OWN:
            assert not set(old[role]["keyids"]) & set(new["roles"][role]["keyids"]), role

    def test_delete_of_what_is_not_there(
        self, notary_owner: NotaryUser, collection: str, peer_server: PeerServer
    ) -> None:
        """Section 1: 200 with an empty body, also if there was nothing."""
        answer = peer_server.request(f"/v2/{collection}/_trust/tuf/", method="DELETE")
        assert (answer.status, answer.body) == (200, b"")
        notary_owner.run("delete", collection, "--remote")


class TestTwoPublishers:
    def test_both_publish_in_turn(self, publisher: NotaryUser, reader: NotaryUser, collection: str) -> None:
        """Section 15: publish reads again before it sends, so the second one builds on the first."""
        other = publisher.copy("other")
        publisher.add(collection, "1.0", publish=False)
        other.add(collection, "2.0", publish=False)
        publisher.run("publish", collection)
        other.run("publish", collection)
        assert set(reader.listed(collection)) == {"1.0", "2.0"}

    def test_a_publisher_with_an_old_copy(self, publisher: NotaryUser, reader: NotaryUser, collection: str) -> None:
        stale = publisher.copy("stale")
        for tag in ("1.0", "2.0", "3.0"):
            publisher.add(collection, tag)
        stale.add(collection, "4.0")
        assert set(reader.listed(collection)) == {"1.0", "2.0", "3.0", "4.0"}

    def test_init_of_what_is_there_wrecks_only_the_own_copy(
        self, publisher: NotaryUser, reader: NotaryUser, notary_people: NotaryPeople, collection: str
    ) -> None:
        """Section 17.4: a second owner's init passes, her publish does not."""
        publisher.add(collection, "1.0")
        second = notary_people("second")
        second.run("init", collection)
        assert "could not rotate trust to a new trusted root" in second.refused("publish", collection)
        assert set(reader.listed(collection)) == {"1.0"}


class TestExpired:
    LIFE = timedelta(seconds=2)
    LOOKS = 400

    @pytest.mark.parametrize("role", ["targets", "snapshot"])
    def test_expired_metadata_is_refused_by_the_client(
        self, reader: NotaryUser, notary_owner: NotaryUser, collection: str, peer_server: PeerServer, role: str
    ) -> None:
        """Section 17.3: nobody can read it any more, and no old client can publish on it."""
        hand = HandCollection(peer_server, collection, targets={"1.0": target(digest_of("1.0"))})
        hand.give_keys_to(notary_owner)
        hand.lifetime = {role: self.LIFE}
        hand.publish()
        assert set(reader.listed(collection)) == {"1.0"}
        for _ in range(self.LOOKS):  # until it has expired, two seconds after it was made
            if reader.status("lookup", collection, "1.0"):
                break
        assert f"{role} expired" in reader.refused("list", collection)
        hidden = role == "snapshot" and not peer_server.serves_under_expired_snapshots
        said = notary_owner.refused("addhash", collection, "2.0", "10", "--sha256", digest_of("2.0"), "-p")
        assert ("trust server at this time: 500" if hidden else f"{role} expired") in said
