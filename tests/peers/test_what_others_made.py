"""Collections that other programs made, and that Notary's server and clients take: both servers, both clients."""

from __future__ import annotations

from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from tests.support.handmade import HandCollection, target, upload
from tests.support.notary_client import NotaryUser, digest_of
from tests.support.notary_keys import OldGoKey
from tests.support.trust_program import TrustUser
from tests.support.trust_servers import PeerServer


@pytest.fixture
def trust(tmp_path: Path, peer_server: PeerServer) -> TrustUser:
    """Somebody with our program and nothing else."""
    return TrustUser(tmp_path / "trust", peer_server.url, environ={"TRUST_CACERT": str(peer_server.ca)})


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
