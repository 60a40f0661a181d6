"""`trust revoke`: remove a tag, or all tags, from every role that the keys here can sign.

It fails if the tag is still released afterwards.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated

import typer

from keys.errors import KeyNotFound
from trustcli.commands.support.confirmation import confirm
from trustcli.commands.support.owner_decisions import (
    AcceptExpired,
    AcceptUnsigned,
    StartEmpty,
    owner_decisions,
    tell_what_was_unsound,
)
from trustcli.commands.support.planning import Planning
from trustcli.commands.support.tag_movement import NOTHING, tag_changed
from trustcli.console.exit_codes import DONE
from trustcli.errors import UsageError
from trustcli.publish.plan import Plan
from trustcli.publish.preparation import HeldKeys, Roles
from trustcli.registry.reference import ImageReference, parse_reference
from trustcli.session import Session
from trustdata.editing import repository_editor
from trustdata.editing.owner_roles import NOTHING_DECIDED, OwnerDecisions, OwnerRoles
from trustdata.editing.repository_editor import Contents, EditTerms, public_keys
from trustdata.errors import NotSigned, NotVouchedFor, PublishRefused, TrustError, shown
from trustdata.gun import GUN
from trustdata.roles import TARGETS, RoleName, signer_name
from trustdata.verification.target_lookup import Target, each_released, releasing_roles

app = typer.Typer(add_completion=False, rich_markup_mode=None)


@app.command("revoke")
def command(
    ctx: typer.Context,
    image: Annotated[str, typer.Argument(metavar="IMAGE[:TAG]")],
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
    plan_: Annotated[bool, typer.Option("--plan", help="Show what would be done; nothing is written or sent.")] = False,
    accept_unsigned: AcceptUnsigned = None,
    accept_expired: AcceptExpired = None,
    start_empty: StartEmpty = None,
) -> int:
    """Remove a tag, or all tags, from every role that we can sign."""
    session: Session = ctx.obj
    reference = parse_reference(image)
    if reference.digest:
        raise UsageError("revoke takes a tag, not a digest")
    decisions = owner_decisions(
        guns=[reference.gun], accept_unsigned=accept_unsigned, accept_expired=accept_expired, start_empty=start_empty
    )
    if plan_:
        planning = Planning(session)
        return planning.report([plan(session, planning, reference, decisions)])
    what = f"{reference.gun}:{reference.tag}" if reference.tag else f"all tags of {reference.gun}"
    if not yes and not confirm(session, f"Revoke {what}?"):
        raise UsageError(f"nothing was revoked; to revoke {what} without being asked: --yes")
    removed = revoke(session, reference, decisions)
    for tag in removed:
        session.output.result(f"revoked {reference.gun}:{shown(tag)}")
    session.output.document({"gun": reference.gun, "revoked": list(removed), "exit": DONE})
    return DONE


def revoke(session: Session, reference: ImageReference, decisions: OwnerDecisions = NOTHING_DECIDED) -> tuple[str, ...]:
    """Remove the tag (all tags, if the reference has none) and return the tags that are no longer released.

    Raises: NotSigned (nothing to revoke), KeyNotFound (names the signers that can), PublishRefused (it would still be
    released, so nothing was sent), NotVouchedFor, TagChanged (signed as something else since the first look),
    NotTrusted, KeysError, RemoteUnreachable, RemoteRefused, RemoteMisbehaved.
    """
    collection = session.collection(reference.gun)
    keys = session.held_keys()
    edit = TagRemoval(reference, keys, EditTerms.of(collection.wire, at=session.at))
    publisher = session.publisher(collection, keys, lambda: collection.owner_roles(decisions))
    outcome = publisher.publish(edit, lambda _, after: edit.check_effect(after))
    edit.check_gone(session.collection(reference.gun).owner_roles())
    tell_what_was_unsound(session, reference.gun, outcome)
    for role, error in edit.left.items():
        what = f"{shown(role)}, which clients refuse, is left as it is and lists what was revoked"
        session.output.warn(f"{reference.gun}: {what}: {error}")
    return tuple(edit.before)


def plan(session: Session, planning: Planning, reference: ImageReference, decisions: OwnerDecisions) -> Plan:
    """Return what `revoke` would publish."""
    keys = planning.keys.held_keys()
    collection = planning.collection(reference.gun)
    edit = TagRemoval(reference, keys, EditTerms.of(collection.wire, at=session.at))
    return planning.plan(
        collection, edit, keys, decisions=decisions, afterwards=edit.check_effect, seen_as="owner"
    ).plan


class TagRemoval:
    """An edit that removes tags, and remembers what they stood for at the first call (`before`)."""

    def __init__(self, reference: ImageReference, keys: HeldKeys, terms: EditTerms) -> None:
        self._reference = reference
        self._keys = keys
        self._terms = terms
        self._before: dict[str, Target] | None = None
        self.left: dict[RoleName, TrustError] = {}
        """Why roles of signers that list a tag are left as they are."""

    @property
    def before(self) -> Mapping[str, Target]:
        """The tags to remove with what was released under them at the first call."""
        return self._before or {}

    def __call__(self, roles: OwnerRoles) -> Contents:
        """Return the contents without the tags. Raises: NotSigned, NotVouchedFor, KeyNotFound, TagChanged."""
        gun, tag = self._reference.gun, self._reference.tag
        still_released = self._still_released(roles)
        if self._before is None:
            self._before = still_released
        _check_unmoved(gun, self.before, still_released, roles)
        listed = {tag for role in roles.stored().values() for tag in getattr(role.content, "targets", ())}
        if not self.before and not (tag in listed if tag else listed):
            _check_not_refused(roles, tag)
            raise NotSigned(gun=gun, tag=tag or "")
        signable = repository_editor.signable_roles(roles, self._keys.held(public_keys(roles, {})))
        self.left = {role: roles.unvouched[role] for role in signable if self._is_left(roles, role)}
        signable = tuple(role for role in signable if role not in self.left)
        changed = repository_editor.remove_tags(roles, [tag] if tag else None, from_roles=signable, terms=self._terms)
        begun = [role for role in roles.emptied if role in signable and role not in changed]
        changed |= repository_editor.renew(roles, begun, terms=self._terms)
        if not changed and still_released:
            holders = (
                ", ".join(map(signer_name, repository_editor.signers_of(roles))) or "the holder of the repository key"
            )
            raise KeyNotFound(key=f"that can remove {next(iter(still_released))} from {gun} (who can: {holders})")
        if not changed and self.left and not self.before:  # no other role lists it
            raise next(iter(self.left.values()))
        return changed

    def _is_left(self, roles: OwnerRoles, role: RoleName) -> bool:
        """Return whether nobody vouches for a signer's role that lists a tag: it releases none, so it stands in no way.

        Clients do not count it until it is signed again.
        """
        listed = roles[role].targets.targets
        lists = self._reference.tag in listed if self._reference.tag else bool(listed)
        return role in roles.unvouched and role not in releasing_roles(roles[TARGETS].targets) and lists

    def check_effect(self, after: OwnerRoles) -> None:
        """Check that no client would find one of the tags afterwards. Raises: PublishRefused."""
        for tag, target in self._still_released(after).items():
            names = [signer_name(name) for name in repository_editor.signers_of(after)]
            holders = ["the holder of the repository key"] if target.role == TARGETS else names
            reason = f"{tag} would still be released, as sha256:{target.digest}; who can remove it there: "
            raise PublishRefused(role=target.role, reason=reason + ", ".join(holders))

    def check_gone(self, roles: OwnerRoles) -> None:
        """Check that none of the tags is released any more. Raises: TagChanged, PublishRefused."""
        remaining = self._still_released(roles)
        _check_unmoved(self._reference.gun, self.before, remaining, roles)
        for tag, target in remaining.items():
            raise PublishRefused(role=target.role, reason=f"{tag} is still released; its signers must revoke it")

    def _still_released(self, roles: OwnerRoles) -> dict[str, Target]:
        """Return the tags that a client may find: old ones pass over releases that do not verify (Notary v1)."""
        each = each_released(roles.sound())
        return {target.tag: target for target in each if self._reference.tag in (None, target.tag)}


def _check_not_refused(roles: OwnerRoles, tag: str | None) -> None:
    """Check that no file that nobody vouches for lists the tag (None: any tag). Raises: NotVouchedFor."""
    for error in roles.unvouched.values():
        if isinstance(error, NotVouchedFor) and (tag in error.tags if tag else error.tags):
            raise error


def _check_unmoved(gun: GUN, before: Mapping[str, Target], now: Mapping[str, Target], roles: Roles) -> None:
    """Check that a tag that is still released stands for the same digest as at the first call. Raises: TagChanged."""
    for tag, target in now.items():
        if tag not in before or before[tag].digest != target.digest:
            raise tag_changed(gun, tag, target, roles, ours=NOTHING)
