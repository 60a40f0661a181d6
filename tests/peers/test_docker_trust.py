"""`docker trust` against both servers, without an engine: signers, released tags, what `inspect` prints, revocation."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support.docker_client import DockerPeople, DockerUser
from tests.support.handmade import key_id
from tests.support.notary_client import digest_of
from tests.support.notary_keys import HandKey, new_ecdsa, new_rsa
from tests.support.trust_servers import PeerServer

RELEASES = "targets/releases"
REGISTRY = "127.0.0.1:5000"
"""Nobody listens there: these commands never ask the registry."""


@pytest.fixture
def image(collection: str) -> str:
    """The test's collection in a registry on loopback."""
    return f"{REGISTRY}/{collection.rpartition('/')[2]}"


@pytest.fixture
def admin(docker_people: DockerPeople) -> DockerUser:
    """Who makes the collection and names its signers."""
    return docker_people("admin")


@pytest.fixture
def alice(docker_people: DockerPeople) -> DockerUser:
    return docker_people("alice")


@pytest.fixture
def bob(docker_people: DockerPeople) -> DockerUser:
    return docker_people("bob")


@pytest.fixture
def reader(docker_people: DockerPeople) -> DockerUser:
    return docker_people("reader")


@pytest.fixture
def signed_by_alice(admin: DockerUser, alice: DockerUser, bob: DockerUser, image: str) -> str:
    """Alice and Bob are signers; Alice has released 1.0. Gives its digest."""
    for name, user in (("alice", alice), ("bob", bob)):
        admin.run("trust", "signer", "add", name, image, "--key", str(user.new_signer_key(name)))
    return alice.notary.add(image, "1.0", into=("targets/alice", RELEASES))


