"""What a resident hook did and has, in the text that Prometheus reads."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import cache
from typing import TYPE_CHECKING, cast

if TYPE_CHECKING:
    from prometheus_client.core import GaugeMetricFamily
    from prometheus_client.registry import Collector

    from trustcli.hooks.deciding.decision import Decision
    from trustcli.hooks.deciding.distributed import Obtained
    from trustcli.hooks.resident.reader import Holdings
    from trustdata.errors import TrustError


class ResidentMetrics:
    """Counts of one process. Safe for threads. `holdings`: set once there is a reader to ask.

    `distributed`: returns the distributed part of the policy, or why it cannot be had; None if all of it is local. Set
    once there is somebody to ask.
    """

    def __init__(self) -> None:
        from prometheus_client import CollectorRegistry, Counter, Gauge

        self.holdings: Callable[[], Holdings] | None = None
        self.distributed: Callable[[], Obtained | TrustError | None] | None = None
        self.registry = CollectorRegistry()
        self.registry.register(cast("Collector", _DistributedPolicyMetrics(self)))
        self._decisions = Counter(
            "trust_decisions",
            "Decisions about images, by verdict, mode of the rule, and whether older data was used.",
            ["verdict", "mode", "stale"],
            registry=self.registry,
        )
        self._decided = cache(self._decisions.labels)  # there are a few, and each is looked up once
        self._refusals = Counter(
            "trust_refusals",
            "Refusals of verification, by code; those that only watch included.",
            ["code"],
            registry=self.registry,
        )
        self._refreshes = Counter(
            "trust_refreshes", "Refreshes of trust data, by result: ok, or a code.", ["result"], registry=self.registry
        )
        self._reloads = Counter(
            "trust_configuration_reloads",
            "Settings, pins or policy read anew, by result.",
            ["result"],
            registry=self.registry,
        )
        self._usable = Gauge(
            "trust_configuration_usable",
            "1 if settings and policy can be used, 0 if everything is refused.",
            registry=self.registry,
        )
        self._gauge("trust_collections", "Collections in memory.", lambda held: held.collections)
        self._gauge("trust_file_bytes", "Bytes of their metadata files.", lambda held: held.file_bytes)
        self._gauge(
            "trust_oldest_seconds", "Age of the oldest trust data in use, in seconds.", lambda held: held.oldest
        )

    def _gauge(self, name: str, text: str, value: Callable[[Holdings], float]) -> None:
        from prometheus_client import Gauge

        gauge = Gauge(name, text, registry=self.registry)
        gauge.set_function(lambda: value(self.holdings()) if self.holdings is not None else 0.0)

    def decided(self, decision: Decision) -> None:
        """Count a decision."""
        verdict = "allowed" if decision.allowed else "refused"
        self._decided(verdict, decision.mode, int(decision.stale)).inc()
        if decision.refusal is not None:
            self._refusals.labels(code=decision.refusal.code).inc()

    def refreshed(self, failure: TrustError | None) -> None:
        """Count a refresh."""
        self._refreshes.labels(result="ok" if failure is None else failure.code).inc()

    def configured(self, failure: TrustError | None) -> None:
        """Count that settings and policy were read, and note whether they can be used."""
        self._reloads.labels(result="ok" if failure is None else failure.code).inc()
        self._usable.set(1 if failure is None else 0)

    def text(self) -> bytes:
        """Return all of it as Prometheus' text, version 0.0.4."""
        from prometheus_client import generate_latest

        return generate_latest(self.registry)


class _DistributedPolicyMetrics:
    """What is to be said of a distributed policy each time that somebody looks; nothing if there is none."""

    def __init__(self, metrics: ResidentMetrics) -> None:
        self._metrics = metrics

    def collect(self) -> Iterator[GaugeMetricFamily]:
        """Yield the metrics, as Prometheus' library asks for them."""
        from prometheus_client.core import GaugeMetricFamily

        found = self._metrics.distributed() if self._metrics.distributed is not None else None
        if found is None:
            return
        obtained = None if isinstance(found, Exception) else found
        yield GaugeMetricFamily(
            "trust_distributed_policy_expiry_timestamp_seconds",
            "Until when the distributed part of the policy counts at most, in seconds since 1970; 0: it cannot be had.",
            value=obtained.kept.fresh_until.timestamp() if obtained is not None else 0.0,
        )
        yield GaugeMetricFamily(
            "trust_distributed_policy_newest",
            "1 if it is what its collection says now, 0 if an older copy counts, or none.",
            value=float(obtained is not None and obtained.hindrance is None),
        )
