"""Judge images as if it were another time, by the trust data of now; nothing is stored on this machine.

A later time: the trust data is verified now, and then judged at that time (`trustdata.forecast`), as if its owners did
nothing until then, while the server goes on renewing what it has the keys of. An earlier time, or that of a clock that
is off: the trust data is verified as a machine would whose clock says so.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from datetime import datetime
from typing import Final

from keys.record import replace
from trustcli.client.collection import Collection
from trustcli.hooks.deciding.once import OnceReader
from trustcli.hooks.deciding.ports import DenyListRead, Reading, ReleasedTags, TrustDataReader
from trustcli.session import Session
from trustdata.envelope import Envelope
from trustdata.errors import LivesTooLong, TrustError, shown
from trustdata.explanation import RoleFate, RoleForecast, Simulation
from trustdata.forecast import ClientAnswer, first_to_break, judge_at, other_clients
from trustdata.gun import GUN
from trustdata.judgement import Judgement, Question
from trustdata.lifetimes import renewal_due
from trustdata.policy import Rule
from trustdata.roles import ONLINE, ROOT, SNAPSHOT, TARGETS, TIMESTAMP, RoleName

_ORDER: Final = (ROOT, TIMESTAMP, SNAPSHOT, TARGETS)


class SimulatedTime:
    """One image at another time. `session`: reads trust data, and stores nothing."""

    def __init__(self, session: Session, at: datetime, *, offline: bool) -> None:
        self._now = session.at
        self._at = at
        self._offline = offline
        self._later = at > session.at
        self.session = copy.copy(session)  # the same settings and connections
        self.session.keeps = False
        self.session.at = session.at if self._later else at
        self._read: Collection | None = None
        self._judgements: list[tuple[Collection, Judgement]] = []
        self._server_keys: dict[GUN, frozenset[str]] = {}

    def watching(self, collections: list[Collection]) -> Callable[[Collection], None]:
        """Return what is called with each collection before it is judged."""

        def watch(collection: Collection) -> None:
            self._read = collection
            collections.append(collection)

        return watch

    def reader(self, reader: OnceReader) -> TrustDataReader:
        """Return a reader whose judgements are those of the other time."""
        return _Forecast(reader, self._judged)

    def _judged(self, judgement: Judgement) -> Judgement:
        """Return the judgement of the other time. What is refused now stays so, if nobody acts."""
        collection = self._read
        if collection is None:
            return judgement
        self._judgements.append((collection, judgement))
        if not self._later or not judgement.allowed:
            return judgement
        renewed = self._renewed(collection)
        return judge_at(judgement.question, _verified(collection), at=self._at, renewed=renewed)

    def _renewed(self, collection: Collection) -> frozenset[RoleName]:
        """Return the roles that the server signs again by itself: those of which it says that it holds the keys.

        If it does not say, both online roles are taken to be renewed, since whoever has their keys must do so.
        """
        if not self._later:
            return frozenset()
        held = self._keys_at_server(collection)
        return frozenset(role for role in ONLINE if role in held) if held else frozenset(ONLINE)

    def _keys_at_server(self, collection: Collection) -> frozenset[str]:
        """Return the roles whose keys the server says that it holds; none if it does not say."""
        gun = collection.gun
        if gun not in self._server_keys:
            self._server_keys[gun] = frozenset()
            if not self._offline:
                with suppress(TrustError):
                    self._server_keys[gun] = self.session.server_keys(gun)
        return self._server_keys[gun]

    def report(self) -> Simulation | None:
        """Return what the simulation rests on; None if no collection was judged. To be called when the image was."""
        if not self._judgements:
            return None
        collection, answer = self._judgements[0]
        roles = _verified(collection)
        renewed = self._renewed(collection) if roles else frozenset()
        first = first_to_break(answer.question, roles, renewed=renewed) if answer.allowed and self._later else None
        return Simulation(
            read_at=self._now,
            server_renews=tuple(sorted(renewed)),
            server_asked=bool(self._server_keys.get(collection.gun)),
            breaks_at=first.expires if first is not None else None,
            breaks_role=shown(first.role) if first is not None else None,
            without=self._without(answer, roles),
            roles=tuple(self._fate(file, collection, renewed) for file in sorted(roles.values(), key=_order)),
            clients=self._clients(answer, collection, roles, renewed),
        )

    def _without(self, answer: Judgement, roles: Mapping[RoleName, Envelope]) -> str:
        """Return why the image would be refused if the server signed nothing any more; "" if it would not."""
        if not answer.allowed or not self._later:
            return ""
        refusal = judge_at(answer.question, roles, at=self._at, renewed=frozenset()).refusal
        return "" if refusal is None else str(refusal)

    def _fate(self, file: Envelope, collection: Collection, renewed: frozenset[RoleName]) -> RoleForecast:
        fate: RoleFate = "expired" if file.expires <= self._at else "valid"
        if file.role in renewed:
            due = renewal_due(file.expires, collection.wire.lifetimes.of(file.role))
            fate = "renewed by the server" if due <= self._at else "valid"
        return RoleForecast(role=shown(file.role), version=file.version, expires=file.expires, fate=fate)

    def _clients(
        self,
        answer: Judgement,
        collection: Collection,
        roles: Mapping[RoleName, Envelope],
        renewed: frozenset[RoleName],
    ) -> tuple[ClientAnswer, ...]:
        """Return what the clients of others would say; nothing if it is not known what they would see."""
        if roles:
            return other_clients(answer.question, roles, at=self._at, renewed=renewed, wire=collection.wire)
        # They have no bound for how long a timestamp may live: to a clock that is behind, nothing has expired.
        unbounded = isinstance(answer.refusal, LivesTooLong)
        return (ClientAnswer(client="clients of others", note="they have no such bound"),) if unbounded else ()


class _Forecast:
    """Reads as the reader that it is made of, and judges each answer again."""

    def __init__(self, reader: OnceReader, judged: Callable[[Judgement], Judgement]) -> None:
        self._reader = reader
        self._judged = judged

    def judge(self, gun: GUN, rule: Rule | None, questions: Sequence[Question]) -> Reading:
        """Judge questions about one collection at the other time."""
        reading = self._reader.judge(gun, rule, questions)
        return replace(reading, judgements=tuple(map(self._judged, reading.judgements)))

    def released(self, gun: GUN, rule: Rule | None) -> ReleasedTags:
        """Return all released tags of now."""
        return self._reader.released(gun, rule)

    def denied(self, gun: GUN, rule: Rule | None) -> DenyListRead:
        """Return what a collection denies now."""
        return self._reader.denied(gun, rule)


def _verified(collection: Collection) -> dict[RoleName, Envelope]:
    """Return the roles that were verified; none if the verification did not get to its end."""
    updater = collection.last_updater
    return updater.roles() if updater is not None and updater.complete else {}


def _order(file: Envelope) -> tuple[int, str]:
    return (_ORDER.index(file.role) if file.role in _ORDER else len(_ORDER), file.role)
