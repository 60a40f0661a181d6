"""`trust key rotate`: the command line; what is done in one collection: `rotation`."""

from __future__ import annotations

from typing import Annotated

import typer

from trustcli.commands.key.new_key import brought
from trustcli.commands.key.rotation import ROTATABLE, Rotation, RotationRun, check_role
from trustcli.commands.support.bulk import JOBS, BulkCommand, BulkOptions, Jobs, ReportFile
from trustcli.commands.support.change_options import AgreeToAlias, OnlyPlan
from trustcli.commands.support.list_options import NamesFile
from trustcli.commands.support.named_key import key_of_few
from trustcli.commands.support.owner_decisions import AcceptExpired, AcceptUnsigned, StartEmpty, owner_decisions
from trustcli.commands.support.recovery_place import recovery_place
from trustcli.commands.support.selection import AllWith, Globs, select
from trustcli.commands.support.sight import AcceptUnseen, Sight
from trustcli.session import Session
from trustdata.roles import RoleName


def rotate(
    ctx: typer.Context,
    role: Annotated[str, typer.Argument(metavar="ROLE", help=", ".join(ROTATABLE))],
    names: Annotated[list[str] | None, typer.Argument(metavar="[NAME]...")] = None,
    names_file: NamesFile = None,
    globs: Globs = None,
    all_with: AllWith = "",
    key: Annotated[
        str,
        typer.Option(
            "--key", "--new-key", metavar="KEY", help="The new key (root, targets): of the store, a key URI, or a file."
        ),
    ] = "",
    replace: Annotated[
        str, typer.Option(metavar="KEY", help="Root: the key to take out, where several are here.")
    ] = "",
    recovery_key: Annotated[
        str | None,
        typer.Option(metavar="FILE|URI", help="Root: sign with the recovery key in this file, or at this URI."),
    ] = None,
    jobs: Jobs = JOBS,
    report: ReportFile = None,
    yes: AgreeToAlias = False,
    plan_: OnlyPlan = False,
    accept_unsigned: AcceptUnsigned = None,
    accept_expired: AcceptExpired = None,
    accept_unseen: AcceptUnseen = None,
    start_empty: StartEmpty = None,
) -> int:
    """Give root, targets, snapshot or timestamp a new key; tags and signers stay."""
    session: Session = ctx.obj
    check_role(role)
    chosen = select(session, names, names_file, globs=globs, all_with=all_with, yes=yes or plan_)
    sight = Sight(session, accept_unseen, accept_unsigned, accept_expired, yes=yes)
    decisions = owner_decisions(
        guns=chosen.guns,
        accept_unsigned=accept_unsigned,
        accept_expired=accept_expired,
        start_empty=start_empty,
        look=sight,
    )
    rotation = Rotation(
        role=RoleName(role),
        key=brought(session, key, role=role, plan=plan_) if key else "",
        replace=key_of_few(session, replace) if replace else None,
        replaced=chosen.key,
        recovery=None if recovery_key is None else recovery_place(recovery_key),
        decisions=decisions,
    )
    run = RotationRun(session, rotation, chosen.guns)
    bulk = BulkCommand(
        session,
        chosen.guns,
        what=f"key rotate {role}",
        terms={"key": rotation.key, "replace": replace, "glob": globs, "all-with": all_with},
        options=BulkOptions(typed=chosen.typed, yes=yes, jobs=jobs, report=report),
        sight=sight,
    )
    if plan_:
        return bulk.plan(run)
    outcomes = bulk.carry_out(run)
    if not outcomes.rows("failed", "not tried"):
        run.finish()
    return bulk.report(rotated=outcomes.rows("done"))
