"""The commands of `trust-server` that open the store, except `serve`, one function for each.

Results go to standard output.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from itertools import chain
from pathlib import Path
from typing import Final

import orjson
import typer

from keys.rfc3339 import to_rfc3339
from trustdata.counting import counted
from trustdata.errors import InvalidName, shown
from trustdata.gun import parse_gun
from trustserver.admin.events import dropped_before, event_line, read_events
from trustserver.admin.operator import KIND, operator
from trustserver.auth.authorizer import SubjectKind, stored_as
from trustserver.responses.overview import overview_row
from trustserver.responses.recorded import event_row
from trustserver.settings import GivenSettings, load
from trustserver.storage import database
from trustserver.storage.events import EventKind, NewEvent
from trustserver.storage.opening import exclusive_use, existing_store
from trustserver.storage.ports import MetadataStore, Status, Summary

_BATCH: Final = 1000
"""How many names are read at one time."""


def migrate(given: GivenSettings, environ: Mapping[str, str], config: Path | None, *, at: datetime) -> None:
    """Bring the database's schema to the newest revision, and print it.

    Raises: StartRefused (the database cannot be opened), ServerRunning.
    """
    settings = load(given, environ, config).settings
    with exclusive_use(settings, at=at, listen="trust-server migrate"):
        engine = database.open_engine(settings.database_url)
        before = database.schema(engine)
        after = database.migrate(engine)
        engine.dispose()
    typer.echo(f"schema {after}" if before == after else f"schema {before or 'none'} -> {after}")


def check(
    given: GivenSettings,
    environ: Mapping[str, str],
    config: Path | None,
    *,
    against: Sequence[Path],
    accept: bool,
    as_json: bool,
    at: datetime,
    resume: Path | None = None,
) -> bool:
    """Check the database and print the findings. Return False if anything is wrong.

    Raises: StartRefused (a file or the database cannot be read), ServerRunning (with `accept`), NotStored.
    """
    from trustserver.admin.check import check_database  # no other command needs what it loads

    settings = load(given, environ, config).settings
    report = check_database(settings, against=against, accept=accept, at=at, resume=resume, environ=environ)
    for line in [report.document()] if as_json else report.lines():
        typer.echo(line)
    return not report.wrong


def list_collections(
    given: GivenSettings, environ: Mapping[str, str], config: Path | None, *, as_json: bool = False
) -> None:
    """Print every collection and every deleted name: a line for each, or one JSON document with more about them.

    Raises: StartRefused, NotStored.
    """
    store = existing_store(load(given, environ, config).settings)
    try:
        if as_json:
            _write_overviews(store)
            return
        for entry in _all(store):
            line = f"{entry.gun}  {entry.format}  {entry.status}  revision {entry.revision}"
            if entry.tombstone is not None:
                stone = entry.tombstone
                line += f"  deleted {to_rfc3339(stone.deleted_at)} by {stone.subject}"
                line += f"  root sha256:{stone.root_sha256}"
            typer.echo(line)
    finally:
        store.close()


def _write_overviews(store: MetadataStore) -> None:
    """Write the document row by row, without holding all of it. Raises: NotStored."""
    after, separator = "", ""
    typer.echo('{"collections": [', nl=False)
    while found := store.overviews(after=after, limit=_BATCH):
        for overview in found:
            typer.echo(f"{separator}\n  {json.dumps(overview_row(overview))}", nl=False)
            separator = ","
        after = found[-1].summary.gun
    typer.echo("\n]}")


def _all(store: MetadataStore) -> Iterator[Summary]:
    """Yield every name, without holding all of them at a time. Raises: NotStored."""
    after = ""
    while found := store.collections(after=after, limit=_BATCH):
        yield from found
        after = found[-1].gun


def release(name: str, given: GivenSettings, environ: Mapping[str, str], config: Path | None, *, at: datetime) -> bool:
    """Allow a new collection under a deleted name. Return whether that is allowed now.

    Raises: StartRefused, InvalidName, NotStored.
    """
    gun = parse_gun(name)
    store = existing_store(load(given, environ, config).settings)
    try:
        # A deleted name moves by its release alone, so this is the revision that it gets.
        details = {"revision": store.load(gun).revision + 1}
        if store.release(gun, event=NewEvent(kind=EventKind.RELEASED, at=at, by=operator(), gun=gun, details=details)):
            typer.echo(f"{gun} may be initialised anew")
            return True
        status = store.load(gun).status
        reason = "is released already" if status is Status.RELEASED else "has no tombstone"
        typer.echo(f"trust-server: {gun} {reason}", err=True)
        return status is Status.RELEASED
    finally:
        store.close()


def list_events(
    given: GivenSettings,
    environ: Mapping[str, str],
    config: Path | None,
    *,
    name: str | None,
    since: str,
    as_json: bool,
) -> None:
    """Print the events of one name or of all, the oldest first: a line for each, for people or in JSON.

    `since`: the number, the day or the time to begin with; empty for the first. Raises: StartRefused, InvalidName,
    NotStored.
    """
    gun = None if name is None else parse_gun(name)
    store = existing_store(load(given, environ, config).settings)
    try:
        events = read_events(store, gun, since)
        first = next(events, None)
        if first is None:
            whose, when = f" of {gun}" if gun else "", f" since {since}" if since else ""
            typer.echo(f"trust-server: nothing is recorded{whose}{when}", err=True)
            return
        dropped = 0 if since else dropped_before(first, gun)
        if dropped and not as_json:
            typer.echo(f"trust-server: {counted(dropped, 'event')} before these are not kept any more", err=True)
        for event in chain([first], events):
            typer.echo(orjson.dumps(event_row(event)).decode() if as_json else event_line(event))
    finally:
        store.close()


def erase_subject(
    subject: str, given: GivenSettings, environ: Mapping[str, str], config: Path | None, *, at: datetime
) -> None:
    """Erase a subject from the record, from lists of collections and from tombstones. A server may be running.

    Raises: InvalidName (nobody is named so), StartRefused, NotStored.
    """
    kind, _, name = subject.partition(":")
    if subject != SubjectKind.ANONYMOUS and (kind not in {*SubjectKind, KIND} or not name):
        reason = "must be as trust-server events names them, such as user:alice or registry-token:alice"
        raise InvalidName(kind="subject", name=subject, reason=reason)
    store = existing_store(load(given, environ, config).settings)
    try:
        erased = store.erase_people(subject, stored=stored_as(subject), by=operator(), at=at)
    finally:
        store.close()
    typer.echo(f"erased from {counted(erased, 'event')}")
    if not erased:
        typer.echo(f"warning: no event is by or about {shown(subject, 300)}; trust-server events names them", err=True)


def accept_clock(given: GivenSettings, environ: Mapping[str, str], config: Path | None, *, at: datetime) -> None:
    """Let the server sign with its clock as it is now, although it has jumped forward. A server may be running.

    Raises: StartRefused, NotStored.
    """
    store = existing_store(load(given, environ, config).settings)
    try:
        last = store.clock_record().last_round
        store.accept_clock(at)
    finally:
        store.close()
    typer.echo(f"accepted: it is {at:%Y-%m-%d %H:%M:%S} UTC")
    if last is not None:
        typer.echo(f"the last round before was on {last:%Y-%m-%d %H:%M:%S} UTC")
