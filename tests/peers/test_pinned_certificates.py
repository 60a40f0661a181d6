"""`notary` with one certificate pinned: which rotations of ours lock it out, and that the plan says so before."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.notary_client import NotaryUser
from tests.support.stage import Put
from tests.support.trust_program import TrustUser
from tests.support.trust_servers import PeerServer, our_server

REFUSED = "could not validate the path to a trusted root"


@pytest.fixture
def server(tmp_path: Path) -> Iterator[PeerServer]:
    with our_server(tmp_path) as running:
        yield running


class PinningUser:
    """Who trusts one certificate of a collection, by its id, and nothing on first use."""

    def __init__(self, folder: Path, server: PeerServer, gun: str, keyid: str) -> None:
        self._user = NotaryUser(folder, server)
        self._gun = gun
        self._file = folder / "pinning.json"
        self._file.write_text(json.dumps({"trust_pinning": {"certs": {gun: [keyid]}, "disable_tofu": True}}))

    def lists(self, tag: str) -> None:
        assert tag in self._user.run("-c", str(self._file), "list", self._gun)

    def is_refused(self) -> None:
        assert REFUSED in self._user.refused("-c", str(self._file), "list", self._gun)


def root_keys(server: PeerServer, gun: str) -> tuple[list[str], set[str]]:
    """Ids of the certificates of the newest root, and of those whose keys have signed it."""
    root = json.loads(server.file(gun, "root.json").body)
    return root["signed"]["roles"]["root"]["keyids"], {entry["keyid"] for entry in root["signatures"]}


def plan_of(owner: TrustUser, gun: str, *options: str) -> tuple[list[str], str]:
    """What the plan of a rotation says of pins: in JSON, and to people."""
    command = ("key", "rotate", "root", gun, "--plan", *options)
    (plan,) = owner.run("--json", *command).document()["plans"]
    return plan["refused_pins"], owner.run(*command).stdout


def test_it_follows_if_it_was_there_before_and_is_locked_out_if_it_comes_later(
    server: PeerServer, tmp_path: Path, gun: str, put: Put
) -> None:
    owner = TrustUser(tmp_path / "owner", server.url, environ={"TRUST_CACERT": str(server.ca)})
    put("1.0")
    owner.run("init", gun, "--recovery-key", "recovery.key", "--format", "notary")
    owner.run("sign", f"{gun}:1.0")
    first, signed = root_keys(server, gun)
    assert set(first) == signed
    there = [PinningUser(tmp_path / f"there-{number}", server, gun, keyid) for number, keyid in enumerate(first)]
    for user in there:
        user.lists("1.0")

    lost, said = plan_of(owner, gun)
    owner.run("key", "rotate", "root", gun)
    second, _ = root_keys(server, gun)
    (kept,) = set(first) & set(second)
    (gone,) = set(first) - {kept}
    (new,) = set(second) - {kept}
    # The recovery key stays a root key, but has not signed this root, and no other signature counts for its pin.
    assert set(lost) == {gone, kept}
    assert all(
        f"pins the certificate {keyid} alone (trust_pinning of notary) is refused from then on" in said
        for keyid in first
    )
    for user in there:
        user.lists("1.0")
    for number, keyid in enumerate(first):
        PinningUser(tmp_path / f"late-{number}", server, gun, keyid).is_refused()
    PinningUser(tmp_path / "told", server, gun, new).lists("1.0")

    lost, _ = plan_of(owner, gun, "--recovery-key", "recovery.key")
    assert lost == [new]
    owner.run("key", "rotate", "root", gun, "--recovery-key", "recovery.key")
    PinningUser(tmp_path / "late-again", server, gun, new).is_refused()
    PinningUser(tmp_path / "recovered", server, gun, kept).lists("1.0")


def test_another_rotation_refuses_nobody(server: PeerServer, tmp_path: Path, gun: str) -> None:
    """A root that is signed by the same keys lets in whoever pinned them."""
    owner = TrustUser(tmp_path / "owner", server.url, environ={"TRUST_CACERT": str(server.ca)})
    owner.run("init", gun, "--no-recovery-key", "--format", "notary")
    (pinned,), _ = root_keys(server, gun)
    (plan,) = owner.run("--json", "key", "rotate", "timestamp", gun, "--plan").document()["plans"]
    assert plan["refused_pins"] == []
    owner.run("key", "rotate", "timestamp", gun)
    PinningUser(tmp_path / "late", server, gun, pinned).lists("")
