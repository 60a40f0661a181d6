"""`trust key rotate`: give root, targets, snapshot or timestamp a new key, in one publish for each collection.

1. read      the collection as its owner does (offline roles may have expired)
2. edit      the next root, and all roles that must be signed again with it
3. check     every client can follow: from the root before, and from version 1 through all roots between
4. publish   all files or none
5. verify    as a client that has seen the previous root, and as one that starts with version 1
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, replace
from datetime import datetime

from keys.algorithms import accepted_fingerprints, key_fingerprint, matching_keyids
from keys.errors import KeyAmbiguous, KeyNotFound
from keys.key_info import Purpose
from keys.keyid import short_keyid
from trustcli.client.collection import Collection
from trustcli.client.memory_cache import MemoryCache
from trustcli.commands.support.compromised import compromised_keys, refuse_compromised
from trustcli.commands.support.key_source import KeySource, SessionKeys, uncompromised_recovery
from trustcli.commands.support.keys_in_use import keys_in_use
from trustcli.commands.support.named_key import NamedKey
from trustcli.commands.support.owner_decisions import tell_what_was_unsound
from trustcli.commands.support.planning import Planning
from trustcli.commands.support.publication import check_visible
from trustcli.commands.support.recovery_place import RecoveryPlace
from trustcli.commands.support.sight import keep_what_is_there
from trustcli.errors import RemoteMisbehaved, UsageError
from trustcli.publish.bulk.work import Done, Step
from trustcli.publish.effects import check_same_releases
from trustcli.publish.plan import Current, Plan
from trustcli.publish.preparation import Roles
from trustcli.publish.publisher import PublishResult
from trustcli.session import Session
from trustcli.state.rotations import BegunRotation, RotationsFile, UnfinishedRotation
from trustdata.editing import repository_editor
from trustdata.editing.owner_roles import NOTHING_DECIDED, OwnerDecisions, OwnerRoles
from trustdata.editing.repository_editor import Contents, EditTerms
from trustdata.envelope import Envelope
from trustdata.errors import (
    PublishRefused,
    TrustError,
    VersionMismatch,
    VersionRollback,
)
from trustdata.gun import GUN
from trustdata.model import Key, Root, Signer
from trustdata.roles import ONLINE, RELEASES, ROOT, SNAPSHOT, TARGETS, RoleName
from trustdata.suggestion import one_of
from trustdata.verification.delegations import role_keys
from trustdata.verification.trusted_set import TrustedSet
from trustdata.wire import WireFormat

ROTATABLE = ("root", "targets", "snapshot", "timestamp")


@dataclass(frozen=True, slots=True, kw_only=True)
class Rotation:
    """What to rotate.

    `key`: the new key, by its id or name in the store; empty: make one. `replace`: the root key to take out; None: the
    only one that is here. `replaced`: the root key to take out where it is one. `recovery`: the recovery
    key's file, to sign the root with. `decisions`: of the owner, about roles that nobody vouches for.
    """

    role: RoleName
    key: str = ""
    replace: NamedKey | None = None
    replaced: NamedKey | None = None
    recovery: RecoveryPlace | None = None
    decisions: OwnerDecisions = NOTHING_DECIDED


class RotationRun:
    """One `trust key rotate`: a `BulkWork` that goes on with what the same command has begun, in several threads.

    Raises: UsageError, SettingsUnusable, FileExposed.
    """

    def __init__(self, session: Session, rotation: Rotation, guns: Sequence[GUN]) -> None:
        _check(rotation)
        self._session = session
        self._rotation = rotation
        self._file = RotationsFile(session.settings.home / "rotations.json")
        names = [session.real_name(gun) for gun in guns]
        self._unfinished = self._file.resumed(rotation.role, rotation.key, names, at=session.at)
        self._lock = threading.RLock()
        self._recovery: Signer | None = None
        self._new = _NewKeys(session, rotation, self._unfinished)
        self._planned: _NewKeys | None = None
        self._rotated: list[GUN] = []

    def plan(self, planning: Planning, gun: GUN) -> Sequence[Plan]:
        """Return what `carry_out` would publish. Raises: KeysError, SettingsUnusable, NoTrustServer and others."""
        file = self._rotation.recovery
        recovery = uncompromised_recovery(self._session, planning.keys, file) if file else None
        if self._planned is None:
            self._planned = _NewKeys(self._session, self._rotation, self._unfinished)
        collection = planning.collection(gun)
        begun = self._unfinished.collections.get(collection.gun)
        rotation = replace(self._rotation, decisions=self._rotation.decisions.in_plan(shown=planning.shown))
        rotator = _Rotator(self._session, rotation, collection, planning.keys, recovery, self._planned, begun=begun)
        return [rotator.plan(planning)]

    def carry_out(self, session: Session, gun: GUN, step: Step) -> Done:
        """Rotate in one collection, verify the result, and mark the keys that nothing uses any more.

        Raises: UsageError, KeysError, PublishRefused, NotTrusted, RemoteUnreachable, RemoteRefused, RemoteMisbehaved,
        PlanChanged.
        """
        source = SessionKeys(session)
        with self._lock:
            file = self._rotation.recovery
            if file and self._recovery is None:
                self._recovery = uncompromised_recovery(self._session, source, file)
        collection = session.collection(gun, keep=False)  # what nobody has agreed to is not known afterwards
        rotator = _Rotator(
            session,
            self._rotation,
            collection,
            source,
            self._recovery,
            self._new,
            begun=self._unfinished.collections.get(collection.gun),
            begin=self._begin,
            unmarked=self._file.replaced(self._rotation.role, collection.gun),
            step=step,
        )
        result = rotator.run()
        with self._lock:
            self._rotated.append(collection.gun)
            self._mark(result.replaced)
        role, keys = self._rotation.role, ", ".join(result.keyids)
        row = {"gun": gun, "role": role, "keys": list(result.keyids)}
        if not result.changed:
            since = f"since {self._unfinished.begun:%H:%M:%S} UTC on {self._unfinished.begun:%Y-%m-%d}, when this began"
            return Done(changed=False, note=f"{gun}: {role} has key {keys} {since}: nothing to do", row=row)
        return Done(lines=(f"{gun}: {role} has key {keys}",), row=row)

    def finish(self) -> None:
        """Forget what was begun: every name is done. What was done stays done if that fails."""
        try:
            if self._unfinished.collections:
                self._file.finish(self._unfinished, self._rotated)
        except TrustError as failure:
            self._session.output.warn(f"{failure}; for a day, the same command will find nothing to do")

    def _begin(self, gun: GUN, begun: BegunRotation) -> None:
        with self._lock:
            self._unfinished = self._file.begin(self._unfinished, gun, begun)

    def _mark(self, replaced: AbstractSet[str]) -> None:
        """Mark replaced keys as retired, unless another pinned collection uses them."""
        unused = replaced - keys_in_use(self._session, besides=self._rotated)
        for info in self._session.keystore.list() if unused else ():
            if key_fingerprint(info.public) in unused and not info.retired:
                self._session.keystore.retire(info.keyid)


def check_role(role: str) -> None:
    """Refuse a role that has no key of its own to rotate. Raises: UsageError."""
    if role not in ROTATABLE:
        raise UsageError(f"{role} cannot be rotated{one_of(role, ROTATABLE)}")


def _check(rotation: Rotation) -> None:
    check_role(rotation.role)
    if rotation.role in ONLINE and rotation.key:
        raise UsageError(f"the server makes the key of {rotation.role}; leave --key out")
    if rotation.role != ROOT and rotation.replace is not None:
        raise UsageError(f"--replace chooses among root keys; those of {rotation.role} are all replaced")


class _NewKeys:
    """The new keys: the given one; else one new root key for all collections, or one new repository key for each.

    A key is made only when an edit needs it: a rotation that cannot succeed leaves no key behind. For several threads.
    """

    def __init__(self, session: Session, rotation: Rotation, unfinished: UnfinishedRotation) -> None:
        """Take `unfinished`, for the keys that the same command has made already and not put in place everywhere."""
        self._session = session
        self._role = rotation.role
        self._made = unfinished.collections
        self._reference = rotation.key
        self._lock = threading.Lock()
        self._shared: Signer | None = None
        self._own: dict[GUN, Signer] = {}

    def signer(self, gun: GUN, wire: WireFormat, source: KeySource, root: Root, since: datetime | None) -> Signer:
        """Return the new key for the collection; make it with `source` at the first call. Raises: KeysError.

        `root`: the present one. `since`: when the run began that this goes on with; None if there is none.
        """
        with self._lock:
            if self._reference or self._role == ROOT:
                if self._shared is None:
                    self._shared = (
                        self._given(self._made, source)
                        or self._left("root", "", source, root, since)
                        or source.new(purpose="root", wire=wire)
                    )
                return self._shared
            if gun not in self._own:
                made = {gun: self._made[gun]} if gun in self._made else {}
                self._own[gun] = (
                    self._given(made, source)
                    or self._left("targets", gun, source, root, since)
                    or source.new(purpose="targets", gun=gun, wire=wire)
                )
            return self._own[gun]

    def _given(self, made: Mapping[GUN, BegunRotation], source: KeySource) -> Signer | None:
        """Return a signer with the key that the user has named, or that was made before; None if there is none.

        Raises: KeysError, KeyCompromised.
        """
        if self._reference:
            given = source.stored(self._reference)
            refuse_compromised(self._session, given.public_key)
            return given
        wanted = {begun.new for begun in made.values()} - compromised_keys(self._session)
        known = (info for info in self._session.keystore.list() if key_fingerprint(info.public) in wanted)
        found = next((info for info in known if not info.retired), None)
        return None if found is None else source.stored(found.keyid)

    def _left(self, purpose: Purpose, gun: str, source: KeySource, root: Root, since: datetime | None) -> Signer | None:
        """Return the key that the same run had stored when it was killed, before it could write down which it is.

        Nobody has named it, it is of that run, and no root has it yet.
        """
        if since is None:
            return None
        unusable = accepted_fingerprints(root.keys.values()) | compromised_keys(self._session)
        for info in self._session.keystore.list():
            made = (info.purpose, info.gun, info.name, info.retired, info.uri) == (purpose, gun, "", False, "")
            fresh = info.created is not None and info.created >= since
            if made and fresh and key_fingerprint(info.public) not in unusable:
                return source.stored(info.keyid)
        return None


@dataclass(frozen=True, slots=True, kw_only=True)
class _Rotated:
    """The ids of the role's keys afterwards, and the fingerprints of keys that the root names no more.

    `changed`: False if the same command had rotated before.
    """

    keyids: tuple[str, ...]
    replaced: AbstractSet[str]
    changed: bool


class _Rotator:
    """One rotation in one collection."""

    def __init__(
        self,
        session: Session,
        rotation: Rotation,
        collection: Collection,
        source: KeySource,
        recovery: Signer | None,
        new: _NewKeys,
        *,
        begun: BegunRotation | None,
        begin: Callable[[GUN, BegunRotation], None] = lambda *_: None,
        unmarked: AbstractSet[str] = frozenset(),
        step: Step | None = None,
    ) -> None:
        """Take `begun`, what the same command was about to send, and `begin`, which writes down what is now.

        `step`: of the bulk run; None for a plan.
        `unmarked`: the fingerprints of keys that interrupted rotations may have replaced without marking them.
        """
        self._unmarked = unmarked
        self._step = step
        self._begun = begun
        self._begin = begin
        self._session = session
        self._rotation = rotation
        self._gun = collection.gun
        self._collection = collection
        self._source = source
        self._recovery = recovery
        self._new = new
        self._keys = source.held_keys([recovery] if recovery else [])
        self._before: frozenset[str] = frozenset()
        self._keys_before: dict[str, Key] = {}
        self._outgoing_root = ""
        self._incoming: Key | None = None
        self._chain: tuple[Envelope, ...] = ()

    def run(self) -> _Rotated:
        """Run steps 1 to 5."""
        publisher = self._session.publisher(self._collection, self._keys, self._read)
        outcome = publisher.publish(self._edit, self._step.checked(self._check) if self._step else self._check)
        tell_what_was_unsound(self._session, self._gun, outcome)
        changed = bool(self._before) or not self._is_done(outcome.roles)
        if not changed:
            keep_what_is_there(self._session, self._gun)
        root = self._verify(outcome).root if changed else outcome.roles[ROOT].root
        named = accepted_fingerprints(key for role in root.roles for key in role_keys(root, role).values())
        before = accepted_fingerprints(self._keys_before[keyid] for keyid in self._before)
        replaced = (before | self._unmarked) - named
        return _Rotated(keyids=tuple(root.roles[self._rotation.role].keyids), replaced=replaced, changed=changed)

    def plan(self, planning: Planning) -> Plan:
        """Run steps 1 to 3 and return the plan."""

        def read() -> Current:
            roles = self._read()
            return Current(roles=roles, chain=self._chain)

        def edit(roles: OwnerRoles) -> Contents:
            return {} if self._is_done(roles) else self._change(roles)

        return planning.plan(self._collection, edit, self._keys, read=read, check=self._check).plan

    def _is_done(self, roles: Roles) -> bool:
        """Return whether the root says that the same command has rotated here before."""
        if self._begun is None:
            return False
        now = accepted_fingerprints(role_keys(roles[ROOT].root, self._rotation.role).values())
        return self._begun.new in now and now.isdisjoint(self._begun.before)

    def _read(self) -> OwnerRoles:
        roles = self._collection.owner_roles(self._rotation.decisions)
        self._chain = self._collection.last_updater.roots() if self._collection.last_updater else ()
        return roles

    def _check(self, before: OwnerRoles, after: OwnerRoles) -> None:
        if self._rotation.role == SNAPSHOT:
            check_nothing_rolled_back(before)
        check_followable(self._collection, self._chain, after[ROOT])
        check_same_releases(before, after)

    def _edit(self, roles: OwnerRoles) -> Contents:
        if self._is_done(roles):
            return {}
        role = self._rotation.role
        now = frozenset(roles[ROOT].root.roles[role].keyids)
        if self._before and now != self._before:
            if self._incoming is not None and self._incoming.keyid in now:
                return {}  # an earlier attempt was stored, and only its reply was lost
            raise PublishRefused(role=role, reason="its keys were changed meanwhile by somebody else")
        self._before = now
        self._keys_before = roles[ROOT].root.keys
        # Before a key is made. A releases role that does not verify is not signed again; one that has expired must be,
        # since the rotation would leave it without a valid signature.
        self._check_root_can_be_signed(roles)
        roles.check_may_sign([ROOT, *(r for r in (TARGETS, RELEASES) if role == TARGETS and r in roles)])
        changed = self._change(roles)
        if self._incoming is not None:
            root = roles[ROOT].root
            before = accepted_fingerprints(root.keys[keyid] for keyid in self._outgoing_keyids())
            new = key_fingerprint(self._incoming)
            self._begin(self._gun, BegunRotation(new=new, before=tuple(sorted(before - {new}))))
        return changed

    def _outgoing_keyids(self) -> AbstractSet[str]:
        return {self._outgoing_root} if self._rotation.role == ROOT else self._before

    def _change(self, roles: Roles) -> Contents:
        """Return the new contents; the new key is made, or requested from the server, at the first call."""
        role = self._rotation.role
        terms = EditTerms.of(self._collection.wire, at=self._session.at)
        if role in ONLINE:
            if self._incoming is None:
                self._incoming = requested_online_key(self._collection, self._source, self._chain, role)
            return repository_editor.replace_online_keys(roles, {role: self._incoming}, terms=terms)
        wire = self._collection.wire
        if role == ROOT:
            self._outgoing_root = self._outgoing(roles)
        since = self._step.since if self._step else None
        new = self._new.signer(self._gun, wire, self._source, roles[ROOT].root, since)
        self._check_new(roles, new)
        self._keys.add(new)
        if role == TARGETS:
            self._incoming = wire.encode_key(new.public_key)
            return repository_editor.replace_targets_key(roles, self._incoming, terms=terms)
        if self._incoming is None:
            self._incoming = self._source.root_key(new, self._gun, wire)
        return repository_editor.replace_root_keys(
            roles, remove=[self._outgoing_root], add=[self._incoming], terms=terms
        )

    def _check_new(self, roles: Roles, new: Signer) -> None:
        """Refuse a key that the role has already, whatever its encoding or certificate: nothing would be replaced.

        Raises: PublishRefused.
        """
        role = self._rotation.role
        root = roles[ROOT].root
        present = accepted_fingerprints(role_keys(root, role).values())
        if key_fingerprint(new.public_key) in present:
            keyid = self._collection.wire.encode_key(new.public_key).keyid
            reason = f"{short_keyid(keyid)} is one of its keys already, so it would replace none"
            raise PublishRefused(role=role, reason=reason)

    def _check_root_can_be_signed(self, roles: Roles) -> None:
        """Refuse a rotation whose new root could not be signed here, before any key is made. Raises: KeyNotFound."""
        role = roles[ROOT].root.roles[ROOT]
        if len(self._keys.held(roles[ROOT].root.keys) & set(role.keyids)) < role.threshold:
            keyids = ", ".join(short_keyid(keyid) for keyid in role.keyids)
            raise KeyNotFound(key=f"for root of {self._gun} ({role.threshold} of: {keyids})")

    def _outgoing(self, roles: Roles) -> str:
        """Return the id of the root key to take out.

        It is the one that `--replace` names, or `--all-with`; with a recovery key, the only other root key; else the
        only root key in this store. Raises: KeyNotFound, KeyAmbiguous, PublishRefused (`--replace` names none).
        """
        root = roles[ROOT].root
        recovery = accepted_fingerprints([self._recovery.public_key] if self._recovery else [])
        kept = matching_keyids(root.keys, recovery)
        keyids = [keyid for keyid in root.roles[ROOT].keyids if keyid not in kept]
        named = self._rotation.replace
        if named is not None:
            candidates = [keyid for keyid in keyids if keyid in named.among(root.keys)]
            if not candidates:
                those = ", ".join(map(short_keyid, keyids))
                reason = f"{named.named} is no root key of {self._gun} that can go (those are: {those})"
                raise PublishRefused(role=ROOT, reason=reason)
        elif self._rotation.replaced is not None and self._rotation.replaced.among(root.keys) & set(keyids):
            candidates = [keyid for keyid in keyids if keyid in self._rotation.replaced.among(root.keys)]
        elif self._recovery is not None:
            candidates = keyids  # the key to replace is lost, so it need not be here
        else:
            held = matching_keyids(root.keys, (key_fingerprint(info.public) for info in self._session.keystore.list()))
            candidates = [keyid for keyid in keyids if keyid in held]
        if not candidates:
            raise KeyNotFound(key=f"that is a root key of {self._gun}")
        if len(accepted_fingerprints(root.keys[keyid] for keyid in candidates)) > 1:
            raise KeyAmbiguous(key="the root key to replace (say which: --replace)", candidates=tuple(candidates))
        return candidates[0]

    def _verify(self, outcome: PublishResult) -> Envelope:
        """Run step 5 and return the root."""
        updater = self._session.collection(self._gun).verify_published(outcome.uploads)
        _check_newcomer(self._collection, updater.roots())
        role = self._rotation.role
        reached = updater.roles()[ROOT]
        after = tuple(reached.root.roles[role].keyids)
        new = self._incoming.keyid if self._incoming else ""
        replaced_keys = self._outgoing_keyids() - {new}
        what = f"the new key {short_keyid(new)} for {role} of {self._gun}"
        check_visible(new in after and replaced_keys.isdisjoint(after), server=self._collection.server.name, what=what)
        return reached


def requested_online_key(collection: Collection, source: KeySource, chain: Sequence[Envelope], role: RoleName) -> Key:
    """Request a new key from the server. Raises: RemoteMisbehaved if a root has, or ever had, this key already."""
    gun, server = collection.gun, collection.server
    key = collection.wire.encode_key(source.new_online_key(server, gun, role))
    for root in reversed(chain):
        if key_fingerprint(key) in accepted_fingerprints(root.root.keys.values()):
            named = f"the root of {gun} names already" if root is chain[-1] else f"root {root.version} of {gun} named"
            reason = f"its new key for {role} is {short_keyid(key.keyid)}, which {named}"
            raise RemoteMisbehaved(remote=server.name, reason=reason)
    return key


def check_nothing_rolled_back(roles: OwnerRoles) -> None:
    """Check that the server shows no delegation older than it is known here: another snapshot key makes all forget.

    Raises: VersionRollback.
    """
    for fault in roles.faults.values():
        if isinstance(fault, VersionRollback):
            raise fault


def check_followable(collection: Collection, chain: Sequence[Envelope], new: Envelope) -> None:
    """Check step 3: a client at any root of the chain can update to the new one. Raises: NotTrusted.

    Each step from N to N+1 is verified alone, so going from the first root to the new one covers all roots between.
    """
    for start in (chain, chain[-1:]):
        client = TrustedSet(gun=collection.gun, root=start[0].raw, wire=collection.wire, at=collection.at)
        for root in (*start[1:], new):
            client.update_root(root.raw)


def _check_newcomer(collection: Collection, chain: Sequence[Envelope]) -> None:
    """Check step 5 for a client that knows nothing but version 1.

    Raises: NotTrusted, MalformedMetadata, TooLarge, RemoteUnreachable, RemoteRefused, RemoteMisbehaved.
    """
    cache = MemoryCache()
    cache.store_root(chain[0].version, chain[0].raw)
    reached = collection.refresh_from_first_root(cache).roots()[-1]
    if reached.sha256 != chain[-1].sha256:
        raise VersionMismatch(role=ROOT, offered=reached.version, expected=chain[-1].version)
