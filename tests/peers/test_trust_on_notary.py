"""Our `trust` on Notary v1, on both servers, beside the old clients: each goes on where the other stopped."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.support.docker_client import DockerPeople
from tests.support.images import BuiltImage
from tests.support.notary_client import REPOSITORY_PASSPHRASE, ROOT_PASSPHRASE, NotaryUser
from tests.support.stage import Put
from tests.support.trust_program import TrustUser
from tests.support.trust_servers import PeerServer

RELEASES = "targets/releases"
OLD_SECRETS = {"TRUST_ROOT_PASSPHRASE": ROOT_PASSPHRASE, "TRUST_REPOSITORY_PASSPHRASE": REPOSITORY_PASSPHRASE}
"""Keys that came over stay under the passphrases that they had."""


@pytest.fixture
def trust(tmp_path: Path, peer_server: PeerServer) -> TrustUser:
    """Somebody with our program and nothing else."""
    environ = {"TRUST_CACERT": str(peer_server.ca), **OLD_SECRETS}
    return TrustUser(tmp_path / "trust", peer_server.url, environ=environ)


@pytest.fixture
def ours(trust: TrustUser, gun: str, put: Put) -> BuiltImage:
    """A collection that our program has made, with 1.0 signed."""
    image = put("1.0")
    trust.run("init", gun, "--format", "notary", "--no-recovery-key")
    trust.run("sign", f"{gun}:1.0")
    return image


def _brought_over(trust: TrustUser, folder: Path, gun: str) -> None:
    """Keys and pin of a collection that an old client has made."""
    trust.run("key", "import", str(folder))
    trust.run("--tofu", "inspect", gun)


def _public_key(trust: TrustUser, name: str) -> str:
    trust.run("key", "generate", name)
    return f"{name}.pub"


def _hex(image: BuiltImage) -> str:
    return image.digest.removeprefix("sha256:")


class TestOurs:
    def test_notary_reads_what_we_made(self, ours: BuiltImage, reader: NotaryUser, gun: str) -> None:
        listed = reader.listed(gun)
        assert {name: (entry.digest, entry.role) for name, entry in listed.items()} == {"1.0": (_hex(ours), "targets")}

    def test_docker_shows_what_we_show(
        self, ours: BuiltImage, trust: TrustUser, docker_people: DockerPeople, gun: str
    ) -> None:
        del ours
        reader = docker_people("reader")
        for options in ((), ("--pretty",)):
            told = reader.start(("trust", "inspect", *options, gun))
            assert told.stdout == trust.run("inspect", *options, gun).stdout

    @pytest.mark.usefixtures("ours")
    def test_an_index_is_signed_without_an_engine(
        self, trust: TrustUser, reader: NotaryUser, put: Put, gun: str
    ) -> None:
        index = put("multi", index=True)
        trust.run("sign", f"{gun}:multi")
        assert reader.listed(gun)["multi"].digest == _hex(index)
        platform = trust.run("verify", f"{gun}:multi", "--json").document()
        assert index.digest in json.dumps(platform)

    @pytest.mark.parametrize("role", ["root", "targets", "snapshot", "timestamp"])
    def test_old_clients_follow_every_rotation(
        self, ours: BuiltImage, trust: TrustUser, reader: NotaryUser, gun: str, role: str
    ) -> None:
        assert set(reader.listed(gun)) == {"1.0"}
        before = reader.signed(gun, "root")["roles"][role]["keyids"]
        trust.run("key", "rotate", role, gun)
        assert reader.listed(gun)["1.0"].digest == _hex(ours)
        root = reader.signed(gun, "root")
        assert root["version"] == 2
        assert not set(root["roles"][role]["keyids"]) & set(before)
        # Replaced certificates stay, since older roots were verified with them; other keys go.
        assert (set(before) <= set(root["keys"])) == (role == "root")

    def test_a_reader_three_roots_behind(
        self, ours: BuiltImage, trust: TrustUser, reader: NotaryUser, docker_people: DockerPeople, gun: str
    ) -> None:
        docker = docker_people("reader")
        assert set(docker.signers_of_tags(gun)) == set(reader.listed(gun)) == {"1.0"}
        for role in ("root", "timestamp", "root"):
            trust.run("key", "rotate", role, gun)
        assert reader.listed(gun)["1.0"].digest == _hex(ours)
        assert docker.signers_of_tags(gun)["1.0"][0] == _hex(ours)
        assert reader.signed(gun, "root")["version"] == 4

    def test_a_recovery_key_replaces_a_lost_root_key(
        self, trust: TrustUser, reader: NotaryUser, put: Put, gun: str
    ) -> None:
        image = put("1.0")
        trust.run("init", gun, "--format", "notary", "--recovery-key", "recovery.key")
        trust.run("sign", f"{gun}:1.0")
        assert set(reader.listed(gun)) == {"1.0"}
        rows = trust.run("key", "list", "--json").document()["keys"]
        (root,) = [row["keyid"] for row in rows if row["purpose"] == "root"]
        trust.run("key", "remove", root, "--yes")
        trust.run("key", "rotate", "root", gun, "--recovery-key", "recovery.key")
        assert reader.listed(gun)["1.0"].digest == _hex(image)

    def test_signers_come_and_go(
        self, ours: BuiltImage, trust: TrustUser, docker_people: DockerPeople, put: Put, gun: str
    ) -> None:
        docker = docker_people("reader")
        trust.run("key", "generate", "alice")
        trust.run("signer", "add", "--key", "alice.pub", "alice", gun)
        second = put("2.0", text="by alice")
        trust.run("sign", f"{gun}:2.0")
        assert docker.signers(gun) == ["alice"]
        assert docker.signers_of_tags(gun) == {
            "1.0": (_hex(ours), {"Repo Admin"}),
            "2.0": (_hex(second), {"alice"}),
        }
        trust.run("signer", "remove", "alice", gun)
        assert docker.signers(gun) == []
        assert docker.signers_of_tags(gun)["2.0"] == (_hex(second), {"Repo Admin"})
        assert trust.run("verify", f"{gun}:2.0").stdout == f"{gun}@{second.digest}\n"

    def test_a_revoked_tag_is_gone_everywhere(
        self, ours: BuiltImage, trust: TrustUser, reader: NotaryUser, gun: str
    ) -> None:
        del ours
        assert set(reader.listed(gun)) == {"1.0"}
        trust.run("revoke", f"{gun}:1.0", "--yes")
        assert reader.listed(gun) == {}
        trust.run("verify", f"{gun}:1.0", expect=3)

    def test_renewed_roles_are_read(self, ours: BuiltImage, trust: TrustUser, reader: NotaryUser, gun: str) -> None:
        trust.run("renew", gun, "--all")
        assert reader.listed(gun)["1.0"].digest == _hex(ours)
        assert reader.signed(gun, "root")["version"] == 2

    def test_a_plan_changes_nothing_and_is_kept(
        self, ours: BuiltImage, trust: TrustUser, peer_server: PeerServer, gun: str
    ) -> None:
        del ours
        before = peer_server.file(gun, "timestamp.json").body
        planned = trust.run("key", "rotate", "root", gun, "--plan", "--json").document()
        assert planned["feasible"] is True
        assert peer_server.file(gun, "timestamp.json").body == before
        trust.run("key", "rotate", "root", gun)

    def test_explain_doctor_and_lock(self, ours: BuiltImage, trust: TrustUser, gun: str) -> None:
        told = trust.run("explain", f"{gun}:1.0").stdout
        assert told.split(maxsplit=2)[:2] == ["verdict", "trusted:"]
        assert f"trusted: {gun}@{ours.digest}\n" in told
        trust.run("doctor", gun)
        trust.run("lock", gun)
        trust.run("verify", f"{gun}:1.0")


class TestTheirs:
    def test_we_go_on_with_what_notary_made(
        self, notary_owner: NotaryUser, trust: TrustUser, put: Put, gun: str
    ) -> None:
        notary_owner.run("init", gun, "-p")
        first = notary_owner.add(gun, "0.9")
        _brought_over(trust, notary_owner.trust, gun)
        image = put("1.0")
        trust.run("sign", f"{gun}:1.0")
        assert {name: entry.digest for name, entry in notary_owner.listed(gun).items()} == {
            "0.9": first,
            "1.0": _hex(image),
        }
        third = notary_owner.add(gun, "1.1")
        shown = trust.run("inspect", gun).document()[0]["SignedTags"]
        assert {row["SignedTag"]: row["Digest"] for row in shown} == {"0.9": first, "1.0": _hex(image), "1.1": third}

    def test_without_the_owner_s_snapshot_key_we_say_whose_it_is(
        self, notary_owner: NotaryUser, trust: TrustUser, put: Put, gun: str
    ) -> None:
        notary_owner.run("init", gun, "-p")
        put("1.0")
        for file in notary_owner.trust.joinpath("private").glob("*.key"):
            if "role: snapshot" in file.read_text():
                file.unlink()
        _brought_over(trust, notary_owner.trust, gun)
        trust.run("sign", f"{gun}:1.0", expect=7).said("trust key import", "trust key rotate snapshot")
        trust.run("key", "rotate", "snapshot", gun)  # the server takes it over
        trust.run("sign", f"{gun}:1.0")
        assert set(notary_owner.listed(gun)) == {"1.0"}

    def test_every_rotation_of_theirs_by_us(
        self, notary_owner: NotaryUser, reader: NotaryUser, trust: TrustUser, gun: str
    ) -> None:
        notary_owner.run("init", gun, "-p")
        digest = notary_owner.add(gun, "1.0")
        assert set(reader.listed(gun)) == {"1.0"}
        _brought_over(trust, notary_owner.trust, gun)
        for role in ("root", "targets", "timestamp", "snapshot"):
            trust.run("key", "rotate", role, gun)
            assert reader.listed(gun)["1.0"].digest == digest

    def test_root_is_rotated_by_turns(
        self, notary_owner: NotaryUser, reader: NotaryUser, trust: TrustUser, gun: str
    ) -> None:
        notary_owner.run("init", gun, "-p")
        digest = notary_owner.add(gun, "1.0")
        notary_owner.rotate(gun, "root")
        _brought_over(trust, notary_owner.trust, gun)
        assert reader.listed(gun)["1.0"].digest == digest
        trust.run("verify", f"{gun}:1.0", expect=0)
        trust.run("renew", gun, "--all")
        assert reader.listed(gun)["1.0"].digest == digest

    def test_a_signer_of_docker_s_signs_with_us(
        self, docker_people: DockerPeople, trust: TrustUser, put: Put, gun: str
    ) -> None:
        admin, alice, reader = docker_people("admin"), docker_people("alice"), docker_people("reader")
        admin.run("trust", "signer", "add", "alice", gun, "--key", str(alice.new_signer_key("alice")))
        image = put("1.0")
        _brought_over(trust, alice.trust, gun)
        trust.run("sign", f"{gun}:1.0")
        assert reader.signers_of_tags(gun) == {"1.0": (_hex(image), {"alice"})}
        assert trust.run("verify", "--signer", "alice", f"{gun}:1.0").stdout == f"{gun}@{image.digest}\n"

    def test_removal_really_removes_and_leaves_the_releases_readable(
        self, docker_people: DockerPeople, trust: TrustUser, put: Put, gun: str
    ) -> None:
        """Docker's own removal of the signer who signed last leaves releases that nobody can sign again."""
        admin, alice, bob, reader = map(docker_people, ("admin", "alice", "bob", "reader"))
        for name, user in (("alice", alice), ("bob", bob)):
            admin.run("trust", "signer", "add", name, gun, "--key", str(user.new_signer_key(name)))
        digest = alice.notary.add(gun, "1.0", into=("targets/alice", RELEASES))
        _brought_over(trust, admin.trust, gun)
        trust.run("signer", "remove", "alice", gun)
        assert reader.signers(gun) == ["bob"]
        assert reader.signers_of_tags(gun) == {"1.0": (digest, {"Repo Admin"})}
        second = bob.notary.add(gun, "2.0", into=("targets/bob", RELEASES))
        assert reader.signers_of_tags(gun)["2.0"] == (second, {"bob"})

    def test_both_sides_see_the_same_signatures(self, docker_people: DockerPeople, trust: TrustUser, gun: str) -> None:
        admin, alice = docker_people("admin"), docker_people("alice")
        admin.run("trust", "signer", "add", "alice", gun, "--key", str(alice.new_signer_key("alice")))
        alice.notary.add(gun, "1.0", into=("targets/alice", RELEASES))
        alice.notary.add(gun, "10", into=("targets/alice", RELEASES))
        alice.notary.add(gun, "9", into=RELEASES)
        trust.run("--tofu", "inspect", gun)
        for options in ((), ("--pretty",)):
            for image in (gun, f"{gun}:1.0", f"{gun}:missing"):
                told = admin.start(("trust", "inspect", *options, image))
                assert told.stdout == trust.run("inspect", *options, image).stdout


