"""`trust key rotate` over many collections: which are found, what was planned is what is sent, one failure of many."""

from __future__ import annotations

import csv
import io
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from keys.algorithms import key_fingerprint
from keys.errors import KeyUnknown
from tests.simulator.home import Home, without_network
from tests.simulator.repository import RepositorySimulator
from tests.support.bulk_runs import AT
from tests.support.cheap_keys import sealing_cheaply
from tests.support.prepared_homes import PreparedHomes
from trustcli.commands.support.compromised import compromised_list
from trustcli.console.exit_codes import DONE, KEYS, REFUSED, USAGE
from trustcli.errors import BulkRunning, RemoteRefused, UsageError
from trustcli.publish.bulk.journal import RunLock, RunOf
from trustcli.state.compromised import CompromisedKey
from trustdata.gun import GUN, parse_gun
from trustdata.roles import ONLINE, ROOT, TARGETS
from trustdata.wire import WireFormat

TEAM = [parse_gun(f"registry.example.com/team/{letter}") for letter in "abcde"]
OTHER = parse_gun("registry.example.com/other/x")
ALL = [*TEAM, OTHER]
GLOB = ("--glob", "registry.example.com/team/*", "--yes")


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, wire: WireFormat, prepared_homes: PreparedHomes) -> Home:
    """An owner of six collections, with one root key and a recovery key for all."""
    without_network(monkeypatch)
    sealing_cheaply(monkeypatch)
    return prepared_homes.home(tmp_path, ("bulk rotation", wire.name), lambda folder: owner_of_six(folder, wire))


def owner_of_six(folder: Path, wire: WireFormat) -> Home:
    home = Home(folder, *(RepositorySimulator(gun=name, wire=wire) for name in ALL))
    secrets = ("ROOT", "REPOSITORY", "RECOVERY")
    home.environ = {f"TRUST_{name}_PASSPHRASE": f"the {name} passphrase" for name in secrets}
    format_ = "tuf" if wire.name == "tuf-1.0" else "notary"
    recovery = str(folder / "recovery.key")
    assert home.run("init", *ALL, "--recovery-key", recovery, "--format", format_) == DONE, home.err
    return home


def roots(home: Home) -> dict[GUN, int]:
    return {name: site.stored[ROOT].version for name, site in home.sites.items()}


def rows(home: Home, *words: str, expect: int = DONE) -> dict[str, Any]:
    assert home.run("key", "rotate", *words, json=True) == expect, home.err
    return {row["gun"]: row for row in json.loads(home.out)["collections"]}


def states(home: Home, *words: str, expect: int = DONE) -> dict[str, str]:
    return {gun: row["state"] for gun, row in rows(home, *words, expect=expect).items()}


def fails(error: Exception) -> Callable[[], None]:
    def stop() -> None:
        raise error

    return stop


# --- which collections


@pytest.mark.parametrize("role", ["root", "targets", "snapshot", "timestamp"])
def test_every_collection_that_fits_a_pattern(home: Home, role: str) -> None:
    before = {name: set(site.stored[ROOT].root.roles[role].keyids) for name, site in home.sites.items()}
    assert states(home, role, *GLOB) == dict.fromkeys(TEAM, "done")
    after = {name: set(site.stored[ROOT].root.roles[role].keyids) for name, site in home.sites.items()}
    changed = [name for name in ALL if after[name] != before[name]]
    assert changed == TEAM
    assert not list((home.folder / "bulk").glob("*.journal")), "it is finished"


def test_nobody_is_asked_in_vain(home: Home) -> None:
    with pytest.raises(UsageError, match="nothing was done"):
        home.run("key", "rotate", "root", *GLOB[:2])
    assert set(roots(home).values()) == {1}


