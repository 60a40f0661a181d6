"""Serve with a certificate of the webhook's own making, in a folder that only this user can read, and renew it."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path

from keys import self_signed
from trustcli.errors import SettingsUnusable

_SUBJECT = "content-trust admission"


def own_certificate(folder: Path, *, dns_names: Sequence[str], at: datetime) -> self_signed.SelfSignedFiles:
    """Return a certificate for these names and for this machine, made at first use and again before it expires.

    Raises: SettingsUnusable (the folder cannot be used, or holds a damaged CA).
    """
    hosts = (*dns_names, "localhost", "127.0.0.1", "::1")
    try:
        return self_signed.self_signed_files(folder, hosts=hosts, subject=_SUBJECT, at=at)
    except OSError as error:
        raise SettingsUnusable(place=str(folder), reason=f"no certificate is there: {error.strerror}") from error
    except ValueError as error:
        raise SettingsUnusable(place=str(folder), reason=str(error)) from error


def ca_bundle(file: Path) -> str:
    """Return the `caBundle` of a webhook's configuration: PEM in base64, one line."""
    return base64.b64encode(file.read_bytes()).decode()


def expiry_of(certificate: Path) -> float:
    """Return when the first certificate of a PEM file expires, in seconds since 1970; 0 if there is none."""
    from cryptography import x509

    try:
        return x509.load_pem_x509_certificate(certificate.read_bytes()).not_valid_after_utc.timestamp()
    except (OSError, ValueError):
        return 0.0
