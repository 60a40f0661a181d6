"""`trust expiring`: list the roles of collections that expire soon, and who can renew them.

1. names     those that are typed; else those that are known here, and with --all what the trust servers list besides
2. read      each collection that is known here is verified; of any other one, its server's word is told as such
3. tell      by expiry; as a table, as JSON, and with --ics as a calendar
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Annotated, Final

import typer

from keys.algorithms import key_fingerprint
from keys.durable_file import write_atomically
from trustcli.commands.support.calendar_file import CalendarEvent, calendar
from trustcli.commands.support.durations import duration_option
from trustcli.commands.support.expiring_roles import ExpiringRole, ExpiryReading
from trustcli.commands.support.gathering import gathering
from trustcli.commands.support.key_source import stored_place
from trustcli.commands.support.list_options import NamesFile
from trustcli.commands.support.name_lists import named_collections
from trustcli.commands.support.names import known_names
from trustcli.console.exit_codes import DONE, NOT_TRUSTED, OTHER, worst
from trustcli.console.failure_table import row_for
from trustcli.console.output import failure_document
from trustcli.errors import UsageError
from trustcli.session import Session
from trustdata.collection_patterns import pattern_matches
from trustdata.counting import counted
from trustdata.due import LOOK_AHEAD
from trustdata.errors import TrustError, shown
from trustdata.gun import GUN

app = typer.Typer(add_completion=False, rich_markup_mode=None)

_WITHIN: Final = f"{LOOK_AHEAD.days}d"


@app.command("expiring")
def command(
    ctx: typer.Context,
    names: Annotated[list[str] | None, typer.Argument(metavar="[NAME]...")] = None,
    names_file: NamesFile = None,
    within_: Annotated[str, typer.Option("--within", metavar="TIME", help="How far to look ahead.")] = _WITHIN,
    all_: Annotated[
        bool, typer.Option("--all", help="All that is known here, and all that the trust servers list.")
    ] = False,
    ics: Annotated[
        Path | None, typer.Option("--ics", metavar="FILE", help="Also write a calendar, with an event for each role.")
    ] = None,
) -> int:
    """List the roles that run out; without NAME those of every pinned collection, or of the server of --server."""
    session: Session = ctx.obj
    span = duration_option("--within", within_)
    named = bool(names) or names_file is not None
    if named and all_:
        raise UsageError("--all is for all collections: name none beside it")
    # A server that is named for this run is asked what it has; one that is set for all runs is asked with --all.
    whole = all_ or (not named and session.settings.server_source == "--server")
    guns = named_collections(session, names, names_file) if named else _known(session, whole=whole)
    places = {key_fingerprint(info.public): stored_place(info) for info in session.keystore.list()}
    found = _Found(session, ExpiryReading(session, span=span, places=places))
    with gathering(session):
        for gun in guns:
            found.read(gun)
    if whole:
        found.read_servers(guns)
    found.sort()
    if ics is not None:
        _write_calendar(ics, [*found.roles, *found.told], session.at)
    for item in sorted([*found.roles, *found.told], key=_by_expiry):
        session.output.result(item.line(session.at))
    if not found.roles and not found.told:
        session.output.notice(found.nothing(within_))
    renewable = sorted({item.gun for item in found.roles if item.renewable})
    if renewable:
        which = " ".join(renewable) if named or len(renewable) <= _NAMES_SHOWN else "--due"
        session.output.notice(f"the keys here can renew: trust renew --within {within_} {which}")
    status = found.status()
    document: dict[str, object] = {
        "within_days": span.total_seconds() / 86400,
        "collections": found.collections,
        "expiring": [item.row(session.at) for item in found.roles],
        "told": [item.row(session.at) for item in found.told],
        "servers": found.servers,
        "failures": found.failures,
        "exit": status,
    }
    session.output.document(document)
    return status


_NAMES_SHOWN: Final = 20
"""How many names the next command has; of more it has none."""


def _by_expiry(item: ExpiringRole) -> tuple[datetime, str, str]:
    return item.expires, item.gun, item.role


def _known(session: Session, *, whole: bool) -> list[GUN]:
    """Return the names that are known here by a pin; if everything is asked for, also by the lock file."""
    known = known_names(session)
    locked = [gun for gun in session.locks if gun not in known] if whole else []
    return sorted({*known, *locked})


@dataclass(slots=True)
class _Found:
    """What runs out, and what could not be looked at.

    `roles`: verified. `told`: what a server says of collections that nothing here knows. `servers`: a row for each
    server that was asked what it has.
    """

    session: Session
    reading: ExpiryReading
    collections: int = 0
    roles: list[ExpiringRole] = field(default_factory=list)
    told: list[ExpiringRole] = field(default_factory=list)
    servers: list[dict[str, object]] = field(default_factory=list)
    failures: list[dict[str, object]] = field(default_factory=list)
    _statuses: list[int] = field(default_factory=lambda: [DONE])

    def read(self, gun: GUN) -> None:
        """Read and verify a collection; what fails is told and counted."""
        self.collections += 1
        try:
            self.roles += self.reading.collection(gun)
        except TrustError as error:
            self.session.output.failure(error, subject=gun)
            self.failures.append({"gun": gun, "error": failure_document(error)})
            self._statuses.append(row_for(error).status)

    def read_servers(self, read: Sequence[GUN]) -> None:
        """Ask each trust server of this run what it has, but for what was read. One that does not say it is told."""
        seen = {self.session.real_name(gun) for gun in read}
        for url in dict.fromkeys(self.session.settings.named_servers):
            row: dict[str, object] = {"server": url, "collections": 0, "error": None}
            self.servers.append(row)
            try:
                row["collections"] = self._read_server(url, seen)
            except TrustError as error:
                self.session.output.failure(error, subject=url)
                row["error"] = failure_document(error)
                self._statuses.append(row_for(error).status)

    def _read_server(self, url: str, seen: set[GUN]) -> int:
        """Return how many collections the server lists. Raises: as `ExpiryReading.listed`."""
        listed = 0
        patterns = self.session.pins.patterns()
        for gun, told in self.reading.listed(url):
            listed += 1
            if gun in seen:
                continue
            seen.add(gun)
            if self.session.settings.pin or any(pattern_matches(pattern, gun) for pattern in patterns):
                self.read(gun)
            else:
                self.collections += 1
                self.told += told
        return listed

    def sort(self) -> None:
        """Put what runs out first first."""
        self.roles.sort(key=_by_expiry)
        self.told.sort(key=_by_expiry)

    def status(self) -> int:
        """Return the exit status: 4 if something has expired, 1 if something runs out; what failed may be worse."""
        at = self.session.at
        expired = any(item.expired(at) for item in (*self.roles, *self.told))
        soon = OTHER if self.roles or self.told else DONE
        return worst([*self._statuses, NOT_TRUSTED if expired else soon])

    def nothing(self, span: str) -> str:
        """Say where nothing runs out; what cannot be read may well run out."""
        unread, silent = len(self.failures), sum(server["error"] is not None for server in self.servers)
        if not self.collections:
            if silent:
                return "whether anything runs out is not known: no collection could be looked at"
            return "no collection is known here by a pin, so there is nothing to look at"
        if unread == self.collections:
            return f"whether anything runs out is not known: {counted(unread, 'collection')} could not be read"
        rest = f"; {counted(unread, 'collection')} could not be read" if unread else ""
        rest += f"; {counted(silent, 'trust server')} did not say what else there is" if silent else ""
        return f"nothing runs out within {span} in {counted(self.collections - unread, 'collection')}{rest}"


def _write_calendar(file: Path, items: Sequence[ExpiringRole], at: datetime) -> None:
    """Write the calendar. Raises: UsageError."""
    content = calendar((_event(item) for item in sorted(items, key=_by_expiry)), at=at)
    try:
        write_atomically(file, content, mode=0o644)
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or type(error).__name__
        raise UsageError(f"--ics: {shown(str(file), 300)} cannot be written: {reason}") from error


def _event(item: ExpiringRole) -> CalendarEvent:
    renew = f"\nThe keys of this machine can renew it: trust renew {item.gun}" if item.renewable else ""
    return CalendarEvent(
        identity=(item.gun, item.role),
        version=item.version or 0,
        at=item.expires,
        summary=f"{shown(item.role)} of {item.gun} expires",
        description=f"Then clients refuse what depends on it. {item.renewer[:1].upper()}{item.renewer[1:]}{renew}",
    )
