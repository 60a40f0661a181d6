"""`trust key list`: where keys live, what they may sign here, when they last signed here; in both formats."""

from __future__ import annotations

import json
import shutil
from datetime import timedelta
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from keys.algorithms import generate
from keys.key_info import KeyInfo
from keys.material import write_private_pem, write_public_pem
from keys.rfc3339 import to_rfc3339
from tests.simulator.home import Home, without_network
from tests.simulator.repository import RepositorySimulator
from tests.simulator.scene import GOOD
from tests.support.cheap_keys import sealing_cheaply
from tests.support.prepared_homes import PreparedHomes
from trustcli.commands.key.key_uses import summary
from trustcli.commands.support.keys_in_use import keys_in_use
from trustcli.console.exit_codes import DONE, KEYS
from trustcli.errors import RemoteRefused
from trustdata.gun import GUN, parse_gun
from trustdata.roles import ONLINE, TARGETS
from trustdata.wire import WireFormat

A, B, NEW = (parse_gun(f"registry.example.com/team/{letter}") for letter in "abc")
ELSEWHERE = "exec:/no/such/program?arg=x"


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, wire: WireFormat, prepared_homes: PreparedHomes) -> Home:
    """An owner of two collections; in a sign alice, and bob, whose key a command holds that is not there."""
    without_network(monkeypatch)
    sealing_cheaply(monkeypatch)
    monkeypatch.chdir(tmp_path)
    return prepared_homes.home(tmp_path, ("key list", wire.name), lambda folder: owner_of_two(folder, wire))


def owner_of_two(folder: Path, wire: WireFormat) -> Home:
    home = Home(folder, *(RepositorySimulator(gun=name, wire=wire) for name in (A, B, NEW)))
    home.environ = {f"TRUST_{name}_PASSPHRASE": f"the {name} passphrase" for name in ("ROOT", "REPOSITORY")}
    home.registry_digest = f"sha256:{GOOD}"
    does(home, "init", A, B, "--no-recovery-key", "--format", format_of(wire))
    does(home, "key", "generate", "alice", "--dir", str(folder))
    elsewhere = KeyInfo.of(generate(), purpose="signer", name="bob", uri=ELSEWHERE)
    home.session().keystore.add_elsewhere(elsewhere)
    (folder / "bob.pub").write_bytes(write_public_pem(elsewhere.public))
    for signer in ("alice", "bob"):
        does(home, "signer", "add", signer, A, "--key", str(folder / f"{signer}.pub"))
    return home


def format_of(wire: WireFormat) -> str:
    return "tuf" if wire.name == "tuf-1.0" else "notary"


def does(home: Home, *words: str) -> str:
    assert home.run(*words) == DONE, home.err
    return home.out


def listed(home: Home) -> dict[str, Any]:
    """The rows, by name of the key or, of one that has none, by its purpose and collection."""
    assert home.run("key", "list", json=True) == DONE, home.err
    document = json.loads(home.out)
    return {"unread": document["unread"]} | {
        row["name"] or f"{row['purpose']} {row['gun']}".strip(): row for row in document["keys"]
    }


def may(home: Home) -> dict[str, Any]:
    return {name: row["collections"] for name, row in listed(home).items() if name != "unread"}


def signed(home: Home) -> dict[str, str | None]:
    return {name: row["last_signed"] for name, row in listed(home).items() if name != "unread"}


def shown(home: Home) -> list[dict[str, Any]]:
    """What `key show` says of alice's key."""
    assert home.run("key", "show", "alice.pub", json=True) == DONE, home.err
    rows: list[dict[str, Any]] = json.loads(home.out)["keys"]
    return rows


def memory(home: Home) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((home.folder / "seen.json").read_bytes())
    return found


def cached(home: Home, gun: GUN, file: str) -> Path:
    (found,) = home.folder.glob(f"cache/*/{quote(gun, safe='')}/{file}")
    return found


ALL = {
    "root": {A: ["root"], B: ["root"]},
    f"targets {A}": {A: ["targets", "targets/releases"]},
    f"targets {B}": {B: ["targets"]},
    "alice": {A: ["targets/releases", "targets/alice"]},
    "bob": {A: ["targets/releases", "targets/bob"]},
}


# --- what keys may sign


