"""Serve with a certificate from files, and with the renewed one as soon as it is there; ask clients for theirs."""

from __future__ import annotations

import hashlib
import logging
import ssl
import threading
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from keys.rfc3339 import to_rfc3339
from trustcli.errors import SettingsUnusable
from trustcli.hooks.serving.messages import ShownCertificate

_log = logging.getLogger(__name__)
_MAX_AUTHORITIES: Final = 1024 * 1024
"""Bytes of the file of those who issue certificates of clients."""
_Stamp = tuple[tuple[int, int, int], ...]
_UNKNOWN: Final = 0.0


class ServingContext(ssl.SSLContext):
    """Settings of TLS. `authorities`: the SHA-256 of the file by which clients' certificates are verified; or empty."""

    authorities: bytes = b""


class ReloadedCertificate:
    """A certificate and its key in PEM files: call it for the TLS settings of the next connection. Safe for threads.

    `client_ca`: those who issue certificates of clients. Clients are asked for one, and need none; one that none of
    these has issued ends the handshake. Others may change the file: it decides who may ask, not what is trusted.

    Files that were replaced are read again. If the new ones cannot be used (they are being written, do not belong
    together, or have expired already) the old ones serve on, and the log says so once for each change. It also says
    once when the certificate that is served has expired: clients say so to those who pull, and nobody to the operator.
    """

    def __init__(
        self, certificate: Path, key: Path, *, at: Callable[[], datetime], client_ca: Path | None = None
    ) -> None:
        """Read the files. `at`: the time (UTC). Raises: SettingsUnusable (they cannot be read, or do not match).

        A certificate that has expired is served all the same until it is renewed: who asks is told why it fails.
        """
        self._files = (certificate, key)
        self._client_ca = client_ca
        self._at = at
        self._lock = threading.Lock()
        self._stamp = self._stamped()
        self._context = self._read()
        self._expires = self.expiry()
        self._told = False
        self._tell_expiry()

    def __call__(self) -> ServingContext:
        with self._lock:
            stamp = self._stamped()
            if stamp != self._stamp:
                self._stamp = stamp
                try:
                    self._renew()
                    _log.info("serving with the certificate that is now in %s", self._files[0])
                except SettingsUnusable as error:
                    _log.warning("%s; the certificate of before serves on", error)
            self._tell_expiry()
            return self._context

    @property
    def why_expired(self) -> str:
        """Why clients refuse the certificate that is served, one sentence; "" before it has expired."""
        if self._expires == _UNKNOWN or self._at().timestamp() < self._expires:
            return ""
        return f"the certificate in {self._files[0]} expired on {_day(self._expires)}: clients refuse it"

    def expiry(self) -> float:
        """Return when the certificate in the file expires, in seconds since 1970; 0 if there is none."""
        from cryptography import x509

        try:
            found = x509.load_pem_x509_certificate(self._files[0].read_bytes())
        except (OSError, ValueError):
            return _UNKNOWN
        return found.not_valid_after_utc.timestamp()

    def _tell_expiry(self) -> None:
        if not self._told and (reason := self.why_expired):
            self._told = True
            _log.warning("%s; renew it, and it is read again", reason)

    def _renew(self) -> None:
        """Take what is in the files now. Raises: SettingsUnusable."""
        context, expires = self._read(), self.expiry()
        if expires != _UNKNOWN and expires <= self._at().timestamp() and not self.why_expired:
            raise SettingsUnusable(place=str(self._files[0]), reason=f"expired on {_day(expires)}")
        self._context, self._expires, self._told = context, expires, False

    def _stamped(self) -> _Stamp:
        found = []
        for file in filter(None, (*self._files, self._client_ca)):
            try:
                status = file.stat()
            except OSError:
                found.append((0, 0, 0))
            else:
                found.append((status.st_mtime_ns, status.st_size, status.st_ino))
        return tuple(found)

    def _read(self) -> ServingContext:
        certificate, key = self._files
        for file in self._files:
            try:
                file.open("rb").close()
            except OSError as error:
                raise SettingsUnusable(place=str(file), reason=f"cannot be read: {error.strerror}") from error
        context = ServingContext(ssl.PROTOCOL_TLS_SERVER)
        try:
            # OpenSSL would ask for the passphrase of an encrypted key on the terminal. An empty one makes it fail.
            context.load_cert_chain(certificate, key, password=lambda: "")
        except ssl.SSLError as error:
            reason = f"is no certificate in PEM that fits the unencrypted key in {key}"
            if error.reason == "KEY_VALUES_MISMATCH":
                reason = f"is a certificate of another key than that in {key}"
            if _is_encrypted(key):
                reason = f"cannot be served with {key}, which is encrypted: a server asks nobody for a passphrase"
            raise SettingsUnusable(place=str(certificate), reason=reason) from error
        except OSError as error:  # the files are being replaced just now
            raise SettingsUnusable(place=str(certificate), reason=f"cannot be read: {error.strerror}") from error
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        context.options |= ssl.OP_NO_RENEGOTIATION | ssl.OP_NO_COMPRESSION
        context.set_alpn_protocols(["http/1.1"])
        if self._client_ca is not None:
            _ask_clients(context, self._client_ca)
        return context


def _ask_clients(context: ServingContext, file: Path) -> None:
    """Ask clients for a certificate of these authorities. Raises: SettingsUnusable."""
    try:
        with file.open("rb") as opened:
            raw = opened.read(_MAX_AUTHORITIES + 1)
    except OSError as error:
        raise SettingsUnusable(place=str(file), reason=f"cannot be read: {error.strerror}") from error
    if len(raw) > _MAX_AUTHORITIES:
        raise SettingsUnusable(place=str(file), reason=f"is larger than {_MAX_AUTHORITIES} bytes")
    try:
        context.load_verify_locations(cadata=raw.decode("ascii", "ignore"))  # remarks between certificates are no PEM
    except (ssl.SSLError, ValueError) as error:
        raise SettingsUnusable(place=str(file), reason="holds no certificates in PEM") from error
    context.verify_flags |= ssl.VerifyFlags.VERIFY_X509_PARTIAL_CHAIN  # those who issue need be no roots
    context.verify_mode = ssl.CERT_OPTIONAL  # a session can only be resumed in the context that has verified it
    context.authorities = hashlib.sha256(raw).digest()


def shown_certificate(sock: ssl.SSLSocket) -> ShownCertificate | None:
    """Return what the client has shown in the handshake; None if it has shown nothing, or was not asked."""
    context, found = sock.context, sock.getpeercert()
    if not found or not isinstance(context, ServingContext):
        return None
    return ShownCertificate(
        authorities=context.authorities, expires=float(ssl.cert_time_to_seconds(str(found["notAfter"])))
    )


def _is_encrypted(key: Path) -> bool:
    try:
        return b"ENCRYPTED" in key.read_bytes()
    except OSError:
        return False


def _day(seconds: float) -> str:
    return to_rfc3339(datetime.fromtimestamp(seconds, UTC))
