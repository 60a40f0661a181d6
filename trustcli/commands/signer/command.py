"""`trust signer`: add, remove, list and rotate signers, who sign tags with keys of their own (ADR 0008)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from collections.abc import Set as AbstractSet
from typing import Annotated, TypeAlias

import typer

from keys.keyid import short_keyid
from trustcli.client.collection import Collection
from trustcli.commands.signer.removal import SignerRemovalRun
from trustcli.commands.signer.rotation import SignerRotation, SignerRotationRun
from trustcli.commands.support.aliases import agree_to_aliases
from trustcli.commands.support.bulk import JOBS, BulkCommand, BulkOptions, Jobs, ReportFile
from trustcli.commands.support.change_options import AgreeToAlias, OnlyPlan
from trustcli.commands.support.compromised import refuse_compromised
from trustcli.commands.support.list_options import NamesFile
from trustcli.commands.support.many import PlanOne, carry_out, plan_each, read_each
from trustcli.commands.support.name_lists import named_collections
from trustcli.commands.support.named_key import named_key
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
from trustcli.commands.support.selection import AllWith, Globs, select, where
from trustcli.commands.support.sight import AcceptUnseen, Sight
from trustcli.commands.support.signer_key import new_signer_key, signer_key
from trustcli.errors import UsageError
from trustcli.publish.bulk.work import Done
from trustcli.publish.effects import check_same_releases
from trustcli.publish.plan import Plan
from trustcli.publish.publisher import Edit, PublishResult
from trustcli.session import Session
from trustdata.editing import repository_editor
from trustdata.editing.owner_roles import OwnerDecisions, OwnerRoles, emptied
from trustdata.editing.repository_editor import Contents, EditTerms
from trustdata.errors import shown
from trustdata.gun import GUN
from trustdata.inspection import inspect
from trustdata.roles import ROOT, TARGETS, RoleName, signer_name, signer_role
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
    plan_: OnlyPlan = False,
    accept_unsigned: AcceptUnsigned = None,
    accept_expired: AcceptExpired = None,
    accept_unseen: AcceptUnseen = None,
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
    sight = Sight(session, accept_unseen, accept_unsigned, accept_expired, yes=yes)
    decisions = owner_decisions(
        guns=guns,
        accept_unsigned=accept_unsigned,
        accept_expired=accept_expired,
        start_empty=start_empty,
        look=sight,
    )

    told: set[str] = set()

    def addition(gun: GUN, wire: WireFormat) -> Edit:
        terms = EditTerms.of(wire, at=session.at)
        encoded = [wire.encode_key(k) for k in keys]

        def edit(roles: OwnerRoles) -> Contents:
            known_keyids = repository_editor.signers_of(roles).get(role, ())
            new = [k for k in encoded if k.keyid not in known_keyids]
            if not new:
                return {}
            shared = _shared(roles, role, {k.keyid for k in new})
            if shared and gun not in told:
                told.add(gun)
                session.output.warn(f"{gun}: {shared}: whoever has it signs as {signer}, too")
            begun = {r: emptied(file) for r, file in roles.undelegated.items() if r in decisions.start_empty}
            changed = repository_editor.add_signer(roles, signer, new, terms=terms)
            return changed | repository_editor.renew({**roles, **begun}, begun, terms=terms)

        return edit

    def add_to(gun: GUN) -> Done:
        collection = session.collection(gun, keep=False)  # what nobody has agreed to is not known afterwards
        outcome = _publish(session, collection, addition(gun, collection.wire), decisions)
        signers, server = _signers_now(session, gun, outcome)
        keyids = {collection.wire.encode_key(k).keyid for k in keys}
        what = f"signer {signer} with key {', '.join(short_keyid(keyid) for keyid in sorted(keyids))} in {gun}"
        check_visible(keyids <= set(signers.get(role, ())), server=server, what=what)
        done = "added to" if outcome.published else "is a signer with these keys already of"
        return Done(changed=outcome.published is not None, lines=(f"signer {signer} {done} {gun}",))

    check = _checking(addition, decisions)
    if plan_:
        return plan_each(session, guns, check)
    outcomes = carry_out(session, guns, check=check, do=add_to)
    return outcomes.report(signer=signer, keys=[TUF.encode_key(k).keyid for k in keys])


def _shared(roles: OwnerRoles, role: RoleName, keyids: AbstractSet[str]) -> str:
    """Return which of these keys is that of somebody else already, in words; "" if none is."""
    holders = {other: keyids & set(own) for other, own in repository_editor.signers_of(roles).items() if other != role}
    holders[TARGETS] = keyids & set(roles[ROOT].root.roles[TARGETS].keyids)
    for other, same in holders.items():
        if same:
            whose = "the repository key" if other == TARGETS else f"a key of {signer_name(other)}"
            return f"{', '.join(map(short_keyid, sorted(same)))} is {whose} already"
    return ""


@app.command("remove")
def remove(
    ctx: typer.Context,
    signer: Annotated[str, typer.Argument(metavar="SIGNER")],
    names: Annotated[list[str] | None, typer.Argument(metavar="[NAME]...")] = None,
    names_file: NamesFile = None,
    everywhere: Annotated[
        bool, typer.Option("--everywhere", help="Every collection known here that has this signer.")
    ] = False,
    globs: Globs = None,
    jobs: Jobs = JOBS,
    report: ReportFile = None,
    existing: Annotated[
        bool, typer.Option("--existing", help="Fail where there is no such signer, as docker does.")
    ] = False,
    yes: AgreeToAlias = False,
    plan_: OnlyPlan = False,
    accept_unsigned: AcceptUnsigned = None,
    accept_expired: AcceptExpired = None,
    accept_unseen: AcceptUnseen = None,
    start_empty: StartEmpty = None,
) -> int:
    """Remove a signer; `targets/releases` is signed again in the same publish."""
    session: Session = ctx.obj
    role = signer_role(signer)
    if everywhere and (names or names_file is not None):
        raise UsageError("--everywhere is for every collection: name none beside it")
    chosen = select(session, names, names_file, globs=globs, everywhere=everywhere, yes=yes or plan_)
    guns = chosen.guns
    if everywhere and guns:
        guns = where(session, guns, lambda roles: role in repository_editor.signers_of(roles))
        if not guns:
            session.output.notice(f"no collection that is known here has a signer {signer}: nothing to do")
    sight = Sight(session, accept_unseen, accept_unsigned, accept_expired, yes=yes)
    decisions = owner_decisions(
        guns=guns,
        accept_unsigned=accept_unsigned,
        accept_expired=accept_expired,
        start_empty=start_empty,
        look=sight,
    )
    bulk = BulkCommand(
        session,
        guns,
        what=f"signer remove {signer}",
        terms={"existing": existing, "glob": globs, "everywhere": everywhere},
        options=BulkOptions(typed=chosen.typed, yes=yes, jobs=jobs, report=report),
        sight=sight,
    )
    work = SignerRemovalRun(signer, decisions, must_exist=existing)
    if plan_:
        return bulk.plan(work)
    bulk.carry_out(work)
    return bulk.report(signer=signer)


@app.command("rotate")
def rotate(
    ctx: typer.Context,
    signer: Annotated[str, typer.Argument(metavar="SIGNER")],
    names: Annotated[list[str] | None, typer.Argument(metavar="[NAME]...")] = None,
    names_file: NamesFile = None,
    globs: Globs = None,
    all_with: AllWith = "",
    key: Annotated[
        str,
        typer.Option(
            "--key", "--new-key", metavar="KEY", help="The new key: of the store, a public key in a file, or a key URI."
        ),
    ] = "",
    replace: Annotated[
        str, typer.Option("--replace", metavar="KEY", help="The key that goes, where the signer has several.")
    ] = "",
    jobs: Jobs = JOBS,
    report: ReportFile = None,
    yes: AgreeToAlias = False,
    plan_: OnlyPlan = False,
    accept_unsigned: AcceptUnsigned = None,
    accept_expired: AcceptExpired = None,
    accept_unseen: AcceptUnseen = None,
    start_empty: StartEmpty = None,
) -> int:
    """Give a signer another key; what the signer has signed stays. For a key that is stolen: remove."""
    session: Session = ctx.obj
    signer_role(signer)
    chosen = select(session, names, names_file, globs=globs, all_with=all_with, yes=yes or plan_)
    sight = Sight(session, accept_unseen, accept_unsigned, accept_expired, yes=yes)
    decisions = owner_decisions(
        guns=chosen.guns,
        accept_unsigned=accept_unsigned,
        accept_expired=accept_expired,
        start_empty=start_empty,
        look=sight,
    )
    bulk = BulkCommand(
        session,
        chosen.guns,
        what=f"signer rotate {signer}",
        terms={"key": key, "replace": replace, "glob": globs, "all-with": all_with},
        options=BulkOptions(typed=chosen.typed, yes=yes, jobs=jobs, report=report),
        sight=sight,
        records=not key,
    )
    replaced = named_key(session, replace) if replace else chosen.key
    new = new_signer_key(session, key) if key else None
    work = SignerRotationRun(session, SignerRotation(signer=signer, new=new, replaced=replaced, decisions=decisions))
    if plan_:
        return bulk.plan(work)
    bulk.carry_out(work)
    return bulk.report(signer=signer, keys=work.keyids)


def _publish(session: Session, collection: Collection, edit: Edit, decisions: OwnerDecisions) -> PublishResult:
    """Publish an edit that changes no tag, and warn of roles that clients refuse."""
    publisher = session.publisher(collection, session.held_keys(), lambda: collection.owner_roles(decisions))
    outcome = publisher.publish(edit, check_same_releases)
    tell_what_was_unsound(session, collection.gun, outcome)
    return outcome


def _checking(edit_for: EditFor, decisions: OwnerDecisions) -> PlanOne:
    """Return the check of a command that changes no tag."""

    def check(planning: Planning, gun: GUN) -> Sequence[Plan]:
        collection = planning.collection(gun)
        edit = edit_for(gun, collection.wire)
        keys = planning.keys.held_keys()
        return [planning.plan(collection, edit, keys, decisions=decisions, check=check_same_releases).plan]

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
