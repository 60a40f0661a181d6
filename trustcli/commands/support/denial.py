"""Deny digests in several collections, and allow them again: for `trust deny` (docs/adr/0108).

The list stands in `targets`, so only the owner of the repository key writes it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from trustcli.client.collection import Collection
from trustcli.commands.support.many import Outcomes, carry_out, plan_each, read_each, refused_beforehand
from trustcli.commands.support.owner_decisions import tell_what_was_unsound
from trustcli.commands.support.planning import Planning
from trustcli.commands.support.publication import check_visible
from trustcli.publish.bulk.work import Done
from trustcli.publish.plan import Plan
from trustcli.session import Session
from trustdata.counting import counted
from trustdata.denied import DenyList, deny_list
from trustdata.editing import denying
from trustdata.editing.denying import released_although_denied
from trustdata.editing.owner_roles import OwnerDecisions, OwnerRoles
from trustdata.editing.repository_editor import Contents, EditTerms
from trustdata.errors import shown
from trustdata.gun import GUN
from trustdata.roles import TARGETS


@dataclass(frozen=True, slots=True, kw_only=True)
class Denial:
    """What is denied in one collection (`sha256:HEX`), or is denied there no longer if `removes`."""

    gun: GUN
    digests: tuple[str, ...]
    reason: str = ""
    removes: bool = False

    def __str__(self) -> str:
        return ", ".join(f"{self.gun}@{digest}" for digest in self.digests)

    def fits(self, denied: DenyList, digests: Iterable[str]) -> bool:
        """Return whether a list says of these digests what it shall say."""
        if self.removes:
            return not any(digest in denied for digest in digests)
        return all(digest in denied and self.reason in {"", denied.reason(digest)} for digest in digests)


def plan_denials(session: Session, denials: Mapping[GUN, Denial], decisions: OwnerDecisions) -> int:
    """Print what would be published, and return the worst status. Raises: SettingsUnusable."""
    return plan_each(session, list(denials), lambda planning, gun: [_plan(session, planning, denials[gun], decisions)])


def denials_refused(session: Session, denials: Mapping[GUN, Denial], decisions: OwnerDecisions) -> Outcomes | None:
    """Look before the user is asked, as `revocation.revocations_refused` does. Raises: TrustError, KeysError."""
    return refused_beforehand(
        session,
        list(denials),
        lambda planning, gun: [_plan(session, planning, denials[gun], decisions)],
        blank=lambda _: _row(()),
    )


def carry_out_denials(session: Session, denials: Mapping[GUN, Denial], decisions: OwnerDecisions) -> Outcomes:
    """Change the list of each collection by the rule of `many`. Raises: SettingsUnusable."""
    return carry_out(
        session,
        list(denials),
        check=lambda planning, gun: [_plan(session, planning, denials[gun], decisions)],
        do=lambda gun: _deny(session, denials[gun], decisions),
        blank=lambda _: _row(()),
    )


def list_denied(session: Session, guns: tuple[GUN, ...]) -> Outcomes:
    """Read what each collection denies. Raises: UsageError."""
    return read_each(session, guns, lambda gun: _listed(session, gun), blank=lambda _: _row(()))


def _listed(session: Session, gun: GUN) -> Done:
    roles = session.collection(gun).owner_roles()
    denied = deny_list(gun, roles[TARGETS].targets)
    lines = [f"{gun}@{digest}{f'  {shown(reason)}' if reason else ''}" for digest, reason in denied.reasons().items()]
    note = "" if lines else f"{gun} denies nothing"
    return Done(lines=tuple(lines), note=note, row=_row((), denied))


def _plan(session: Session, planning: Planning, denial: Denial, decisions: OwnerDecisions) -> Plan:
    collection = planning.collection(denial.gun)
    edit = _DenialEdit(denial, _terms(session, collection))
    return planning.plan(collection, edit, planning.keys.held_keys(), decisions=decisions, seen_as="owner").plan


def _deny(session: Session, denial: Denial, decisions: OwnerDecisions) -> Done:
    """Change the list; what it returns names the digests that were not on it before, or no longer are.

    Raises: FormatCannotDeny, PublishRefused, NotVouchedFor, NotTrusted, KeysError, RemoteUnreachable, RemoteRefused,
    RemoteMisbehaved (the list is not there afterwards).
    """
    gun = denial.gun
    collection = session.collection(gun)
    keys = session.held_keys()
    edit = _DenialEdit(denial, _terms(session, collection))
    publisher = session.publisher(collection, keys, lambda: collection.owner_roles(decisions))
    outcome = publisher.publish(edit)
    tell_what_was_unsound(session, gun, outcome)
    roles = session.collection(gun).owner_roles()
    denied = deny_list(gun, roles[TARGETS].targets)
    check_visible(
        denial.fits(denied, denial.digests), server=collection.server.name, what=f"the list of denied digests of {gun}"
    )
    if not denial.removes:
        for target in released_although_denied(denied, roles.each_released()):
            session.output.notice(f"{gun}:{shown(target.tag)} is signed still, and nothing lets it run")
    verb = "denied no longer" if denial.removes else "denied"
    so_already = "not on the list" if denial.removes else "denied already"
    same = [digest for digest in denial.digests if digest not in edit.changed]
    return Done(
        changed=outcome.published is not None,
        lines=tuple(f"{verb} {gun}@{digest}" for digest in denial.digests if digest in edit.changed),
        note=f"{gun}: {counted(len(same), 'digest')} {so_already}, nothing to do" if same else "",
        row=_row(tuple(edit.changed), denied),
    )


def _row(changed: tuple[str, ...], denied: DenyList | None = None) -> dict[str, object]:
    listed = denied.reasons() if denied is not None else {}
    rows = [{"digest": digest, "reason": reason} for digest, reason in listed.items()]
    return {"changed": sorted(changed), "denied": rows}


def _terms(session: Session, collection: Collection) -> EditTerms:
    return EditTerms.of(collection.wire, at=session.at)


@dataclass(slots=True)
class _DenialEdit:
    """An edit of the list, which remembers what it had to change at its first call."""

    denial: Denial
    terms: EditTerms
    changed: tuple[str, ...] = ()
    _called: bool = field(default=False)

    def __call__(self, roles: OwnerRoles) -> Contents:
        """Return targets with the list as it shall be. Raises: FormatCannotDeny, PublishRefused, NotVouchedFor."""
        denial = self.denial
        roles.check_may_sign([TARGETS])
        before = deny_list(denial.gun, roles[TARGETS].targets)
        if not self._called:
            self._called = True
            self.changed = tuple(digest for digest in denial.digests if not denial.fits(before, [digest]))
        if denial.removes:
            return denying.deny_no_longer(denial.gun, roles, denial.digests, terms=self.terms)
        return denying.deny(denial.gun, roles, dict.fromkeys(denial.digests, denial.reason), terms=self.terms)
