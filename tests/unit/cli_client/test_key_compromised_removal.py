"""`trust key compromised --remove`: a stolen key goes from many collections, in both formats, on simulated servers."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path
from typing import Any

import pytest

from keys.algorithms import key_fingerprint
from tests.simulator.home import Home
from tests.simulator.repository import RepositorySimulator
from tests.simulator.scene import EVIL, GOOD, NEWER
from tests.support.prepared_homes import PreparedHomes
from tests.support.stolen_keys import ALL, A, B, C, D, does, format_of, owner_of_three, pin_of, removal, revisions, tags
from trustcli.commands.support.compromised import compromised_keys
from trustcli.console.exit_codes import DONE, KEYS, REFUSED
from trustcli.errors import KeyCompromised, RemoteRefused, UsageError
from trustdata.gun import GUN
from trustdata.roles import ONLINE, RELEASES, ROOT, TARGETS, RoleName
from trustdata.wire import WireFormat


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, wire: WireFormat, prepared_homes: PreparedHomes) -> Home:
    return owner_of_three(tmp_path, monkeypatch, wire, prepared_homes)


def root_keys(home: Home, name: GUN, role: RoleName = ROOT) -> set[str]:
    root = home.sites[name].stored[ROOT].root
    return {key_fingerprint(root.keys[keyid]) for keyid in root.roles[role].keyids}


def fingerprint(home: Home, reference: str) -> str:
    return key_fingerprint(home.session().keystore.get(reference).public)


# --- a signer's key


def test_a_signers_key_goes_everywhere_with_what_nobody_keeps(home: Home) -> None:
    before = revisions(home)
    found = removal(home, "alice", "--keep-if-signed-by", "bob")
    assert found.keys() == {A, B}
    for name in (A, B):
        assert found[name]["state"] == "done"
        assert found[name]["revoked"] == ["1.0"]
        assert found[name]["signers"] == ["alice"]
        assert set(found[name]["removed"]) == {"targets/alice", RELEASES}
        assert f"trust signer add --key NEW.pub alice-2 {name}" in found[name]["next"]
        assert tags(home, name) == {"2.0": NEWER, "both": NEWER}
    assert revisions(home) == {A: before[A] + 1, B: before[B] + 1, C: before[C]}
    assert fingerprint(home, "alice") in compromised_keys(home.session())
    assert home.session().keystore.get("alice").retired
    assert removal(home, "alice") == {}
    with pytest.raises(KeyCompromised):
        home.run("signer", "add", "alice-3", A, "--key", "alice.pub")


def test_what_a_person_keeps_stays_as_that_digest(home: Home, tmp_path: Path) -> None:
    chosen = tmp_path / "keep.txt"
    chosen.write_text(f"{A}:1.0@sha256:{GOOD}\n")
    found = removal(home, "alice", "--keep-images", str(chosen), "--keep", f"{B}:both@sha256:{NEWER}")
    assert "1.0" in found[A]["kept"]
    assert tags(home, A)["1.0"] == GOOD
    assert "1.0" not in tags(home, B)
    assert tags(home, B)["both"] == NEWER


def test_a_digest_that_is_not_there_is_refused_before_anything(home: Home) -> None:
    before = revisions(home)
    for keep, said in (
        (f"{A}:1.0@sha256:{EVIL}", f"it is released as sha256:{GOOD}"),
        (f"{A}:none@sha256:{GOOD}", "there is no such released tag"),
        (f"{A}:1.0", "a tag stays as a digest that you know"),
        ("registry.example.com/x/y:1@sha256:" + GOOD, "was not read"),
    ):
        with pytest.raises(UsageError, match=said):
            home.run("key", "compromised", "alice", "--remove", "--yes", "--keep", keep)
    assert revisions(home) == before
    assert compromised_keys(home.session()) == frozenset()


def test_a_voucher_whom_nobody_knows_is_refused_before_anything(home: Home) -> None:
    """Whoever mistypes the signer would lose every tag."""
    before = revisions(home)
    for words in (("--remove", "--yes"), ("--plan",)):
        with pytest.raises(UsageError, match="bbo is a signer in no collection that was read: they have alice, bob"):
            home.run("key", "compromised", "alice", *words, "--keep-if-signed-by", "bob", "--keep-if-signed-by", "bbo")
    assert revisions(home) == before
    assert compromised_keys(home.session()) == frozenset()


def test_a_plan_says_what_is_done_and_does_nothing(home: Home) -> None:
    before = revisions(home)
    assert home.run("key", "compromised", "alice", "--plan", "--keep-if-signed-by", "bob", json=True) == DONE
    plans = {plan["gun"]: plan for plan in json.loads(home.out)["plans"]}
    assert plans.keys() == {A, B}
    assert {row["tag"]: row["after"] for row in plans[A]["released"]}["1.0"] is None
    assert revisions(home) == before
    assert compromised_keys(home.session()) == frozenset()


def test_without_yes_the_tags_are_listed_and_nothing_is_done(home: Home) -> None:
    before = revisions(home)
    session = home.session()
    with pytest.raises(UsageError, match="nothing was done \\(2 tags revoked, 2 tags of it kept\\)"):
        home.run("key", "compromised", "alice", "--remove", "--keep-if-signed-by", "bob")
    session.close()
    said = home.stderr.getvalue()
    assert f"revoke {A}:1.0@sha256:{GOOD}" in said
    assert f"keep   {A}:both@sha256:{NEWER}" in said
    assert revisions(home) == before


def test_what_the_thief_moves_in_between_is_not_signed_unseen(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    """Bob's tag is another one when the releases are about to be signed again."""
    from trustcli.commands.key import key_response

    edit = key_response._Removal.edit
    moved: list[GUN] = []

    def meanwhile(self: Any, roles: Any) -> Any:
        self._seen = {**self._seen, "2.0": EVIL}
        moved.append(self._gun)
        return edit(self, roles)

    monkeypatch.setattr(key_response._Removal, "edit", meanwhile)
    before = revisions(home)
    found = removal(home, "alice", A, "--keep-if-signed-by", "bob", expect=REFUSED)
    assert found[A]["error"]["code"] == "tag-changed"
    assert moved
    assert revisions(home) == before


