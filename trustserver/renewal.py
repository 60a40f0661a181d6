"""Renewal: snapshot and timestamp are signed again at half of their life, by a round or when somebody reads."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from keys.errors import KeysError
from trustdata.errors import TrustError
from trustdata.gun import GUN
from trustdata.roles import ROOT, SNAPSHOT, TIMESTAMP
from trustserver.errors import DiskFull, RevisionMoved
from trustserver.online_roles import OnlineRoles
from trustserver.parsed import ParsedCollection, ParsedCollections
from trustserver.recording import Recorder
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

    def __init__(
        self, *, store: MetadataStore, online: OnlineRoles, parsed: ParsedCollections, recorder: Recorder
    ) -> None:
        self._store = store
        self._online = online
        self._parsed = parsed
        self._recorder = recorder

    def renew(self, gun: GUN, *, at: datetime) -> bool:
        """Renew what is due in one collection; False if nothing is. Raises: NotStored, ServerKeyNotUsed, KeysError."""
        for _ in range(_ATTEMPTS):
            stored = self._parsed.load(gun, least=_NEEDED)
            if stored.state.status is not Status.LIVE or not self._is_due(stored, at):
                return False
            try:
                self._renew(stored, at)
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

    def _is_due(self, stored: ParsedCollection, at: datetime) -> bool:
        return any(
            self._online.renewal_of(role, stored.envelopes[role].expires) <= at for role in (SNAPSHOT, TIMESTAMP)
        )

    def _renew(self, stored: ParsedCollection, at: datetime) -> None:
        envelopes = stored.envelopes
        root = envelopes[ROOT].root
        if self._online.renewal_of(SNAPSHOT, envelopes[SNAPSHOT].expires) <= at:
            issued = self._online.issue(stored.state, root=root, stored=envelopes, changed=(), at=at)
        else:
            issued = self._online.issue_timestamp(stored.state, root=root, stored=envelopes, at=at)
        self._recorder.record(stored, envelopes, (), issued)
