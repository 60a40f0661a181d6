"""`trust`, `docker` and `notary` on the same collections, on both servers: each goes on where another stopped."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from keys.private_blocks import read_private_pem
from tests.support.docker_client import DockerCli, DockerPeople, DockerUser, debians_cli
from tests.support.docker_engine import UnpackedDocker
from tests.support.images import BuiltImage
from tests.support.notary_client import REPOSITORY_PASSPHRASE, ROOT_PASSPHRASE, NotaryUser
from tests.support.notary_keys import HandKey, new_ecdsa, new_rsa
from tests.support.old_docker_keys import old_key_file
from tests.support.stage import Put
from tests.support.trust_program import TrustUser
from tests.support.trust_servers import PeerServer

pytestmark = pytest.mark.allow_hosts(["127.0.0.1"])

RELEASES = "targets/releases"
TrustPeople = Callable[[str], TrustUser]
PASSPHRASES = {
    "TRUST_ROOT_PASSPHRASE": "",
    "TRUST_REPOSITORY_PASSPHRASE": "",
    "DOCKER_CONTENT_TRUST_ROOT_PASSPHRASE": ROOT_PASSPHRASE,
    "DOCKER_CONTENT_TRUST_REPOSITORY_PASSPHRASE": REPOSITORY_PASSPHRASE,
}
"""Docker's own, so that keys need no other one when they come over."""


@pytest.fixture(scope="session")
def docker_cli(unpacked_docker: UnpackedDocker) -> DockerCli:
    """Debian's alone: what the two print and write is compared elsewhere."""
    return debians_cli(unpacked_docker)


@pytest.fixture
def ours(tmp_path: Path, peer_server: PeerServer) -> TrustPeople:
    """Persons who use `trust`; they pin what they meet."""
    environ = {"TRUST_CACERT": str(peer_server.ca), "TRUST_TOFU": "1", **PASSPHRASES}
    return lambda name: TrustUser(tmp_path / f"trust-{name}", peer_server.url, environ=environ)


@pytest.fixture
def reader(docker_people: DockerPeople) -> DockerUser:
    """Who reads with docker; what she reads first stays in her cache."""
    return docker_people("reader")


@pytest.fixture
def alice(docker_people: DockerPeople) -> DockerUser:
    return docker_people("alice")


@pytest.fixture
def docker_s(docker_people: DockerPeople, alice: DockerUser, gun: str, put: Put) -> DockerUser:
    """The admin of a collection that docker made, with Alice for a signer, who has released 1.0."""
    admin = docker_people("admin")
    admin.run("trust", "signer", "add", "alice", gun, "--key", str(alice.new_signer_key("alice")))
    release(alice, gun, "1.0", put("1.0"))
    return admin


def release(signer: DockerUser, gun: str, tag: str, image: BuiltImage, *, name: str = "alice") -> None:
    """What `docker trust sign` writes, without an engine."""
    sha256 = image.digest.removeprefix("sha256:")
    roles = ["-r", f"targets/{name}", "-r", RELEASES]
    signer.notary.run("addhash", gun, tag, str(len(image.raw)), "--sha256", sha256, *roles, "-p")


def bare(image: BuiltImage) -> str:
    return image.digest.removeprefix("sha256:")


