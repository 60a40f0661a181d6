"""HTTP to registries and their token servers, any number of hosts, on urllib3. No redirects, no retries, no decoding.

The same bounds as the trust server's connection: bytes of body, bytes and time of the whole exchange.
"""

from __future__ import annotations

from collections.abc import Mapping
from http import HTTPStatus
from http.client import HTTPException

import urllib3
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.exceptions import HTTPError

from trustcli.http.errors import proxy_refused, transport_failure
from trustcli.http.messages import MAX_ERROR_BODY, USER_AGENT, Answer, Origin, is_success
from trustcli.http.proxies import Proxy, proxy_for
from trustcli.http.time_budget import BudgetedSocket, Clock, ExchangeBudget, Timeouts, TooManyBytes
from trustcli.http.tls import CertificateAuthorities
from trustdata.errors import RemoteMisbehaved, TooLarge


class RegistryTransport:
    """Keeps one connection for each origin. Not for threads."""

    def __init__(
        self, *, authorities: CertificateAuthorities, environ: Mapping[str, str], clock: Clock, timeouts: Timeouts
    ) -> None:
        """`environ` for the proxy variables; `clock` gives monotonic seconds."""
        self._authorities = authorities
        self._environ = environ
        self._timeouts = timeouts
        self._budget = ExchangeBudget(clock, step=timeouts.read)
        self._managers: dict[Origin, urllib3.PoolManager] = {}

    def exchange(
        self,
        method: str,
        origin: Origin,
        target: str,
        *,
        headers: Mapping[str, str],
        limit: int,
        body: bytes | None = None,
    ) -> Answer:
        """One request and its whole answer; of an answer that is no success the first 64 KiB are kept.

        Raises: RemoteUnreachable, RemoteMisbehaved, TooLarge, SettingsUnusable.
        """
        proxy = proxy_for(origin.scheme, origin.host, origin.port, self._environ)
        manager = self._managers.get(origin) or self._manager(origin, proxy)
        self._managers[origin] = manager
        self._budget.start(self._timeouts.overall, limit=max(limit, MAX_ERROR_BODY))
        try:
            response = manager.urlopen(
                method,
                f"{origin}{target}",
                body=body,
                headers={"User-Agent": USER_AGENT, "Accept-Encoding": "identity", **headers},
                redirect=False,
                retries=False,
                preload_content=False,
                timeout=urllib3.Timeout(connect=self._timeouts.connect, read=self._timeouts.read),
            )
            answer = self._read(response, origin, limit)
        except TooManyBytes as error:
            raise TooLarge(what=f"an answer of {origin}", limit=limit) from error
        except (HTTPError, HTTPException, OSError) as error:
            raise transport_failure(
                error, origin, authorities=self._authorities, proxy=proxy, seconds=self._timeouts.connect
            ) from error
        except ValueError as error:  # from the chunk sizes of http.client, which takes -2 for one
            raise RemoteMisbehaved(remote=str(origin), reason="a chunk of its answer has no valid size") from error
        if proxy is not None and answer.status == HTTPStatus.PROXY_AUTHENTICATION_REQUIRED:
            raise proxy_refused(origin, proxy, answer.status)
        return answer

    def _read(self, response: urllib3.BaseHTTPResponse, origin: Origin, limit: int) -> Answer:
        success = is_success(response.status)
        bound = limit if success else MAX_ERROR_BODY
        whole = False
        try:
            body = b""
            # To the very end: only a read that finds nothing more notices that something is missing.
            while len(body) <= bound and (piece := response.read(bound + 1 - len(body), decode_content=False)):
                body += piece
            whole = len(body) <= bound
        finally:
            if whole:
                response.release_conn()
            else:
                response.close()
        if success and not whole:
            raise TooLarge(what=f"an answer of {origin}", limit=bound)
        return Answer(status=response.status, headers=tuple(response.headers.items()), body=body[:bound])

    def _manager(self, origin: Origin, proxy: Proxy | None) -> urllib3.PoolManager:
        context = self._authorities.context_for(origin) if origin.scheme == "https" else None
        if proxy is None:
            manager = urllib3.PoolManager(maxsize=1, ssl_context=context)
        else:
            headers = {"Proxy-Authorization": proxy.authorization} if proxy.authorization else None
            host = f"[{proxy.host}]" if ":" in proxy.host else proxy.host
            manager = urllib3.ProxyManager(
                f"http://{host}:{proxy.port}", proxy_headers=headers, maxsize=1, ssl_context=context
            )
        manager.pool_classes_by_scheme = _pools(self._budget)
        return manager


def _pools(budget: ExchangeBudget) -> dict[str, type[urllib3.HTTPConnectionPool]]:
    """urllib3's own pools, whose connections charge every read and write to the budget."""

    class Plain(HTTPConnection):
        def connect(self) -> None:
            super().connect()
            self.sock = BudgetedSocket(self.sock, budget)

    class Secure(HTTPSConnection):
        def connect(self) -> None:
            super().connect()
            self.sock = BudgetedSocket(self.sock, budget)

    class PlainPool(urllib3.HTTPConnectionPool):
        ConnectionCls = Plain

    class SecurePool(urllib3.HTTPSConnectionPool):
        ConnectionCls = Secure

    return {"http": PlainPool, "https": SecurePool}