def test_digests_for_which_only_the_key_vouches_are_proposed_to_be_denied(home: Home) -> None:
    """Not one that stays under another tag, nor one for which somebody else vouches, even if its tag goes."""
    words = ("--plan", "--keep", f"{B}:1.0@sha256:{GOOD}")
    before = revisions(home)
    does(home, "key", "compromised", "alice", *words)
    if format_of(home) == "tuf":
        told = f"only this key vouches for 1 revoked digest; if they are not yours: trust deny {A}@sha256:{GOOD}\n"
    else:
        told = "only this key vouches for 1 revoked digest: this format cannot deny them"
    assert f"{A}: {told}" in home.err
    assert f"{B}: only this key" not in home.err
    assert NEWER not in home.err.partition("only this key")[2]
    assert home.run("key", "compromised", "alice", *words, json=True) == DONE
    planned = {plan["gun"]: plan["proposed_denials"] for plan in json.loads(home.out)["plans"]}
    assert (planned[A], planned[B]) == ([f"sha256:{GOOD}"], []), "in Notary v1 too: a policy can deny it"
    assert revisions(home) == before
    found = removal(home, "alice", *words[1:])
    assert told.strip() in found[A]["next"]
    assert "only this key" not in found[B]["next"]
    if format_of(home) == "tuf":
        does(home, "deny", "--yes", *told.partition("trust deny ")[2].split())


# --- the repository key, the root key, the recovery key, the server's keys


def test_a_repository_key_is_replaced(home: Home) -> None:
    (key,) = (info.keyid for info in home.session().keystore.list() if info.purpose == "targets" and info.gun == C)
    found = removal(home, key, "--keep", f"{C}:1.0@sha256:{GOOD}")
    assert found.keys() == {C}
    assert (found[C]["removed"], found[C]["kept"]) == ([TARGETS], ["1.0"])
    assert fingerprint(home, key) not in root_keys(home, C, TARGETS)
    assert tags(home, C) == {"1.0": GOOD}
    does(home, "sign", f"{C}:3.0@sha256:{NEWER}")


