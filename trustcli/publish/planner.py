"""Plan a publish: what it would change, which signatures it needs, and what clients would see.

    1. read      the collection, verified as for the real publish
    2. edit      with the very edit that the command would publish
    3. prepare   signed with promises (`trustdata.editing.promises`) and judged by the rules of the real upload
    4. issue     the snapshot and timestamp that the server would sign
    5. rehearse  the real client's updater reads the planned files, from three starting points

Nothing is sent: the planner has no way to publish. `Plan.refusal` is the error with which the command would end.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import replace
from datetime import datetime
from typing import Literal, TypeAlias

from keys.errors import KeyNotFound, KeysError
from trustcli.publish.compromised_keys import NONE_KNOWN, Compromised
from trustcli.publish.plan import (
    Current,
    Failure,
    KeyPlace,
    Plan,
    Planned,
    ReleasedChange,
    SignatureNeed,
    SignedAgain,
)
from trustcli.publish.preparation import HeldKeys, Roles, prepare
from trustcli.publish.publisher import Check, Edit
from trustcli.publish.rehearsal import refused_authorities, refused_pins, rehearse
from trustdata.editing.derived_roles import next_snapshot, next_timestamp
from trustdata.editing.difference import Difference, RoleChange, difference
from trustdata.editing.owner_roles import OwnerRoles
from trustdata.editing.promises import Promises
from trustdata.editing.repository_editor import Contents, name_root, public_keys, signers_of, signing_keys
from trustdata.editing.signing import sign
from trustdata.editing.unseen import carried_tags
from trustdata.envelope import Envelope
from trustdata.errors import TrustError
from trustdata.gun import GUN
from trustdata.model import Content, Key, MetaFile, Root, Signer, Targets
from trustdata.roles import ONLINE, ROOT, SNAPSHOT, TARGETS, TIMESTAMP, RoleName, signer_name
from trustdata.verification.delegations import delegations_of
from trustdata.verification.target_lookup import Target, signers_of_target
from trustdata.wire import WireFormat

Locate: TypeAlias = Callable[[Key], KeyPlace | None]
"""A function that returns where a key is, or None if it is not here."""
Recall: TypeAlias = Callable[[RoleName, MetaFile], Envelope]
"""A function that returns the file of a role that the snapshot lists and no role delegates to.

