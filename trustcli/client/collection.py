"""One collection as this machine knows it: its server, cache, pins, rollback memory and lock entry together.

All verified roles come from here: no other module combines pins with rollback memory, or writes either of them.
"""

from __future__ import annotations

import copy
import logging
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Final, Protocol

from keys.error_record import about
from trustcli.client.first_use import pin_on_first_use, record_first_use
from trustcli.client.local_state import Known, LocalState
from trustcli.client.ports import CollectionState, DeletedCollection, MetadataCache, MetadataRemote, PublishRemote
from trustcli.client.updater import VERIFIED_BEFORE, Updater
from trustcli.client.verified_roles import VerifiedRoles
from trustcli.errors import MemoryUnwritable, RemoteRefused
from trustdata.envelope import Envelope
from trustdata.errors import (
    CertificateNotValidNow,
    CollectionDeleted,
    ContentMismatch,
    FormatChanged,
    LivesTooLong,
    MalformedMetadata,
    MetadataExpired,
    MetadataMissing,
    NoTrustData,
    NotTrusted,
    ThresholdNotMet,
    TooLarge,
    TrustDataWithheld,
    TrustError,
    Unpinned,
    VersionMismatch,
    VersionRollback,
)
from trustdata.gun import GUN
from trustdata.judgement import Judgement, Question, judge, needed_roles, refused, with_every_signer
from trustdata.roles import RELEASES, ROOT, TARGETS, RoleName, is_delegated
from trustdata.verification.delegations import delegations_of
from trustdata.verification.lock_entry import LockEntry
from trustdata.verification.trust_pinning import SourcedPin, fingerprint
from trustdata.wire import WireFormat

if TYPE_CHECKING:
    from trustcli.client.known_before import KnownBefore
    from trustdata.editing.owner_roles import OwnerDecisions, OwnerRoles


_log = logging.getLogger(__name__)

_PERHAPS_OF_ANOTHER: Final = (ThresholdNotMet, VersionMismatch, VersionRollback, ContentMismatch, MetadataMissing)
"""What the files of another collection are refused for, where a known root chain leads to them."""


class TrustServer(MetadataRemote, PublishRemote, Protocol):
    """A trust server that can be read from and published to."""

    @property
    def told_time(self) -> datetime | None:
        """What time it was by the server at its last answer, for messages; None if it did not say."""

    @property
    def doubtful_absence(self) -> RemoteRefused | None:
        """The refusal to be told if the latest absent file was not absent by the word of a trust server, or None."""

    def tombstone(self, gun: GUN) -> DeletedCollection | None:
        """Return what is left of a deleted collection, in whichever format it was; None if the server tells of none."""


