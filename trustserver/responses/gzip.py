"""Make the gzip form of a response at the first read that accepts it, and keep it beside the response (ADR 0015).

Level 1: on metadata, most of which are digests in hex, level 6 takes two and a half times as long for four per cent.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterable
from dataclasses import replace
from functools import lru_cache
from typing import Final

from trustserver.responses.ready import ReadyResponse, plain_response, unchanged_response

_LEVEL: Final = 1
_GZIP: Final = 31  # window bits of zlib: the largest window, in a gzip envelope (whose time is 0)
_LONGEST: Final = 1024
"""Longest Accept-Encoding, in bytes, that is parsed. Browsers send 30; parsing 400 000 would hold the event loop for
a tenth of a second, and the result would stay in memory."""


def pack(answer: ReadyResponse) -> ReadyResponse:
    """Return the response with its gzip form, or marked as never to be compressed if gzip would not be smaller."""
    packer = zlib.compressobj(_LEVEL, zlib.DEFLATED, _GZIP)
    raw = answer.body["body"]
    packed = packer.compress(raw) + packer.flush()
    if len(packed) >= len(raw):
        return replace(answer, packable=False)
    etag = packed_etag(answer.etag)
    replaced = {b"content-length": str(len(packed)).encode(), b"etag": etag}
    headers = [(name, replaced.get(name, value)) for name, value in answer.start["headers"]]
    headers.append((b"content-encoding", b"gzip"))
    form = replace(plain_response(answer.status, headers, packed), etag=etag)
    return replace(answer, packed=form, size=answer.size + len(packed))


def packed_etag(etag: bytes) -> bytes:
    """Return the entity tag of the gzip form; two forms with other bytes need two tags (RFC 9110, 8.8.3.3)."""
    return etag[:-1] + b'-gzip"'


def packed_unchanged(unchanged: ReadyResponse) -> ReadyResponse:
    """Make the 304 for a client that has the gzip form from the 304 for the plain form."""
    etag = packed_etag(unchanged.etag)
    headers = [(name, etag if name == b"etag" else value) for name, value in unchanged.start["headers"]]
    return unchanged_response(etag, headers)


def accepts_gzip(codings: bytes) -> bool:
    """Return whether the value of Accept-Encoding likes gzip at least as much as plain bytes (RFC 9110, 12.5.3)."""
    return 0 < len(codings) <= _LONGEST and _accepts(codings)


@lru_cache(maxsize=256)
def _accepts(value: bytes) -> bool:
    weights: dict[bytes, float] = {}
    for item in value.lower().split(b","):
        coding, *parameters = item.split(b";")
        weights[coding.strip()] = _weight(parameters)
    gzip = next((weights[name] for name in (b"gzip", b"x-gzip", b"*") if name in weights), 0.0)
    return gzip > 0 and gzip >= weights.get(b"identity", 0.0)


def _weight(parameters: Iterable[bytes]) -> float:
    for parameter in parameters:
        name, _, value = parameter.partition(b"=")
        if name.strip() == b"q":
            try:
                weight = float(value)
            except ValueError:
                return 0.0
            return weight if 0 <= weight <= 1 else 0.0
    return 1.0
