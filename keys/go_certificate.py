"""Certificates as programs in old Go wrote them, read by a parser that takes ASN.1 at its word.

Go up to 1.9 wrote names with `*` or `&` as PrintableString, which has neither character, and reads them so to this day:
`docker/*` is the common name of root certificates for a pattern of names. Other parsers refuse the whole certificate.
Here only the type of such a text is changed, in the names of issuer and subject, to the one that newer Go writes
(UTF8String): one byte for each, nothing moves, and key, dates and extensions stay what they were. Only the signature
over the certificate no longer fits, which no client of Notary v1 verifies.
"""

from __future__ import annotations

import base64
import re
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final, NamedTuple

from cryptography import x509

# No two repetitions that follow one another match the same bytes, here and below: a hostile text would cost its square.
PEM_CERTIFICATE: Final = re.compile(
    rb"-----BEGIN CERTIFICATE-----[ \t\r]*\n([A-Za-z0-9+/=\s]+)-----END CERTIFICATE-----"
)
"""A certificate in a PEM text, and its base64: as Go reads it, without headers and under this name alone.

Whoever reads a certificate of a text takes this. Two readers that each find a first one would take the key from one
certificate and the fingerprint, or the CA's word, from another.
"""
_SEQUENCE: Final = 0x30
_SET: Final = 0x31
_UTF8: Final = 0x0C
_PRINTABLE: Final = 0x13
_VERSION: Final = 0xA0
_LONG_FORM: Final = 0x80
_LONGEST_LENGTH: Final = 3
_GO_PRINTABLE: Final = re.compile(rb"[A-Za-z0-9 '()+,\-./:=?]*+[*&][A-Za-z0-9 '()+,\-./:=?*&]*+")
"""What Go reads as PrintableString, with at least one of the two characters that it should not have."""


class _Element(NamedTuple):
    """One element of DER: its tag, where it begins, and where its content does and ends."""

    tag: int
    at: int
    start: int
    stop: int


def load_pem_certificate(pem: bytes) -> x509.Certificate:
    """Read the first certificate in a PEM text, as Go reads it: that of `certificate_der`. Raises: ValueError."""
    der = certificate_der(pem)
    if not der:
        raise ValueError("holds no certificate in PEM")
    try:
        return load_der_certificate(der)
    except ValueError:
        readable = with_readable_names(der)
        if readable == der:
            raise
        return load_der_certificate(readable)


def load_der_certificate(der: bytes) -> x509.Certificate:
    """Read a certificate. Raises: ValueError, also for a version that does not exist, which is no ValueError."""
    try:
        return x509.load_der_x509_certificate(der)
    except x509.InvalidVersion as error:
        raise ValueError(str(error)) from error


def name_of(certificate: x509.Certificate, *, issuer: bool = False) -> x509.Name:
    """Return the name in a certificate, or that of its issuer. Raises: ValueError, for whatever is wrong with it."""
    try:
        with long_names_allowed():
            return certificate.issuer if issuer else certificate.subject
    except TypeError as error:  # a text of a type that only one other attribute may have
        raise ValueError(str(error)) from error


@contextmanager
def long_names_allowed() -> Iterator[None]:
    """Suppress the warning about common names above 64 characters (RFC 5280); collection names have up to 255.

    Python would write it to the user's terminal, for whatever length whoever made the certificate has chosen.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        yield


def certificate_der(pem: bytes) -> bytes:
    """Return the bytes of the first certificate in a PEM text as they stand there, b"" if there is none.

    Raises: ValueError (no base64).
    """
    found = PEM_CERTIFICATE.search(pem)
    if found is None:
        return b""
    return base64.b64decode(b"".join(found[1].split()), validate=True)


def with_readable_names(der: bytes) -> bytes:
    """Return the certificate with each text of its names that only Go takes for PrintableString as UTF8String.

    What is no certificate is returned as it is.
    """
    changed = bytearray(der)
    try:
        for text in _texts_of_names(der):
            if text.tag == _PRINTABLE and _GO_PRINTABLE.fullmatch(der, text.start, text.stop):
                changed[text.at] = _UTF8
    except ValueError:
        return der
    return bytes(changed)


def _texts_of_names(der: bytes) -> Iterator[_Element]:
    """Yield the values in the names of issuer and subject (RFC 5280, 4.1). Raises: ValueError."""
    (certificate,) = _inside(der, _Element(_SEQUENCE, 0, 0, len(der)))
    signed, *_ = _inside(der, certificate)
    body = [element for element in _inside(der, signed) if element.tag != _VERSION]
    _, _, issuer, _, subject, *_ = body  # serial number, algorithm, issuer, dates, subject, key
    for name in (issuer, subject):
        for parts in _inside(der, name):
            for attribute in _inside(der, parts):
                _, value = _inside(der, attribute)
                yield value


def _inside(der: bytes, whole: _Element) -> Iterator[_Element]:
    """Yield the elements of a SEQUENCE or SET. Raises: ValueError if it is neither, or ends too early."""
    if whole.tag not in {_SEQUENCE, _SET}:
        raise ValueError("is neither SEQUENCE nor SET")
    at = whole.start
    while at < whole.stop:
        element = _element(der, at, whole.stop)
        yield element
        at = element.stop


def _element(der: bytes, at: int, end: int) -> _Element:
    header = der[at : at + 2]
    if len(header) < len(b"TL"):
        raise ValueError("ends too early")
    tag, length = header
    start = at + 2
    if length >= _LONG_FORM:
        size = length - _LONG_FORM
        if not 1 <= size <= _LONGEST_LENGTH:
            raise ValueError("has a length of another form")
        length = int.from_bytes(der[start : start + size])
        start += size
    if start + length > end:
        raise ValueError("ends too early")
    return _Element(tag, at, start, start + length)
