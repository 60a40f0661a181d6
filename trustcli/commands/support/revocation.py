"""Revoke tags in several collections: for `trust revoke`, and for `trust prune`.

A tag is removed from every role that the keys here can sign. It fails if the tag is still released afterwards. Which
tags these are is said by their names, or by what they stand for (`EntryChoice`).
"""

from __future__ import annotations

from collections.abc import Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from typing import Final

from keys.errors import KeyNotFound
from trustcli.commands.support.many import Outcomes, carry_out, plan_each, refused_beforehand
from trustcli.commands.support.owner_decisions import tell_what_was_unsound
from trustcli.commands.support.planning import Planning
from trustcli.commands.support.tag_movement import NOTHING, tag_changed
from trustcli.publish.bulk.work import Done
from trustcli.publish.plan import Plan
from trustcli.publish.preparation import HeldKeys, Roles
from trustcli.session import Session
from trustdata.counting import counted
from trustdata.editing import repository_editor
from trustdata.editing.entry_choice import EntryChoice, listed_by_no_signer
from trustdata.editing.owner_roles import NOTHING_DECIDED, OwnerDecisions, OwnerRoles
from trustdata.editing.repository_editor import Contents, EditTerms, public_keys
from trustdata.errors import NotSigned, NotVouchedFor, PublishRefused, TrustError, shown
from trustdata.gun import GUN
from trustdata.roles import TARGETS, RoleName, signer_name
from trustdata.suggestion import did_you_mean
from trustdata.verification.target_lookup import Target, each_released, releasing_roles

_NAMED: Final = 10
"""How many tags a warning names."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Revocation:
    """What is revoked in one collection. `tags`: None for all. `choice`: what tags stand for; then `tags` is None.

    `must_be_there`: whether a tag that is not signed is an error, as where nothing else is asked for.
    """

    gun: GUN
    tags: frozenset[str] | None
    choice: EntryChoice | None = None
    must_be_there: bool = False

    def __str__(self) -> str:
        if self.choice is not None:
            return f"{self.choice} in {self.gun}"
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

    Tags that were not named themselves are told, one by one. Raises: TrustError, KeysError, why the only one cannot be
    done; SettingsUnusable.
    """
    plans: list[Plan] = []

    def look(planning: Planning, gun: GUN) -> list[Plan]:
        plans.append(plan_revocation(session, planning, revocations[gun], decisions))
        return plans[-1:]

    outcomes = refused_beforehand(session, list(revocations), look, blank=lambda _: {"revoked": []})
    for plan in plans if outcomes is None else ():
        for change in plan.released if revocations[plan.gun].choice is not None else ():
            if change.before is not None and change.after is None:
                session.output.notice(f"{plan.gun}:{shown(change.tag)} is sha256:{change.before}")
    return outcomes


def revoke(session: Session, revocation: Revocation, decisions: OwnerDecisions) -> Done:
    """Remove the tags; what it returns names those that are no longer released.

    Raises: NotSigned (nothing to revoke), KeyNotFound (names the signers that can), PublishRefused (it would still be
    released, so nothing was sent), NotVouchedFor, TagChanged (signed as something else since the first look),
    NotTrusted, KeysError, RemoteUnreachable, RemoteRefused, RemoteMisbehaved.
    """
    gun = revocation.gun
    collection = session.collection(gun)
    keys = session.held_keys()
    edit = _removal(revocation, keys, EditTerms.of(collection.wire, at=session.at))
    publisher = session.publisher(collection, keys, lambda: collection.owner_roles(decisions))
    try:
        outcome = publisher.publish(edit, lambda _, after: edit.check_effect(after))
    finally:
        _tell_of_nobodys(session, gun, edit)
    edit.check_gone(session.collection(gun).owner_roles())
    tell_what_was_unsound(session, gun, outcome)
    for role, error in edit.left.items():
        what = f"{shown(role)}, which clients refuse, is left as it is and lists what was revoked"
        session.output.warn(f"{gun}: {what}: {error}")
    return Done(
        changed=bool(edit.before) or outcome.attempts > 0,
        lines=tuple(f"revoked {gun}:{shown(tag)}" for tag in edit.before),
        note=edit.note(),
        row={"revoked": list(edit.before)},
    )