class TestSigners:
    def test_the_first_signer_makes_the_collection(
        self, admin: DockerUser, alice: DockerUser, reader: DockerUser, image: str
    ) -> None:
        """Sections 4 and 9: one upload of root and targets, the roles in it; paths are everything."""
        said = admin.run("trust", "signer", "add", "alice", image, "--key", str(alice.new_signer_key("alice")))
        assert f"Successfully added signer: alice to {image}" in said
        (found,) = reader.inspect(image)
        assert found["SignedTags"] == []
        assert [row["Name"] for row in found["Signers"]] == ["alice"]
        assert [row["Name"] for row in found["AdministrativeKeys"]] == ["Root", "Repository"]
        targets = reader.notary.signed(image, "targets")
        assert targets["version"] == 2
        roles = {role["name"]: role for role in targets["delegations"]["roles"]}
        assert set(roles) == {"targets/alice", RELEASES}
        assert all((role["paths"], role["threshold"]) == ([""], 1) for role in roles.values())
        # The server holds the snapshot's key.
        assert reader.notary.signed(image, "snapshot")["version"] == 1
        assert admin.notary.keys("snapshot") == set()

    @pytest.mark.parametrize("make", [new_ecdsa, new_rsa], ids=["ecdsa", "rsa"])
    @pytest.mark.parametrize("certificate", [False, True], ids=["bare", "certificate"])
    def test_a_loaded_key_and_its_certificate(
        self,
        admin: DockerUser,
        alice: DockerUser,
        reader: DockerUser,
        image: str,
        tmp_path: Path,
        *,
        make: Callable[[str], HandKey],
        certificate: bool,
    ) -> None:
        """Sections 11 and 16: `key load`; signers are shown by the id of the bare key."""
        key = make("alice")
        files = key.write(alice.folder, "alice")
        Path(files.private).chmod(0o600)
        assert "Successfully imported key" in alice.run("trust", "key", "load", "--name", "alice", files.private)
        public = files.certificate if certificate else files.public
        admin.run("trust", "signer", "add", "alice", image, "--key", public)
        alice.notary.add(image, "1.0", into=("targets/alice", RELEASES))
        assert reader.signers_of_tags(image) == {"1.0": (digest_of("1.0"), {"alice"})}
        (found,) = reader.inspect(image)
        (held,) = alice.notary.keys("alice")
        assert [row["ID"] for row in found["Signers"][0]["Keys"]] == [held]

    def test_a_signer_with_two_keys(
        self, admin: DockerUser, alice: DockerUser, bob: DockerUser, reader: DockerUser, image: str
    ) -> None:
        first, second = alice.new_signer_key("alice"), bob.new_signer_key("alice")
        admin.run("trust", "signer", "add", "alice", image, "--key", str(first), "--key", str(second))
        alice.notary.add(image, "1.0", into=("targets/alice", RELEASES))
        bob.notary.add(image, "2.0", into=("targets/alice", RELEASES))
        assert {tag: signers for tag, (_, signers) in reader.signers_of_tags(image).items()} == {
            "1.0": {"alice"},
            "2.0": {"alice"},
        }

    def test_signers_are_sorted_backwards(self, signed_by_alice: str, reader: DockerUser, image: str) -> None:
        """Section 16."""
        assert reader.signers(image) == ["bob", "alice"]

    def test_removal(
        self, signed_by_alice: str, admin: DockerUser, bob: DockerUser, reader: DockerUser, image: str
    ) -> None:
        """Section 17.1: newer versions say that they remove, and do nothing unless they had to ask."""
        bob.run("trust", "sign", f"{image}:1.0")
        bob.notary.add(image, "2.0", into=("targets/bob", RELEASES))  # a tag that is released already signs nothing new
        admin.run("trust", "signer", "remove", "alice", image, stdin="y\n")
        removed = admin.cli.removes_whom_it_says
        assert reader.signers(image) == (["bob"] if removed else ["bob", "alice"])
        assert reader.signers_of_tags(image) == {
            "1.0": (signed_by_alice, {"bob"} if removed else {"alice", "bob"}),
            "2.0": (digest_of("2.0"), {"bob"}),
        }

    def test_removal_of_who_signed_last(
        self,
        signed_by_alice: str,
        admin: DockerUser,
        alice: DockerUser,
        bob: DockerUser,
        reader: DockerUser,
        *,
        image: str,
    ) -> None:
        """Section 17.2: nobody can sign targets/releases any more, until one who is left witnesses it."""
        alice.notary.add(image, "2.0", into=("targets/alice", RELEASES))
        admin.run("trust", "signer", "remove", "alice", image, stdin="y\n")
        assert reader.signers_of_tags(image) == {}
        refused = bob.notary.refused("addhash", image, "3.0", "1", "--sha256", "ab" * 32, "-r", RELEASES, "-p")
        assert "trust server rejected operation." in refused
        bob.notary.run("reset", image, "--all")
        bob.notary.run("witness", image, RELEASES, "-p")
        assert {tag: signers for tag, (_, signers) in reader.signers_of_tags(image).items()} == {
            "1.0": {"Repo Admin"},
            "2.0": {"Repo Admin"},
        }
        bob.run("trust", "sign", f"{image}:2.0")
        assert reader.signers_of_tags(image)["2.0"] == (digest_of("2.0"), {"bob"})

    def test_removal_by_force(
        self, signed_by_alice: str, admin: DockerUser, bob: DockerUser, reader: DockerUser, image: str
    ) -> None:
        """Section 17.1: newer versions say that they remove, and do nothing."""
        bob.run("trust", "sign", f"{image}:1.0")
        assert "Removing signer" in admin.run("trust", "signer", "remove", "-f", "alice", image)
        assert reader.signers(image) == (["bob"] if admin.cli.removes_whom_it_says else ["bob", "alice"])

    def test_removal_of_nobody(self, signed_by_alice: str, admin: DockerUser, image: str) -> None:
        assert f"no signer carol for repository {image}" in admin.refused("trust", "signer", "remove", "carol", image)


