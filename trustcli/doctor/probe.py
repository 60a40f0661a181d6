"""One plain question to a host: what it answers, and with which certificate. No credentials, no redirects."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Final

from trustcli.http.connection import HttpConnection
from trustcli.http.messages import Origin, Response
from trustcli.http.proxies import proxy_for
from trustcli.http.time_budget import Timeouts
from trustcli.http.tls import offered_certificate
from trustcli.session import Session
from trustdata.errors import TrustError

PATIENCE: Final = Timeouts(connect=5.0, read=10.0, overall=20.0)
_LIMIT: Final = 256 * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class Probe:
    """`answer` or `failure`. `proxy`: host and port of the proxy in between, or empty. `certificate`: DER, unverified;
    None where there is none or a proxy is in between.
    """

    origin: Origin
    answer: Response | None = None
    failure: TrustError | None = None
    proxy: str = ""
    certificate: bytes | None = field(default=None, repr=False)


def probe(session: Session, origin: Origin, target: str) -> Probe:
    """Ask. Raises: SettingsUnusable (proxy variables)."""
    proxy = proxy_for(origin.scheme, origin.host, origin.port, session.environ)
    via = f"{proxy.host}:{proxy.port}" if proxy else ""
    certificate = None
    if origin.scheme == "https" and proxy is None:
        certificate = offered_certificate(origin, seconds=PATIENCE.connect)
    connection = HttpConnection(origin, replace(session.network(), timeouts=PATIENCE))
    try:
        answer = connection.exchange("GET", target, headers={}, limit=_LIMIT)
    except TrustError as failure:
        return Probe(origin=origin, failure=failure, proxy=via, certificate=certificate)
    finally:
        connection.close()
    return Probe(origin=origin, answer=answer, proxy=via, certificate=certificate)
