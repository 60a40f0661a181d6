"""`trust signer`: add, remove and list signers: who sign tags with keys of their own (ADR 0008)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Annotated, TypeAlias

import typer

from keys.keyid import short_keyid
from trustcli.client.collection import Collection
from trustcli.commands.support.alias_option import AgreeToAlias
from trustcli.commands.support.aliases import agree_to_aliases
from trustcli.commands.support.compromised import refuse_compromised
from trustcli.commands.support.list_options import NamesFile
from trustcli.commands.support.many import PlanOne, carry_out, plan_each, read_each
from trustcli.commands.support.name_lists import named_collections
from trustcli.commands.support.owner_decisions import (
    AcceptExpired,
    AcceptUnsigned,
    StartEmpty,
    owner_decisions,
    tell_what_was_unsound,
    warn_of_unvouched,
)
from trustcli.commands.support.planning import Planning
from trustcli.commands.support.publication import check_visible
from trustcli.commands.support.signer_key import signer_key
from trustcli.publish.bulk.work import Done
from trustcli.publish.effects import check_same_releases
from trustcli.publish.plan import Plan
from trustcli.publish.publisher import Edit, PublishResult
from trustcli.session import Session
from trustdata.editing import repository_editor
from trustdata.editing.owner_roles import OwnerDecisions, OwnerRoles, emptied
from trustdata.editing.repository_editor import Contents, EditTerms
from trustdata.envelope import Envelope
from trustdata.errors import ThresholdNotMet, shown, tag_list
from trustdata.gun import GUN
from trustdata.inspection import inspect
from trustdata.model import Targets
from trustdata.roles import RELEASES, TARGETS, RoleName, signer_name, signer_role
from trustdata.verification.checks import check_signatures
from trustdata.verification.vouching import listed_digests
from trustdata.wire import WireFormat
from trustdata.wire.tuf import TUF

app = typer.Typer(add_completion=False, rich_markup_mode=None, help="Add, remove and list signers.")

EditFor: TypeAlias = Callable[[GUN, WireFormat], Edit]
"""A function from a collection's name and format to an edit of it."""


@app.command("add")
def add(
    ctx: typer.Context,
    signer: Annotated[str, typer.Argument(metavar="SIGNER")],
    key: Annotated[
        list[str],
        typer.Option(metavar="FILE", help="The signer's public key (PEM, or a key URI); may be repeated."),
    ],
    names: Annotated[list[str] | None, typer.Argument(metavar="NAME...")] = None,
    names_file: NamesFile = None,
    yes: AgreeToAlias = False,
    plan_: Annotated[bool, typer.Option("--plan", help="Show what would be done; nothing is written or sent.")] = False,
    accept_unsigned: AcceptUnsigned = None,
    accept_expired: AcceptExpired = None,
    start_empty: StartEmpty = None,
) -> int:
    """Add a signer, or further keys to one, in each collection."""
    session: Session = ctx.obj
    keys = [signer_key(session, named) for named in key]
    for each in keys:
        refuse_compromised(session, each)
    role = signer_role(signer)
    guns = named_collections(session, names, names_file)
    agree_to_aliases(session, guns, yes=yes or plan_)
    decisions = owner_decisions(
        guns=guns, accept_unsigned=accept_unsigned, accept_expired=accept_expired, start_empty=start_empty
    )

    def addition(_: GUN, wire: WireFormat) -> Edit:
        terms = EditTerms.of(wire, at=session.at)
        encoded = [wire.encode_key(k) for k in keys]

        def edit(roles: OwnerRoles) -> Contents:
            known_keyids = repository_editor.signers_of(roles).get(role, ())
            new = [k for k in encoded if k.keyid not in known_keyids]
            if not new:
                return {}
            begun = {r: emptied(file) for r, file in roles.undelegated.items() if r in decisions.start_empty}
            changed = repository_editor.add_signer(roles, signer, new, terms=terms)
            return changed | repository_editor.renew({**roles, **begun}, begun, terms=terms)

        return edit

    def add_to(gun: GUN) -> Done:
        collection = session.collection(gun)
        outcome = _publish(session, collection, addition(gun, collection.wire), decisions)
        signers, server = _signers_now(session, gun, outcome)
        keyids = {collection.wire.encode_key(k).keyid for k in keys}
        what = f"signer {signer} with key {', '.join(short_keyid(keyid) for keyid in sorted(keyids))} in {gun}"
        check_visible(keyids <= set(signers.get(role, ())), server=server, what=what)
        done = "added to" if outcome.published else "is a signer with these keys already of"
        return Done(changed=outcome.published is not None, lines=(f"signer {signer} {done} {gun}",))

    check = _checking(session, addition, decisions)
    if plan_:
        return plan_each(session, guns, check)
    outcomes = carry_out(session, guns, check=check, do=add_to)
    return outcomes.report(signer=signer, keys=[TUF.encode_key(k).keyid for k in keys])


