"""A collection whose first published root is version 2, as `notary` makes it, on both servers."""

from __future__ import annotations

import dataclasses
import hashlib
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.peers.faulty_front import FaultyFront, Forward, front
from tests.support.hostile_server import Request
from tests.support.notary_client import REPOSITORY_PASSPHRASE, ROOT_PASSPHRASE, NotaryUser
from tests.support.pulling_node import PATIENT, Node
from tests.support.stage import OTHER_DIGEST, Put
from tests.support.trust_program import TrustUser
from tests.support.trust_servers import Answer, PeerServer

__all__ = ["front"]

OLD_SECRETS = {"TRUST_ROOT_PASSPHRASE": ROOT_PASSPHRASE, "TRUST_REPOSITORY_PASSPHRASE": REPOSITORY_PASSPHRASE}


Person = Callable[[str], TrustUser]


@pytest.fixture
def person(tmp_path: Path, peer_server: PeerServer) -> Person:
    """Persons with our program, by name."""
    environ = {"TRUST_CACERT": str(peer_server.ca), **OLD_SECRETS}
    return lambda name: TrustUser(tmp_path / name, peer_server.url, environ=environ)


@pytest.fixture
def first(notary_owner: NotaryUser, peer_server: PeerServer, gun: str) -> str:
    """Made, its snapshot's key given to the server, and only then published; the fingerprint of its first root."""
    notary_owner.run("init", gun)
    notary_owner.rotate(gun, "snapshot", "-r")
    notary_owner.run("publish", gun)
    notary_owner.add(gun, "0.9")
    assert peer_server.file(gun, "1.root.json").status == 404
    root = peer_server.file(gun, "2.root.json")
    assert root.status == 200
    return f"sha256:{hashlib.sha256(root.body).hexdigest()}"


def test_it_is_trusted_on_first_use(first: str, person: Person, gun: str) -> None:
    newcomer = person("newcomer")
    newcomer.run("inspect", gun, expect=4).said(first)
    newcomer.run("--tofu", "inspect", gun).said(first)
    assert newcomer.pin_of(gun) == first
    newcomer.run("explain", f"{gun}:0.9")
    newcomer.run("doctor", gun)
    newcomer.run("verify", f"{gun}:0.9")
    newcomer.run("lock", gun)
    newcomer.run("verify", f"{gun}:0.9", "--offline")


def test_it_is_pinned_before_and_followed(first: str, notary_owner: NotaryUser, person: Person, gun: str) -> None:
    notary_owner.rotate(gun, "root")
    reader = person("reader")
    reader.run("pin", gun, first)
    reader.run("verify", f"{gun}:0.9")
    wrong = person("wrong")
    wrong.run("pin", gun, f"sha256:{'ab' * 32}")
    wrong.run("verify", f"{gun}:0.9", expect=4).said("withheld", "does not have the root sha256:abab")


def test_we_go_on_with_it(first: str, notary_owner: NotaryUser, person: Person, gun: str, put: Put) -> None:
    us = person("us")
    us.run("key", "import", str(notary_owner.trust))
    us.run("pin", gun, first)
    image = put("1.0")
    us.run("sign", f"{gun}:1.0")
    assert notary_owner.listed(gun)["1.0"].digest == image.digest.removeprefix("sha256:")
    us.run("key", "rotate", "root", gun)
    us.run("verify", f"{gun}:1.0")
    assert set(notary_owner.listed(gun)) == {"0.9", "1.0"}


# --- at a pull


Hide = Callable[..., None]


@pytest.fixture
def node(tmp_path: Path, front: FaultyFront, gun: str) -> Node:
    """Pulls through somebody who may hide files of the server."""
    node = Node(tmp_path / "node", {gun.partition("/")[0]: front.seen.url}, verifier=PATIENT)
    node.admin.environ["TRUST_CACERT"] = str(front.seen.ca)
    node.config.write_text(f'cacert = "{front.seen.ca}"\n' + node.config.read_text())
    node.containerd.fresh = True
    return node