def test_every_role_of_every_key_wherever_it_lives(home: Home) -> None:
    rows = listed(home)
    assert may(home) == ALL
    assert (rows["bob"]["uri"], rows["root"]["uri"]) == (ELSEWHERE, None)
    assert rows["unread"] == []


def test_the_list_for_people(home: Home) -> None:
    does(home, "key", "list")
    header, *lines = (line.split("\t") for line in home.out.splitlines())
    assert header[4:] == ["MAY SIGN", "LAST SIGNED HERE"]
    when = f"{home.at:%Y-%m-%d %H:%M} UTC"
    assert [line[4:] for line in lines] == [
        ["root in 2 collections", when],
        [f"targets and targets/releases of {A}", when],
        [f"targets of {B}", when],
        [f"targets/releases and targets/alice of {A}", "-"],
        [f"targets/releases and targets/bob of {A}", "-", f"at {ELSEWHERE}"],
    ]


def test_it_asks_nobody(home: Home) -> None:
    home.asked.clear()
    does(home, "key", "list")
    does(home, "key", "show", "alice.pub")
    assert home.asked == []


def test_after_a_rotation_the_new_key_may_and_the_old_one_may_not(home: Home) -> None:
    does(home, "key", "rotate", "root", A, "--yes")
    rows = [row for row in json.loads(json_list(home))["keys"] if row["purpose"] == "root"]
    assert [row["collections"] for row in sorted(rows, key=lambda row: len(row["collections"]))] in (
        [{A: ["root"]}, {B: ["root"]}],
        [{B: ["root"]}, {A: ["root"]}],
    )
    does(home, "signer", "remove", "alice", A)
    assert may(home)["alice"] == {}


def json_list(home: Home) -> str:
    assert home.run("key", "list", json=True) == DONE
    return home.out


def test_an_online_key_that_is_here_may_sign_what_roots_say(home: Home, wire: WireFormat) -> None:
    """As the owners of collections in Notary v1 hold their snapshot keys: roots count, and not what it was made for."""
    private = generate()
    pem = home.folder / "online.pem"
    pem.write_bytes(write_private_pem(private, None))
    does(home, "key", "import", str(pem), "--name", "online", "--purpose", "snapshot")
    home.sites[NEW].online = {role: wire.signer(private) for role in ONLINE}
    does(home, "init", NEW, "--no-recovery-key", "--format", format_of(wire))
    assert may(home)["online"] == {NEW: ["snapshot", "timestamp"]}


def test_a_mirror_of_a_collection_is_not_told_twice(home: Home) -> None:
    session = home.session()
    entry = session.pins.load()[B]
    session.pins.record(
        GUN("mirror.example.com/b"),
        type(entry)(pin=entry.pin, format=entry.format, recorded=entry.recorded, how="pin", named=B),
    )
    assert may(home) == ALL


# --- who vouches


def newer_in_b(home: Home) -> None:
    """Let carol sign in b, whose targets then have a later version than those of a."""
    does(home, "key", "generate", "carol")
    does(home, "signer", "add", "carol", B, "--key", "carol.pub")
    for _ in range(3):
        does(home, "renew", B, "--all")
    versions = [home.sites[gun].versions()[TARGETS] for gun in (A, B)]
    assert versions == sorted(versions)


def test_what_lies_in_the_cache_alone_counts_nothing(home: Home) -> None:
    """Somebody has put the files of b into the place of those of a: honest files, and newer ones than a's."""
    newer_in_b(home)
    ours, theirs = (cached(home, gun, "roles/targets.json").parent for gun in (A, B))
    shutil.copy(theirs / "targets.json", ours / "targets.json")
    assert may(home)["carol"] == {B: ["targets/releases", "targets/carol"]}
    assert may(home)["alice"] == {}
    assert may(home)[f"targets {A}"] == {A: ["targets"]}, "as the root says, which is the one that was verified"


def test_a_root_that_was_never_verified_counts_nothing_and_is_told(home: Home) -> None:
    shutil.copy(cached(home, B, "roots/1.json"), cached(home, A, "roots/1.json"))
    rows = listed(home)
    assert rows["unread"] == [A]
    assert rows["alice"]["collections"] == {}
    assert rows["root"]["collections"] == {B: ["root"]}
    does(home, "key", "list")
    assert f"of 1 collection known here nothing verified is in the cache: trust inspect {A} reads it" in home.err


