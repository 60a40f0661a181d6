"""Count what the admission webhook does, for Prometheus."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import TYPE_CHECKING

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

if TYPE_CHECKING:
    from trustcli.hooks.kubernetes.judging import Verdict

_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)


class Measures:
    """The metrics of one webhook. `text` gives them all."""

    def __init__(self) -> None:
        self._registry = CollectorRegistry()
        self._reviews = Counter(
            "trust_admission_reviews",
            "Reviews, by path and by outcome: allowed, refused, malformed, failed",
            ("path", "outcome"),
            registry=self._registry,
        )
        self._outcome = cache(self._reviews.labels)  # there are a few, and each is looked up once
        self._images = Counter(
            "trust_admission_images",
            "Images that were judged: allowed, or the code of the refusal; watched: let pass by a rule in audit mode",
            ("outcome",),
            registry=self._registry,
        )
        self._image_outcome = cache(self._images.labels)
        self._stale = Counter(
            "trust_admission_stale_images",
            "Images that were allowed by older data, since the trust server was away",
            registry=self._registry,
        )
        self._strangers = Counter(
            "trust_admission_strangers",
            "Reviews that were not read: who sent them showed no certificate that counts",
            registry=self._registry,
        )
        self._seconds = Histogram(
            "trust_admission_review_seconds", "Time of a review", buckets=_SECONDS, registry=self._registry
        )
        self._expiry = Gauge(
            "trust_admission_certificate_expiry_timestamp_seconds",
            "When the certificate that is served expires, in seconds since 1970",
            registry=self._registry,
        )

    def count(self, path: str, outcome: str, seconds: float) -> None:
        """Count a review. `path`: `/validate` or `/mutate`."""
        self._outcome(path, outcome).inc()
        self._seconds.observe(seconds)

    def count_stranger(self) -> None:
        """Count a review of somebody who may send none."""
        self._strangers.inc()

    def count_images(self, verdict: Verdict) -> None:
        """Count the images of a verdict."""
        for image in verdict.images:
            outcome = image.refusal.code if image.refusal else "watched" if image.watched else "allowed"
            self._image_outcome(outcome).inc()
            if image.stale and not image.refusal:
                self._stale.inc()

    def watch_certificate(self, expiry: Callable[[], float]) -> None:
        """Show when a certificate expires. `expiry`: asked at each look."""
        self._expiry.set_function(expiry)

    def text(self) -> bytes:
        """Return all metrics in Prometheus' text format."""
        return generate_latest(self._registry)
