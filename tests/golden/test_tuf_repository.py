"""A repository written once, with public test keys at a fixed time: every later version must read and write it so."""

from __future__ import annotations

import hashlib

from tests.golden.make_repository import AT, FOLDER, build
from tests.simulator.client import Client
from tests.simulator.owner import digest_of
from tests.simulator.repository import RepositorySimulator
from trustdata.verification.trust_pinning import Pin

ROOT_OF_TRUST = "c552c5700d603f77f8a50d4280643c353ee4fa524acc75ef37c15b17170e9b13"


def test_it_verifies() -> None:
    server = RepositorySimulator(at=AT)
    server.files = {path.name: path.read_bytes() for path in FOLDER.glob("*.json")}
    client = Client(server, pins=[Pin("sha256", ROOT_OF_TRUST)])
    assert client.digest("1.0") == f"sha256:{digest_of('first')}"
    assert client.judge("2.0", f"sha256:{digest_of('arm64')}", "alice").allowed
    assert hashlib.sha256(server.files["1.root.json"]).hexdigest() == ROOT_OF_TRUST


def test_we_still_write_the_same_bytes() -> None:
    written = build().files
    assert written.keys() == {path.name for path in FOLDER.glob("*.json")}
    for path in FOLDER.glob("*.json"):
        assert written[path.name] == path.read_bytes(), path.name
