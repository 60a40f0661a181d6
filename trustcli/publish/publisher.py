"""Publish without losing a race and without overwriting what others have changed (docs/adr/0033).

    1. read      the collection, verified as a client would
    2. edit      what was read; an edit remembers what it saw first, and refuses if that has changed
    3. sign      with keys that are here
    4. judge     with the rules of the server and of every client, before anything is sent
    5. send      one upload, stored wholly or not at all
    6. retry     after a conflict, a lost reply or where the server is busy: again from 1 after a random pause, for
                 about a minute

If the edit finds nothing left to change, the publish is done, by whichever attempt.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from http import HTTPStatus
from typing import Final, Protocol, TypeVar

from trustcli.client.ports import PublishReceipt, PublishRemote
from trustcli.errors import RemoteBusy, RemoteRefused, RemoteUnreachable
from trustcli.publish.compromised_keys import NONE_KNOWN, Compromised
from trustcli.publish.preparation import HeldKeys, Roles, prepare
from trustdata.editing.owner_roles import OwnerRoles
from trustdata.editing.repository_editor import Contents, public_keys
from trustdata.envelope import Envelope
from trustdata.errors import (
    PublishRefused,
    TrustError,
    VersionConflict,
    WouldBreakRole,
)
from trustdata.gun import GUN
from trustdata.model import Key
from trustdata.roles import RoleName
from trustdata.wire import WireFormat

_log = logging.getLogger(__name__)

RETRY_SECONDS: Final = 60.0
"""How long a publisher retries after conflicts, and where the server is busy."""
_FIRST_PAUSE: Final = 0.05  # seconds
_LONGEST_PAUSE: Final = 2.0  # seconds
_UNTOLD: Final = 1
"""Seconds for which a busy server is left alone that does not say how long."""

_Answer = TypeVar("_Answer")

Check = Callable[[OwnerRoles, OwnerRoles], None]
"""A last check before anything is sent, of the roles before and after the publish; it raises to stop the publish."""
Edit = Callable[[OwnerRoles], Contents]
"""A function from the current roles to the contents that change; empty if nothing has to.

It may raise TagChanged and other errors.
"""


class Backoff(Protocol):
    """How the publisher waits between attempts: real time in production, none in tests."""

    def elapsed(self) -> float:
        """Return the seconds since the first attempt."""

    def pause(self, longest: float, *, least: float = 0) -> None:
        """Wait for `least` seconds, and then for a random time of at most `longest` seconds."""


class OwnKeys(Protocol):
    """What is known of the keys of the user who publishes."""

    def compromised(self) -> Compromised:
        """Return the keys that must not return. Raises: SettingsUnusable, FileNewer, FileExposed."""

    def signed(self, keys: Iterable[Key]) -> None:
        """Take note of the keys that have signed an upload, before it is sent."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PublishResult:
    """The result.

    `published`: None if nothing had to be sent. `uploads`: what was sent, by role. `attempts`: sent uploads. `roles`:
    the collection as the last attempt read it.
    """

    published: PublishReceipt | None
    uploads: Mapping[RoleName, Envelope]
    attempts: int
    roles: OwnerRoles


