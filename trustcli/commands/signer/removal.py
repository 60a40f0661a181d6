"""`trust signer remove`: take out a signer; `targets/releases` is signed again by the repository key."""

from __future__ import annotations

from collections.abc import Sequence

from trustcli.commands.support.owner_decisions import tell_what_was_unsound
from trustcli.commands.support.planning import Planning
from trustcli.commands.support.publication import check_visible
from trustcli.commands.support.sight import keep_what_is_there
from trustcli.publish.bulk.work import Done, Step
from trustcli.publish.effects import check_same_releases
from trustcli.publish.plan import Plan
from trustcli.session import Session
from trustdata.editing import repository_editor
from trustdata.editing.altered_entries import AlteredEntry, contradicted
from trustdata.editing.owner_roles import OwnerDecisions, OwnerRoles
from trustdata.editing.repository_editor import Contents, EditTerms
from trustdata.envelope import Envelope
from trustdata.errors import ThresholdNotMet, shown, tag_list
from trustdata.gun import GUN
from trustdata.model import Targets
from trustdata.roles import RELEASES, TARGETS, signer_name, signer_role
from trustdata.verification.checks import check_signatures
from trustdata.verification.vouching import listed_digests
from trustdata.wire import WireFormat


class SignerRemovalRun:
    """One `trust signer remove`: a `BulkWork`. `must_exist`: a collection without the signer is a failure."""

    def __init__(self, signer: str, decisions: OwnerDecisions, *, must_exist: bool) -> None:
        self._signer = signer
        self._decisions = decisions
        self._must_exist = must_exist

    def plan(self, planning: Planning, gun: GUN) -> Sequence[Plan]:
        """Return what `carry_out` would publish."""
        collection = planning.collection(gun)
        edit = self._edit(planning.session, gun, collection.wire)
        keys = planning.keys.held_keys()
        planned = planning.plan(collection, edit, keys, decisions=self._decisions, check=check_same_releases)
        if planning.shown:
            _warn_of_inherited_tags(planning.session, gun, edit, tense="would get")
        return [planned.plan]

    def carry_out(self, session: Session, gun: GUN, step: Step) -> Done:
        """Do it in one collection, and look at the result as a client. Raises: TrustError, KeysError."""
        collection = session.collection(gun, keep=False)  # what nobody has agreed to is not known afterwards
        edit = self._edit(session, gun, collection.wire)
        publisher = session.publisher(collection, session.held_keys(), lambda: collection.owner_roles(self._decisions))
        outcome = publisher.publish(edit, step.checked(check_same_releases))
        tell_what_was_unsound(session, collection.gun, outcome)
        if outcome.published is None and not edit.sent:
            keep_what_is_there(session, gun)
            return Done(changed=False, note=f"{edit.absence(outcome.roles)}: nothing to do")
        _warn_of_inherited_tags(session, gun, edit, tense="now it has")
        read = session.collection(gun)
        signers = repository_editor.signers_of(read.verify_published(outcome.uploads).roles())
        what = f"the removal of signer {self._signer} from {gun}"
        check_visible(signer_role(self._signer) not in signers, server=read.server.name, what=what)
        return Done(lines=(f"signer {self._signer} removed from {gun}",))

    def _edit(self, session: Session, gun: GUN, wire: WireFormat) -> _SignerRemoval:
        return _SignerRemoval(gun, self._signer, EditTerms.of(wire, at=session.at), must_exist=self._must_exist)


class _SignerRemoval:
    """An edit that removes a signer from one collection.

    Where there is no such signer, nothing changes, or PublishRefused is raised (`must_exist`).
    """

    def __init__(self, gun: GUN, signer: str, terms: EditTerms, *, must_exist: bool = False) -> None:
        self._must_exist = must_exist
        self._gun = gun
        self._signer = signer
        self._terms = terms
        self.sent = False
        """Whether an attempt has made a change: if nothing is left to change then, that one was stored."""
        self.inherited: Envelope | None = None
        """The releases, if nobody who stays had signed them."""
        self.corrected: tuple[AlteredEntry, ...] = ()
        """Entries that are as those who stay have signed them, and were not."""

    def __call__(self, roles: OwnerRoles) -> Contents:
        """Return the contents without the signer. Raises: PublishRefused."""
        absent = signer_role(self._signer) not in repository_editor.signers_of(roles)
        if absent and (self.sent or not self._must_exist):
            return {}
        self.sent = True
        changed = repository_editor.remove_signer(self._gun, roles, self._signer, terms=self._terms)
        self._correct(roles, changed)
        self.inherited = _inherited_releases(roles, changed)
        return changed

    def _correct(self, roles: OwnerRoles, changed: Contents) -> None:
        """Put right what the signer may have written beside digests that others have signed (docs/adr/0119)."""
        releases = changed.get(RELEASES)
        if not isinstance(releases, Targets):
            return
        self.corrected = tuple(contradicted(roles.sound(), signer_role(self._signer)))
        if self.corrected:  # the repository key signs from now on what stands in the roles of others
            roles.check_vouched(changed)
            sources = dict.fromkeys(altered.source for altered in self.corrected if altered.source is not None)
            roles.check_seen([*changed, *sources])
        for altered in self.corrected:
            releases.targets[altered.tag] = altered.entry

    def absence(self, roles: OwnerRoles) -> str:
        """Return a sentence that names who the signers are, if not this one."""
        names = ", ".join(shown(signer_name(role)) for role in repository_editor.signers_of(roles)) or "none"
        return f"{self._signer} is no signer of {self._gun} (signers: {names})"


def _inherited_releases(before: OwnerRoles, changed: Contents) -> Envelope | None:
    """Return the stored releases that are signed again if no key that stays has signed them; else None."""
    targets = changed[TARGETS]
    signed_again = RELEASES in before and RELEASES in changed and RELEASES not in before.faults
    if not signed_again or not isinstance(targets, Targets):
        return None
    try:
        check_signatures(targets, TARGETS, before[RELEASES])
    except ThresholdNotMet:
        return before[RELEASES]
    return None


def _warn_of_inherited_tags(session: Session, gun: GUN, edit: _SignerRemoval, *, tense: str) -> None:
    """Warn if nobody who stays had signed the releases: the repository key vouches for what a removed one said."""
    for altered in edit.corrected:
        what = f"{shown(altered.tag)} listed another size or other platforms than its signers have signed: theirs count"
        session.output.warn(f"{gun}: {what}")
    releases = edit.inherited
    if releases is not None:
        tags = tag_list(listed_digests(releases))
        what = f"nobody who stays had signed {RELEASES} version {releases.version}, and {tense} a signature of yours"
        session.output.warn(f"{gun}: {what}; revoke what you do not know: {tags}")
