"""Choose the CA certificates that count, and explain why a certificate is refused.

`--cacert` or TRUST_CACERT, if given, alone counts; else what `[tls]` of trust.toml names for the host, else `cacert`
there. Else: SSL_CERT_FILE or the system's store, and for one host the `*.crt` of Docker's folders beside it
(`host_certificates`, which has the client certificates, too), so that what works for docker works here.
"""

from __future__ import annotations

import ssl
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING

from keys.record import record
from trustcli.errors import SettingsUnusable
from trustcli.http.host_certificates import HostCertificates

if TYPE_CHECKING:
    from trustcli.config.tls_settings import HostTls
    from trustcli.http.messages import Origin

DOCKER_CERTS = Path("/etc/docker/certs.d")
SYSTEM_STORE = "the system's store"

# What a server that speaks no TLS makes of a handshake, in OpenSSL's words.
_NOT_TLS = frozenset(
    {"WRONG_VERSION_NUMBER", "HTTP_REQUEST", "UNKNOWN_PROTOCOL", "RECORD_LAYER_FAILURE", "PACKET_LENGTH_TOO_LONG"}
)
_CLIENT_CERTIFICATE = frozenset(
    {
        "TLSV13_ALERT_CERTIFICATE_REQUIRED",
        "SSLV3_ALERT_BAD_CERTIFICATE",
        "SSLV3_ALERT_CERTIFICATE_EXPIRED",
        "SSLV3_ALERT_CERTIFICATE_REVOKED",
        "SSLV3_ALERT_CERTIFICATE_UNKNOWN",
        "TLSV1_ALERT_UNKNOWN_CA",
    }
)
"""Alerts of a server, in OpenSSL's words, about a certificate of ours. Go's servers send the second for none."""
_HANDSHAKE_FAILURE = "SSLV3_ALERT_HANDSHAKE_FAILURE"
"""What OpenSSL's servers send for none in TLS 1.2, and for much else."""
NO_TLS_SETTINGS: Mapping[str, HostTls] = MappingProxyType({})


@record
class _Place:
    name: str
    files: tuple[Path, ...]


class CertificateAuthorities:
    """The choice of CA certificates of one invocation."""

    def __init__(
        self,
        environ: Mapping[str, str],
        *,
        cacert: Path | None = None,
        cacert_source: str = "--cacert",
        by_host: Mapping[str, HostTls] = NO_TLS_SETTINGS,
        docker_certs: Path = DOCKER_CERTS,
    ) -> None:
        """Take the settings; no file is read yet.

        `environ`: for SSL_CERT_FILE, and where Docker's folders are. `cacert`: a CA file that counts alone, as the
        settings have it from `cacert_source` (option, variable or key of trust.toml). `by_host`: `[tls]` of trust.toml,
        which counts before it: whoever has made these settings has left out what an option or a variable overrules.
        """
        self._environ = environ
        self._cacert = cacert
        self._cacert_source = cacert_source
        self._by_host = by_host
        self._docker_certs = docker_certs

    def context_for(self, origin: Origin, *, show: bool = True) -> ssl.SSLContext:
        """Return a context that verifies certificate and host name.

        `show`: whether a client certificate of this machine is shown. Raises: SettingsUnusable (a file without one).
        """
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        # A certificate that the user names is an anchor, even if it is a server's own and not a CA's.
        context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
        context.set_alpn_protocols(["http/1.1"])
        for place in self._places(origin):
            if place.name == SYSTEM_STORE:
                context.load_default_certs()
            for file in place.files:
                _load(context, file, place=place.name)
        if show:
            self._of_host(origin).show(context)
        return context

    def places(self, origin: Origin) -> tuple[str, ...]:
        """Return the places where CA certificates are looked for, whether there are any or not."""
        return tuple(place.name for place in self._places(origin))

    def _places(self, origin: Origin) -> list[_Place]:
        host = self._of_host(origin)
        if host.settings and host.settings.cacert:
            return [_Place(name=f"[tls] of trust.toml ({host.settings.cacert})", files=(host.settings.cacert,))]
        if self._cacert:
            return [_Place(name=f"{self._cacert_source} {self._cacert}", files=(self._cacert,))]
        found = [
            _Place(name=str(folder / "*.crt"), files=tuple(sorted(folder.glob("*.crt")))) for folder in host.folders
        ]
        if given := self._environ.get("SSL_CERT_FILE"):
            return [*found, _Place(name=f"SSL_CERT_FILE ({given})", files=(Path(given),))]
        return [*found, _Place(name=SYSTEM_STORE, files=())]

    def idle_for(self, origin: Origin) -> str:
        """Return which settings of TLS somebody has made for a server that is spoken to without it, or ""."""
        if origin.scheme == "https":
            return ""
        named = [f"--cacert {self._cacert}"] if self._cacert and self._cacert_source == "--cacert" else []
        named += [
            f'[tls."{host}"] of trust.toml' for host in (origin.host_port, origin.netloc) if host in self._by_host
        ]
        told = " and ".join(dict.fromkeys(named))
        return told and f"{told} cannot count for {origin}: it is spoken to without TLS"

    def client_certificates(self, origin: Origin) -> tuple[str, ...]:
        """Return the client certificates that are shown to a host if it asks for one."""
        return tuple(str(certificate) for certificate, _ in self._of_host(origin).client_certificates())

    def _of_host(self, origin: Origin) -> HostCertificates:
        return HostCertificates(origin, self._environ, self._by_host, docker_certs=self._docker_certs)

    def explain_refusal(self, origin: Origin, reason: str) -> str:
        """Say why a server refuses us for our client certificate, or for the lack of one. `reason`: OpenSSL's."""
        told = reason.lower().replace("_", " ")
        ours = ", ".join(self.client_certificates(origin))
        if ours:
            return f"it refuses our client certificate {ours} ({told})"
        folders = ", ".join(str(folder / "*.cert") for folder in self._of_host(origin).folders)
        return f"it asks for a client certificate, and there is none in {folders} nor in [tls] of trust.toml ({told})"

    def explain(self, error: ssl.SSLError, origin: Origin, *, certificate: bytes | None) -> str:
        """Say why a handshake failed. `certificate`: the server's (DER), if known, of which the content is told."""
        if isinstance(error, ssl.SSLCertVerificationError):
            says = f" ({_describe(certificate)})" if certificate else ""
            places = ", ".join(self.places(origin))
            why = error.verify_message.rstrip(".")
            return f"its certificate is refused: {why}{says}; CA certificates looked for in {places}"
        if speaks_no_tls(error):
            return f"it does not speak TLS; if it serves plain HTTP, its address is http://{origin.host_port}"
        reason = getattr(error, "reason", None) or str(error)
        ours = self.client_certificates(origin)
        hint = (
            "" if ours or reason != _HANDSHAKE_FAILURE else "; it may want a client certificate, and there is none here"
        )
        return f"TLS failed: {reason.lower().replace('_', ' ')}{hint}"


