"""Edits of a collection: verified current roles in, contents of the next versions out (unsigned).

Every function takes the current `roles` (root, targets, delegations, as verified) and gives the roles that change, each
one version on and with a new expiry. Nothing is changed in place. Who signs what follows from the new contents: see
`signing_plan`.

The shape of a collection is PRODUCT decision 6: without signers tags live in `targets`; the first signer moves them to
`targets/releases`, the first delegation, terminating, for all paths, always with the repository key among its keys. In
Notary v1 tags stay where they are, and in docker's collections `targets/releases` may lack its file, or the repository
key.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from keys.errors import KeyNotAuthorised
from trustdata.envelope import Envelope
from trustdata.errors import PublishRefused
from trustdata.expiry import Lifetimes, expires_at
from trustdata.gun import GUN, Tag
from trustdata.model import Content, DelegatedRole, Delegations, Key, Role, Root, TargetFile, Targets
from trustdata.roles import (
    RELEASES,
    ROOT,
    SNAPSHOT,
    TARGETS,
    TIMESTAMP,
    RoleName,
    signer_name,
    signer_role,
)
from trustdata.wire import WireFormat

Contents = dict[RoleName, Content]


@dataclass(frozen=True, slots=True, kw_only=True)
class TagEdit:
    """A tag's new value: `digest` in 64 hex digits, `length` of the manifest (bytes), `children` of an index."""

    tag: Tag
    digest: str
    length: int
    children: tuple[str, ...] = field(default=())


@dataclass(frozen=True, slots=True, kw_only=True)
class EditTerms:
    """When an edit is made, and how long what it writes stays valid."""

    at: datetime
    lifetimes: Lifetimes
    wire: WireFormat

    @classmethod
    def of(cls, wire: WireFormat, *, at: datetime) -> EditTerms:
        """With the lifetimes that are usual in the format."""
        return cls(at=at, lifetimes=wire.lifetimes, wire=wire)


# --- a new collection


def new_collection(
    *,
    root_keys: Sequence[Key],
    threshold: int,
    targets_key: Key,
    snapshot_key: Key,
    timestamp_key: Key,
    terms: EditTerms,
) -> Contents:
    """Root version 1 and an empty targets version 1. Any `threshold` of `root_keys` can replace the root.

    All keys as the format writes them.
    """
    root = Root(1, expires=expires_at(terms.at, terms.lifetimes.root), consistent_snapshot=terms.wire.pins_versions)
    for key in root_keys:
        root.add_key(key, ROOT)
    root.roles[ROOT].threshold = threshold
    for role, key in ((TARGETS, targets_key), (SNAPSHOT, snapshot_key), (TIMESTAMP, timestamp_key)):
        root.add_key(key, role)
    return {ROOT: root, TARGETS: Targets(1, expires=expires_at(terms.at, terms.lifetimes.targets))}


# --- tags


def set_tags(
    roles: Mapping[RoleName, Envelope], edits: Iterable[TagEdit], *, into: Iterable[RoleName], terms: EditTerms
) -> Contents:
    """Write the tags into each role of `into` (see `roles_for_signing`); a delegation without a file gets its first."""
    changed: Contents = {}
    edits = tuple(edits)
    for role in into:
        content = _next_targets(roles, role, terms)
        for edit in edits:
            content.targets[edit.tag] = _target_file(edit, content.targets.get(edit.tag))
        changed[role] = content
    return changed


def _target_file(edit: TagEdit, before: TargetFile | None) -> TargetFile:
    """Platforms stand in the releasing role, for those who ask by their digests, and in the signer's own, since he
    vouches for nothing that somebody else has written.
    """
    custom = dict(before.custom) if before is not None and before.custom else {}
    custom.pop("oci", None)  # ours; the rest is foreign and stays as it is
    if edit.children:
        custom["oci"] = {"manifests": list(edit.children)}
    extra = {"custom": custom} if custom else {}
    return TargetFile(edit.length, {"sha256": edit.digest}, edit.tag, extra)


def remove_tags(
    roles: Mapping[RoleName, Envelope], tags: Iterable[str] | None, *, from_roles: Iterable[RoleName], terms: EditTerms
) -> Contents:
    """Remove the tags (None: all) from those of `from_roles` that list one; roles that list none do not change."""
    changed: Contents = {}
    wanted = None if tags is None else set(tags)
    for role in from_roles:
        if role not in roles:
            continue
        listed = roles[role].targets.targets.keys()
        gone = set(listed) if wanted is None else wanted & listed
        if gone:
            content = _next_targets(roles, role, terms)
            for tag in gone:
                del content.targets[tag]
            changed[role] = content
    return changed


