"""Make the authorizer for which the settings ask."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from datetime import datetime
from functools import partial
from typing import Final

from trustserver.auth.access_authorizer import AccessAuthorizer
from trustserver.auth.access_source import AccessSource
from trustserver.auth.authorizer import Authorizer
from trustserver.auth.certificates import asked_words
from trustserver.auth.client_certificates import ClientCertificates
from trustserver.auth.exchanges import Exchanges
from trustserver.auth.open_authorizer import OpenAuthorizer
from trustserver.auth.rights import EVERY_RIGHT, Right
from trustserver.auth.rules import EVERY_NAME, EVERYBODY, AccessRules, Rule
from trustserver.auth.token_authorizer import TokenAuthorizer
from trustserver.auth.token_keys import load_keys
from trustserver.auth.tokens import TokenVerifier
from trustserver.errors import StartRefused
from trustserver.process import kernel_clock
from trustserver.settings import Settings
from trustserver.storage.access_port import AccessStore
from trustserver.storage.exchange_port import ExchangeStore

_log = logging.getLogger(__name__)

_ANYBODY_READS: Final = Rule(
    number=0,
    subjects=frozenset({EVERYBODY}),
    names=frozenset({EVERY_NAME}),
    rights=frozenset({Right.PULL}),
    label="--auth-anonymous-pull",
)


def open_authorizer(
    settings: Settings,
    *,
    store: AccessStore | None = None,
    exchanged: ExchangeStore | None = None,
    certificates: ClientCertificates | None = None,
    clock: Callable[[], datetime] = kernel_clock.now,
    seconds: Callable[[], float] = time.monotonic,
) -> Authorizer:
    """Make the authorizer that the settings ask for: by rules, by registry tokens, or one that lets everybody in.

    `store`: the credentials, which count from the first one on; None: there will be none. `exchanged`: the tokens of
    workloads. `certificates`: judges client certificates. `seconds`: a clock that only goes forward.
    Raises: StartRefused if the token server's keys or the rules cannot be read; FileNewer, NotStored.
    """
    registry = _open_registry_tokens(settings, clock)
    otherwise: Authorizer = registry or OpenAuthorizer()
    if settings.access is None and store is None:
        return otherwise
    scheme = "https" if settings.tls or settings.is_behind_proxy else "http"
    extra = [_ANYBODY_READS] if settings.auth_anonymous_pull else []
    source = AccessSource(
        settings.access,
        store,
        extra=extra,
        certificates=certificates,
        check=partial(_check_rules, settings),
        clock=clock,
    )
    if settings.insecure_open and source.state.decides:
        reason = "lets everybody in, and there are tokens or users (trust-server access token list): leave it out"
        raise StartRefused(what="--insecure-open", reason=reason)
    exchanges = None if exchanged is None else Exchanges(exchanged, source.workloads, clock=clock)
    return AccessAuthorizer(
        source,
        otherwise=otherwise,
        registry=registry,
        clock=clock,
        seconds=seconds,
        scheme=scheme,
        exchanges=exchanges,
        certificates=certificates,
    )


def _check_rules(settings: Settings, rules: AccessRules) -> None:
    """Check that rules do not let in whoever can reach the server. Raises: StartRefused."""
    rule = None if settings.listen.is_local else rules.somebody_anonymous_may(EVERY_RIGHT - {Right.PULL})
    if rule is not None:
        raise StartRefused(
            what=f"{settings.access}: {rule}",
            reason=f"lets anonymous clients do more than read, and anyone reaches {settings.listen}; "
            "anonymous may have pull there, and nothing else",
        )


def _open_registry_tokens(settings: Settings, clock: Callable[[], datetime]) -> TokenAuthorizer | None:
    """Return what knows registry tokens; None if no token server is named. Raises: StartRefused."""
    if settings.tokens is None:
        return None
    token_server = settings.tokens
    keys = load_keys(token_server.certificates, token_server.jwks)
    if keys.last_until <= clock():
        _log.warning("every certificate of the token server has expired: no token will be good")
    if not settings.tls and not settings.listen.is_local:
        _log.warning("tokens come in over plain http: TLS must end in front of this server, on this machine or its net")
    _log.info(
        "tokens are wanted",
        extra={"realm": token_server.realm, "issuer": token_server.issuer, "service": token_server.service},
    )
    return TokenAuthorizer(
        TokenVerifier(keys, issuer=token_server.issuer, service=token_server.service),
        realm=token_server.realm,
        service=token_server.service,
        anonymous_pull=settings.auth_anonymous_pull,
        clock=clock,
    )


def open_client_certificates(
    settings: Settings, *, clock: Callable[[], datetime] = kernel_clock.now
) -> ClientCertificates | None:
    """Return what judges client certificates; None if clients are not asked for any. Raises: StartRefused."""
    if settings.tls_client_ca is None:
        return None
    return ClientCertificates(settings.tls_client_ca, settings.tls_client_crl, clock=clock)


def proxy_check(settings: Settings, certificates: ClientCertificates | None) -> Callable[[bytes], bool] | None:
    """Return what says whether a certificate (DER) is that of the proxy; None if it shows none.

    Raises: StartRefused if the settings ask for what no certificate can have.
    """
    if certificates is None or not settings.proxy_certificate:
        return None
    try:
        words = asked_words(settings.proxy_certificate)
    except ValueError as error:
        reason = f"{error}; or DNS:NAME, URI:NAME or EMAIL:NAME"
        raise StartRefused(what="--proxy-certificate", reason=reason) from error
    return lambda der: certificates.is_of(der, words)
