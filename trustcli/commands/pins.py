"""`trust pins`: list what is pinned on this machine, for people, for other commands, or for other machines."""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Iterator, Mapping
from typing import Annotated, Final

import typer

from trustcli.commands.support.names import parse_format
from trustcli.console.exit_codes import DONE
from trustcli.errors import UsageError
from trustcli.session import Session
from trustcli.state.pins import PatternPin, PinEntry
from trustdata.gun import GUN
from trustdata.suggestion import one_of
from trustdata.wire.tuf import TUF

app = typer.Typer(add_completion=False, rich_markup_mode=None)

FORMS: Final = ("table", "names", "commands")


@app.command("pins")
def command(
    ctx: typer.Context,
    format_: Annotated[str | None, typer.Option("--format", help="Only those of this format: tuf or notary.")] = None,
    as_: Annotated[
        str, typer.Option("--as", metavar="FORM", help="table; names, one a line; or commands that pin them elsewhere.")
    ] = "table",
) -> int:
    """List the pins of names and patterns, how each came about, and the real names of aliases."""
    session: Session = ctx.obj
    if as_ not in FORMS:
        raise UsageError(f"--as {as_} is unknown{one_of(as_, FORMS)}")
    wanted = parse_format(format_).name if format_ is not None else None
    pins = [(gun, e) for gun, e in sorted(session.pins.load().items()) if wanted in {None, e.format}]
    patterns = session.pins.patterns() if wanted is None else {}
    for line in {"table": _table, "names": _names, "commands": _commands}[as_](pins, patterns):
        session.output.result(line)
    if not pins and not patterns:
        of = f" in the format {wanted}" if wanted else ""
        session.output.notice(f"nothing is pinned here{of}; trust pin NAME REF does it")
    rows = [{"gun": gun, "pin": str(e.pin), "format": e.format, "how": e.how, "named": e.named} for gun, e in pins]
    pattern_rows = [{"pattern": pattern, "pin": str(entry.pin)} for pattern, entry in patterns.items()]
    session.output.document({"pins": rows, "patterns": pattern_rows, "exit": DONE})
    return DONE


def _table(pins: Iterable[tuple[GUN, PinEntry]], patterns: Mapping[str, PatternPin]) -> Iterator[str]:
    for gun, entry in pins:
        alias = f"\talias of {entry.named}" if entry.named else ""
        yield f"{gun}\t{entry.pin}\t{entry.format}\t{entry.how} on {entry.recorded:%Y-%m-%d}{alias}"
    for pattern, key in patterns.items():
        yield f"{pattern}\t{key.pin}\tany\tpin on {key.recorded:%Y-%m-%d}"


def _names(pins: Iterable[tuple[GUN, PinEntry]], _: Mapping[str, PatternPin]) -> Iterator[str]:
    yield from (gun for gun, _ in pins)


def _commands(pins: Iterable[tuple[GUN, PinEntry]], patterns: Mapping[str, PatternPin]) -> Iterator[str]:
    """Yield a command for each pin. Whoever runs them elsewhere believes this machine: they must arrive unchanged."""
    for gun, entry in pins:
        named = ["--named", entry.named] if entry.named else []
        form = "tuf" if entry.format == TUF.name else "notary"
        yield shlex.join(["trust", "pin", gun, str(entry.pin), "--format", form, *named])
    for pattern, key in patterns.items():
        yield shlex.join(["trust", "pin", pattern, str(key.pin)])
