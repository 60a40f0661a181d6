"""From Debian's notary-server to ours, with real clients on both sides: what the guide to moving promises."""

from __future__ import annotations

import hashlib
import json
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from tests.support.docker_client import DockerCli, DockerUser
from tests.support.docker_engine import UnpackedDocker
from tests.support.notary_client import REPOSITORY_PASSPHRASE, ROOT_PASSPHRASE, NotaryUser
from tests.support.notary_keys import HandKey
from tests.support.notary_server import SIGNER_PASSPHRASE, NotaryStack, missing_programs, start_notary
from tests.support.stage import Put
from tests.support.trust_program import Ran, TrustUser
from tests.support.trust_servers import PeerServer, our_server, peer_of

RELEASES = "targets/releases"
SECRETS = {"TRUST_ROOT_PASSPHRASE": ROOT_PASSPHRASE, "TRUST_REPOSITORY_PASSPHRASE": REPOSITORY_PASSPHRASE}
Person = Callable[[str], TrustUser]


@pytest.fixture(scope="module")
def stack() -> Iterator[NotaryStack]:
    """The server that is left, with everything that works for it."""
    if missing := missing_programs():
        pytest.skip(f"not installed: {', '.join(missing)} (make peers)")
    with tempfile.TemporaryDirectory(prefix="peers-") as name:
        Path(name).chmod(0o755)
        with start_notary(Path(name)) as started:
            yield started


@dataclass(frozen=True, kw_only=True)
class Move:
    """From one server to the other."""

    old: PeerServer
    new: PeerServer


@pytest.fixture(scope="module")
def move(stack: NotaryStack, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Move]:
    with our_server(tmp_path_factory.mktemp("new")) as server:
        yield Move(old=peer_of(stack), new=server)


@pytest.fixture
def person(tmp_path: Path, move: Move) -> Person:
    """Persons with our program, by name, who believe both servers and publish to the new one."""
    both = tmp_path / "both.crt"
    both.write_bytes(move.old.ca.read_bytes() + move.new.ca.read_bytes())
    return lambda name: TrustUser(tmp_path / name, move.new.url, environ={"TRUST_CACERT": str(both), **SECRETS})


@pytest.fixture
def operator(person: Person) -> TrustUser:
    """Who has no key of anybody's."""
    return person("operator")


@pytest.fixture
def owner(tmp_path: Path, move: Move, collection: str) -> NotaryUser:
    """Who made a collection on the old server; she holds the snapshot's key."""
    user = NotaryUser(tmp_path / "owner", move.old)
    user.run("init", collection, "-p")
    user.add(collection, "1.0")
    return user


def _moved(user: NotaryUser, move: Move) -> NotaryUser:
    """The same person, told of the new server and of nothing else."""
    return NotaryUser(user.folder, move.new, trust=user.trust)


def _migrate(user: TrustUser, move: Move, *arguments: str, expect: int | None = 0, **environ: str) -> Ran:
    return user.run("migrate", "from-notary", move.old.url, *arguments, expect=expect, **environ)


def _row(ran: Ran) -> dict[str, object]:
    (row,) = ran.document()["collections"]
    return dict(row)


def _files(server: PeerServer, gun: str) -> dict[str, bytes]:
    names = ("1.root.json", "root.json", "targets.json", "snapshot.json", "timestamp.json")
    return {name: server.file(gun, name).body for name in names}


def test_everything_comes_over_byte_for_byte(
    owner: NotaryUser, operator: TrustUser, move: Move, collection: str
) -> None:
    owner.rotate(collection, "root")
    _migrate(operator, move, collection, expect=8)
    assert _files(move.new, collection) == _files(move.old, collection)
    assert move.new.file(collection, "2.root.json").body == move.old.file(collection, "2.root.json").body