@app.command("remove")
def remove(
    ctx: typer.Context,
    signer: Annotated[str, typer.Argument(metavar="SIGNER")],
    names: Annotated[list[str] | None, typer.Argument(metavar="NAME...")] = None,
    names_file: NamesFile = None,
    existing: Annotated[
        bool, typer.Option("--existing", help="Fail where there is no such signer, as docker does.")
    ] = False,
    yes: AgreeToAlias = False,
    plan_: Annotated[bool, typer.Option("--plan", help="Show what would be done; nothing is written or sent.")] = False,
    accept_unsigned: AcceptUnsigned = None,
    accept_expired: AcceptExpired = None,
    start_empty: StartEmpty = None,
) -> int:
    """Remove a signer; `targets/releases` is signed again in the same publish."""
    session: Session = ctx.obj
    signer_role(signer)
    guns = named_collections(session, names, names_file)
    agree_to_aliases(session, guns, yes=yes or plan_)
    decisions = owner_decisions(
        guns=guns, accept_unsigned=accept_unsigned, accept_expired=accept_expired, start_empty=start_empty
    )

    def removal(gun: GUN, wire: WireFormat) -> _SignerRemoval:
        return _SignerRemoval(gun, signer, EditTerms.of(wire, at=session.at), must_exist=existing)

    def remove_from(gun: GUN) -> Done:
        collection = session.collection(gun)
        edit = removal(gun, collection.wire)
        outcome = _publish(session, collection, edit, decisions)
        if outcome.published is None and not edit.sent:
            return Done(changed=False, note=f"{edit.absence(outcome.roles)}: nothing to do")
        _warn_of_inherited_tags(session, gun, edit, tense="now it has")
        signers, server = _signers_now(session, gun, outcome)
        check_visible(
            signer_role(signer) not in signers, server=server, what=f"the removal of signer {signer} from {gun}"
        )
        return Done(lines=(f"signer {signer} removed from {gun}",))

    check = _checking(session, removal, decisions)
    if plan_:
        return plan_each(session, guns, check)
    return carry_out(session, guns, check=check, do=remove_from).report(signer=signer)


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

    def __call__(self, roles: OwnerRoles) -> Contents:
        """Return the contents without the signer. Raises: PublishRefused."""
        absent = signer_role(self._signer) not in repository_editor.signers_of(roles)
        if absent and (self.sent or not self._must_exist):
            return {}
        self.sent = True
        changed = repository_editor.remove_signer(self._gun, roles, self._signer, terms=self._terms)
        self.inherited = _inherited_releases(roles, changed)
        return changed

    def absence(self, roles: OwnerRoles) -> str:
        """Return a sentence that names who the signers are, if not this one."""
        names = ", ".join(shown(signer_name(role)) for role in repository_editor.signers_of(roles)) or "none"
        return f"{self._signer} is no signer of {self._gun} (signers: {names})"


def _publish(session: Session, collection: Collection, edit: Edit, decisions: OwnerDecisions) -> PublishResult:
    """Publish an edit that changes no tag, and warn of roles that clients refuse."""
    publisher = session.publisher(collection, session.held_keys(), lambda: collection.owner_roles(decisions))
    outcome = publisher.publish(edit, check_same_releases)
    tell_what_was_unsound(session, collection.gun, outcome)
    return outcome


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


def _warn_of_inherited_tags(session: Session, gun: GUN, edit: Edit, *, tense: str) -> None:
    """Warn if nobody who stays had signed the releases: the repository key vouches for what a removed one said."""
    releases = edit.inherited if isinstance(edit, _SignerRemoval) else None
    if releases is not None:
        tags = tag_list(listed_digests(releases))
        what = f"nobody who stays had signed {RELEASES} version {releases.version}, and {tense} a signature of yours"
        session.output.warn(f"{gun}: {what}; revoke what you do not know: {tags}")


def _checking(session: Session, edit_for: EditFor, decisions: OwnerDecisions) -> PlanOne:
    """Return the check of a command that changes no tag."""

    def check(planning: Planning, gun: GUN) -> Sequence[Plan]:
        collection = planning.collection(gun)
        edit = edit_for(gun, collection.wire)
        keys = planning.keys.held_keys()
        plan = planning.plan(collection, edit, keys, decisions=decisions, check=check_same_releases).plan
        if planning.shown:
            _warn_of_inherited_tags(session, gun, edit, tense="would get")
        return [plan]

    return check


@app.command("list")
def list_(
    ctx: typer.Context,
    names: Annotated[list[str] | None, typer.Argument(metavar="NAME...")] = None,
    names_file: NamesFile = None,
) -> int:
    """List the signers of collections and the ids of their keys."""
    session: Session = ctx.obj
    guns = named_collections(session, names, names_file)
    signers: dict[GUN, list[dict[str, object]]] = {}

    def read(gun: GUN) -> Done:
        roles = session.collection(gun).owner_roles()
        warn_of_unvouched(session, gun, roles)
        found = inspect(roles.sound()).signers
        signers[gun] = [{"name": signer_keys.name, "keys": list(signer_keys.keyids)} for signer_keys in found]
        # Of one collection the lines are what they always were; of several each says whose it is.
        whose = f"{gun}\t" if len(guns) > 1 else ""
        lines = tuple(f"{whose}{shown(one.name)}\t{', '.join(one.keyids)}" for one in found)
        note = "" if found else f"{gun}: no signers; trust signer add --key FILE SIGNER {gun} adds one"
        return Done(lines=lines, note=note, row={"signers": signers[gun]})

    outcomes = read_each(session, guns, read)
    only = {"gun": guns[0], "signers": signers.get(guns[0], [])} if len(guns) == 1 else {}
    return outcomes.report(**only)


def _signers_now(session: Session, gun: GUN, outcome: PublishResult) -> tuple[dict[RoleName, tuple[str, ...]], str]:
    """Return the signers and their key ids as a client reads them now, and the name of the server."""
    collection = session.collection(gun)
    roles = collection.verify_published(outcome.uploads).roles()
    return repository_editor.signers_of(roles), collection.server.name