class Collection:
    """One collection: refresh it, judge its tags, and keep what was verified.

    `tofu`: trust the first root that the server shows, if no pin is known. `warn`: shows the user a warning.
    `other_format`: asks the server whether it has the collection in another format than `wire`, and returns its name.
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
        other_format: Callable[[], str | None] | None = None,
    ) -> None:
        self.gun = gun
        self.wire = wire
        self.server = server
        self.at = at
        self._local = local
        self._tofu = tofu
        self._warn = warn
        self._other_format = other_format
        self.last_updater: Updater | None = None
        """The updater of the latest refresh or offline run, from which `trust explain` reports; None before."""
        self._known_before: KnownBefore | None = None

    # --- what this machine and the server know

    def known_by(self) -> str | None:
        """Return the source that knows this name (a pin's, rollback memory, the lock file), or None."""
        own = [pinned.source for pinned in self._local.pins if not pinned.of_pattern]
        if own:
            return own[0]
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
        updater = self._refreshed(for_owner=for_owner)
        self._remember(updater)
        return updater

    def offline(self, max_age: timedelta) -> Updater:
        """Verify the top-level roles from the cache alone.

        Raises: OfflineTooOld, NotTrusted, Unpinned, MalformedMetadata, MemoryDamaged.
        """
        updater = self._updater(self._local.pins)
        with about(self.gun):
            updater.offline(max_age=max_age)
        return updater

    def owner_roles(self, decisions: OwnerDecisions | None = None) -> OwnerRoles:
        """Refresh, and return every published role, expired or not: the starting point of an edit or an inspection.

        A delegation that does not verify is no error here: it is left out and named. `decisions`: of the owner, about
        roles that nobody vouches for.

        Raises: NoTrustData, TrustDataWithheld, CollectionDeleted, Unpinned, NotTrusted (root, timestamp, snapshot or
        targets do not verify), MalformedMetadata, TooLarge, RemoteUnreachable, RemoteRefused, RemoteMisbehaved,
        MemoryDamaged; MemoryUnwritable if memory is required.
        """
        # Imported here because verifying needs neither, and start-up must stay fast.
        from trustcli.client.known_before import KnownBefore
        from trustcli.client.owner_reading import OwnerReading
        from trustdata.editing.owner_roles import NOTHING_DECIDED

        if self._known_before is None:  # what is read first was not seen by anybody when it is read once more
            self._known_before = KnownBefore(self._local.memory.load(self.gun), self._local.cache, self.wire)
        updater = self.refresh(for_owner=True)
        for refusal in updater.overlong():
            self._warn(f"{self.gun}: {refusal}; clients refuse it until the server has signed another")
        roles = OwnerReading(
            self.gun, updater, NOTHING_DECIDED if decisions is None else decisions, self._known_before
        ).read()
        if updater.has_learned():
            self._remember(updater)
        return roles

    def verified_files(self) -> dict[RoleName, Envelope]:
        """Return the files that this machine has verified last, by role; those that are not in the cache are left out.

        A file that was only read, since it or its delegator had expired, is none of them (docs/adr/0041). The server is
        not asked. Raises: MemoryDamaged.
        """
        memory = self._local.memory.load(self.gun)
        found: dict[RoleName, Envelope] = {}
        for role, seen in memory.roles.items() if memory is not None else ():
            raw = next(iter(self._local.cache.roots()[-1:]), None) if role == ROOT else self._local.cache.load(role)
            if raw is None:
                continue
            with suppress(MalformedMetadata, TooLarge):
                file = self.wire.parse(role, raw)
                if file.sha256 == seen.sha256:
                    found[role] = file
        return found

    def lock_entry(self) -> LockEntry:
        """Refresh, and return the lock file entry: the current root, and the minimum version of each role.

        Raises: NoTrustData, TrustDataWithheld, CollectionDeleted, Unpinned, NotTrusted (also if a locked delegation
        cannot be verified), MalformedMetadata, TooLarge, RemoteUnreachable, RemoteRefused, RemoteMisbehaved,
        MemoryDamaged; MemoryUnwritable if memory is required.
        """
        updater = self.refresh()
        if not self.wire.lists_versions:
            # Notary's snapshot lists no versions: load each delegation to know its version.
            known = self._local.lock.entry.minimum if self._local.lock is not None else {}
            for role in delegations_of(updater.roles()[TARGETS].targets):
                try:
                    updater.load_published([role])
                except (ThresholdNotMet, MetadataExpired):
                    if role == RELEASES or role in known:
                        raise  # any other one was left behind, by an old client or by its signer, and releases no tag
            self._remember(updater)
        return updater.lock_entry()

    def verify_published(self, roles: Iterable[RoleName], *, others: bool = True) -> Updater:
        """Refresh as a client, and verify and remember those of `roles` that are published delegations.

        For an owner's own publish: what this machine has signed, it knows the next time. `others`: and what others had
        signed by then, unless the owner has just refused to sign some of it. Raises: as `refresh`.
        """
        updater = self._refreshed(for_owner=False)
        updater.load_published(role for role in roles if is_delegated(role))
        if others:  # they may not verify
            self._load(updater, delegations_of(updater.roles()[TARGETS].targets))
        self._remember(updater)
        return updater

    def judge(
        self,
        questions: Iterable[Question],
        *,
        max_age: timedelta | None = None,
        own: Iterable[RoleName] = (),
        every_signer: bool = False,
    ) -> list[Judgement]:
        """Refresh once (offline if `max_age` is given) and return one judgement for each question.

        `own`: delegations that this machine has just signed, to be verified and remembered too; they decide nothing.
        `every_signer`: read the roles of signers that nobody asked for, too, and name all signers of each digest; they
        decide nothing, and what cannot be read of them is passed over. An error becomes a refusal: no TrustError is
        raised.
        """
        all_questions = list(questions)
        try:
            updater = self._refreshed(for_owner=False) if max_age is None else self.offline(max_age)
        except TrustError as refusal:
            _log.info("%s is refused: %s", self.gun, refusal)
            return [refused(question, refusal) for question in all_questions]
        answers = [self._answer(updater, question) for question in all_questions]
        if every_signer and any(answer.allowed for answer in answers):
            answers = self._with_every_signer(updater, answers)
        if max_age is None:
            for role in own:
                with suppress(TrustError):
                    updater.load_published([role])
            # Written once, after the delegations were loaded: what was read of them is remembered too.
            try:
                self._remember(updater)
            except TrustError as refusal:
                answers = [refused(question, refusal) for question in all_questions]
        for answer in answers:
            self._log_verdict(answer)
        return answers

    def _log_verdict(self, answer: Judgement) -> None:
        question, evidence = answer.question, answer.evidence
        asked = f"{self.gun}:{question.tag}" if question.tag else str(self.gun)
        if evidence is None:
            _log.info("%s is refused: %s", asked, answer.refusal)
            return
        by = ", ".join(evidence.signers) or "nobody who was asked for"
        _log.info("%s is allowed as %s, released by %s, signed by %s", asked, answer.digest, evidence.released_by, by)

    def _with_every_signer(self, updater: Updater, answers: list[Judgement]) -> list[Judgement]:
        for role in delegations_of(updater.roles()[TARGETS].targets):
            with suppress(TrustError):
                updater.load_published([role])
        roles = updater.roles()
        named = []
        for answer in answers:
            try:
                named.append(with_every_signer(answer, roles))
            except ContentMismatch:  # a signer that nobody asked for lists something that is no digest
                named.append(answer)
        return named

    def _answer(self, updater: Updater, question: Question) -> Judgement:
        """Judge one question. The role of a signer that does not verify decides nothing: others may be enough."""
        try:
            faults = self._load(updater, needed_roles(question, updater.roles()[TARGETS]))
        except TrustError as refusal:
            return refused(question, refusal)
        if RELEASES in faults:
            return refused(question, faults[RELEASES])
        return judge(question, updater.roles(), faults)

    def _load(self, updater: Updater, roles: Iterable[RoleName]) -> dict[RoleName, TrustError]:
        """Load delegations; return why some do not verify. Raises: RemoteUnreachable and what else servers do."""
        faults: dict[RoleName, TrustError] = {}
        for role in roles:
            try:
                with about(self.gun):
                    updater.load_published([role])
            except (NotTrusted, MalformedMetadata, TooLarge) as fault:
                faults[role] = fault
        return faults

    # --- for a process that keeps what it has verified

    def read(self, wanted: Iterable[RoleName]) -> VerifiedRoles:
        """Refresh, remember, and return what questions are judged by; none is asked yet.

        `wanted`: the delegations that questions will need. Raises: as `refresh`.
        """
        updater = self._refreshed(for_owner=False)
        found = self._read_roles(updater, frozenset(wanted), refreshed=self.at)
        self._remember(updater)
        return found

    def read_offline(self, wanted: Iterable[RoleName]) -> VerifiedRoles:
        """Return the same from the cache alone, however old it is: `refreshed` says when the server confirmed it.

        Nothing may have expired, and the clock may not have gone back. Raises: as `offline`.
        """
        updater = self.offline(timedelta.max)
        remembered = updater.memory.refreshed if updater.memory is not None else None
        return self._read_roles(updater, frozenset(wanted), refreshed=remembered or self.at)

    def _read_roles(self, updater: Updater, wanted: frozenset[RoleName], *, refreshed: datetime) -> VerifiedRoles:
        delegated = delegations_of(updater.roles()[TARGETS].targets)
        faults = self._load(updater, (role for role in delegated if role in wanted))
        # A raised error holds the calls that it came through, and all that they had.
        kept = {role: copy.copy(fault) for role, fault in faults.items()}
        return VerifiedRoles(
            gun=self.gun,
            roles=updater.roles(),
            faults=kept,
            wanted=wanted,
            refreshed=refreshed,
            lapse=updater.lapse,
        )

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

    def _refreshed(self, *, for_owner: bool) -> Updater:
        """Refresh without writing rollback memory: the caller does, before it uses what was verified."""
        with about(self.gun):
            return self._refreshed_or_explained(for_owner=for_owner)

    def _refreshed_or_explained(self, *, for_owner: bool) -> Updater:
        """Refresh; raise what says most about why it cannot be done."""
        try:
            return self._refresh(self._local.pins, for_owner=for_owner)
        except Unpinned as unpinned:
            if not self._tofu:
                raise
            return self._trust_on_first_use(unpinned, for_owner=for_owner)
        except NoTrustData as unknown:
            doubt = self.server.doubtful_absence
            if doubt is None:
                raise
            raise doubt from unknown
        except TrustDataWithheld as withheld:
            raise self._explain_withheld(withheld) from withheld
        except (MetadataExpired, LivesTooLong, CertificateNotValidNow):
            self.warn_of_clocks()
            raise
        except _PERHAPS_OF_ANOTHER as refusal:
            other = self._other_collection()
            if other is None:
                raise
            raise other from refusal

    def _refresh(self, pins: Sequence[SourcedPin], *, for_owner: bool) -> Updater:
        updater = self._updater(pins, for_owner=for_owner)
        updater.refresh()
        return updater

    def _trust_on_first_use(self, unpinned: Unpinned, *, for_owner: bool) -> Updater:
        pin = pin_on_first_use(unpinned)
        updater = self._refresh([pin], for_owner=for_owner)
        self._warn(record_first_use(self.gun, pin, self._local))
        return updater

    def warn_of_clocks(self, then: str = "so is this refusal") -> None:
        """Say how far the clock here is from the server's, where a refusal depends on the time. It decides nothing.

        `then`: what follows from a wrong clock.
        """
        from trustcli.http.server_time import clock_difference  # rare: start-up time

        told = self.server.told_time
        apart = clock_difference(told, self.at) if told is not None else ""
        if apart:
            self._warn(f"the clock here is {apart} that of {self.server.name}; if it is wrong, {then}")

    def _other_collection(self) -> TrustError | None:
        """Return the error that says that another collection stands under this name, if one does."""
        from trustcli.client.other_collection import other_collection  # rare: start-up time

        updater = self.last_updater
        return None if updater is None else other_collection(self.gun, self.wire, self.server, updater)

    def _explain_withheld(self, withheld: TrustDataWithheld) -> TrustError:
        """Return the error for a withheld collection; one that says more if it was deleted, or is in another format.

        The server's statement is shown beside the pin, and changes nothing about what is trusted.
        """
        state, doubt = None, self.server.doubtful_absence
        with suppress(TrustError):  # a Go server knows no such question
            state = self.server.tombstone(self.gun)
        if state is None:
            other = self._in_other_format(withheld)
            said = str(doubt) if doubt is not None else self._doubt_of_path()
            if other is not None or not said or withheld.missing:
                return other or withheld
            return TrustDataWithheld(gun=self.gun, known_by=withheld.known_by, doubt=said)
        return CollectionDeleted(
            gun=self.gun,
            pin=self._known_root(),
            deleted_root=state.deleted_root,
            deleted_at=state.deleted_at,
            subject=state.subject,
        )

    def _doubt_of_path(self) -> str:
        """Return what may be wrong with the address of the server: with a path in it, other files are asked for."""
        from trustcli.console.address_advice import address_without_path  # rare: start-up time

        shorter = address_without_path(self.server.name)
        return f"{self.server.name} has a path, which may be too much: without it, it is {shorter}" if shorter else ""

    def _in_other_format(self, withheld: TrustDataWithheld) -> TrustError | None:
        """Return the error for a collection that the server has in another format, if it says so."""
        other = None
        if self._other_format is not None and not withheld.missing:
            with suppress(TrustError):
                other = self._other_format()
        if other is None:
            return None
        return FormatChanged(gun=self.gun, pinned=self.wire.name, pin_source=withheld.known_by, offered=other)

    def _known_root(self) -> str:
        if self._local.pins:
            return str(self._local.pins[0].pin)
        return str(self._local.lock.entry.root) if self._local.lock is not None else "none"

    def _remember(self, updater: Updater) -> None:
        _log.info("%s: what was verified is remembered, so that nothing older is believed later", self.gun)
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