def wants_client_certificate(error: ssl.SSLError) -> bool:
    """Return whether the server has ended a handshake because of our client certificate, or the lack of one."""
    return getattr(error, "reason", None) in _CLIENT_CERTIFICATE


def speaks_no_tls(error: ssl.SSLError) -> bool:
    """Return whether the handshake failed because the other side does not speak TLS at all."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return False
    # Errors raised outside OpenSSL have no reason.
    return getattr(error, "reason", None) in _NOT_TLS or isinstance(error, ssl.SSLEOFError)


def offered_certificate(origin: Origin, *, seconds: float) -> bytes | None:
    """Return the certificate (DER) that a server offers, unverified, to explain a refusal. Nothing is sent to it."""
    import socket

    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    try:
        with (
            socket.create_connection((origin.host, origin.port), timeout=seconds) as plain,
            context.wrap_socket(plain, server_hostname=origin.host) as secure,
        ):
            return secure.getpeercert(binary_form=True)
    except (OSError, ValueError):
        return None


def _describe(der: bytes) -> str:
    from cryptography import x509

    from keys.go_certificate import load_der_certificate, name_of

    try:
        certificate = load_der_certificate(der)
        issuer = name_of(certificate, issuer=True).rfc4514_string()
        subject = name_of(certificate).rfc4514_string()
    except ValueError:
        return "a certificate that cannot be read"
    try:
        san = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        names = [*san.get_values_for_type(x509.DNSName), *map(str, san.get_values_for_type(x509.IPAddress))]
    except (x509.ExtensionNotFound, x509.DuplicateExtension, x509.UnsupportedGeneralNameType, ValueError, TypeError):
        names = []
    lifetime = f"{certificate.not_valid_before_utc:%Y-%m-%d} to {certificate.not_valid_after_utc:%Y-%m-%d}"
    return f"for {', '.join(names[:4]) or subject or 'nobody'}, issued by {issuer or 'nobody'}, valid {lifetime}"


def _load(context: ssl.SSLContext, file: Path, *, place: str) -> None:
    """Let a context believe the certificates of a file. `place`: what names the file. Raises: SettingsUnusable."""
    named = place if str(file) in place else str(file)
    try:
        context.load_verify_locations(cafile=file)
    except ssl.SSLError as error:
        raise SettingsUnusable(place=named, reason="holds no certificate in PEM") from error
    except OSError as error:
        raise SettingsUnusable(place=named, reason=error.strerror or "cannot be read") from error