@pytest.mark.parametrize(
    "words",
    [
        ("key", "rotate", "root"),
        ("key", "rotate", "root", "--all-with", "0123456789ab"),
        ("signer", "rotate", "alice"),
        ("signer", "remove", "alice"),
        ("signer", "remove", "alice", "--everywhere"),
        ("revoke", "--signer", "alice"),
        ("key", "compromised", "0123456789ab"),
        ("key", "compromised", "0123456789ab", "--remove"),
    ],
    ids=" ".join,
)
def test_a_pattern_that_fits_nothing_is_mistyped(home: Home, words: tuple[str, ...]) -> None:
    """One rule in every command that takes patterns, also where another pattern fits."""
    told = r"--glob registry.example.com/nobody/\* matches no collection that is known here \(6 are\)"
    for fits in ((), ("--glob", "*")):
        with pytest.raises(UsageError, match=told):
            home.run(*words, *fits, "--glob", "registry.example.com/nobody/*")
    with pytest.raises(UsageError, match="is no pattern: it must be a name"):
        home.run(*words, "--glob", "registry.example.com/t*")
    assert set(roots(home).values()) == {1}


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("signer", "remove", "alice", "--everywhere"), "no collection is known here by a pin: nothing to do"),
        (("key", "rotate", "root", "--all-with", "0123456789ab"), "names the key 0123456789ab: nothing to do"),
        (("revoke", "--signer", "alice", "--all"), "no collection is known here by a pin: nothing to do"),
        (("key", "compromised", "0123456789ab", "--remove"), "0 collections read: none names the key"),
    ],
    ids=lambda words: " ".join(words) if isinstance(words, tuple) else "",
)
def test_where_nothing_is_known_everything_has_nothing_to_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, words: tuple[str, ...], told: str
) -> None:
    without_network(monkeypatch)
    nobody = Home(_folder(tmp_path / "nobody"), RepositorySimulator(gun=OTHER))  # a server, and nothing pinned
    assert nobody.run(*words, "--yes") == DONE
    assert told in nobody.err
    if "compromised" not in words:
        assert nobody.err.count("nothing to do") == 1


@pytest.mark.parametrize(
    ("words", "told"),
    [
        ((*GLOB, OTHER), "name none beside them"),
        ((*GLOB, "--jobs", "0"), "1 to 16"),
        ((*GLOB, "--jobs", "17"), "1 to 16"),
        ((*GLOB, "--report", "report.txt"), "must end with .json or .csv"),
        ((*GLOB, "--report", "/no/such/folder/report.csv"), "there is no folder"),
    ],
)
def test_command_lines_that_say_something_else(home: Home, words: tuple[str, ...], told: str) -> None:
    with pytest.raises(UsageError, match=told):
        home.run("key", "rotate", "root", *words)
    assert set(roots(home).values()) == {1}


def test_a_lost_root_key_of_all_collections_with_the_recovery_key(home: Home) -> None:
    """One command, one new key for all, and the lost one is named nowhere any more."""
    store = home.session().keystore
    (lost,) = (info for info in store.list() if info.purpose == "root")
    fingerprint = key_fingerprint(lost.public)
    store.remove(lost.keyid)
    found = states(home, "root", "--all-with", lost.keyid, "--yes", expect=KEYS)
    assert found == dict.fromkeys(sorted(ALL), "failed"), "nobody can sign for it"
    recovery = str(home.folder / "recovery.key")
    assert states(home, "root", "--all-with", lost.keyid[:12], "--recovery-key", recovery, "--yes") == dict.fromkeys(
        sorted(ALL), "done"
    )
    new = [info for info in home.session().keystore.list() if info.purpose == "root"]
    assert len(new) == 1, "one new key for all"
    for site in home.sites.values():
        root = site.stored[ROOT].root
        named = {key_fingerprint(root.keys[keyid]) for keyid in root.roles[ROOT].keyids}
        assert key_fingerprint(new[0].public) in named
        assert fingerprint not in named


def test_the_root_key_that_goes_is_named_in_every_way(home: Home, tmp_path: Path) -> None:
    """By the name or the id that it has in the store, by any first digits of it, by a file; whatever the format."""
    recovery = str(home.folder / "recovery.key")
    (first,) = (info for info in home.session().keystore.list() if info.purpose == "root")
    for number, named in enumerate([first.keyid[:3], "root-0", str(tmp_path / "root-1.pub"), recovery]):
        assert home.run("key", "generate", f"root-{number}", "--purpose", "root", "--dir", str(tmp_path)) == DONE
        new = home.session().keystore.get(f"root-{number}")
        assert states(home, "root", TEAM[0], "--key", f"root-{number}", "--replace", named) == {TEAM[0]: "done"}, named
        root = home.sites[TEAM[0]].stored[ROOT].root
        held = {key_fingerprint(root.keys[keyid]) for keyid in root.roles[ROOT].keyids}
        assert key_fingerprint(new.public) in held
        assert len(held) == 2
    with pytest.raises(UsageError, match="--replace chooses among root keys; those of targets are all replaced"):
        home.run("key", "rotate", "targets", TEAM[0], "--replace", "root-0")