class Publisher:
    """Publishes edits of one collection."""

    def __init__(
        self,
        *,
        gun: GUN,
        wire: WireFormat,
        remote: PublishRemote,
        keys: HeldKeys,
        read: Callable[[], OwnerRoles],
        at: Callable[[], datetime],
        backoff: Backoff,
        refused: Callable[[], None] = lambda: None,
        record: OwnKeys | None = None,
    ) -> None:
        """Take `refused`, which is called where the server refuses what is in an upload: it judges by its own clock.

        `record`: what is known of the user's keys; None: nothing.
        """
        self._gun = gun
        self._wire = wire
        self._remote = remote
        self._keys = keys
        self._read = read
        self._at = at
        self._backoff = backoff
        self._refused = refused
        self._record = record

    def publish(self, edit: Edit, check: Check | None = None) -> PublishResult:
        """Publish the edit (steps 1 to 6).

        Raises: VersionConflict (still in conflict after a minute), RemoteBusy (still busy then), RemoteUnreachable (and
        the edit was not stored), the errors of the edit, NotVouchedFor, PublishRefused, NotTrusted (our own upload does
        not verify), KeysError, RemoteRefused, RemoteMisbehaved.
        """
        turn = _Turn(self._backoff)
        attempts = 0
        lost: RemoteUnreachable | None = None
        broken: tuple[WouldBreakRole, dict[RoleName, str]] | None = None
        while True:
            roles = self._read()
            if broken is not None and broken[1] == _state(roles):
                raise broken[0]  # nothing has changed since the refusal: our own edit breaks the role
            contents = edit(roles)
            if not contents:
                return PublishResult(published=None, uploads={}, attempts=attempts, roles=roles)
            if lost is not None:
                raise lost
            uploads = self.prepare(roles, contents)
            if check is not None:
                check(roles, roles.after(uploads))
            attempts += 1
            try:
                published = self.send(uploads)
            except (VersionConflict, WouldBreakRole, RemoteBusy) as error:
                broken = (error, _state(roles)) if isinstance(error, WouldBreakRole) else None
                turn.wait(error)
            except RemoteUnreachable as error:
                lost = error  # the upload may have been stored, and only the reply lost: read once more
            else:
                return PublishResult(published=published, uploads=uploads, attempts=attempts, roles=roles)

    def send(self, uploads: Mapping[RoleName, Envelope]) -> PublishReceipt:
        """Send one upload once (step 5).

        Raises: VersionConflict, WouldBreakRole, ServerKeyNotUsed, CollectionExists, RemoteUnreachable, RemoteRefused,
        RemoteMisbehaved, TooLarge.
        """
        what = ", ".join(f"{role} {envelope.version}" for role, envelope in uploads.items())
        try:
            receipt = self._remote.publish(self._gun, {role: envelope.raw for role, envelope in uploads.items()})
        except TrustError as error:
            _log.info("%s: sent %s: %s", self._gun, what, error)
            if _is_about_content(error):
                self._refused()
            raise
        _log.info("%s: sent %s: stored", self._gun, what)
        return receipt

    def send_when_free(self, uploads: Mapping[RoleName, Envelope]) -> PublishReceipt:
        """Send one upload, the same again where the server is busy, for about a minute. Raises: as `send`."""
        return sent_when_free(lambda: self.send(uploads), self._backoff)

    def prepare(self, roles: OwnerRoles, contents: Contents) -> dict[RoleName, Envelope]:
        """Sign and judge (steps 3 and 4).

        Raises: NotVouchedFor, KeyCompromised, KeysError, NotTrusted, PublishRefused; SettingsUnusable, FileNewer,
        FileExposed (which keys are compromised is not known).
        """
        at, record = self._at(), self._record
        compromised = record.compromised() if record is not None else NONE_KNOWN
        uploads = prepare(self._gun, roles, contents, keys=self._keys, wire=self._wire, at=at, compromised=compromised)
        known = public_keys(roles, {role: file.content for role, file in uploads.items()})
        if record is not None:
            record.signed([known[keyid] for keyid in {keyid for file in uploads.values() for keyid in file.signatures}])
        return uploads


class _Turn:
    """The pauses between attempts, each longer than the one before."""

    def __init__(self, backoff: Backoff) -> None:
        self._backoff = backoff
        self._longest = _FIRST_PAUSE

    def wait(self, error: VersionConflict | WouldBreakRole | RemoteBusy) -> None:
        """Wait before the next attempt, as long as a busy server wants; raise the error if there is no time left."""
        least = error.seconds or _UNTOLD if isinstance(error, RemoteBusy) else 0
        if self._backoff.elapsed() + least > RETRY_SECONDS:
            raise error
        self._backoff.pause(self._longest, least=least)
        self._longest = min(self._longest * 2, _LONGEST_PAUSE)


def sent_when_free(send: Callable[[], _Answer], backoff: Backoff) -> _Answer:
    """Send what need not be made anew, again where the server is busy, for about a minute.

    `send`: what is stored twice is stored once. Raises: RemoteBusy (still busy then), and what `send` raises.
    """
    turn = _Turn(backoff)
    while True:
        try:
            return send()
        except RemoteBusy as error:
            turn.wait(error)


def _is_about_content(error: TrustError) -> bool:
    """Return whether a server refuses what is in an upload, and not who sends it, nor that it came too late."""
    if isinstance(error, RemoteRefused):
        return error.status in {HTTPStatus.BAD_REQUEST, HTTPStatus.UNPROCESSABLE_ENTITY}
    return type(error) is PublishRefused  # as a Notary v1 server says it


def _state(roles: Roles) -> dict[RoleName, str]:
    return {role: envelope.sha256 for role, envelope in roles.items()}
