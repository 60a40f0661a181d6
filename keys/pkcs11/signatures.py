"""How keys on tokens sign, by each method of `keys.remote_key`. Called with the lock of `library` held."""

from __future__ import annotations

import hashlib
from typing import Final

from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature

from keys.pkcs11.token_objects import TokenObject
from keys.remote_key import Method

_ECDSA_HASHES: Final = {"ecdsa-sha256": hashlib.sha256, "ecdsa-sha384": hashlib.sha384}
_SALT_BYTES: Final = 32


def signature(key: TokenObject, payload: bytes, method: Method, pin: str | None) -> bytes:
    """Have a key of a token sign by a method. `pin`: for a key that wants it at each signature."""
    from pkcs11 import MGF, Mechanism

    if method in _ECDSA_HASHES:
        digest = _ECDSA_HASHES[method](payload).digest()
        raw = key.sign(digest, mechanism=Mechanism.ECDSA, pin=pin)
        half = len(raw) // 2
        return encode_dss_signature(int.from_bytes(raw[:half]), int.from_bytes(raw[half:]))
    if method == "rsa-pss-sha256":
        parameters = (Mechanism.SHA256, MGF.SHA256, _SALT_BYTES)
        return key.sign(payload, mechanism=Mechanism.SHA256_RSA_PKCS_PSS, mechanism_param=parameters, pin=pin)
    if method == "rsa-pkcs1v15-sha256":
        return key.sign(payload, mechanism=Mechanism.SHA256_RSA_PKCS, pin=pin)
    return key.sign(payload, mechanism=Mechanism.EDDSA, pin=pin)