def plan_revocation(session: Session, planning: Planning, revocation: Revocation, decisions: OwnerDecisions) -> Plan:
    """Return what `revoke` would publish."""
    keys = planning.keys.held_keys()
    collection = planning.collection(revocation.gun)
    edit = _removal(revocation, keys, EditTerms.of(collection.wire, at=session.at))
    planned = planning.plan(collection, edit, keys, decisions=decisions, afterwards=edit.check_effect, seen_as="owner")
    _tell_of_nobodys(session, revocation.gun, edit)
    return planned.plan


def _tell_of_nobodys(session: Session, gun: GUN, edit: TagRemoval) -> None:
    """Say which tags stay that the signer may have released, and has taken out of its own role since."""
    if edit.nobodys:
        names = ", ".join(map(shown, edit.nobodys[:_NAMED])) + (", ..." if len(edit.nobodys) > _NAMED else "")
        many = counted(len(edit.nobodys), "released tag")
        what = f"{gun}: no signer lists {many}, so nothing says who has released what stands there: {names}"
        session.output.warn(f"{what}; revoke by name what must not stay")


def _removal(revocation: Revocation, keys: HeldKeys, terms: EditTerms) -> TagRemoval:
    """Return the edit that makes a revocation."""
    return (TagRemoval if revocation.choice is None else EntryRemoval)(revocation, keys, terms)


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
        self.nobodys: tuple[str, ...] = ()
        """Released tags that may be the signer's, though no signer lists them."""

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

    def note(self) -> str:
        """Return what is said of tags that are not there; "" if all are."""
        absent = [] if self._tags is None else sorted(self._tags - self.listed)
        names = ", ".join(f"{self._gun}:{shown(tag)}" for tag in absent) or self._gun
        return f"{names}: not signed, nothing to do" if absent or not self.listed else ""

    def check_effect(self, after: OwnerRoles) -> None:
        """Check that no client would find one of the tags afterwards. Raises: PublishRefused."""
        for target in self._still_released(after).values():
            raise _would_stay(target, after)

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


