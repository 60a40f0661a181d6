"""`trust renew --due`: what the keys here can sign, whatever else is missing, and what is told of the rest."""

from __future__ import annotations

import json
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from keys.errors import PassphraseMissing, PassphraseWrong
from keys.filestore import FileKeyStore
from keys.key_info import KeyInfo, Purpose
from keys.passphrase import PassphrasePurpose
from tests.simulator.home import Home, without_network
from tests.simulator.keyring import private
from tests.simulator.repository import APP
from tests.simulator.scene import good_collection
from tests.simulator.session import SimulatedSession
from tests.simulator.siblings import DEV, Siblings, first_root, siblings
from tests.support.cheap_keys import CHEAP
from trustcli.console.exit_codes import DONE, KEYS, UNREACHABLE
from trustcli.console.shared_passphrase import SharedPassphrase
from trustcli.errors import UsageError
from trustcli.publish.openable_keys import OpenableKeys
from trustdata.roles import ROOT, TARGETS
from trustdata.wire import WireFormat

ALL = ("--within", "9000d")
SECRETS = {"TRUST_ROOT_PASSPHRASE": "of root keys", "TRUST_REPOSITORY_PASSPHRASE": "of other keys"}


@pytest.fixture
def pair(monkeypatch: pytest.MonkeyPatch, wire: WireFormat) -> Siblings:
    without_network(monkeypatch)
    return siblings(wire)


@pytest.fixture
def home(tmp_path: Path, pair: Siblings) -> Home:
    """It has pinned two collections, and has no key."""
    home = Home(tmp_path, pair.app, pair.dev)
    home.environ = dict(SECRETS)
    for site in (pair.app, pair.dev):
        home.pin(site.gun, str(first_root(site)))
    return home


def give(home: Home, name: str, purpose: Purpose, passphrase: str) -> None:
    """Put the key of somebody into the store."""
    info = KeyInfo.of(private(name), purpose=purpose, name=name, created=home.at)
    FileKeyStore(home.folder / "private", cost=CHEAP).add(private(name), info, passphrase)


def due(home: Home, *arguments: str, expect: int) -> Any:
    assert home.run("renew", "--due", *arguments, json=True) == expect, home.err
    return json.loads(home.out)["collections"]


def versions(home: Home) -> list[tuple[int, int]]:
    return [(site.versions()[ROOT], site.versions()[TARGETS]) for site in home.sites.values()]


def test_what_the_keys_here_can_sign_is_renewed_everywhere_and_nobody_is_asked(home: Home) -> None:
    give(home, "targets", "targets", SECRETS["TRUST_REPOSITORY_PASSPHRASE"])
    before = versions(home)
    rows = due(home, *ALL, expect=DONE)
    assert [(row["state"], [each["role"] for each in row["renewed"]]) for row in rows] == [("done", [TARGETS])] * 2
    assert [[each["role"] for each in row["left"]] for row in rows] == [[ROOT]] * 2
    assert versions(home) == [(root, targets + 1) for root, targets in before]
    assert f"{APP}: root 1 expires " in home.err
    assert "not here; it is a key of: root" in home.err
    rows = due(home, expect=DONE)
    assert [row["state"] for row in rows] == ["nothing to do"] * 2, "nothing is in its last third"


def test_what_others_must_renew_is_a_failure_once_it_has_expired(home: Home) -> None:
    rows = due(home, *ALL, expect=DONE)
    assert [row["state"] for row in rows] == ["nothing to do"] * 2
    home.at += timedelta(days=9000)
    for site in home.sites.values():
        site.later(timedelta(days=9000))
        site.issue()
    rows = due(home, expect=KEYS)
    assert {(row["state"], row["error"]["code"]) for row in rows} == {("failed", "key-not-found")}


def test_a_passphrase_that_is_missing_keeps_nobody_from_what_other_keys_sign(home: Home) -> None:
    give(home, "root", "root", SECRETS["TRUST_ROOT_PASSPHRASE"])
    give(home, "targets", "targets", SECRETS["TRUST_REPOSITORY_PASSPHRASE"])
    del home.environ["TRUST_ROOT_PASSPHRASE"]
    before = versions(home)
    rows = due(home, *ALL, expect=KEYS)
    assert versions(home) == [(root, targets + 1) for root, targets in before]
    assert [(row["state"], [each["role"] for each in row["renewed"]]) for row in rows] == [("failed", [TARGETS])] * 2
    assert {row["error"]["code"] for row in rows} == {"passphrase-missing"}
    home.environ["TRUST_ROOT_PASSPHRASE"] = SECRETS["TRUST_ROOT_PASSPHRASE"]
    due(home, *ALL, expect=DONE)
    assert versions(home) == [(root + 1, targets + 2) for root, targets in before]


