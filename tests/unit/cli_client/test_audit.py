"""`trust audit` over the same collection in both formats: what it says, and in which form."""

from __future__ import annotations

import base64
import csv
import io
import re
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from keys.material import write_private_pem
from keys.notary import NotaryKey
from tests.simulator import keyring
from tests.simulator.client import Client
from tests.simulator.forgery import Document
from tests.simulator.keyring import private
from tests.simulator.owner_commands import everything_expires
from tests.simulator.repository import APP
from tests.simulator.scene import EVIL, GOOD, OTHER, Scene, good_collection
from tests.simulator.session import SimulatedSession
from trustcli.errors import UsageError
from trustdata.roles import RELEASES, ROOT, TARGETS, TIMESTAMP, RoleName
from trustdata.verification import target_lookup
from trustdata.wire import WireFormat
from trustdata.wire.notary import NOTARY
from trustdata.wire.tuf import TUF

ALICE = RoleName("targets/alice")


@pytest.fixture(params=[TUF, NOTARY], ids=lambda wire: wire.name)
def wire(request: pytest.FixtureRequest) -> WireFormat:
    return request.param  # type: ignore[no-any-return]


def audited(client: Client, *options: str, keys: tuple[str, ...] = ("root", "targets")) -> Any:
    session = SimulatedSession(client, as_json=True, keys=keys)
    assert session.run("audit", APP, *options) == 0, session.stderr.getvalue()
    (found,) = session.document()["collections"]
    assert found["state"] == "done"
    return found


def keyid(wire: WireFormat, name: str) -> str:
    return wire.encode_key(keyring.key(name)).keyid


def key_of(found: Any, holder: str, *, spare: bool = False) -> Any:
    (row,) = (row for row in found["keys"] if holder in row["holders"] and (row["recovery"] != "no") == spare)
    return row


def test_every_tag_with_its_signers_and_what_released_it(wire: WireFormat) -> None:
    found = audited(good_collection(wire).newcomer())
    assert found["format"] == wire.name
    by_tag = {row["tag"]: row for row in found["tags"]}
    assert by_tag.keys() == {"1.0", "2.0"}
    assert by_tag["1.0"]["digest"] == f"sha256:{GOOD}"
    assert by_tag["1.0"]["signers"] == ["alice"]
    assert by_tag["1.0"]["released_by"] == RELEASES
    assert by_tag["1.0"]["release_keys"] == [keyid(wire, "alice")]
    assert by_tag["2.0"]["digest"] == f"sha256:{OTHER}"
    assert by_tag["2.0"]["signers"] == []


def test_every_key_with_its_rights_and_where_it_is_kept(wire: WireFormat) -> None:
    found = audited(good_collection(wire).newcomer())
    alice = key_of(found, "alice")
    assert alice["keyid"] == keyid(wire, "alice")
    assert {(right["role"], right["threshold"], right["signed"]) for right in alice["rights"]} == {
        (ALICE, 1, True),
        (RELEASES, 1, True),
    }
    assert alice["kept"] == "not here"
    assert key_of(found, "repository")["kept"] == "store"
    assert key_of(found, "root")["kept"] == "store"
    assert {row["kept"] for row in found["keys"] if row["holders"] == ["server"]} == {"server"}


def test_the_spare_root_key_is_perhaps_the_recovery_key(wire: WireFormat) -> None:
    found = audited(good_collection(wire).newcomer())
    assert key_of(found, "root", spare=True)["recovery"] == "perhaps"
    assert key_of(found, "root", spare=True)["kept"] == "not here"


def test_the_key_of_the_recovery_file_is_the_recovery_key(wire: WireFormat, tmp_path: Path) -> None:
    file = tmp_path / "recovery.key"
    file.write_bytes(write_private_pem(private("recovery"), None))
    file.chmod(0o600)
    found = audited(good_collection(wire).newcomer(), "--recovery-key", str(file))
    assert key_of(found, "root", spare=True)["recovery"] == "yes"
    assert key_of(found, "root", spare=True)["kept"] == "recovery file"