def test_an_id_without_a_key_in_one_root_stops_nothing(home: Home) -> None:
    """An owner of that collection has written it; the others are none of theirs."""
    file = cached(home, A, "roots/1.json")
    before = keys_in_use(home.session())
    root = json.loads(file.read_bytes())
    root["signed"]["roles"]["root"]["keyids"].insert(0, "ab" * 32)
    file.write_text(json.dumps(root, separators=(",", ":")))
    assert keys_in_use(home.session()) == before
    assert may(home)["root"] == {B: ["root"]}


def test_an_older_file_does_not_count(home: Home) -> None:
    """Before alice came: signed by the right key, and no longer what was verified here last."""
    newest = cached(home, A, "roles/targets.json")
    before = newest.read_bytes()
    does(home, "signer", "remove", "alice", A)
    assert newest.read_bytes() != before
    newest.write_bytes(before)
    assert may(home)["alice"] == {}


def test_without_hashes_in_memory_signatures_decide(home: Home) -> None:
    """As older programs wrote it, and of files that had expired when they were read."""
    does(home, "key", "rotate", "root", A, "--yes")
    newer_in_b(home)
    document = memory(home)
    for collection in document["collections"].values():
        for seen in collection["roles"].values():
            seen.pop("sha256", None)
    before = may(home)
    (home.folder / "seen.json").write_text(json.dumps(document))
    assert may(home) == before
    assert before["alice"] == {A: ["targets/releases", "targets/alice"]}
    shutil.copy(cached(home, B, "roles/targets.json"), cached(home, A, "roles/targets.json"))
    assert may(home)["alice"] == {}
    assert may(home)["carol"] == before["carol"]
    shutil.copy(cached(home, B, "roots/1.json"), cached(home, A, "roots/1.json"))
    assert listed(home)["unread"] == [A]


def test_a_file_that_was_verified_under_an_older_root_needs_signatures(home: Home) -> None:
    """The root has changed the keys of targets, and the targets of before are still in cache and memory."""
    targets, before = cached(home, A, "roles/targets.json").read_bytes(), memory(home)
    does(home, "key", "rotate", "targets", A, "--yes")
    document = memory(home)
    old, new = (each["collections"][A] for each in (before, document))
    new["roles"]["targets"] = old["roles"]["targets"]
    new["keys"] |= old["keys"]
    (home.folder / "seen.json").write_text(json.dumps(document))
    cached(home, A, "roles/targets.json").write_bytes(targets)
    assert may(home)["alice"] == {}
    assert listed(home)["unread"] == []


def test_what_is_expired_is_still_whose_key_it_is(home: Home) -> None:
    home.at += timedelta(days=9000)
    assert may(home) == ALL


def test_a_collection_that_was_never_verified_here_is_told(home: Home) -> None:
    (home.folder / "seen.json").unlink()
    assert listed(home)["unread"] == [A, B]
    assert may(home)["root"] == {}


# --- when they signed


def test_when_each_key_last_signed_here(home: Home) -> None:
    first = to_rfc3339(home.at)
    assert signed(home) == {"root": first, f"targets {A}": first, f"targets {B}": first, "alice": None, "bob": None}
    home.at += timedelta(hours=1)
    does(home, "sign", "--signer", "alice", f"{A}:1.0@sha256:{GOOD}")
    later = to_rfc3339(home.at)
    assert signed(home) == {"root": first, f"targets {A}": first, f"targets {B}": first, "alice": later, "bob": None}
    home.at += timedelta(hours=1)
    does(home, "key", "test", "alice")
    does(home, "sign", "--plan", f"{B}:1.0@sha256:{GOOD}")
    assert signed(home)["alice"] == later, "a proof and a plan sign nothing"
    assert signed(home)[f"targets {B}"] == first


