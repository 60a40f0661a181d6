"""`trust signer rotate`: another key for a signer, in one publish where the new key is here, else in two.

A signer's role must verify after every publish. Whoever has the new key signs it again in the same one. Whoever has
only its public half adds it beside the old one: the signer signs with it (`trust renew`), and then the same command
takes the old one out.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from functools import partial
from typing import Final

from keys.algorithms import accepted_fingerprints, key_fingerprint, matching_keyids
from keys.errors import KeyAmbiguous, KeyNotFound
from keys.keyid import short_keyid
from trustcli.client.collection import Collection
from trustcli.commands.support.compromised import compromised_keys, refuse_compromised
from trustcli.commands.support.key_source import ExtensibleKeys, SessionKeys
from trustcli.commands.support.named_key import NamedKey
from trustcli.commands.support.owner_decisions import tell_what_was_unsound
from trustcli.commands.support.planning import Planning
from trustcli.commands.support.publication import check_visible
from trustcli.commands.support.sight import keep_what_is_there
from trustcli.publish.bulk.work import Done, Step
from trustcli.publish.effects import check_same_releases
from trustcli.publish.plan import Plan
from trustcli.session import Session
from trustdata.editing import repository_editor
from trustdata.editing.owner_roles import OwnerDecisions, OwnerRoles
from trustdata.editing.repository_editor import Contents, EditTerms
from trustdata.editing.signer_rotation import replace_signer_key
from trustdata.errors import PublishRefused
from trustdata.gun import GUN
from trustdata.model import Key, Signer, Targets
from trustdata.roles import RELEASES, ROOT, TARGETS, signer_role
from trustdata.wire.tuf import TUF

_SLOT: Final = "signer"
_LONGEST_NAME: Final = 40
"""Characters of the signer's name in the name of a new key, which has at most 64 itself."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SignerRotation:
    """What to do. `new`: the new key's public half; None: make one. `replaced`: the key that goes, if it was named."""

    signer: str
    new: Key | None
    replaced: NamedKey | None
    decisions: OwnerDecisions


class SignerRotationRun:
    """One `trust signer rotate`: a `BulkWork`. Raises: KeyCompromised, SettingsUnusable, FileNewer, FileExposed."""

    def __init__(self, session: Session, rotation: SignerRotation) -> None:
        self._session = session
        self._rotation = rotation
        self._planned: _NewKey | None = None
        self._new: _NewKey | None = None
        self._lock = threading.Lock()
        if rotation.new is not None:
            refuse_compromised(session, rotation.new)

    @property
    def keyids(self) -> list[str]:
        """The id of the new key, as TUF 1.0 has it; none if none was needed."""
        known = self._rotation.new or (self._new.known if self._new else None)
        return [] if known is None else [TUF.encode_key(known).keyid]

    def plan(self, planning: Planning, gun: GUN) -> Sequence[Plan]:
        """Return what `carry_out` would publish."""
        collection = planning.collection(gun)
        keys = planning.keys.held_keys()
        if self._planned is None:
            make = partial(planning.keys.new, purpose="signer", name=self._rotation.signer)
            self._planned = _NewKey(self._rotation.new, make)
        edit = _Edit(self._session, self._rotation, collection, keys, self._planned)
        decisions = self._rotation.decisions
        return [planning.plan(collection, edit, keys, decisions=decisions, check=check_same_releases).plan]

    def carry_out(self, session: Session, gun: GUN, step: Step) -> Done:
        """Do it in one collection, and look at the result as a client. Raises: TrustError, KeysError."""
        with self._lock:
            if self._new is None:
                known = self._rotation.new or _made_before(session, step.shared(_SLOT))
                self._new = _NewKey(known, lambda: _made(session, self._rotation.signer, step))
        collection = session.collection(gun, keep=False)  # what nobody has agreed to is not known afterwards
        keys = session.held_keys()
        edit = _Edit(session, self._rotation, collection, keys, self._new)
        publisher = session.publisher(collection, keys, lambda: collection.owner_roles(self._rotation.decisions))
        outcome = publisher.publish(edit, step.checked(check_same_releases))
        tell_what_was_unsound(session, collection.gun, outcome)
        signer = self._rotation.signer
        now = session.collection(gun).verify_published(outcome.uploads).roles()
        keyids = repository_editor.signers_of(now).get(signer_role(signer), ())
        what = f"the new key of signer {signer} of {gun}"
        check_visible(edit.is_so(keyids), server=collection.server.name, what=what)
        row = {"keys": list(keyids)}
        told = f"{gun}: signer {signer} has key {', '.join(keyids)}"
        if outcome.published is None and not edit.sent:
            keep_what_is_there(session, gun)
            return Done(changed=False, note=f"{told}: nothing to do", row=row, next=edit.left_to_do)
        return Done(lines=(told,), row=row, next=edit.left_to_do)


def _made_before(session: Session, fingerprint: str) -> Key | None:
    """Return the key that an interrupted run has made; None if it has made none that may be used."""
    for info in session.keystore.list() if fingerprint else ():
        if key_fingerprint(info.public) == fingerprint and fingerprint not in compromised_keys(session):
            return info.public
    return None


def _made(session: Session, signer: str, step: Step) -> Signer:
    """Make a key, store it, and write it down. Raises: KeysError, MemoryUnwritable, FileExposed."""
    # An interrupted run may have stored it and not written it down: then the store has this name.
    first = f"{signer[:_LONGEST_NAME]}-{step.since or session.at:%Y%m%d-%H%M%S}"
    name, number = first, 1
    while _is_compromised(session, name):  # stolen since it was made
        number += 1
        name = f"{first}-{number}"
    source = SessionKeys(session)
    try:
        made = source.stored(name)
    except KeyNotFound:
        made = source.new(purpose="signer", name=name)
    step.share(_SLOT, key_fingerprint(made.public_key))
    return made


