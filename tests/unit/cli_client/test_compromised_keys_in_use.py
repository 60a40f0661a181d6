"""Keys that were removed as compromised: no command signs with one, and no publish puts one in place; both formats."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from keys.algorithms import key_fingerprint
from tests.simulator.home import Home
from tests.simulator.repository import RepositorySimulator
from tests.simulator.scene import GOOD, NEWER
from tests.support.prepared_homes import PreparedHomes
from tests.support.stolen_keys import A, B, C, D, does, format_of, owner_of_three, removal, revisions
from trustcli.commands.support.compromised import compromised_list
from trustcli.console.exit_codes import DONE, KEYS
from trustcli.errors import KeyCompromised
from trustcli.state.compromised import CompromisedKey
from trustdata.editing import repository_editor as editor
from trustdata.editing.owner_roles import OwnerRoles
from trustdata.editing.repository_editor import Contents, EditTerms
from trustdata.roles import ROOT, SNAPSHOT
from trustdata.wire import WireFormat

SIGNS_NO_MORE = "it signs nothing but the root that takes it out"


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, wire: WireFormat, prepared_homes: PreparedHomes) -> Home:
    return owner_of_three(tmp_path, monkeypatch, wire, prepared_homes)


def key_of(home: Home, purpose: str, gun: str = "") -> str:
    return next(i.keyid for i in home.session().keystore.list() if (i.purpose, i.gun) == (purpose, gun))


def note(home: Home, key: str) -> None:
    """It was removed as compromised, from other collections than those that name it still."""
    session = home.session()
    found = CompromisedKey(fingerprint=key_fingerprint(session.keystore.get(key).public), recorded=home.at)
    compromised_list(session).add(found)


def refuses(home: Home, *words: str) -> None:
    """Neither the command nor its plan does anything, and both say why."""
    before = revisions(home)
    for plan in ((), ("--plan",)):
        assert home.run(*words, *plan) == KEYS, (words, plan, home.out, home.err)
        assert f"was removed as compromised ({home.at:%Y-%m-%d}" in home.err + home.out, words
        assert SIGNS_NO_MORE in home.err + home.out, words
    assert revisions(home) == before
    assert "trust key compromised KEY " in home.err, words


def test_the_repository_key_signs_for_no_command(home: Home) -> None:
    note(home, key_of(home, "targets", A))
    note(home, key_of(home, "targets", C))
    does(home, "key", "generate", "carol")
    for words in (
        ("sign", f"{C}:2.0@sha256:{NEWER}"),
        ("revoke", "--yes", f"{C}:1.0"),
        ("renew", C, "--all"),
        ("signer", "add", "carol", A, "--key", "carol.pub"),
        ("signer", "remove", "bob", A),
        ("signer", "rotate", "bob", A, "--yes"),
        *((("deny", "--yes", f"{C}@sha256:{GOOD}"),) if home.sites[C].wire.keeps_members else ()),
    ):
        refuses(home, *words)
    does(home, "sign", "--signer", "bob", f"{A}:3.0@sha256:{NEWER}")  # who is clean goes on


def test_a_signers_key_signs_for_no_command(home: Home) -> None:
    note(home, "alice")
    for words in (("sign", "--signer", "alice", f"{A}:3.0@sha256:{NEWER}"),):
        refuses(home, *words)
    does(home, "sign", "--signer", "bob", f"{A}:3.0@sha256:{NEWER}")


def test_the_root_key_signs_only_the_root_that_takes_it_out(home: Home) -> None:
    key = key_of(home, "root")
    note(home, key)
    refuses(home, "key", "rotate", "timestamp", A)
    refuses(home, "key", "rotate", "snapshot", A)
    refuses(home, "key", "rotate", "targets", A)
    does(home, "key", "rotate", "timestamp", A, "--recovery-key", "recovery.key")
    does(home, "key", "rotate", "root", B)
    assert removal(home, key, A, C).keys() == {A, C}


def test_a_removal_goes_on_in_collections_that_still_name_the_key(home: Home) -> None:
    """Of the root key without the recovery key: it signs its own end, and before that no other's."""
    key = key_of(home, "root")
    removal(home, key, A)
    other = (key_of(home, "targets", C), "--keep", f"{C}:1.0@sha256:{GOOD}")
    removal(home, *other, expect=KEYS)
    assert SIGNS_NO_MORE in home.err
    assert removal(home, key).keys() == {B, C}
    assert removal(home, *other).keys() == {C}
    does(home, "sign", f"{C}:2.0@sha256:{NEWER}")


def into_root(home: Home, roles: OwnerRoles, key: Any, terms: EditTerms) -> Contents:
    del home
    return editor.replace_root_keys(roles, remove=[], add=[key], terms=terms)


def into_targets(home: Home, roles: OwnerRoles, key: Any, terms: EditTerms) -> Contents:
    del home
    return editor.replace_targets_key(roles, key, terms=terms)


def into_snapshot(home: Home, roles: OwnerRoles, key: Any, terms: EditTerms) -> Contents:
    del home
    return editor.replace_online_keys(roles, {SNAPSHOT: key}, terms=terms)


def into_signers(home: Home, roles: OwnerRoles, key: Any, terms: EditTerms) -> Contents:
    del home
    return editor.add_signer(roles, "mallory", [key], terms=terms)


@pytest.mark.parametrize("edit", [into_root, into_targets, into_snapshot, into_signers])
def test_no_publish_puts_one_in_place_whatever_its_command_has_looked_at(
    home: Home, edit: Callable[[Home, OwnerRoles, Any, EditTerms], Contents]
) -> None:
    does(home, "key", "generate", "stolen")
    note(home, "stolen")
    before, session = revisions(home), home.session()
    collection = session.collection(A)
    key = collection.wire.encode_key(session.keystore.get("stolen").public)
    terms = EditTerms.of(collection.wire, at=session.at)
    publisher = session.publisher(collection, session.held_keys())
    with pytest.raises(KeyCompromised, match="it is not put in place again"):
        publisher.publish(lambda roles: edit(home, roles, key, terms))
    assert revisions(home) == before
    session.close()


def test_no_new_collection_has_one(home: Home) -> None:
    home.sites[D] = RepositorySimulator(gun=D, wire=home.sites[A].wire)
    note(home, key_of(home, "root"))
    assert home.run("init", D, "--no-recovery-key", "--format", format_of(home)) == KEYS
    assert "it is not put in place again" in home.err
    assert not home.sites[D].stored


def test_a_damaged_list_stops_every_publish(home: Home) -> None:
    path = home.folder / "compromised.json"
    path.write_text("no list")
    path.chmod(0o600)
    before = revisions(home)
    assert home.run("sign", f"{C}:2.0@sha256:{NEWER}", json=True) != DONE
    assert json.loads(home.out)["error"]["code"] == "settings-unusable"
    assert "it says which keys must not return" in home.err
    assert revisions(home) == before
    assert ROOT in home.sites[C].stored
