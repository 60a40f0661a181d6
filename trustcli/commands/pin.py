"""`trust pin`: record where trust in a collection begins, from a fingerprint that the user got out of band."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Annotated

import typer

from trustcli.client.pin_memory import agrees_with_memory
from trustcli.client.updater import VERIFIED_BEFORE
from trustcli.commands.support.aliases import refuse_alias
from trustcli.commands.support.name_lists import collection_names
from trustcli.commands.support.names import parse_format
from trustcli.commands.support.pin_removal import remove_pattern, remove_pin
from trustcli.console.exit_codes import DONE
from trustcli.errors import UsageError
from trustcli.session import Session
from trustcli.state.pins import PatternPin, PinEntry
from trustdata.collection_patterns import NARROW_PATTERN_RULE, is_pattern, meant_pattern
from trustdata.errors import PinsDisagree, TrustError
from trustdata.gun import GUN
from trustdata.verification.trust_pinning import Pin, parse_pin
from trustdata.wire import WireFormat
from trustdata.wire.formats import FORMATS

app = typer.Typer(add_completion=False, rich_markup_mode=None)


@app.command("pin")
def command(
    ctx: typer.Context,
    name: Annotated[str, typer.Argument(metavar="NAME|PATTERN")],
    reference: Annotated[str | None, typer.Argument(metavar="sha256:HEX|key:HEX")] = None,
    format_: Annotated[
        str | None, typer.Option("--format", help="Wire format: tuf or notary. [as the server says]")
    ] = None,
    named: Annotated[
        str | None, typer.Option("--named", metavar="OTHER", help="The real name: NAME is a mirror of OTHER.")
    ] = None,
    replace: Annotated[bool, typer.Option("--replace", help="Start anew: forget what was pinned and seen.")] = False,
    remove: Annotated[bool, typer.Option("--remove", help="Take the pin out; what was seen is remembered.")] = False,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask before --remove.")] = False,
) -> int:
    """Pin a collection, or all of a pattern such as HOST/team/*; --replace forgets what was pinned and seen before."""
    session: Session = ctx.obj
    if remove:
        if reference or format_ or named or replace:
            raise UsageError("--remove takes out what is pinned: leave REF, --format, --named and --replace out")
        return remove_pattern(session, name, yes=yes) if name.endswith("*") else remove_pin(session, name, yes=yes)
    if reference is None:
        raise UsageError("sha256:HEX|key:HEX is missing")
    if name.endswith("*"):
        return _pin_pattern(session, name, parse_pin(reference), replace=replace, others=(format_, named))
    (gun,) = collection_names([name])
    (real,) = collection_names([named]) if named is not None else (None,)
    pin = parse_pin(reference)
    requested = parse_format(format_) if format_ else None
    pins = session.pins.load()
    _check_alias(session, gun, real, pins)
    if requested is None and real is not None and real in pins:
        requested = FORMATS[pins[real].format]
    known = pins.get(gun)
    if replace:
        entry = _entry(session, gun, pin, requested, named=real)  # before anything is forgotten
        session.memory.forget(gun)
        for wire in FORMATS.values():
            session.cache(gun, wire.name).clear()
        session.pins.replace(gun, entry)
    elif known is None:
        entry = _entry(session, gun, pin, requested, named=real)
        _check_memory(session, gun, entry)
        session.pins.record(gun, entry)
    elif (known.pin, known.named) != (pin, real):
        place = str(session.settings.home / "pins.toml")
        stated = PinEntry(pin=pin, format=known.format, recorded=session.at, how="pin", named=real).stated
        raise PinsDisagree(gun=gun, pin=known.stated, pin_source=place, other=stated, other_source="the command line")
    alias = f", and is an alias of {real}" if real is not None else ""
    session.output.result(f"{gun} is pinned to {pin}{alias}")
    session.output.document({"gun": gun, "pin": str(pin), "named": real, "exit": DONE})
    return DONE


def _pin_pattern(
    session: Session, pattern: str, pin: Pin, *, replace: bool, others: tuple[str | None, str | None]
) -> int:
    """Pin a root key for every name of a pattern that has no pin of its own.

    Raises: UsageError, PinsDisagree (another key is pinned, and not to be replaced), SettingsUnusable, FileNewer,
    MemoryUnwritable.
    """
    if not is_pattern(pattern) or pattern == "*":
        raise UsageError(f"{pattern} is no pattern of names: a pattern {NARROW_PATTERN_RULE}{meant_pattern(pattern)}")
    if pin.kind != "key":
        raise UsageError(f"{pattern} can be pinned to a key only, key:HEX: a root file belongs to one collection")
    if others != (None, None):
        raise UsageError("--format and --named are of one name; leave them out with a pattern")
    session.pins.record_pattern(pattern, PatternPin(pin=pin, recorded=session.at), replaces=replace)
    session.output.result(f"every name of {pattern} without a pin of its own is pinned to {pin}")
    session.output.document({"pattern": pattern, "pin": str(pin), "exit": DONE})
    return DONE


def _check_memory(session: Session, gun: GUN, entry: PinEntry) -> None:
    """Refuse a pin that what was verified here contradicts: all that is verified later would be refused.

    Raises: PinsDisagree, MemoryDamaged.
    """
    name = entry.named or gun
    memory = session.memory.load(name)
    if memory is not None and not agrees_with_memory(entry, memory, partial(session.cache, name)):
        seen = f"sha256:{memory.root_of_trust}"
        raise PinsDisagree(
            gun=gun, pin=seen, pin_source=VERIFIED_BEFORE, other=entry.stated, other_source="the command line"
        )


def _check_alias(session: Session, gun: GUN, real: GUN | None, pins: Mapping[GUN, PinEntry]) -> None:
    """Refuse an alias of an alias, and one that the machine's policy contradicts: one look must tell whose root it is.

    Raises: UsageError, InvalidName; as `CollectionNames.check_new`.
    """
    if real is None:
        if gun not in pins:
            refuse_alias(session, gun)  # of the policy: a pin of its own would never count
        return
    if real == gun:
        raise UsageError(f"--named: {gun} is the name itself; leave the option out")
    if real in pins and pins[real].named is not None:
        raise UsageError(f"--named: {real} is an alias itself; name its collection: --named {pins[real].named}")
    aliases = [alias for alias, entry in pins.items() if entry.named == gun]
    if aliases:
        raise UsageError(f"--named: {gun} has an alias, {aliases[0]}, so it cannot become one")
    session.names.check_new(gun, real)


def _entry(session: Session, gun: GUN, pin: Pin, requested: WireFormat | None, *, named: GUN | None) -> PinEntry:
    """Return the entry; the server is asked for the format if it is not given.

    Raises: UsageError if the server cannot be asked: a guess would make everything else refuse the collection.
    """
    try:
        wire = requested or session.format_offered(named or gun)
    except TrustError as error:
        raise UsageError(
            f"the server cannot be asked in which format it has {named or gun} ({error}); say it: --format tuf, or "
            "--format notary for what docker or notary made"
        ) from error
    return PinEntry(pin=pin, format=wire.name, recorded=session.at, how="pin", named=named)
