"""What keys in all services have in common: found by URI, fit to sign here, and asked for signatures over digests."""

from __future__ import annotations

import hashlib
from abc import ABC, abstractmethod
from typing import Final, Literal

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.serialization import load_der_public_key, load_pem_public_key

from keys.algorithms import Algorithm, PrivateKey, PublicKey, algorithm_of, is_public_key
from keys.errors import KeyNotAccepted, KeyUriMalformed
from keys.key_info import Purpose
from keys.kms.asking import Patience, asked
from keys.kms.errors import KeyServiceAnswerWrong, KeyServiceKeyUnfit
from keys.passphrase import PassphraseProvider
from keys.record import record
from keys.remote_key import Method, remote_key
from keys.uris.kinds import FoundKey
from keys.uris.uri import shown_uri

Kind = Literal["p256", "p384", "ed25519", "rsa"]
_KINDS: Final[dict[Algorithm, Kind]] = {
    Algorithm.ECDSA_P256: "p256",
    Algorithm.ECDSA_P384: "p384",
    Algorithm.ED25519: "ed25519",
    Algorithm.RSA: "rsa",
}
_HASHES: Final = {"ecdsa-sha384": hashlib.sha384}
_BYTES: Final = {"p256": 32, "p384": 48}


@record
class ToSign:
    """What a service is asked to sign. `kind`: of the key. `digest`: for all but Ed25519, which signs the payload."""

    kind: Kind
    method: Method
    payload: bytes
    digest: bytes


class ServiceKey(ABC):
    """One key in one service. `service` and `name`: for messages."""

    service: str
    name: str

    @abstractmethod
    def find(self) -> FoundKey:
        """Return the public half, and the URI of exactly this version. Raises: KeysError."""

    @abstractmethod
    def sign(self, what: ToSign) -> bytes:
        """Return a signature; of ECDSA in DER. Raises: KeysError."""

    def unfit(self, reason: str) -> KeyServiceKeyUnfit:
        """Return the error for a key that cannot sign here."""
        return KeyServiceKeyUnfit(service=self.service, key=self.name, reason=reason)

    def wrong(self, reason: str) -> KeyServiceAnswerWrong:
        """Return the error for an answer that is none."""
        return KeyServiceAnswerWrong(service=self.service, key=self.name, reason=reason)

    def public_in(self, content: bytes) -> PublicKey:
        """Read a public key in DER or PEM. Raises: KeyServiceKeyUnfit, KeyServiceAnswerWrong."""
        load = load_pem_public_key if content.lstrip().startswith(b"-----") else load_der_public_key
        try:
            key = load(content)
        except UnsupportedAlgorithm as error:
            raise self.unfit("it is of a kind that is not known here") from error
        except ValueError as error:
            raise self.wrong("the public key in its answer cannot be read") from error
        return self.accepted(key)

    def accepted(self, key: object) -> PublicKey:
        """Return a public key of a kind that signs here. Raises: KeyServiceKeyUnfit."""
        try:
            algorithm_of(key, named=self.name)
        except KeyNotAccepted as error:
            raise self.unfit(f"it is not used here: {error.reason}") from error
        assert is_public_key(key)  # noqa: S101 - it is of a kind that has an algorithm
        return key


class ServiceKeys(ABC):
    """A kind of key URIs whose keys are in a service (`keys.uris.kinds.KeyKind`). Only tests set `patience`."""

    made_with: str
    """With what a key is made there."""

    def __init__(self, patience: Patience | None = None) -> None:
        self._patience = patience or Patience()

    @abstractmethod
    def key(self, uri: str) -> ServiceKey:
        """Return the key that a URI names; nobody is asked. Raises: KeyUriMalformed."""

    def check(self, uri: str) -> None:
        """Check that the URI names a key. Raises: KeyUriMalformed."""
        self.key(uri)

    def find(self, uri: str, passphrases: PassphraseProvider, purpose: Purpose) -> FoundKey:
        """Ask the service for the public key. Raises: KeyUriMalformed, KeySupportMissing, KeyServiceError."""
        del passphrases, purpose
        key = self.key(uri)
        return asked(key.find, self._patience, service=key.service, key=key.name)

    def open(self, uri: str, public: PublicKey, passphrases: PassphraseProvider, purpose: Purpose) -> PrivateKey:
        """Return a private key that the service signs for. It is not asked yet. Raises: KeyUriMalformed."""
        del passphrases, purpose
        return remote_key(public, _Holder(self.key(uri), public, self._patience))

    def make(
        self, uri: str, algorithm: Algorithm, name: str, passphrases: PassphraseProvider, purpose: Purpose
    ) -> FoundKey:
        """Refuse to make a key: who may use one there, is decided where it is made. Raises: KeyUriMalformed."""
        del algorithm, name, passphrases, purpose
        reason = f"keys are made there with {self.made_with}, which says who may use them; then: trust key import URI"
        raise KeyUriMalformed(uri=shown_uri(uri), reason=reason)


class _Holder:
    """A key in a service that signs (`keys.remote_key.Holder`)."""

    def __init__(self, key: ServiceKey, public: PublicKey, patience: Patience) -> None:
        self._key = key
        self._kind = _KINDS[algorithm_of(public, named=key.name)]
        self._patience = patience

    @property
    def described(self) -> str:
        """The key in messages."""
        return f"{self._key.name} in {self._key.service}"

    def sign(self, payload: bytes, method: Method) -> bytes:
        """Have the service sign. Raises: KeySupportMissing, KeyServiceError."""
        what = ToSign(kind=self._kind, method=method, payload=payload, digest=_digest(payload, method, self._kind))
        return asked(lambda: self._key.sign(what), self._patience, service=self._key.service, key=self._key.name)


def _digest(payload: bytes, method: Method, kind: Kind) -> bytes:
    """Return what is signed of the payload, in the length that services demand for the curve of the key.

    ECDSA takes a digest as a number of as many bits as the curve has, from the left (FIPS 186-5, 6.4.1). So a longer
    digest may be cut, and a shorter one gets zeros before it, and the signature is the same: Notary v1 uses SHA-256
    with P-384, where services sign digests of 48 bytes alone.
    """
    digest = _HASHES.get(method, hashlib.sha256)(payload).digest()
    return digest if kind not in _BYTES else digest[: _BYTES[kind]].rjust(_BYTES[kind], b"\0")