def test_without_a_choice_a_repository_key_takes_all_its_tags_with_it(home: Home) -> None:
    (key,) = (info.keyid for info in home.session().keystore.list() if info.purpose == "targets" and info.gun == C)
    found = removal(home, key)
    assert found[C]["revoked"] == ["1.0"]
    assert tags(home, C) == {}


def test_a_root_key_is_replaced_in_all_by_one_new_key(home: Home) -> None:
    (stolen,) = (info.keyid for info in home.session().keystore.list() if info.purpose == "root")
    old = fingerprint(home, stolen)
    before = {name: tags(home, name) for name in ALL}
    found = removal(home, stolen, "--recovery-key", "recovery.key")
    assert {row["state"] for row in found.values()} == {"done"}
    assert all(old not in root_keys(home, name) for name in ALL)
    new = [info for info in home.session().keystore.list() if info.purpose == "root" and not info.retired]
    assert len(new) == 1
    assert {name: tags(home, name) for name in ALL} == before
    assert home.run("key", "rotate", "root", A, "--key", stolen) == KEYS
    assert "was removed as compromised" in home.err
    home.sites[D] = RepositorySimulator(gun=D, wire=home.sites[A].wire)
    founding = ("init", D, "--no-recovery-key", "--format", format_of(home), "--root-key")
    assert home.run(*founding, stolen) == KEYS
    assert "was removed as compromised" in home.err


def test_a_root_key_that_is_gone_needs_the_recovery_key(home: Home) -> None:
    """The thief took the file away: only its id is known."""
    (stolen,) = (info.keyid for info in home.session().keystore.list() if info.purpose == "root")
    public = home.session().keystore.get(stolen).public
    does(home, "key", "remove", "--yes", stolen)
    root = home.sites[A].stored[ROOT].root
    keyid = next(k for k in root.roles[ROOT].keyids if key_fingerprint(root.keys[k]) == key_fingerprint(public))
    before = revisions(home)
    found = removal(home, keyid[:16], A, expect=KEYS)
    assert found[A]["error"]["code"] == "key-not-found"
    assert revisions(home) == before
    assert removal(home, keyid[:16], A, "--recovery-key", "recovery.key")[A]["state"] == "done"


def test_a_recovery_key_is_replaced_by_another_one(home: Home) -> None:
    (key,) = (info.keyid for info in home.session().keystore.list() if info.purpose == "root")
    before = root_keys(home, A)
    found = removal(home, "recovery.key", "--new-recovery-key", "new-recovery.key")
    assert {row["state"] for row in found.values()} == {"done"}
    after = root_keys(home, A)
    assert fingerprint(home, key) in after
    assert len(after) == 2
    assert after != before
    does(home, "key", "rotate", "root", A, "--recovery-key", "new-recovery.key")


def test_a_compromised_recovery_key_is_in_no_new_root(home: Home) -> None:
    """Not of a new collection, nor beside what a rotation or another removal signs; also not in a plan."""
    (key,) = (info.keyid for info in home.session().keystore.list() if info.purpose == "root")
    removal(home, "recovery.key", A, "--new-recovery-key", "new-recovery.key")
    before = revisions(home)
    home.sites[D] = RepositorySimulator(gun=D, wire=home.sites[A].wire)
    for plan in ((), ("--plan",)):
        for words in (
            ("init", D, "--format", format_of(home)),
            ("key", "rotate", "root", B),
            ("key", "rotate", "root", "--glob", C, "--yes"),
            ("key", "compromised", key, "--remove", "--yes"),
        ):
            assert home.run(*words, "--recovery-key", "recovery.key", *plan) == KEYS, words
            assert "was removed as compromised" in home.err
    assert home.run("key", "compromised", key, "--remove", "--yes", "--new-recovery-key", "recovery.key") == KEYS
    assert {name: site.revision for name, site in home.sites.items() if name != D} == before
    assert not home.sites[D].stored
    assert removal(home, "recovery.key", "--recovery-key", "recovery.key", "--new-recovery-key", "new-recovery.key")


