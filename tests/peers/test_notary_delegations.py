"""Debian's `notary` against both servers: delegations with bare keys and certificates, nested, by path, removed."""

from __future__ import annotations

import base64

import pytest

from tests.support.handmade import key_id, key_object
from tests.support.notary_client import NotaryPeople, NotaryUser
from tests.support.notary_keys import HandKey, new_ecdsa, new_rsa

ALICE, BOB, NESTED = "targets/alice", "targets/bob", "targets/alice/helper"


@pytest.fixture
def shared(publisher: NotaryUser, collection: str) -> NotaryUser:
    """The owner of a collection in which others can publish: the server holds the snapshot's key."""
    publisher.rotate(collection, "snapshot", "-r")
    return publisher


def delegate(
    owner: NotaryUser,
    gun: str,
    role: str,
    signer: NotaryUser,
    *,
    key: HandKey | None = None,
    certificate: bool = False,
    paths: str = "",
) -> HandKey:
    """Give a role to a signer, who gets the private key."""
    key = key or new_ecdsa("signer")
    files = key.write(signer.folder, role.replace("/", "-")[:40])
    signer.run("key", "import", files.private, "--role", role)
    chosen = ["--paths", paths] if paths else ["--all-paths"]
    owner.run("delegation", "add", gun, role, files.certificate if certificate else files.public, *chosen, "-p")
    return key


def bare_id(key: HandKey) -> str:
    """The id under which a client keeps the private key, which it also shows of a certificate."""
    return key_id(key_object(key))


class TestKeys:
    @pytest.mark.parametrize("kind", ["ecdsa", "rsa"])
    @pytest.mark.parametrize("certificate", [False, True], ids=["bare", "certificate"])
    def test_a_signer_publishes(
        self,
        shared: NotaryUser,
        notary_people: NotaryPeople,
        reader: NotaryUser,
        collection: str,
        kind: str,
        *,
        certificate: bool,
    ) -> None:
        """Section 11: delegation keys may be bare or certificates, ECDSA or RSA."""
        alice = notary_people("alice")
        key = new_rsa("alice") if kind == "rsa" else new_ecdsa("alice")
        delegate(shared, collection, ALICE, alice, key=key, certificate=certificate)
        digest = alice.add(collection, "1.0", into=ALICE)
        listed = reader.listed(collection, ALICE)["1.0"]
        assert (listed.digest, listed.role) == (digest, ALICE)
        delegations = reader.signed(collection, "targets")["delegations"]
        assert set(delegations["keys"]) == {key_id(key_object(key, certificate=certificate))}
        assert bare_id(key) in reader.run("delegation", "list", collection)
        assert reader.signed(collection, ALICE)["version"] == 1

    def test_several_keys_of_one_role(
        self, shared: NotaryUser, notary_people: NotaryPeople, reader: NotaryUser, collection: str
    ) -> None:
        """Each of them suffices: thresholds are 1."""
        first, second = notary_people("first"), notary_people("second")
        delegate(shared, collection, ALICE, first)
        delegate(shared, collection, ALICE, second, certificate=True)
        first.add(collection, "1.0", into=ALICE)
        second.add(collection, "2.0", into=ALICE)
        first.add(collection, "3.0", into=ALICE)
        assert set(reader.listed(collection, ALICE)) == {"1.0", "2.0", "3.0"}
        (role,) = reader.signed(collection, "targets")["delegations"]["roles"]
        assert (role["threshold"], len(role["keyids"]), role["paths"]) == (1, 2, [""])

    def test_without_the_key_nothing_is_sent(
        self, shared: NotaryUser, notary_people: NotaryPeople, reader: NotaryUser, collection: str
    ) -> None:
        delegate(shared, collection, ALICE, notary_people("alice"))
        mallory = notary_people("mallory")
        said = mallory.refused("addhash", collection, "1.0", "10", "--sha256", "ab" * 32, "-r", ALICE, "-p")
        assert "could not find necessary signing keys" in said
        assert reader.listed(collection, ALICE) == {}

    def test_a_signer_needs_a_snapshot_key_at_the_server(
        self, publisher: NotaryUser, notary_people: NotaryPeople, collection: str
    ) -> None:
        """Section 3: ErrBadHierarchy, as long as the owner's client holds the snapshot key."""
        alice = notary_people("alice")
        delegate(publisher, collection, ALICE, alice)
        said = alice.refused("addhash", collection, "1.0", "10", "--sha256", "ab" * 32, "-r", ALICE, "-p")
        assert publisher.server.said_of_missing_snapshot in said
        publisher.rotate(collection, "snapshot", "-r")
        alice.run("publish", collection)
        assert set(alice.listed(collection, ALICE)) == {"1.0"}