def has_signers(roles: Mapping[RoleName, Envelope]) -> bool:
    """Whether tags live in `targets/releases`."""
    return RELEASES in _delegated(roles[TARGETS].targets)


def signers_of(roles: Mapping[RoleName, Envelope]) -> dict[RoleName, tuple[str, ...]]:
    """The signers' roles, in order, and the ids of their keys."""
    delegated = _delegated(roles[TARGETS].targets)
    return {name: tuple(role.keyids) for name, role in delegated.items() if name != RELEASES}


def roles_for_signing(
    gun: GUN, roles: Mapping[RoleName, Envelope], held: Iterable[str], signer: str | None = None
) -> tuple[RoleName, ...]:
    """The roles into which someone with the keys `held` (key ids) signs a tag: releasing role last.

    Without signers: `targets`. With signers: every signer's role that `held` can sign (or just `signer`), then
    `targets/releases`.

    Raises: KeyNotAuthorised naming who can sign; PublishRefused (no such signer).
    """
    keys = set(held)
    if not has_signers(roles):
        if signer is not None:
            raise PublishRefused(
                role=signer_role(signer), reason=f"{gun} has no signers; add one with: trust signer add"
            )
        return (TARGETS,) if _can_sign(roles[ROOT].root.roles[TARGETS], keys) else _nobody(gun, roles, TARGETS)
    delegated = _delegated(roles[TARGETS].targets)
    if signer is not None:
        wanted = signer_role(signer)
        if wanted not in delegated:
            raise _no_such_signer(gun, roles, wanted)
        mine: tuple[RoleName, ...] = (wanted,) if _can_sign(delegated[wanted], keys) else _nobody(gun, roles, wanted)
    else:
        mine = tuple(name for name in signers_of(roles) if _can_sign(delegated[name], keys))
    if not _can_sign(delegated[RELEASES], keys):
        return _nobody(gun, roles, RELEASES)
    return (*mine, RELEASES)


def signable_roles(roles: Mapping[RoleName, Envelope], held: Iterable[str]) -> tuple[RoleName, ...]:
    """Every published role that lists tags and that the keys `held` can sign."""
    keys = set(held)
    can = [TARGETS] if _can_sign(roles[ROOT].root.roles[TARGETS], keys) else []
    can += [
        name for name, role in _delegated(roles[TARGETS].targets).items() if name in roles and _can_sign(role, keys)
    ]
    return tuple(can)


def _can_sign(role: Role, held: set[str]) -> bool:
    return len(held & set(role.keyids)) >= role.threshold


def _nobody(gun: GUN, roles: Mapping[RoleName, Envelope], role: RoleName) -> tuple[RoleName, ...]:
    who = [signer_name(name) for name in signers_of(roles)] or ["the holder of the repository key"]
    raise KeyNotAuthorised(key=f"for {role} of {gun} (who can sign: {', '.join(who)})")


def _no_such_signer(gun: GUN, roles: Mapping[RoleName, Envelope], role: RoleName) -> PublishRefused:
    names = ", ".join(map(signer_name, signers_of(roles))) or "none"
    return PublishRefused(role=role, reason=f"{signer_name(role)} is no signer of {gun} (signers: {names})")


# --- signers


def add_signer(roles: Mapping[RoleName, Envelope], signer: str, keys: Sequence[Key], *, terms: EditTerms) -> Contents:
    """Delegate to a signer, or add keys (as the format writes them) beside those that he has.

    In TUF 1.0 the first signer moves all tags to the releases.
    """
    name = signer_role(signer)
    targets = _next_targets(roles, TARGETS, terms)
    before = _delegated(roles[TARGETS].targets)
    known = dict(targets.delegations.keys) if targets.delegations else {}
    known |= {key.keyid: key for key in keys}
    repository = roles[ROOT].root.roles[TARGETS].keyids
    known |= {keyid: roles[ROOT].root.keys[keyid] for keyid in repository}
    keyids = [*(before[name].keyids if name in before else []), *(key.keyid for key in keys)]
    mine = _with_keys(before.get(name), name, keyids, terms.wire)
    releasers = before[RELEASES].keyids if RELEASES in before else []
    absent = [keyid for keyid in repository if keyid not in releasers]
    releases = _with_keys(before.get(RELEASES), RELEASES, [*releasers, *absent, *keyids], terms.wire)
    others = {other: role for other, role in before.items() if other not in (RELEASES, name)}
    targets.delegations = _delegations(known, [releases, *others.values(), mine])
    changed: Contents = {TARGETS: targets}
    if RELEASES not in before and terms.wire.releases_end_the_search:
        content = _next_targets(roles, RELEASES, terms)
        content.targets = dict(targets.targets)
        targets.targets = {}
        changed[RELEASES] = content
    return changed


