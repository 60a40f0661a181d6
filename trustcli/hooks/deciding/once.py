"""Read trust data for a process that ends: each question is answered by a refresh of its own collection."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Final

from keys.error_record import about
from trustcli.client.collection import Collection
from trustcli.errors import OfflineTooOld, RemoteBusy, RemoteFailing, RemoteUnreachable
from trustcli.hooks.deciding.ports import DenyListRead, Reading, ReleasedTags
from trustdata.denied import deny_list
from trustdata.errors import MalformedMetadata, NotTrusted, TooLarge, TrustError
from trustdata.gun import GUN
from trustdata.judgement import Judgement, Question, candidates, refused
from trustdata.roles import RELEASES, TARGETS
from trustdata.verification.delegations import delegations_of

if TYPE_CHECKING:
    from trustcli.client.updater import Updater
    from trustcli.session import Session
    from trustdata.policy import Rule

_AWAY: Final = frozenset({RemoteUnreachable, RemoteFailing, RemoteBusy})
"""What says that the server is away. A certificate that is refused, or a proxy's refusal, may be somebody between."""


def is_away(refusal: TrustError | None) -> bool:
    """Return whether a refusal says only that the server is away, so that older data may be used within its bound."""
    return type(refusal) in _AWAY


class OnceReader:
    """Reads collections through a session, which asks the server each time.

    `memory_required`: refuse where rollback memory cannot be written. `max_age`: ask no server, and use data of at most
    this age. `every_signer`: name all signers of each digest. `keep=False`: write nothing on this machine. `watch`: is
    called with each collection before it is judged. `finish`: may return a verdict that says more for people.
    """

    def __init__(
        self,
        session: Session,
        *,
        memory_required: bool = False,
        max_age: timedelta | None = None,
        every_signer: bool = False,
        keep: bool = True,
        watch: Callable[[Collection], None] | None = None,
        finish: Callable[[Collection, Judgement], Judgement] | None = None,
    ) -> None:
        self._session = session
        self._memory_required = memory_required
        self._max_age = max_age
        self._every_signer = every_signer
        self._keep = keep
        self._watch = watch
        self._finish = finish
        self._denied: dict[tuple[GUN, Rule | None], DenyListRead] = {}

    def judge(self, gun: GUN, rule: Rule | None, questions: Sequence[Question]) -> Reading:
        """Judge questions about one collection after one refresh; from older data if the server is away."""
        try:
            collection = self._collection(gun, rule, offline=self._max_age is not None)
        except TrustError as error:
            return Reading(judgements=tuple(refused(question, error) for question in questions))
        answers = collection.judge(questions, max_age=self._max_age, every_signer=self._every_signer)
        stale = self._while_away(gun, rule, answers) if self._max_age is None else None
        if stale is not None:
            return stale
        if self._finish is not None:
            answers = [self._finish(collection, answer) for answer in answers]
        return Reading(judgements=tuple(answers), refreshed=self._refreshed(collection, self._max_age))

    def released(self, gun: GUN, rule: Rule | None) -> ReleasedTags:
        """Return all tags that the rule may allow, by verified trust data."""
        try:
            updater, refreshed, stale = self._updated(gun, rule)
            self._load(gun, updater, rule)
            targets = tuple(candidates(rule.requirements if rule is not None else (), updater.roles()))
        except TrustError as refusal:
            return ReleasedTags(targets=(), refusal=refusal)
        return ReleasedTags(targets=targets, refreshed=refreshed, stale=stale)

    def denied(self, gun: GUN, rule: Rule | None) -> DenyListRead:
        """Return what a collection denies, read once for all images of this process."""
        way = gun, rule
        if way not in self._denied:
            try:
                updater, refreshed, stale = self._updated(gun, rule)
                denied = deny_list(gun, updater.roles()[TARGETS].targets)
                self._denied[way] = DenyListRead(denied=denied, refreshed=refreshed, stale=stale)
            except TrustError as refusal:
                self._denied[way] = DenyListRead(refusal=refusal)
        return self._denied[way]

    def _updated(self, gun: GUN, rule: Rule | None) -> tuple[Updater, datetime | None, bool]:
        """Return the verified top-level roles, when a server confirmed them, and whether it is away now.

        Raises: TrustError.
        """
        collection = self._collection(gun, rule, offline=self._max_age is not None)
        max_age, stale = self._max_age, False
        try:
            updater = collection.refresh() if max_age is None else collection.offline(max_age)
        except RemoteUnreachable as away:
            max_age = rule.max_staleness if rule is not None else None
            if self._max_age is not None or max_age is None or not is_away(away):
                raise
            collection, stale = self._collection(gun, rule, offline=True), True
            updater = collection.offline(max_age)
        return updater, self._refreshed(collection, max_age), stale

    def _load(self, gun: GUN, updater: Updater, rule: Rule | None) -> None:
        """Load the delegations that list what the rule may allow; a signer's that does not verify lists nothing.

        Raises: as `Updater.load_published`.
        """
        named = {role for requirement in (rule.requirements if rule else ()) for role in requirement.roles()}
        for role in delegations_of(updater.roles()[TARGETS].targets):
            if role == RELEASES:
                with about(gun):
                    updater.load_published([role])
            elif role in named:
                with suppress(NotTrusted, MalformedMetadata, TooLarge):
                    updater.load_published([role])

    def _collection(self, gun: GUN, rule: Rule | None, *, offline: bool) -> Collection:
        collection = self._session.collection(
            gun,
            policy_pins=rule.sourced_pins() if rule else (),
            policy_max_life=rule.max_life if rule else None,
            policy_server=rule.server if rule else "",
            by_policy=rule is not None,
            memory_required=self._memory_required,
            offline=offline,
            keep=self._keep,
        )
        if self._watch is not None:
            self._watch(collection)
        return collection

    def _while_away(self, gun: GUN, rule: Rule | None, answers: Sequence[Judgement]) -> Reading | None:
        """Return verdicts by older data where the server was away and the rule has a bound; None if nothing changes."""
        away = next((answer.refusal for answer in answers if is_away(answer.refusal)), None)
        if rule is None or rule.max_staleness is None or away is None:
            return None
        try:
            collection = self._collection(gun, rule, offline=True)
        except TrustError:
            return None
        questions = [answer.question for answer in answers]
        older = collection.judge(questions, max_age=rule.max_staleness, every_signer=self._every_signer)
        if all(isinstance(answer.refusal, OfflineTooOld) for answer in older):
            return None  # that the server is away says more
        told = tuple(new if is_away(now.refusal) else now for now, new in zip(answers, older, strict=True))
        refreshed = self._refreshed(collection, rule.max_staleness)
        return Reading(judgements=told, refreshed=refreshed, stale=True, away=away)

    def _refreshed(self, collection: Collection, max_age: timedelta | None) -> datetime | None:
        """Return when the server last confirmed what was read."""
        updater = collection.last_updater
        if max_age is None:
            return self._session.at if updater is not None and updater.complete else None
        return updater.memory.refreshed if updater is not None and updater.memory is not None else None