def test_a_collection_that_begins_later_and_lists_what_nobody_can_use(
    operator: TrustUser, person: Person, move: Move, collection: str, tmp_path: Path
) -> None:
    """The first root that was published is version 2, and a target has no sha256."""
    owner = NotaryUser(tmp_path / "later", move.old)
    owner.run("init", collection)
    owner.rotate(collection, "snapshot", "-r")
    owner.run("publish", collection)
    owner.add(collection, "1.0")
    owner.run("addhash", collection, "odd", "10", "--sha512", "ab" * 64, "-p")
    owner.rotate(collection, "root")
    _migrate(operator, move, collection, expect=8).said("odd comes along and is unusable here: ")
    for name in ("2.root.json", "3.root.json", "targets.json", "snapshot.json", "timestamp.json"):
        assert move.new.file(collection, name).body == move.old.file(collection, name).body, name
    assert move.new.file(collection, "1.root.json").status == 404
    reader = person("reader")
    first = hashlib.sha256(move.old.file(collection, "2.root.json").body).hexdigest()
    reader.run("pin", collection, f"sha256:{first}")
    reader.run("verify", f"{collection}:1.0")
    reader.run("verify", f"{collection}:odd", expect=4).said("no sha256")
    again = _row(_migrate(operator, move, collection, "--json", expect=8))
    assert (again["done"], again["root"]) == ("here", f"sha256:{first}")


def test_a_plan_says_it_and_does_nothing(owner: NotaryUser, operator: TrustUser, move: Move, collection: str) -> None:
    del owner
    ran = _migrate(operator, move, collection, "--plan", expect=8)
    assert ran.stdout == f"{collection}: would be taken over, root 1, 1 tag\n"
    assert move.new.file(collection, "timestamp.json").status == 404
    assert _row(_migrate(operator, move, collection, "--plan", "--json", expect=8))["needs_rotation"] == ["timestamp"]


def test_with_the_root_key_at_hand_clients_go_on_without_noticing(
    owner: NotaryUser, person: Person, move: Move, collection: str, tmp_path: Path
) -> None:
    owner.run("key", "rotate", collection, "snapshot", "-r")
    reader = NotaryUser(tmp_path / "reader", move.old)
    assert set(reader.listed(collection)) == {"1.0"}
    us = person("us")
    us.run("key", "import", str(owner.trust))
    ran = _migrate(us, move, collection)
    assert "timestamp, snapshot got new keys" in ran.stdout
    here = _moved(reader, move)
    assert set(here.listed(collection)) == {"1.0"}
    assert here.signed(collection, "root")["version"] == 3
    digest = _moved(owner, move).add(collection, "2.0")
    assert here.listed(collection)["2.0"].digest == digest


def test_an_owner_s_snapshot_stays_hers(owner: NotaryUser, person: Person, move: Move, collection: str) -> None:
    us = person("us")
    us.run("key", "import", str(owner.trust))
    assert _row(_migrate(us, move, collection, "--json"))["rotated"] == ["timestamp"]
    moved = _moved(owner, move)
    moved.add(collection, "2.0")
    assert set(moved.listed(collection)) == {"1.0", "2.0"}


def test_with_the_old_server_s_keys_nobody_has_to_rotate(
    stack: NotaryStack,
    owner: NotaryUser,
    operator: TrustUser,
    move: Move,
    collection: str,
) -> None:
    owner.run("key", "rotate", collection, "snapshot", "-r")
    (operator.folder / "keys.sql").write_text(stack.dumped_signer_keys())
    ran = _migrate(
        operator, move, collection, "--server-keys", "keys.sql", "--json", TRUST_SIGNER_PASSPHRASE=SIGNER_PASSPHRASE
    )
    row = _row(ran)
    assert (sorted(row["keys_brought"]), row["needs_rotation"]) == (["snapshot", "timestamp"], [])  # type: ignore[call-overload]
    again = _row(_migrate(operator, move, collection, "--json"))
    assert (again["done"], again["needs_rotation"]) == ("here", [])
    root = move.old.file(collection, "root.json").body
    moved = _moved(owner, move)
    moved.add(collection, "2.0")
    assert set(moved.listed(collection)) == {"1.0", "2.0"}
    assert move.new.file(collection, "root.json").body == root


def test_a_wrong_passphrase_of_the_dump_moves_nothing(
    stack: NotaryStack, owner: NotaryUser, operator: TrustUser, move: Move, collection: str
) -> None:
    del owner
    (operator.folder / "keys.sql").write_text(stack.dumped_signer_keys())
    ran = _migrate(
        operator, move, collection, "--server-keys", "keys.sql", expect=8, TRUST_SIGNER_PASSPHRASE="wrong-passphrase"
    )
    ran.said("the passphrase does not open keys.sql, row")
    assert "wrong-passphrase" not in ran.stderr
    assert move.new.file(collection, "timestamp.json").status == 404


