"""What a thief has written beside the digests that stay, and a server that brings keys back: both formats."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.simulator.home import Home
from tests.simulator.owner import tag_edit
from tests.simulator.repository import RepositorySimulator
from tests.simulator.scene import EVIL, GOOD, NEWER, OLD
from tests.support.prepared_homes import PreparedHomes
from tests.support.stolen_keys import A, D, does, format_of, owner_of_three, pin_of, removal, revisions, tags
from trustcli.console.exit_codes import DONE, KEYS, REFUSED, UNREACHABLE
from trustcli.errors import RemoteRefused
from trustdata.editing.owner_roles import OwnerRoles, file_reference
from trustdata.editing.repository_editor import Contents, EditTerms, renew, set_tags
from trustdata.errors import ReleaseConflict
from trustdata.gun import GUN
from trustdata.model import Targets
from trustdata.roles import ONLINE, RELEASES, ROOT, TARGETS, RoleName
from trustdata.wire import WireFormat


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, wire: WireFormat, prepared_homes: PreparedHomes) -> Home:
    return owner_of_three(tmp_path, monkeypatch, wire, prepared_homes)


def the_thief(home: Home, *keys: str) -> Home:
    """Somebody else's machine with copies of keys, and with access to the server."""
    thief = Home(home.folder / "thief", *home.sites.values())
    thief.folder.mkdir(mode=0o700)
    thief.environ, thief.registry_digest = home.environ, f"sha256:{EVIL}"
    does(thief, "pin", A, pin_of(home, A), "--format", format_of(home))
    for key in keys:
        does(home, "key", "export", key, "-o", "stolen.pem")
        does(thief, "key", "import", "stolen.pem", "--purpose", "targets")
        (home.folder / "stolen.pem").unlink()
    return thief


def wrote(thief: Home, role: RoleName, tag: str, digest: str, *children: str) -> None:
    """The thief writes an entry into one role, whatever stands in others."""
    session = thief.session()
    collection = session.collection(A)
    terms = EditTerms.of(collection.wire, at=session.at)
    edit = tag_edit(tag, digest, *children)
    publisher = session.publisher(collection, session.held_keys(), collection.owner_roles)
    publisher.publish(lambda roles: set_tags(roles, [edit], into=[role], terms=terms))
    session.close()


def targets_key(home: Home, name: GUN) -> str:
    return next(i.keyid for i in home.session().keystore.list() if i.purpose == "targets" and i.gun == name)


def test_what_the_thief_has_written_beside_the_digests_is_not_signed_again(home: Home) -> None:
    """A platform of an index that stays, a denied digest that is denied no more; not at a second try either."""
    index = f"{'5' * 64}"
    key = targets_key(home, A)
    wrote(home, RELEASES, "index", index, GOOD)
    if home.sites[A].wire.keeps_members:
        does(home, "deny", "--yes", f"{A}@sha256:{OLD}", "--reason", "a hole")
    does(home, "verify", f"{A}:index@sha256:{GOOD}")
    thief = the_thief(home, key)
    wrote(thief, RELEASES, "index", index, GOOD, EVIL)
    if home.sites[A].wire.keeps_members:
        does(thief, "deny", "--remove", "--yes", f"{A}@sha256:{OLD}")
    keep = ("--keep", f"{A}:index@sha256:{index}", "--keep-if-signed-by", "bob")

    def refuse() -> None:
        raise RemoteRefused(remote="https://trust.example.com", status=403, reason="no")

    home.sites[A].before_publish = refuse
    removal(home, key, A, *keep, expect=REFUSED)
    home.sites[A].before_publish = None
    found = removal(home, key, A, *keep)
    assert found[A]["state"] == "done"
    assert tags(home, A)["index"] == index
    does(home, "verify", f"{A}@sha256:{GOOD}")
    assert home.run("verify", f"{A}@sha256:{EVIL}") != DONE
    if home.sites[A].wire.keeps_members:
        does(home, "deny", "--list", A)
        assert f"{A}@sha256:{OLD}  a hole" in home.out


ALICE, BOB = RoleName("targets/alice"), RoleName("targets/bob")


def other_paths(home: Home, roles: dict[str, Any]) -> None:
    """Let alice list no tag but those that begin with 1 or b."""
    tuf = home.sites[A].wire.releases_are_terminating
    roles[ALICE].paths = ["1*", "b*"] if tuf else ["1", "b"]


def another_order(home: Home, roles: dict[str, Any]) -> None:
    """Let bob be asked before alice."""
    del home
    alice, bob = roles.pop(ALICE), roles.pop(BOB)
    roles |= {BOB: bob, ALICE: alice}


