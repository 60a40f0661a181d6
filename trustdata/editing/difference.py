"""What an edit changes, as values: roles, tags, keys and delegations, before and after. Nothing is judged here."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Literal, TypeAlias

from trustdata.envelope import Envelope
from trustdata.model import Content, DelegatedRole, Role, Root, TargetFile, Targets
from trustdata.roles import ROOT, TARGETS, RoleName

Kind: TypeAlias = Literal["added", "changed", "removed"]


@dataclass(frozen=True, slots=True, kw_only=True)
class RoleChange:
    """A role's file. `before` None: it is the first."""

    role: RoleName
    version_before: int | None
    version_after: int
    expires_before: datetime | None
    expires_after: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class TagChange:
    """A tag in one role: digests in 64 hex digits, None where it is not listed. Equal digests: what stands beside them
    (size, platforms, custom) has changed.
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
    """The keys of one role, as its `delegator` names them. A threshold is None where the role is not delegated."""

    role: RoleName
    delegator: RoleName
    added: tuple[str, ...]
    removed: tuple[str, ...]
    kept: tuple[str, ...]
    threshold_before: int | None
    threshold_after: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class DelegationChange:
    """A delegation other than its keys. `paths`: what the role may list (patterns, or prefixes of hashes)."""

    role: RoleName
    delegator: RoleName
    kind: Kind
    paths_before: tuple[str, ...]
    paths_after: tuple[str, ...]
    terminating_before: bool
    terminating_after: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """Everything that an edit changes: roles in the order of the edit, the rest by role and name."""

    roles: tuple[RoleChange, ...] = ()
    tags: tuple[TagChange, ...] = ()
    keys: tuple[KeysChange, ...] = ()
    delegations: tuple[DelegationChange, ...] = ()


def difference(before: Mapping[RoleName, Envelope], after: Mapping[RoleName, Content]) -> Difference:
    """`before`: the current roles; `after`: the contents of those that change (see `repository_editor`)."""
    old = {role: envelope.content for role, envelope in before.items()}
    tags: list[TagChange] = []
    keys: list[KeysChange] = []
    delegations: list[DelegationChange] = []
    for role, content in after.items():
        keys += _keys(role, _named(old.get(role)), _named(content))
        if isinstance(content, Targets):
            tags += _tags(role, _targets(old.get(role)), content.targets)
            delegations += _delegations(role, _delegated(old.get(role)), _delegated(content))
    return Difference(
        roles=tuple(_role(role, old.get(role), content) for role, content in after.items()),
        tags=tuple(tags),
        keys=tuple(keys),
        delegations=tuple(delegations),
    )


def _role(role: RoleName, old: Content | None, new: Content) -> RoleChange:
    return RoleChange(
        role=role,
        version_before=old.version if old else None,
        version_after=new.version,
        expires_before=old.expires if old else None,
        expires_after=new.expires,
    )


def _targets(content: Content | None) -> Mapping[str, TargetFile]:
    return content.targets if isinstance(content, Targets) else {}


def _tags(role: RoleName, old: Mapping[str, TargetFile], new: Mapping[str, TargetFile]) -> Iterator[TagChange]:
    for tag in sorted(old.keys() | new.keys()):
        one, other = old.get(tag), new.get(tag)
        if one is not other and one != other:
            yield TagChange(role=role, tag=tag, before=_digest(one), after=_digest(other))


def _digest(target: TargetFile | None) -> str | None:
    return None if target is None else target.hashes.get("sha256", "")


def _named(content: Content | None) -> Mapping[RoleName, Role]:
    """The roles whose keys a file names."""
    if isinstance(content, Root):
        return {RoleName(name): role for name, role in content.roles.items()}
    return _delegated(content)


def _delegated(content: Content | None) -> Mapping[RoleName, DelegatedRole]:
    if not isinstance(content, Targets) or content.delegations is None:
        return {}
    return {RoleName(name): role for name, role in (content.delegations.roles or {}).items()}


def _keys(delegator: RoleName, old: Mapping[RoleName, Role], new: Mapping[RoleName, Role]) -> Iterator[KeysChange]:
    for role in _in_order(old, new):
        one, other = old.get(role), new.get(role)
        had, has = (tuple(r.keyids) if r else () for r in (one, other))
        thresholds = (one.threshold if one else None, other.threshold if other else None)
        if set(had) != set(has) or thresholds[0] != thresholds[1]:
            yield KeysChange(
                role=role,
                delegator=delegator,
                added=tuple(keyid for keyid in has if keyid not in had),
                removed=tuple(keyid for keyid in had if keyid not in has),
                kept=tuple(keyid for keyid in has if keyid in had),
                threshold_before=thresholds[0],
                threshold_after=thresholds[1],
            )


def _delegations(
    delegator: RoleName, old: Mapping[RoleName, DelegatedRole], new: Mapping[RoleName, DelegatedRole]
) -> Iterator[DelegationChange]:
    for role in _in_order(old, new):
        one, other = old.get(role), new.get(role)
        if _terms(one) != _terms(other):
            yield DelegationChange(
                role=role,
                delegator=delegator,
                kind="added" if one is None else "removed" if other is None else "changed",
                paths_before=_terms(one)[0],
                paths_after=_terms(other)[0],
                terminating_before=_terms(one)[1],
                terminating_after=_terms(other)[1],
            )


def _terms(role: DelegatedRole | None) -> tuple[tuple[str, ...], bool, bool]:
    """Paths, whether it ends the search, whether it is there."""
    if role is None:
        return (), False, False
    return tuple(role.paths or role.path_hash_prefixes or ()), bool(role.terminating), True


def _in_order(old: Mapping[RoleName, object], new: Mapping[RoleName, object]) -> list[RoleName]:
    """Root and targets first, the rest in the order of the files."""
    first = [role for role in (ROOT, TARGETS) if role in old or role in new]
    return list(dict.fromkeys([*first, *new, *old]))
