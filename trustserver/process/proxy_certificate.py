"""Read the client certificate that a proxy has seen, from the header in which it passes it on.

Clients write headers too. So the header counts over a Unix socket, which only the proxy reaches, beside a second header
with a secret that only the proxy has, or on a connection on which the proxy has shown its own certificate; never
because of the address that a request comes from.
"""

from __future__ import annotations

import binascii
import hmac
import re
from base64 import b64decode
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Final
from urllib.parse import unquote_to_bytes

from keys.file_access import exposed_secret
from trustserver.errors import BadRequest, StartRefused

SECRET_HEADER: Final = b"x-trust-proxy-secret"
SHORTEST_SECRET: Final = 32
"""Characters that a secret has at least: 128 random bits in hex."""
_LONGEST_SECRET: Final = 1024
_LONGEST_VALUE: Final = 32_768
_PEM: Final = re.compile(rb"\s*-----BEGIN CERTIFICATE-----([A-Za-z0-9+/=\s]+)-----END CERTIFICATE-----\s*")

_Headers = list[tuple[bytes, bytes]]


class ProxyCertificate:
    """Takes the certificate out of the headers of a request.

    `header`: its name. `secret`: what the proxy sends beside it. `shows`: whether a certificate (DER) is that of the
    proxy. With both, both must be right. With neither, everybody who connects is the proxy: over a Unix socket.
    """

    def __init__(
        self, header: str, secret: bytes | None = None, *, shows: Callable[[bytes], bool] | None = None
    ) -> None:
        self._header = header.lower().encode()
        self._secret = secret
        self._shows = shows
        self._place = header

    def take(
        self, headers: Iterable[tuple[bytes, bytes]], shown: bytes | None = None
    ) -> tuple[_Headers, bytes | None, bool]:
        """Return the headers that are left, the certificate (DER), and whether the request is from the proxy.

        `shown`: the certificate of the connection. Raises: BadRequest if a client has written one of these headers, or
        the proxy has not written them clearly.
        """
        others: _Headers = []
        found: dict[bytes, bytes] = {}
        for name, value in headers:
            # To some programs X_Name and X-Name are one header, and a proxy that clears one passes the other on.
            plain = name.lower().replace(b"_", b"-")
            if plain not in {self._header, SECRET_HEADER}:
                others.append((name, value))
            elif plain in found or b"_" in name:
                raise BadRequest(place=self._place, reason="this header, or its secret, is there twice or with _")
            else:
                found[plain] = value
        is_proxy = self._is_proxy(found.get(SECRET_HEADER, b""), shown)
        value = found.get(self._header, b"")
        if not is_proxy and found:
            raise BadRequest(place=self._place, reason=f"this header is for the proxy to write, {self._beside}")
        return others, _der(value, self._place) if value else None, is_proxy

    @property
    def _beside(self) -> str:
        return "beside its secret" if self._secret is not None else "which shows its own certificate"

    def _is_proxy(self, secret: bytes, shown: bytes | None) -> bool:
        if self._secret is not None and not hmac.compare_digest(secret, self._secret):
            return False
        return self._shows is None or (shown is not None and self._shows(shown))


def _der(value: bytes, place: str) -> bytes:
    """Return the certificate of a value as nginx writes it: PEM, percent-encoded. Raises: BadRequest."""
    block = _PEM.fullmatch(unquote_to_bytes(value)) if len(value) <= _LONGEST_VALUE else None
    try:
        if block is None:
            raise BadRequest(place=place, reason="must be one certificate in PEM, percent-encoded")
        return b64decode(b"".join(block[1].split()), validate=True)
    except binascii.Error as error:
        raise BadRequest(place=place, reason="is not the base64 of a certificate") from error


def read_secret(path: Path, *, platform_secrets: bool = False) -> bytes:
    """Read the proxy's secret: the first line of a file that nobody else may read. Raises: StartRefused."""
    try:
        with path.open("rb") as file:
            exposed = exposed_secret(path, file.fileno(), platform_secrets=platform_secrets)
            content = file.read(_LONGEST_SECRET + 1)
    except OSError as error:
        raise StartRefused(what=str(path), reason=f"cannot be read: {error.strerror}") from error
    if exposed is not None:
        raise StartRefused(what=exposed.path, reason=exposed.refusal)
    secret = content.strip()
    if not SHORTEST_SECRET <= len(secret) <= _LONGEST_SECRET or any(not 33 <= byte <= 126 for byte in secret):
        reason = (
            f"must be one word of {SHORTEST_SECRET} to {_LONGEST_SECRET} printable characters: openssl rand -hex 32"
        )
        raise StartRefused(what=str(path), reason=reason)
    return secret
