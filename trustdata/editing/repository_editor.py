"""Edits of a collection: from verified current roles to the unsigned contents of their next versions.

Every function takes the current `roles` (root, targets and delegations, verified) and returns the contents that change,
with the next version and a new expiry. The arguments are not changed. `signing_keys` says which keys must sign.

The shape of a collection (docs/adr/0008): without signers, `targets` lists the tags. The first signer moves them to
`targets/releases`, which is the first delegation, is terminating, has the paths of all targets, and has the repository
key among its keys. In Notary v1 tags stay where they are, and in collections made by docker `targets/releases` may have
no file, or may lack the repository key.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from copy import copy
from dataclasses import dataclass, field
from datetime import datetime

from keys.algorithms import accepted_fingerprints, matching_keyids
from keys.errors import KeyNotAuthorised
from trustdata.envelope import Envelope
from trustdata.errors import PublishRefused
from trustdata.gun import GUN, NAME_MEMBER, Tag
from trustdata.lifetimes import Lifetimes, expires_at
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
from trustdata.suggestion import did_you_mean
from trustdata.verification.delegations import role_keys
from trustdata.wire import WireFormat

Contents = dict[RoleName, Content]


@dataclass(frozen=True, slots=True, kw_only=True)
class TagEdit:
    """A new value of a tag. `digest`: in hex. `length`: of the manifest, in bytes. `children`: of an index, in hex."""

    tag: Tag
    digest: str
    length: int
    children: tuple[str, ...] = field(default=())


@dataclass(frozen=True, slots=True, kw_only=True)
class EditTerms:
    """The time of an edit (UTC), the lifetimes of the new files, and the wire format."""

    at: datetime
    lifetimes: Lifetimes
    wire: WireFormat

    @classmethod
    def of(cls, wire: WireFormat, *, at: datetime) -> EditTerms:
        """Return terms with the usual lifetimes of the format."""
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
    """Return the contents of a new collection: root version 1 and an empty targets version 1.

    Any `threshold` of `root_keys` can replace the root. All keys must be encoded as in the format (`encode_key`).
    """
    root = Root(1, expires=expires_at(terms.at, terms.lifetimes.root), consistent_snapshot=terms.wire.lists_versions)
    for key in root_keys:
        root.add_key(key, ROOT)
    root.roles[ROOT].threshold = threshold
    for role, key in ((TARGETS, targets_key), (SNAPSHOT, snapshot_key), (TIMESTAMP, timestamp_key)):
        root.add_key(key, role)
    return {ROOT: root, TARGETS: Targets(1, expires=expires_at(terms.at, terms.lifetimes.of(TARGETS)))}


# --- tags


def set_tags(
    roles: Mapping[RoleName, Envelope], edits: Iterable[TagEdit], *, into: Iterable[RoleName], terms: EditTerms
) -> Contents:
    """Write the tags into each role of `into`. A delegation without a file gets its first one.

    `into`: from `roles_for_signing`.
    """
    changed: Contents = {}
    edits = tuple(edits)
    for role in into:
        content = _next_targets(roles, role, terms)
        for edit in edits:
            content.targets[edit.tag] = _target_file(edit, content.targets.get(edit.tag))
        changed[role] = content
    return changed


def _target_file(edit: TagEdit, before: TargetFile | None) -> TargetFile:
    """Return the entry of a tag, with the platforms of an index in `custom`.

    The releasing role lists the platforms, so that they are found by digest. The signer's role lists them too, because
    a signer counts only for the digests in its own role.
    """
    custom = dict(before.custom) if before is not None and before.custom else {}
    custom.pop("oci", None)  # our member; foreign members are kept
    if edit.children:
        custom["oci"] = {"manifests": list(edit.children)}
    extra = {"custom": custom} if custom else {}
    return TargetFile(edit.length, {"sha256": edit.digest}, edit.tag, extra)


def remove_tags(
    roles: Mapping[RoleName, Envelope], tags: Iterable[str] | None, *, from_roles: Iterable[RoleName], terms: EditTerms
) -> Contents:
    """Remove the tags (None: all) from those of `from_roles` that list one; the other roles do not change."""
    changed: Contents = {}
    selected = None if tags is None else set(tags)
    for role in from_roles:
        if role not in roles:
            continue
        listed = roles[role].targets.targets.keys()
        removed = set(listed) if selected is None else selected & listed
        if removed:
            content = _next_targets(roles, role, terms)
            for tag in removed:
                del content.targets[tag]
            changed[role] = content
    return changed


def outdated_in_targets(roles: Mapping[RoleName, Envelope], edits: Iterable[TagEdit]) -> dict[str, str]:
    """Return the tags that `targets` lists beside the releases as something else than the edits, with these digests.

    In Notary v1 a client that is shown no `targets/releases` takes what `targets` lists. In TUF 1.0 there are none.
    """
    if not has_signers(roles):
        return {}
    listed = roles[TARGETS].targets.targets
    besides = {edit: listed[edit.tag].hashes.get("sha256", "") for edit in edits if edit.tag in listed}
    return {edit.tag: digest for edit, digest in besides.items() if digest != edit.digest}


def has_signers(roles: Mapping[RoleName, Envelope]) -> bool:
    """Return whether the collection has signers, so that `targets/releases` lists the tags."""
    return RELEASES in _delegated(roles[TARGETS].targets)


def signers_of(roles: Mapping[RoleName, Envelope]) -> dict[RoleName, tuple[str, ...]]:
    """Return the roles of the signers, in order, with the ids of their keys."""
    delegated = _delegated(roles[TARGETS].targets)
    return {name: tuple(role.keyids) for name, role in delegated.items() if name != RELEASES}


def roles_for_signing(
    gun: GUN, roles: Mapping[RoleName, Envelope], held: Iterable[str], signer: str | None = None
) -> tuple[RoleName, ...]:
    """Return the roles that must list a tag signed with the keys `held` (key ids); the releasing role is last.

    Without signers that is `targets`. With signers: every signer's role that `held` can sign (or only that of
    `signer`), then `targets/releases`.

    Raises: KeyNotAuthorised, which names who can sign; PublishRefused if there is no such signer.
    """
    keys = set(held)
    if not has_signers(roles):
        if signer is not None:
            raise PublishRefused(
                role=signer_role(signer),
                reason=f"{gun} has no signers; add one with: trust signer add --key FILE {signer} {gun}",
            )
        return (TARGETS,) if _can_sign(roles[ROOT].root.roles[TARGETS], keys) else _refuse_to_sign(gun, roles, TARGETS)
    delegated = _delegated(roles[TARGETS].targets)
    if signer is not None:
        selected = signer_role(signer)
        if selected not in delegated:
            raise no_such_signer(gun, roles, selected)
        signer_roles: tuple[RoleName, ...] = (
            (selected,) if _can_sign(delegated[selected], keys) else _refuse_to_sign(gun, roles, selected)
        )
    else:
        signer_roles = tuple(name for name in signers_of(roles) if _can_sign(delegated[name], keys))
    if not _can_sign(delegated[RELEASES], keys):
        return _refuse_to_sign(gun, roles, RELEASES)
    return (*signer_roles, RELEASES)


def signable_roles(roles: Mapping[RoleName, Envelope], held: Iterable[str]) -> tuple[RoleName, ...]:
    """Return every published role that lists tags and that the keys `held` (key ids) can sign."""
    keys = set(held)
    signable = [TARGETS] if _can_sign(roles[ROOT].root.roles[TARGETS], keys) else []
    signable += [
        name for name, role in _delegated(roles[TARGETS].targets).items() if name in roles and _can_sign(role, keys)
    ]
    return tuple(signable)


def _can_sign(role: Role, held: set[str]) -> bool:
    return len(held & set(role.keyids)) >= role.threshold


def holders_of(roles: Mapping[RoleName, Envelope], role: RoleName) -> str:
    """Return who has a key of a role that lists tags, in words: signers, and the holder of the repository key."""
    repository = roles[ROOT].root.roles[TARGETS]
    keys = set(repository.keyids if role == TARGETS else _delegated(roles[TARGETS].targets)[role].keyids)
    names = [signer_name(name) for name, keyids in signers_of(roles).items() if not keys.isdisjoint(keyids)]
    if not keys.isdisjoint(repository.keyids):
        names.append("the holder of the repository key")
    return ", ".join(names) or "nobody who is named here"


def _refuse_to_sign(gun: GUN, roles: Mapping[RoleName, Envelope], role: RoleName) -> tuple[RoleName, ...]:
    raise KeyNotAuthorised(key=f"for {role} of {gun} (who can sign: {holders_of(roles, role)})")


def no_such_signer(gun: GUN, roles: Mapping[RoleName, Envelope], role: RoleName) -> PublishRefused:
    """Return the error about a signer that is none; it names the signers."""
    names = list(map(signer_name, signers_of(roles)))
    listed, meant = ", ".join(names) or "none", did_you_mean(signer_name(role), names)
    return PublishRefused(role=role, reason=f"{signer_name(role)} is no signer of {gun} (signers: {listed}){meant}")


# --- signers


def add_signer(roles: Mapping[RoleName, Envelope], signer: str, keys: Sequence[Key], *, terms: EditTerms) -> Contents:
    """Delegate to a new signer, or give an existing one more keys. `keys`: encoded as in the format.

    In TUF 1.0 the first signer moves all tags to `targets/releases`.
    """
    name = signer_role(signer)
    targets = _next_targets(roles, TARGETS, terms)
    before = _delegated(roles[TARGETS].targets)
    keys_by_id = dict(targets.delegations.keys) if targets.delegations else {}
    keys_by_id |= {key.keyid: key for key in keys}
    repository = role_keys(roles[ROOT].root, TARGETS)
    keys_by_id |= repository
    keyids = [*(before[name].keyids if name in before else []), *(key.keyid for key in keys)]
    signer_delegation = _delegation(before.get(name), name, keyids, terms.wire)
    releasers = before[RELEASES].keyids if RELEASES in before else []
    missing = [keyid for keyid in repository if keyid not in releasers]
    releases = _delegation(before.get(RELEASES), RELEASES, [*releasers, *missing, *keyids], terms.wire)
    others = {other: role for other, role in before.items() if other not in (RELEASES, name)}
    targets.delegations = _delegations(keys_by_id, [releases, *others.values(), signer_delegation])
    changed: Contents = {TARGETS: targets}
    if RELEASES not in before and terms.wire.releases_are_terminating:
        content = _next_targets(roles, RELEASES, terms)
        content.targets = dict(targets.targets)
        targets.targets = {}
        changed[RELEASES] = content
    return changed


def remove_signer(gun: GUN, roles: Mapping[RoleName, Envelope], signer: str, *, terms: EditTerms) -> Contents:
    """Remove the delegation of a signer, and the keys that no other delegation uses.

    `targets/releases` gets a new version in the same publish, because the removed signer may have signed the last one.

    Raises: PublishRefused if there is no such signer; it names the signers.
    """
    name = signer_role(signer)
    before = _delegated(roles[TARGETS].targets)
    if name not in before:
        raise no_such_signer(gun, roles, name)
    targets = _next_targets(roles, TARGETS, terms)
    remaining = {other: role for other, role in before.items() if other not in (RELEASES, name)}
    repository = role_keys(roles[ROOT].root, TARGETS)
    remaining_keyids = {keyid for role in remaining.values() for keyid in role.keyids} | set(repository)
    old_keys = targets.delegations.keys if targets.delegations else {}
    keys = {keyid: key for keyid, key in old_keys.items() if keyid in remaining_keyids}
    changed: Contents = {TARGETS: targets}
    releases = []
    if RELEASES in before:
        releasers = [keyid for keyid in _unique([*repository, *before[RELEASES].keyids]) if keyid in remaining_keyids]
        releases = [_delegation(before[RELEASES], RELEASES, releasers, terms.wire)]
        keys |= repository
        if RELEASES in roles:
            changed[RELEASES] = _next_targets(roles, RELEASES, terms)
    targets.delegations = _delegations(keys, [*releases, *remaining.values()])
    return changed


# --- keys


def replace_root_keys(
    roles: Mapping[RoleName, Envelope], *, remove: Iterable[str], add: Sequence[Key], terms: EditTerms
) -> Contents:
    """Return the next root, with other root keys and the same threshold. A key goes in every encoding that it has.

    Raises: PublishRefused if too few keys remain.
    """
    root = _next_root(roles, terms)
    role = root.roles[ROOT]
    removed = _every_encoding(remove, root.keys, root.keys)
    root.roles[ROOT] = Role([k for k in role.keyids if k not in removed], role.threshold, role.unrecognized_fields)
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
    """Return the next root, with new server keys for snapshot, timestamp or both, and no other keys for them."""
    root = _next_root(roles, terms)
    for role, key in keys.items():
        root.roles[role] = Role([], 1)
        root.add_key(key, role)
    _drop_unused_keys(root, roles[ROOT].root, terms.wire)
    return {ROOT: root}


def replace_targets_key(roles: Mapping[RoleName, Envelope], key: Key, *, terms: EditTerms) -> Contents:
    """Return the next root with a new repository key.

    Targets and `targets/releases`, if any, change in the same publish.
    """
    root = _next_root(roles, terms)
    replaced = root.roles[TARGETS].keyids
    root.roles[TARGETS] = Role([], 1)
    root.add_key(key, TARGETS)
    _drop_unused_keys(root, roles[ROOT].root, terms.wire)
    targets = _next_targets(roles, TARGETS, terms)
    changed: Contents = {ROOT: root, TARGETS: targets}
    before = _delegated(targets)
    if RELEASES in before and targets.delegations is not None:
        old = _every_encoding(replaced, roles[ROOT].root.keys, targets.delegations.keys)
        signers = {keyid for name, role in before.items() if name != RELEASES for keyid in role.keyids}
        releasers = [keyid for keyid in before[RELEASES].keyids if keyid not in old or keyid in signers]
        releases = _delegation(before[RELEASES], RELEASES, [key.keyid, *releasers], terms.wire)
        kept = {k: v for k, v in targets.delegations.keys.items() if k not in old or k in signers}
        others = {name: role for name, role in before.items() if name != RELEASES}
        targets.delegations = _delegations({**kept, key.keyid: key}, [releases, *others.values()])
        if RELEASES in roles:
            changed[RELEASES] = _next_targets(roles, RELEASES, terms)
    return changed


def renew(roles: Mapping[RoleName, Envelope], which: Iterable[RoleName], *, terms: EditTerms) -> Contents:
    """Return the same contents with the next version and a new expiry, for the roles `which`."""
    return {role: _next_root(roles, terms) if role == ROOT else _next_targets(roles, role, terms) for role in which}


def name_root(gun: GUN, contents: Mapping[RoleName, Content], wire: WireFormat) -> Contents:
    """Return the contents, in which a new root says whose it is; older roots may not have done so (docs/adr/0044).

    In Notary v1 the certificates of the root keys say it.
    """
    root = contents.get(ROOT)
    if not isinstance(root, Root) or wire.certifies_root_keys:
        return dict(contents)
    named = copy(root)
    named.unrecognized_fields = {NAME_MEMBER: gun, **root.unrecognized_fields}
    return {**contents, ROOT: named}


# --- signing keys


def signing_keys(
    roles: Mapping[RoleName, Envelope], changed: Mapping[RoleName, Content], role: RoleName
) -> list[tuple[tuple[str, ...], int]]:
    """Return which keys must sign a changed role: pairs of key ids and threshold, which must all be met.

    A root must be signed by the keys of the root before it and by its own (TUF specification 1.0, section 5.3.4).
    """
    content = changed[role]
    if role == ROOT and isinstance(content, Root):
        signing_roles = [content.roles[ROOT]]
        if ROOT in roles:
            signing_roles.insert(0, roles[ROOT].root.roles[ROOT])
    elif role == TARGETS:
        root = changed.get(ROOT)
        signing_roles = [(root if isinstance(root, Root) else roles[ROOT].root).roles[TARGETS]]
    else:
        signing_roles = [_delegation_of(role, roles, changed)]
    return [(tuple(signing_role.keyids), signing_role.threshold) for signing_role in signing_roles]


def _delegation_of(role: RoleName, roles: Mapping[RoleName, Envelope], changed: Mapping[RoleName, Content]) -> Role:
    """Return the delegation of a role in the new state. Raises: PublishRefused if no role delegates to it."""
    for delegator in dict.fromkeys((TARGETS, *roles, *changed)):
        content = changed[delegator] if delegator in changed else roles[delegator].content
        if isinstance(content, Targets) and role in _delegated(content):
            return _delegated(content)[role]
    raise PublishRefused(role=role, reason="nobody delegates to it")


def public_keys(roles: Mapping[RoleName, Envelope], changed: Mapping[RoleName, Content]) -> dict[str, Key]:
    """Return every key that the current or the new contents name, by key id."""
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
        consistent_snapshot=terms.wire.lists_versions or old.consistent_snapshot,
        unrecognized_fields=dict(old.unrecognized_fields),
    )


def _next_targets(roles: Mapping[RoleName, Envelope], role: RoleName, terms: EditTerms) -> Targets:
    """Return the next version of a targets role as a shallow copy.

    A TargetFile is replaced and never changed, because copying 10 000 of them takes 100 ms.
    """
    expires = expires_at(terms.at, terms.lifetimes.of(role))
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


def _delegation(before: DelegatedRole | None, name: RoleName, keyids: Iterable[str], wire: WireFormat) -> DelegatedRole:
    """Return a delegation with these keys. The threshold and the paths of an existing one are kept."""
    if before is None:
        terminating = name == RELEASES and wire.releases_are_terminating
        return DelegatedRole(name, _unique(keyids), 1, terminating=terminating, paths=[wire.every_target])
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


def _every_encoding(keyids: Iterable[str], keys: Mapping[str, Key], others: Mapping[str, Key]) -> set[str]:
    """Return the key ids, and those of `others` that are the same public keys in another encoding (docs/adr/0046).

    `keys`: has the keys of `keyids`.
    """
    found = set(keyids)
    return found | matching_keyids(others, accepted_fingerprints(keys[keyid] for keyid in found if keyid in keys))


def _drop_unused_keys(root: Root, old: Root, wire: WireFormat) -> None:
    """Remove the keys that no role of the root names.

    Notary v1 keeps the certificates of earlier root keys, because its clients verify older roots with them.
    """
    kept = {keyid for role in root.roles.values() for keyid in role.keyids}
    if wire.certifies_root_keys:
        others = {keyid for name, role in old.roles.items() if name != ROOT for keyid in role.keyids}
        kept |= old.keys.keys() - others
    root.keys = {keyid: key for keyid, key in root.keys.items() if keyid in kept}