def test_a_root_key_to_replace_that_is_none_is_told_with_those_that_are(home: Home) -> None:
    root = home.sites[TEAM[0]].stored[ROOT].root
    for named in ("ffffff", next(info.keyid for info in home.session().keystore.list() if info.gun == TEAM[1])):
        found = rows(home, "root", TEAM[0], "--replace", named, expect=REFUSED)[TEAM[0]]["error"]
        assert f"{named} is no root key of {TEAM[0]} that can go (those are: " in found["message"]
        assert all(keyid[:12] in found["message"] for keyid in root.roles[ROOT].keyids)
        assert home.run("key", "rotate", "root", TEAM[0], "--replace", named, "--plan") == REFUSED
        assert f"next: trust inspect --pretty {TEAM[0]} shows roles and signers" in home.err
    with pytest.raises(KeyUnknown, match="no key of the store and no file is called nobody, and it is not 12"):
        home.run("key", "rotate", "root", TEAM[0], "--replace", "nobody")
    assert set(roots(home).values()) == {1}


def test_every_collection_with_a_key_and_no_other(home: Home) -> None:
    (own,) = (info for info in home.session().keystore.list() if info.gun == TEAM[1])
    assert states(home, "targets", "--all-with", own.keyid[:12], "--yes") == {TEAM[1]: "done"}
    assert states(home, "targets", "--all-with", own.keyid, "--yes") == {}, "nobody has it any more"


def test_one_that_cannot_be_read_is_told_and_keeps_nobody(home: Home) -> None:
    (root,) = (info for info in home.session().keystore.list() if info.purpose == "root")
    home.sites[TEAM[2]].down = True
    found = states(home, "snapshot", "--all-with", root.keyid, "--yes", expect=6)
    assert found == {name: "failed" if name == TEAM[2] else "done" for name in sorted(ALL)}


# --- what was planned is what is sent


@pytest.mark.parametrize("jobs", ["1", "4"])
def test_a_collection_that_changes_under_the_plan_is_not_done(home: Home, jobs: str) -> None:
    """Another owner adds a signer to the last one while the first is published."""
    other = TEAM[-1]
    before = roots(home)

    def another_owner() -> None:
        home.sites[TEAM[0]].before_publish = None
        assert _alice_is_added(home, other) == DONE

    home.sites[TEAM[0]].before_publish = another_owner
    found = rows(home, "targets", *GLOB, "--jobs", jobs, expect=REFUSED)
    assert {gun: row["state"] for gun, row in found.items()} == {
        name: "failed" if name == other else "done" for name in TEAM
    }
    assert found[other]["error"]["code"] == "plan-changed"
    assert roots(home)[other] == before[other], "it was not done"
    assert states(home, "targets", *GLOB) == {name: "done" if name == other else "nothing to do" for name in TEAM}


def _alice_is_added(home: Home, gun: GUN) -> int:
    """The same owner on another machine adds a signer meanwhile."""
    out, err = home.stdout, home.stderr
    home.run("key", "generate", "alice", "--dir", str(home.folder))
    status = home.run("signer", "add", "alice", gun, "--key", str(home.folder / "alice.pub"))
    home.stdout, home.stderr = out, err
    return status


@pytest.mark.parametrize("role", ["root", "targets"])
def test_two_machines_with_the_same_keys_rotate_at_once(home: Home, tmp_path: Path, role: str) -> None:
    """Where the other machine was first, this one says what changed meanwhile; nobody's keys are taken out unseen."""
    folder = _folder(tmp_path / "colleague")
    shutil.copytree(home.folder / "private", folder / "private")
    shutil.copy(home.folder / "pins.toml", folder)
    colleague = Home(folder, *home.sites.values())
    colleague.environ = home.environ
    theirs: dict[str, str] = {}

    def at_once() -> None:
        for name in TEAM:
            home.sites[name].before_publish = None
        status = colleague.run("key", "rotate", role, *GLOB, json=True)
        theirs.update({row["gun"]: row["state"] for row in json.loads(colleague.out)["collections"]})
        # What this machine has given a new root key by then, the other one cannot sign.
        assert status == DONE or (status == KEYS and role == "root"), colleague.err

    home.sites[TEAM[2]].before_publish = at_once
    ours = states(home, role, *GLOB, "--jobs", "1", expect=REFUSED)
    assert {name for name in TEAM if (ours[name], theirs[name]) == ("failed", "done")} >= {TEAM[2]}
    assert [ours[name] for name in TEAM] == ["done", "done", "failed", "failed", "failed"]
    assert f"{TEAM[2]}: {role}: its keys were changed meanwhile by somebody else" in home.err
    codes = {row["error"]["code"] for row in json.loads(home.out)["collections"] if row["state"] == "failed"}
    # The one that was being sent, and those that were planned: their root key is not here, or what goes is another key.
    assert codes <= {"publish-refused", "key-not-found", "plan-changed"}
    rotated = {name: (ours[name] == "done") + (theirs[name] == "done") for name in TEAM}
    assert {name: version - 1 for name, version in roots(home).items() if name in TEAM} == rotated
    assert all(rotated.values())