def test_a_signature_that_the_server_refused_was_made(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> Any:
        raise RemoteRefused(remote="https://trust.example.com", status=403, reason="not you")

    home.at += timedelta(hours=1)
    monkeypatch.setattr(RepositorySimulator, "publish", refuse)
    assert home.run("sign", f"{B}:1.0@sha256:{GOOD}") != DONE
    assert signed(home)[f"targets {B}"] == to_rfc3339(home.at), "the server has it"


def test_a_key_that_could_not_sign_has_not_signed(home: Home) -> None:
    home.at += timedelta(hours=1)
    assert home.run("sign", "--signer", "bob", f"{A}:1.0@sha256:{GOOD}") == KEYS
    assert to_rfc3339(home.at) not in signed(home).values()


def test_a_bulk_run_notes_every_key(home: Home) -> None:
    home.at += timedelta(hours=1)
    does(home, "key", "rotate", "targets", A, B, "--yes", "--jobs", "2")
    now = [row["last_signed"] for row in json.loads(json_list(home))["keys"] if row["last_signed"] is not None]
    assert now.count(to_rfc3339(home.at)) == 3, "the root key, and the two new ones"


# --- what cannot be read, and what cannot be written


def damage(path: Path) -> None:
    path.write_text("no such thing")
    path.chmod(0o600)


@pytest.mark.parametrize("name", ["pins.toml", "seen.json"])
def test_keys_are_listed_though_what_they_may_sign_is_not_known(home: Home, name: str) -> None:
    damage(home.folder / name)
    rows = listed(home)
    assert {row["collections"] for key, row in rows.items() if key != "unread"} == {None}
    assert rows["root"]["last_signed"] == to_rfc3339(home.at)
    assert "what keys may sign is not known: " in home.err
    assert str(home.folder / name) in home.err
    does(home, "key", "list")
    assert {line.split("\t")[4] for line in home.out.splitlines()[1:]} == {"?"}
    (row,) = shown(home)
    assert row["collections"] == {}
    assert "what keys may sign is not known: " in home.err


def test_a_damaged_record_stops_no_signature_and_is_told_each_time(home: Home) -> None:
    path = home.folder / "last-signed.json"
    damage(path)
    does(home, "sign", f"{B}:1.0@sha256:{GOOD}")
    told = f"{path} cannot be used: is damaged; remove it, and what keys sign from then on is noted anew"
    assert f"warning: trust key list will not know that keys have signed now: {told}" in home.err
    assert path.read_text() == "no such thing"
    assert set(signed(home).values()) == {None}
    assert f"warning: when keys last signed here is not known: {told}" in home.err
    assert may(home) == ALL
    path.unlink()
    does(home, "sign", f"{B}:2.0@sha256:{GOOD}")
    assert signed(home) == dict.fromkeys(ALL, None) | {f"targets {B}": to_rfc3339(home.at)}


def test_a_record_that_cannot_be_written_stops_no_signature(home: Home) -> None:
    """A folder in its place, which also a root user cannot write over."""
    path = home.folder / "last-signed.json"
    path.unlink()
    path.mkdir(mode=0o700)
    does(home, "sign", f"{B}:1.0@sha256:{GOOD}")
    assert "trust key list will not know that keys have signed now" in home.err
    assert "Is a directory" in home.err


# --- key show, and the summary


def test_key_show_lists_all_where_the_list_counts(home: Home) -> None:
    home.at += timedelta(hours=1)
    does(home, "sign", "--signer", "alice", f"{A}:1.0@sha256:{GOOD}")
    (row,) = shown(home)
    assert row["collections"] == ALL["alice"]
    assert row["last_signed"] == to_rfc3339(home.at)
    does(home, "key", "show", "alice.pub")
    assert f"targets/releases and targets/alice key of {A}, as far as is known here" in home.out
    assert f"last signed here: {to_rfc3339(home.at)}" in home.out


def test_the_summary_is_short_whatever_the_number() -> None:
    many = [GUN(f"registry.example.com/team/app{number}") for number in range(300)]
    assert summary({}) == "-"
    assert summary({gun: ["targets"] for gun in many}) == "targets in 300 collections"
    assert summary({many[0]: ["root", "targets"]}) == f"root and targets of {many[0]}"
    assert summary({many[0]: ["root"], many[1]: ["targets"]}) == f"root of {many[0]}, targets of {many[1]}"
    assert summary({many[0]: ["root", "targets", "snapshot"]}) == f"3 roles of {many[0]}"
    each_its_own = {gun: [f"targets/{number}"] for number, gun in enumerate(many)}
    assert summary(each_its_own) == "300 roles in 300 collections"