class TestWhatDockerMade:
    def test_verify_and_inspect(self, docker_s: DockerUser, ours: TrustPeople, reader: DockerUser, gun: str) -> None:
        """`trust inspect` and `--pretty` give the bytes of `docker trust inspect`, for a tag, a name, and both."""
        user = ours("user")
        (found,) = user.run("--json", "verify", f"{gun}:1.0").document()["images"]
        assert found["digest"].removeprefix("sha256:") == reader.signers_of_tags(gun)["1.0"][0]
        for names in ((gun,), (f"{gun}:1.0",), (f"{gun}:9.9",), (f"{gun}:1.0", gun)):
            for form in ((), ("--pretty",)):
                docker = reader.start(("trust", "inspect", *form, *names))
                mine = user.run("inspect", *form, *names)
                assert (mine.stdout, mine.status) == (docker.stdout, docker.returncode)

    def test_a_signer_goes_on_with_trust(
        self, docker_s: DockerUser, alice: DockerUser, ours: TrustPeople, reader: DockerUser, gun: str, *, put: Put
    ) -> None:
        """Alice brings her key over, signs, revokes; then signs with docker's program again."""
        user = ours("alice")
        user.run("key", "import", str(alice.trust))
        second = put("2.0", index=True)
        user.run("sign", f"{gun}:2.0")
        assert reader.signers_of_tags(gun)["2.0"] == (bare(second), {"alice"})
        user.run("revoke", "--yes", f"{gun}:1.0")
        assert set(reader.signers_of_tags(gun)) == {"2.0"}
        third = put("3.0", text="three")
        release(alice, gun, "3.0", third)
        assert set(reader.signers_of_tags(gun)) == {"2.0", "3.0"}
        assert user.run("verify", f"{gun}:3.0").stdout == f"{gun}@{third.digest}\n"

    def test_a_new_signer_by_trust(
        self,
        docker_s: DockerUser,
        docker_people: DockerPeople,
        ours: TrustPeople,
        reader: DockerUser,
        gun: str,
        *,
        put: Put,
    ) -> None:
        """The admin's keys come over; whom she adds signs with docker."""
        admin, bob = ours("admin"), docker_people("bob")
        admin.run("key", "import", str(docker_s.trust))
        admin.run("signer", "add", "--key", str(bob.new_signer_key("bob")), "bob", gun)
        assert reader.signers(gun) == ["bob", "alice"]
        bob.run("trust", "sign", f"{gun}:1.0")
        assert reader.signers_of_tags(gun)["1.0"][1] == {"alice", "bob"}
        release(bob, gun, "2.0", put("2.0"), name="bob")
        assert reader.signers_of_tags(gun)["2.0"][1] == {"bob"}

    @pytest.mark.parametrize("make", [new_ecdsa, new_rsa], ids=["ecdsa", "rsa"])
    def test_a_certificate_is_the_same_key_from_trust_and_from_docker(
        self,
        docker_s: DockerUser,
        docker_people: DockerPeople,
        ours: TrustPeople,
        reader: DockerUser,
        gun: str,
        *,
        make: Callable[[str], HandKey],
        put: Put,
    ) -> None:
        admin, bob, carol = ours("admin"), docker_people("bob"), ours("carol")
        files = make("bob").write(bob.folder, "bob")
        Path(files.private).chmod(0o600)
        bob.run("trust", "key", "load", "--name", "bob", files.private)
        admin.run("key", "import", str(docker_s.trust))
        admin.run("signer", "add", "--key", files.certificate, "bob", gun)
        docker_s.run("trust", "signer", "add", "carol", gun, "--key", files.certificate)
        release(bob, gun, "2.0", put("2.0"), name="bob")
        carol.run("key", "import", files.private, "--name", "carol")
        carol.run("sign", f"{gun}:2.0")
        assert reader.signers_of_tags(gun)["2.0"][1] == {"bob", "carol"}
        delegations = reader.notary.signed(gun, "targets")["delegations"]
        keys = {role["name"]: role["keyids"] for role in delegations["roles"]}
        assert keys["targets/bob"] == keys["targets/carol"]
        assert delegations["keys"][keys["targets/bob"][0]]["keytype"].endswith("-x509")

    def test_weak_and_odd_keys_of_others_are_shown_and_hinder_nobody(
        self,
        docker_s: DockerUser,
        docker_people: DockerPeople,
        ours: TrustPeople,
        reader: DockerUser,
        gun: str,
        *,
        put: Put,
    ) -> None:
        """Docker takes them and keeps what a server refuses in its change list: then every later change fails too."""
        weak: dict[str, ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey] = {
            "p224": ec.generate_private_key(ec.SECP224R1()),
            "rsa1024": rsa.generate_private_key(65537, 1024),
            "rsa1536": rsa.generate_private_key(65537, 1536),
            "p521": ec.generate_private_key(ec.SECP521R1()),
        }
        bob, user, admin = docker_people("bob"), ours("user"), ours("admin")
        for name, private in weak.items():
            files = HandKey(private, name).write(bob.folder, name)
            public = files.certificate if name == "p224" else files.public
            docker_s.run("trust", "signer", "add", name, gun, "--key", public)
        docker_s.run("trust", "signer", "add", "bob", gun, "--key", str(bob.new_signer_key("bob")))
        release(bob, gun, "2.0", put("2.0"), name="bob")
        assert user.run("inspect", gun).stdout == reader.start(("trust", "inspect", gun)).stdout
        assert {line.split("\t")[0] for line in user.run("signer", "list", gun).stdout.splitlines()} == {
            *weak,
            "bob",
            "alice",
        }
        admin.run("key", "import", str(docker_s.trust))
        admin.run("renew", "--within", "5000d", gun, expect=8)
        admin.run("signer", "add", "--key", str(docker_people("eve").new_signer_key("eve")), "eve", gun)
        admin.run("doctor", gun, expect=None)
        admin.run("expiring", gun, expect=None)
        admin.run("signer", "remove", "p224", gun)
        admin.run("key", "rotate", "targets", gun)

    def test_p_521_counts_and_what_is_weak_does_not(
        self,
        docker_s: DockerUser,
        docker_people: DockerPeople,
        ours: TrustPeople,
        reader: DockerUser,
        gun: str,
        *,
        put: Put,
    ) -> None:
        user = ours("user")
        for name, private in {
            "good": ec.generate_private_key(ec.SECP521R1()),
            "weak": ec.generate_private_key(ec.SECP224R1()),
        }.items():
            signer = docker_people(name)
            files = HandKey(private, name).write(signer.folder, name)
            Path(files.private).chmod(0o600)
            docker_s.run("trust", "signer", "add", name, gun, "--key", files.public)
            signer.notary.run("key", "import", "--role", name, files.private)
        release(docker_people("good"), gun, "2.0", put("2.0"), name="good")
        assert reader.signers_of_tags(gun)["2.0"][1] == {"good"}
        user.run("verify", f"{gun}:2.0")
        assert user.run("inspect", gun).stdout == reader.start(("trust", "inspect", gun)).stdout
        third, weak = put("3.0"), docker_people("weak")
        sha256 = third.digest.removeprefix("sha256:")
        into = ("-r", "targets/weak", "-r", RELEASES)
        if weak.notary.status("addhash", gun, "3.0", str(len(third.raw)), "--sha256", sha256, *into, "-p") == 0:
            # Debian's server takes it. No client of ours does, and each names the key.
            refused = user.run("verify", f"{gun}:3.0", expect=4)
            refused.said("has 0 of 1 signatures that targets asks for", "counts for nothing: curve secp224r1")

    def test_a_key_file_of_old_docker_is_the_same_key_to_all_three(
        self, docker_s: DockerUser, alice: DockerUser, ours: TrustPeople, reader: DockerUser, gun: str, *, put: Put
    ) -> None:
        """As Docker 1.8 to 17.11 encrypted it; what docker and notary do with it is the measure of what we do."""
        [file] = (alice.trust / "private").glob("*.key")
        private = read_private_pem(file.read_bytes(), REPOSITORY_PASSPHRASE.encode(), place=str(file))
        file.write_bytes(old_key_file(private, REPOSITORY_PASSPHRASE.encode(), headers={"role": "alice"}))
        second = put("2.0")
        release(alice, gun, "2.0", second)
        assert reader.signers_of_tags(gun)["2.0"] == (bare(second), {"alice"})
        user = ours("alice")
        user.run("key", "import", str(alice.trust))
        third = put("3.0")
        user.run("sign", f"{gun}:3.0")
        assert reader.signers_of_tags(gun)["3.0"] == (bare(third), {"alice"})

    def test_three_root_rotations_by_trust(
        self,
        docker_s: DockerUser,
        ours: TrustPeople,
        reader: DockerUser,
        docker_people: DockerPeople,
        gun: str,
        *,
        put: Put,
    ) -> None:
        """Docker clients three roots behind, and new ones, go on."""
        before = reader.signers_of_tags(gun)
        admin = ours("admin")
        admin.run("key", "import", str(docker_s.trust))
        for role in ("root", "targets", "root", "snapshot", "timestamp", "root"):
            admin.run("key", "rotate", role, gun)
        assert reader.signers_of_tags(gun) == docker_people("newcomer").signers_of_tags(gun) == before
        # Who has docker's old root key signs nothing any more; the targets key was replaced, too.
        docker_s.notary.refused("addhash", gun, "2.0", "1", "--sha256", "ab" * 32, "-p")


