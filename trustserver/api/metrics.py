"""The metrics: what the server has done, and when roles expire, in the text format of Prometheus."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime
from importlib.metadata import version

from prometheus_client import CollectorRegistry, Counter, Gauge, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from trustdata.errors import NotStored
from trustserver.api.fast_read import FastRead
from trustserver.repository.clock_guard import ClockGuard
from trustserver.repository.commit import Committer
from trustserver.responses.response_cache import ResponseCache
from trustserver.storage.ports import MetadataStore


class Metrics:
    """The server's counters. They are in a registry of their own, so that a process can have more than one server."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        info = Gauge("trust_server_info", "1, with the version of the server.", ["version"], registry=self.registry)
        info.labels(version("content-trust")).set(1)
        self.publishes = Counter(
            "trust_server_publishes",
            "Uploads by outcome: stored, or the code of the refusal.",
            ["outcome"],
            registry=self.registry,
        )
        self.conflicts = Counter(
            "trust_server_conflicts", "Uploads refused because somebody else was faster.", registry=self.registry
        )
        self.deletions = Counter("trust_server_deletions", "Collections deleted.", registry=self.registry)
        self.renewals = Counter(
            "trust_server_renewals",
            "Collections whose online roles the rounds renewed, by outcome.",
            ["outcome"],
            registry=self.registry,
        )


class _Reads(Collector):
    """Makes metrics of the integers in which reads are counted. A counter of Prometheus would slow down every read."""

    def __init__(self, fast: FastRead, reads: Sequence[Mapping[int, int]], cache: ResponseCache) -> None:
        self._fast = fast
        self._reads = reads
        self._cache = cache

    def collect(self) -> Iterator[Metric]:
        reads = CounterMetricFamily(
            "trust_server_reads", "Reads of trust data, by how they were answered.", labels=["answer"]
        )
        reads.add_metric(["view"], self._fast.answered)
        for status in sorted({status for counted in self._reads for status in counted}):
            reads.add_metric([str(status)], sum(counted.get(status, 0) for counted in self._reads))
        yield reads
        yield GaugeMetricFamily("trust_server_view_bytes", "Bytes of the answers kept in memory.", self._cache.weight)


class _Clock(Collector):
    """Makes metrics of what a wrong clock has done, or would do."""

    def __init__(self, guard: ClockGuard, committer: Committer) -> None:
        self._guard = guard
        self._committer = committer

    def collect(self) -> Iterator[Metric]:
        yield GaugeMetricFamily(
            "trust_server_clock_jumped",
            "1 while the server signs nothing because its clock has jumped forward; reads go on.",
            int(self._guard.refusal is not None),
        )
        yield CounterMetricFamily(
            "trust_server_overlong_files",
            "Snapshots and timestamps found that were signed while a clock was ahead, and signed again.",
            self._committer.overlong,
        )


class _Access(Collector):
    def __init__(self, warnings: Callable[[], Sequence[str]]) -> None:
        self._warnings = warnings

    def collect(self) -> Iterator[Metric]:
        yield GaugeMetricFamily(
            "trust_server_access_outdated",
            "1 while the newest rules on access cannot be read, so that older ones count.",
            int(bool(self._warnings())),
        )


class _ServerKeys(Collector):
    def __init__(self, warnings: Callable[[], Sequence[str]]) -> None:
        self._warnings = warnings

    def collect(self) -> Iterator[Metric]:
        yield GaugeMetricFamily(
            "trust_server_keys_unavailable",
            "1 while a token with keys of the server fails, so that nothing is signed with them; reads go on.",
            int(bool(self._warnings())),
        )


class _Storage(Collector):
    def __init__(self, store: MetadataStore, clock: Callable[[], datetime], named: int) -> None:
        self._store = store
        self._clock = clock
        self._named = named

    def collect(self) -> Iterator[Metric]:
        expiry = GaugeMetricFamily(
            "trust_server_seconds_to_expiry",
            "Seconds until the first current file of a role expires, over all collections, or of a collection that is "
            "named; negative: expired.",
            labels=["role"],
        )
        yield GaugeMetricFamily(
            "trust_server_writes_refused",
            "1 while the database refuses writes, as on a full disk; reads go on.",
            int(self._store.refusal() is not None),
        )
        try:
            expiries = self._store.earliest_expiries()
            first = self._store.first_expiries(most=self._named) if self._named else ()
            names, size = self._store.room_taken()
        except NotStored:
            return  # /readyz reports that the database fails; the other metrics are still useful
        now = self._clock()
        for role, expires in sorted(expiries.items()):
            expiry.add_metric([role], (expires - now).total_seconds())
        for each in first:
            labels = {"gun": each.gun, "role": each.role}
            expiry.add_sample(expiry.name, labels, (each.expires - now).total_seconds())
        yield expiry
        yield GaugeMetricFamily("trust_server_collections", "Names in use, also by deleted collections.", names)
        yield GaugeMetricFamily("trust_server_database_bytes", "Bytes of the database that are in use.", size)


class SharedPages:
    """Makes pages on one event loop: one at a time, in a worker thread, each for all who asked before it was begun."""

    def __init__(self, make: Callable[[], bytes]) -> None:
        self._make = make
        self._one = asyncio.Lock()
        self._next: asyncio.Task[bytes] | None = None

    async def page(self) -> bytes:
        """Return a page that is begun after this call. Raises what `make` raises."""
        if self._next is None:
            self._next = asyncio.create_task(self._make_next())
        return await asyncio.shield(self._next)  # others wait for it, too

    async def _make_next(self) -> bytes:
        async with self._one:
            self._next = None
            return await asyncio.to_thread(self._make)


def metrics_pages(
    metrics: Metrics,
    *,
    fast: FastRead,
    reads: Sequence[Mapping[int, int]],
    cache: ResponseCache,
    store: MetadataStore,
    guard: ClockGuard,
    committer: Committer,
    clock: Callable[[], datetime],
    access_warnings: Callable[[], Sequence[str]],
    key_warnings: Callable[[], Sequence[str]],
    named_expiries: int,
) -> SharedPages:
    """Register what is measured, and return the pages of /metrics.

    `reads`: for each API the number of responses by status.

    `named_expiries`: how many roles of owners, and of the server, are named with their collections. None are unless the
    operator says so, since this route asks nobody who they are.

    The metrics are collected in a worker thread, because that waits for the database; in one at a time, because it is
    work of Python, which all threads do in turns: with eight of them reads would get a hundredth of their rate.
    """
    metrics.registry.register(_Reads(fast, reads, cache))
    metrics.registry.register(_Clock(guard, committer))
    metrics.registry.register(_Access(access_warnings))
    metrics.registry.register(_ServerKeys(key_warnings))
    metrics.registry.register(_Storage(store, clock, named_expiries))
    return SharedPages(lambda: generate_latest(metrics.registry))