def test_the_servers_keys_are_both_replaced(home: Home) -> None:
    for role in ONLINE:
        root = home.sites[A].stored[ROOT].root
        before = {each: root_keys(home, A, each) for each in ONLINE}
        found = removal(home, root.roles[role].keyids[0])
        assert found[A]["removed"] == [role]
        assert all(before[each].isdisjoint(root_keys(home, A, each)) for each in ONLINE)
        assert tags(home, A) == {"1.0": GOOD, "2.0": NEWER, "both": NEWER}


def test_keys_that_the_thief_has_named_do_not_stay_unseen(home: Home) -> None:
    """He has added a signer of his with the repository key; this machine has not verified that yet."""
    (key,) = (info.keyid for info in home.session().keystore.list() if info.purpose == "targets" and info.gun == A)
    thief = Home(home.folder / "thief", *home.sites.values())
    thief.folder.mkdir(mode=0o700)
    thief.environ = home.environ
    does(home, "key", "export", key, "-o", "stolen.pem")
    does(thief, "pin", A, pin_of(home, A), "--format", format_of(home))
    does(thief, "key", "import", "stolen.pem", "--purpose", "targets")
    does(thief, "key", "generate", "mallory", "--dir", str(thief.folder))
    does(thief, "signer", "add", "mallory", A, "--key", str(thief.folder / "mallory.pub"))
    before = revisions(home)
    for _ in range(2):  # a refused try does not make it known
        found = removal(home, key, A, expect=REFUSED)
        assert "the keys that it names, or what they may list, were not verified here" in found[A]["error"]["message"]
    assert revisions(home) == before
    file = f"targets@sha256:{home.sites[A].stored[TARGETS].sha256}"
    assert removal(home, key, A, "--accept-keys", file)[A]["state"] == "done"


# --- many at once


def test_one_that_refuses_keeps_nobody_from_the_others_and_the_same_command_goes_on(home: Home, tmp_path: Path) -> None:
    def refuse() -> None:
        raise RemoteRefused(remote="https://trust.example.com", status=403, reason="no")

    site = home.sites[A]
    site.before_publish = refuse
    report = tmp_path / "report.csv"
    found = removal(home, "alice", "--report", str(report), expect=REFUSED)
    assert {name: row["state"] for name, row in found.items()} == {A: "failed", B: "done"}
    rows = list(csv.DictReader(io.StringIO(report.read_text())))
    assert {row["collection"]: row["state"] for row in rows} == {A: "failed", B: "done"}
    assert not home.session().keystore.get("alice").retired
    site.before_publish = None
    assert {name: row["state"] for name, row in removal(home, "alice").items()} == {A: "done"}
    assert home.session().keystore.get("alice").retired


class Killed(BaseException):
    """The process ends here."""


@pytest.mark.parametrize("purpose", ["root", "targets"])
def test_what_a_killed_run_has_made_is_taken_again(home: Home, purpose: str) -> None:
    def die() -> None:
        raise Killed

    keys = [info for info in home.session().keystore.list() if info.purpose == purpose]
    key = next(info.keyid for info in keys if info.gun in {"", A})
    home.sites[A].before_publish = die
    with pytest.raises(Killed):
        removal(home, key, "--recovery-key", "recovery.key", "--jobs", "1")
    made = [info for info in home.session().keystore.list() if info.purpose == purpose]
    assert len(made) == len(keys) + 1
    home.sites[A].before_publish = None
    found = removal(home, key, "--recovery-key", "recovery.key", "--jobs", "1")
    assert {row["state"] for row in found.values()} == {"done"}
    after = [info.keyid for info in home.session().keystore.list() if info.purpose == purpose]
    assert after == [info.keyid for info in made]
    assert not list((home.folder / "bulk").glob("*.journal"))


def test_a_publish_whose_answer_is_lost_is_found_done(home: Home) -> None:
    home.sites[A].lose_replies = 1
    found = removal(home, "alice", "--keep-if-signed-by", "bob")
    assert {name: row["state"] for name, row in found.items()} == {A: "done", B: "done"}
    assert found[A]["revoked"] == ["1.0"]
    assert tags(home, A) == {"2.0": NEWER, "both": NEWER}


def test_options_of_the_removal_alone_are_refused_for_a_look(home: Home) -> None:
    with pytest.raises(UsageError, match="is for --remove, or --plan"):
        home.run("key", "compromised", "alice", "--keep-if-signed-by", "bob")