def test_until_it_goes_on_here_the_old_server_s_changes_are_caught_up(
    owner: NotaryUser, operator: TrustUser, person: Person, move: Move, collection: str
) -> None:
    _migrate(operator, move, collection, expect=8)
    owner.add(collection, "1.1")
    ran = _migrate(operator, move, collection, expect=8)
    assert "taken over" in ran.stdout
    assert _files(move.new, collection) == _files(move.old, collection)
    assert "nothing to do" in _migrate(operator, move, collection, expect=8).stdout
    us = person("us")
    us.run("key", "import", str(owner.trust))
    _migrate(us, move, collection)
    owner.add(collection, "too-late")
    late = _migrate(us, move, collection, expect=1)
    assert "went on here" in late.stdout
    late.said("targets was changed on the old server after", "sign it here")
    assert set(_moved(owner, move).listed(collection)) == {"1.0", "1.1"}


def test_a_name_that_somebody_else_has_here_is_left_alone(
    owner: NotaryUser, operator: TrustUser, move: Move, collection: str, tmp_path: Path
) -> None:
    del owner
    other = NotaryUser(tmp_path / "other", move.new)
    other.run("init", collection, "-p")
    before = _files(move.new, collection)
    _migrate(operator, move, collection, expect=7).said("another collection has the name")
    assert _files(move.new, collection) == before


def test_without_names_the_change_feed_says_what_there_is(
    owner: NotaryUser, operator: TrustUser, move: Move, collection: str, tmp_path: Path
) -> None:
    gone = f"{collection}-gone"
    owner.run("init", gone, "-p")
    owner.run("delete", gone, "--remote")
    found = [row["gun"] for row in _migrate(operator, move, "--plan", "--json", expect=None).document()["collections"]]
    assert collection in found
    assert gone not in found
    names = tmp_path / "names"
    names.write_text(f"{collection}\n\n")
    rows = _migrate(operator, move, "--plan", "--json", "--names", str(names), expect=8).document()["collections"]
    assert [row["gun"] for row in rows] == [collection]
    names.write_text("\n")
    _migrate(operator, move, "--names", str(names), expect=2).said("holds no name")


def test_a_name_without_trust_data_fails_alone(
    owner: NotaryUser, operator: TrustUser, move: Move, collection: str
) -> None:
    del owner
    ran = _migrate(operator, move, f"{collection}-nobody", collection, "--plan", expect=3)
    assert ran.stdout.startswith(f"{collection}: would be taken over")


def test_a_tampering_source_is_not_taken_over(
    owner: NotaryUser, operator: TrustUser, move: Move, collection: str
) -> None:
    """Whoever knows the collection's root is not moved to another one."""
    del owner
    other = hashlib.sha256(b"another root").hexdigest()
    operator.run("pin", collection, f"sha256:{other}", "--format", "notary")
    _migrate(operator, move, collection, expect=4).said("is pinned to")
    assert move.new.file(collection, "timestamp.json").status == 404


def test_a_collection_of_docker_s_lives_on(
    move: Move, person: Person, unpacked_docker: UnpackedDocker, put: Put, gun: str
) -> None:
    """Made by docker, taken over, signed by us, read by docker, root rotated by us, and read by a docker three roots
    behind.
    """
    us = person("us")
    folder = us.folder
    cli = DockerCli(binary=unpacked_docker.docker, path=unpacked_docker.path, version=(20, 10, 24))
    admin, alice = (DockerUser(folder / name, cli, move.old) for name in ("admin", "alice"))
    admin.run("trust", "signer", "add", "alice", gun, "--key", str(alice.new_signer_key("alice")))
    first = alice.notary.add(gun, "0.9", into=("targets/alice", RELEASES))
    sleeper = DockerUser(folder / "sleeper", cli, move.old)
    assert sleeper.signers_of_tags(gun) == {"0.9": (first, {"alice"})}

    us.run("key", "import", str(admin.trust))
    us.run("key", "import", str(alice.trust))
    _migrate(us, move, gun)
    image = put("1.0")
    us.run("--tofu", "sign", f"{gun}:1.0")
    ours = image.digest.removeprefix("sha256:")

    def at_the_new_one(user: DockerUser) -> DockerUser:
        return DockerUser(user.folder, cli, move.new)

    everything = {"0.9": (first, {"alice"}), "1.0": (ours, {"alice"})}
    assert at_the_new_one(DockerUser(folder / "newcomer", cli, move.old)).signers_of_tags(gun) == everything
    for _ in range(2):
        us.run("key", "rotate", "root", gun)
    root = json.loads(move.new.file(gun, "root.json").body)["signed"]["version"]
    assert root == 4
    assert at_the_new_one(sleeper).signers_of_tags(gun) == everything
    third = at_the_new_one(alice).notary.add(gun, "2.0", into=("targets/alice", RELEASES))
    assert at_the_new_one(sleeper).signers_of_tags(gun)["2.0"] == (third, {"alice"})