class TestSign:
    def test_a_tag_that_another_released(
        self, signed_by_alice: str, bob: DockerUser, reader: DockerUser, image: str
    ) -> None:
        """Section 15: needs no engine."""
        said = bob.run("trust", "sign", f"{image}:1.0")
        assert f"Existing signatures for tag 1.0 digest {signed_by_alice} from:\nalice" in said
        assert f"Successfully signed {image}:1.0" in said
        assert reader.signers_of_tags(image) == {"1.0": (signed_by_alice, {"alice", "bob"})}

    def test_a_tag_that_the_owner_signed(
        self, signed_by_alice: str, admin: DockerUser, bob: DockerUser, reader: DockerUser, image: str
    ) -> None:
        digest = admin.notary.add(image, "2.0")
        assert reader.signers_of_tags(image)["2.0"] == (digest, {"Repo Admin"})
        bob.run("trust", "sign", f"{image}:2.0")
        assert reader.signers_of_tags(image)["2.0"] == (digest, {"bob"})

    def test_a_new_tag_needs_an_engine(
        self, signed_by_alice: str, bob: DockerUser, reader: DockerUser, image: str
    ) -> None:
        assert "docker daemon" in bob.refused("trust", "sign", f"{image}:2.0").replace("docker api", "docker daemon")
        assert set(reader.signers_of_tags(image)) == {"1.0"}

    def test_who_is_no_signer(
        self, signed_by_alice: str, docker_people: DockerPeople, reader: DockerUser, image: str
    ) -> None:
        mallory = docker_people("mallory")
        mallory.new_signer_key("mallory")
        mallory.refused("trust", "sign", f"{image}:1.0")
        assert reader.signers_of_tags(image) == {"1.0": (signed_by_alice, {"alice"})}

    def test_what_signers_say_of_one_tag_differs(
        self, signed_by_alice: str, bob: DockerUser, reader: DockerUser, image: str
    ) -> None:
        """Section 16: a signer counts for a tag only under the released digest."""
        bob.notary.run("addhash", image, "1.0", "10", "--sha256", "cd" * 32, "-r", "targets/bob", "-p")
        assert reader.signers_of_tags(image) == {"1.0": (signed_by_alice, {"alice"})}

    def test_what_is_not_released_is_not_shown(
        self, signed_by_alice: str, bob: DockerUser, reader: DockerUser, image: str
    ) -> None:
        bob.notary.add(image, "2.0", into="targets/bob")
        assert set(reader.signers_of_tags(image)) == {"1.0"}

    def test_tags_are_sorted_as_people_do(
        self, signed_by_alice: str, alice: DockerUser, reader: DockerUser, image: str
    ) -> None:
        """Section 16: natural order."""
        for tag in ("10.0", "9.0", "v2", "v10", "latest"):
            alice.notary.add(image, tag, into=("targets/alice", RELEASES))
        assert list(reader.signers_of_tags(image)) == ["1.0", "9.0", "10.0", "latest", "v2", "v10"]


class TestInspect:
    def test_pretty(self, signed_by_alice: str, bob: DockerUser, reader: DockerUser, image: str) -> None:
        """Section 16: to the byte."""
        bob.run("trust", "sign", f"{image}:1.0")
        (found,) = reader.inspect(image)
        keys = {row["Name"]: row["Keys"][0]["ID"] for part in ("Signers", "AdministrativeKeys") for row in found[part]}
        assert reader.run("trust", "inspect", "--pretty", f"{image}:1.0") == (
            f"\nSignatures for {image}:1.0\n\n"
            f"SIGNED TAG   DIGEST{' ' * 61}SIGNERS\n"
            f"1.0          {signed_by_alice}   alice, bob\n"
            f"\nList of signers and their keys for {image}:1.0\n\n"
            f"SIGNER    KEYS\nalice     {keys['alice'][:12]}\nbob       {keys['bob'][:12]}\n"
            f"\nAdministrative keys for {image}:1.0\n\n"
            f"  Repository Key:\t{keys['Repository']}\n  Root Key:\t{keys['Root']}\n"
        )

    def test_pretty_without_tags_and_signers(self, admin: DockerUser, reader: DockerUser, image: str) -> None:
        """Section 16; a collection that notary made."""
        admin.notary.run("init", image, "-p")
        printed = reader.run("trust", "inspect", "--pretty", image)
        assert printed.startswith(f"\nNo signatures for {image}\n\n\nAdministrative keys for {image}\n\n")

    def test_administrative_keys(self, signed_by_alice: str, admin: DockerUser, reader: DockerUser, image: str) -> None:
        """Section 16: ids as root says them; Root's is the certificate's."""
        (found,) = reader.inspect(image)
        keys = {row["Name"]: [key["ID"] for key in row["Keys"]] for row in found["AdministrativeKeys"]}
        root = reader.notary.signed(image, "root")
        assert keys == {"Root": root["roles"]["root"]["keyids"], "Repository": root["roles"]["targets"]["keyids"]}
        assert set(keys["Repository"]) == admin.notary.keys("targets")
        assert not set(keys["Root"]) & admin.notary.keys("root")

    def test_no_trust_data(self, signed_by_alice: str, reader: DockerUser, image: str) -> None:
        """Section 16: rc 1, and the good ones all the same."""
        assert f"no signatures or cannot access {image}-unknown" in reader.refused(
            "trust", "inspect", f"{image}-unknown"
        )
        done = reader.start(("trust", "inspect", image, f"{image}-unknown"))
        assert done.returncode == 1
        assert [row["Name"] for row in json.loads(done.stdout)] == [image]
        (found,) = reader.inspect(f"{image}:9.9")
        assert found["SignedTags"] == []

    def test_a_name_off_this_machine_is_verified(
        self, admin: DockerUser, reader: DockerUser, collection: str, peer_server: PeerServer
    ) -> None:
        """Section 2: the CA comes from DOCKER_CONFIG; for registries on loopback none is asked for."""
        local = f"{REGISTRY}/{collection.rpartition('/')[2]}"
        for gun in (collection, local):
            admin.notary.run("init", gun, "-p")
            admin.notary.add(gun, "1.0")
        assert set(reader.signers_of_tags(collection)) == {"1.0"}
        stranger = DockerUser(reader.folder.with_name("stranger"), reader.cli, peer_server)
        (stranger.config / "tls" / peer_server.netloc / "ca.crt").unlink()
        assert "cannot access" in stranger.refused("trust", "inspect", collection)
        assert set(stranger.signers_of_tags(local)) == {"1.0"}

    def test_with_the_server_s_keys_rotated(
        self, signed_by_alice: str, admin: DockerUser, alice: DockerUser, reader: DockerUser, image: str
    ) -> None:
        """Section 15: docker follows what notary rotates, root included."""
        assert set(reader.signers_of_tags(image)) == {"1.0"}
        for role, *options in (("root",), ("targets",), ("snapshot", "-r"), ("timestamp", "-r"), ("root",)):
            admin.notary.rotate(image, role, *options)
        assert set(reader.signers_of_tags(image)) == {"1.0"}
        alice.notary.add(image, "2.0", into=("targets/alice", RELEASES))
        assert set(reader.signers_of_tags(image)) == {"1.0", "2.0"}


