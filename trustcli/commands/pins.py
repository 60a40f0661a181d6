"""`trust pins`: list what is pinned on this machine."""

from __future__ import annotations

import typer

from trustcli.console.exit_codes import DONE
from trustcli.session import Session

app = typer.Typer(add_completion=False, rich_markup_mode=None)


@app.command("pins")
def command(ctx: typer.Context) -> int:
    """List the pins, how each came about, and the real names of aliases."""
    session: Session = ctx.obj
    pins = sorted(session.pins.load().items())
    for gun, entry in pins:
        alias = f"\talias of {entry.named}" if entry.named else ""
        session.output.result(f"{gun}\t{entry.pin}\t{entry.format}\t{entry.how} on {entry.recorded:%Y-%m-%d}{alias}")
    rows = [{"gun": gun, "pin": str(e.pin), "format": e.format, "how": e.how, "named": e.named} for gun, e in pins]
    session.output.document({"pins": rows, "exit": DONE})
    return DONE
