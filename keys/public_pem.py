"""Read the public key that somebody hands over: PEM, bare (`PUBLIC KEY`) or in a certificate.

Docker's documentation has signers make certificates. In Notary v1 the whole certificate becomes the key, as the Go
clients do it, with an id of its own; in TUF 1.0 only the key in it does.
"""

from __future__ import annotations

import base64
from collections.abc import Sequence
from datetime import datetime
from itertools import pairwise
from typing import Final, cast

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.hazmat.primitives.serialization import Encoding, load_der_public_key
from securesystemslib.signer import Key

from keys.algorithms import PublicKey, algorithm_of, public_fingerprint
from keys.certificate import LEEWAY
from keys.errors import KeyFileMalformed, KeyIsPrivate, KeyNotAccepted
from keys.go_certificate import load_der_certificate, name_of
from keys.material import tuf_key
from keys.notary import X509, NotaryKey
from keys.pem import PemBlock, lacking, read_pem
from keys.sealed_file import is_sealed

_CERTIFICATE: Final = "CERTIFICATE"
_PUBLIC: Final = ("PUBLIC KEY", "RSA PUBLIC KEY")
_BROKEN_HASHES: Final = ("md5", "sha1")


def read_public_pem(data: bytes, *, place: str, at: datetime) -> Key:
    """Return the public key of a PEM file: a TUF key object under its default id, or a NotaryKey with its certificate.

    A certificate must be valid at `at`; its issuers may follow it. The encoding of a format makes its own key of either
    (`WireFormat.encode_key`). `place`: the name of the file in error messages.

    Raises: KeyIsPrivate; KeyFileMalformed, which says what the file holds instead; KeyNotAccepted.
    """
    if is_sealed(data):
        raise KeyIsPrivate(place=place)
    blocks = read_pem(data, place=place, wanted="public key")
    if any("PRIVATE" in block.label for block in blocks):
        raise KeyIsPrivate(place=place)
    bare = {public_fingerprint(key): key for key in (_public(b, place) for b in blocks if b.label in _PUBLIC)}
    certificates = [_certificate(block, place) for block in blocks if block.label == _CERTIFICATE]
    if len(bare) > 1 or not _is_chain(certificates, place):
        raise KeyFileMalformed(place=place, reason="it holds several public keys where one is wanted")
    if not certificates:
        if not bare:
            raise lacking(blocks, place=place, wanted="public key")
        return tuf_key(next(iter(bare.values())))
    key = _certified(certificates[0], at, place)
    if bare and public_fingerprint(key) not in bare:
        raise KeyFileMalformed(place=place, reason="its public key does not match its certificate")
    if isinstance(key, Ed25519PublicKey):  # Notary v1 has no certificates of such keys
        return tuf_key(key)
    keytype = "rsa" if isinstance(key, RSAPublicKey) else "ecdsa"
    return NotaryKey.of(keytype + X509, base64.b64encode(certificates[0].public_bytes(Encoding.PEM)).decode())


def _public(block: PemBlock, place: str) -> PublicKey:
    try:
        key = load_der_public_key(block.content)
    except ValueError as error:
        raise KeyFileMalformed(place=place, reason="no public key in it") from error
    except UnsupportedAlgorithm as error:
        raise KeyNotAccepted(key=place, reason="its algorithm is not supported") from error
    algorithm_of(key, named=place)
    return cast("PublicKey", key)


def _certificate(block: PemBlock, place: str) -> x509.Certificate:
    try:
        return load_der_certificate(block.content)
    except ValueError as error:
        raise KeyFileMalformed(place=place, reason="its certificate cannot be read") from error


def _is_chain(certificates: Sequence[x509.Certificate], place: str) -> bool:
    """Return whether each certificate is followed by that of its issuer. Raises: KeyFileMalformed."""
    try:
        return all(name_of(one, issuer=True) == name_of(following) for one, following in pairwise(certificates))
    except ValueError as error:
        raise KeyFileMalformed(place=place, reason="its certificate cannot be read") from error


def _certified(certificate: x509.Certificate, at: datetime, place: str) -> PublicKey:
    """Return the key of a certificate that the Go clients would take too. Raises: KeyNotAccepted."""
    start, end = certificate.not_valid_before_utc, certificate.not_valid_after_utc
    if not start <= at + LEEWAY or at > end:
        reason = f"its certificate is valid from {start:%Y-%m-%d} to {end:%Y-%m-%d} only"
        raise KeyNotAccepted(key=place, reason=reason)
    try:
        hashed = certificate.signature_hash_algorithm
        key = certificate.public_key()
    except (ValueError, UnsupportedAlgorithm) as error:
        raise KeyNotAccepted(key=place, reason="its algorithm is not supported") from error
    if hashed is not None and hashed.name in _BROKEN_HASHES:
        raise KeyNotAccepted(key=place, reason=f"its certificate is signed with {hashed.name}")
    algorithm_of(key, named=place)
    return cast("PublicKey", key)
