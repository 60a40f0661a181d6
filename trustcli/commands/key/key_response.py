"""Take a stolen key out of collections: one publish for each, which also revokes what nobody has chosen to keep.

1. read      as the owner does; what the key means there is computed anew
2. choose    what the key has signed stays only if a person, or a signer who vouches for it, has chosen it
3. edit      the key goes from every role that names it; new keys for root, targets, snapshot and timestamp
4. check     every client can follow, and no tag changes but those that go
5. publish   all files or none, and read as a client that nothing names the key any more
"""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final

from keys.algorithms import key_fingerprint
from keys.errors import KeyNotFound
from keys.keyid import short_keyid
from trustcli.client.collection import Collection
from trustcli.commands.key.rotation import check_followable, check_nothing_rolled_back, requested_online_key
from trustcli.commands.support.compromised import compromised_keys
from trustcli.commands.support.key_source import KeySource, SessionKeys, uncompromised_recovery
from trustcli.commands.support.owner_decisions import tell_what_was_unsound
from trustcli.commands.support.planning import Planning
from trustcli.commands.support.publication import check_visible
from trustcli.commands.support.recovery_place import RecoveryPlace
from trustcli.commands.support.tag_movement import NOTHING, tag_changed
from trustcli.publish.bulk.work import Begun, Done, Step
from trustcli.publish.plan import Current, Plan
from trustcli.session import Session
from trustdata.compromise import Claim, Compromise, examine
from trustdata.counting import counted
from trustdata.editing.key_removal import Corrections, KeyRemoval, Replacements
from trustdata.editing.owner_roles import OwnerRoles, file_reference
from trustdata.editing.repository_editor import Contents, EditTerms, public_keys
from trustdata.envelope import Envelope
from trustdata.errors import PublishRefused, TrustError, shown
from trustdata.gun import GUN
from trustdata.model import Key, Signer
from trustdata.roles import ONLINE, ROOT, SNAPSHOT, TARGETS, TIMESTAMP, RoleName, signer_name
from trustdata.sought_key import SoughtKey
from trustdata.verification.target_lookup import releasing_roles
from trustdata.wire import WireFormat