class TestWhatTrustMade:
    def test_docker_signs_in_it(
        self, ours: TrustPeople, alice: DockerUser, reader: DockerUser, gun: str, put: Put
    ) -> None:
        """A signer whom trust added works with docker."""
        owner = ours("owner")
        put("1.0")
        owner.run("init", gun, "--format", "notary", "--no-recovery-key")
        owner.run("sign", f"{gun}:1.0")
        owner.run("signer", "add", "--key", str(alice.new_signer_key("alice")), "alice", gun)
        alice.run("trust", "sign", f"{gun}:1.0")
        release(alice, gun, "2.0", put("2.0"))
        tags = reader.signers_of_tags(gun)
        assert {tag: signers for tag, (_, signers) in tags.items()} == {"1.0": {"alice"}, "2.0": {"alice"}}
        alice.run("trust", "revoke", "-y", f"{gun}:2.0")
        owner.run("verify", f"{gun}:2.0", expect=3)

    def test_notary_publishes_in_turn_with_trust(
        self, ours: TrustPeople, notary_owner: NotaryUser, reader: DockerUser, gun: str, put: Put
    ) -> None:
        """A collection of notary's, its snapshot key at the client at first: both sign, one after the other."""
        notary_owner.run("init", gun, "-p")
        notary_owner.rotate(gun, "snapshot", "-r")
        owner = ours("owner")
        owner.run("key", "import", str(notary_owner.trust))
        for number, sign in enumerate((owner.run, None, owner.run, None)):
            tag = f"{number}.0"
            if sign is None:
                notary_owner.add(gun, tag)
            else:
                put(tag)
                sign("sign", f"{gun}:{tag}")
        assert set(reader.signers_of_tags(gun)) == {"0.0", "1.0", "2.0", "3.0"}

    def test_a_snapshot_that_the_owner_signs(
        self, ours: TrustPeople, notary_owner: NotaryUser, reader: DockerUser, gun: str, put: Put
    ) -> None:
        """As `notary init` makes it: the snapshot key comes over too, and our upload brings a snapshot."""
        notary_owner.run("init", gun, "-p")
        owner = ours("owner")
        owner.run("key", "import", str(notary_owner.trust))
        put("1.0")
        owner.run("sign", f"{gun}:1.0")
        notary_owner.add(gun, "2.0")
        assert set(reader.signers_of_tags(gun)) == {"1.0", "2.0"}