class TestPaths:
    def test_paths_are_prefixes(
        self, shared: NotaryUser, notary_people: NotaryPeople, reader: NotaryUser, collection: str
    ) -> None:
        """Section 9: prefixes, not globs; outside of them the signer's own client refuses."""
        alice = notary_people("alice")
        delegate(shared, collection, ALICE, alice, paths="v1,v2.")
        for tag in ("v1", "v1.5", "v10", "v2.0"):
            alice.add(collection, tag, into=ALICE)
        for tag in ("v2", "v3", "xv1"):
            said = alice.refused("addhash", collection, tag, "10", "--sha256", "ab" * 32, "-r", ALICE, "-p")
            assert "Could not add all targets" in said
            alice.run("reset", collection, "--all")
        assert set(reader.listed(collection, ALICE)) == {"v1", "v1.5", "v10", "v2.0"}

    def test_a_role_without_paths_signs_nothing(
        self, shared: NotaryUser, notary_people: NotaryPeople, reader: NotaryUser, collection: str
    ) -> None:
        """Section 9: with no paths the member is left out."""
        alice = notary_people("alice")
        files = new_ecdsa("alice").write(alice.folder, "alice")
        alice.run("key", "import", files.private, "--role", ALICE)
        shared.run("delegation", "add", collection, ALICE, files.public, "-p")
        said = alice.refused("addhash", collection, "1.0", "10", "--sha256", "ab" * 32, "-r", ALICE, "-p")
        assert "Could not add all targets" in said
        assert reader.listed(collection, ALICE) == {}
        (role,) = reader.signed(collection, "targets")["delegations"]["roles"]
        assert "paths" not in role

    def test_paths_added_and_removed(
        self, shared: NotaryUser, notary_people: NotaryPeople, reader: NotaryUser, collection: str
    ) -> None:
        """A tag outside of the paths that are left is not listed any more."""
        alice = notary_people("alice")
        delegate(shared, collection, ALICE, alice, paths="v1")
        shared.run("delegation", "add", collection, ALICE, "--paths", "v2", "-p")
        alice.add(collection, "v1.0", into=ALICE)
        alice.add(collection, "v2.0", into=ALICE)
        assert set(reader.listed(collection, ALICE)) == {"v1.0", "v2.0"}
        shared.run("delegation", "remove", collection, ALICE, "--paths", "v1", "-y", "-p")
        assert set(reader.listed(collection, ALICE)) == {"v2.0"}


class TestNested:
    def test_a_delegate_delegates(
        self, shared: NotaryUser, notary_people: NotaryPeople, reader: NotaryUser, collection: str
    ) -> None:
        """Sections 1 and 9: `targets/alice/helper` is delegated by `targets/alice` and stands below her paths."""
        alice, helper = notary_people("alice"), notary_people("helper")
        delegate(shared, collection, ALICE, alice, paths="v1")
        delegate(alice, collection, NESTED, helper, paths="v1.5")
        digest = helper.add(collection, "v1.5-rc1", into=NESTED)
        assert helper.status("addhash", collection, "v1.6", "10", "--sha256", "ab" * 32, "-r", NESTED, "-p") == 1
        assert {name: row.digest for name, row in reader.listed(collection, NESTED).items()} == {"v1.5-rc1": digest}
        alice.add(collection, "v1.6", into=ALICE)
        assert {name: row.role for name, row in reader.listed(collection, ALICE).items()} == {
            "v1.5-rc1": NESTED,
            "v1.6": ALICE,
        }
        printed = reader.run("delegation", "list", collection)
        assert ALICE in printed
        assert NESTED in printed

    def test_the_owner_s_tag_goes_before_a_delegate_s(
        self, shared: NotaryUser, notary_people: NotaryPeople, reader: NotaryUser, collection: str
    ) -> None:
        alice = notary_people("alice")
        delegate(shared, collection, ALICE, alice)
        alice.add(collection, "1.0", into=ALICE)
        shared.run("addhash", collection, "1.0", "5", "--sha256", "cd" * 32, "-p")
        assert reader.listed(collection)["1.0"].role == "targets"
        assert reader.run("lookup", collection, "1.0").split()[1] == f"sha256:{'cd' * 32}"


