"""What runs out: the verified roles of collections that are known here, and what a server says of all the others.

Nothing of a file is kept but what is told of it, so that ten thousand collections take no more memory than their rows.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

from keys.algorithms import accepted_fingerprints
from keys.rfc3339 import from_rfc3339
from trustcli.client.collection_list import listed_collections
from trustcli.commands.support.owner_decisions import warn_of_unvouched
from trustcli.errors import RemoteMisbehaved
from trustcli.http.server_time import clock_difference
from trustcli.publish.plan import KeyPlace
from trustcli.publish.plan_view import as_time, key_row, key_words
from trustcli.publish.planner import absent_key
from trustcli.publish.preparation import Roles
from trustcli.session import Session
from trustdata.counting import counted
from trustdata.due import late_online_roles, offline_roles, within
from trustdata.editing.repository_editor import public_keys, signing_keys
from trustdata.envelope import Envelope
from trustdata.errors import shown
from trustdata.gun import GUN
from trustdata.roles import ONLINE, RoleName


@dataclass(frozen=True, slots=True, kw_only=True)
class ExpiringRole:
    """One role that expires soon. `version`: None if a server says so, and nothing here knows where trust begins.

    `keys`: the keys that can sign it, `threshold` of which must; none for an online role, which the server signs, and
    where nothing was verified. `said_by`: the server, if nothing was verified.
    """

    gun: GUN
    role: RoleName
    expires: datetime
    version: int | None = None
    threshold: int = 0
    keys: tuple[KeyPlace, ...] = ()
    said_by: str = ""

    @property
    def renewable(self) -> bool:
        """Whether this machine has enough of the keys."""
        return bool(self.keys) and sum(key.here for key in self.keys) >= self.threshold

    @property
    def duty(self) -> str:
        """Who has to renew it: `owner` or `server`."""
        return "server" if self.role in ONLINE else "owner"

    @property
    def renewer(self) -> str:
        """Who can renew it, for people."""
        if self.duty == "server":
            return "the server is late with it: tell its operator"
        if self.said_by:
            return f"{self.said_by} says so: nothing here says where trust in it begins"
        return f"{self.threshold} of: " + "; ".join(map(key_words, self.keys))

    def expired(self, at: datetime) -> bool:
        """Return whether it has expired."""
        return self.expires <= at

    def days_left(self, at: datetime) -> int:
        """Return whole days until it expires, rounded down: negative once it has expired."""
        return (self.expires - at).days

    def distance(self, at: datetime) -> str:
        """Return for people how long it has left, or how long ago it expired."""
        days = self.days_left(at)
        return f"expired {counted(-days - 1, 'day')} ago" if self.expired(at) else f"in {counted(days, 'day')}"

    def line(self, at: datetime) -> str:
        """Return the line for people."""
        what = shown(self.role) if self.version is None else f"{shown(self.role)} {self.version}"
        return f"{self.expires:%Y-%m-%d}  {self.distance(at).ljust(22)}  {self.gun}  {what}  {self.renewer}"

    def row(self, at: datetime) -> dict[str, object]:
        """Return the row for `--json`; of what a server says, without what only a verified role has."""
        found: dict[str, object] = {
            "gun": self.gun,
            "role": self.role,
            "expires": as_time(self.expires),
            "days_left": self.days_left(at),
            "expired": self.expired(at),
            "duty": self.duty,
        }
        if self.said_by:
            return {**found, "server": self.said_by}
        keys = [key_row(key) for key in self.keys]
        return {
            **found,
            "version": self.version,
            "threshold": self.threshold,
            "keys": keys,
            "renewable": self.renewable,
        }


class ExpiryReading:
    """Reads what runs out. `span`: how far to look ahead. `places`: the keys of the store, by fingerprint."""

    def __init__(self, session: Session, *, span: timedelta, places: Mapping[str, KeyPlace]) -> None:
        self._session = session
        self._due = within(span, at=session.at)
        self._until = session.at + span
        self._places = places
        self._clocks: set[str] = set()

    def collection(self, gun: GUN) -> list[ExpiringRole]:
        """Return the verified roles of a collection that run out. Raises: as `Collection.owner_roles`."""
        collection = self._session.collection(gun)
        roles = collection.owner_roles()
        self._compare_clocks(collection.server.name, collection.server.told_time)
        warn_of_unvouched(self._session, gun, roles)
        due = (
            *offline_roles(roles, self._due),
            *late_online_roles(roles, collection.wire.lifetimes, at=self._session.at),
        )
        return [self._verified(gun, roles, roles[role]) for role in due]

    def listed(self, url: str) -> Iterator[tuple[GUN, list[ExpiringRole]]]:
        """Yield each collection that a server lists, with what it says that runs out of it; nothing of that is signed.

        Raises: RemoteRefused, RemoteUnreachable, RemoteMisbehaved, TooLarge, InvalidName.
        """
        with contextlib.closing(self._session.link(GUN(""), url)) as link:
            for row in listed_collections(link):
                self._compare_clocks(link.name, link.told_time)
                if row["deleted"] is None:
                    yield GUN(row["gun"]), self._told(row, link.name)

    def _verified(self, gun: GUN, roles: Roles, file: Envelope) -> ExpiringRole:
        if file.role in ONLINE:
            return ExpiringRole(gun=gun, role=file.role, version=file.version, expires=file.expires)
        keyids, threshold = signing_keys(roles, {file.role: file.content}, file.role)[-1]
        public = public_keys(roles, {})
        here = {
            keyid: replace(self._places[fingerprint], keyid=keyid)
            for keyid in keyids
            if keyid in public
            for fingerprint in accepted_fingerprints([public[keyid]])
            if fingerprint in self._places
        }
        keys = tuple(here.get(keyid) or absent_key(roles, keyid) for keyid in keyids)
        return ExpiringRole(
            gun=gun, role=file.role, version=file.version, expires=file.expires, threshold=threshold, keys=keys
        )

    def _told(self, row: Mapping[str, Any], server: str) -> list[ExpiringRole]:
        """Return the owners' role that expires first, if it is soon, and one of the server's that has expired.

        Raises: RemoteMisbehaved.
        """
        found: dict[str, ExpiringRole] = {}
        for prefix, until in (("owner_", self._until), ("", self._session.at)):
            text, role = row[f"{prefix}expires"], row[f"{prefix}expires_role"]
            if text is None or role is None:
                continue
            try:
                expires = from_rfc3339(text)
            except ValueError as error:
                reason = f"its list of collections says of {shown(row['gun'])} that it expires at {shown(text)}"
                raise RemoteMisbehaved(remote=server, reason=reason) from error
            if expires <= until:
                said = ExpiringRole(gun=GUN(row["gun"]), role=RoleName(role), expires=expires, said_by=server)
                found.setdefault(said.role, said)
        return list(found.values())

    def _compare_clocks(self, server: str, told: datetime | None) -> None:
        """Warn once of each server whose clock differs from the one here, by which days are counted."""
        apart = clock_difference(told, self._session.at) if told is not None else ""
        if apart and server not in self._clocks:
            self._clocks.add(server)
            self._session.output.warn(f"the clock here is {apart} that of {server}, and days are counted by it")