# --- one of many fails


@pytest.mark.parametrize("jobs", ["1", "4"])
def test_a_server_that_refuses_one_of_many(home: Home, jobs: str) -> None:
    refused = RemoteRefused(remote=RepositorySimulator.name, status=403, reason="no")
    home.sites[TEAM[1]].before_publish = fails(refused)
    report = home.folder / "report.csv"
    found = rows(home, "targets", *GLOB, "--jobs", jobs, "--report", str(report), expect=REFUSED)
    assert {gun: row["state"] for gun, row in found.items()} == {
        name: "failed" if name == TEAM[1] else "done" for name in TEAM
    }
    assert "what is done stays done; the same command again goes on with the rest" in home.err
    table = list(csv.DictReader(io.StringIO(report.read_text())))
    assert [(row["collection"], row["state"], row["code"]) for row in table] == [
        (name, "failed" if name == TEAM[1] else "done", "remote-refused" if name == TEAM[1] else "") for name in TEAM
    ]
    assert all(row["keys"] for row in table if row["state"] == "done")
    assert len(list((home.folder / "bulk").glob("*.journal"))) == 1, "for the next run"
    keys = {info.keyid for info in home.session().keystore.list()}
    home.sites[TEAM[1]].before_publish = None
    assert states(home, "targets", *GLOB) == {name: "done" if name == TEAM[1] else "nothing to do" for name in TEAM}
    assert "going on with what began at " in home.err
    assert ": 4 of 5 collections are done" in home.err
    assert {info.keyid for info in home.session().keystore.list()} == keys, "the key that was made for it is used"
    assert not list((home.folder / "bulk").glob("*.journal"))


def test_the_same_command_again_does_not_lose_the_report(home: Home, tmp_path: Path) -> None:
    (own,) = (info for info in home.session().keystore.list() if info.gun == TEAM[1])
    report = tmp_path / "rotated.csv"
    words = ("targets", "--all-with", own.keyid, "--yes", "--report", str(report))
    assert states(home, *words) == {TEAM[1]: "done"}
    done = report.read_text()
    assert states(home, *words) == {}
    assert report.read_text() == done
    assert f"--report {report} is left as it is: there is no collection to report" in home.err
    assert states(home, *words[:-1], str(tmp_path / "new.json")) == {}
    assert json.loads((tmp_path / "new.json").read_text())["collections"] == []


def test_the_report_as_json_is_what_is_printed(home: Home) -> None:
    report = home.folder / "report.json"
    rows(home, "timestamp", *GLOB, "--report", str(report))
    assert report.read_text() == home.out


@pytest.mark.parametrize("lost", [1, 2])
def test_a_publish_whose_answer_was_lost_is_found_out(home: Home, lost: int) -> None:
    home.sites[TEAM[0]].lose_replies = lost
    assert states(home, "root", *GLOB) == dict.fromkeys(TEAM, "done")
    assert {roots(home)[name] for name in TEAM} == {2}


def test_lines_are_told_in_the_order_of_the_names(home: Home) -> None:
    assert home.run("key", "rotate", "root", *GLOB) == DONE
    assert [line.partition(":")[0] for line in home.out.splitlines()] == TEAM
    assert home.err.count("made root key") == 1


def test_a_second_run_is_refused_by_name(home: Home) -> None:
    lock = RunLock(home.folder / "bulk", RunOf.of("signer remove", {}, [OTHER], at=AT))
    with pytest.raises(BulkRunning, match="trust signer remove, begun at 2026-12-01"):
        home.run("key", "rotate", "root", *GLOB)
    lock.release()
    assert set(roots(home).values()) == {1}
    assert home.run("key", "rotate", "root", *GLOB) == DONE