class EntryRemoval(TagRemoval):
    """An edit that removes what tags stand for: a digest, or what a signer has signed.

    It chooses anew at each call: a tag that was moved to something else meanwhile stays, since nobody asked for it. A
    tag that goes, goes from all roles that release tags: what lies beneath in Notary v1 is an older image.
    """

    def __init__(self, revocation: Revocation, keys: HeldKeys, terms: EditTerms) -> None:
        super().__init__(revocation, keys, terms)
        self._choice = revocation.choice or EntryChoice()
        self._pairs: set[tuple[str, str]] = set()
        self._absence = ""
        self._kept: dict[RoleName, str] = {}
        """The roles whose entries stay, since no key here signs them, with their holders."""
        self._going: set[str] = set()
        """The released tags that go, whatever lies beneath them (Notary v1)."""

    def __call__(self, roles: OwnerRoles) -> Contents:
        """Return the contents without the entries. Raises: NotSigned, NotVouchedFor, KeyNotFound, PublishRefused."""
        self._check_signer(roles)
        if self._choice.signer is not None:
            released_now = each_released(roles.sound())
            self.nobodys = listed_by_no_signer(roles.sound(), repository_editor.signers_of(roles), released_now)
        chosen = self._choice.entries(roles.stored())
        self._pairs |= {pair for tags in chosen.values() for pair in tags.items()}
        released = self._still_released(roles)
        if self._before is None:
            self._before = released
            self.listed = frozenset(tag for tags in chosen.values() for tag in tags)
        self._check_readable(roles)
        if not chosen:
            if self._must_be_there and not self.before:
                raise NotSigned(gun=self._gun, tag=self._sought())
            return {}
        signable = repository_editor.signable_roles(roles, self._keys.held(public_keys(roles, {})))
        releasing = releasing_roles(roles[TARGETS].targets)
        self._going = set(released)
        removed = {role: set(tags) for role, tags in chosen.items()}
        for role in releasing:
            removed.setdefault(role, set()).update(self._going)
        self.left = {
            role: roles.unvouched[role] for role in chosen if role in roles.unvouched and role not in releasing
        }
        changed: Contents = {}
        for role in signable:
            if role in removed and role not in self.left:
                changed |= repository_editor.remove_tags(roles, removed[role], from_roles=[role], terms=self._terms)
        if not changed and released:
            tag, target = next(iter(released.items()))
            holders = repository_editor.holders_of(roles, target.role)
            raise KeyNotFound(key=f"that can remove {shown(tag)} from {self._gun} (who can: {holders})")
        self._kept = {
            role: repository_editor.holders_of(roles, role)
            for role in chosen.keys() - changed.keys() - self.left.keys()
        }
        return changed

    def note(self) -> str:
        """Return what is said where nothing was chosen, or where others list it still."""
        if self.listed:
            kept = (
                f"{shown(role)} lists it still, and releases nothing (who can remove it there: {holders})"
                for role, holders in sorted(self._kept.items())
            )
            return "\n".join(f"{self._gun}: {what}" for what in kept)
        return f"{self._gun}: {self._absence or f'{self._choice}: no tag'}, nothing to do"

    def check_effect(self, after: OwnerRoles) -> None:
        """Check that no client would find one of the tags, or what lies beneath (Notary v1). Raises: PublishRefused."""
        self._check_none_released(after, self._going)

    def check_gone(self, roles: OwnerRoles) -> None:
        """Check that nothing of it is released any more; tags may stand for something else. Raises: PublishRefused."""
        self._check_none_released(roles, frozenset())

    def _check_none_released(self, roles: OwnerRoles, tags: AbstractSet[str]) -> None:
        for target in each_released(roles.sound()):
            if target.tag in tags or self._is_chosen(target):
                raise _would_stay(target, roles)

    def _sought(self) -> str:
        return f"sha256:{min(self._choice.digests)}" if self._choice.digests else ""

    def _check_signer(self, roles: OwnerRoles) -> None:
        """Note that there is no such signer; where only one collection is named, it is an error: PublishRefused."""
        role, known = self._choice.signer, repository_editor.signers_of(roles)
        if role is None or role in known:
            return
        names = list(map(signer_name, known))
        meant = did_you_mean(signer_name(role), names)
        listed = ", ".join(map(shown, names)) or "none"
        self._absence = f"{shown(signer_name(role))} is no signer of {self._gun} (signers: {listed}){meant}"
        if self._must_be_there:
            raise PublishRefused(role=role, reason=self._absence)

    def _check_readable(self, roles: OwnerRoles) -> None:
        """Check that every role that releases tags can be read: it may list what is sought. Raises: TrustError."""
        for role in releasing_roles(roles[TARGETS].targets):
            if role in roles.unvouched and role not in roles.stored():
                raise roles.unvouched[role]

    def _still_released(self, roles: OwnerRoles) -> dict[str, Target]:
        """Return the released tags that stand for what is chosen."""
        return {target.tag: target for target in each_released(roles.sound()) if self._is_chosen(target)}

    def _is_chosen(self, target: Target) -> bool:
        return self._choice.is_met(target) or (target.tag, target.digest) in self._pairs


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


def _would_stay(target: Target, roles: OwnerRoles) -> PublishRefused:
    holders = repository_editor.holders_of(roles, target.role)
    reason = f"{target.tag} would still be released, as sha256:{target.digest}; who can remove it there: {holders}"
    return PublishRefused(role=target.role, reason=reason)
