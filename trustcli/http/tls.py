"""Choose the CA certificates that count, and explain why a certificate is refused.

`--cacert` or TRUST_CACERT, if given, alone counts. Else: SSL_CERT_FILE or the system's store, and for one host
`$DOCKER_CONFIG/tls/<host:port>/ca.crt` and Docker's `certs.d/<host:port>/*.crt` (with client certificates, `*.cert` and
`*.key`) beside it, so that what works for docker works here.
"""

from __future__ import annotations

import ssl
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from keys.record import record
from trustcli.config.docker_config import docker_config_dir
from trustcli.errors import SettingsUnusable

if TYPE_CHECKING:
    from trustcli.http.messages import Origin

DOCKER_CERTS = Path("/etc/docker/certs.d")
SYSTEM_STORE = "the system's store"

# What a server that speaks no TLS makes of a handshake, in OpenSSL's words.
_NOT_TLS = frozenset(
    {"WRONG_VERSION_NUMBER", "HTTP_REQUEST", "UNKNOWN_PROTOCOL", "RECORD_LAYER_FAILURE", "PACKET_LENGTH_TOO_LONG"}
)


@record
class _Place:
    name: str
    files: tuple[Path, ...]


class CertificateAuthorities:
    """The choice of CA certificates of one invocation."""

    def __init__(
        self, environ: Mapping[str, str], *, cacert: Path | None = None, docker_certs: Path = DOCKER_CERTS
    ) -> None:
        """Take the settings; no file is read yet. `cacert`: the value of `--cacert`."""
        self._environ = environ
        self._cacert = cacert
        self._docker_certs = docker_certs

    def context_for(self, origin: Origin) -> ssl.SSLContext:
        """Return a context that verifies certificate and host name. Raises: SettingsUnusable (a file without one)."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        # A certificate that the user names is an anchor, even if it is a server's own and not a CA's.
        context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
        context.set_alpn_protocols(["http/1.1"])
        for place in self._places(origin):
            if place.name == SYSTEM_STORE:
                context.load_default_certs()
            for file in place.files:
                _load(context, file)
        for folder in self._docker_folders(origin):
            _load_client_certificates(context, folder)
        return context

    def places(self, origin: Origin) -> tuple[str, ...]:
        """Return the places where CA certificates are looked for, whether there are any or not."""
        return tuple(place.name for place in self._places(origin))

    def _places(self, origin: Origin) -> list[_Place]:
        if self._cacert:
            return [_Place(name=f"--cacert {self._cacert}", files=(self._cacert,))]
        if given := self._environ.get("TRUST_CACERT"):
            return [_Place(name=f"TRUST_CACERT ({given})", files=(Path(given),))]
        notary = docker_config_dir(self._environ) / "tls" / origin.host_port / "ca.crt"
        found = [_Place(name=str(notary), files=(notary,) if notary.is_file() else ())]
        found += [
            _Place(name=str(folder / "*.crt"), files=tuple(sorted(folder.glob("*.crt"))))
            for folder in self._docker_folders(origin)
        ]
        if given := self._environ.get("SSL_CERT_FILE"):
            return [*found, _Place(name=f"SSL_CERT_FILE ({given})", files=(Path(given),))]
        return [*found, _Place(name=SYSTEM_STORE, files=())]

    def _docker_folders(self, origin: Origin) -> list[Path]:
        folders = [self._docker_certs / origin.host_port]
        if origin.netloc != origin.host_port:
            folders.append(self._docker_certs / origin.netloc)
        return folders

    def explain(self, error: ssl.SSLError, origin: Origin, *, certificate: bytes | None) -> str:
        """Say why a handshake failed. `certificate`: the server's (DER), if known, of which the content is told."""
        if isinstance(error, ssl.SSLCertVerificationError):
            says = f" ({_describe(certificate)})" if certificate else ""
            places = ", ".join(self.places(origin))
            return f"its certificate is refused: {error.verify_message}{says}; CA certificates looked for in {places}"
        if speaks_no_tls(error):
            return "it does not speak TLS"
        reason = getattr(error, "reason", None) or str(error)
        return f"TLS failed: {reason.lower().replace('_', ' ')}"


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

    try:
        certificate = x509.load_der_x509_certificate(der)
        issuer = certificate.issuer.rfc4514_string()
        subject = certificate.subject.rfc4514_string()
    except ValueError:
        return "a certificate that cannot be read"
    try:
        san = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        names = [*san.get_values_for_type(x509.DNSName), *map(str, san.get_values_for_type(x509.IPAddress))]
    except (x509.ExtensionNotFound, ValueError):
        names = []
    lifetime = f"{certificate.not_valid_before_utc:%Y-%m-%d} to {certificate.not_valid_after_utc:%Y-%m-%d}"
    return f"for {', '.join(names[:4]) or subject or 'nobody'}, issued by {issuer or 'nobody'}, valid {lifetime}"


def _load(context: ssl.SSLContext, file: Path) -> None:
    try:
        context.load_verify_locations(cafile=file)
    except ssl.SSLError as error:
        raise SettingsUnusable(place=str(file), reason="holds no certificate in PEM") from error
    except OSError as error:
        raise SettingsUnusable(place=str(file), reason=error.strerror or "cannot be read") from error


def _load_client_certificates(context: ssl.SSLContext, folder: Path) -> None:
    for certificate in sorted(folder.glob("*.cert")):
        key = certificate.with_suffix(".key")
        try:
            context.load_cert_chain(certificate, key, password="")
        except (ssl.SSLError, OSError) as error:
            reason = f"is no client certificate with its key {key.name}"
            raise SettingsUnusable(place=str(certificate), reason=reason) from error