# --- keys that were removed as compromised


def test_a_compromised_key_is_not_put_in_place_again(home: Home) -> None:
    assert home.run("key", "generate", "spare", "--purpose", "root", "--dir", str(home.folder)) == DONE
    spare = home.session().keystore.get("spare")
    compromised_list(home.session()).add(CompromisedKey(fingerprint=key_fingerprint(spare.public), recorded=AT))
    found = rows(home, "root", *GLOB, "--key", "spare", expect=KEYS)
    assert {row["error"]["code"] for row in found.values()} == {"key-compromised"}
    assert set(roots(home).values()) == {1}


def test_the_key_of_a_run_that_was_stopped_is_not_used_if_it_is_compromised(home: Home) -> None:
    home.sites[TEAM[0]].before_publish = fails(RemoteRefused(remote="x", status=403, reason="no"))
    states(home, "targets", *GLOB, expect=REFUSED)
    home.sites[TEAM[0]].before_publish = None
    (new,) = (info for info in home.session().keystore.list() if info.gun == TEAM[0] and not _is_in_use(home, info))
    compromised_list(home.session()).add(CompromisedKey(fingerprint=key_fingerprint(new.public), recorded=AT))
    assert states(home, "targets", *GLOB)[TEAM[0]] == "done"
    assert not _is_in_use(home, new)


def _is_in_use(home: Home, info: Any) -> bool:
    root = home.sites[TEAM[0]].stored[ROOT].root
    return key_fingerprint(info.public) in {key_fingerprint(root.keys[keyid]) for keyid in root.roles[TARGETS].keyids}


# --- bring your own key


def test_a_key_in_a_file_is_brought_into_the_store(home: Home, tmp_path: Path) -> None:
    elsewhere = Home(_folder(tmp_path / "elsewhere"), RepositorySimulator(gun=OTHER))
    elsewhere.environ = home.environ
    assert elsewhere.run("key", "generate", "own", "--purpose", "root", "--dir", str(tmp_path)) == DONE
    file = str(tmp_path / "own.pem")
    assert elsewhere.run("key", "export", "own", "--output", file) == DONE
    own = elsewhere.session().keystore.get("own")
    with pytest.raises(UsageError, match="a plan asks for no passphrase and writes nothing"):
        home.run("key", "rotate", "root", *GLOB, "--new-key", file, "--plan")
    assert states(home, "root", *GLOB, "--new-key", file) == dict.fromkeys(TEAM, "done")
    for name in TEAM:
        root = home.sites[name].stored[ROOT].root
        assert key_fingerprint(own.public) in {key_fingerprint(root.keys[k]) for k in root.roles[ROOT].keyids}
    assert home.session().keystore.get(own.keyid).purpose == "root"
    assert home.run("key", "rotate", "root", OTHER, "--new-key", own.keyid[:12], "--plan") == DONE, (
        "the store has it now"
    )


def _folder(path: Path) -> Path:
    path.mkdir(mode=0o700)
    return path


def test_a_plan_of_all_writes_nothing(home: Home) -> None:
    def files() -> dict[Path, bytes]:
        return {path: path.read_bytes() for path in home.folder.rglob("*") if path.is_file()}

    before = files()
    assert home.run("key", "rotate", "targets", *GLOB[:2], "--plan", json=True) == DONE
    plans = json.loads(home.out)["plans"]
    assert [plan["gun"] for plan in plans] == TEAM
    assert [len(plan["clients"]) for plan in plans] == [3] * 5
    (root,) = (info for info in home.session().keystore.list() if info.purpose == "root")
    assert home.run("key", "rotate", "root", "--all-with", root.keyid, "--plan") == DONE
    assert files() == before


def test_a_bar_shows_on_a_terminal_how_far_it_has_got(home: Home) -> None:
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    session = home.session()
    session.output._stderr = Terminal()
    from trustcli.commands.table import dispatch

    assert dispatch(session, ["key", "rotate", "snapshot", *GLOB]) == DONE
    shown = session.output._stderr.getvalue()
    assert [f"done [{'#' * (6 * n)}{'.' * (30 - 6 * n)}] {n} of 5" in shown for n in range(6)] == [True] * 6
    assert f"planning [{'.' * 30}] 0 of 5" in shown
    assert shown.endswith("\r\x1b[K5 collections: 5 done\n")
    assert set(ONLINE) == {"snapshot", "timestamp"}
    assert USAGE == 2
