"""Serve with a certificate from files, and with the renewed one as soon as it is there."""

from __future__ import annotations

import logging
import ssl
import threading
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from keys.rfc3339 import to_rfc3339
from trustcli.errors import SettingsUnusable

_log = logging.getLogger(__name__)
_Stamp = tuple[tuple[int, int, int], ...]
_UNKNOWN: Final = 0.0


class ReloadedCertificate:
    """A certificate and its key in PEM files: call it for the TLS settings of the next connection. Safe for threads.

    Files that were replaced are read again. If the new ones cannot be used (they are being written, do not belong
    together, or have expired already) the old ones serve on, and the log says so once for each change. It also says
    once when the certificate that is served has expired: clients say so to those who pull, and nobody to the operator.
    """

    def __init__(self, certificate: Path, key: Path, *, at: Callable[[], datetime]) -> None:
        """Read the files. `at`: the time (UTC). Raises: SettingsUnusable (they cannot be read, or do not match).

        A certificate that has expired is served all the same until it is renewed: who asks is told why it fails.
        """
        self._files = (certificate, key)
        self._at = at
        self._lock = threading.Lock()
        self._stamp = self._stamped()
        self._context = self._read()
        self._expires = self.expiry()
        self._told = False
        self._tell_expiry()

    def __call__(self) -> ssl.SSLContext:
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
        for file in self._files:
            try:
                status = file.stat()
            except OSError:
                found.append((0, 0, 0))
            else:
                found.append((status.st_mtime_ns, status.st_size, status.st_ino))
        return tuple(found)

    def _read(self) -> ssl.SSLContext:
        certificate, key = self._files
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        try:
            # OpenSSL would ask for the passphrase of an encrypted key on the terminal. An empty one makes it fail.
            context.load_cert_chain(certificate, key, password=lambda: "")
        except ssl.SSLError as error:
            reason = f"is no certificate in PEM that fits the unencrypted key in {key}"
            raise SettingsUnusable(place=str(certificate), reason=reason) from error
        except OSError as error:
            reason = f"cannot be read (or {key}): {error.strerror}"
            raise SettingsUnusable(place=str(certificate), reason=reason) from error
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        context.options |= ssl.OP_NO_RENEGOTIATION | ssl.OP_NO_COMPRESSION
        context.set_alpn_protocols(["http/1.1"])
        return context


def _day(seconds: float) -> str:
    return to_rfc3339(datetime.fromtimestamp(seconds, UTC))
