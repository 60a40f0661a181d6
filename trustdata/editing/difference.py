"""Compute what an edit changes: roles, tags, keys and delegations, before and after. Nothing is checked here."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Literal, TypeAlias

from trustdata.denied import deny_list
from trustdata.envelope import Envelope
from trustdata.gun import NAME_MEMBER
from trustdata.model import Content, DelegatedRole, Role, Root, TargetFile, Targets
from trustdata.roles import ROOT, TARGETS, RoleName
from trustdata.wire.plain_difference import differing_targets
from trustdata.wire.plain_targets import PlainTargets

Kind: TypeAlias = Literal["added", "changed", "removed"]


@dataclass(frozen=True, slots=True, kw_only=True)
class RoleChange:
    """A new version of the file of a role. `version_before`, `expires_before`: None if it is the first.

    `named`: the collection that a root names from this version on; None if that does not change.
    """

    role: RoleName
    version_before: int | None
    version_after: int
    expires_before: datetime | None
    expires_after: datetime
    named: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class TagChange:
    """A change of a tag in one role. `before`, `after`: digests (64 hex digits), None if the role does not list it.

    If both digests are equal, something else has changed: size, platforms or custom.
    """

    role: RoleName
    tag: str
    before: str | None
    after: str | None

    @property
    def kind(self) -> Literal["added", "moved", "removed", "rewritten"]:
        """What happens to the tag in this role."""
        if self.before is None:
            return "added"
        if self.after is None:
            return "removed"
        return "moved" if self.before != self.after else "rewritten"


@dataclass(frozen=True, slots=True, kw_only=True)
class KeysChange:
    """A change of the keys of a role in the file of its `delegator`. A threshold is None if there is no such role."""

    role: RoleName
    delegator: RoleName
    added: tuple[str, ...]
    removed: tuple[str, ...]
    kept: tuple[str, ...]
    threshold_before: int | None
    threshold_after: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class DelegationChange:
    """A change of a delegation apart from its keys.

    `paths_before`, `paths_after`: what the role may list, as patterns or as prefixes of hashes.
    """

    role: RoleName
    delegator: RoleName
    kind: Kind
    paths_before: tuple[str, ...]
    paths_after: tuple[str, ...]
    terminating_before: bool
    terminating_after: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class DeniedChange:
    """A change of what a collection denies. `before`, `after`: the reasons; None where the digest is not denied."""

    digest: str
    before: str | None
    after: str | None

    @property
    def kind(self) -> Kind:
        """What happens to the digest in the list."""
        return "added" if self.before is None else "removed" if self.after is None else "changed"


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """Everything that an edit changes. `roles`: in the order of the edit; the others by role and name."""

    roles: tuple[RoleChange, ...] = ()
    tags: tuple[TagChange, ...] = ()
    keys: tuple[KeysChange, ...] = ()
    delegations: tuple[DelegationChange, ...] = ()
    denied: tuple[DeniedChange, ...] = ()


def difference(before: Mapping[RoleName, Envelope], after: Mapping[RoleName, Content]) -> Difference:
    """Compute what an edit changes.

    `before`: the current files of all roles. `after`: the new contents of the roles that change, from
    `repository_editor`.
    """
    old = {role: envelope.content for role, envelope in before.items()}
    tags: list[TagChange] = []
    keys: list[KeysChange] = []
    delegations: list[DelegationChange] = []
    for role, content in after.items():
        keys += changed_keys(role, old.get(role), content)
        tags += changed_tags(role, old.get(role), content)
        delegations += changed_delegations(role, old.get(role), content)
    return Difference(
        roles=tuple(_role(role, old.get(role), content) for role, content in after.items()),
        tags=tuple(tags),
        keys=tuple(keys),
        delegations=tuple(delegations),
        denied=tuple(change for role, content in after.items() for change in changed_denials(old.get(role), content)),
    )


def _role(role: RoleName, old: Content | None, new: Content) -> RoleChange:
    return RoleChange(
        role=role,
        version_before=old.version if old else None,
        version_after=new.version,
        expires_before=old.expires if old else None,
        expires_after=new.expires,
        named=_name(new) if _name(new) != _name(old) else None,
    )


def _name(content: Content | None) -> str | None:
    return content.unrecognized_fields.get(NAME_MEMBER) if isinstance(content, Root) else None


def _targets(content: Content | None) -> Mapping[str, TargetFile]:
    return content.targets if isinstance(content, Targets) else {}


def changed_tags(role: RoleName, before: Content | None, after: Content) -> Iterator[TagChange]:
    """Yield the changes of the tags that a role lists, by name. Tags in the plain form are compared as text."""
    old, new = _targets(before), _targets(after)
    if isinstance(old, PlainTargets) and isinstance(new, PlainTargets) and old.part.form is new.part.form:
        for change in differing_targets(old.part, new.part):
            yield TagChange(role=role, tag=change.name, before=_digest(change.before), after=_digest(change.after))
        return
    for tag in sorted(old.keys() | new.keys()):
        old_target, new_target = old.get(tag), new.get(tag)
        if old_target is not new_target and old_target != new_target:
            yield TagChange(role=role, tag=tag, before=_digest(old_target), after=_digest(new_target))


def _digest(target: TargetFile | None) -> str | None:
    return None if target is None else target.hashes.get("sha256", "")


def _roles_with_keys(content: Content | None) -> Mapping[RoleName, Role]:
    """Return the roles whose keys a file names."""
    if isinstance(content, Root):
        return {RoleName(name): role for name, role in content.roles.items()}
    return _delegated(content)


def _delegated(content: Content | None) -> Mapping[RoleName, DelegatedRole]:
    if not isinstance(content, Targets) or content.delegations is None:
        return {}
    return {RoleName(name): role for name, role in (content.delegations.roles or {}).items()}


def changed_keys(delegator: RoleName, before: Content | None, after: Content) -> Iterator[KeysChange]:
    """Yield the changes of the keys that a file names for roles."""
    old, new = _roles_with_keys(before), _roles_with_keys(after)
    for role in _in_order(old, new):
        old_role, new_role = old.get(role), new.get(role)
        old_keyids, new_keyids = (tuple(r.keyids) if r else () for r in (old_role, new_role))
        thresholds = (old_role.threshold if old_role else None, new_role.threshold if new_role else None)
        if set(old_keyids) != set(new_keyids) or thresholds[0] != thresholds[1]:
            yield KeysChange(
                role=role,
                delegator=delegator,
                added=tuple(keyid for keyid in new_keyids if keyid not in old_keyids),
                removed=tuple(keyid for keyid in old_keyids if keyid not in new_keyids),
                kept=tuple(keyid for keyid in new_keyids if keyid in old_keyids),
                threshold_before=thresholds[0],
                threshold_after=thresholds[1],
            )


def changed_delegations(delegator: RoleName, before: Content | None, after: Content) -> Iterator[DelegationChange]:
    """Yield the changes of the delegations of a file, without those of their keys."""
    old, new = _delegated(before), _delegated(after)
    for role in _in_order(old, new):
        old_role, new_role = old.get(role), new.get(role)
        # A text means one thing as a pattern, and another one as a prefix of hashes.
        if (_paths_and_terminating(old_role), _by_hash(old_role)) != (
            _paths_and_terminating(new_role),
            _by_hash(new_role),
        ):
            yield DelegationChange(
                role=role,
                delegator=delegator,
                kind="added" if old_role is None else "removed" if new_role is None else "changed",
                paths_before=_paths_and_terminating(old_role)[0],
                paths_after=_paths_and_terminating(new_role)[0],
                terminating_before=_paths_and_terminating(old_role)[1],
                terminating_after=_paths_and_terminating(new_role)[1],
            )


def changed_denials(before: Content | None, after: Content) -> Iterator[DeniedChange]:
    """Yield the changes of what `targets` denies, by digest."""
    old, new = _denied(before), _denied(after)
    for digest in sorted(old.keys() | new.keys()):
        if old.get(digest) != new.get(digest):
            yield DeniedChange(digest=digest, before=old.get(digest), after=new.get(digest))


def _denied(content: Content | None) -> Mapping[str, str]:
    return deny_list("", content).reasons() if isinstance(content, Targets) else {}


def _paths_and_terminating(role: DelegatedRole | None) -> tuple[tuple[str, ...], bool, bool]:
    """Return the paths of a delegation, whether it is terminating, and whether it exists."""
    if role is None:
        return (), False, False
    return tuple(role.paths or role.path_hash_prefixes or ()), bool(role.terminating), True


def _by_hash(role: DelegatedRole | None) -> bool:
    return role is not None and role.path_hash_prefixes is not None


def _in_order(old: Mapping[RoleName, object], new: Mapping[RoleName, object]) -> list[RoleName]:
    """Return the roles of both: root and targets first, the others in the order of the files."""
    first = [role for role in (ROOT, TARGETS) if role in old or role in new]
    return list(dict.fromkeys([*first, *new, *old]))