@pytest.fixture
def hide(front: FaultyFront) -> Hide:
    """`hide("1.root.json")`: from now on the server answers 404 for these."""

    def from_now_on(*names: str) -> None:
        def trick(request: Request, forward: Forward) -> Answer | None:
            answer = forward(request)
            hidden = request.target.rpartition("/")[2] in names
            return dataclasses.replace(answer, status=404, body=b"{}") if hidden else answer

        front.trick = trick

    return from_now_on


@pytest.fixture
def signed(first: str, notary_owner: NotaryUser, gun: str, put: Put) -> str:
    """Tag 1.0 is signed in the collection, and its root was rotated since; the digest."""
    return release(notary_owner, gun, put)


@pytest.fixture
def from_version_1(notary_owner: NotaryUser, gun: str, put: Put) -> str:
    """The same of a collection that begins as usual."""
    notary_owner.run("init", "-p", gun)
    return release(notary_owner, gun, put)


def release(owner: NotaryUser, gun: str, put: Put) -> str:
    image = put("1.0")
    hexadecimal, size = image.digest.removeprefix("sha256:"), str(len(image.raw))
    owner.run("addhash", gun, "1.0", size, "--sha256", hexadecimal, "-p")
    owner.rotate(gun, "root")
    return image.digest


def by_hash(pin: str) -> str:
    return f"root.{pin.removeprefix('sha256:')}.json"


def test_a_node_allows_what_is_signed_and_refuses_the_rest(first: str, signed: str, node: Node, gun: str) -> None:
    node.refuses(f"{gun}:1.0", signed, "is not pinned here", first, status=4)
    node.admin.knows(gun, first)
    node.refuses(f"{gun}:1.0", OTHER_DIGEST, f"signed as {signed}", status=4)
    node.refuses(f"{gun}:2.0", signed, "is not signed", status=3)
    for name in (f"{gun}:1.0", f"{gun}@{signed}", f"{gun}:1.0@{signed}"):
        assert "1.0" in node.allows(name, signed)


def test_a_node_with_another_pin_is_told_which_root_is_missing(signed: str, node: Node, gun: str) -> None:
    node.admin.knows(gun, f"sha256:{'ab' * 32}")
    node.refuses(f"{gun}:1.0", signed, "withheld", "does not have the root sha256:abab", status=4)


def test_the_first_root_that_is_withheld_later_is_missed(
    first: str, signed: str, node: Node, hide: Hide, gun: str
) -> None:
    """By a node that begins, and by one that has lost its cache; who has the root here needs no server for it."""
    node.admin.knows(gun, first)
    hide(by_hash(first), "2.root.json")
    node.refuses(f"{gun}:1.0", signed, "withheld", first, status=4)
    hide()
    node.allows(f"{gun}:1.0", signed)
    hide(by_hash(first), "2.root.json")
    node.allows(f"{gun}:1.0", signed)
    shutil.rmtree(node.state / "cache")
    node.refuses(f"{gun}:1.0", signed, "withheld", first, status=4)


def test_so_is_version_1_of_a_collection_that_had_one(
    from_version_1: str, peer_server: PeerServer, node: Node, hide: Hide, gun: str
) -> None:
    """With 404 to version 1 it looks as if the collection had begun later, and nobody who has a pin believes that."""
    one = f"sha256:{hashlib.sha256(peer_server.file(gun, '1.root.json').body).hexdigest()}"
    node.admin.knows(gun, one)
    hide("1.root.json", by_hash(one))
    node.refuses(f"{gun}:1.0", from_version_1, "withheld", one, status=4)
    hide()
    node.allows(f"{gun}:1.0", from_version_1)
    shutil.rmtree(node.state / "cache")
    hide("1.root.json", by_hash(one))
    node.refuses(f"{gun}:1.0", from_version_1, "withheld", one, status=4)


def test_a_root_that_is_missing_between_two_is_missed(
    first: str, signed: str, node: Node, hide: Hide, gun: str
) -> None:
    """All that was signed since needs it."""
    node.admin.knows(gun, first)
    hide("3.root.json")
    node.refuses(f"{gun}:1.0", signed, status=4)
