"""Serve with a certificate from files, and with the renewed one as soon as it is there."""

from __future__ import annotations

import logging
import ssl
import threading
from pathlib import Path

from trustcli.errors import SettingsUnusable

_log = logging.getLogger(__name__)
_Stamp = tuple[tuple[int, int, int], ...]


class ReloadedCertificate:
    """A certificate and its key in PEM files: call it for the TLS settings of the next connection. Safe for threads.

    Files that were replaced are read again. If the new ones cannot be used (they are being written, or do not belong
    together) the old ones serve on, and the log says so once for each change.
    """

    def __init__(self, certificate: Path, key: Path) -> None:
        """Read the files. Raises: SettingsUnusable (they cannot be read, or do not belong together)."""
        self._files = (certificate, key)
        self._lock = threading.Lock()
        self._stamp = self._stamped()
        self._context = self._read()

    def __call__(self) -> ssl.SSLContext:
        with self._lock:
            stamp = self._stamped()
            if stamp != self._stamp:
                self._stamp = stamp
                try:
                    self._context = self._read()
                    _log.info("serving with the certificate that is now in %s", self._files[0])
                except SettingsUnusable as error:
                    _log.warning("%s; the certificate of before serves on", error)
            return self._context

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
        for file in self._files:
            try:
                file.open("rb").close()
            except OSError as error:
                raise SettingsUnusable(place=str(file), reason=f"cannot be read: {error.strerror}") from error
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
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
        return context


def _is_encrypted(key: Path) -> bool:
    try:
        return b"ENCRYPTED" in key.read_bytes()
    except OSError:
        return False
