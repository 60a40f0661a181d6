"""`trust expiring`: list the roles of known collections that expire soon, and who can renew them."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime
from typing import Annotated, Final

import typer

from keys.algorithms import accepted_fingerprints, key_fingerprint
from trustcli.commands.support.durations import duration_option
from trustcli.commands.support.key_source import stored_place
from trustcli.commands.support.list_options import NamesFile
from trustcli.commands.support.name_lists import named_collections
from trustcli.commands.support.names import known_names
from trustcli.commands.support.owner_decisions import warn_of_unvouched
from trustcli.console.exit_codes import DONE, OTHER, worst
from trustcli.console.failure_table import row_for
from trustcli.console.output import failure_document
from trustcli.publish.plan import KeyPlace
from trustcli.publish.plan_view import as_time, key_row, key_words
from trustcli.publish.planner import absent_key
from trustcli.publish.preparation import Roles
from trustcli.session import Session
from trustdata.counting import counted
from trustdata.due import LOOK_AHEAD, late_online_roles, offline_roles, within
from trustdata.editing.repository_editor import public_keys, signing_keys
from trustdata.envelope import Envelope
from trustdata.errors import TrustError, shown
from trustdata.gun import GUN
from trustdata.roles import ONLINE

app = typer.Typer(add_completion=False, rich_markup_mode=None)

_WITHIN: Final = f"{LOOK_AHEAD.days}d"


@dataclass(frozen=True, slots=True, kw_only=True)
class ExpiringRole:
    """One role that expires soon.

    `keys`: the keys that can sign it, `threshold` of which must; none for an online role, which the server signs.
    """

    gun: GUN
    file: Envelope
    threshold: int = 0
    keys: tuple[KeyPlace, ...] = ()

    @property
    def renewable(self) -> bool:
        """Whether this machine has enough of the keys."""
        return bool(self.keys) and sum(key.here for key in self.keys) >= self.threshold

    @property
    def duty(self) -> str:
        """Who has to renew it: `owner` or `server`."""
        return "server" if self.file.role in ONLINE else "owner"

    def days_left(self, at: datetime) -> int:
        """Return whole days until it expires, rounded down: negative once it has expired."""
        return (self.file.expires - at).days


@app.command("expiring")
def command(
    ctx: typer.Context,
    names: Annotated[list[str] | None, typer.Argument(metavar="[NAME]...")] = None,
    names_file: NamesFile = None,
    within_: Annotated[str, typer.Option("--within", metavar="TIME", help="How far to look ahead.")] = _WITHIN,
) -> int:
    """List the roles that run out; without NAME those of every pinned collection."""
    session: Session = ctx.obj
    span = duration_option("--within", within_)
    named = bool(names) or names_file is not None
    guns = named_collections(session, names, names_file) if named else known_names(session)
    found: list[ExpiringRole] = []
    failures: list[dict[str, object]] = []
    statuses = [DONE]
    places = {key_fingerprint(info.public): stored_place(info) for info in session.keystore.list()}
    for gun in guns:
        try:
            collection = session.collection(gun)
            roles = collection.owner_roles()
            warn_of_unvouched(session, gun, roles)
        except TrustError as error:
            session.output.failure(error, subject=gun)
            failures.append({"gun": gun, "error": failure_document(error)})
            statuses.append(row_for(error).status)
            continue
        due = (
            *offline_roles(roles, within(span, at=session.at)),
            *late_online_roles(roles, collection.wire.lifetimes, at=session.at),
        )
        found += [_expiring_role(gun, roles, roles[role], places) for role in due]
    found.sort(key=lambda item: (item.file.expires, item.gun, item.file.role))
    for item in found:
        session.output.result(_line(item, session.at))
    if not found:
        session.output.notice(_nothing_found(within_, of=len(guns), unread=len(failures)))
    renewable = sorted({item.gun for item in found if item.renewable})
    if renewable:
        session.output.notice(f"the keys here can renew: trust renew --within {within_} {' '.join(renewable)}")
    status = worst([*statuses, OTHER if found else DONE])
    document: dict[str, object] = {
        "within_days": span.total_seconds() / 86400,
        "collections": len(guns),
        "expiring": [_row(item, session.at) for item in found],
        "failures": failures,
        "exit": status,
    }
    session.output.document(document)
    return status


def _expiring_role(gun: GUN, roles: Roles, file: Envelope, places: dict[str, KeyPlace]) -> ExpiringRole:
    if file.role in ONLINE:
        return ExpiringRole(gun=gun, file=file)
    keyids, threshold = signing_keys(roles, {file.role: file.content}, file.role)[-1]
    public = public_keys(roles, {})
    here = {
        keyid: replace(places[fingerprint], keyid=keyid)
        for keyid in keyids
        if keyid in public
        for fingerprint in accepted_fingerprints([public[keyid]])
        if fingerprint in places
    }
    keys = tuple(here.get(keyid) or absent_key(roles, keyid) for keyid in keyids)
    return ExpiringRole(gun=gun, file=file, threshold=threshold, keys=keys)


def _nothing_found(span: str, *, of: int, unread: int) -> str:
    """Say where nothing runs out; what cannot be read may well run out."""
    if not of:
        return "no collection is known here by a pin, so there is nothing to look at"
    if unread == of:
        return f"whether anything runs out is not known: {counted(unread, 'collection')} could not be read"
    rest = f"; {counted(unread, 'collection')} could not be read" if unread else ""
    return f"nothing runs out within {span} in {counted(of - unread, 'collection')}{rest}"


def _line(item: ExpiringRole, at: datetime) -> str:
    days = item.days_left(at)
    when = f"in {counted(days, 'day')}" if item.file.expires > at else f"expired {counted(-days - 1, 'day')} ago"
    what = f"{shown(item.file.role)} {item.file.version}"
    if item.duty == "server":
        renewer = "the server is late with it: tell its operator"
    else:
        renewer = f"{item.threshold} of: " + "; ".join(map(key_words, item.keys))
    return f"{item.file.expires:%Y-%m-%d}  {when.ljust(22)}  {item.gun}  {what}  {renewer}"


def _row(item: ExpiringRole, at: datetime) -> dict[str, object]:
    return {
        "gun": item.gun,
        "role": item.file.role,
        "version": item.file.version,
        "expires": as_time(item.file.expires),
        "days_left": item.days_left(at),
        "expired": item.file.expires <= at,
        "duty": item.duty,
        "threshold": item.threshold,
        "keys": [key_row(key) for key in item.keys],
        "renewable": item.renewable,
    }