def test_what_a_signer_may_sign_and_has_signed(wire: WireFormat) -> None:
    client = good_collection(wire).newcomer()
    alice = audited(client, "--signer", "alice")
    assert [row["tag"] for row in alice["tags"]] == ["1.0"]
    assert [row["holders"] for row in alice["keys"]] == [["alice"]]
    bob = audited(client, "--signer", "bob")
    assert bob["tags"] == []
    assert [right["role"] for row in bob["keys"] for right in row["rights"]] == [RELEASES, "targets/bob"]


def test_a_signer_or_key_that_stands_nowhere_is_no_empty_answer(wire: WireFormat) -> None:
    """Who mistypes a name must not read that it has no rights."""
    client = good_collection(wire).newcomer()
    for options, said in (
        (("--signer", "alise"), "no collection here has a signer alise; did you mean 'alice'?"),
        (("--key", "ffff"), "no collection here has such a key: ffff"),
        (("--signer", "alice", "--key", "ffff"), "no collection here has such a key: ffff"),
    ):
        with pytest.raises(UsageError, match=re.escape(said)):
            SimulatedSession(client).run("audit", APP, *options)


def test_a_key_is_asked_for_by_the_first_digits_of_its_id(wire: WireFormat) -> None:
    client = good_collection(wire).newcomer()
    found = audited(client, "--key", keyid(wire, "alice")[:10])
    assert [row["holders"] for row in found["keys"]] == [["alice"]]


def odd(found: Any) -> set[tuple[str, str]]:
    return {(row["code"], row["about"]) for row in found["odd"]}


def test_what_is_odd_about_a_good_collection(wire: WireFormat) -> None:
    """Bob has signed nothing yet."""
    assert odd(audited(good_collection(wire).newcomer())) == {("never-signed", "targets/bob")}


def alice_lists(scene: Scene, *tags: str) -> None:
    """Let alice sign EVIL under these tags in her own role, and not release it."""

    def change(document: Document) -> None:
        document["version"] += 1
        document["targets"].update({tag: scene.forger.target(EVIL) for tag in tags})

    scene.forger.alter(ALICE, change)


def test_a_tag_that_a_signer_lists_as_something_else(wire: WireFormat) -> None:
    scene = good_collection(wire)
    alice_lists(scene, "1.0", "9.9")
    found = audited(scene.newcomer())
    assert ("other-digest", "1.0") in odd(found)
    assert ("not-released", "9.9") in odd(found)
    assert {(row["tag"], row["digest"], row["released"]) for row in found["unreleased"]} == {
        ("1.0", f"sha256:{EVIL}", f"sha256:{GOOD}"),
        ("9.9", f"sha256:{EVIL}", None),
    }


def test_releases_that_clients_refuse_release_nothing(wire: WireFormat) -> None:
    scene = good_collection(wire)
    scene.forger.alter(RELEASES, lambda _: None, signers=scene.forger.signers(RELEASES, "recovery"))
    found = audited(scene.newcomer())
    assert {code for code, _ in odd(found)} >= {"role-refused", "no-tag-visible"}
    assert found["tags"] == []


def test_what_has_expired_stays_listed(wire: WireFormat) -> None:
    scene = good_collection(wire)
    everything_expires(scene)
    found = audited(scene.newcomer())
    assert ("expired", "targets") in odd(found)
    assert {row["tag"] for row in found["tags"]} == {"1.0", "2.0"}


def test_what_expires_soon(wire: WireFormat) -> None:
    scene = good_collection(wire)
    scene.server.later(wire.lifetimes.targets - timedelta(days=10))
    scene.server.issue()
    assert ("expires-soon", "targets") in odd(audited(scene.newcomer()))


def test_signing_times_are_told_as_what_they_are(wire: WireFormat) -> None:
    scene = good_collection(wire)
    session = SimulatedSession(scene.newcomer())
    assert session.run("audit", APP) == 0
    text = session.stdout.getvalue()
    assert "metadata has no signing times" in text
    assert f"sha256:{GOOD}" in text
    assert "recovery key?" in text


