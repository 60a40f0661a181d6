"""The certificate that the webhook serves with: of files that somebody renews, or of its own making and renewing."""

from __future__ import annotations

import base64
import logging
import threading
import time
from collections.abc import Callable, Sequence
from datetime import datetime
from pathlib import Path
from typing import Final

from keys import self_signed
from trustcli.errors import SettingsUnusable
from trustcli.hooks.serving.certificate import ReloadedCertificate, ServingContext

_log = logging.getLogger(__name__)
_SUBJECT: Final = "content-trust admission"
_LOOK_AGAIN: Final = 3600.0
"""Seconds after which a certificate of its own making is looked at, whether it is time for a new one."""


class ServedCertificate:
    """The certificate in two files. Call it for the TLS settings of the next connection. Safe for threads.

    `client_ca`: the file of those who issue certificates of API servers, if these are to show one.
    """

    def __init__(
        self, certificate: Path, key: Path, *, at: Callable[[], datetime], client_ca: Path | None = None
    ) -> None:
        """Read the files. `at`: the time (UTC). Raises: SettingsUnusable (they cannot be read, or do not match)."""
        self._files = ReloadedCertificate(certificate, key, at=at, client_ca=client_ca)

    def __call__(self) -> ServingContext:
        return self._files()

    def authorities(self) -> bytes:
        """Return what certificates of clients are verified by now, as `ShownCertificate` has it."""
        return self._files().authorities

    def expiry(self) -> float:
        """Return when the certificate in the file expires, in seconds since 1970; 0 if there is none."""
        return self._files.expiry()


class OwnCertificate(ServedCertificate):
    """A certificate for these names and for this machine, by a CA of its own; both are kept in a folder, and renewed.

    `at`: the time (UTC). `clock`: seconds, which nobody can set.
    """

    def __init__(
        self,
        folder: Path,
        *,
        dns_names: Sequence[str],
        at: Callable[[], datetime],
        client_ca: Path | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Make what is missing. Raises: SettingsUnusable (the folder cannot be used, or holds a damaged CA)."""
        self._folder = folder
        self._hosts = (*dns_names, "localhost", "127.0.0.1", "::1")
        self._at = at
        self._clock = clock
        self._lock = threading.Lock()
        self._next_look = clock() + _LOOK_AGAIN
        files = self._make()
        self.ca = files.ca
        super().__init__(files.certificate, files.key, at=at, client_ca=client_ca)

    def __call__(self) -> ServingContext:
        with self._lock:
            due = self._clock() >= self._next_look
            if due:
                self._next_look = self._clock() + _LOOK_AGAIN
        if due:
            try:
                self._make()
            except SettingsUnusable as error:
                _log.warning("the certificate is not renewed: %s", error)
        return super().__call__()

    def _make(self) -> self_signed.SelfSignedFiles:
        try:
            return self_signed.self_signed_files(self._folder, hosts=self._hosts, subject=_SUBJECT, at=self._at())
        except OSError as error:
            reason = f"no certificate can be kept there: {error.strerror}"
            raise SettingsUnusable(place=str(self._folder), reason=reason) from error
        except ValueError as error:
            raise SettingsUnusable(place=str(self._folder), reason=str(error)) from error


def ca_bundle(file: Path) -> str:
    """Return the `caBundle` of a webhook's configuration: PEM in base64, on one line."""
    return base64.b64encode(file.read_bytes()).decode()