def _is_compromised(session: Session, name: str) -> bool:
    try:
        return key_fingerprint(session.keystore.get(name).public) in compromised_keys(session)
    except KeyNotFound:
        return False


class _NewKey:
    """The new key of all collections, made when the first edit needs it. For several threads.

    `known`: its public half, None as long as it is not made. `made`: what signs with it, if this run has made it.
    """

    def __init__(self, known: Key | None, make: Callable[[], Signer]) -> None:
        self.known = known
        self.made: Signer | None = None
        self._make = make
        self._lock = threading.Lock()

    def get(self, keys: ExtensibleKeys) -> Key:
        """Return the public half; make the key at the first call. `keys`: are to hold it.

        Raises: KeysError, MemoryUnwritable, FileExposed.
        """
        with self._lock:
            if self.known is None:
                self.made = self._make()
                self.known = self.made.public_key
        if self.made is not None:
            keys.add(self.made)
        return self.known


class _Edit:
    """The edit of one collection.

    `sent`: whether an attempt has made a change; if nothing is left to change then, that one was stored. `left_to_do`:
    what somebody else has to do now.
    """

    def __init__(
        self, session: Session, rotation: SignerRotation, collection: Collection, keys: ExtensibleKeys, new: _NewKey
    ) -> None:
        self._rotation = rotation
        self._gun = collection.gun
        self._wire = collection.wire
        self._terms = EditTerms.of(collection.wire, at=session.at)
        self._keys = keys
        self._new = new
        self._role = signer_role(rotation.signer)
        self._incoming = ""
        self._outgoing: AbstractSet[str] = frozenset()
        self.sent = False
        self.left_to_do = ""

    def __call__(self, roles: OwnerRoles) -> Contents:
        """Return the contents with the new key. Raises: PublishRefused, KeyAmbiguous, NotVouchedFor, KeysError."""
        keyids = repository_editor.signers_of(roles).get(self._role)
        if keyids is None:
            raise repository_editor.no_such_signer(self._gun, roles, self._role)
        roles.check_vouched([self._role])
        delegations = roles[TARGETS].targets.delegations
        known = delegations.keys if delegations else {}
        own = {keyid: known[keyid] for keyid in keyids}
        outgoing = self._out(own)
        if not outgoing:
            return {}
        self._check_targets_can_be_signed(roles)
        if self._new.known is None:  # before a key is made
            roles.check_may_sign([TARGETS, *([RELEASES] if RELEASES in roles else []), self._role])
        new = self._wire.encode_key(self._new.get(self._keys))
        self._incoming = new.keyid
        self._outgoing = outgoing
        contents = replace_signer_key(
            roles, self._rotation.signer, add=new, remove=next(iter(sorted(outgoing))), terms=self._terms
        )
        if self._role in contents and not self._keys.held({new.keyid: new}):
            contents = self._beside(roles, new, own)
        self.sent = self.sent or bool(contents)
        return contents

    def is_so(self, keyids: Sequence[str]) -> bool:
        """Return whether these are the signer's keys that this edit wants."""
        gone = bool(self.left_to_do) or self._outgoing.isdisjoint(keyids)
        return not self._incoming or (self._incoming in keyids and gone)

    def _out(self, own: Mapping[str, Key]) -> AbstractSet[str]:
        """Return the ids of the key that goes; none if it is gone, and the new one is there.

        Raises: PublishRefused, KeyAmbiguous.
        """
        known = self._new.known
        new = matching_keyids(own, accepted_fingerprints([known])) if known is not None else frozenset[str]()
        others = {keyid: key for keyid, key in own.items() if keyid not in new}
        named = self._rotation.replaced
        if named is not None:
            outgoing = named.among(others)
            if not outgoing and not new:
                reason = f"{named.named} is no key of {self._rotation.signer} in {self._gun}"
                raise PublishRefused(role=self._role, reason=f"{reason} (keys: {_short(own)})")
            return outgoing
        if len(accepted_fingerprints(others.values())) > 1:
            what = f"of {self._rotation.signer} to replace in {self._gun} (say which: --replace)"
            raise KeyAmbiguous(key=what, candidates=tuple(others))
        return frozenset(others)

    def _check_targets_can_be_signed(self, roles: OwnerRoles) -> None:
        root = roles[ROOT].root
        role = root.roles[TARGETS]
        if len(self._keys.held(root.keys) & set(role.keyids)) < role.threshold:
            raise KeyNotFound(key=f"for {TARGETS} of {self._gun} ({role.threshold} of: {_short(role.keyids)})")

    def _beside(self, roles: OwnerRoles, new: Key, own: Mapping[str, Key]) -> Contents:
        """Return the contents with the new key beside the old one, or none if it is there already."""
        signer = self._rotation.signer
        self.left_to_do = f"{signer} signs with the new key: trust renew {self._gun} --all; then the same command again"
        if new.keyid in own:
            return {}
        changed = repository_editor.add_signer(roles, signer, [new], terms=self._terms)
        targets = changed[TARGETS]
        if isinstance(targets, Targets) and targets.delegations is not None and targets.delegations.roles:
            # First in the list, so that it is the one of both that signs next.
            role = targets.delegations.roles[self._role]
            role.keyids = [new.keyid, *(keyid for keyid in role.keyids if keyid != new.keyid)]
        return changed


def _short(keyids: Iterable[str]) -> str:
    return ", ".join(map(short_keyid, keyids))
