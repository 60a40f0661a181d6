"""Publishing that loses no race and overwrites nothing blindly (PRODUCT decision 11).

    1. read      the collection, verified as a client would
    2. edit      on what was read; an edit carries what its author saw, and refuses if that is no longer so
    3. sign      with keys that are here
    4. judge     with the rules that the server and every client will use, before anything leaves
    5. send      one upload, stored wholly or not at all
    6. on a conflict, or when the reply was lost: again from 1, after a pause with jitter, for about a minute

The edit has the last word: nothing left to do means that it is done, by whichever attempt.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Final, Protocol

from trustcli.client.ports import PublishReceipt, PublishRemote
from trustcli.publish.preparation import HeldKeys, Roles, prepare
from trustdata.editing.repository_editor import Contents
from trustdata.envelope import Envelope
from trustdata.errors import RemoteUnreachable, VersionConflict, WouldBreakRole
from trustdata.gun import GUN
from trustdata.roles import RoleName
from trustdata.wire import WireFormat

RETRY_SECONDS: Final = 60.0
_FIRST_PAUSE: Final = 0.05
_LONGEST_PAUSE: Final = 2.0

Check = Callable[[Mapping[RoleName, Envelope]], None]
"""A last look at the signed uploads before they are sent; raises to stop."""
Edit = Callable[[Roles], Contents]
"""From the verified current roles to the contents that change; nothing: done. May raise TagChanged and others."""


class Backoff(Protocol):
    """How the publisher waits: real time in production, none in tests."""

    def elapsed(self) -> float:
        """Seconds since the first attempt."""

    def pause(self, longest: float) -> None:
        """Wait for a random time of at most `longest` seconds."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PublishResult:
    """`published` is None when nothing had to be sent. `uploads`: what was sent, by role. `attempts` counts uploads."""

    published: PublishReceipt | None
    uploads: Mapping[RoleName, Envelope]
    attempts: int


class Publisher:
    """Publishes edits of one collection."""

    def __init__(
        self,
        *,
        gun: GUN,
        wire: WireFormat,
        remote: PublishRemote,
        keys: HeldKeys,
        read: Callable[[], Roles],
        at: Callable[[], datetime],
        backoff: Backoff,
    ) -> None:
        self._gun = gun
        self._wire = wire
        self._remote = remote
        self._keys = keys
        self._read = read
        self._at = at
        self._backoff = backoff

    def publish(self, edit: Edit, check: Check | None = None) -> PublishResult:
        """Raises: VersionConflict (still in conflict after a minute), RemoteUnreachable (and the edit is not in), the
        edit's own errors, PublishRefused, NotTrusted (our own upload does not verify), KeysError, RemoteRefused.
        """
        longest = _FIRST_PAUSE
        attempts = 0
        lost: RemoteUnreachable | None = None
        broken: tuple[WouldBreakRole, dict[RoleName, str]] | None = None
        while True:
            roles = self._read()
            if broken is not None and broken[1] == _state(roles):
                raise broken[0]  # nobody else has moved anything: it is our edit that breaks the role
            contents = edit(roles)
            if not contents:
                return PublishResult(published=None, uploads={}, attempts=attempts)
            if lost is not None:
                raise lost
            uploads = self.prepare(roles, contents)
            if check is not None:
                check(uploads)
            attempts += 1
            try:
                published = self.send(uploads)
            except (VersionConflict, WouldBreakRole) as error:
                broken = (error, _state(roles)) if isinstance(error, WouldBreakRole) else None
                if self._backoff.elapsed() > RETRY_SECONDS:
                    raise
                self._backoff.pause(longest)
                longest = min(longest * 2, _LONGEST_PAUSE)
            except RemoteUnreachable as error:
                lost = error  # perhaps it was stored and only the reply was lost: look once
            else:
                return PublishResult(published=published, uploads=uploads, attempts=attempts)

    def send(self, uploads: Mapping[RoleName, Envelope]) -> PublishReceipt:
        """Step 5 alone: one upload, sent once. Raises: as PublishRemote.publish."""
        return self._remote.publish(self._gun, {role: envelope.raw for role, envelope in uploads.items()})

    def prepare(self, roles: Roles, contents: Contents) -> dict[RoleName, Envelope]:
        """Steps 3 and 4: sign and judge. Raises: as `preparation.prepare`."""
        return prepare(self._gun, roles, contents, keys=self._keys, wire=self._wire, at=self._at())


def _state(roles: Roles) -> dict[RoleName, str]:
    return {role: envelope.sha256 for role, envelope in roles.items()}