def test_releases_that_docker_left_without_a_signature_come_over_wholly(
    move: Move, person: Person, unpacked_docker: UnpackedDocker, gun: str
) -> None:
    """The plan says so; new online keys come with it; a run that a first one left half done is finished."""
    us = person("us")
    cli = DockerCli(binary=unpacked_docker.docker, path=unpacked_docker.path, version=(20, 10, 24))
    admin, alice = (DockerUser(us.folder / name, cli, move.old) for name in ("admin", "alice"))
    admin.run("trust", "signer", "add", "alice", gun, "--key", str(alice.new_signer_key("alice")))
    first = alice.notary.add(gun, "0.9", into=("targets/alice", RELEASES))
    admin.run("trust", "signer", "remove", "alice", gun, stdin="y\n")
    us.run("key", "import", str(admin.trust))
    planned = _row(_migrate(us, move, gun, "--plan", "--json"))
    assert (planned["error"], planned["broken"]) == (None, [RELEASES])
    assert sorted(planned["rotated"]) == ["snapshot", "timestamp"]  # type: ignore[call-overload]

    half = _row(_migrate(us, move, gun, "--no-rotation", "--json", expect=8))
    assert sorted(half["needs_rotation"]) == ["snapshot", "timestamp"]  # type: ignore[call-overload]
    ran = _migrate(us, move, gun)
    ran.said(f"{RELEASES} does not verify", "1 of 1 collection is here")
    assert sorted(_row(_migrate(us, move, gun, "--json"))["rotated"]) == []  # type: ignore[call-overload]

    us.run("--tofu", "verify", f"{gun}:0.9", expect=4).said(RELEASES)
    us.run("key", "rotate", "root", gun).said(RELEASES, "left as it is", f"0.9 as sha256:{first}")
    us.run("renew", gun, "--start-empty", RELEASES, expect=8).said("nobody")  # docker leaves it without any key
    us.run("key", "rotate", "targets", gun)
    us.run("renew", gun, "--start-empty", RELEASES)
    us.run("verify", f"{gun}:0.9", expect=3)


def test_signers_with_weak_and_odd_keys_come_over_and_hinder_nothing(
    owner: NotaryUser, operator: TrustUser, person: Person, move: Move, collection: str
) -> None:
    """Go takes them. What a weak one has signed comes over as it is, and nobody here trusts it."""
    keys: dict[str, ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey] = {
        "p521": ec.generate_private_key(ec.SECP521R1()),
        "p224": ec.generate_private_key(ec.SECP224R1()),
        "rsa1024": rsa.generate_private_key(65537, 1024),
    }
    for name, private in keys.items():
        files = HandKey(private, name).write(owner.folder, name)
        owner.run("delegation", "add", collection, f"targets/{name}", files.public, "--all-paths", "-p")
        if name != "rsa1024":
            owner.run("key", "import", "--role", f"targets/{name}", files.private)
            owner.add(collection, f"by-{name}", into=f"targets/{name}")
    _migrate(operator, move, collection, expect=8)
    assert _files(move.new, collection) == _files(move.old, collection)
    reader = person("reader")
    (found,) = reader.run("--tofu", "inspect", collection).document()
    assert {signer["Name"] for signer in found["Signers"]} == {"p521", "p224", "rsa1024"}
    again = person("owner-here")
    again.run("key", "import", str(owner.trust), expect=8).said("secp224r1 is too weak", "secp521r1 is neither")
    assert _row(_migrate(again, move, collection, "--json"))["rotated"] == ["timestamp"]
