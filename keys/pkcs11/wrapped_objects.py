"""Private keys that leave a token only wrapped: encrypted there with a key that never leaves it.

Called with the lock of `library` held. A private key is made on the token for this session alone, is wrapped, and is
destroyed. It signs after it was unwrapped, in the token again.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, Protocol, cast

from keys.errors import KeyAmbiguous, KeyNotOnToken, TokenKeyUnfit
from keys.pkcs11.pkcs11_uri import Pkcs11Uri
from keys.pkcs11.public_objects import P256, ec_public_key
from keys.pkcs11.token_facts import TokenFacts
from keys.pkcs11.token_objects import TokenObject, attribute, described, objects

if TYPE_CHECKING:
    import pkcs11
    from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePublicKey

_WRAPPING_BITS: Final = 256


class HeldKey(TokenObject, Protocol):
    """A private key that is on a token for the time of a session."""

    def destroy(self) -> None:
        """Take it off the token."""


class WrappingKey(TokenObject, Protocol):
    """A secret key on a token that wraps and unwraps others, as python-pkcs11 gives it."""

    def wrap_key(self, key: TokenObject, *, mechanism: pkcs11.Mechanism) -> bytes:
        """Return another key, encrypted with this one."""

    def unwrap_key(
        self,
        object_class: pkcs11.ObjectClass,
        key_type: pkcs11.KeyType,
        key_data: bytes,
        *,
        mechanism: pkcs11.Mechanism,
        capabilities: pkcs11.MechanismFlag,
        template: dict[pkcs11.Attribute, Any],
    ) -> HeldKey:
        """Make a key of the token of what this one has wrapped."""


def wrapping_key(session: pkcs11.Session, uri: Pkcs11Uri, facts: TokenFacts) -> WrappingKey:
    """Return the secret key that the URI means.

    Raises: KeyNotOnToken, KeyAmbiguous; TokenKeyUnfit, if it is no AES key, may not wrap, or could leave the token.
    """
    from pkcs11 import Attribute, KeyType, ObjectClass

    found = objects(session, ObjectClass.SECRET_KEY, uri)
    if not found:
        raise KeyNotOnToken(key=f"secret {uri.described_key}", token=facts.described)
    if len(found) > 1:
        candidates = tuple(sorted(described(each) for each in found))
        raise KeyAmbiguous(key=f"secret {uri.described_key} on {facts.described}", candidates=candidates)
    key = found[0]
    faults = (
        ("is no AES key", attribute(key, Attribute.KEY_TYPE) != KeyType.AES),
        ("may not wrap and unwrap", not (attribute(key, Attribute.WRAP) and attribute(key, Attribute.UNWRAP))),
        ("can be taken off the token", attribute(key, Attribute.EXTRACTABLE) is not False),
    )
    for fault, is_there in faults:
        if is_there:
            reason = f"the {described(key)} {fault}: no keys are wrapped with it"
            raise TokenKeyUnfit(token=facts.described, reason=reason)
    return cast("WrappingKey", key)


def still_there(wrapping: WrappingKey) -> None:
    """Ask the token for an attribute of the wrapping key, which it must have for that; else it raises its error."""
    from pkcs11 import Attribute

    wrapping[Attribute.EXTRACTABLE]


def make_wrapping_key(session: pkcs11.Session, uri: Pkcs11Uri) -> None:
    """Make the secret key of the URI, an AES key that never leaves the token. `session`: one that may write."""
    from pkcs11 import Attribute, KeyType, MechanismFlag

    session.generate_key(
        KeyType.AES,
        _WRAPPING_BITS,
        id=uri.id,
        label=uri.object,
        store=True,
        capabilities=MechanismFlag.WRAP | MechanismFlag.UNWRAP,
        template={Attribute.SENSITIVE: True, Attribute.EXTRACTABLE: False},
    )


def make_wrapped(
    session: pkcs11.Session, wrapping: WrappingKey, facts: TokenFacts
) -> tuple[EllipticCurvePublicKey, bytes]:
    """Make a P-256 key on the token; return its public half and the private one, wrapped. Raises: TokenKeyUnfit."""
    from pkcs11 import Attribute, KeyType, Mechanism, MechanismFlag

    domain = session.create_domain_parameters(KeyType.EC, {Attribute.EC_PARAMS: P256}, local=True)
    public, private = domain.generate_keypair(
        store=False,
        capabilities=MechanismFlag.SIGN | MechanismFlag.VERIFY,
        private_template={Attribute.SENSITIVE: True, Attribute.EXTRACTABLE: True},
    )
    try:
        wrapped = wrapping.wrap_key(cast("TokenObject", private), mechanism=Mechanism.AES_KEY_WRAP_PAD)
        point = ec_public_key(P256, attribute(cast("TokenObject", public), Attribute.EC_POINT))
    except (ValueError, TypeError) as error:
        reason = "it does not show the public half of a key that it has made"
        raise TokenKeyUnfit(token=facts.described, reason=reason) from error
    finally:
        private.destroy()
        public.destroy()
    return cast("EllipticCurvePublicKey", point), wrapped


def unwrapped(wrapping: WrappingKey, wrapped: bytes) -> HeldKey:
    """Return a private key that was wrapped, as a key of the token for the time of the session, which only signs."""
    from pkcs11 import Attribute, KeyType, Mechanism, MechanismFlag, ObjectClass
    from pkcs11.constants import DEFAULT

    return wrapping.unwrap_key(
        ObjectClass.PRIVATE_KEY,
        KeyType.EC,
        wrapped,
        mechanism=Mechanism.AES_KEY_WRAP_PAD,
        capabilities=MechanismFlag.SIGN,
        # What is no attribute of a private key is left out: SoftHSM refuses even to be told that it is not set.
        template={
            Attribute.SENSITIVE: True,
            Attribute.EXTRACTABLE: False,
            Attribute.ENCRYPT: DEFAULT,
            Attribute.VERIFY: DEFAULT,
            Attribute.WRAP: DEFAULT,
        },
    )
