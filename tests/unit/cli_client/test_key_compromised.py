"""`trust key compromised` over the same collection in both formats: what it says, and that it writes nothing."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from keys.errors import KeyUnknown
from keys.material import tuf_key, write_private_pem, write_public_pem
from tests.simulator import keyring
from tests.simulator.client import Client
from tests.simulator.owner import Owner
from tests.simulator.repository import APP
from tests.simulator.scene import EVIL, GOOD, OTHER, Scene, good_collection
from tests.simulator.session import SimulatedSession
from trustdata.roles import RELEASES
from trustdata.wire import WireFormat
from trustdata.wire.notary import NOTARY
from trustdata.wire.tuf import TUF

pytestmark = pytest.mark.parametrize("wire", [TUF, NOTARY], ids=["tuf", "notary"])


def _session(client: Client, *, as_json: bool = False) -> SimulatedSession:
    return SimulatedSession(client, keys=("root", "targets", "alice"), as_json=as_json)


def _found(client: Client, key: str = "alice") -> Any:
    session = _session(client, as_json=True)
    assert session.run("key", "compromised", key, APP) == 0, session.stderr.getvalue()
    (row,) = session.document()["collections"]
    return row


@pytest.fixture
def scene(wire: WireFormat) -> Scene:
    return good_collection(wire)


def test_a_stolen_signer_key_is_told(scene: Scene, wire: WireFormat) -> None:
    row = _found(scene.newcomer())
    assert (row["gun"], row["state"], row["format"], row["holders"]) == (APP, "done", wire.name, ["alice"])
    assert {power["role"]: power["alone"] for power in row["powers"]} == {RELEASES: True, "targets/alice": True}
    assert [(claim["tag"], claim["digest"], claim["alone"], claim["since"]) for claim in row["claims"]] == [
        ("1.0", f"sha256:{GOOD}", True, "not-known-here"),
        ("2.0", f"sha256:{OTHER}", True, "not-known-here"),
    ]
    assert row["changes"] is None


def test_what_was_moved_since_it_was_verified_here_stands_out(scene: Scene, wire: WireFormat) -> None:
    """And a look does not change what was verified here last: the second look says the same."""
    del wire
    client = scene.regular()
    client.collection().owner_roles()
    Owner(scene.server, "alice").sign("1.0", EVIL)
    for _ in range(2):
        row = _found(client)
        claim = next(claim for claim in row["claims"] if claim["tag"] == "1.0")
        assert (claim["since"], claim["before"]) == ("moved", f"sha256:{GOOD}")
        assert f"{RELEASES} tag 1.0: sha256:{GOOD} -> sha256:{EVIL}" in row["changes"]
    session = _session(client)
    session.run("key", "compromised", "alice", APP)
    told = session.stdout.getvalue()
    assert f"1.0@sha256:{EVIL}; signed in targets/releases, targets/alice; NOBODY ELSE vouches for it" in told
    assert f"MOVED since it was verified here (sha256:{GOOD})" in told
    assert "1 collection read: named in 1, and alone to vouch for 2 tags" in session.stderr.getvalue()


def test_keys_that_the_thief_may_have_added_are_told(scene: Scene, wire: WireFormat) -> None:
    del wire
    client = scene.regular()
    client.collection().owner_roles()
    Owner(scene.server, "targets").add_signer("mallory")
    row = _found(client, "targets")
    stored = scene.server.stored
    assert row["unproven"] == [f"targets@sha256:{stored[next(r for r in stored if r == 'targets')].sha256}"]
    assert "delegation targets/mallory in targets added" in row["changes"]
    session = _session(client)
    session.run("key", "compromised", "targets", APP)
    assert "the keys that targets" in session.stdout.getvalue()
    assert "names may be the thief's: targets@sha256:" in session.stdout.getvalue()


def test_a_key_is_named_in_every_way(scene: Scene, wire: WireFormat, tmp_path: Path) -> None:
    public, private = tmp_path / "a.pub", tmp_path / "a.pem"
    public.write_bytes(write_public_pem(tuf_key(keyring.private("alice"))))
    private.write_bytes(write_private_pem(keyring.private("alice"), None))
    private.chmod(0o600)
    by_name = _found(scene.newcomer())
    for named in (str(public), str(private), scene.keys.keyid("alice")[:12], keyring.keyid("alice")[:12]):
        if wire is TUF or named != keyring.keyid("alice")[:12]:
            assert _found(scene.newcomer(), named) == by_name, named


def test_a_key_that_nothing_names(scene: Scene, wire: WireFormat) -> None:
    del wire
    session = _session(scene.newcomer())
    assert session.run("key", "compromised", "f" * 12, APP) == 0
    assert session.stdout.getvalue() == ""
    assert "1 collection read: none names the key ffffffffffff" in session.stderr.getvalue()
    with pytest.raises(KeyUnknown, match=re.escape("no file is called nobody.pub, and it is not 12 or more digits")):
        _session(scene.newcomer()).run("key", "compromised", "nobody.pub", APP)


def test_a_collection_that_cannot_be_read_is_no_clean_one(scene: Scene, wire: WireFormat) -> None:
    del wire
    session = SimulatedSession(Client(scene.server), keys=("alice",), as_json=True)
    assert session.ends("key", "compromised", "alice", APP) == 4
    (row,) = session.document()["collections"]
    assert (row["state"], row["error"]["code"]) == ("failed", "unpinned")
    assert "whether they name the key is not known" in session.stderr.getvalue()
