"""A client machine in memory: cache, rollback memory, pins; `Collection` does the work."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta

from keys.record import replace
from tests.simulator.repository import RepositorySimulator
from trustcli.client.collection import Collection
from trustcli.client.local_state import LocalState
from trustcli.client.memory_cache import MemoryCache
from trustcli.client.overlay_cache import OverlayCache
from trustcli.errors import MemoryUnwritable
from trustcli.state.read_only import ReadOnlyMemory
from trustdata.errors import RootNotPinned
from trustdata.gun import GUN
from trustdata.judgement import Judgement, Question
from trustdata.lifetimes import MaxLife
from trustdata.verification.lock_entry import LockEntry, SourcedLock
from trustdata.verification.rollback_memory import Memory, merge
from trustdata.verification.trust_pinning import Pin, SourcedPin
from trustdata.wire import WireFormat


class MemoryStore:
    """`RollbackStore` without a disk. `broken` makes every write fail."""

    def __init__(self) -> None:
        self.known: dict[GUN, Memory] = {}
        self.broken = False

    def load(self, gun: GUN) -> Memory | None:
        return self.known.get(gun)

    def remember(self, gun: GUN, memory: Memory) -> None:
        if self.broken:
            raise MemoryUnwritable(path="seen.json", reason="read-only file system")
        before = self.known.get(gun, memory)
        if before.root_of_trust != memory.root_of_trust:
            raise RootNotPinned(
                gun=gun,
                pin=f"sha256:{before.root_of_trust}",
                pin_source="rollback memory",
                found=f"sha256:{memory.root_of_trust}",
            )
        self.known[gun] = replace(merge(before, memory), refreshed=memory.refreshed or before.refreshed)

    def forget(self, gun: GUN) -> None:
        self.known.pop(gun, None)


class Client:
    """One machine that knows one collection. `at` moves only when the test says so."""

    def __init__(
        self,
        server: RepositorySimulator,
        *,
        pins: list[Pin] | None = None,
        tofu: bool = False,
        at: datetime | None = None,
        memory_required: bool = False,
    ) -> None:
        self.server = server
        self.at = at or server.at
        self.cache = MemoryCache()
        self.memory = MemoryStore()
        self.pins = [SourcedPin(pin=pin, source="pins.toml") for pin in pins or []]
        self.lock: SourcedLock | None = None
        self.max_life: MaxLife | None = None
        self.tofu = tofu
        self.memory_required = memory_required
        self.other_format: Callable[[], str | None] = lambda: None
        self.recorded: list[tuple[Pin, str]] = []
        self.warnings: list[str] = []

    def collection(
        self, *, wire: WireFormat | None = None, keep: bool = True, at: datetime | None = None
    ) -> Collection:
        """One invocation. `wire`: the format as a plan wraps it. Without `keep` nothing is stored, as in a plan."""
        return Collection(
            gun=self.server.gun,
            wire=wire or self.server.wire,
            server=self.server,
            local=LocalState(
                cache=self.cache if keep else OverlayCache(self.cache),
                memory=self.memory if keep else ReadOnlyMemory(self.memory),
                pins=self.pins,
                lock=self.lock,
                max_life=self.max_life,
                record_pin=self._record if keep else None,
                memory_required=self.memory_required,
            ),
            tofu=self.tofu,
            at=at or self.at,
            warn=self.warnings.append,
            other_format=self.other_format,
        )

    def lock_entry(self) -> LockEntry:
        """What `trust lock` would write here now."""
        return self.collection().lock_entry()

    def _record(self, pin: Pin, how: str) -> None:
        self.recorded.append((pin, how))
        self.pins.append(SourcedPin(pin=pin, source="pins.toml"))

    def judge(
        self,
        tag: str | None = "1.0",
        digest: str | None = None,
        *signers: str,
        max_age: timedelta | None = None,
    ) -> Judgement:
        """Is this image allowed to run?"""
        question = Question(gun=self.server.gun, tag=tag, digest=digest, required_signers=signers)
        return self.collection().judge([question], max_age=max_age)[0]

    def digest(self, tag: str = "1.0") -> str:
        """The digest that may run. Raises: the refusal."""
        answer = self.judge(tag)
        if answer.refusal is not None:
            raise answer.refusal
        return str(answer.digest)