def test_csv_has_a_line_for_each_tag_and_right(wire: WireFormat) -> None:
    session = SimulatedSession(good_collection(wire).newcomer(), keys=("root",))
    assert session.run("audit", "--csv", APP) == 0
    rows = list(csv.DictReader(io.StringIO(session.stdout.getvalue())))
    assert {(row["name"], row["digest"], row["signers"]) for row in rows if row["record"] == "tag"} == {
        ("1.0", f"sha256:{GOOD}", "alice"),
        ("2.0", f"sha256:{OTHER}", ""),
    }
    may_sign = {row["role"] for row in rows if row["record"] == "key" and row["holders"] == "alice"}
    assert may_sign == {ALICE, RELEASES}
    assert {row["collection"] for row in rows} == {APP}


def test_no_cell_is_a_formula() -> None:
    """In Notary v1 a tag may have any name."""
    scene = good_collection(NOTARY)
    name = '=HYPERLINK("http://evil.example","x")'
    alice_lists(scene, name)
    session = SimulatedSession(scene.newcomer())
    assert session.run("audit", "--csv", APP) == 0
    rows = list(csv.DictReader(io.StringIO(session.stdout.getvalue())))
    (row,) = (row for row in rows if row["record"] == "unreleased")
    assert row["name"] == f"'{name}"
    assert not any(cell.startswith(("=", "+", "-", "@")) for row in rows for cell in row.values())


def test_a_collection_that_cannot_be_read_is_a_row_and_a_status(wire: WireFormat) -> None:
    scene = good_collection(wire)
    scene.server.files = {}
    scene.server.stored = {}
    session = SimulatedSession(scene.newcomer(), as_json=True)
    assert session.run("audit", APP) == 4
    (row,) = session.document()["collections"]
    assert row["state"] == "failed"
    assert row["error"]["code"] == "trust-data-withheld"


@pytest.mark.parametrize("arguments", [("audit",), ("audit", "--all", APP), ("audit", "--csv", APP)])
def test_wrong_usage(arguments: tuple[str, ...]) -> None:
    session = SimulatedSession(good_collection().newcomer(), as_json=True)
    with pytest.raises(UsageError):
        session.run(*arguments)


def changed_targets(scene: Scene, change: Callable[[Document], object]) -> None:
    def successor(document: Document) -> None:
        document["version"] += 1
        change(document)

    scene.forger.alter(TARGETS, successor)


def test_one_key_of_two_people(wire: WireFormat) -> None:
    """It looks like two signatures, and is one person's."""
    scene = good_collection(wire)
    alice = keyid(wire, "alice")

    def share(document: Document) -> None:
        document["delegations"]["roles"][-1]["keyids"] = [alice]

    changed_targets(scene, share)
    found = audited(scene.newcomer())
    assert ("one-key-for-several", alice) in odd(found)
    assert key_of(found, "bob")["holders"] == ["alice", "bob"]


def test_a_weak_key_and_a_key_that_stands_nowhere_count_for_nothing() -> None:
    """Notary's clients write both."""
    scene = good_collection(NOTARY)
    weak = NotaryKey.of("ecdsa", "AAAA")

    def name(document: Document) -> None:
        document["delegations"]["keys"][weak.keyid] = weak.to_dict()
        document["delegations"]["roles"][-1]["keyids"] += [weak.keyid, "ab" * 32]

    changed_targets(scene, name)
    found = audited(scene.newcomer())
    assert odd(found) >= {("weak-key", weak.keyid), ("key-missing", "targets/bob")}
    (row,) = (row for row in found["keys"] if row["keyid"] == weak.keyid)
    assert not row["counts"]


