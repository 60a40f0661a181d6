"""A reader of trust data for decisions, over simulated servers: pins and ages count, and nothing is written."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

from tests.simulator.scene import Scene
from trustcli.errors import RemoteUnreachable
from trustcli.hooks.deciding.ports import DenyListRead, Reading, ReleasedTags
from trustdata.denied import deny_list
from trustdata.envelope import Envelope
from trustdata.errors import NoTrustData, TrustError
from trustdata.gun import GUN
from trustdata.judgement import Question, candidates, judge, refused
from trustdata.policy import Rule
from trustdata.roles import TARGETS, RoleName
from trustdata.verification.delegations import delegations_of
from trustdata.verification.trust_pinning import SourcedPin, check_pins

AWAY = RemoteUnreachable(remote="https://trust.example.com", reason="no answer in time")


class PlainReader:
    """Reads scenes by name. `age`: how long their servers have been away; None: they are there.

    `asked`: the names that were read, each time.
    """

    def __init__(self, scenes: Sequence[Scene], *, age: timedelta | None = None) -> None:
        self._roles: dict[GUN, dict[RoleName, Envelope]] = {}
        self._chains: dict[GUN, Sequence[Envelope]] = {}
        self._pins: dict[GUN, list[SourcedPin]] = {}
        for scene in scenes:
            updater = scene.newcomer().collection().refresh()
            assert updater.progress is not None
            self._chains[scene.server.gun] = updater.progress.roots
            updater.load_published(delegations_of(updater.roles()[TARGETS].targets))
            self._roles[scene.server.gun] = updater.roles()
            self._pins[scene.server.gun] = [SourcedPin(pin=scene.pin, source="pins.toml")]
        self._at = scenes[0].server.at
        self._age = age
        self.asked: list[GUN] = []

    def judge(self, gun: GUN, rule: Rule | None, questions: Sequence[Question]) -> Reading:
        self.asked.append(gun)
        try:
            self._check(gun, rule)
        except TrustError as refusal:
            return Reading(judgements=tuple(refused(question, refusal) for question in questions))
        judgements = tuple(judge(question, self._roles[gun]) for question in questions)
        return Reading(judgements=judgements, refreshed=self._refreshed, stale=self._age is not None)

    def released(self, gun: GUN, rule: Rule | None) -> ReleasedTags:
        self.asked.append(gun)
        try:
            self._check(gun, rule)
            targets = tuple(candidates(rule.requirements if rule else (), self._roles[gun]))
        except TrustError as refusal:
            return ReleasedTags(targets=(), refusal=refusal)
        return ReleasedTags(targets=targets, refreshed=self._refreshed, stale=self._age is not None)

    def denied(self, gun: GUN, rule: Rule | None) -> DenyListRead:
        self.asked.append(gun)
        try:
            self._check(gun, rule)
        except TrustError as refusal:
            return DenyListRead(refusal=refusal)
        denied = deny_list(gun, self._roles[gun][TARGETS].targets)
        return DenyListRead(denied=denied, refreshed=self._refreshed, stale=self._age is not None)

    @property
    def _refreshed(self) -> datetime:
        return self._at - (self._age or timedelta())

    def _check(self, gun: GUN, rule: Rule | None) -> None:
        if gun not in self._roles:
            raise NoTrustData(gun=gun)
        bound = rule.max_staleness if rule else None
        if self._age is not None and (bound is None or self._age > bound):
            raise AWAY
        pins = [*(rule.sourced_pins() if rule else ()), *self._pins[gun]]
        check_pins(gun, pins, self._chains[gun], at=self._at)
