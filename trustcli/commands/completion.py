"""`trust completion`: print the script with which a shell completes command lines of `trust` (docs/adr/0076)."""

from __future__ import annotations

from typing import Annotated

import typer

from trustcli.completion.scripts import SCRIPTS
from trustcli.console.exit_codes import DONE
from trustcli.errors import UsageError
from trustcli.session import Session
from trustdata.suggestion import one_of

app = typer.Typer(add_completion=False, rich_markup_mode=None)


@app.command("completion")
def command(
    ctx: typer.Context, shell: Annotated[str, typer.Argument(metavar="SHELL", help="bash, zsh or fish.")]
) -> int:
    """Print a script that completes commands, options, names and tags, from what this machine knows."""
    session: Session = ctx.obj
    if shell not in SCRIPTS:
        raise UsageError(f"there is no completion for {shell}{one_of(shell, SCRIPTS)}")
    if not session.output.as_json:
        session.output.raw(SCRIPTS[shell])
    session.output.document({"shell": shell, "script": SCRIPTS[shell], "exit": DONE})
    return DONE