def test_a_tag_that_both_roles_list_is_what_the_releases_say(
    docker_people: DockerPeople, trust: TrustUser, put: Put, gun: str
) -> None:
    admin, alice = docker_people("admin"), docker_people("alice")
    admin.run("trust", "signer", "add", "alice", gun, "--key", str(alice.new_signer_key("alice")))
    of_targets = put("1.0")
    admin.notary.run("addhash", gun, "1.0", "10", "--sha256", _hex(of_targets), "-p")
    released = put("1.0", text="another")
    alice.notary.run(
        "addhash", gun, "1.0", "10", "--sha256", _hex(released), "-r", RELEASES, "-r", "targets/alice", "-p"
    )
    trust.run("--tofu", "inspect", gun)
    assert trust.run("verify", f"{gun}:1.0").stdout == f"{gun}@{released.digest}\n"
    # `docker trust inspect` itself shows either of the two, from one call to the next; what it pulls is the released.
    assert admin.signers_of_tags(gun)["1.0"][0] in {_hex(released), _hex(of_targets)}


def test_a_foreign_root_is_refused(
    notary_owner: NotaryUser, trust: TrustUser, peer_server: PeerServer, gun: str
) -> None:
    """Deleted, and made anew by somebody else: whoever knew the first one is not led on."""
    notary_owner.run("init", gun, "-p")
    notary_owner.add(gun, "1.0")
    trust.run("--tofu", "verify", f"{gun}:1.0")
    notary_owner.run("delete", gun, "--remote")
    other = NotaryUser(notary_owner.folder.with_name("other"), peer_server)
    other.run("init", gun, "-p")
    other.add(gun, "1.0")
    assert trust.run("verify", f"{gun}:1.0", expect=4).stdout == ""


