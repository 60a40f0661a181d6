"""The certificate that the server serves with: read, checked and made into settings of TLS here and nowhere else.

The files are the operator's, or made for this machine (`process/self_signed.py`). They are read at the start: a renewed
certificate is served after the next one.
"""

from __future__ import annotations

import ssl
from dataclasses import dataclass
from pathlib import Path

from trustserver.errors import StartRefused


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


def _context(files: TlsFiles) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    try:
        # OpenSSL would ask for the passphrase of an encrypted key on the terminal. An empty one makes it fail instead.
        context.load_cert_chain(files.certificate, files.key, password=lambda: "")
    except ssl.SSLError as error:
        reason = f"is no certificate chain, or does not belong to {files.key}: {error.reason}"
        raise StartRefused(what=str(files.certificate), reason=reason) from error
    except OSError as error:
        what = f"{files.certificate} and {files.key}"
        raise StartRefused(what=what, reason=f"cannot be read: {error.strerror}") from error
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.options |= ssl.OP_NO_RENEGOTIATION | ssl.OP_NO_COMPRESSION
    context.num_tickets = 1
    context.set_alpn_protocols(["http/1.1"])
    return context