def test_a_key_that_a_wrong_passphrase_does_not_open_is_tried_once(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    give(home, "root", "root", "another one")
    give(home, "targets", "targets", SECRETS["TRUST_REPOSITORY_PASSPHRASE"])
    tried: list[str] = []
    opened = OpenableKeys.signer

    def counted(keys: OpenableKeys, key: Any) -> Any:
        tried.append(key.keyid)
        return opened(keys, key)

    monkeypatch.setattr(OpenableKeys, "signer", counted)
    rows = due(home, *ALL, expect=KEYS)
    assert {row["error"]["code"] for row in rows} == {"passphrase-wrong"}
    assert [[each["role"] for each in row["renewed"]] for row in rows] == [[TARGETS]] * 2
    root_keys = {keyid for site in home.sites.values() for keyid in site.stored[ROOT].root.roles[ROOT].keyids}
    assert sum(keyid in root_keys for keyid in tried) == 1


def test_a_collection_that_fails_stops_no_other(home: Home) -> None:
    give(home, "targets", "targets", SECRETS["TRUST_REPOSITORY_PASSPHRASE"])
    home.sites[APP].down = True
    before = home.sites[DEV].versions()[TARGETS]
    rows = due(home, *ALL, expect=UNREACHABLE)
    assert [row["state"] for row in rows] == ["failed", "done"]
    assert due(home, APP, DEV, *ALL, expect=UNREACHABLE)[1]["state"] == "done", "nor where names are typed"
    assert home.sites[DEV].versions()[TARGETS] == before + 2


def test_a_plan_says_the_same_and_opens_nothing(home: Home) -> None:
    give(home, "targets", "targets", SECRETS["TRUST_REPOSITORY_PASSPHRASE"])
    home.environ.clear()
    before = versions(home)
    assert home.run("renew", "--due", *ALL, "--plan") == DONE
    assert "targets 2 -> 3" in home.out
    assert versions(home) == before
    assert home.run("renew", "--all", "--yes", "--plan") == KEYS, "without --due what is left is a refusal"


def test_options_that_contradict_each_other(home: Home) -> None:
    with pytest.raises(UsageError, match="contradict each other"):
        home.run("renew", "--due", "--all")
    with pytest.raises(UsageError, match="--yes, or --due"):
        home.run("renew")


class Answers:
    """A person at a terminal, with these answers in order."""

    def __init__(self, *answers: str) -> None:
        self.answers = list(answers)
        self.asked: list[tuple[str, bool]] = []

    def passphrase(self, *, purpose: PassphrasePurpose, key: str, new: bool = False, retry: bool = False) -> str:
        del purpose, new
        self.asked.append((key, retry))
        if not self.answers:
            raise PassphraseMissing(key=key, sources=())
        return self.answers.pop(0)


def test_one_passphrase_is_asked_for_and_again_only_where_it_does_not_fit() -> None:
    person = Answers("first", "of root", "second", "third")
    shared = SharedPassphrase(person)
    assert shared.passphrase(purpose="targets", key="a") == "first"
    assert shared.passphrase(purpose="signer", key="b") == "first"
    assert shared.passphrase(purpose="root", key="r") == "of root", "it is of another kind"
    assert shared.passphrase(purpose="signer", key="c") == "first"
    assert shared.passphrase(purpose="signer", key="c", retry=True) == "second"
    assert shared.passphrase(purpose="signer", key="c", retry=True) == "third"
    assert shared.passphrase(purpose="targets", key="d") == "third"
    assert person.asked == [("a", False), ("r", False), ("c", False), ("c", True)]
    with pytest.raises(PassphraseMissing):
        shared.passphrase(purpose="targets", key="e", new=True)


def test_the_keys_of_one_run_know_which_could_not_be_opened() -> None:
    scene = good_collection()
    session = SimulatedSession(scene.newcomer(), keys=["root", "targets"])
    session.environ = {**session.environ, "TRUST_ROOT_PASSPHRASE": "wrong"}
    keys = OpenableKeys(session.keystore, SharedPassphrase(session.passphrases))
    roles = scene.owner.read()
    public = roles[ROOT].root.keys
    root_key = scene.keys.key("root")
    assert root_key.keyid in keys.held(public)
    assert (keys.unopened, keys.hindrance(public)) == (0, None)
    with pytest.raises(PassphraseWrong):
        keys.signer(public[root_key.keyid])
    assert keys.unopened == 1
    assert root_key.keyid not in keys.held(public)
    assert scene.keys.key("targets").keyid in keys.held(public)
    assert isinstance(keys.hindrance(public), PassphraseWrong)
    assert keys.hindrance({}) is None
