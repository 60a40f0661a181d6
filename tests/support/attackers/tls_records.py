"""Attackers that have a TLS connection and send records that carry little or nothing: new keys, single bytes."""

from __future__ import annotations

import contextlib
import hashlib
import hmac
import socket
import ssl
import tempfile
from collections.abc import Iterator
from multiprocessing.synchronize import Event
from pathlib import Path
from typing import Final

from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from tests.support.attackers import Target
from tests.support.attackers.connections import connect

_HANDSHAKE, _APPLICATION = 22, 23
_KEY_UPDATE: Final = 24
_BURSTS_EACH_SECOND: Final = 20
_RECORDS: Final = 4_000


class ClientRecords:
    """What a client of TLS 1.3 sends, encrypted here: OpenSSL would send no such thing. `secret`: its traffic secret.

    For TLS_AES_256_GCM_SHA384, which OpenSSL chooses (RFC 8446, 5.2, 7.1 to 7.3).
    """

    def __init__(self, secret: bytes) -> None:
        self._secret = secret
        self._sent = 0

    def data(self, plain: bytes) -> bytes:
        """A record with these bytes."""
        return self._record(plain, _APPLICATION)

    def key_update(self) -> bytes:
        """A record that announces a new key and asks for one; the next record has it."""
        record = self._record(bytes([_KEY_UPDATE, 0, 0, 1, 1]), _HANDSHAKE)
        self._secret, self._sent = _expand(self._secret, b"traffic upd", 48), 0
        return record

    def _record(self, plain: bytes, kind: int) -> bytes:
        key, nonce = _expand(self._secret, b"key", 32), int.from_bytes(_expand(self._secret, b"iv", 12), "big")
        head = b"\x17\x03\x03" + (len(plain) + 1 + 16).to_bytes(2, "big")
        sealed = AESGCM(key).encrypt((nonce ^ self._sent).to_bytes(12, "big"), plain + bytes([kind]), head)
        self._sent += 1
        return head + sealed


def _expand(secret: bytes, label: bytes, length: int) -> bytes:
    """HKDF-Expand-Label for at most 48 bytes."""
    info = length.to_bytes(2, "big") + bytes([6 + len(label)]) + b"tls13 " + label + b"\0"
    return hmac.new(secret, info + b"\1", hashlib.sha384).digest()[:length]


def logging_context(ca: Path | None, log: Path) -> ssl.SSLContext:
    """Settings of a client of TLS 1.3 that writes down its secrets."""
    context = ssl.create_default_context(cafile=ca)
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    context.keylog_filename = str(log)
    return context


def logged_records(log: Path) -> ClientRecords:
    """The records of the one client that has written down its secrets here."""
    lines = [line.split() for line in log.read_text().splitlines()]
    return ClientRecords(bytes.fromhex(next(line[2] for line in lines if line[0] == "CLIENT_TRAFFIC_SECRET_0")))


def new_keys(target: Target, stop: Event) -> None:
    """Complete a handshake, announce thousands of new keys at once, and begin again, from two addresses in turn."""
    with tempfile.TemporaryDirectory() as folder:
        for number in _until(stop):
            log = Path(folder, str(number))
            with contextlib.suppress(OSError), opened(target, log, "127.0.0.2") as client:
                records = logged_records(log)
                client.sendall(b"".join(records.key_update() for _ in range(_RECORDS)))


def single_bytes(target: Target, stop: Event) -> None:
    """Complete a handshake and send a head without end, with one byte in each record."""
    with tempfile.TemporaryDirectory() as folder:
        for number in _until(stop):
            log = Path(folder, str(number))
            with contextlib.suppress(OSError), opened(target, log, "127.0.0.2") as client:
                records = logged_records(log)
                client.sendall(b"".join(records.data(b"x") for _ in range(_RECORDS)))


def _until(stop: Event) -> Iterator[int]:
    number = 0
    while not stop.wait(1 / _BURSTS_EACH_SECOND):
        yield number
        number += 1


@contextlib.contextmanager
def opened(target: Target, log: Path, source: str) -> Iterator[socket.socket]:
    """A connection after its handshake, of which the caller encrypts what follows."""
    context = logging_context(target.ca, log)
    context.check_hostname = False
    plain = connect(target, b"", source=source)
    tls = context.wrap_socket(plain, server_hostname="localhost")
    with socket.socket(fileno=tls.detach()) as client:
        client.settimeout(5)
        yield client
