"""TLS of one connection, without I/O: encrypted bytes in, plain bytes out, and the other way round.

The event loop's own TLS is not used, since it begins before the limits on connections can be asked, gives each
connection a buffer of 256 KiB, and does all handshakes as they come.
"""

from __future__ import annotations

import contextlib
import ssl
from typing import Final

_RECORD: Final = 16_384
"""The most plain bytes in one record (RFC 8446, 5.1)."""


class TlsSession:
    """The server's side of a TLS connection. `is_open`: the handshake is done. `has_ended`: the client says no more."""

    def __init__(self, context: ssl.SSLContext) -> None:
        self.is_open = False
        self.has_ended = False
        self._incoming = ssl.MemoryBIO()
        self._outgoing = ssl.MemoryBIO()
        self._tls = context.wrap_bio(self._incoming, self._outgoing, server_side=True)

    def receive(self, data: bytes) -> bytes:
        """Take what the client has sent. Return the plain bytes in it; look at `to_send` afterwards.

        Raises: ssl.SSLError if this is no TLS, or none that is spoken here.
        """
        self._incoming.write(data)
        if not self.is_open:
            try:
                self._tls.do_handshake()
            except ssl.SSLWantReadError:
                return b""
            self.is_open = True
        plain = []
        while self._incoming.pending or self._tls.pending():
            try:
                piece = self._tls.read(_RECORD)
            except ssl.SSLWantReadError:
                break  # the last record has not arrived whole
            except ssl.SSLZeroReturnError:
                piece = b""
            if not piece:
                self.has_ended = True
                break
            plain.append(piece)
        return plain[0] if len(plain) == 1 else b"".join(plain)

    def encrypt(self, plain: bytes | memoryview) -> bytes:
        """Return what must be sent so that the client gets these bytes. Raises: ssl.SSLError."""
        self._tls.write(plain)
        return self._outgoing.read()

    def to_send(self) -> bytes:
        """Return what the handshake must send, or an alert; each byte once."""
        return self._outgoing.read() if self._outgoing.pending else b""

    def close(self) -> bytes:
        """Return what tells the client that nothing follows, so that it knows that nothing was cut off."""
        if self.is_open:
            with contextlib.suppress(ssl.SSLError):  # it waits for the client to say the same, which nobody needs
                self._tls.unwrap()
        return self.to_send()
