"""Who lacks a key is told who has one, and whether there is any here at all."""

from __future__ import annotations

import json
from collections.abc import Sequence

import pytest

from tests.simulator.client import Client
from tests.simulator.owner import Owner
from tests.simulator.repository import APP, RepositorySimulator
from tests.simulator.scene import APP_IMAGE, GOOD, good_collection
from tests.simulator.session import SimulatedSession
from trustdata.roles import ROOT
from trustdata.verification.trust_pinning import fingerprint
from trustdata.wire import WireFormat
from trustdata.wire.notary import NOTARY
from trustdata.wire.tuf import TUF

pytestmark = pytest.mark.parametrize("wire", [TUF, NOTARY], ids=["tuf", "notary"])
OWNER = "the holder of the repository key"


def _said(wire: WireFormat, *arguments: str, keys: Sequence[str] = ("mallory",)) -> str:
    session = SimulatedSession(good_collection(wire).regular(), keys=keys, registry_digest=f"sha256:{GOOD}")
    assert session.run(*arguments) == 8
    return session.stderr.getvalue()


def test_everybody_is_named_whose_key_would_do(wire: WireFormat) -> None:
    everybody = f"alice, bob, {OWNER}"
    assert f"(who can: {everybody})" in _said(wire, "revoke", "--yes", APP_IMAGE)
    assert f"for targets/releases of {APP} (who can sign: {everybody})" in _said(wire, "sign", f"{APP}:3.0")
    assert f"for targets/bob of {APP} (who can sign: bob)" in _said(wire, "sign", "--signer", "bob", f"{APP}:3.0")


def test_a_store_without_any_key_is_told_as_that(wire: WireFormat) -> None:
    none = "in the key store, which holds no private key at all"
    signed = _said(wire, "sign", f"{APP}:3.0", keys=())
    assert none in signed
    assert "  next: bring your key: trust key import FILE; or make one (trust key generate YOU)" in signed
    assert none in _said(wire, "revoke", "--yes", APP_IMAGE, keys=())
    assert none in _said(wire, "signer", "remove", "bob", APP, keys=())
    assert none not in _said(wire, "sign", f"{APP}:3.0")


@pytest.mark.parametrize("keys", [(), ("mallory",)])
def test_a_plan_and_json_say_the_same(wire: WireFormat, keys: Sequence[str]) -> None:
    assert ("no private key at all" in _said(wire, "sign", "--plan", f"{APP}:3.0", keys=keys)) is (not keys)
    session = SimulatedSession(good_collection(wire).regular(), keys=keys, as_json=True)
    session.run("revoke", "--yes", APP_IMAGE)
    error = json.loads(session.stdout.getvalue())["error"]
    assert ("no private key at all" in error["message"]) is (not keys)
    assert set(error["details"]) == {"key", "named"}


def test_a_mistyped_signer_is_told_who_may_have_been_meant(wire: WireFormat) -> None:
    session = SimulatedSession(good_collection(wire).regular(), keys=("alice",), registry_digest=f"sha256:{GOOD}")
    assert session.run("sign", "--signer", "alcie", f"{APP}:3.0") == 7
    told = session.stderr.getvalue()
    assert f"alcie is no signer of {APP} (signers: alice, bob); did you mean 'alice'?" in told
    assert f"  next: trust inspect --pretty {APP} shows" in told


def test_a_collection_without_signers_is_told_as_that(wire: WireFormat) -> None:
    server = RepositorySimulator(wire=wire)
    Owner(server, "root", "targets").initialise("root")
    session = SimulatedSession(
        Client(server, pins=[fingerprint(wire.parse(ROOT, server.files[wire.filename(ROOT, version=1)]))])
    )
    assert session.run("signer", "list", APP) == 0
    assert session.stdout.getvalue() == ""
    assert session.stderr.getvalue() == f"{APP}: no signers; trust signer add --key FILE SIGNER {APP} adds one\n"
