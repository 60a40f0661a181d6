"""Answer what operators ask every resident hook: is it alive, is it ready, what has it done."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from trustcli.hooks.serving.messages import Request, Response, plain

_METRICS: Final = (b"content-type", b"text/plain; version=0.0.4; charset=utf-8")


class OperatorPages:
    """`GET /healthz`, `/readyz` and `/metrics`.

    `why_not_ready`: returns one sentence, or an empty string if the hook can answer. `metrics`: returns Prometheus'
    text; None where those who may ask shall not see them, and there is no such page.
    """

    def __init__(self, *, why_not_ready: Callable[[], str], metrics: Callable[[], bytes] | None) -> None:
        self._why_not_ready = why_not_ready
        self._metrics = metrics

    def answer(self, request: Request) -> Response | None:
        """Return the answer to a request for one of the pages; None for every other."""
        if request.path not in {"/healthz", "/readyz", "/metrics"}:
            return None
        if request.path == "/metrics" and self._metrics is None:
            return None
        if request.method not in {"GET", "HEAD"}:
            return plain(405, "only GET is answered here", (b"allow", b"GET, HEAD"))
        if request.path == "/healthz":
            return plain(200, "alive")
        if request.path == "/metrics" and self._metrics is not None:
            return Response(status=200, headers=[_METRICS], body=self._metrics())
        reason = self._why_not_ready()
        return plain(503, reason) if reason else plain(200, "ready")
