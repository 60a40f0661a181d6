"""Collections that other programs made, and that Notary's server and clients take: both servers, both clients."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from tests.peers.faulty_front import FaultyFront, Forward, front
from tests.support.handmade import HandCollection, target, upload
from tests.support.hostile_server import Request
from tests.support.notary_client import REPOSITORY_PASSPHRASE, ROOT_PASSPHRASE, NotaryUser, digest_of
from tests.support.notary_keys import HandKey, OldGoKey, Sha1Key
from tests.support.stage import Put
from tests.support.trust_program import TrustUser
from tests.support.trust_servers import Answer, PeerServer

__all__ = ["front"]

OLD_SECRETS = {"TRUST_ROOT_PASSPHRASE": ROOT_PASSPHRASE, "TRUST_REPOSITORY_PASSPHRASE": REPOSITORY_PASSPHRASE}


@pytest.fixture
def trust(tmp_path: Path, peer_server: PeerServer) -> TrustUser:
    """Somebody with our program and nothing else."""
    return TrustUser(tmp_path / "trust", peer_server.url, environ={"TRUST_CACERT": str(peer_server.ca), **OLD_SECRETS})


def test_a_wildcard_certificate_of_old_go(
    peer_server: PeerServer, reader: NotaryUser, trust: TrustUser, collection: str
) -> None:
    pattern = OldGoKey(ec.generate_private_key(ec.SECP256R1()), f"{collection.rpartition('/')[0]}/*")
    HandCollection(peer_server, collection, roots=[pattern], targets={"1.0": target(digest_of("1.0"))}).publish()
    assert set(reader.listed(collection)) == {"1.0"}
    trust.run("--tofu", "inspect", collection)
    assert trust.run("verify", f"{collection}:1.0").stdout == f"{collection}@sha256:{digest_of('1.0')}\n"


def test_a_wildcard_certificate_of_old_go_for_others(
    peer_server: PeerServer, trust: TrustUser, collection: str
) -> None:
    """Nobody can publish under a name that the pattern does not match, and nobody would read it."""
    pattern = OldGoKey(ec.generate_private_key(ec.SECP256R1()), "docker.io/others/*")
    hand = HandCollection(peer_server, collection, roots=[pattern], targets={"1.0": target(digest_of("1.0"))})
    assert upload(peer_server, collection, hand.files()).status == 400
    trust.run("--tofu", "inspect", collection, expect=3)


def test_a_root_certificate_signed_with_sha1(
    peer_server: PeerServer, reader: NotaryUser, trust: TrustUser, collection: str
) -> None:
    """Nobody verifies the signature of such a certificate, and all the same no client of Go counts the key in it."""
    weak = Sha1Key(rsa.generate_private_key(65537, 2048), collection)
    hand = HandCollection(peer_server, collection, roots=[weak], targets={"1.0": target(digest_of("1.0"))})
    assert upload(peer_server, collection, hand.files()).status == 400
    good = HandKey(weak.private, collection)
    HandCollection(peer_server, collection, roots=[good], targets={"1.0": target(digest_of("1.0"))}).publish()
    assert set(reader.listed(collection)) == {"1.0"}
    trust.run("--tofu", "verify", f"{collection}:1.0")


def test_a_root_certificate_signed_with_sha1_that_a_server_serves(
    peer_server: PeerServer, front: FaultyFront, tmp_path: Path, collection: str
) -> None:
    """Both clients refuse it, whoever let it in."""
    weak = Sha1Key(rsa.generate_private_key(65537, 2048), collection)
    hand = HandCollection(peer_server, collection, roots=[HandKey(weak.private, collection)])
    hand.publish()
    hand.roots = [weak]
    root = hand.root()

    def trick(request: Request, forward: Forward) -> Answer | None:
        answer = forward(request)
        is_root = request.target.endswith(".json") and "root" in request.target.rpartition("/")[2].split(".")
        return dataclasses.replace(answer, body=root) if is_root and answer.status == 200 else answer

    front.trick = trick
    said = NotaryUser(tmp_path / "reader", front.seen).refused("list", collection)
    assert "unable to retrieve valid leaf certificates" in said
    person = TrustUser(tmp_path / "trust", front.seen.url, environ={"TRUST_CACERT": str(front.seen.ca)})
    person.run("--tofu", "inspect", collection, expect=4).said("is a certificate signed with SHA-1")


def listed_by(trust: TrustUser, collection: str) -> set[str]:
    (entry,) = trust.run("inspect", collection).document()
    return {row["SignedTag"] for row in entry["SignedTags"]}


def test_a_target_with_sha512_alone(
    notary_owner: NotaryUser, reader: NotaryUser, trust: TrustUser, gun: str, put: Put
) -> None:
    """`notary addhash --sha512`: what it lists is named and kept, and the rest goes on."""
    notary_owner.run("init", gun, "-p")
    notary_owner.add(gun, "0.9")
    notary_owner.run("addhash", gun, "odd", "10", "--sha512", "ab" * 64, "-p")
    trust.run("--tofu", "inspect", gun).said("odd is left out", "it has sha512 and no sha256")
    assert listed_by(trust, gun) == {"0.9"}
    trust.run("verify", f"{gun}:0.9")
    trust.run("verify", f"{gun}:odd", expect=4).said("it has sha512 and no sha256")
    trust.run("explain", f"{gun}:odd", expect=4)
    trust.run("doctor", gun, expect=None)
    trust.run("key", "import", str(notary_owner.trust))
    image = put("1.0")
    trust.run("sign", f"{gun}:1.0")
    assert reader.listed(gun)["1.0"].digest == image.digest.removeprefix("sha256:")
    assert "odd" in reader.run("list", gun), "kept, as Notary shows it"
    trust.run("revoke", "--yes", f"{gun}:odd")
    assert "odd" not in reader.run("list", gun)
    notary_owner.add(gun, "1.1")
    assert listed_by(trust, gun) == {"0.9", "1.0", "1.1"}


@pytest.mark.parametrize("length", [-1, 2**53, 2**60])
def test_a_length_that_nobody_has(
    peer_server: PeerServer, reader: NotaryUser, trust: TrustUser, collection: str, *, length: int
) -> None:
    targets = {"1.0": target(digest_of("1.0")), "odd": target(digest_of("odd"), size=length)}
    hand = HandCollection(peer_server, collection, targets=targets)
    hand.publish()
    assert "1.0" in reader.run("list", collection)
    trust.run("--tofu", "inspect", collection).said("odd is left out", f"its length is {length}")
    trust.run("verify", f"{collection}:1.0")
    trust.run("verify", f"{collection}:odd", expect=4).said(f"its length is {length}")