class TestRoleNames:
    @pytest.mark.parametrize("name", ["a" * 247, "-_0/9/x", "releases/x", "root", "targets"])
    def test_odd_names_of_roles(
        self, shared: NotaryUser, notary_people: NotaryPeople, reader: NotaryUser, collection: str, name: str
    ) -> None:
        """Section 9: `a-z 0-9 - _ /`, shorter than 256 characters."""
        signer = notary_people("signer")
        parents = name.split("/")[:-1]
        for depth in range(len(parents)):
            role = "/".join(["targets", *parents[: depth + 1]])
            delegate(shared if depth == 0 else signer, collection, role, signer)
        role = f"targets/{name}"
        delegate(signer if parents else shared, collection, role, signer)
        digest = signer.add(collection, "1.0", into=role)
        assert reader.listed(collection, role)["1.0"].digest == digest

    @pytest.mark.parametrize("name", ["a" * 248, "A", "a b", "ü", "a//b", "../a", ""])
    def test_no_names_of_roles(self, shared: NotaryUser, collection: str, name: str) -> None:
        """The client itself refuses them."""
        files = new_ecdsa("alice").write(shared.folder, "alice")
        shared.refused("delegation", "add", collection, f"targets/{name}", files.public, "--all-paths", "-p")


class TestTakenBack:
    def test_removal_of_a_role(
        self, shared: NotaryUser, notary_people: NotaryPeople, reader: NotaryUser, collection: str
    ) -> None:
        """Section 5: its entry in the snapshot and its file stay, but nobody asks for them any more."""
        alice = notary_people("alice")
        delegate(shared, collection, ALICE, alice)
        alice.add(collection, "1.0", into=ALICE)
        shared.run("delegation", "remove", collection, ALICE, "-y", "-p")
        assert reader.listed(collection) == {}
        assert "No delegations present" in reader.run("delegation", "list", collection)
        assert ALICE in reader.signed(collection, "snapshot")["meta"]
        assert shared.server.file(collection, f"{ALICE}.json").status == 200
        assert alice.status("addhash", collection, "2.0", "10", "--sha256", "ab" * 32, "-r", ALICE, "-p") == 1

    def test_removal_of_a_key(
        self, shared: NotaryUser, notary_people: NotaryPeople, reader: NotaryUser, collection: str
    ) -> None:
        """What the removed key had signed is refused by readers until another key signs it."""
        first, second = notary_people("first"), notary_people("second")
        key = delegate(shared, collection, ALICE, first)
        delegate(shared, collection, ALICE, second)
        first.add(collection, "1.0", into=ALICE)
        shared.run("delegation", "remove", collection, ALICE, bare_id(key), "-p")
        assert first.status("addhash", collection, "2.0", "10", "--sha256", "ab" * 32, "-r", ALICE, "-p") == 1
        assert reader.listed(collection, ALICE) == {}
        second.run("witness", collection, ALICE, "-p")
        assert set(reader.listed(collection, ALICE)) == {"1.0"}
        second.add(collection, "2.0", into=ALICE)
        assert set(reader.listed(collection, ALICE)) == {"1.0", "2.0"}

    def test_purge_removes_a_key_everywhere(
        self, shared: NotaryUser, notary_people: NotaryPeople, reader: NotaryUser, collection: str
    ) -> None:
        alice = notary_people("alice")
        key = delegate(shared, collection, ALICE, alice)
        delegate(shared, collection, BOB, alice, key=key, certificate=True)
        delegate(shared, collection, BOB, notary_people("bob"))
        shared.run("delegation", "purge", collection, "--key", bare_id(key), "-p")
        printed = reader.run("delegation", "list", collection)
        assert bare_id(key) not in printed
        assert BOB in printed

    def test_a_role_given_back(
        self, shared: NotaryUser, notary_people: NotaryPeople, reader: NotaryUser, collection: str
    ) -> None:
        """A role that is removed and made again: its old file is still at the server, and goes on from there."""
        alice = notary_people("alice")
        key = delegate(shared, collection, ALICE, alice)
        alice.add(collection, "1.0", into=ALICE)
        shared.run("delegation", "remove", collection, ALICE, "-y", "-p")
        delegate(shared, collection, ALICE, alice, key=key)
        alice.add(collection, "2.0", into=ALICE)
        assert "2.0" in reader.listed(collection, ALICE)