_NAMED: Final = 20
"""How many digests a proposal names: the thief chooses how many there are."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Response:
    """What is done about a stolen key.

    `kept`: tags with the digests (hex) under which they stay, by collection. `vouching`: signers whose word is enough.
    `accepted_keys`: files (`ROLE@sha256:HEX`) whose keys are the owner's. `recovery`: where the recovery key is, to
    sign roots with. `new_recovery`: where a recovery key is that takes the place of the stolen root key.
    """

    key: SoughtKey
    kept: Mapping[GUN, Mapping[str, str]] = field(default_factory=dict)
    vouching: frozenset[str] = frozenset()
    accepted_keys: frozenset[str] = frozenset()
    recovery: RecoveryPlace | None = None
    new_recovery: RecoveryPlace | None = None

    def keeps(self, gun: GUN, claim: Claim) -> bool:
        """Return whether what the key has signed stays."""
        return self.kept.get(gun, {}).get(claim.tag) == claim.digest or not self.vouching.isdisjoint(claim.others)

    def revoked(self, gun: GUN, found: Compromise) -> dict[str, str]:
        """Return the released tags that go, with their digests."""
        return {c.tag: c.digest for c in found.claims if c.released and not self.keeps(gun, c)}


class KeyResponse:
    """One `trust key compromised --remove`: a `BulkWork`. For several threads.

    `seen`: what each collection released when it was shown. Nothing else is signed again. `shows`: whether plans are
    all that is wanted; else what is proposed besides is told when a collection is done.
    """

    def __init__(
        self, session: Session, response: Response, seen: Mapping[GUN, Mapping[str, str]], *, shows: bool = False
    ) -> None:
        self._session = session
        self._shows = shows
        self._response = response
        self._seen = seen
        self._lock = threading.RLock()
        self._planned: dict[str, Signer] = {}
        self._made: dict[str, Signer] = {}

    def plan(self, planning: Planning, gun: GUN) -> Sequence[Plan]:
        """Return what `carry_out` would publish. Raises: KeysError, SettingsUnusable, NoTrustServer and others."""
        keys = _NewKeys(self._session, planning.keys, self._response, self._planned, self._lock, step=None)
        collection = planning.collection(gun)
        removal = _Removal(self._response, collection, keys, self._seen.get(gun))
        plan = planning.plan(collection, removal.edit, removal.held, read=removal.current, check=removal.check).plan
        if plan.refusal is not None:
            return [plan]
        if self._shows and removal.denying:
            self._session.output.notice(f"{gun}: {removal.denying}")
        return [replace(plan, proposed_denials=removal.deniable)]

    def carry_out(self, session: Session, gun: GUN, step: Step) -> Done:
        """Do it in one collection.

        Raises: KeysError, PublishRefused, TagChanged, PlanChanged, NotTrusted, RemoteUnreachable, RemoteRefused,
        RemoteMisbehaved.
        """
        # Looked at without keeping it: else a second try would take for verified what the thief has put there.
        look = session.collection(gun, keep=False)
        known = look.verified_files()
        check_proven(examine(look.owner_roles(), self._response.key, known=known, at=session.at), self._response)
        keys = _NewKeys(session, SessionKeys(session), self._response, self._made, self._lock, step=step)
        # Nothing is kept until it is published, for the same reason.
        collection = session.collection(gun, keep=False)
        removal = _Removal(self._response, collection, keys, self._seen.get(gun))
        publisher = session.publisher(collection, removal.held, removal.read)
        outcome = publisher.publish(removal.edit, step.checked(removal.check))
        tell_what_was_unsound(session, gun, outcome)
        if outcome.published is None and not removal.revoked and not removal.roles:
            return Done(changed=False, note=f"{gun}: nothing names the key: nothing to do", row=_row(gun, removal))
        after = session.collection(gun)
        after.verify_published(outcome.uploads)
        left = examine(after.owner_roles(), self._response.key, known={}, at=session.at).powers
        gone = all(power.delegator not in (ROOT, TARGETS) for power in left)
        check_visible(gone, server=collection.server.name, what=f"the removal of the key from {gun}")
        revoked, kept = counted(len(removal.revoked), "tag"), counted(len(removal.kept), "tag")
        roles = ", ".join(map(shown, removal.roles))
        line = f"{gun}: the key is removed from {roles}; {revoked} revoked, {kept} of it kept"
        return Done(lines=(line,), row=_row(gun, removal), next=removal.what_is_left(gun, left))


def _row(gun: GUN, removal: _Removal) -> dict[str, object]:
    return {
        "gun": gun,
        "removed": list(map(shown, removal.roles)),
        "signers": [shown(signer_name(role)) for role in removal.signers],
        "revoked": sorted(map(shown, removal.revoked)),
        "kept": sorted(map(shown, removal.kept)),
    }


class _NewKeys:
    """The keys that take the place of the stolen one: a root key for all collections, a repository key for each.

    What an interrupted run has made is taken again, unless it was stolen since.
    """

    def __init__(
        self,
        session: Session,
        source: KeySource,
        response: Response,
        made: dict[str, Signer],
        lock: threading.RLock,
        *,
        step: Step | None,
    ) -> None:
        self._session = session
        self.source = source
        self._response = response
        self._made = made
        self._lock = lock
        self._step = step
        with lock:
            if response.recovery is not None and "recovery" not in made:
                made["recovery"] = self._recovery(response.recovery)
        self.held = source.held_keys([made["recovery"]] if "recovery" in made else [])

    def _recovery(self, place: RecoveryPlace) -> Signer:
        """Return the recovery key that signs the new roots: a compromised one only to take itself out.

        Raises: KeysError, KeyCompromised.
        """
        signer = self.source.recovery(place)
        if self._response.key.among({signer.public_key.keyid: signer.public_key}):
            return signer
        return uncompromised_recovery(self._session, self.source, place)

    def root(self, gun: GUN, wire: WireFormat) -> Key:
        """Return the new root key, as a root of the collection names it. Raises: KeysError."""
        with self._lock:
            if ROOT not in self._made:
                self._made[ROOT] = self._new_root(wire)
            signer = self._made[ROOT]
        self.held.add(signer)
        return self.source.root_key(signer, gun, wire)

    def _new_root(self, wire: WireFormat) -> Signer:
        file = self._response.new_recovery
        if file is not None:
            if isinstance(file, Path) and not file.exists():
                return self.source.new_recovery(file)
            return uncompromised_recovery(self._session, self.source, file)
        before = self._stored(self._step.shared(ROOT) if self._step else "")
        if before is not None:
            return before
        signer = self.source.new(purpose="root", wire=wire)
        if self._step:
            self._step.share(ROOT, key_fingerprint(signer.public_key))
        return signer

    def targets(self, gun: GUN, wire: WireFormat) -> Key:
        """Return the new repository key of the collection. Raises: KeysError."""
        slot = f"{TARGETS} {gun}"
        with self._lock:
            if slot not in self._made:
                begun = self._step.begun if self._step else None
                before = self._stored(begun.made.get(TARGETS, "") if begun else "")
                self._made[slot] = before or self.source.new(purpose="targets", gun=gun, wire=wire)
            signer = self._made[slot]
            if self._step:
                self._step.begin(Begun(made={TARGETS: key_fingerprint(signer.public_key)}))
        self.held.add(signer)
        return wire.encode_key(signer.public_key)

    def _stored(self, fingerprint: str) -> Signer | None:
        if not fingerprint or fingerprint in compromised_keys(self._session):
            return None
        known = (info for info in self._session.keystore.list() if key_fingerprint(info.public) == fingerprint)
        found = next((info for info in known if not info.retired), None)
        return None if found is None else self.source.stored(found.keyid)


class _Removal:
    """The removal in one collection: its edit, and what it has found at the last call."""

    def __init__(
        self, response: Response, collection: Collection, keys: _NewKeys, seen: Mapping[str, str] | None
    ) -> None:
        self._response = response
        self._collection = collection
        self._gun = collection.gun
        self._keys = keys
        self._seen = seen
        self._known: Mapping[RoleName, Envelope] = collection.verified_files()
        self._chain: tuple[Envelope, ...] = ()
        self._online: dict[RoleName, Key] = {}
        self.held = keys.held
        self.roles: tuple[RoleName, ...] = ()
        """The roles from which the key goes."""
        self.signers: tuple[RoleName, ...] = ()
        """The signers that are removed."""
        self.revoked: dict[str, str] = {}
        self.kept: dict[str, str] = {}
        self.without_platforms: tuple[str, ...] = ()
        """The tags that stay, and whose platforms nobody has proven."""
        self.deniable: tuple[str, ...] = ()
        """Digests that go and for which only the key vouches: the signed tags go, the images stay."""

    def read(self) -> OwnerRoles:
        roles = self._collection.owner_roles()
        self._chain = self._collection.last_updater.roots() if self._collection.last_updater else ()
        return roles

    def current(self) -> Current:
        roles = self.read()
        return Current(roles=roles, chain=self._chain)

    def edit(self, roles: OwnerRoles) -> Contents:
        """Return the contents without the key, and without the tags that nobody has chosen.

        Raises: PublishRefused, TagChanged, NotVouchedFor, KeyNotFound.
        """
        found = examine(roles, self._response.key, known=self._known, at=self._collection.at)
        named = {power.role for power in found.powers if power.delegator in (ROOT, TARGETS)}
        if not named:
            return {}
        check_proven(found, self._response)
        self.roles = tuple(power.role for power in found.powers if power.role in named)
        self.revoked = self._response.revoked(self._gun, found)
        self.kept = {c.tag: c.digest for c in found.claims if c.released and c.tag not in self.revoked}
        self._check_seen(roles)
        self.deniable = self._alone_vouched_for(roles, found)
        in_root = named & {ROOT, TARGETS, *ONLINE}
        roles.check_may_sign([*([ROOT] if in_root else []), *([TARGETS] if named - {ROOT, *ONLINE} else [])])
        if in_root:
            self._check_root_can_be_signed(roles)
        terms = EditTerms.of(self._collection.wire, at=self._collection.at)
        removal = KeyRemoval(roles, self._response.key.among(public_keys(roles, {})), terms)
        corrections = self._corrections(roles, found)
        changed = removal.contents(self._replacements(roles, in_root), self.revoked, corrections)
        self.signers = tuple(removal.removed_signers)
        return changed

    def check(self, before: OwnerRoles, after: OwnerRoles) -> None:
        """Check that clients can follow, and that no tag changes but those that go. Raises: NotTrusted and others."""
        if self._online:
            check_nothing_rolled_back(before)
        if before[ROOT].version != after[ROOT].version:
            check_followable(self._collection, self._chain, after[ROOT])
        wanted = {tag: digest for tag, digest in released(before).items() if tag not in self.revoked}
        for tag, digest in released(after).items():
            if wanted.pop(tag, None) != digest:
                raise PublishRefused(role=TARGETS, reason=f"{tag} would be released as sha256:{digest}")
        if wanted:
            raise PublishRefused(role=TARGETS, reason=f"{min(wanted)} would not be released any more")

    def what_is_left(self, gun: GUN, left: Sequence[object]) -> str:
        """Return what somebody has to do now; "" if nothing."""
        steps = [
            f"trust signer add --key NEW.pub {shown(signer_name(role))}-2 {gun} brings the signer back"
            for role in self.signers
        ]
        steps += [
            f"trust sign {self._gun}:{shown(tag)}@sha256:{self.kept[tag]} lists its platforms again"
            for tag in self.without_platforms[:_NAMED]
            if tag in self.kept
        ]
        if self.denying:
            steps.append(self.denying)
        if left:
            steps.append("a signer delegates to a role that names the key: only that signer can take it out")
        return "; ".join(steps)

    def _corrections(self, roles: OwnerRoles, found: Compromise) -> Corrections:
        """Return what else must not be signed again as it stands (docs/adr/0119)."""
        altered = [each for each in found.altered if each.tag not in self.revoked]
        self.without_platforms = tuple(each.tag for each in altered if not each.proven)
        releasing = releasing_roles(roles[TARGETS].targets)
        unchosen = (c for c in found.claims if not c.released and not self._response.keeps(self._gun, c))
        beneath = {(role, claim.tag) for claim in unchosen for role in claim.signed_in if role in releasing}
        return Corrections(beneath=beneath, altered=altered, denied=found.undenied)

    def _alone_vouched_for(self, roles: OwnerRoles, found: Compromise) -> tuple[str, ...]:
        stays = {digest for tag, digest in released(roles).items() if tag not in self.revoked}
        vouched = {claim.digest for claim in found.claims if not claim.alone}
        alone = {claim.digest for claim in found.claims if claim.alone and self.revoked.get(claim.tag) == claim.digest}
        return tuple(sorted(alone - stays - vouched))

    @property
    def denying(self) -> str:
        """What somebody may do about these digests; "" if there are none."""
        digests = self.deniable
        if not digests:
            return ""
        what = f"only this key vouches for {counted(len(digests), 'revoked digest')}"
        if not self._collection.wire.keeps_members:
            return f"{what}: this format cannot deny them, a policy or the list of a TUF 1.0 collection can"
        images = " ".join(f"{self._gun}@sha256:{digest}" for digest in digests[:_NAMED])
        rest = f" (and {len(digests) - _NAMED} more)" if len(digests) > _NAMED else ""
        return f"{what}; if they are not yours: trust deny {images}{rest}"

    def _replacements(self, roles: OwnerRoles, in_root: AbstractSet[RoleName]) -> Replacements:
        wire = self._collection.wire
        if not self._online and in_root & set(ONLINE):
            self._online = {role: self._new_online(role) for role in self._online_roles(roles, in_root)}
        return Replacements(
            root=self._keys.root(self._gun, wire) if ROOT in in_root else None,
            targets=self._keys.targets(self._gun, wire) if TARGETS in in_root else None,
            online=self._online,
        )

    def _online_roles(self, roles: OwnerRoles, in_root: AbstractSet[RoleName]) -> list[RoleName]:
        """Return which online roles get new keys: both, so that clients forget what the thief made them remember.

        A snapshot key that is the owner's, as in Notary v1, stays unless it is the stolen one.
        """
        root = roles[ROOT].root
        own = self.held.held(root.keys) & set(root.roles[SNAPSHOT].keyids)
        return [TIMESTAMP] if own and SNAPSHOT not in in_root else [SNAPSHOT, TIMESTAMP]

    def _new_online(self, role: RoleName) -> Key:
        return requested_online_key(self._collection, self._keys.source, self._chain, role)

    def _check_seen(self, roles: OwnerRoles) -> None:
        """Check that what would be signed again is what was shown. Raises: TagChanged."""
        if self._seen is None:
            self._seen = released(roles)
        for tag, digest in released(roles).items():
            if tag not in self.revoked and self._seen.get(tag) != digest:
                before = self._seen.get(tag)
                now = roles.find_released(tag)
                raise tag_changed(self._gun, tag, now, roles, ours=f"sha256:{before}" if before else NOTHING)

    def _check_root_can_be_signed(self, roles: OwnerRoles) -> None:
        """Refuse before any key is made. Raises: KeyNotFound."""
        root = roles[ROOT].root
        role = root.roles[ROOT]
        if len(self.held.held(root.keys) & set(role.keyids)) < role.threshold:
            keyids = ", ".join(short_keyid(keyid) for keyid in role.keyids)
            raise KeyNotFound(key=f"for root of {self._gun} ({role.threshold} of: {keyids})")


def check_proven(found: Compromise, response: Response) -> None:
    """Refuse to sign on top of keys that the thief may have named. Raises: PublishRefused."""
    for file in found.unproven:
        if file_reference(file) not in response.accepted_keys:
            unknown = "the keys that it names, or what they may list, were not verified here"
            what = f"the stolen key has signed version {file.version}, and {unknown}"
            way = f"if they are yours, all of them: --accept-keys {file_reference(file)}"
            raise PublishRefused(role=file.role, reason=f"{what}; {way}")


def released(roles: OwnerRoles) -> dict[str, str]:
    """Return the released tags with their digests (hex), as clients find them."""
    try:
        return {target.tag: target.digest for target in roles.each_released()}
    except TrustError:
        return {}  # the roles contradict each other: clients find no tag
