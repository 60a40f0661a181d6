"""A collection whose first published root is version 2, as `notary` makes it, on both servers."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support.notary_client import REPOSITORY_PASSPHRASE, ROOT_PASSPHRASE, NotaryUser
from tests.support.stage import Put
from tests.support.trust_program import TrustUser
from tests.support.trust_servers import PeerServer

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
