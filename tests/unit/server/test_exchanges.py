"""Tokens of CI jobs are exchanged for tokens of this server: once, for a while, and however slow their issuer is."""

from __future__ import annotations

import asyncio
import threading
import tomllib
from collections.abc import Awaitable, Callable, Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import TypeVar

import pytest

from tests.simulator.workload_issuers import (
    AUDIENCE,
    CLUSTER,
    FILE,
    GITHUB,
    KEY,
    RULES,
    Documents,
    documents,
    github,
    jwk,
    jwks,
    shown,
)
from tests.support.server_owner import NOW
from trustdata.errors import TrustError
from trustserver.auth.api_tokens import token_digest
from trustserver.auth.exchanges import LIFETIME, MARGIN, MAX_WAITING, MAX_WAITING_OF_ONE, Exchanges
from trustserver.auth.issuer_keys import IssuerKeys
from trustserver.auth.workload_tokens import LEEWAY
from trustserver.auth.workloads import Issuer, Workloads, read_workloads
from trustserver.errors import Overloaded, TokenRefused, TooMany
from trustserver.settings import Settings
from trustserver.storage.database import open_engine
from trustserver.storage.exchange_port import ExchangedToken
from trustserver.storage.exchange_rows import SqlExchanges
from trustserver.storage.opening import open_store

T = TypeVar("T")


class Rig:
    """Exchanges over a database, with a clock and with issuers that answer as they are told."""

    def __init__(self, folder: Path) -> None:
        settings = Settings(data=folder / "data")
        open_store(settings).close()
        self.engine = open_engine(settings.database_url)
        self.store = SqlExchanges(self.engine)
        self.at = NOW
        self.asked: Callable[..., bytes] = documents()
        self.rules: Workloads = read_workloads(tomllib.loads(RULES), file=FILE)
        self.started: list[Exchanges] = []
        self.exchanges = self.start()

    def now(self) -> datetime:
        return self.at

    def start(self) -> Exchanges:
        """As a server that is started, again or for the first time."""
        self.started.append(Exchanges(self.store, lambda: self.rules, clock=self.now, keys_of=self.keys_of))
        return self.started[-1]

    def keys_of(self, issuer: Issuer) -> IssuerKeys:
        return IssuerKeys(issuer, get=self.asked)

    def close(self) -> None:
        for each in self.started:
            each.close()
        self.engine.dispose()

    def exchange(self, token: bytes, address: str | None = None) -> str:
        given, _ = asyncio.run(self.exchanges.exchange(token, address=address))
        return given

    def who(self, token: str, exchanges: Exchanges | None = None) -> str | None:
        found = (exchanges or self.exchanges).find(token_digest(token.encode()) or "")
        return found.workload if found else None


@pytest.fixture
def rig(tmp_path: Path) -> Iterator[Rig]:
    made = Rig(tmp_path)
    yield made
    made.close()


def test_a_token_counts_for_a_quarter_of_an_hour_also_after_a_restart(rig: Rig) -> None:
    token = rig.exchange(shown(github()))
    rig.at += LIFETIME - timedelta(seconds=1)
    assert rig.who(token) == rig.who(token, rig.start()) == "app"
    rig.at += timedelta(seconds=1)
    assert rig.who(token) is None
    assert rig.who(token, rig.start()) is None
    assert rig.who("ct_" + "0" * 72) is None


def test_each_token_is_exchanged_once_also_after_a_restart(rig: Rig) -> None:
    token = shown(github())
    rig.exchange(token)
    for exchanges in (rig.exchanges, rig.start()):
        rig.exchanges = exchanges
        for again in (token, shown(github())):  # the same jti, with another signature
            with pytest.raises(TokenRefused, match="shown before"):
                rig.exchange(again)
    rig.exchange(shown(github(jti="job-2")))


def test_two_at_one_moment_are_one(rig: Rig) -> None:
    token = shown(github())

    async def both() -> list[object]:
        each = (rig.exchanges.exchange(token, address=None) for _ in range(2))
        return await asyncio.gather(*each, return_exceptions=True)

    results = asyncio.run(both())
    assert sorted(type(result) is TokenRefused for result in results) == [False, True]


