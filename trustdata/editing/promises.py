"""Promises: placeholders for signatures in a plan, which is checked without opening a private key (docs/adr/0019).

A promise is put where a signature will be. It is a keyed hash of key id and payload, with a secret that exists only as
long as the plan. Nobody without the secret can make one. Metadata from outside is read through `Promises.wire` and is
verified as strictly as ever: its genuine signatures count, and besides them only the promises of the same plan.
"""

from __future__ import annotations

import hashlib
import hmac
from typing import Any, Final

from securesystemslib.exceptions import UnverifiedSignatureError
from securesystemslib.signer import SecretsHandler

from keys.algorithms import EncodedKey, PublicKey, public_key_of
from keys.errors import SigningFailed
from keys.notary import METHOD
from trustdata.envelope import Envelope
from trustdata.model import Key, Root, Signature, Signer, Targets
from trustdata.roles import RoleName
from trustdata.wire import WireFormat
from trustdata.wire.plain_targets import PlainPart

_MIN_SECRET_BYTES: Final = 16


class Promises:
    """The promises of one plan. `secret`: fresh random bytes, at least 16, that nobody else knows."""

    def __init__(self, secret: bytes) -> None:
        if len(secret) < _MIN_SECRET_BYTES:
            raise ValueError("a secret that can be guessed would let anybody promise")
        self._secret = secret

    def signer(self, key: Key) -> Signer:
        """Return a signer that makes promises instead of signatures of the key."""
        return _PromisingSigner(key, self)

    def wire(self, wire: WireFormat) -> WireFormat:
        """Return the same format, in which the promises of this plan count as signatures."""
        return _PromisedWire(wire, self)

    def signature(self, keyid: str, payload: bytes) -> Signature:
        """Return the promise for a key id and a payload, in the form of a signature."""
        return Signature(keyid, self._value(keyid, payload))

    def holds(self, signature: Signature, payload: bytes) -> bool:
        """Return whether a signature is a promise of this plan for these bytes."""
        return hmac.compare_digest(signature.signature.encode(), self._value(signature.keyid, payload).encode())

    def _value(self, keyid: str, payload: bytes) -> str:
        return hmac.new(self._secret, keyid.encode() + b"\0" + payload, hashlib.sha256).hexdigest()


class _PromisingSigner(Signer):
    def __init__(self, key: Key, promises: Promises) -> None:
        self._key = key
        self._promises = promises

    @property
    def public_key(self) -> Key:
        return self._key

    def sign(self, payload: bytes) -> Signature:
        promise = self._promises.signature(self._key.keyid, payload)
        if isinstance(self._key, EncodedKey):
            promise.unrecognized_fields[METHOD] = "promised"  # no key of Notary v1 accepts this method
        return promise

    @classmethod
    def from_priv_key_uri(
        cls, priv_key_uri: str, public_key: Key, secrets_handler: SecretsHandler | None = None
    ) -> _PromisingSigner:
        """Refuse to open a key by URI: a promise has no private key. Raises: SigningFailed."""
        del priv_key_uri, secrets_handler
        raise SigningFailed(key=public_key.keyid, reason="a plan holds no private key")


class _PromisedKey(EncodedKey):
    """A public key that verifies genuine signatures and the promises of the plan."""

    def __init__(self, genuine: Key, promises: Promises) -> None:
        super().__init__(
            genuine.keyid, genuine.keytype, genuine.scheme, genuine.keyval, dict(genuine.unrecognized_fields)
        )
        self._genuine = genuine
        self._promises = promises

    @classmethod
    def from_dict(cls, keyid: str, key_dict: dict[str, Any]) -> Key:
        """Refuse to parse a key: it is made from a key that was parsed by its own class. Raises: TypeError."""
        del keyid, key_dict
        raise TypeError("a promised key is made from a key that was read")

    def to_dict(self) -> dict[str, Any]:
        return self._genuine.to_dict()

    def read(self) -> PublicKey:
        """Return the decoded key. Raises: KeyNotAccepted."""
        return public_key_of(self._genuine)

    @property
    def canonical_keyid(self) -> str:
        """The id of the key without its certificate. Raises: KeyNotAccepted."""
        return self._genuine.canonical_keyid if isinstance(self._genuine, EncodedKey) else self.keyid

    def verify_signature(self, signature: Signature, data: bytes) -> None:
        """Check a genuine or promised signature. Raises: UnverifiedSignatureError, VerificationError."""
        if signature.keyid != self.keyid:
            raise UnverifiedSignatureError(f"the signature is not of {self.keyid}")
        if not self._promises.holds(signature, data):
            self._genuine.verify_signature(signature, data)


class _PromisedWire:
    """A `WireFormat` whose parsed files have keys that accept the promises of the plan."""

    def __init__(self, wire: WireFormat, promises: Promises) -> None:
        self._wire = wire
        self._promises = promises
        self.name = wire.name
        self.lists_versions = wire.lists_versions
        self.snapshot_lists_root = wire.snapshot_lists_root
        self.first_root_may_be_later = wire.first_root_may_be_later
        self.releases_are_terminating = wire.releases_are_terminating
        self.delegations_nest = wire.delegations_nest
        self.certifies_root_keys = wire.certifies_root_keys
        self.every_target = wire.every_target
        self.keeps_members = wire.keeps_members
        self.lifetimes = wire.lifetimes
        self.max_life = wire.max_life
        self.upload_rules = wire.upload_rules
        self.encode_key = wire.encode_key
        self.signer = wire.signer
        self.size_limit = wire.size_limit
        self.meta = wire.meta
        self.payload = wire.payload
        self.serialize = wire.serialize
        self.filename = wire.filename
        self.listed_filename = wire.listed_filename

    def parse(self, role: RoleName, raw: bytes, *, plain: PlainPart | None = None) -> Envelope:
        envelope = self._wire.parse(role, raw, plain=plain)
        content = envelope.content  # newly parsed, so it may be changed here
        key_holder = content if isinstance(content, Root) else None
        if isinstance(content, Targets):
            key_holder = content.delegations  # type: ignore[assignment]
        if key_holder is not None:
            key_holder.keys = {keyid: _PromisedKey(key, self._promises) for keyid, key in key_holder.keys.items()}
        return envelope
