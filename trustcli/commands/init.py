"""`trust init`: create a collection."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from trustcli.commands.support.founding import create, decide_recovery, plan, recovery_choice
from trustcli.commands.support.names import parse_format
from trustcli.commands.support.planning import Planning
from trustcli.console.exit_codes import DONE
from trustcli.errors import UsageError
from trustcli.registry.reference import parse_reference
from trustcli.session import Session

app = typer.Typer(add_completion=False, rich_markup_mode=None)


@app.command("init")
def command(
    ctx: typer.Context,
    name: Annotated[str, typer.Argument(metavar="NAME")],
    recovery_key: Annotated[
        Path | None, typer.Option(help="Recovery root key: this file; made if it is not there.")
    ] = None,
    no_recovery_key: Annotated[
        bool, typer.Option("--no-recovery-key", help="Do without; a lost root key is then final.")
    ] = False,
    format_: Annotated[str, typer.Option("--format", help="Wire format: tuf; notary for docker and notary.")] = "tuf",
    root_key: Annotated[
        list[str] | None, typer.Option(help="Root key in the store (id or name); may be repeated.")
    ] = None,
    threshold: Annotated[int, typer.Option(min=1, help="How many root keys must sign a root.")] = 1,
    plan_: Annotated[bool, typer.Option("--plan", help="Show what would be done; nothing is written or sent.")] = False,
) -> int:
    """Make a collection: root, targets, server-held snapshot and timestamp."""
    session: Session = ctx.obj
    wire = parse_format(format_)
    reference = parse_reference(name)
    if reference.tag or reference.digest:
        raise UsageError(f"a collection is named without tag or digest: {reference.gun}")
    decision = decide_recovery(session, recovery_choice(recovery_key, none=no_recovery_key))
    root_keys = tuple(root_key or ())
    if plan_:
        planning = Planning(session)
        planned = plan(session, planning, reference.gun, decision, wire=wire, root_keys=root_keys, threshold=threshold)
        return planning.report([planned.plan])
    pin = create(session, reference.gun, decision, wire=wire, root_keys=root_keys, threshold=threshold)
    session.output.result(pin)
    session.output.document({"gun": reference.gun, "pin": pin, "format": wire.name, "exit": DONE})
    return DONE
