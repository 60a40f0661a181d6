"""Refuse settings that do not go together, or with which a server would let everybody in."""

from __future__ import annotations

from trustserver.errors import StartRefused
from trustserver.settings import Settings, UnixSocket


def check_for_serving(settings: Settings, *, has_credentials: bool = False) -> None:
    """Refuse settings with which the server must not start, as by default an open address without authentication.

    `has_credentials`: there are API tokens or passwords, so that not everybody is let in. Why: ADR 0037.
    Raises: StartRefused, which says what to do instead.
    """
    if settings.workers != 1:
        raise StartRefused(what="--workers", reason="more than one comes with replicas; use 1 for now")
    if (settings.tls_cert is None) != (settings.tls_key is None):
        raise StartRefused(what="--tls-cert and --tls-key", reason="must be given together")
    if settings.self_signed and settings.tls_cert is not None:
        raise StartRefused(what="--self-signed", reason="cannot be given together with --tls-cert")
    if settings.tls and isinstance(settings.listen, UnixSocket):
        raise StartRefused(
            what="--self-signed" if settings.self_signed else "--tls-cert",
            reason=f"is not for --listen {settings.listen}: TLS ends in the proxy that connects there",
        )
    _check_tokens(settings)
    _check_access(settings)
    _check_client_certificates(settings)
    is_closed = has_credentials or settings.tokens is not None or settings.access is not None
    if not settings.listen.is_local and not settings.insecure_open and not is_closed:
        raise StartRefused(
            what=f"--listen {settings.listen}",
            reason="anyone who reaches this address could publish and delete, since there is no authentication; "
            "make an API token (--init-admin makes the first), write rules (--access), name a token server "
            "(--auth-token-realm and the options beside it), listen on a loopback address, or accept the risk "
            "with --insecure-open",
        )


def _check_client_certificates(settings: Settings) -> None:
    needs = (
        ("--tls-client-crl", settings.tls_client_crl, "--tls-client-ca", settings.tls_client_ca),
        ("--certificate-header", settings.certificate_header, "--tls-client-ca", settings.tls_client_ca),
        ("--proxy-secret", settings.proxy_secret, "--certificate-header", settings.certificate_header),
        ("--proxy-certificate", settings.proxy_certificate, "--certificate-header", settings.certificate_header),
        ("--tls-client-ca", settings.tls_client_ca, "--access", settings.access),
    )
    for option, given, needed, other in needs:
        if given and not other:
            raise StartRefused(what=option, reason=f"is of no use without {needed}")
    if settings.tls_client_ca and not settings.tls and not settings.certificate_header:
        raise StartRefused(
            what="--tls-client-ca",
            reason="needs TLS that ends here (--tls-cert and --tls-key, or --self-signed), or a proxy that says which "
            "certificate it has seen (--certificate-header)",
        )
    if settings.proxy_certificate and not settings.tls:
        raise StartRefused(
            what="--proxy-certificate",
            reason="is shown to TLS that ends here (--tls-cert and --tls-key, or --self-signed)",
        )
    known = settings.proxy_secret or settings.proxy_certificate or isinstance(settings.listen, UnixSocket)
    if settings.certificate_header and not known:
        raise StartRefused(
            what="--certificate-header",
            reason="could be written by anybody who connects: listen on unix:/PATH, share a secret with the proxy "
            "(--proxy-secret), or have it show a certificate of its own (--proxy-certificate)",
        )


def _check_access(settings: Settings) -> None:
    if settings.access is None:
        return
    if settings.insecure_open:
        raise StartRefused(what="--insecure-open", reason="lets everybody in, and --access does not: give one of them")
    if settings.auth_anonymous_pull:
        raise StartRefused(
            what="--auth-anonymous-pull", reason="is for the rules of --access to say: a rule for anonymous"
        )


def _check_tokens(settings: Settings) -> None:
    parts = {
        "--auth-token-realm": settings.auth_token_realm,
        "--auth-token-service": settings.auth_token_service,
        "--auth-token-issuer": settings.auth_token_issuer,
        "--auth-token-cert or --auth-token-jwks": settings.auth_token_cert or settings.auth_token_jwks,
    }
    given = [option for option, value in parts.items() if value]
    missing = [option for option, value in parts.items() if not value]
    if given and missing:
        raise StartRefused(what=given[0], reason=f"tokens also need {', '.join(missing)}")
    if settings.auth_anonymous_pull and not given:
        raise StartRefused(
            what="--auth-anonymous-pull",
            reason="is about who needs no token, and no tokens are wanted; name a token server with --auth-token-realm "
            "and the options beside it",
        )
    if settings.insecure_open and given:
        raise StartRefused(
            what="--insecure-open", reason="lets everybody in, and --auth-token-realm does not: give one of them"
        )