def test_the_other_format_is_not_asked_for_a_name_that_is_known(trust: TrustUser, ours: BuiltImage, gun: str) -> None:
    del ours
    pins = (trust.home / "pins.toml").read_text()
    assert 'format = "notary-v1"' in pins
    (trust.home / "pins.toml").write_text(pins.replace("notary-v1", "tuf-1.0"))
    trust.run("verify", f"{gun}:1.0", expect=4).said("is recorded as tuf-1.0", "the server has it as notary-v1")


def test_our_keys_go_to_notary_and_docker(
    ours: BuiltImage, trust: TrustUser, notary_owner: NotaryUser, docker_people: DockerPeople, gun: str
) -> None:
    """Exported, they sign there: targets by notary, root by a rotation of notary's, a signer's by docker."""
    trust.run("key", "generate", "alice")
    trust.run("signer", "add", "--key", "alice.pub", "alice", gun)
    docker = docker_people("alice")
    for row in trust.run("key", "list", "--json").document()["keys"]:
        folder = docker.trust if row["purpose"] == "signer" else notary_owner.trust
        trust.run("key", "export", row["keyid"], "--notary", "--output", str(folder))
    digest = notary_owner.add(gun, "by-notary")
    notary_owner.rotate(gun, "root")
    assert docker.signers_of_tags(gun)["by-notary"] == (digest, {"Repo Admin"})
    released = docker.notary.add(gun, "by-alice", into=("targets/alice", RELEASES))
    assert docker.signers_of_tags(gun)["by-alice"] == (released, {"alice"})
    assert trust.run("verify", f"{gun}:1.0").stdout == f"{gun}@{ours.digest}\n"


