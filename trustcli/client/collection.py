"""One collection as this machine knows it: its server, cache, pins, rollback memory and lock entry together.

All verified roles come from here: no other module combines pins with rollback memory, or writes either of them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from datetime import datetime, timedelta
from typing import Protocol

from trustcli.client.first_use import pin_on_first_use, record_first_use
from trustcli.client.local_state import Known, LocalState
from trustcli.client.ports import CollectionState, DeletedCollection, MetadataCache, MetadataRemote, PublishRemote
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
from trustdata.verification.delegations import delegations_of
from trustdata.verification.lock_entry import LockEntry
from trustdata.verification.trust_pinning import SourcedPin, fingerprint
from trustdata.wire import WireFormat


class TrustServer(MetadataRemote, PublishRemote, Protocol):
    """A trust server that can be read from and published to."""


class Collection:
    """One collection: refresh it, judge its tags, and keep what was verified.

    `tofu`: trust the first root that the server shows, if no pin is known. `warn`: shows the user a warning.
    """

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
        self.last_updater: Updater | None = None
        """The updater of the latest refresh or offline run, from which `trust explain` reports; None before."""

    # --- what this machine and the server know

    def known_by(self) -> str | None:
        """Return the source that knows this name (a pin's, rollback memory, the lock file), or None."""
        if self._local.pins:
            return self._local.pins[0].source
        if self._local.memory.load(self.gun) is not None:
            return VERIFIED_BEFORE
        return self._local.lock.source if self._local.lock is not None else None

    def on_server(self) -> CollectionState | DeletedCollection | None:
        """Return the server's description of the collection. It is not signed: use it in messages, never for trust.

        None if the collection never existed. Raises: RemoteUnreachable, RemoteRefused, RemoteMisbehaved, TooLarge.
        """
        return self.server.collection(self.gun)

    # --- reading

    def refresh(self, *, for_owner: bool = False) -> Updater:
        """Fetch and verify the top-level roles, and store their versions in rollback memory before returning.

        `for_owner`: accept expired offline roles, and online roles that live too long (to show or renew them; never to
        run an image).

        Raises: NoTrustData, TrustDataWithheld, CollectionDeleted, Unpinned, NotTrusted, MalformedMetadata, TooLarge,
        RemoteUnreachable, RemoteRefused, RemoteMisbehaved, MemoryDamaged; MemoryUnwritable if memory is required.
        """
        try:
            updater = self._refresh(self._local.pins, for_owner=for_owner)
        except Unpinned as unpinned:
            if not self._tofu:
                raise
            updater = self._trust_on_first_use(unpinned, for_owner=for_owner)
        except TrustDataWithheld as withheld:
            raise self._explain_withheld(withheld) from withheld
        self._remember(updater)
        return updater

    def offline(self, max_age: timedelta) -> Updater:
        """Verify the top-level roles from the cache alone.

        Raises: OfflineTooOld, NotTrusted, Unpinned, MalformedMetadata, MemoryDamaged.
        """
        updater = self._updater(self._local.pins)
        updater.offline(max_age=max_age)
        return updater

    def owner_roles(self) -> dict[RoleName, Envelope]:
        """Refresh, and return every published role, expired or not: the starting point of an edit or an inspection.

        Raises: NoTrustData, TrustDataWithheld, CollectionDeleted, Unpinned, NotTrusted (also if a published delegation
        cannot be verified), MalformedMetadata, TooLarge, RemoteUnreachable, RemoteRefused, RemoteMisbehaved,
        MemoryDamaged; MemoryUnwritable if memory is required.
        """
        return self._owner_roles(None)

    def roles_to_repair(self) -> tuple[dict[RoleName, Envelope], dict[RoleName, TrustError]]:
        """Return all roles, and the error of each role that has too few valid signatures.

        Such broken roles are returned only in Notary v1, where old clients leave them behind: `docker trust` removes a
        signer from a delegation and keeps the file that this signer signed last. A broken role is only what the
        verified snapshot lists: show it as broken, or let those sign it again who may.

        Raises: NoTrustData, TrustDataWithheld, CollectionDeleted, Unpinned, NotTrusted (also if a published delegation
        cannot be verified for another reason), MalformedMetadata, TooLarge, RemoteUnreachable, RemoteRefused,
        RemoteMisbehaved, MemoryDamaged; MemoryUnwritable if memory is required.
        """
        broken: dict[RoleName, TrustError] | None = {} if self.wire.upload_rules.may_break_roles else None
        return self._owner_roles(broken), broken or {}

    def _owner_roles(self, broken: dict[RoleName, TrustError] | None) -> dict[RoleName, Envelope]:
        updater = self.refresh(for_owner=True)
        for refusal in updater.overlong():
            self._warn(f"{self.gun}: {refusal}; clients refuse it until the server has signed another")
        roles = every_role(updater, broken)
        if not self.wire.pins_versions:
            self._remember(updater)
        return roles

    def lock_entry(self) -> LockEntry:
        """Refresh, and return the lock file entry: the current root, and the minimum version of each role.

        Raises: NoTrustData, TrustDataWithheld, CollectionDeleted, Unpinned, NotTrusted (also if a locked delegation
        cannot be verified), MalformedMetadata, TooLarge, RemoteUnreachable, RemoteRefused, RemoteMisbehaved,
        MemoryDamaged; MemoryUnwritable if memory is required.
        """
        updater = self.refresh()
        if not self.wire.pins_versions:
            # Notary's snapshot lists no versions: load each delegation to know its version.
            known = self._local.lock.entry.minimum if self._local.lock is not None else {}
            for role in delegations_of(updater.roles()[TARGETS].targets):
                try:
                    updater.load_published([role])
                except ThresholdNotMet:
                    if role == RELEASES or role in known:
                        raise  # any other one is left behind by an old client, and releases no tag
            self._remember(updater)
        return updater.lock_entry()

    def judge(self, questions: Iterable[Question], *, max_age: timedelta | None = None) -> list[Judgement]:
        """Refresh once (offline if `max_age` is given) and return one judgement for each question.

        An error becomes a refusal: no TrustError is raised.
        """
        all_questions = list(questions)
        try:
            updater = self.refresh() if max_age is None else self.offline(max_age)
        except TrustError as refusal:
            return [refused(question, refusal) for question in all_questions]
        answers = [self._answer(updater, question) for question in all_questions]
        if not self.wire.pins_versions and max_age is None:
            # Notary's snapshot lists no versions: those of delegations are known only after they were loaded.
            try:
                self._remember(updater)
            except TrustError as refusal:
                return [refused(question, refusal) for question in all_questions]
        return answers

    def _answer(self, updater: Updater, question: Question) -> Judgement:
        try:
            updater.load_published(needed_roles(question, updater.roles()[TARGETS]))
        except TrustError as refusal:
            return refused(question, refusal)
        return judge(question, updater.roles())

    def refresh_from_first_root(self, cache: MetadataCache) -> Updater:
        """Refresh as a client that has no rollback memory and trusts the first root in `cache`, to see what others see.

        Raises: TrustDataWithheld, NotTrusted, MalformedMetadata, TooLarge, RemoteUnreachable, RemoteRefused,
        RemoteMisbehaved.
        """
        first = self.wire.parse(ROOT, cache.roots()[0])
        pin = SourcedPin(pin=fingerprint(first), source="the first root")
        known = Known(cache=cache, pins=[pin])
        updater = Updater(
            gun=self.gun,
            wire=self.wire,
            remote=self.server,
            known=known,
            at=self.at,
            max_life=self._local.max_life,
        )
        updater.refresh()
        return updater

    # --- steps

    def _updater(self, pins: Sequence[SourcedPin], *, for_owner: bool = False) -> Updater:
        self.last_updater = Updater(
            gun=self.gun,
            wire=self.wire,
            remote=self.server,
            known=self._local.known(self.gun, pins),
            at=self.at,
            max_life=self._local.max_life,
            unsafe_accept_expired_offline_roles=for_owner,
        )
        return self.last_updater

    def _refresh(self, pins: Sequence[SourcedPin], *, for_owner: bool) -> Updater:
        updater = self._updater(pins, for_owner=for_owner)
        updater.refresh()
        return updater

    def _trust_on_first_use(self, unpinned: Unpinned, *, for_owner: bool) -> Updater:
        pin = pin_on_first_use(unpinned)
        updater = self._refresh([pin], for_owner=for_owner)
        self._warn(record_first_use(self.gun, pin, self._local))
        return updater

    def _explain_withheld(self, withheld: TrustDataWithheld) -> TrustError:
        """Return the error for a withheld collection; if its server says that it was deleted, one that says so.

        The server's statement is shown beside the pin, and changes nothing about what is trusted.
        """
        try:
            state = self.server.collection(self.gun)
        except TrustError:
            return withheld
        if not isinstance(state, DeletedCollection):
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
        """Record the fingerprint of a root that this machine has just made as the pin."""
        if self._local.record_pin is not None:
            self._local.record_pin(fingerprint(root), "init")


def every_role(updater: Updater, broken: dict[RoleName, TrustError] | None = None) -> dict[RoleName, Envelope]:
    """Return all published roles of a refreshed collection that are reachable by delegation from `targets`.

    `broken`: receives the error of each role that has too few valid signatures, whose file is then returned unverified;
    None: such a role raises ThresholdNotMet. Raises: MetadataMissing, NotTrusted, MalformedMetadata, TooLarge,
    RemoteUnreachable, RemoteRefused, RemoteMisbehaved.
    """
    queue: list[RoleName] = [TARGETS]
    listed = updater.roles()
    while queue:
        delegator = queue.pop(0)
        for role in delegations_of(listed[delegator].targets):
            if role not in listed and updater.published(role):
                try:
                    listed[role] = updater.load(role, delegator)
                except ThresholdNotMet as error:
                    if broken is None:
                        raise
                    broken[role] = error
                    listed[role] = updater.load_unsigned(role)
                else:
                    queue.append(role)
    return listed
