"""One collection as this machine knows it: server, cache, pins and rollback memory together.

Whoever wants verified roles asks here; nobody else combines pins with memory or writes either.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from datetime import datetime, timedelta
from typing import Protocol

from trustcli.client.local_state import Known, LocalState
from trustcli.client.ports import CollectionState, MetadataCache, MetadataRemote, PublishRemote, Tombstone
from trustcli.client.updater import VERIFIED_BEFORE, Updater
from trustdata.envelope import Envelope
from trustdata.errors import (
    CollectionDeleted,
    MemoryUnwritable,
    ThresholdNotMet,
    TrustDataWithheld,
    TrustError,
    Unpinned,
)
from trustdata.gun import GUN
from trustdata.judgement import Judgement, Question, judge, needed_roles, refused
from trustdata.roles import RELEASES, ROOT, TARGETS, RoleName
from trustdata.verification import checks
from trustdata.verification.lock_entry import LockEntry
from trustdata.verification.trust_pinning import SourcedPin, fingerprint, parse_pin
from trustdata.wire import WireFormat


class TrustServer(MetadataRemote, PublishRemote, Protocol):
    """Both sides of a trust server."""


class Collection:
    """`tofu`: trust on first use where nothing is known. `warn`: tells the user what is no failure."""

    def __init__(
        self,
        *,
        gun: GUN,
        wire: WireFormat,
        server: TrustServer,
        local: LocalState,
        at: datetime,
        tofu: bool,
        warn: Callable[[str], None],
    ) -> None:
        self.gun = gun
        self.wire = wire
        self.server = server
        self.at = at
        self._local = local
        self._tofu = tofu
        self._warn = warn
        self.last: Updater | None = None
        """The refresh, or offline look, that was made last; for an explanation of what came of it."""

    # --- what is known

    def known_by(self) -> str | None:
        """Who here knows the name: a pin's source, rollback memory, the lock file, or nobody."""
        if self._local.pins:
            return self._local.pins[0].source
        if self._local.memory.load(self.gun) is not None:
            return VERIFIED_BEFORE
        return self._local.lock.source if self._local.lock is not None else None

    def on_server(self) -> CollectionState | Tombstone | None:
        """What the server says: unsigned, so for messages only."""
        return self.server.collection(self.gun)

    # --- reading

    def refresh(self, *, for_owner: bool = False) -> Updater:
        """Verified top-level roles, fresh from the server; rollback memory is written before this returns.

        `for_owner`: offline roles may have expired (to inspect and renew; never to run an image).

        Raises: as Updater.refresh; CollectionDeleted; MemoryUnwritable where memory is required.
        """
        try:
            updater = self._refresh(self._local.pins, for_owner=for_owner)
        except Unpinned as unpinned:
            if not self._tofu:
                raise
            updater = self._trust_on_first_use(unpinned, for_owner=for_owner)
        except TrustDataWithheld as withheld:
            raise self._explained(withheld) from withheld
        self._remember(updater)
        return updater

    def offline(self, max_age: timedelta) -> Updater:
        """Verified top-level roles from the cache. Raises: as Updater.offline."""
        updater = self._updater(self._local.pins)
        updater.offline(max_age=max_age)
        return updater

    def owner_roles(self) -> dict[RoleName, Envelope]:
        """Every role that the collection has and delegates, expired or not: what an edit or an inspection starts from.

        Raises: as `refresh`, and whatever keeps a published role from being verified.
        """
        return self._owner_roles(None)

    def roles_to_mend(self) -> tuple[dict[RoleName, Envelope], dict[RoleName, TrustError]]:
        """As `owner_roles`; and why some of them are vouched for by nobody any more, where the format lets that be.

        Old clients of Notary v1 leave such delegations behind (a signer is removed, what he signed last stays). They
        are what the verified snapshot lists, and nothing more: to be shown as broken, or signed anew by who may.
        """
        broken: dict[RoleName, TrustError] | None = {} if self.wire.upload_rules.may_break_roles else None
        return self._owner_roles(broken), broken or {}

    def _owner_roles(self, broken: dict[RoleName, TrustError] | None) -> dict[RoleName, Envelope]:
        updater = self.refresh(for_owner=True)
        roles = every_role(updater, broken)
        if not self.wire.pins_versions:
            self._remember(updater)
        return roles

    def locked(self) -> LockEntry:
        """What the project's lock file may say of the collection, fresh from the server.

        Raises: as `refresh`, and whatever keeps a published role from being verified.
        """
        updater = self.refresh()
        if not self.wire.pins_versions:
            # What the snapshot lists without versions is known only when it is loaded.
            known = self._local.lock.entry.minimum if self._local.lock is not None else {}
            for role in checks.delegations_of(updater.roles()[TARGETS].targets):
                try:
                    updater.load_published([role])
                except ThresholdNotMet:
                    if role == RELEASES or role in known:
                        raise  # else: left behind by an old client; it vouches for nothing
            self._remember(updater)
        return updater.locked()

    def judge(self, questions: Iterable[Question], *, max_age: timedelta | None = None) -> list[Judgement]:
        """One refresh (or offline look, given `max_age`), one answer to each question; never raises a TrustError."""
        asked = list(questions)
        try:
            updater = self.refresh() if max_age is None else self.offline(max_age)
        except TrustError as refusal:
            return [refused(question, refusal) for question in asked]
        answers = [self._answer(updater, question) for question in asked]
        if not self.wire.pins_versions and max_age is None:
            # What the snapshot lists without versions is known only now.
            try:
                self._remember(updater)
            except TrustError as refusal:
                return [refused(question, refusal) for question in asked]
        return answers

    def _answer(self, updater: Updater, question: Question) -> Judgement:
        try:
            updater.load_published(needed_roles(question, updater.roles()[TARGETS]))
        except TrustError as refusal:
            return refused(question, refusal)
        return judge(question, updater.roles())

    def as_newcomer(self, cache: MetadataCache) -> Updater:
        """A refresh without memory and with another cache, trusting the first root in it: how others see it.

        Raises: as Updater.refresh.
        """
        first = self.wire.parse(ROOT, cache.roots()[0])
        pin = SourcedPin(pin=fingerprint(first), source="the first root")
        known = Known(cache=cache, pins=[pin])
        updater = Updater(gun=self.gun, wire=self.wire, remote=self.server, known=known, at=self.at)
        updater.refresh()
        return updater

    # --- how

    def _updater(self, pins: Sequence[SourcedPin], *, for_owner: bool = False) -> Updater:
        self.last = Updater(
            gun=self.gun,
            wire=self.wire,
            remote=self.server,
            known=self._local.known(self.gun, pins),
            at=self.at,
            unsafe_accept_expired_offline_roles=for_owner,
        )
        return self.last

    def _refresh(self, pins: Sequence[SourcedPin], *, for_owner: bool) -> Updater:
        updater = self._updater(pins, for_owner=for_owner)
        updater.refresh()
        return updater

    def _trust_on_first_use(self, unpinned: Unpinned, *, for_owner: bool) -> Updater:
        pin = parse_pin(unpinned.found)
        updater = self._refresh([SourcedPin(pin=pin, source="trust on first use")], for_owner=for_owner)
        if self._local.record_pin is None:
            self._warn(f"trusting {self.gun} this once: its root of trust is {pin}, which is not recorded")
        else:
            self._local.record_pin(pin, "tofu")
            self._warn(f"trusting {self.gun} on first use: its root of trust is {pin}, recorded from now on")
        return updater

    def _explained(self, withheld: TrustDataWithheld) -> TrustError:
        """A deleted collection says so; what the server says of it is shown beside the pin, and trusted for nothing."""
        try:
            state = self.server.collection(self.gun)
        except TrustError:
            return withheld
        if not isinstance(state, Tombstone):
            return withheld
        return CollectionDeleted(
            gun=self.gun,
            pin=self._known_root(),
            deleted_root=state.deleted_root,
            deleted_at=state.deleted_at,
            subject=state.subject,
        )

    def _known_root(self) -> str:
        if self._local.pins:
            return str(self._local.pins[0].pin)
        return str(self._local.lock.entry.root) if self._local.lock is not None else "none"

    def _remember(self, updater: Updater) -> None:
        try:
            self._local.memory.remember(self.gun, updater.observed())
        except MemoryUnwritable as error:
            if self._local.memory_required:
                raise
            self._warn(f"rollback protection is weaker from here on: {error}")

    def adopt(self, root: Envelope) -> None:
        """Record a root that we have just made as the pin."""
        if self._local.record_pin is not None:
            self._local.record_pin(fingerprint(root), "init")


def every_role(updater: Updater, broken: dict[RoleName, TrustError] | None = None) -> dict[RoleName, Envelope]:
    """All roles of a refreshed collection that are delegated from the top down and published.

    `broken`: takes those that nobody vouches for, which are then given as they are listed; None: they are refused.
    """
    queue: list[RoleName] = [TARGETS]
    listed = updater.roles()
    while queue:
        delegator = queue.pop(0)
        for role in checks.delegations_of(listed[delegator].targets):
            if role not in listed and updater.published(role):
                try:
                    listed[role] = updater.load(role, delegator)
                except ThresholdNotMet as error:
                    if broken is None:
                        raise
                    broken[role] = error
                    listed[role] = updater.unvouched(role)
                else:
                    queue.append(role)
    return listed
