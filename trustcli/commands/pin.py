"""`trust pin`: record where trust in a collection begins, from a fingerprint that the user got out of band."""

from __future__ import annotations

from typing import Annotated

import typer

from trustcli.commands.support.names import collection_names, parse_format
from trustcli.console.exit_codes import DONE
from trustcli.session import Session
from trustcli.state.pins import PinEntry
from trustdata.errors import PinsDisagree
from trustdata.gun import GUN
from trustdata.verification.trust_pinning import Pin, parse_pin
from trustdata.wire import WireFormat
from trustdata.wire.formats import FORMATS
from trustdata.wire.tuf import TUF

app = typer.Typer(add_completion=False, rich_markup_mode=None)


@app.command("pin")
def command(
    ctx: typer.Context,
    name: Annotated[str, typer.Argument(metavar="NAME")],
    reference: Annotated[str, typer.Argument(metavar="sha256:HEX|key:HEX")],
    format_: Annotated[
        str | None, typer.Option("--format", help="Wire format: tuf or notary (asked of the server without it).")
    ] = None,
    replace: Annotated[bool, typer.Option("--replace", help="Start anew: forget what was pinned and seen.")] = False,
) -> int:
    """Pin a collection to a root file or to a root key; --replace forgets what was pinned and seen before."""
    session: Session = ctx.obj
    (gun,) = collection_names([name])
    pin = parse_pin(reference)
    requested = parse_format(format_) if format_ else None
    known = session.pins.load().get(gun)
    if replace:
        session.memory.forget(gun)
        for wire in FORMATS.values():
            session.cache(gun, wire.name).clear()
        session.pins.replace(gun, _entry(session, gun, pin, requested))
    elif known is None:
        session.pins.record(gun, _entry(session, gun, pin, requested))
    elif known.pin != pin:
        place = str(session.settings.home / "pins.toml")
        raise PinsDisagree(
            gun=gun, pin=str(known.pin), pin_source=place, other=str(pin), other_source="the command line"
        )
    session.output.result(f"{gun} is pinned to {pin}")
    session.output.document({"gun": gun, "pin": str(pin), "exit": DONE})
    return DONE


def _entry(session: Session, gun: GUN, pin: Pin, requested: WireFormat | None) -> PinEntry:
    wire = requested or session.format_offered(gun)
    if wire is None:
        wire = TUF
        session.output.warn(
            f"the server cannot be asked in which format it has {gun}; taken for {wire.name}: if that is wrong, pin it "
            "again with --replace --format notary"
        )
    return PinEntry(pin=pin, format=wire.name, recorded=session.at, how="pin")
