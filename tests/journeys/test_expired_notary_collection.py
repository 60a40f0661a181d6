"""Expired targets, which no old client of Notary v1 can publish again: shown as such, renewed by one command."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from keys.algorithms import PrivateKey, generate
from keys.certificate import root_certificate
from keys.material import write_private_pem
from tests.support.notary_client import NotaryUser
from tests.support.server_process import ServerProcess
from tests.support.trust_program import SECRETS, TrustUser
from tests.support.trust_servers import PeerServer, peer_of_process
from trustcli.http.multipart import publish_form
from trustdata.editing.derived_roles import next_snapshot, next_timestamp
from trustdata.editing.repository_editor import EditTerms, TagEdit, new_collection, set_tags
from trustdata.editing.signing import sign
from trustdata.envelope import Envelope
from trustdata.gun import Tag
from trustdata.lifetimes import NOTARY_LIFETIMES
from trustdata.roles import ROOT, SNAPSHOT, TARGETS, TIMESTAMP, RoleName
from trustdata.wire.notary import NOTARY

pytestmark = pytest.mark.allow_hosts(["127.0.0.1"])
GUN = "registry.example.com/team/old"
FOUR_YEARS = timedelta(days=4 * 365)
"""Longer than targets live, shorter than root does."""


@pytest.fixture
def server(tmp_path: Path) -> Iterator[PeerServer]:
    process = ServerProcess(tmp_path / "data")
    process.start("--self-signed")
    yield peer_of_process(process)
    process.kill()


def _of_four_years_ago(keys: dict[RoleName, PrivateKey]) -> dict[RoleName, Envelope]:
    """What an old client had made then, and what its server has signed since."""
    now = datetime.now(UTC)
    terms = EditTerms.of(NOTARY, at=now - FOUR_YEARS)
    signers = {role: NOTARY.signer(private) for role, private in keys.items()}
    certificate = root_certificate(keys[ROOT], gun=GUN, at=terms.at)
    contents = new_collection(
        root_keys=[certificate],
        threshold=1,
        targets_key=signers[TARGETS].public_key,
        snapshot_key=signers[SNAPSHOT].public_key,
        timestamp_key=signers[TIMESTAMP].public_key,
        terms=terms,
    )
    root = sign(contents[ROOT], [NOTARY.signer(keys[ROOT], certificate)], role=ROOT, wire=NOTARY)
    first = sign(contents[TARGETS], [signers[TARGETS]], role=TARGETS, wire=NOTARY)
    tag = TagEdit(tag=Tag("1.0"), digest="ab" * 32, length=10)
    tagged = set_tags({ROOT: root, TARGETS: first}, [tag], into=[TARGETS], terms=terms)
    targets = sign(tagged[TARGETS], [signers[TARGETS]], role=TARGETS, wire=NOTARY)
    lives = NOTARY_LIFETIMES
    listed = next_snapshot(previous=None, changed=[root, targets], at=now, lifetime=lives.snapshot, wire=NOTARY)
    snapshot = sign(listed, [signers[SNAPSHOT]], role=SNAPSHOT, wire=NOTARY)
    named = next_timestamp(previous=None, snapshot=snapshot, at=now, lifetime=lives.timestamp, wire=NOTARY)
    timestamp = sign(named, [signers[TIMESTAMP]], role=TIMESTAMP, wire=NOTARY)
    return {ROOT: root, TARGETS: targets, SNAPSHOT: snapshot, TIMESTAMP: timestamp}


def _hand_over(server: PeerServer, keys: dict[RoleName, PrivateKey]) -> None:
    parts = {RoleName("1.root" if role == ROOT else role): e.raw for role, e in _of_four_years_ago(keys).items()}
    for role in (SNAPSHOT, TIMESTAMP):
        parts[RoleName(f"key.{role}")] = write_private_pem(keys[role], None)
    kind, body = publish_form(parts)
    path = f"/api/v1/collections/{GUN}/take-over"
    answer = server.request(path, method="POST", headers={"Content-Type": kind}, body=body)
    assert answer.status == 200, answer.body


def test_expired_targets_are_shown_not_trusted_and_renewed_by_one_command(server: PeerServer, tmp_path: Path) -> None:
    keys = {role: generate() for role in (ROOT, TARGETS, SNAPSHOT, TIMESTAMP)}
    _hand_over(server, keys)
    user = TrustUser(tmp_path / "user", server.url, environ={"TRUST_CACERT": str(server.ca)})
    secret = SECRETS["TRUST_REPOSITORY_PASSPHRASE"].encode()
    (user.folder / "targets.pem").write_bytes(write_private_pem(keys[TARGETS], secret))
    user.run("key", "import", "targets.pem", "--purpose", "targets", "--collection", GUN)

    shown = user.run("--tofu", "inspect", GUN, expect=4)
    assert [row["SignedTag"] for row in shown.document()[0]["SignedTags"]] == ["1.0"]
    shown.said("targets version 2 expired on")
    assert user.run("verify", f"{GUN}:1.0", expect=4).said("targets version 2 expired").stdout == ""

    refused = user.run("renew", GUN, "--json", expect=4)
    (error,) = refused.document()["collections"][0]["errors"]
    assert (error["code"], error["details"]["role"]) == ("expired-unknown", "targets")
    file = f"targets@sha256:{error['details']['sha256']}"
    refused.said(f"--accept-expired {file}", f"it lists 1.0 as sha256:{'ab' * 32}")
    user.run("renew", GUN, "--accept-expired", file).said("has expired; make sure that it is the newest")
    assert user.run("verify", f"{GUN}:1.0").stdout == f"{GUN}@sha256:{'ab' * 32}\n"
    if shutil.which("notary") is None:
        pytest.skip("not installed: notary (make peers); all but its own look at it has passed")
    assert set(NotaryUser(tmp_path / "reader", server).listed(GUN)) == {"1.0"}
