"""The day after a theft, with a real server, in both formats: each kind of key is stolen, used, and taken out.

A reader verifies all along, and what the thief has signed runs nowhere afterwards.
"""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import pytest

from tests.support.server_process import ServerProcess
from tests.support.stage import People, Put
from tests.support.trust_program import TrustUser
from tests.support.tuf_client import TufClient

pytestmark = pytest.mark.allow_hosts(["127.0.0.1"])


@dataclass(frozen=True, kw_only=True)
class Town:
    """An owner of two collections with signers alice and bob; a reader; a thief with a machine of his own."""

    owner: TrustUser
    reader: TrustUser
    thief: TrustUser
    guns: tuple[str, str]
    good: str
    evil: str
    server: ServerProcess
    form: str
    asked: list[str]

    def steal(self, reference: str, *, purpose: str) -> None:
        """The thief gets a copy of a key, and the pins."""
        self.owner.run("key", "export", reference, "-o", "stolen.pem")
        shutil.move(self.owner.folder / "stolen.pem", self.thief.folder / "stolen.pem")
        self.thief.run("key", "import", "stolen.pem", "--purpose", purpose, "--name", "loot")
        for gun in self.guns:
            self.thief.run("pin", gun, self.owner.pin_of(gun), "--format", self.form)

    def look(self, key: str) -> dict[str, Any]:
        document = self.owner.run("--json", "key", "compromised", key).document()
        return {row["gun"]: row for row in document["collections"]}

    def remove(self, key: str, *words: str) -> Mapping[str, Any]:
        document = self.owner.run("--json", "key", "compromised", key, "--remove", "--yes", *words).document()
        return {row["gun"]: row for row in document["collections"]}

    def runs(self, gun: str, tag: str) -> str:
        """What the reader gets; "" if it is refused."""
        ran = self.reader.run("verify", f"{gun}:{tag}", expect=None)
        assert (ran.status == 0) == bool(ran.stdout)
        return ran.stdout.strip().removeprefix(f"{gun}@")

    def python_tuf(self, gun: str, tag: str) -> str:
        """What python-tuf's client answers; in Notary v1 the same as the reader."""
        if self.form == "notary":
            return self.runs(gun, tag)
        folder = self.reader.folder / "tuf" / tag / str(len(self.asked))
        self.asked.append(tag)
        found = TufClient(folder, self.server.url, gun).digest_of(tag) or ""
        return found if not found or found.startswith("sha256:") else f"sha256:{found}"


@pytest.fixture(params=["tuf", pytest.param("notary", marks=pytest.mark.long)])
def town(request: pytest.FixtureRequest, people: People, put: Put, gun: str, trust_server: ServerProcess) -> Town:
    owner = people("owner")
    good, evil = put("1.0").digest, put("2.0").digest
    guns = (gun, f"{gun}-second")
    town = Town(
        owner=owner,
        reader=people("reader"),
        thief=people("thief"),
        guns=guns,
        good=good,
        evil=evil,
        server=trust_server,
        form=request.param,
        asked=[],
    )
    owner.run("init", *guns, "--recovery-key", "recovery.key", "--format", town.form)
    for signer in ("alice", "bob"):
        owner.run("key", "generate", signer)
        owner.run("signer", "add", signer, *guns, "--key", f"{signer}.pub")
    owner.run("sign", "--signer", "bob", f"{gun}:1.0@{good}")
    for each in guns:
        town.reader.run("pin", each, owner.pin_of(each), "--format", town.form)
    assert town.runs(gun, "1.0") == good
    return town


def test_a_signers_key(town: Town) -> None:
    first = town.guns[0]
    town.steal("alice", purpose="signer")
    town.thief.run("sign", "--signer", "alice", f"{first}:2.0@{town.evil}")
    assert town.runs(first, "2.0") == town.evil
    looked = town.look("alice")
    assert looked.keys() == set(town.guns)
    claim = next(claim for claim in looked[first]["claims"] if claim["tag"] == "2.0")
    assert (claim["digest"], claim["alone"], claim["since"]) == (town.evil, True, "new")
    removed = town.remove("alice", "--keep-if-signed-by", "bob")
    assert {gun: row["state"] for gun, row in removed.items()} == dict.fromkeys(town.guns, "done")
    assert removed[first]["revoked"] == ["2.0"]
    assert (town.runs(first, "1.0"), town.runs(first, "2.0")) == (town.good, "")
    assert (town.python_tuf(first, "1.0"), town.python_tuf(first, "2.0")) == (town.good, "")
    town.thief.run("sign", "--signer", "alice", f"{first}:3.0@{town.evil}", expect=7)


def test_a_repository_key(town: Town) -> None:
    first = town.guns[0]
    keys = town.owner.run("--json", "key", "list").document()["keys"]
    (key,) = (row["keyid"] for row in keys if row["purpose"] == "targets" and row["gun"] == first)
    town.steal(key, purpose="targets")
    town.thief.run("sign", f"{first}:2.0@{town.evil}")
    assert town.runs(first, "2.0") == town.evil
    removed = town.remove(key, "--keep-if-signed-by", "bob")
    assert removed.keys() == {first}
    assert removed[first]["revoked"] == ["2.0"]
    assert (town.runs(first, "1.0"), town.runs(first, "2.0")) == (town.good, "")
    assert (town.python_tuf(first, "1.0"), town.python_tuf(first, "2.0")) == (town.good, "")
    town.thief.run("sign", f"{first}:3.0@{town.evil}", expect=8)
    town.owner.run("sign", f"{first}:2.0@{town.evil}")  # the owner can sign as before


def test_a_root_key_with_the_recovery_key_at_hand(town: Town) -> None:
    first = town.guns[0]
    keys = town.owner.run("--json", "key", "list").document()["keys"]
    ((key, notary_id),) = ((row["keyid"], row["notary_keyid"]) for row in keys if row["purpose"] == "root")
    town.steal(key, purpose="root")
    town.owner.run("key", "remove", "--yes", key)  # the thief took the laptop: the recovery key is elsewhere
    named = town.owner.run("--json", "audit", first).document()["collections"][0]["keys"]
    (stolen,) = (row["keyids"][0] for row in named if row["holders"] == ["root"] and row["keyid"] in {key, notary_id})
    removed = town.remove(stolen, "--recovery-key", "recovery.key")
    assert {gun: row["state"] for gun, row in removed.items()} == dict.fromkeys(town.guns, "done")
    assert town.runs(first, "1.0") == town.good
    assert town.python_tuf(first, "1.0") == town.good
    town.thief.run("key", "rotate", "root", first, expect=8)


@pytest.mark.parametrize("role", ["snapshot", "timestamp"])
def test_the_servers_keys(town: Town, role: str) -> None:
    first = town.guns[0]
    roles = town.owner.run("--json", "audit", first).document()["collections"][0]["roles"]
    before = {row["role"]: row["keys"] for row in roles}
    removed = town.remove(before[role][0], first)
    assert removed[first]["removed"] == [role]
    roles = town.owner.run("--json", "audit", first).document()["collections"][0]["roles"]
    after = {row["role"]: row["keys"] for row in roles}
    assert {each for each in before if set(before[each]).isdisjoint(after[each])} == {"snapshot", "timestamp"}
    assert town.runs(first, "1.0") == town.good
    assert town.python_tuf(first, "1.0") == town.good