class TestWitness:
    @pytest.mark.parametrize("role", ["targets", ALICE])
    def test_witness_signs_again(
        self, shared: NotaryUser, notary_people: NotaryPeople, reader: NotaryUser, collection: str, role: str
    ) -> None:
        """A new version with the same contents."""
        alice = notary_people("alice")
        delegate(shared, collection, ALICE, alice)
        shared.add(collection, "1.0")
        alice.add(collection, "2.0", into=ALICE)
        reader.listed(collection, ALICE)
        before = reader.signed(collection, role)
        (shared if role == "targets" else alice).run("witness", collection, role, "-p")
        reader.listed(collection, ALICE)
        after = reader.signed(collection, role)
        assert after["version"] == before["version"] + 1
        assert after["targets"] == before["targets"]

    def test_targets_signed_by_nobody_who_is_left(
        self, shared: NotaryUser, notary_people: NotaryPeople, reader: NotaryUser, collection: str
    ) -> None:
        """Section 17.2: after the last signer was removed another cannot sign, until she witnesses the role."""
        first, second = notary_people("first"), notary_people("second")
        key = delegate(shared, collection, "targets/releases", first)
        delegate(shared, collection, "targets/releases", second)
        first.add(collection, "1.0", into="targets/releases")
        first.add(collection, "1.1", into="targets/releases")
        shared.run("delegation", "remove", collection, "targets/releases", bare_id(key), "-p")
        failed = second.refused(
            "addhash", collection, "2.0", "10", "--sha256", "ab" * 32, "-r", "targets/releases", "-p"
        )
        assert "trust server rejected operation." in failed
        second.run("reset", collection, "--all")
        second.run("witness", collection, "targets/releases", "-p")
        second.add(collection, "2.0", into="targets/releases")
        assert "2.0" in reader.listed(collection, "targets/releases")


class TestCustom:
    def test_custom_data_in_canonical_form(self, shared: NotaryUser, reader: NotaryUser, collection: str) -> None:
        """Section 13: `custom` is signed as it stands."""
        (shared.folder / "custom.json").write_text('{"a":[1,"x"],"b":null}')
        sha256 = "ab" * 32
        shared.run("addhash", collection, "1.0", "10", "--sha256", sha256, "--custom", "custom.json", "-p")
        reader.listed(collection)
        entry = reader.signed(collection, "targets")["targets"]["1.0"]
        assert entry["custom"] == {"a": [1, "x"], "b": None}
        assert base64.b64decode(entry["hashes"]["sha256"]).hex() == sha256
        shared.add(collection, "2.0")
        assert set(reader.listed(collection)) == {"1.0", "2.0"}

    @pytest.mark.parametrize("custom", ['{"b":1,"a":2}', '{"a":1.5}', '{"a":"<"}'])
    def test_custom_data_in_another_form(
        self, shared: NotaryUser, reader: NotaryUser, collection: str, custom: str
    ) -> None:
        """Section 13: the client's own upload of it fails, and nothing is changed."""
        shared.add(collection, "1.0")
        (shared.folder / "custom.json").write_text(custom)
        common = ["addhash", collection, "2.0", "10", "--sha256", "ab" * 32, "--custom", "custom.json", "-p"]
        assert "The targets metadata is invalid" in shared.refused(*common)
        assert set(reader.listed(collection)) == {"1.0"}
