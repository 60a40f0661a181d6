"""Count what the proxy did, for Prometheus. No name of an image is among it: who reads metrics may not see those.

How much others pull, and what is refused to them, is nothing for callers either: the operator sees it elsewhere.
"""

from __future__ import annotations

from collections.abc import Callable

from prometheus_client import CollectorRegistry, Counter, Gauge, generate_latest

from trustcli.hooks.serving.messages import Response


class ProxyMetrics:
    """Counters of one proxy. Safe for threads."""

    def __init__(self) -> None:
        self._registry = CollectorRegistry()
        self._answers = Counter(
            "trust_proxy_answers",
            "Answers by endpoint and status.",
            ["endpoint", "status"],
            registry=self._registry,
        )
        self._refused = Counter(
            "trust_proxy_refusals", "Pulls that were refused, by the reason's code.", ["code"], registry=self._registry
        )
        self._unverified = Counter(
            "trust_proxy_unverified",
            "Content that was handed out although it was not verified, by the mode of the rule.",
            ["mode"],
            registry=self._registry,
        )
        self._stale = Counter(
            "trust_proxy_stale", "Decisions by trust data of before the server went away.", registry=self._registry
        )
        self.connections = Gauge("trust_proxy_connections", "Connections of clients.", registry=self._registry)
        self.turned_away = Gauge(
            "trust_proxy_turned_away", "Connections that were refused: there were too many.", registry=self._registry
        )

    def watch_certificate(self, expiry: Callable[[], float]) -> None:
        """Show when the certificate expires; without TLS there is no such metric. `expiry`: asked at each look."""
        gauge = Gauge(
            "trust_proxy_certificate_expiry_timestamp_seconds",
            "When the certificate in the file expires, in seconds since 1970.",
            registry=self._registry,
        )
        gauge.set_function(expiry)

    def answered(self, endpoint: str, response: Response) -> None:
        """Count an answer."""
        self._answers.labels(endpoint, str(response.status)).inc()

    def refused(self, code: str) -> None:
        """Count a refusal. `code`: of the error, as in the table of errors."""
        self._refused.labels(code).inc()

    def unverified(self, mode: str) -> None:
        """Count content that a rule lets through without a signature."""
        self._unverified.labels(mode).inc()

    def stale(self) -> None:
        """Count a decision by older data."""
        self._stale.inc()

    def text(self) -> bytes:
        """Return Prometheus' text."""
        return generate_latest(self._registry)