def test_a_tag_that_no_image_can_have() -> None:
    scene = good_collection(NOTARY)
    forged = {"hashes": {"sha512": base64.b64encode(bytes(64)).decode()}, "length": 1}
    changed_targets(scene, lambda document: document["targets"].update({"odd": forged}))
    assert ("unusable", "odd") in odd(audited(scene.newcomer()))


def test_a_conflict_of_the_releasing_roles_hides_every_tag() -> None:
    """In TUF 1.0 clients trust neither."""
    scene = good_collection(TUF)
    changed_targets(scene, lambda document: document["targets"].update({"1.0": scene.forger.target(EVIL)}))
    found = audited(scene.newcomer())
    assert ("conflict", "1.0") in odd(found)
    assert found["tags"] == []


def test_a_server_that_is_late(wire: WireFormat) -> None:
    scene = good_collection(wire)
    scene.server.later(wire.lifetimes.timestamp * 0.8)
    assert ("server-late", TIMESTAMP) in odd(audited(scene.newcomer()))


def test_root_without_a_spare_key(wire: WireFormat) -> None:
    scene = good_collection(wire)
    scene.forger.next_root(lambda root: root["roles"][ROOT]["keyids"].pop(), "root", "recovery")
    found = audited(scene.newcomer())
    assert ("no-spare-root-key", ROOT) in odd(found)
    assert {row["recovery"] for row in found["keys"]} == {"no"}


def test_a_file_that_outlives_its_lifetime_has_no_time_of_signing(wire: WireFormat) -> None:
    scene = good_collection(wire)
    changed_targets(scene, lambda document: document.update(expires="9999-01-01T00:00:00Z"))
    (targets,) = (row for row in audited(scene.newcomer())["roles"] if row["role"] == TARGETS)
    assert targets["signed_about"] is None
    changed_targets(scene, lambda document: document.update(expires="0001-01-02T00:00:00Z"))
    (targets,) = (row for row in audited(scene.newcomer())["roles"] if row["role"] == TARGETS)
    assert targets["signed_about"] is None


def test_ten_thousand_tags_are_looked_at_once_each(monkeypatch: pytest.MonkeyPatch) -> None:
    """The cost grows with the tags, not with tags times keys."""
    looked_at: list[str] = []
    real = target_lookup.read_target

    def counted(role: RoleName, tag: str, target: Any) -> Any:
        looked_at.append(tag)
        return real(role, tag, target)

    monkeypatch.setattr(target_lookup, "read_target", counted)
    scene = good_collection(TUF)
    many = {f"v{number}": scene.forger.target(GOOD) for number in range(1000)}

    def add(document: Document) -> None:
        document["version"] += 1
        document["targets"].update(many)

    scene.forger.alter(RELEASES, add)
    assert len(audited(scene.newcomer())["tags"]) == 1002
    assert len(looked_at) <= 2 * 1002 + 10


def test_what_is_denied_is_told_and_which_tags_are_signed_all_the_same(wire: WireFormat) -> None:
    scene = good_collection(wire)
    scene.owner.deny(GOOD, EVIL, reason="a stolen key")
    odd = audited(scene.newcomer())["odd"]
    told = {(row["code"], row["about"]): row["text"] for row in odd if "denied" in row["code"]}
    assert set(told) == {("denied", f"sha256:{GOOD}"), ("denied", f"sha256:{EVIL}"), ("signed-denied", "1.0")}
    assert told["denied", f"sha256:{EVIL}"] == f"sha256:{EVIL} is denied: a stolen key"
    assert told["signed-denied", "1.0"] == f"1.0 is signed as sha256:{GOOD}, and denied"


def test_a_conflict_of_tags_hides_no_denied_digest() -> None:
    scene = good_collection(TUF)
    scene.owner.deny(GOOD)
    scene.forger.alter(
        TARGETS, lambda d: (d.update(version=d["version"] + 1), d["targets"].update({"1.0": scene.forger.target(EVIL)}))
    )
    codes = {row["code"] for row in audited(scene.newcomer())["odd"]}
    assert {"conflict", "denied"} <= codes
    assert "signed-denied" not in codes