def remove_signer(gun: GUN, roles: Mapping[RoleName, Envelope], signer: str, *, terms: EditTerms) -> Contents:
    """Take a signer away; `targets/releases` is written anew in the same publish, since he may have signed it last.

    Raises: PublishRefused naming the signers, if there is no such one.
    """
    name = signer_role(signer)
    before = _delegated(roles[TARGETS].targets)
    if name not in before:
        raise _no_such_signer(gun, roles, name)
    targets = _next_targets(roles, TARGETS, terms)
    left = {other: role for other, role in before.items() if other not in (RELEASES, name)}
    repository = roles[ROOT].root.roles[TARGETS].keyids
    staying = {keyid for role in left.values() for keyid in role.keyids} | set(repository)
    old_keys = targets.delegations.keys if targets.delegations else {}
    keys = {keyid: key for keyid, key in old_keys.items() if keyid in staying}
    changed: Contents = {TARGETS: targets}
    releases = []
    if RELEASES in before:
        releasers = [keyid for keyid in _unique([*repository, *before[RELEASES].keyids]) if keyid in staying]
        releases = [_with_keys(before[RELEASES], RELEASES, releasers, terms.wire)]
        keys |= {keyid: roles[ROOT].root.keys[keyid] for keyid in repository}
        if RELEASES in roles:
            changed[RELEASES] = _next_targets(roles, RELEASES, terms)
    targets.delegations = _delegations(keys, [*releases, *left.values()])
    return changed


# --- keys


def replace_root_keys(
    roles: Mapping[RoleName, Envelope], *, remove: Iterable[str], add: Sequence[Key], terms: EditTerms
) -> Contents:
    """The next root, with other root keys and the same threshold. Raises: PublishRefused (too few keys left)."""
    root = _next_root(roles, terms)
    role = root.roles[ROOT]
    gone = set(remove)
    root.roles[ROOT] = Role([k for k in role.keyids if k not in gone], role.threshold, role.unrecognized_fields)
    for key in add:
        root.add_key(key, ROOT)
    _drop_unused_keys(root, roles[ROOT].root, terms.wire)
    if len(root.roles[ROOT].keyids) < role.threshold:
        raise PublishRefused(
            role=ROOT, reason=f"{role.threshold} root keys are needed, {len(root.roles[ROOT].keyids)} would be left"
        )
    return {ROOT: root}


def replace_online_keys(
    roles: Mapping[RoleName, Envelope], keys: Mapping[RoleName, Key], *, terms: EditTerms
) -> Contents:
    """The next root, with the server's new keys for snapshot, timestamp or both, and no others."""
    root = _next_root(roles, terms)
    for role, key in keys.items():
        root.roles[role] = Role([], 1)
        root.add_key(key, role)
    _drop_unused_keys(root, roles[ROOT].root, terms.wire)
    return {ROOT: root}


def replace_targets_key(roles: Mapping[RoleName, Envelope], key: Key, *, terms: EditTerms) -> Contents:
    """The next root with a new repository key; targets, and the releases if any, follow in the same publish."""
    root = _next_root(roles, terms)
    old = set(root.roles[TARGETS].keyids)
    root.roles[TARGETS] = Role([], 1)
    root.add_key(key, TARGETS)
    _drop_unused_keys(root, roles[ROOT].root, terms.wire)
    targets = _next_targets(roles, TARGETS, terms)
    changed: Contents = {ROOT: root, TARGETS: targets}
    before = _delegated(targets)
    if RELEASES in before and targets.delegations is not None:
        signers = {keyid for name, role in before.items() if name != RELEASES for keyid in role.keyids}
        releasers = [keyid for keyid in before[RELEASES].keyids if keyid not in old or keyid in signers]
        releases = _with_keys(before[RELEASES], RELEASES, [key.keyid, *releasers], terms.wire)
        kept = {k: v for k, v in targets.delegations.keys.items() if k not in old or k in signers}
        others = {name: role for name, role in before.items() if name != RELEASES}
        targets.delegations = _delegations({**kept, key.keyid: key}, [releases, *others.values()])
        if RELEASES in roles:
            changed[RELEASES] = _next_targets(roles, RELEASES, terms)
    return changed


def renew(roles: Mapping[RoleName, Envelope], which: Iterable[RoleName], *, terms: EditTerms) -> Contents:
    """The same contents, one version on, with a new expiry."""
    return {role: _next_root(roles, terms) if role == ROOT else _next_targets(roles, role, terms) for role in which}


