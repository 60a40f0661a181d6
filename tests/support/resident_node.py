"""A node with a resident reader: machines of the simulator behind it, and two clocks that the test moves."""

from __future__ import annotations

import threading
from collections.abc import Iterable
from datetime import datetime, timedelta

from tests.simulator.client import Client
from tests.simulator.repository import APP, NOW
from trustcli.client.collection import Collection
from trustcli.hooks.deciding.ports import Reading
from trustcli.hooks.resident.clocks import Clocks
from trustcli.hooks.resident.limits import ResidentLimits
from trustcli.hooks.resident.reader import ResidentReader
from trustdata.errors import TrustError
from trustdata.gun import GUN
from trustdata.judgement import Question
from trustdata.policy import Rule, read_policy


class SetClocks:
    """Two clocks that stand still until the test moves them: both, or the wall clock alone."""

    def __init__(self, at: datetime) -> None:
        self.at = at
        self.ticks = 1000.0

    def clocks(self) -> Clocks:
        return Clocks(wall=lambda: self.at, ticks=lambda: self.ticks)

    def pass_(self, **span: float) -> None:
        """Time passes."""
        self.at += timedelta(**span)
        self.ticks += timedelta(**span).total_seconds()

    def set_wall(self, **span: float) -> None:
        """Somebody sets the wall clock."""
        self.at += timedelta(**span)


class Machines:
    """`CollectionSource` over machines of the simulator, by name. `opened`: which were opened."""

    def __init__(self, clients: Iterable[Client]) -> None:
        self.clients = {client.server.gun: client for client in clients}
        self.opened: list[GUN] = []
        self.known = {client.server.gun for client in self.clients.values() if client.pins}
        self.servers: dict[GUN, str] = {}
        """On which server a collection is; all others are on one."""

    def collection(self, gun: GUN, rule: Rule | None) -> Collection:
        self.opened.append(gun)
        client = self.clients[gun]
        client.memory_required = True
        return client.collection()

    def server(self, gun: GUN, rule: Rule | None) -> str:
        return self.servers.get(gun, "")

    def knows(self, gun: GUN, rule: Rule | None) -> bool:
        return gun in self.known


class Counted:
    """`ReaderObserver` that counts."""

    def __init__(self) -> None:
        self.refreshes: list[TrustError | None] = []

    def refreshed(self, failure: TrustError | None) -> None:
        self.refreshes.append(failure)


class ResidentNode:
    """One reader, its clocks, and the simulator's machines. `close` ends its threads."""

    def __init__(self, *clients: Client, limits: ResidentLimits | None = None) -> None:
        self.machines = Machines(clients)
        self.client = clients[0]
        self.time = SetClocks(self.client.server.at)
        self.counted = Counted()
        self.limits = limits or ResidentLimits()
        self.reader = self.restarted()

    def restarted(self) -> ResidentReader:
        """A new process on the same machine: memory and cache are there, and nothing else."""
        self.reader = ResidentReader(
            self.machines, clocks=self.time.clocks(), observer=self.counted, limits=self.limits
        )
        return self.reader

    def ask(
        self, tag: str | None = "1.0", digest: str | None = None, *, gun: GUN = APP, rule: Rule | None = None
    ) -> Reading:
        """One question."""
        requirements = rule.requirements if rule is not None else ()
        return self.reader.judge(gun, rule, [Question(gun=gun, tag=tag, digest=digest, policy=requirements)])

    def digest(self, tag: str = "1.0", *, gun: GUN = APP, rule: Rule | None = None) -> str:
        """The digest that may run. Raises: the refusal."""
        (answer,) = self.ask(tag, gun=gun, rule=rule).judgements
        if answer.refusal is not None:
            raise answer.refusal
        return str(answer.digest)

    def timestamps_asked(self) -> int:
        """How often a timestamp was asked for since the last call: once in each refresh."""
        count = sum(name.startswith("timestamp") for name in self.client.server.requests)
        self.client.server.requests.clear()
        return count

    def renew(self, **later: float) -> None:
        """Time passes, and the server has renewed what it signs."""
        self.time.pass_(**later)
        self.client.server.at = self.time.at
        self.client.server.issue()

    def close(self) -> None:
        self.reader.stop()


class Gate:
    """Holds back whoever comes until it is opened, and tells when somebody has come."""

    def __init__(self) -> None:
        self.reached = threading.Event()
        self.opened = threading.Event()

    def __call__(self, filename: str) -> None:
        self.reached.set()
        assert self.opened.wait(30)


def rule(**members: object) -> Rule:
    """What a policy with one rule says of the collection."""
    policy = read_policy({"rule": [{"match": str(APP), **members}]}, source="policy.toml")
    return policy.rule_for(APP, at=NOW)
