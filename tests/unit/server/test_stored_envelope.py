"""Of a stored collection only those files are parsed whose content an upload needs."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.support.server_owner import Owner
from tests.support.server_site import GUN_A, Site
from trustdata.envelope import Envelope
from trustdata.errors import MalformedMetadata
from trustdata.gun import GUN
from trustdata.model import DelegatedRole, Delegations
from trustdata.roles import RELEASES, ROOT, SNAPSHOT, TARGETS, TIMESTAMP, RoleName
from trustdata.wire.tuf import TUF, TufFormat
from trustserver.repository.parsed_cache import ParsedCache, ParsedCollection
from trustserver.repository.stored_envelope import StoredEnvelope

ALICE, BOB, CAROL = (RoleName(f"targets/{name}") for name in ("alice", "bob", "carol"))
DIGEST = "cd" * 32


def _delegations(owner: Owner, **paths: str) -> Delegations:
    keys = {role: owner.signers[role].public_key for role in owner.signers}
    roles = {
        str(role): DelegatedRole(
            role, [key.keyid], 1, terminating=role == RELEASES, paths=[paths.get(role.rpartition("/")[2], "*")]
        )
        for role, key in keys.items()
    }
    return Delegations({key.keyid: key for key in keys.values()}, roles)


@pytest.fixture
def stored() -> tuple[Site, Owner]:
    """A collection with three signers, all published, on a server that has parsed nothing of it."""
    site = Site()
    owner = site.begin()
    owner.tags = {}
    for name in ("releases", "alice", "bob", "carol"):
        owner.add_signer(name)
    delegated = {role: owner.delegation(role, {"v1": DIGEST}) for role in (RELEASES, ALICE, BOB, CAROL)}
    site.publish({TARGETS: owner.targets(delegations=_delegations(owner)), **delegated}).raise_for_status()
    return Site(site.store), owner


@pytest.fixture
def parsed(monkeypatch: pytest.MonkeyPatch, stored: tuple[Site, Owner]) -> list[RoleName]:
    """The roles that are parsed from now on."""
    roles: list[RoleName] = []
    parse = TufFormat.parse

    def counting(self: TufFormat, role: RoleName, raw: bytes) -> Envelope:
        roles.append(role)
        return parse(self, role, raw)

    monkeypatch.setattr(TufFormat, "parse", counting)
    return roles


def test_an_upload_of_a_signer_parses_no_other_signer_s_file(
    stored: tuple[Site, Owner], parsed: list[RoleName]
) -> None:
    site, owner = stored
    assert site.publish({ALICE: owner.delegation(ALICE, {"v2": DIGEST})}).status_code == 200
    assert set(parsed) == {ALICE, ROOT, TARGETS, SNAPSHOT, TIMESTAMP}
    parsed.clear()
    assert site.publish({BOB: owner.delegation(BOB, {"v2": DIGEST})}).status_code == 200
    assert {ROOT, TARGETS, ALICE, CAROL}.isdisjoint(parsed), "the rest is remembered"


def test_targets_parse_what_they_delegate_to_otherwise(stored: tuple[Site, Owner], parsed: list[RoleName]) -> None:
    site, owner = stored
    narrowed = _delegations(owner, bob="v*")
    assert site.publish({TARGETS: owner.targets(delegations=narrowed)}).status_code == 200
    assert BOB in parsed
    assert {ALICE, CAROL}.isdisjoint(parsed)
    answer = site.publish({TARGETS: owner.targets(delegations=_delegations(owner, bob="v*", carol="w*"))})
    assert (answer.status_code, answer.json()["code"], answer.json()["role"]) == (409, "would-break-role", CAROL)


def test_what_is_known_of_a_stored_file_without_its_content(stored: tuple[Site, Owner], parsed: list[RoleName]) -> None:
    site, _ = stored
    found = ParsedCache(site.store).load(GUN(GUN_A)).envelopes
    for role, envelope in found.items():
        assert isinstance(envelope, StoredEnvelope)
        file = site.store.load(GUN(GUN_A)).files[role]
        assert (envelope.role, envelope.raw, envelope.sha256) == (role, file.raw, file.sha256)
        assert (envelope.version, envelope.expires, envelope.parsed) == (file.version, file.expires, False)
    assert parsed == []
    alice = found[ALICE]
    whole = TUF.parse(ALICE, alice.raw)
    parsed.clear()
    for _ in range(2):
        assert (alice.payload, alice.signatures.keys()) == (whole.payload, whole.signatures.keys())
        assert (alice.targets.version, alice.targets.expires) == (alice.version, alice.expires)
    assert parsed == [ALICE], "once"
    assert isinstance(alice, StoredEnvelope)
    assert alice.parsed


def test_a_stored_file_that_cannot_be_read_is_named_by_who_needs_it(
    monkeypatch: pytest.MonkeyPatch, stored: tuple[Site, Owner]
) -> None:
    site, owner = stored
    parse = TufFormat.parse

    def broken(self: TufFormat, role: RoleName, raw: bytes) -> Envelope:
        if role == BOB:
            raise MalformedMetadata(role=role, path="", reason="damaged")
        return parse(self, role, raw)

    monkeypatch.setattr(TufFormat, "parse", broken)
    assert site.publish({ALICE: owner.delegation(ALICE, {"v2": DIGEST})}).status_code == 200
    answer = site.publish({TARGETS: owner.targets(delegations=_delegations(owner, bob="v*"))})
    assert (answer.status_code, answer.json()["role"], answer.json()["reason"]) == (422, BOB, "damaged")


def test_a_collection_takes_room_in_the_cache_by_its_values(stored: tuple[Site, Owner]) -> None:
    """And each of its files by itself, although two signers may have published the same bytes."""
    state = stored[0].store.load(GUN(GUN_A))
    files = {
        role: replace(file, raw=b"[" + b"[]," * 1000 + b"1]", sha256="ab" * 32) for role, file in state.files.items()
    }
    dense = ParsedCollection(state=state, envelopes={role: StoredEnvelope(file, TUF) for role, file in files.items()})
    room = len(files) * 8 * 2001
    for limit, kept in ((room, True), (room - 1, False)):
        cache = ParsedCache(stored[0].store, limit=limit)
        cache.remember(dense)
        assert (cache.remembered(GUN(GUN_A)) is not None) is kept
        cache.forget(GUN(GUN_A))
        cache.remember(dense)
        assert (cache.remembered(GUN(GUN_A)) is not None) is kept, "all of the room was given back"
