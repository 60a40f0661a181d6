"""Sign snapshot and timestamp again when half of their lifetime is over: once a minute, or when a client reads them.

Those that live longer than files that are signed now are due at once: they were signed while the clock was ahead
(docs/adr/0047), unless it is now that the clock is early. The rules (`renewal_due`, `outlives`)
and the lifetimes are in trustdata/lifetimes.py, since clients use them too; `renewal_time` and `lives_too_long` in
online_roles.py apply them. The minute is in app.py.
"""

from __future__ import annotations

import logging
from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from keys.errors import KeysError
from trustdata.errors import TrustError
from trustdata.gun import GUN
from trustdata.lifetimes import CLOCK_SKEW, expires_at
from trustdata.roles import ROOT, SNAPSHOT, TIMESTAMP, RoleName
from trustdata.wire.formats import FORMATS
from trustserver.errors import DiskFull, RevisionMoved
from trustserver.repository.commit import Committer
from trustserver.repository.online_roles import ATTEMPTS, OnlineRoles, held_key, lives_too_long, renewal_time
from trustserver.repository.parsed_cache import ParsedCache, ParsedCollection, format_of
from trustserver.storage.ports import MetadataStore, Status

ROUND: Final = 100
"""How many collections one round renews at most."""
_NEEDED: Final = frozenset({ROOT, SNAPSHOT, TIMESTAMP})
"""The roles that a renewal reads. Targets and delegations are not needed, and may be large."""

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Round:
    """The result of one round. `renewed`, `failed`: how many collections. `full`: more may be due at once."""

    renewed: int = 0
    failed: int = 0
    full: bool = False


class Renewal:
    """Signs online roles again. Call it from a worker thread: it waits for the database."""

    def __init__(self, *, store: MetadataStore, online: OnlineRoles, parsed: ParsedCache, committer: Committer) -> None:
        self._store = store
        self._online = online
        self._parsed = parsed
        self._committer = committer

    def renew(self, gun: GUN, *, at: datetime) -> bool:
        """Renew the roles of one collection that are due. Return False if none is.

        Raises: ClockJumped, NotStored, ServerKeyNotUsed (root names other keys), KeysError (a key cannot be used),
        PublishRefused (this version of the server does not know the format).
        """
        self._online.check_clock(at)
        for _ in range(ATTEMPTS):
            stored = self._parsed.load(gun, needed=_NEEDED)
            due = self._due(stored, at)
            if not due:
                return False
            try:
                self._renew(stored, due, at)
            except RevisionMoved:
                continue  # somebody has published, which renews too
            return True
        return False

    def round(self, *, at: datetime) -> Round:
        """Renew the collections that are due, the earliest first. One that fails is logged and skipped.

        Raises: ClockJumped; NotStored if the list of due collections cannot be read.
        """
        self._online.check_clock(at)
        due = self._store.due(at=at, limit=ROUND)
        early = self._online.clock_is_early(at)
        overlong = () if early else self._store.outliving(_latest_expiries(at), limit=ROUND)
        renewed = failed = 0
        for gun in dict.fromkeys((*due, *overlong)):
            try:
                renewed += self.renew(gun, at=at)
            except (TrustError, KeysError) as error:
                failed += 1
                _log.error("renewal failed", extra={"gun": gun, "code": error.code, "reason": str(error)})
                if isinstance(error, DiskFull):
                    break  # the others would fail too
        return Round(renewed=renewed, failed=failed, full=ROUND in {len(due), len(overlong)} and renewed > 0)

    def _due(self, stored: ParsedCollection, at: datetime) -> list[RoleName]:
        """Return the online roles that the server must sign again now. Never a snapshot that its owner signs."""
        if stored.state.status is not Status.LIVE:
            return []
        wire, envelopes = format_of(stored.state).wire, stored.envelopes
        early = self._online.clock_is_early(at)
        due = [
            role
            for role in (SNAPSHOT, TIMESTAMP)
            if renewal_time(envelopes[role], wire) <= at or (not early and lives_too_long(envelopes[role], wire, at))
        ]
        if SNAPSHOT in due and wire.upload_rules.may_include_snapshot:
            root = envelopes[ROOT].root
            return [role for role in due if role != SNAPSHOT or held_key(stored.state, root, SNAPSHOT, wire)]
        return due

    def _renew(self, stored: ParsedCollection, due: Collection[RoleName], at: datetime) -> None:
        envelopes, served_format = stored.envelopes, format_of(stored.state)
        root = envelopes[ROOT].root
        if SNAPSHOT in due:
            issued = self._online.issue(
                stored.state, served_format=served_format, root=root, stored=envelopes, changed=(), at=at
            )
        else:
            issued = self._online.issue_timestamp(
                stored.state, served_format=served_format, root=root, stored=envelopes, at=at
            )
        self._committer.commit(stored, envelopes, (), issued)


def _latest_expiries(at: datetime) -> dict[str, dict[RoleName, datetime]]:
    """Return when an online role may expire at the latest, by format and role."""
    return {
        name: {role: expires_at(at, wire.lifetimes.of(role) + CLOCK_SKEW) for role in (SNAPSHOT, TIMESTAMP)}
        for name, wire in FORMATS.items()
    }
