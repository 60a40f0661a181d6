"""A certificate and its key for this machine, made by a certification authority of its own, under DATA/tls/."""

from __future__ import annotations

import ipaddress
from datetime import datetime
from pathlib import Path

from keys import self_signed
from trustserver.errors import StartRefused
from trustserver.process.tls import TlsFiles


def self_signed_files(folder: Path, *, host: str, at: datetime, address: str = "") -> TlsFiles:
    """Return a certificate for localhost, 127.0.0.1, ::1, `host` and `address`, signed by the CA in this folder.

    `address`: what is listened on; one that stands for all addresses of the machine is left out. Both are made at first
    use and kept as long as they are good (`keys/self_signed.py`).

    Raises: StartRefused if the folder cannot be used or the CA is damaged.
    """
    hosts = ("localhost", host, "127.0.0.1", "::1", *_listened_on(address))
    try:
        files = self_signed.self_signed_files(folder, hosts=hosts, subject="content-trust server", at=at)
    except OSError as error:
        raise StartRefused(what=str(folder), reason=f"cannot be used for TLS: {error.strerror}") from error
    except ValueError as error:
        raise StartRefused(what=str(folder), reason=str(error)) from error
    return TlsFiles(certificate=files.certificate, key=files.key, ca=files.ca)


def _listened_on(address: str) -> list[str]:
    """Return the address, if it is one that clients may call the server by."""
    try:
        found = ipaddress.ip_address(address)
    except ValueError:  # localhost, or none
        return []
    return [] if found.is_unspecified or getattr(found, "scope_id", None) else [str(found)]