class TestRevoke:
    def test_one_tag(
        self, signed_by_alice: str, alice: DockerUser, bob: DockerUser, reader: DockerUser, image: str
    ) -> None:
        alice.notary.add(image, "2.0", into=("targets/alice", RELEASES))
        said = bob.run("trust", "revoke", "-y", f"{image}:1.0")
        assert f"Successfully deleted signature for {image}:1.0" in said
        assert set(reader.signers_of_tags(image)) == {"2.0"}

    def test_all_tags(self, signed_by_alice: str, alice: DockerUser, reader: DockerUser, image: str) -> None:
        """Section 17.9: the whole collection is asked for; EOF is no."""
        alice.notary.add(image, "2.0", into=("targets/alice", RELEASES))
        alice.start(("trust", "revoke", image))
        assert set(reader.signers_of_tags(image)) == {"1.0", "2.0"}
        alice.run("trust", "revoke", "-y", image)
        assert reader.signers_of_tags(image) == {}
        alice.notary.add(image, "1.0", into=("targets/alice", RELEASES))
        assert set(reader.signers_of_tags(image)) == {"1.0"}

    def test_without_a_key(self, signed_by_alice: str, reader: DockerUser, image: str) -> None:
        assert "no valid signing keys" in reader.refused("trust", "revoke", "-y", f"{image}:1.0")
        assert set(reader.signers_of_tags(image)) == {"1.0"}


class TestOutage:
    def test_a_warm_cache_still_answers(
        self, signed_by_alice: str, reader: DockerUser, docker_people: DockerPeople, image: str
    ) -> None:
        """Section 3: docker ignores that the ping fails."""
        before = reader.inspect(image)
        cold = docker_people("cold")
        for user in (reader, cold):
            user.environ["DOCKER_CONTENT_TRUST_SERVER"] = "https://127.0.0.1:9"
        assert reader.inspect(image) == before
        assert "no signatures or cannot access" in cold.refused("trust", "inspect", image)


class TestServerKeys:
    def test_keys_in_the_server_are_those_of_root(
        self, signed_by_alice: str, reader: DockerUser, peer_server: PeerServer, image: str
    ) -> None:
        """Section 5: after the first publish GET gives the key that root names."""
        reader.inspect(image)
        roles = reader.notary.signed(image, "root")["roles"]
        for role in ("timestamp", "snapshot"):
            key = json.loads(peer_server.file(image, f"{role}.key").body)
            assert roles[role]["keyids"] == [key_id(key)]