def test_what_was_shown_is_remembered_for_as_long_as_it_could_be_shown(rig: Rig) -> None:
    seconds = int(LIFETIME.total_seconds()) + 3600
    token = shown(github(exp=int(NOW.timestamp()) + seconds))
    rig.exchange(token)
    rig.at += timedelta(seconds=seconds + LEEWAY - 1)
    rig.exchange(shown(github(jti="another", exp=int(rig.at.timestamp()) + 60, iat=int(rig.at.timestamp()))))
    with pytest.raises(TokenRefused, match="shown before"):
        rig.exchange(token)
    rig.at += MARGIN + LIFETIME
    now = int(rig.at.timestamp())
    rig.exchange(shown(github(jti="a third", exp=now + 60, iat=now)))
    assert len(rig.store.exchanged()) == 1  # the others are dropped


def test_a_workload_that_the_rules_no_longer_have_is_nobody(rig: Rig) -> None:
    token = rig.exchange(shown(github()))
    rig.rules = read_workloads(tomllib.loads(RULES.replace('name = "app"', 'name = "other"')), file=FILE)
    assert rig.who(token) is None
    assert rig.who(rig.exchange(shown(github(jti="2")))) == "other"


def test_a_workload_that_is_defined_anew_does_not_get_the_tokens_of_the_old_one(rig: Rig) -> None:
    token = rig.exchange(shown(github()))
    before = rig.rules
    for change in (('{ repository_id = "123" }', '{ repository_id = "124" }'), (AUDIENCE, "https://other.example.com")):
        rig.rules = read_workloads(tomllib.loads(RULES.replace(*change)), file=FILE)
        assert rig.who(token) is None
    rig.rules = before
    assert rig.who(token) == "app"


def test_what_was_shown_while_the_issuer_was_slow_is_not_forgotten(rig: Rig) -> None:
    token = shown(github(exp=int(NOW.timestamp()) + 3600))
    rig.exchange(token)
    rig.at += timedelta(seconds=3600 + LEEWAY - 1)
    answers = documents()

    def slow(url: str, *, issuer: Issuer, limit: int) -> bytes:
        rig.at += timedelta(seconds=30)
        return answers(url, issuer=issuer, limit=limit)

    rig.asked = slow
    rig.exchanges = rig.start()
    with pytest.raises(TokenRefused, match="shown before"):
        rig.exchange(token)


def test_keys_stay_known_when_the_rules_change_unless_their_issuer_does(rig: Rig) -> None:
    asked = documents()
    rig.asked = asked
    rig.exchange(shown(github()))
    rig.rules = read_workloads(tomllib.loads(RULES.replace('name = "app"', 'name = "other"')), file=FILE)
    rig.exchange(shown(github(jti="2")))
    assert len(asked.asked) == 2
    text = RULES.replace(f'url = "{GITHUB}"', f'url = "{GITHUB}"\njwks_url = "{GITHUB}/keys"', 1)
    rig.rules = read_workloads(tomllib.loads(text), file=FILE)
    rig.exchange(shown(github(jti="3")))
    assert len(asked.asked) == 3


