"""Revoke tags in several collections: for `trust revoke`, and for `trust prune`.

A tag is removed from every role that the keys here can sign. It fails if the tag is still released afterwards.
"""

from __future__ import annotations

from collections.abc import Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass

from keys.errors import KeyNotFound
from trustcli.commands.support.many import Outcomes, carry_out, plan_each, refused_beforehand
from trustcli.commands.support.owner_decisions import tell_what_was_unsound
from trustcli.commands.support.planning import Planning
from trustcli.commands.support.tag_movement import NOTHING, tag_changed
from trustcli.publish.bulk.work import Done
from trustcli.publish.plan import Plan
from trustcli.publish.preparation import HeldKeys, Roles
from trustcli.session import Session
from trustdata.editing import repository_editor
from trustdata.editing.owner_roles import NOTHING_DECIDED, OwnerDecisions, OwnerRoles
from trustdata.editing.repository_editor import Contents, EditTerms, public_keys
from trustdata.errors import NotSigned, NotVouchedFor, PublishRefused, TrustError, shown
from trustdata.gun import GUN
from trustdata.roles import TARGETS, RoleName
from trustdata.verification.target_lookup import Target, each_released, releasing_roles


@dataclass(frozen=True, slots=True, kw_only=True)
class Revocation:
    """What is revoked in one collection. `tags`: None for all.

    `must_be_there`: whether a tag that is not signed is an error, as where nothing else is asked for.
    """

    gun: GUN
    tags: frozenset[str] | None
    must_be_there: bool = False

    def __str__(self) -> str:
        if self.tags is None:
            return f"all tags of {self.gun}"
        return ", ".join(f"{self.gun}:{shown(tag)}" for tag in sorted(self.tags))


def plan_revocations(session: Session, revocations: Mapping[GUN, Revocation], decisions: OwnerDecisions) -> int:
    """Print what would be revoked, and return the worst status. Raises: SettingsUnusable."""
    return plan_each(
        session,
        list(revocations),
        lambda planning, gun: [plan_revocation(session, planning, revocations[gun], decisions)],
    )


def carry_out_revocations(
    session: Session, revocations: Mapping[GUN, Revocation], decisions: OwnerDecisions = NOTHING_DECIDED
) -> Outcomes:
    """Revoke in each collection by the rule of `many`. Raises: SettingsUnusable."""
    return carry_out(
        session,
        list(revocations),
        check=lambda planning, gun: [plan_revocation(session, planning, revocations[gun], decisions)],
        do=lambda gun: revoke(session, revocations[gun], decisions),
        blank=lambda _: {"revoked": []},
    )


def revocations_refused(
    session: Session, revocations: Mapping[GUN, Revocation], decisions: OwnerDecisions
) -> Outcomes | None:
    """Look before the user is asked; return the outcomes if nothing can be revoked, since one of several cannot be.

    Raises: TrustError, KeysError, why the only one cannot be done; SettingsUnusable.
    """
    return refused_beforehand(
        session,
        list(revocations),
        lambda planning, gun: [plan_revocation(session, planning, revocations[gun], decisions)],
        blank=lambda _: {"revoked": []},
    )


def revoke(session: Session, revocation: Revocation, decisions: OwnerDecisions) -> Done:
    """Remove the tags; what it returns names those that are no longer released.

    Raises: NotSigned (nothing to revoke), KeyNotFound (names the signers that can), PublishRefused (it would still be
    released, so nothing was sent), NotVouchedFor, TagChanged (signed as something else since the first look),
    NotTrusted, KeysError, RemoteUnreachable, RemoteRefused, RemoteMisbehaved.
    """
    gun = revocation.gun
    collection = session.collection(gun)
    keys = session.held_keys()
    edit = TagRemoval(revocation, keys, EditTerms.of(collection.wire, at=session.at))
    publisher = session.publisher(collection, keys, lambda: collection.owner_roles(decisions))
    outcome = publisher.publish(edit, lambda _, after: edit.check_effect(after))
    edit.check_gone(session.collection(gun).owner_roles())
    tell_what_was_unsound(session, gun, outcome)
    for role, error in edit.left.items():
        what = f"{shown(role)}, which clients refuse, is left as it is and lists what was revoked"
        session.output.warn(f"{gun}: {what}: {error}")
    absent = [] if revocation.tags is None else sorted(revocation.tags - edit.listed)
    names = ", ".join(f"{gun}:{shown(tag)}" for tag in absent) or gun
    note = f"{names}: not signed, nothing to do" if absent or not edit.listed else ""
    return Done(
        changed=bool(edit.before) or outcome.attempts > 0,
        lines=tuple(f"revoked {gun}:{shown(tag)}" for tag in edit.before),
        note=note,
        row={"revoked": list(edit.before)},
    )