It raises NotTrusted, MalformedMetadata, TooLarge, RemoteUnreachable, RemoteRefused or RemoteMisbehaved.
"""


class Planner:
    """Plans publishes of one collection. `wire` must be the format that `promises` wraps.

    `compromised`: says which keys must not return, as for a publisher.
    """

    def __init__(
        self,
        *,
        gun: GUN,
        wire: WireFormat,
        promises: Promises,
        at: datetime,
        compromised: Callable[[], Compromised] = lambda: NONE_KNOWN,
    ) -> None:
        self._compromised = compromised
        self._gun = gun
        self._wire = wire
        self._promises = promises
        self._at = at

    def plan(
        self,
        read: Callable[[], Current],
        edit: Edit,
        *,
        keys: HeldKeys,
        locate: Locate,
        recall: Recall,
        check: Check | None = None,
        afterwards: Callable[[OwnerRoles], None] | None = None,
        seen_as: Literal["client", "owner"] = "client",
    ) -> Planned:
        """Return the plan of an edit. No TrustError or KeysError is raised.

        `check`: as for a publish. `afterwards`: checks the roles after the publish, and raises the
        error that the command would end with. `seen_as`: whether the command looks at its result as a client or as an
        owner.
        """
        nothing = Plan(gun=self._gun, places={})
        try:
            current = read()
            contents = edit(current.roles)
            current.roles.check_vouched(contents)
            contents = name_root(self._gun, contents, self._wire)
            current = replace(current, roles=current.roles.with_files(_recalled(current.roles, contents, recall)))
        except (TrustError, KeysError) as refusal:
            return Planned(plan=replace(nothing, refusal=refusal))
        if not contents:
            return Planned(plan=replace(nothing, note="nothing has to change"), after=current)
        found = difference(current.roles.stored(), contents)
        places = _places(current.roles, contents, found, locate)
        plan = replace(
            nothing,
            difference=found,
            needs=_needs(current.roles, contents, {}),
            places=places,
            signed_again=tuple(_signed_again(current.roles, contents)),
        )
        try:
            plan, uploads = self._prepared(plan, current, contents, keys)
            if check is not None:
                check(current.roles, current.roles.after(uploads))
        except (TrustError, KeysError) as refusal:
            return Planned(plan=replace(plan, refusal=refusal))
        after = self._issued(current, uploads)
        certified = self._wire.certifies_root_keys
        clients = rehearse(self._gun, current, after, wire=self._wire, at=self._at)
        plan = replace(
            plan,
            needs=_needs(current.roles, contents, uploads),
            issued=_issued_changes(current.roles, after.roles),
            released=_released_changes(current.roles, after.roles),
            clients=clients,
            refused_pins=refused_pins(current.roles, after.roles) if certified else (),
            refused_authorities=refused_authorities(current.roles, after.roles) if certified else (),
            left=tuple(dict.fromkeys(after.roles.unvouched.values())),
        )
        problem = plan.refusal or _refused(after.roles, afterwards)
        if problem is None and seen_as == "client":
            problem = next((client.refusal for client in clients if client.refusal is not None), None)
        return Planned(plan=replace(plan, refusal=problem), after=after)

    def _prepared(
        self, plan: Plan, current: Current, contents: Contents, keys: HeldKeys
    ) -> tuple[Plan, dict[RoleName, Envelope]]:
        """Sign and judge the contents (step 3).

        If keys are missing, the plan names them and continues as if their holders had signed.
        """
        try:
            return plan, self._uploads(current, contents, keys)
        except KeyNotFound as missing:
            all_keys = _AllKeys(self._promises)
            try:
                uploads = self._uploads(current, contents, all_keys)
            except (TrustError, KeysError):
                raise missing from None  # the command itself would end here
            return replace(plan, refusal=missing), uploads

    def _uploads(self, current: Current, contents: Contents, keys: HeldKeys) -> dict[RoleName, Envelope]:
        known, wire, at = self._compromised(), self._wire, self._at
        return prepare(self._gun, current.roles, contents, keys=keys, wire=wire, at=at, compromised=known)

    def _issued(self, current: Current, uploads: Mapping[RoleName, Envelope]) -> Current:
        """Return the collection with the snapshot and timestamp that the server would sign (step 4).

        They are derived by the server's own code, and signed with promises of its keys.
        """
        roles = current.roles.after(uploads)
        root = roles[ROOT].root
        changed = uploads.values()
        snapshot = uploads.get(SNAPSHOT) or self._online(
            next_snapshot(
                previous=current.roles.get(SNAPSHOT),
                changed=changed,
                at=self._at,
                lifetime=self._wire.lifetimes.snapshot,
                wire=self._wire,
            ),
            SNAPSHOT,
            root,
        )
        timestamp = self._online(
            next_timestamp(
                previous=current.roles.get(TIMESTAMP),
                snapshot=snapshot,
                at=self._at,
                lifetime=self._wire.lifetimes.timestamp,
                wire=self._wire,
            ),
            TIMESTAMP,
            root,
        )
        chain = [*current.chain, *([uploads[ROOT]] if ROOT in uploads else [])]
        return Current(roles=roles.after({SNAPSHOT: snapshot, TIMESTAMP: timestamp}), chain=chain)

    def _online(self, content: Content, role: RoleName, root: Root) -> Envelope:
        signers = [self._promises.signer(root.keys[keyid]) for keyid in root.roles[role].keyids]
        return sign(content, signers, role=role, wire=self._wire)


class _AllKeys:
    """`HeldKeys` that contain every key, as if all holders were signing."""

    def __init__(self, promises: Promises) -> None:
        self._promises = promises

    def held(self, keys: Mapping[str, Key]) -> frozenset[str]:
        return frozenset(keys)

    def opened(self, keys: Mapping[str, Key]) -> frozenset[str]:
        del keys
        return frozenset()

    def signer(self, key: Key) -> Signer:
        return self._promises.signer(key)


def _recalled(roles: OwnerRoles, contents: Contents, recall: Recall) -> dict[RoleName, Envelope]:
    """Return the stored files of roles to which the edit delegates again.

    The server requires that such a file verifies with the new keys.
    """
    targets = contents.get(TARGETS)
    if SNAPSHOT not in roles or not isinstance(targets, Targets):
        return {}
    listed = roles[SNAPSHOT].snapshot.meta
    known = roles.keys() | roles.faults.keys()
    again = [role for role in delegations_of(targets) if role not in known and f"{role}.json" in listed]
    return {role: recall(role, listed[f"{role}.json"]) for role in again}


def _refused(roles: OwnerRoles, afterwards: Callable[[OwnerRoles], None] | None) -> Failure | None:
    try:
        if afterwards is not None:
            afterwards(roles)
    except (TrustError, KeysError) as refusal:
        return refusal
    return None


# --- keys


def _needs(roles: Roles, contents: Contents, uploads: Mapping[RoleName, Envelope]) -> tuple[SignatureNeed, ...]:
    needs = []
    for role, content in contents.items():
        signed = tuple(uploads[role].signatures) if role in uploads else ()
        role_needs = signing_keys(roles, contents, role)
        for position, (keyids, threshold) in enumerate(role_needs):
            needs.append(
                SignatureNeed(
                    role=role,
                    version=content.version,
                    asked_by=_asked_by(role, content.version, first=position == 0 and len(role_needs) > 1),
                    threshold=threshold,
                    keys=keyids,
                    signs=tuple(keyid for keyid in keyids if keyid in signed),
                )
            )
    return tuple(needs)


def _asked_by(role: RoleName, version: int, *, first: bool) -> str:
    if role == ROOT:
        return f"root version {version - 1 if first else version}"
    return ROOT if role == TARGETS else TARGETS


def absent_key(roles: Roles, keyid: str) -> KeyPlace:
    """Return the place of a key that is not here, with its holders: names of signers, `root`, `repository`."""
    root = roles[ROOT].root if ROOT in roles else None
    found = [
        name for name, role in (("root", ROOT), ("repository", TARGETS)) if root and keyid in root.roles[role].keyids
    ]
    if TARGETS in roles:
        found += [signer_name(role) for role, keyids in signers_of(roles).items() if keyid in keyids]
    return KeyPlace(keyid=keyid, place="elsewhere", holders=tuple(found))


def _places(roles: Roles, contents: Contents, found: Difference, locate: Locate) -> dict[str, KeyPlace]:
    keyids = {keyid for change in found.keys for keyid in (*change.added, *change.removed, *change.kept)}
    keyids |= {keyid for role in contents for needed, _ in signing_keys(roles, contents, role) for keyid in needed}
    root = contents.get(ROOT)
    online = {
        keyid
        for r in (roles[ROOT].root if ROOT in roles else None, root)
        if isinstance(r, Root)
        for role in ONLINE
        for keyid in r.roles[role].keyids
    }
    keys_by_id = public_keys(roles, contents)
    places = {}
    for keyid in sorted(keyids):
        server = KeyPlace(keyid=keyid, place="server") if keyid in online else None
        local = locate(keys_by_id[keyid]) if keyid in keys_by_id else None
        places[keyid] = local or server or absent_key(roles, keyid)
    return places


# --- what is seen


def _signed_again(roles: OwnerRoles, contents: Contents) -> Iterator[SignedAgain]:
    unseen = {found.role: found for found in roles.unseen(contents)}
    for role, content in contents.items():
        if role in roles and role not in roles.emptied:
            file = roles[role]
            tags = tuple(carried_tags(file, content))
            yield SignedAgain(role=role, version=file.version, sha256=file.sha256, tags=tags, unseen=unseen.get(role))


def _issued_changes(before: Roles, after: Roles) -> tuple[RoleChange, ...]:
    return tuple(
        RoleChange(
            role=role,
            version_before=before[role].version if role in before else None,
            version_after=after[role].version,
            expires_before=before[role].expires if role in before else None,
            expires_after=after[role].expires,
        )
        for role in ONLINE
    )


def _released_changes(before: OwnerRoles, after: OwnerRoles) -> tuple[ReleasedChange, ...]:
    old, new = _seen_tags(before), _seen_tags(after)
    return tuple(
        ReleasedChange(
            tag=tag,
            before=old[tag][0] if tag in old else None,
            after=new[tag][0] if tag in new else None,
            signers_before=old[tag][1] if tag in old else (),
            signers_after=new[tag][1] if tag in new else (),
        )
        for tag in sorted(old.keys() | new.keys())
        if old.get(tag) != new.get(tag)
    )


def _seen_tags(roles: OwnerRoles) -> dict[str, tuple[str, tuple[str, ...]]]:
    """Return digest and signers of each released tag."""
    if TARGETS not in roles:
        return {}
    signers = list(signers_of(roles))
    try:
        return {target.tag: (target.digest, _signers(target, roles, signers)) for target in roles.each_released()}
    except TrustError:
        return {}  # the roles conflict already before the publish: clients see no tag


def _signers(target: Target, roles: Roles, signers: Iterable[RoleName]) -> tuple[str, ...]:
    return tuple(signer_name(role) for role in signers_of_target(target, roles, list(signers)))
