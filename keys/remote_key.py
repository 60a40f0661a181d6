"""Private keys that sign elsewhere, as private keys of the `cryptography` library.

What makes certificates and signatures of either format takes them as any other key. Only signing works: the private
part is nowhere to be read. Every signature is verified with the public key before anybody gets it, since a token, a
service or a command may sign with another key than the one that it was asked for.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, Literal, Never, Protocol, Self, TypeAlias, get_args

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric import ec, padding
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, RSAPublicKey
from cryptography.hazmat.primitives.hashes import SHA256, HashAlgorithm

from keys.algorithms import PrivateKey, PublicKey
from keys.errors import SignatureNotVerified, SigningFailed

Method: TypeAlias = Literal["ecdsa-sha256", "ecdsa-sha384", "ed25519", "rsa-pss-sha256", "rsa-pkcs1v15-sha256"]
"""How a key signs. PSS has SHA-256 in its mask, and a salt of 32 bytes. PKCS#1 v1.5 is for certificates alone."""
METHODS: Final[tuple[Method, ...]] = get_args(Method)
Bytes: TypeAlias = bytes | bytearray | memoryview


class Holder(Protocol):
    """What holds a private key and signs with it."""

    @property
    def described(self) -> str:
        """The key and where it is, for messages."""

    def sign(self, payload: bytes, method: Method) -> bytes:
        """Sign the bytes, which are not hashed yet; an ECDSA signature is returned in DER. Raises: KeysError."""


def remote_key(public: PublicKey, holder: Holder) -> PrivateKey:
    """Return a private key whose signatures the holder makes. `public`: what they must verify with."""
    if isinstance(public, ec.EllipticCurvePublicKey):
        return _RemoteEC(public, holder)
    if isinstance(public, RSAPublicKey):
        return _RemoteRSA(public, holder)
    return _RemoteEd25519(public, holder)


def is_remote(private: PrivateKey) -> bool:
    """Return whether the private part of this key is elsewhere, so that it cannot be written anywhere."""
    return isinstance(private, _Remote)


class _Remote:
    """What the kinds of keys have in common."""

    def __init__(self, holder: Holder) -> None:
        self._holder = holder

    def __copy__(self) -> Self:
        return self

    def __deepcopy__(self, memo: object) -> Self:
        return self

    def _signed(self, data: Bytes, method: Method, verify: Callable[[bytes, bytes], None]) -> bytes:
        """Return a signature that was verified. Raises: SignatureNotVerified, KeysError."""
        payload = bytes(data)
        signature = self._holder.sign(payload, method)
        try:
            verify(signature, payload)
        except (InvalidSignature, ValueError) as error:
            raise SignatureNotVerified(key=self._holder.described) from error
        return signature

    def private_bytes(self, encoding: object, format: object, encryption_algorithm: object) -> Never:  # noqa: A002
        del encoding, format, encryption_algorithm
        raise self._unfit("it was to be written")

    def private_numbers(self) -> Never:
        raise self._unfit("its numbers were asked for")

    def _unfit(self, what: str) -> SigningFailed:
        return SigningFailed(key=self._holder.described, reason=f"{what}, for which its private part would be needed")


class _RemoteEC(_Remote, ec.EllipticCurvePrivateKey):
    def __init__(self, public: ec.EllipticCurvePublicKey, holder: Holder) -> None:
        super().__init__(holder)
        self._public = public

    @property
    def curve(self) -> ec.EllipticCurve:
        return self._public.curve

    @property
    def key_size(self) -> int:
        return self._public.key_size

    def public_key(self) -> ec.EllipticCurvePublicKey:
        return self._public

    def sign(self, data: Bytes, signature_algorithm: ec.EllipticCurveSignatureAlgorithm) -> bytes:
        algorithm = signature_algorithm.algorithm
        method = f"ecdsa-{algorithm.name}" if isinstance(algorithm, HashAlgorithm) else ""
        if method not in METHODS:
            raise SigningFailed(key=self._holder.described, reason="no such hash is used with its curve")
        return self._signed(
            data,
            method,
            lambda signature, payload: self._public.verify(signature, payload, signature_algorithm),
        )

    def exchange(self, algorithm: object, peer_public_key: object) -> Never:
        del algorithm, peer_public_key
        raise self._unfit("a secret was to be agreed on")


class _RemoteRSA(_Remote, RSAPrivateKey):
    def __init__(self, public: RSAPublicKey, holder: Holder) -> None:
        super().__init__(holder)
        self._public = public

    @property
    def key_size(self) -> int:
        return self._public.key_size

    def public_key(self) -> RSAPublicKey:
        return self._public

    def sign(self, data: Bytes, padding: padding.AsymmetricPadding, algorithm: object) -> bytes:
        methods: dict[str, Method] = {"EMSA-PSS": "rsa-pss-sha256", "EMSA-PKCS1-v1_5": "rsa-pkcs1v15-sha256"}
        if padding.name not in methods or not isinstance(algorithm, SHA256):
            raise SigningFailed(key=self._holder.described, reason="RSA keys sign with SHA-256 here")
        return self._signed(
            data,
            methods[padding.name],
            lambda signature, payload: self._public.verify(signature, payload, padding, algorithm),
        )

    def decrypt(self, ciphertext: bytes, padding: object) -> Never:
        del ciphertext, padding
        raise self._unfit("something was to be decrypted")


class _RemoteEd25519(_Remote, Ed25519PrivateKey):
    def __init__(self, public: Ed25519PublicKey, holder: Holder) -> None:
        super().__init__(holder)
        self._public = public

    def public_key(self) -> Ed25519PublicKey:
        return self._public

    def sign(self, data: Bytes) -> bytes:
        return self._signed(data, "ed25519", self._public.verify)

    def private_bytes_raw(self) -> Never:
        raise self._unfit("it was to be written")