def test_no_more_are_kept_than_there_is_room_for(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("trustserver.auth.exchanges.MAX_KEPT", 2)
    for number in range(2):
        rig.exchange(shown(github(jti=str(number))))
    with pytest.raises(TooMany):
        rig.exchange(shown(github(jti="2")))


def deployer(jti: str) -> bytes:
    """A token of another workload, of another issuer."""
    account = {"namespace": "prod", "serviceaccount": {"name": "deployer", "uid": "0d1e"}}
    return shown(github(iss=CLUSTER, jti=jti, **{"kubernetes.io": account}))


def test_one_workload_takes_no_room_from_the_others(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("trustserver.auth.exchanges.MAX_KEPT_OF_ONE", 2)
    in_a_year = int(NOW.timestamp()) + 365 * 24 * 3600
    for number in range(2):
        rig.exchange(shown(github(jti=str(number), exp=in_a_year)))
    rig.at += timedelta(minutes=1)
    with pytest.raises(TooMany, match="tokens of this workload"):
        rig.exchange(shown(github(jti="2", exp=in_a_year)))
    assert rig.who(rig.exchange(deployer("1"))) == "deployer"


def test_what_was_shown_is_not_taken_again_when_the_clock_was_ahead_and_went_back(rig: Rig) -> None:
    now = int(NOW.timestamp())
    before = shown(github(jti="before", exp=now + 1200))
    rig.exchange(before)
    rig.at += timedelta(minutes=40)
    rig.exchange(shown(github(jti="long", exp=now + 7200)))
    assert len(rig.store.exchanged()) == 1, "what was shown before is forgotten"
    rig.at = NOW + timedelta(minutes=2)
    for exchanges in (rig.exchanges, rig.start()):
        rig.exchanges = exchanges
        with pytest.raises(TokenRefused, match="the clock of this server has been past its end"):
            rig.exchange(before)
    rig.exchange(shown(github(jti="still known", exp=now + 2400)))
    rig.at += timedelta(minutes=38)
    rig.exchange(shown(github(jti="later", exp=now + 3000, iat=now + 2400)))


class Slow:
    """An issuer that does not answer before it is let go."""

    def __init__(self) -> None:
        self.answers = documents()
        self.go = threading.Event()

    def __call__(self, url: str, *, issuer: Issuer, limit: int) -> bytes:
        if issuer.name == "github":
            assert self.go.wait(timeout=60)
        return self.answers(url, issuer=issuer, limit=limit)


def test_an_issuer_that_is_slow_keeps_no_other_waiting_and_its_queue_is_bounded(rig: Rig) -> None:
    slow = Slow()
    rig.asked = slow

    async def work() -> None:
        def ask(number: int, address: str) -> asyncio.Task[object]:
            token = shown(github(jti=f"{address} {number}"))
            return asyncio.create_task(_outcome(rig.exchanges.exchange(token, address=address)))

        of_one = [ask(number, "192.0.2.1") for number in range(MAX_WAITING_OF_ONE + 1)]
        await asyncio.sleep(0)
        others = [ask(number, f"198.51.100.{number}") for number in range(MAX_WAITING)]
        await asyncio.sleep(0)
        assert isinstance(await of_one[-1], Overloaded)
        assert isinstance(await others[-1], Overloaded)
        _, given = await rig.exchanges.exchange(deployer("x"), address="203.0.113.1")
        assert given.workload == "deployer"
        slow.go.set()
        done = [await task for task in (*of_one, *others)]
        assert sum(not isinstance(each, Overloaded) for each in done) == MAX_WAITING
        assert not any(isinstance(each, TokenRefused) for each in done)
        assert not isinstance(await ask(99, "192.0.2.1"), TrustError)

    asyncio.run(work())


async def _outcome(work: Awaitable[T]) -> T | TrustError:
    try:
        return await work
    except TrustError as error:
        return error


def test_the_store_gives_back_what_it_was_given(rig: Rig) -> None:
    def token(number: int, *, minutes: int = 15) -> ExchangedToken:
        return ExchangedToken(
            secret=f"{number:064x}",
            workload="app",
            definition="d" * 64,
            shown=bytes([number] * 32),
            created=NOW,
            expires=NOW + timedelta(minutes=minutes),
            kept_until=NOW + timedelta(minutes=minutes, seconds=5),
        )

    assert rig.store.exchange(token(1), most=10, most_of_one=10)
    assert rig.store.exchange(token(2), most=10, most_of_one=10)
    assert not rig.store.exchange(token(1), most=10, most_of_one=10)
    with pytest.raises(TooMany):
        rig.store.exchange(token(3), most=2, most_of_one=10)
    assert rig.store.exchanged() == [token(1), token(2)]
    assert token(1).secret not in repr(token(1))


def test_keys_are_of_the_issuer_that_the_token_names(rig: Rig) -> None:
    asked: Documents = documents()
    rig.asked = asked
    asked.found[f"{GITHUB}/keys"] = jwks(jwk(KEY, "another"))
    with pytest.raises(TokenRefused, match="github does not have"):
        rig.exchange(shown(github()))
    assert all(url.startswith(GITHUB) for url in asked.asked)
