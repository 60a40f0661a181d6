"""Renewal: snapshot and timestamp are signed again at half of their life, by a round or when somebody reads."""

from __future__ import annotations

import logging
from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from keys.errors import KeysError
from trustdata.errors import TrustError
from trustdata.gun import GUN
from trustdata.roles import ROOT, SNAPSHOT, TIMESTAMP, RoleName
from trustserver.errors import DiskFull, RevisionMoved
from trustserver.repository.commit import Committer
from trustserver.repository.online_roles import OnlineRoles, held_key, renewal_of
from trustserver.repository.parsed_cache import ParsedCache, ParsedCollection, format_of
from trustserver.storage.ports import MetadataStore, Status

ROUND: Final = 100
"""Collections renewed in one round, at most."""
_NEEDED: Final = frozenset({ROOT, SNAPSHOT, TIMESTAMP})
"""A renewal reads nothing of targets and delegations, which may be large."""
_ATTEMPTS: Final = 16

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Round:
    """What one round did. `full`: there may be more to do at once."""

    renewed: int
    failed: int
    full: bool


class Renewal:
    """Signs again. Blocks on the store: to be called from a worker thread."""

    def __init__(self, *, store: MetadataStore, online: OnlineRoles, parsed: ParsedCache, committer: Committer) -> None:
        self._store = store
        self._online = online
        self._parsed = parsed
        self._committer = committer

    def renew(self, gun: GUN, *, at: datetime) -> bool:
        """Renew what is due in one collection; False if nothing is. Raises: NotStored, ServerKeyNotUsed, KeysError."""
        for _ in range(_ATTEMPTS):
            stored = self._parsed.load(gun, least=_NEEDED)
            due = _due(stored, at)
            if not due:
                return False
            try:
                self._renew(stored, due, at)
            except RevisionMoved:
                continue  # somebody published, which renews too
            return True
        return False

    def round(self, *, at: datetime) -> Round:
        """Renew what is longest due. One collection that fails holds up no other; it is logged. Raises: NotStored."""
        due = self._store.due(at=at, limit=ROUND)
        renewed = failed = 0
        for gun in due:
            try:
                renewed += self.renew(gun, at=at)
            except (TrustError, KeysError) as error:
                failed += 1
                _log.error("renewal failed", extra={"gun": gun, "code": error.code, "reason": str(error)})
                if isinstance(error, DiskFull):
                    break  # the others would find no space either
        return Round(renewed=renewed, failed=failed, full=len(due) == ROUND and renewed > 0)

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


def _due(stored: ParsedCollection, at: datetime) -> list[RoleName]:
    """The roles that are the server's to renew, now. A snapshot that its owner signs is not: it is served as it is."""
    if stored.state.status is not Status.LIVE:
        return []
    wire, envelopes = format_of(stored.state).wire, stored.envelopes
    due = [role for role in (SNAPSHOT, TIMESTAMP) if renewal_of(envelopes[role], wire) <= at]
    if SNAPSHOT in due and wire.upload_rules.may_bring_snapshot:
        root = envelopes[ROOT].root
        return [role for role in due if role != SNAPSHOT or held_key(stored.state, root, SNAPSHOT, wire)]
    return due
