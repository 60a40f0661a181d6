"""Check the certificates of servers: which CA signed them, and until when they are valid."""

from __future__ import annotations

import ssl
from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Final

from trustcli.doctor.findings import Finding
from trustcli.http.errors import causes
from trustcli.http.messages import Origin
from trustcli.http.record import Exchange
from trustcli.http.tls import DOCKER_CERTS
from trustcli.session import Session

_SOON: Final = timedelta(days=30)
_NOT_YET_VALID: Final = 9
_EXPIRED: Final = 10
_WRONG_HOST: Final = frozenset({62, 64})
"""OpenSSL's numbers (x509_vfy.h)."""


def check_certificate(session: Session, exchange: Exchange) -> Iterator[Finding]:
    """Return the findings about the certificate of an https server that was asked, whether it answered or not."""
    if exchange.origin.scheme != "https":
        return
    places = ", ".join(session.network().authorities.places(exchange.origin))
    refused = next((c for c in _causes(exchange) if isinstance(c, ssl.SSLCertVerificationError)), None)
    if refused is not None:
        yield Finding(
            check="certificate",
            severity="wrong",
            text=f"the certificate of {exchange.origin} is refused: {refused.verify_message}",
            remedy=_remedy(refused.verify_code, exchange.origin),
            place=places,
        )
        return
    if exchange.response is None:
        return
    ours = ", ".join(session.network().authorities.client_certificates(exchange.origin))
    text = f"the certificate of {exchange.origin} is vouched for by a CA from {places}"
    text += f"; ours, if it asks for one: {ours}" if ours else ""
    until = _until(exchange.certificate)
    if until is None:
        yield Finding(check="certificate", severity="ok", text=text, place=str(exchange.origin))
        return
    soon = until - session.at <= _SOON
    yield Finding(
        check="certificate",
        severity="note" if soon else "ok",
        text=f"{text}; it is valid until {until:%Y-%m-%d}",
        remedy=f"tell the operator of {exchange.origin} to renew it" if soon else None,
        place=str(exchange.origin),
    )


def _causes(exchange: Exchange) -> Iterator[BaseException]:
    if exchange.failure is not None:
        yield from causes(exchange.failure)


def _remedy(code: int, origin: Origin) -> str:
    if code == _EXPIRED:
        return f"tell the operator of {origin} to renew it; or set the clock here, if it is wrong"
    if code == _NOT_YET_VALID:
        return "set the clock here, if it is wrong; else tell the operator"
    if code in _WRONG_HOST:
        return f"use the host name that the certificate is for, or have one made for {origin.host}"
    return (
        f"if it is a private CA: --cacert FILE or TRUST_CACERT with the CA's certificate, or put that file at "
        f"{DOCKER_CERTS / origin.host_port / 'ca.crt'}"
    )


def _until(certificate: bytes | None) -> datetime | None:
    if certificate is None:
        return None
    from keys.go_certificate import load_der_certificate

    try:
        return load_der_certificate(certificate).not_valid_after_utc
    except ValueError:
        return None
