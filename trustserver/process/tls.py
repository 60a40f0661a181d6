"""The certificate that the server serves with: read, checked and made into settings of TLS here and nowhere else.

The files are the operator's, or made for this machine (`process/self_signed.py`). They are read at the start: a renewed
certificate is served after the next one.
"""

from __future__ import annotations

import os
import shlex
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from keys.errors import KeyFileMalformed
from keys.pem import MAX_KEY_FILE, PemBlock, lacking, read_pem, write_pem
from keys.private_blocks import read_private_blocks, the_only_key
from trustserver.errors import StartRefused

CERTIFICATE: Final = "content_trust.certificate"
"""The key under which the scope of a request has the client certificate of its connection (DER), if there is one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TlsFiles:
    """The PEM files to serve with. The key is unencrypted. `ca` is set if the certificate was made here."""

    certificate: Path
    key: Path
    ca: Path | None = None


class ServedCertificate:
    """A certificate with its key, ready to serve with. `context`: TLS 1.2 or 1.3, HTTP/1.1, one ticket a session."""

    def __init__(self, files: TlsFiles) -> None:
        """Read the files.

        Raises: StartRefused if they cannot be read, or if the key is not the certificate's or is encrypted.
        """
        self.files = files
        self.context = _context(files)

    def ask_clients(self, authorities: str) -> None:
        """Ask clients for a certificate that one of these (PEM) has issued; whoever shows none is served as before.

        Authorities are only added here: whether they, and a certificate of theirs, still count is judged at each
        request (`auth/client_certificates.py`).
        """
        self.context.verify_flags |= ssl.VerifyFlags.VERIFY_X509_PARTIAL_CHAIN  # those who issue need be no roots
        self.context.load_verify_locations(cadata=authorities)
        self.context.verify_mode = ssl.CERT_OPTIONAL


def _context(files: TlsFiles) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    try:
        # OpenSSL would ask for the passphrase of an encrypted key on the terminal. An empty one makes it fail instead.
        context.load_cert_chain(files.certificate, files.key, password=lambda: "")
    except ssl.SSLError as error:
        _load_unwrapped(context, files, error)
    except OSError as error:
        what = f"{files.certificate} and {files.key}"
        raise StartRefused(what=what, reason=f"cannot be read: {error.strerror}") from error
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.options |= ssl.OP_NO_RENEGOTIATION | ssl.OP_NO_COMPRESSION
    context.num_tickets = 1
    context.set_alpn_protocols(["http/1.1"])
    return context


def _load_unwrapped(context: ssl.SSLContext, files: TlsFiles, error: ssl.SSLError) -> None:
    """Load files that OpenSSL does not read as they are, because of what is around the PEM (docs/adr/0060).

    Raises: StartRefused, which says which of the two files is wrong, and how.
    """
    try:
        certificates = _certificates(files.certificate)
        found = read_private_blocks(_read(files.key), place=str(files.key), wanted="unencrypted private key")
        key = the_only_key(found, place=str(files.key))
    except KeyFileMalformed as fault:
        helps = f"; {fault.command}" if fault.command else ""
        raise StartRefused(what=fault.place, reason=f"cannot be used for TLS: {fault.reason}{helps}") from error
    if key.encrypted:
        plain = f"openssl pkey -in {shlex.quote(str(files.key))} -out KEY.pem"
        reason = f"is encrypted, and nobody is asked for a passphrase; {plain}"
        raise StartRefused(what=str(files.key), reason=reason) from error
    try:
        with _in_memory(write_pem(certificates)) as chain, _in_memory(write_pem([key.block])) as private:
            context.load_cert_chain(chain, private)
    except ssl.SSLError as again:
        reason = f"is no certificate chain, or does not belong to {files.key}: {again.reason}"
        raise StartRefused(what=str(files.certificate), reason=reason) from again


def _certificates(file: Path) -> list[PemBlock]:
    """Return the certificates of a PEM file, at least one. Raises: KeyFileMalformed."""
    blocks = read_pem(_read(file), place=str(file), wanted="certificate")
    certificates = [block for block in blocks if block.label == "CERTIFICATE"]
    if not certificates:
        raise lacking(blocks, place=str(file), wanted="certificate")
    return certificates


def _read(path: Path) -> bytes:
    with path.open("rb") as file:
        return file.read(MAX_KEY_FILE + 1)


@contextmanager
def _in_memory(content: bytes) -> Iterator[str]:
    """Give OpenSSL, which reads files alone, the name of one that is on no disk and that nobody else can open."""
    descriptor = os.memfd_create("tls", os.MFD_CLOEXEC)
    try:
        os.write(descriptor, content)
        yield f"/proc/self/fd/{descriptor}"
    finally:
        os.close(descriptor)