# --- who signs


def signing_keys(
    roles: Mapping[RoleName, Envelope], changed: Mapping[RoleName, Content], role: RoleName
) -> list[tuple[tuple[str, ...], int]]:
    """Whose signatures a changed role needs: (key ids, threshold) pairs, all of which must be met.

    A root needs those of the root before (specification 5.3.4) and its own.
    """
    content = changed[role]
    if role == ROOT and isinstance(content, Root):
        needs = [content.roles[ROOT]]
        if ROOT in roles:
            needs.insert(0, roles[ROOT].root.roles[ROOT])
    elif role == TARGETS:
        root = changed.get(ROOT)
        needs = [(root if isinstance(root, Root) else roles[ROOT].root).roles[TARGETS]]
    else:
        needs = [_delegation_of(role, roles, changed)]
    return [(tuple(need.keyids), need.threshold) for need in needs]


def _delegation_of(role: RoleName, roles: Mapping[RoleName, Envelope], changed: Mapping[RoleName, Content]) -> Role:
    """Raises: PublishRefused if nobody delegates to the role in the new state."""
    for delegator in dict.fromkeys((TARGETS, *roles, *changed)):
        content = changed[delegator] if delegator in changed else roles[delegator].content
        if isinstance(content, Targets) and role in _delegated(content):
            return _delegated(content)[role]
    raise PublishRefused(role=role, reason="nobody delegates to it")


def public_keys(roles: Mapping[RoleName, Envelope], changed: Mapping[RoleName, Content]) -> dict[str, Key]:
    """Every key that the roles, as they are and as they will be, name, by the id that it has there."""
    found: dict[str, Key] = {}
    for content in (*(envelope.content for envelope in roles.values()), *changed.values()):
        if isinstance(content, Root):
            found |= content.keys
        elif isinstance(content, Targets) and content.delegations is not None:
            found |= content.delegations.keys
    return found


# --- next versions


def _next_root(roles: Mapping[RoleName, Envelope], terms: EditTerms) -> Root:
    old = roles[ROOT].root
    return Root(
        old.version + 1,
        old.spec_version,
        expires_at(terms.at, terms.lifetimes.root),
        dict(old.keys),
        {name: Role(list(r.keyids), r.threshold, dict(r.unrecognized_fields)) for name, r in old.roles.items()},
        consistent_snapshot=terms.wire.pins_versions or old.consistent_snapshot,
        unrecognized_fields=dict(old.unrecognized_fields),
    )


def _next_targets(roles: Mapping[RoleName, Envelope], role: RoleName, terms: EditTerms) -> Targets:
    """A shallow copy: a TargetFile is never changed, only replaced (copying 10 000 of them costs 100 ms)."""
    expires = expires_at(terms.at, terms.lifetimes.targets)
    if role not in roles:
        return Targets(1, expires=expires)
    old = roles[role].targets
    return Targets(
        old.version + 1, old.spec_version, expires, dict(old.targets), old.delegations, dict(old.unrecognized_fields)
    )


def _delegated(targets: Targets) -> dict[RoleName, DelegatedRole]:
    roles = targets.delegations.roles if targets.delegations else None
    return {RoleName(name): role for name, role in (roles or {}).items()}


def _delegations(keys: Mapping[str, Key], roles: Iterable[DelegatedRole]) -> Delegations:
    return Delegations(dict(keys), {role.name: role for role in roles})


def _with_keys(before: DelegatedRole | None, name: RoleName, keyids: Iterable[str], wire: WireFormat) -> DelegatedRole:
    """The role with these keys; what an owner has asked of it before (threshold, paths) stays as it was."""
    if before is None:
        ends = name == RELEASES and wire.releases_end_the_search
        return DelegatedRole(name, _unique(keyids), 1, terminating=ends, paths=[wire.every_target])
    return DelegatedRole(
        name,
        _unique(keyids),
        before.threshold,
        before.terminating,
        before.paths,
        before.path_hash_prefixes,
        dict(before.unrecognized_fields),
    )


def _unique(keyids: Iterable[str]) -> list[str]:
    return list(dict.fromkeys(keyids))


def _drop_unused_keys(root: Root, old: Root, wire: WireFormat) -> None:
    """Notary v1 keeps the certificates of former root keys: its clients have verified older roots with them."""
    kept = {keyid for role in root.roles.values() for keyid in role.keyids}
    if wire.certifies_root_keys:
        others = {keyid for name, role in old.roles.items() if name != ROOT for keyid in role.keyids}
        kept |= old.keys.keys() - others
    root.keys = {keyid: key for keyid, key in root.keys.items() if keyid in kept}
