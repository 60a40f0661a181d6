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
_HEADER: Final = 5
_LONGEST_RECORD: Final = _HEADER + _RECORD + 2_048
"""The most bytes of an encrypted record of TLS 1.2; those of TLS 1.3 are shorter (RFC 5246, 6.2.3)."""
_KINDS: Final = range(20, 24)
RECORDS_AT_ONCE: Final = 64
"""How many records are decrypted at one time. A new key takes most: fourteen microseconds."""
MAX_EMPTY: Final = 32
BYTES_OF_AN_EMPTY: Final = 1024 * 1024
"""A client may send MAX_EMPTY records after the handshake that carry nothing (new keys, alerts, attempts to negotiate
again), and one more for each BYTES_OF_AN_EMPTY bytes. OpenSSL has no limit for new keys; Go's client allows 16."""
MAX_RECORDS: Final = 1024
BYTES_OF_A_RECORD: Final = 16
"""A client may send MAX_RECORDS records, and one more for each BYTES_OF_A_RECORD bytes in them."""


class TlsSession:
    """The server's side of a TLS connection. `is_open`: the handshake is done. `has_ended`: the client says no more.

    `is_behind`: whole records wait to be decrypted; `receive(b"")` goes on with them. `certificate`: the client's
    (DER), whose private key it has shown to have; None if it has shown none, or none was asked for.
    """

    def __init__(self, context: ssl.SSLContext) -> None:
        self.is_open = False
        self.has_ended = False
        self.is_behind = False
        self.certificate: bytes | None = None
        self._waiting = b""
        self._records = self._empty = self._bytes = 0
        self._incoming = ssl.MemoryBIO()
        self._outgoing = ssl.MemoryBIO()
        self._tls = context.wrap_bio(self._incoming, self._outgoing, server_side=True)

    def receive(self, data: bytes) -> bytes:
        """Take what the client has sent, and decrypt RECORDS_AT_ONCE records. Return the plain bytes in them.

        Look at `to_send` and `is_behind` afterwards. What follows the client's end is ignored (RFC 8446, 6.1).
        Raises: ssl.SSLError if this is no TLS, or none that is spoken here, or too many records carry too little.
        """
        waiting = self._waiting + data if self._waiting else data
        start, plain = 0, []
        for _ in range(RECORDS_AT_ONCE):
            end = _end_of_record(waiting, start)
            if not end or self.has_ended:
                break
            self._incoming.write(memoryview(waiting)[start:end])
            start = end
            if piece := self._take():
                plain.append(piece)
        self._waiting = b"" if self.has_ended else waiting[start:]
        self.is_behind = _end_of_record(self._waiting, 0) > 0
        return plain[0] if len(plain) == 1 else b"".join(plain)

    def _take(self) -> bytes:
        """Return the plain bytes of the record that was written last. Raises: ssl.SSLError."""
        self._records += 1
        piece = b""
        try:
            if self.is_open:
                self._empty += 1
                piece = self._tls.read(_RECORD)
                self._empty -= 1
                self.has_ended = not piece
            else:
                self._tls.do_handshake()
                self.is_open = True
                self.certificate = self._tls.getpeercert(binary_form=True)
        except ssl.SSLWantReadError:
            pass
        except ssl.SSLZeroReturnError:
            self.has_ended = True
        self._bytes += len(piece)
        if (
            self._empty > MAX_EMPTY + self._bytes // BYTES_OF_AN_EMPTY
            or self._records > MAX_RECORDS + self._bytes // BYTES_OF_A_RECORD
        ):
            raise ssl.SSLError("too many records that carry too little")
        return piece

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


def _end_of_record(data: bytes, start: int) -> int:
    """Return where the record that starts here ends; 0 if it has not arrived whole.

    What cannot be a record goes to OpenSSL as it is, which says what is wrong with it.
    """
    if start + _HEADER > len(data):
        return len(data) if start < len(data) and data[start] not in _KINDS else 0
    end = start + _HEADER + int.from_bytes(data[start + 3 : start + _HEADER], "big")
    if data[start] not in _KINDS or end - start > _LONGEST_RECORD:
        return len(data)
    return end if end <= len(data) else 0
