"""The verifying proxy in front of a registry in memory, and a client that asks it as container engines do."""

from __future__ import annotations

import contextlib
import http.client
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.support.fake_registry import FakeRegistry
from tests.support.hostile_server import HostileServer
from tests.support.network_users import network_of
from tests.support.served_door import SECONDS, serving
from tests.support.set_decider import SetDecider
from trustcli.hooks.proxy.metrics import ProxyMetrics
from trustcli.hooks.proxy.permission import Permissions
from trustcli.hooks.proxy.proxy import VerifyingProxy
from trustcli.hooks.proxy.proxy_settings import ProxySettings
from trustcli.hooks.proxy.reachability import ReachabilityIndex
from trustcli.hooks.proxy.signed_search import SignedSearch
from trustcli.hooks.proxy.upstream import Upstream
from trustcli.hooks.serving.server import Server
from trustcli.http.messages import Origin
from trustcli.http.streams import StreamPool
from trustcli.http.time_budget import Timeouts

REGISTRY = "registry.example:5000"
"""The registry's name in names of images."""


@dataclass(frozen=True, kw_only=True)
class Got:
    """An answer of the proxy. Names of `headers` in lower case."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def code(self) -> str:
        return str(self._error["code"])

    @property
    def message(self) -> str:
        return str(self._error["message"])

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def _error(self) -> dict[str, object]:
        (error,) = self.json["errors"]
        assert isinstance(error, dict)
        return error


@dataclass(kw_only=True)
class ProxyStage:
    """All of it. `folder`: of the index; a new proxy over the same folder is what a restart is."""

    folder: Path
    registry: FakeRegistry = field(default_factory=FakeRegistry)
    decider: SetDecider = field(default_factory=SetDecider)
    server: Server | None = None
    upstream: HostileServer | None = None
    metrics: ProxyMetrics = field(default_factory=ProxyMetrics)

    @contextlib.contextmanager
    def running(
        self, *, fetches: int = 1000, timeouts: Timeouts | None = None, **settings: bool
    ) -> Iterator[ProxyStage]:
        """Serve until the end of the block."""
        self.upstream = self.upstream or HostileServer(self.registry)
        pool = StreamPool(network_of({}, **({"timeouts": timeouts} if timeouts else {})))
        upstream = Upstream(Origin(scheme="http", host="127.0.0.1", port=self.upstream.port), pool)
        index = ReachabilityIndex(self.folder)
        search = SignedSearch(index, upstream, fetches=fetches)
        chosen = ProxySettings(registry=REGISTRY, **settings)
        permissions = Permissions(REGISTRY, self.decider, index, search, referrers=chosen.referrers)
        proxy = VerifyingProxy(
            chosen, upstream=upstream, decider=self.decider, permissions=permissions, metrics=self.metrics
        )
        try:
            with serving(proxy) as self.server:
                yield self
        finally:
            pool.close()
            index.close()

    def close(self) -> None:
        if self.upstream is not None:
            self.upstream.stop()

    def get(
        self,
        path: str,
        *,
        method: str = "GET",
        who: str = "",
        headers: Mapping[str, str] | None = None,
        body: Any = None,
    ) -> Got:
        """Ask once, on a connection of its own. Raises what http.client raises if the answer is cut off."""
        with contextlib.closing(self.connection()) as client:
            return self.get_over(client, path, method=method, who=who, headers=headers, body=body)

    def connection(self) -> http.client.HTTPConnection:
        """A connection to the proxy, which answers what comes over it one after the other."""
        assert self.server is not None
        return http.client.HTTPConnection(*self.server.address, timeout=SECONDS)

    def get_over(
        self,
        client: http.client.HTTPConnection,
        path: str,
        *,
        method: str = "GET",
        who: str = "",
        headers: Mapping[str, str] | None = None,
        body: Any = None,
    ) -> Got:
        """Ask once over a connection."""
        sent = {**({"Authorization": who} if who else {}), **(headers or {})}
        client.request(method, path, headers=sent, body=body)
        answer = client.getresponse()
        told = {name.lower(): value for name, value in answer.getheaders()}
        return Got(status=answer.status, headers=told, body=answer.read())

    @property
    def asked(self) -> list[str]:
        """What upstream was asked for, in order."""
        assert self.upstream is not None
        return [f"{request.method} {request.target}" for request in self.upstream.requests]
