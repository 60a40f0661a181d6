"""A repository written once, with public test keys at a fixed time: every later version must read and write it so."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from tests.golden.make_repository import AT, FOLDER, build
from tests.simulator.client import Client
from tests.simulator.owner import digest_of
from tests.simulator.repository import RepositorySimulator
from trustdata.errors import RootNotNamed
from trustdata.roles import ROOT
from trustdata.verification.trust_pinning import Pin
from trustdata.wire.tuf import TUF

NAMED, UNNAMED = FOLDER / "1.root.json", FOLDER.parent / "unnamed.root.json"
"""Its first root, and the one from before roots had names."""
FINGERPRINTS = {
    NAMED: "429ae27df522ef7e797f15f8268792913dd4ce14bd8e23a3f4ff71f5d76cd6a5",
    UNNAMED: "c552c5700d603f77f8a50d4280643c353ee4fa524acc75ef37c15b17170e9b13",
}


def _server(root: bytes) -> RepositorySimulator:
    server = RepositorySimulator(at=AT)
    server.files = {path.name: path.read_bytes() for path in FOLDER.glob("*.json")} | {"1.root.json": root}
    return server


@pytest.mark.parametrize("root", FINGERPRINTS, ids=["named", "unnamed"])
def test_it_verifies(root: Path) -> None:
    raw = root.read_bytes()
    fingerprint = FINGERPRINTS[root]
    assert hashlib.sha256(raw).hexdigest() == fingerprint
    client = Client(_server(raw), pins=[Pin("sha256", fingerprint)])
    assert client.digest("1.0") == f"sha256:{digest_of('first')}"
    assert client.judge("2.0", f"sha256:{digest_of('arm64')}", "alice").allowed


def test_by_its_key_alone_only_the_named_one_verifies() -> None:
    key = Pin("key", TUF.parse(ROOT, NAMED.read_bytes()).root.roles[ROOT].keyids[0])
    assert Client(_server(NAMED.read_bytes()), pins=[key]).judge("1.0").allowed
    with pytest.raises(RootNotNamed):
        Client(_server(UNNAMED.read_bytes()), pins=[key]).digest("1.0")


def test_we_still_write_the_same_bytes() -> None:
    written = build().files
    assert written.keys() == {path.name for path in FOLDER.glob("*.json")}
    for path in FOLDER.glob("*.json"):
        assert written[path.name] == path.read_bytes(), path.name