def plan_revocation(session: Session, planning: Planning, revocation: Revocation, decisions: OwnerDecisions) -> Plan:
    """Return what `revoke` would publish."""
    keys = planning.keys.held_keys()
    collection = planning.collection(revocation.gun)
    edit = TagRemoval(revocation, keys, EditTerms.of(collection.wire, at=session.at))
    return planning.plan(
        collection, edit, keys, decisions=decisions, afterwards=edit.check_effect, seen_as="owner"
    ).plan


class TagRemoval:
    """An edit that removes tags, and remembers what they stood for at the first call (`before`)."""

    def __init__(self, revocation: Revocation, keys: HeldKeys, terms: EditTerms) -> None:
        self._gun = revocation.gun
        self._tags = revocation.tags
        self._must_be_there = revocation.must_be_there
        self._keys = keys
        self._terms = terms
        self._before: dict[str, Target] | None = None
        self.listed: AbstractSet[str] = frozenset()
        """The tags that any role listed at the first call."""
        self.left: dict[RoleName, TrustError] = {}
        """Why roles of signers that list a tag are left as they are."""

    @property
    def before(self) -> Mapping[str, Target]:
        """The tags to remove with what was released under them at the first call."""
        return self._before or {}

    def __call__(self, roles: OwnerRoles) -> Contents:
        """Return the contents without the tags. Raises: NotSigned, NotVouchedFor, KeyNotFound, TagChanged."""
        gun, tags = self._gun, self._tags
        still_released = self._still_released(roles)
        listed = {tag for role in roles.stored().values() for tag in getattr(role.content, "targets", ())}
        if self._before is None:
            self._before = still_released
            self.listed = listed
        _check_unmoved(gun, self.before, still_released, roles)
        if not self.before and not (listed if tags is None else listed & tags):
            _check_not_refused(roles, tags)
            if self._must_be_there:
                raise NotSigned(gun=gun, tag=next(iter(tags or ()), ""))
            return {}
        signable = repository_editor.signable_roles(roles, self._keys.held(public_keys(roles, {})))
        self.left = {role: roles.unvouched[role] for role in signable if self._is_left(roles, role)}
        signable = tuple(role for role in signable if role not in self.left)
        changed = repository_editor.remove_tags(roles, tags, from_roles=signable, terms=self._terms)
        begun = [role for role in roles.emptied if role in signable and role not in changed]
        changed |= repository_editor.renew(roles, begun, terms=self._terms)
        if not changed and still_released:
            tag, target = next(iter(still_released.items()))
            holders = repository_editor.holders_of(roles, target.role)
            raise KeyNotFound(key=f"that can remove {shown(tag)} from {gun} (who can: {holders})")
        if not changed and self.left and not self.before:  # no other role lists it
            raise next(iter(self.left.values()))
        return changed

    def _is_left(self, roles: OwnerRoles, role: RoleName) -> bool:
        """Return whether nobody vouches for a signer's role that lists a tag: it releases none, so it stands in no way.

        Clients do not count it until it is signed again.
        """
        listed = roles[role].targets.targets
        lists = bool(listed) if self._tags is None else not self._tags.isdisjoint(listed)
        return role in roles.unvouched and role not in releasing_roles(roles[TARGETS].targets) and lists

    def check_effect(self, after: OwnerRoles) -> None:
        """Check that no client would find one of the tags afterwards. Raises: PublishRefused."""
        for tag, target in self._still_released(after).items():
            holders = repository_editor.holders_of(after, target.role)
            reason = f"{tag} would still be released, as sha256:{target.digest}; who can remove it there: {holders}"
            raise PublishRefused(role=target.role, reason=reason)

    def check_gone(self, roles: OwnerRoles) -> None:
        """Check that none of the tags is released any more. Raises: TagChanged, PublishRefused."""
        remaining = self._still_released(roles)
        _check_unmoved(self._gun, self.before, remaining, roles)
        for tag, target in remaining.items():
            holders = repository_editor.holders_of(roles, target.role)
            raise PublishRefused(
                role=target.role, reason=f"{tag} is still released; who can remove it there: {holders}"
            )

    def _still_released(self, roles: OwnerRoles) -> dict[str, Target]:
        """Return the tags that a client may find: old ones pass over releases that do not verify (Notary v1)."""
        each = each_released(roles.sound())
        return {target.tag: target for target in each if self._tags is None or target.tag in self._tags}


def _check_not_refused(roles: OwnerRoles, tags: AbstractSet[str] | None) -> None:
    """Check that no file that nobody vouches for lists a tag of these (None: any tag). Raises: NotVouchedFor."""
    for error in roles.unvouched.values():
        if isinstance(error, NotVouchedFor) and (error.tags if tags is None else not tags.isdisjoint(error.tags)):
            raise error


def _check_unmoved(gun: GUN, before: Mapping[str, Target], now: Mapping[str, Target], roles: Roles) -> None:
    """Check that a tag that is still released stands for the same digest as at the first call. Raises: TagChanged."""
    for tag, target in now.items():
        if tag not in before or before[tag].digest != target.digest:
            raise tag_changed(gun, tag, target, roles, ours=NOTHING)
