"""Compressed answers: gzip, made at the first read that wants it, kept beside the answer (docs/adr/0015).

Level 1: on metadata, most of which are digests in hex, level 6 takes two and a half times as long for four per cent.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterable
from dataclasses import replace
from functools import lru_cache
from typing import Final

from trustserver.responses.cache import Answer, plain_answer, unchanged_answer

_LEVEL: Final = 1
_GZIP: Final = 31  # window bits of zlib: the largest window, in a gzip envelope (whose time is 0)
_LONGEST: Final = 1024
"""Bytes of what a reader accepts that are looked at. Browsers send thirty; a header may have 400 000, which would take
a tenth of a second of the event loop, and be remembered."""


def pack(answer: Answer) -> Answer:
    """The same answer with its compressed form beside it, or one that never has one, since it would not be smaller."""
    packer = zlib.compressobj(_LEVEL, zlib.DEFLATED, _GZIP)
    raw = answer.body["body"]
    packed = packer.compress(raw) + packer.flush()
    if len(packed) >= len(raw):
        return replace(answer, packable=False)
    etag = packed_etag(answer.etag)
    replaced = {b"content-length": str(len(packed)).encode(), b"etag": etag}
    headers = [(name, replaced.get(name, value)) for name, value in answer.start["headers"]]
    headers.append((b"content-encoding", b"gzip"))
    form = replace(plain_answer(answer.status, headers, packed, renew_at=answer.renew_at), etag=etag)
    return replace(answer, packed=form, size=answer.size + len(packed))


def packed_etag(etag: bytes) -> bytes:
    """A form of its own has a tag of its own: the two differ in their bytes (RFC 9110, 8.8.3.3)."""
    return etag[:-1] + b'-gzip"'


def packed_unchanged(unchanged: Answer) -> Answer:
    """304 for who has the compressed form, from that for the plain one: known before the form is made."""
    etag = packed_etag(unchanged.etag)
    headers = [(name, etag if name == b"etag" else value) for name, value in unchanged.start["headers"]]
    return unchanged_answer(etag, headers)


def accepts_gzip(codings: bytes) -> bool:
    """Whether the value of Accept-Encoding asks for gzip at least as much as for plain bytes (RFC 9110, 12.5.3)."""
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
