"""`trust signer rotate`, and `trust signer remove` everywhere, in both formats."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from keys.algorithms import key_fingerprint
from keys.errors import KeyUnknown
from keys.material import write_public_pem
from tests.simulator.home import Home, without_network
from tests.simulator.repository import RepositorySimulator
from tests.support.bulk_runs import AT
from tests.support.cheap_keys import sealing_cheaply
from tests.support.prepared_homes import PreparedHomes
from trustcli.commands.support.compromised import compromised_list
from trustcli.console.exit_codes import DONE, KEYS, REFUSED
from trustcli.errors import KeyCompromised, RemoteRefused, UsageError
from trustcli.state.compromised import CompromisedKey
from trustdata.gun import GUN, parse_gun
from trustdata.roles import RELEASES, TARGETS, RoleName
from trustdata.wire import WireFormat

TEAM = [parse_gun(f"registry.example.com/team/{letter}") for letter in "abc"]
OTHER = parse_gun("registry.example.com/other/x")
ALL = [*TEAM, OTHER]
ALICE = RoleName("targets/alice")
DIGEST = "sha256:" + "ab" * 32


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, wire: WireFormat, prepared_homes: PreparedHomes) -> Home:
    """An owner of four collections; alice, whose key is here too, signs in three of them and has signed in all."""
    without_network(monkeypatch)
    sealing_cheaply(monkeypatch)
    return prepared_homes.home(tmp_path, ("bulk signers", wire.name), lambda folder: owner_of_four(folder, wire))


def owner_of_four(folder: Path, wire: WireFormat) -> Home:
    home = Home(folder, *(RepositorySimulator(gun=name, wire=wire) for name in ALL))
    home.environ = {f"TRUST_{name}_PASSPHRASE": f"the {name} passphrase" for name in ("ROOT", "REPOSITORY")}
    format_ = "tuf" if wire.name == "tuf-1.0" else "notary"
    assert home.run("init", *ALL, "--no-recovery-key", "--format", format_) == DONE, home.err
    generate(home, "alice")
    assert home.run("signer", "add", "alice", *TEAM, "--key", pub(home, "alice")) == DONE
    for site in home.sites.values():
        home.contents = {}
        sign(home, site)
    return home


def sign(home: Home, site: RepositorySimulator) -> None:
    """Sign 1.0 as whoever may here, without a registry."""
    from tests.simulator.owner import tag_edit
    from trustdata.editing import repository_editor as editor
    from trustdata.editing.repository_editor import EditTerms

    session = home.session()
    collection = session.collection(site.gun)
    roles = collection.owner_roles()
    into = (RELEASES, ALICE) if ALICE in editor.signers_of(roles) else (TARGETS,)
    terms = EditTerms.of(site.wire, at=home.at)
    edit = tag_edit("1.0", DIGEST.removeprefix("sha256:"))
    signed = session.publisher(collection, session.held_keys()).publish(
        lambda roles: editor.set_tags(roles, [edit], into=into, terms=terms)
    )
    collection.verify_published(signed.uploads)


def generate(home: Home, name: str) -> None:
    assert home.run("key", "generate", name, "--dir", str(home.folder)) == DONE


def pub(home: Home, name: str) -> str:
    return str(home.folder / f"{name}.pub")


def rows(home: Home, *words: str, expect: int = DONE) -> dict[str, Any]:
    assert home.run("signer", *words, json=True) == expect, home.err
    return {row["gun"]: row for row in json.loads(home.out)["collections"]}


def states(home: Home, *words: str, expect: int = DONE) -> dict[str, str]:
    return {gun: row["state"] for gun, row in rows(home, *words, expect=expect).items()}


def signers(home: Home, gun: GUN) -> dict[str, set[str]]:
    """The fingerprints of the keys of each role that `targets` delegates to."""
    delegations = home.sites[gun].stored[TARGETS].targets.delegations
    assert delegations is not None
    return {
        name: {key_fingerprint(delegations.keys[keyid]) for keyid in role.keyids}
        for name, role in (delegations.roles or {}).items()
    }


def fingerprint(home: Home, name: str) -> str:
    return key_fingerprint(home.session().keystore.get(name).public)


def digest(home: Home, gun: GUN) -> int:
    return home.run("verify", f"{gun}:1.0")


# --- add


def test_a_key_of_somebody_else_is_no_silent_second_one(home: Home) -> None:
    """As it happens to whoever mistypes the signer. It is told once for each collection, also by the plan."""
    for words in (("--plan",), ()):
        assert home.run("signer", "add", "--key", pub(home, "alice"), "bob", *TEAM, *words) == DONE, home.err
        for gun in TEAM:
            assert home.err.count(f"warning: {gun}: ") == 1
        assert "is a key of alice already: whoever has it signs as bob, too" in home.err
    own = home.folder / "own.pub"
    (repository,) = (info for info in home.session().keystore.list() if info.gun == TEAM[0])
    own.write_bytes(write_public_pem(repository.public))
    assert home.run("signer", "add", "--key", str(own), "carol", TEAM[0]) == DONE, home.err
    assert "is the repository key already: whoever has it signs as carol, too" in home.err
    assert home.run("signer", "add", "--key", pub(home, "alice"), "alice", TEAM[0]) == DONE
    assert "warning" not in home.err


# --- rotate


def test_a_new_key_is_made_for_all_collections(home: Home) -> None:
    old = fingerprint(home, "alice")
    assert states(home, "rotate", "alice", "--all-with", "alice", "--yes") == dict.fromkeys(TEAM, "done")
    (made,) = json.loads(home.out)["keys"]
    new = fingerprint(home, made)
    assert home.session().keystore.get(made).name.startswith("alice-20")
    for gun in TEAM:
        assert signers(home, gun)[ALICE] == {new}
        assert old not in signers(home, gun)[RELEASES]
        assert digest(home, gun) == DONE
    assert digest(home, OTHER) == DONE
    assert states(home, "rotate", "alice", "--all-with", "alice", "--yes") == {}, "nobody has the old one"


def test_the_key_that_is_named(home: Home) -> None:
    generate(home, "alice-2")
    words = ("rotate", "alice", *TEAM, "--new-key", "alice-2")
    assert states(home, *words) == dict.fromkeys(TEAM, "done")
    assert states(home, *words) == dict.fromkeys(TEAM, "nothing to do")
    assert all(signers(home, gun)[ALICE] == {fingerprint(home, "alice-2")} for gun in TEAM)


def test_a_key_whose_private_half_is_elsewhere_comes_beside_until_its_owner_has_signed(home: Home) -> None:
    """Alice's machine has the new key, the owner's its public half: two steps, and nobody is locked out between."""
    generate(home, "alice-2")
    store = home.session().keystore
    info = store.get("alice-2")
    file = next(path for path in (home.folder / "private").iterdir() if path.stem == info.keyid)
    private = file.read_bytes()
    old = fingerprint(home, "alice")
    store.remove(info.keyid)
    words = ("rotate", "alice", TEAM[0], "--new-key", pub(home, "alice-2"))
    found = rows(home, *words)[TEAM[0]]
    assert found["state"] == "done"
    assert found["next"].startswith(f"alice signs with the new key: trust renew {TEAM[0]} --all; then the same command")
    assert f"  next: {found['next']}\n" in home.err
    assert signers(home, TEAM[0])[ALICE] == {old, key_fingerprint(info.public)}
    assert digest(home, TEAM[0]) == DONE
    again = rows(home, *words)[TEAM[0]]
    assert (again["state"], again["next"]) == ("nothing to do", found["next"])
    file.write_bytes(private)  # on alice's machine
    file.chmod(0o600)
    assert home.run("renew", TEAM[0], "--all") == DONE
    store = home.session().keystore
    store.remove(info.keyid)
    assert states(home, *words) == {TEAM[0]: "done"}
    assert signers(home, TEAM[0])[ALICE] == {key_fingerprint(info.public)}
    assert digest(home, TEAM[0]) == DONE
    assert "next" not in rows(home, *words)[TEAM[0]]


def test_one_of_two_keys_goes(home: Home) -> None:
    generate(home, "laptop")
    generate(home, "phone")
    assert home.run("signer", "add", "alice", *TEAM, "--key", pub(home, "laptop")) == DONE
    found = rows(home, "rotate", "alice", TEAM[0], "--new-key", "phone", expect=KEYS)
    assert found[TEAM[0]]["error"]["code"] == "key-ambiguous"
    assert states(home, "rotate", "alice", TEAM[0], "--new-key", "phone", "--replace", "laptop") == {TEAM[0]: "done"}
    assert signers(home, TEAM[0])[ALICE] == {fingerprint(home, "alice"), fingerprint(home, "phone")}
    wrong = rows(home, "rotate", "alice", TEAM[1], "--new-key", "phone", "--replace", "f" * 12, expect=REFUSED)
    assert "ffffffffffff is no key of alice" in wrong[TEAM[1]]["error"]["message"]


def test_who_is_no_signer_and_who_cannot_sign(home: Home) -> None:
    generate(home, "alice-2")
    found = rows(home, "rotate", "alice", OTHER, "--new-key", "alice-2", expect=REFUSED)
    assert found[OTHER]["error"]["code"] == "publish-refused"
    wrong = rows(home, "rotate", "alice", TEAM[0], "--new-key", "alice-2", "--replace", "alice-2", expect=REFUSED)
    assert "alice-2 is no key of alice" in wrong[TEAM[0]]["error"]["message"]
    with pytest.raises(KeyUnknown, match=r"^no key of the store and no file is called alice-2\.pup$"):
        home.run("signer", "rotate", "alice", *TEAM, "--new-key", "alice-2.pup")
    store = home.session().keystore
    for info in store.list():
        if info.purpose == "targets":
            store.remove(info.keyid)
    keys = {info.keyid for info in store.list()}
    found = rows(home, "rotate", "alice", *TEAM, expect=KEYS)
    assert {row["error"] and row["error"]["code"] for row in found.values()} == {"key-not-found"}
    assert {info.keyid for info in home.session().keystore.list()} == keys, "no key is made for nothing"


def test_a_compromised_key_is_no_new_key(home: Home) -> None:
    generate(home, "alice-2")
    compromised_list(home.session()).add(CompromisedKey(fingerprint=fingerprint(home, "alice-2"), recorded=AT))
    with pytest.raises(KeyCompromised, match="was removed as compromised"):
        home.run("signer", "rotate", "alice", *TEAM, "--new-key", "alice-2")


def test_a_compromised_key_is_no_signer_of_a_new_collection(home: Home) -> None:
    """Named on the command line, or in a template."""
    compromised_list(home.session()).add(CompromisedKey(fingerprint=fingerprint(home, "alice"), recorded=AT))
    new = parse_gun("registry.example.com/team/new")
    home.sites[new] = RepositorySimulator(gun=new, wire=home.sites[OTHER].wire)
    template = home.folder / "team.toml"
    format_ = "tuf" if home.sites[OTHER].wire.name == "tuf-1.0" else "notary"
    signers = f'[signers]\nalice = ["{pub(home, "alice")}"]\n'
    template.write_text(f'version = 1\nformat = "{format_}"\nrecovery_key = false\n{signers}')
    named = ("init", new, "--no-recovery-key", "--format", format_, "--signer", f"alice={pub(home, 'alice')}")
    for words in (named, ("init", new, "--template", str(template)), (*named, "--plan")):
        assert home.run(*words) == KEYS, home.err
        assert "was removed as compromised" in home.err
    assert not home.sites[new].stored


def test_a_run_that_goes_on_does_not_take_the_key_that_it_made_and_that_was_stolen_since(home: Home) -> None:
    def refuse() -> None:
        raise RemoteRefused(remote="https://trust.example.com", status=403, reason="no")

    home.sites[TEAM[0]].before_publish = refuse
    words = ("rotate", "alice", *TEAM)
    states(home, *words, expect=REFUSED)
    stolen = signers(home, TEAM[1])[ALICE]
    (key,) = (i for i in home.session().keystore.list() if key_fingerprint(i.public) in stolen)
    assert home.run("key", "compromised", key.keyid, TEAM[1], TEAM[2], "--remove", "--yes") == DONE, home.err
    home.sites[TEAM[0]].before_publish = None
    states(home, *words, expect=REFUSED)  # alice is no signer of the others any more, and so nothing is done
    assert states(home, "rotate", "alice", TEAM[0]) == {TEAM[0]: "done"}
    assert signers(home, TEAM[0])[ALICE].isdisjoint(stolen)
    assert digest(home, TEAM[0]) == DONE


def test_a_plan_makes_no_key(home: Home) -> None:
    keys = {info.keyid for info in home.session().keystore.list()}
    assert home.run("signer", "rotate", "alice", *TEAM, "--plan", json=True) == DONE
    plans = json.loads(home.out)["plans"]
    added = [key for plan in plans for change in plan["keys"] for key in change["added"] if change["role"] == ALICE]
    assert [(key["new"], key["keyid"]) for key in added] == [(True, None)] * 3
    assert {info.keyid for info in home.session().keystore.list()} == keys


# --- remove everywhere


def test_a_signer_leaves_everywhere(home: Home) -> None:
    assert states(home, "remove", "alice", "--everywhere", "--yes") == dict.fromkeys(TEAM, "done")
    assert all(ALICE not in signers(home, gun) for gun in TEAM)
    assert all(digest(home, gun) == DONE for gun in ALL)
    assert states(home, "remove", "alice", "--everywhere", "--yes") == {}
    assert "no collection that is known here has a signer alice: nothing to do" in home.err


def test_everywhere_is_asked_for_and_names_nobody(home: Home) -> None:
    with pytest.raises(UsageError, match="nothing was done"):
        home.run("signer", "remove", "alice", "--everywhere")
    with pytest.raises(UsageError, match="name none beside it"):
        home.run("signer", "remove", "alice", "--everywhere", OTHER)
    with pytest.raises(UsageError, match="name none beside them"):
        home.run("signer", "rotate", "alice", "--glob", "*", OTHER)
    assert all(ALICE in signers(home, gun) for gun in TEAM)


def test_everywhere_below_a_pattern(home: Home) -> None:
    words = ("remove", "alice", "--everywhere", "--glob", TEAM[1], "--yes")
    assert states(home, *words) == {TEAM[1]: "done"}