@pytest.mark.parametrize("change", [other_paths, another_order])
def test_what_the_thief_lets_signers_list_is_signed_again_only_if_it_is_accepted(
    home: Home, change: Callable[[Home, dict[str, Any]], None]
) -> None:
    """Keys and digests are as they were. This machine has not verified it; the name of another file accepts nothing."""
    key, site = targets_key(home, A), home.sites[A]
    first = file_reference(site.stored[TARGETS])
    thief = the_thief(home, key)
    session = thief.session()
    collection = session.collection(A)
    terms = EditTerms.of(collection.wire, at=session.at)

    def edit(roles: OwnerRoles) -> Contents:
        changed = renew(roles, [TARGETS], terms=terms)
        content = changed[TARGETS]
        assert isinstance(content, Targets)
        assert content.delegations is not None
        assert content.delegations.roles is not None
        change(home, content.delegations.roles)
        return changed

    session.publisher(collection, session.held_keys(), collection.owner_roles).publish(edit)
    session.close()
    written = said_of_signers(site)
    before, accepted = revisions(home), file_reference(site.stored[TARGETS])
    for words in ((), ("--accept-keys", first), ("--accept-keys", first, "--plan")):
        assert home.run("key", "compromised", key, "--remove", "--yes", A, *words) == REFUSED, home.err
        assert "the keys that it names, or what they may list, were not verified here" in home.err
        assert f"--accept-keys {accepted}" in home.err
    assert revisions(home) == before
    assert removal(home, key, A, "--accept-keys", accepted)[A]["state"] == "done"
    assert said_of_signers(site) == written, "as the owner has accepted it"


def said_of_signers(site: RepositorySimulator) -> list[tuple[str, Any]]:
    """The signers in order, with what each may list."""
    delegations = site.stored[TARGETS].targets.delegations
    assert delegations is not None
    return [(name, role.paths) for name, role in (delegations.roles or {}).items() if name != RELEASES]


def test_an_image_beneath_the_one_that_stays_is_not_signed_again(home: Home) -> None:
    """In Notary v1 `notary` looks into targets first; in TUF 1.0 the server refuses such an upload."""
    if home.sites[A].wire.keeps_members:
        with pytest.raises(ReleaseConflict):
            wrote(home, TARGETS, "both", EVIL)
    else:
        key = targets_key(home, A)
        wrote(the_thief(home, key), TARGETS, "both", EVIL)
        removal(home, key, A, "--keep-if-signed-by", "bob")
        assert tags(home, A)["both"] == NEWER
        assert "both" not in home.sites[A].stored[TARGETS].targets.targets


def test_a_signer_who_leaves_leaves_no_platform_that_others_have_not_signed(home: Home) -> None:
    """Alice has written into the releases, beside the digest that bob has signed; his own role is as it was."""
    bobs = RoleName("targets/bob")
    for role in (bobs, RELEASES):
        wrote(home, role, "index", "5" * 64, GOOD)
    does(home, "signer", "remove", "alice", A, "--plan")
    assert "platforms" not in home.out + home.err
    wrote(home, RELEASES, "index", "5" * 64, GOOD, EVIL)
    does(home, "signer", "remove", "alice", A, "--plan")
    assert "~ tag index" in home.out
    does(home, "signer", "remove", "alice", A)
    assert f"{A}: index listed another size or other platforms" in home.err
    does(home, "verify", f"{A}@sha256:{GOOD}")
    assert home.run("verify", f"{A}@sha256:{EVIL}") != DONE


def test_platforms_that_nobody_has_proven_are_to_be_signed_again(home: Home) -> None:
    key, index = targets_key(home, A), f"{'5' * 64}"
    wrote(the_thief(home, key), RELEASES, "index", index, EVIL)
    found = removal(home, key, A, "--keep", f"{A}:index@sha256:{index}")
    assert f"trust sign {A}:index@sha256:{index} lists its platforms again" in found[A]["next"]
    assert home.run("verify", f"{A}@sha256:{EVIL}") != DONE


@pytest.mark.parametrize("role", ONLINE)
def test_a_server_brings_no_compromised_key_back(home: Home, role: RoleName) -> None:
    """Its own key was stolen, and it offers the same one again: for this collection, another one and a new one."""
    site = home.sites[A]
    root = site.stored[ROOT].root
    stolen, signer = root.roles[role].keyids[0], site.online[role]
    removal(home, stolen, A)
    home.sites[D] = RepositorySimulator(gun=D, wire=site.wire)
    for name in (A, D):
        home.sites[name].offered[role] = signer
    before = revisions(home)
    for words in (
        ("key", "rotate", role, A),
        ("init", D, "--no-recovery-key", "--format", format_of(home)),
        ("key", "compromised", site.stored[ROOT].root.roles[role].keyids[0], A, "--remove", "--yes"),
    ):
        assert home.run(*words) not in {DONE, KEYS}, words
        assert "was removed as compromised" in home.err
    assert revisions(home) == before


def test_a_server_must_make_new_keys(home: Home) -> None:
    """The key of the other role stays in the root otherwise, and clients forget nothing."""
    site = home.sites[A]
    stolen = site.stored[ROOT].root.roles[ONLINE[0]].keyids[0]
    site.offered[ONLINE[1]] = site.online[ONLINE[1]]
    before = revisions(home)
    found = removal(home, stolen, A, expect=UNREACHABLE)
    assert "which the root of" in found[A]["error"]["message"]
    assert revisions(home) == before
    site.offered = {}
    first = site.online[ONLINE[1]]
    does(home, "key", "rotate", ONLINE[1], A)
    site.offered[ONLINE[1]] = first
    before = revisions(home)
    for words in (("key", "rotate", ONLINE[1], A), ("key", "compromised", stolen, A, "--remove", "--yes")):
        assert home.run(*words) == UNREACHABLE
        assert f"which root 1 of {A} named" in home.err
    assert revisions(home) == before