class TestWhatDockerLeavesBehind:
    """A signer removed by docker who had signed the releases last (facts, section 17, 2)."""

    @pytest.fixture
    def lost(self, docker_people: DockerPeople, gun: str) -> str:
        """Alice has released 1.0 and is gone; Bob is left, and docker cannot sign for him. Gives 1.0's digest."""
        admin, alice, bob, reader = map(docker_people, ("admin", "alice", "bob", "reader"))
        for name, user in (("alice", alice), ("bob", bob)):
            admin.run("trust", "signer", "add", name, gun, "--key", str(user.new_signer_key(name)))
        digest = alice.notary.add(gun, "1.0", into=("targets/alice", RELEASES))
        admin.run("trust", "signer", "remove", "alice", gun, stdin="y\n")
        assert reader.signers_of_tags(gun) == {}
        return digest

    def test_what_nobody_vouches_for_is_not_trusted(self, lost: str, trust: TrustUser, gun: str) -> None:
        del lost
        shown = trust.run("--tofu", "inspect", gun)
        assert shown.document()[0]["SignedTags"] == []
        shown.said("targets/releases is left out")
        assert trust.run("verify", f"{gun}:1.0", expect=4).stdout == ""

    def test_who_is_left_signs_it_anew_by_its_hash(
        self, lost: str, docker_people: DockerPeople, trust: TrustUser, gun: str
    ) -> None:
        bob, reader = map(docker_people, ("bob", "reader"))
        _brought_over(trust, bob.trust, gun)
        refused = trust.run("renew", gun, "--json", expect=4)
        (error,) = refused.document()["collections"][0]["errors"]
        assert error["details"]["tags"] == {"1.0": f"sha256:{lost}"}
        assert reader.signers_of_tags(gun) == {}
        file = f"{RELEASES}@sha256:{error['details']['sha256']}"
        trust.run("renew", gun, "--accept-unsigned", file).said("did not verify", f"1.0 as sha256:{lost}")
        assert reader.signers_of_tags(gun) == {"1.0": (lost, {"Repo Admin"})}
        second = bob.notary.add(gun, "2.0", into=("targets/bob", RELEASES))
        assert reader.signers_of_tags(gun)["2.0"] == (second, {"bob"})

    def test_who_had_verified_it_signs_it_anew_by_one_command(
        self, docker_people: DockerPeople, trust: TrustUser, gun: str
    ) -> None:
        admin, alice, reader = map(docker_people, ("admin", "alice", "reader"))
        admin.run("trust", "signer", "add", "alice", gun, "--key", str(alice.new_signer_key("alice")))
        digest = alice.notary.add(gun, "1.0", into=("targets/alice", RELEASES))
        _brought_over(trust, admin.trust, gun)
        trust.run("signer", "add", "--key", _public_key(trust, "carol"), "carol", gun)
        admin.run("trust", "signer", "remove", "alice", gun, stdin="y\n")
        assert reader.signers_of_tags(gun) == {}
        trust.run("renew", gun).said("did not verify", f"1.0 as sha256:{digest}")
        assert reader.signers_of_tags(gun) == {"1.0": (digest, {"Repo Admin"})}

    def test_the_next_removal_by_us_leaves_it_and_says_so(
        self, lost: str, docker_people: DockerPeople, trust: TrustUser, gun: str
    ) -> None:
        admin, reader = map(docker_people, ("admin", "reader"))
        _brought_over(trust, admin.trust, gun)
        said = trust.run("signer", "remove", "bob", gun)
        said.said("left as it is", f"1.0 as sha256:{lost}", "--accept-unsigned", f"--start-empty {RELEASES}")
        assert reader.signers_of_tags(gun) == {}
        for role in ("root", "targets", "snapshot", "timestamp"):
            trust.run("key", "rotate", role, gun)


def test_a_new_image_begins_in_their_format(trust: TrustUser, reader: NotaryUser, put: Put, gun: str) -> None:
    image = put("1.0")
    begins = ("sign", "--init", "--format", "notary", "--no-recovery-key", f"{gun}:1.0")
    planned = trust.run(*begins, "--plan", "--json").document()
    assert planned["feasible"] is True
    trust.run(*begins)
    assert reader.listed(gun)["1.0"].digest == _hex(image)
