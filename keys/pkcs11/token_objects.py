"""Keys on a token: finding them, reading their public halves, making them. Called with the lock of `library` held."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, Protocol, cast

from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePublicKey
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from keys.algorithms import RSA_GENERATED_BITS, Algorithm, PublicKey
from keys.errors import KeyAmbiguous, KeyExists, KeyNotOnToken, TokenKeyUnfit
from keys.pkcs11.pkcs11_uri import Pkcs11Uri
from keys.pkcs11.public_objects import (
    EDWARDS25519,
    P256,
    P384,
    certified_public_key,
    ec_public_key,
    rsa_public_key,
)
from keys.pkcs11.token_facts import TokenFacts
from keys.record import replace

if TYPE_CHECKING:
    import pkcs11

_PARAMETERS: Final = {
    Algorithm.ECDSA_P256: P256,
    Algorithm.ECDSA_P384: P384,
    Algorithm.ED25519: EDWARDS25519,
}


class TokenObject(Protocol):
    """An object on a token, as python-pkcs11 gives it; a private key signs."""

    def __getitem__(self, attribute: pkcs11.Attribute) -> Any:
        """Return an attribute, as its type is in Python."""

    def sign(
        self,
        data: bytes,
        *,
        mechanism: pkcs11.Mechanism | None = None,
        mechanism_param: object = None,
        pin: str | None = None,
    ) -> bytes:
        """Sign the bytes."""


def private_object(session: pkcs11.Session, uri: Pkcs11Uri, facts: TokenFacts) -> TokenObject:
    """Return the private key that the URI means. Raises: KeyNotOnToken, KeyAmbiguous, TokenKeyUnfit (may not sign)."""
    from pkcs11 import Attribute, ObjectClass

    found = objects(session, ObjectClass.PRIVATE_KEY, uri)
    if not found:
        raise KeyNotOnToken(key=uri.described_key, token=facts.described)
    if len(found) > 1:
        candidates = tuple(sorted(described(each) for each in found))
        raise KeyAmbiguous(key=f"{uri.described_key} on {facts.described}", candidates=candidates)
    if not attribute(found[0], Attribute.SIGN):
        raise TokenKeyUnfit(token=facts.described, reason=f"{described(found[0])} may not sign, says the token")
    return found[0]


def wants_pin_each_time(key: TokenObject) -> bool:
    """Return whether the token wants the PIN at each signature of this key, as slot 9c of PIV does."""
    from pkcs11 import Attribute

    return bool(attribute(key, Attribute.ALWAYS_AUTHENTICATE))


def exact_uri(key: TokenObject, uri: Pkcs11Uri, facts: TokenFacts) -> Pkcs11Uri:
    """Return the URI by which exactly this key is found again: with the serial number of its token, and its id."""
    from pkcs11 import Attribute

    label, keyid = attribute(key, Attribute.LABEL), attribute(key, Attribute.ID)
    return replace(
        uri,
        token=facts.label,
        serial=facts.serial,
        manufacturer=None,
        model=None,
        object=label or None,
        id=keyid or None,
    )


def public_half(session: pkcs11.Session, key: TokenObject, facts: TokenFacts) -> PublicKey:
    """Return the public key of a private one: of itself, of the public key beside it, or of its certificate.

    Raises: KeyNotOnToken (there is none), TokenKeyUnfit (of a kind that is not used here).
    """
    from pkcs11 import Attribute, KeyType, ObjectClass

    kind = attribute(key, Attribute.KEY_TYPE)
    if kind not in {KeyType.RSA, KeyType.EC, KeyType.EC_EDWARDS}:
        raise TokenKeyUnfit(token=facts.described, reason=f"{described(key)} is neither ECDSA, Ed25519 nor RSA")
    try:
        modulus = attribute(key, Attribute.MODULUS)
        exponent = attribute(key, Attribute.PUBLIC_EXPONENT)
        if kind == KeyType.RSA and modulus and exponent:
            return rsa_public_key(modulus, exponent)
        beside = _beside(key)
        for each in objects(session, ObjectClass.PUBLIC_KEY, beside) if beside.names_key else ():
            found = _public(each)
            if found is not None:
                return found
        for each in objects(session, ObjectClass.CERTIFICATE, beside) if beside.names_key else ():
            found = certified_public_key(attribute(each, Attribute.VALUE))
            if found is not None:
                return found
    except (ValueError, TypeError) as error:
        reason = f"the public half of {described(key)} cannot be read"
        raise TokenKeyUnfit(token=facts.described, reason=reason) from error
    raise KeyNotOnToken(key=f"public key or certificate beside {described(key)}", token=facts.described)


def make_key(session: pkcs11.Session, algorithm: Algorithm, uri: Pkcs11Uri, facts: TokenFacts) -> TokenObject:
    """Make a key on the token which never leaves it, under the name and id of the URI; return the private key.

    `session`: one that may write. Raises: KeyExists, if the token has a key of this name, or of this id.
    """
    from pkcs11 import Attribute, KeyType, MechanismFlag, ObjectClass

    for kind in (ObjectClass.PRIVATE_KEY, ObjectClass.PUBLIC_KEY):
        for one in (Pkcs11Uri(module="", object=uri.object), Pkcs11Uri(module="", id=uri.id)):
            if one.names_key and objects(session, kind, one):
                raise KeyExists(key=f"a {one.described_key}", place=facts.described)
    wanted: dict[str, Any] = {
        "id": uri.id,
        "label": uri.object,
        "store": True,
        "capabilities": MechanismFlag.SIGN | MechanismFlag.VERIFY,
        "private_template": {Attribute.SENSITIVE: True, Attribute.EXTRACTABLE: False},
    }
    if algorithm is Algorithm.RSA:
        return cast("TokenObject", session.generate_keypair(KeyType.RSA, RSA_GENERATED_BITS, **wanted)[1])
    kind_of_key = KeyType.EC_EDWARDS if algorithm is Algorithm.ED25519 else KeyType.EC
    parameters = {Attribute.EC_PARAMS: _PARAMETERS[algorithm]}
    domain = session.create_domain_parameters(kind_of_key, parameters, local=True)
    return cast("TokenObject", domain.generate_keypair(**wanted)[1])


def fits_public(key: TokenObject, public: PublicKey) -> bool:
    """Return whether a private key on a token is of the kind of this public key."""
    from pkcs11 import Attribute, KeyType

    wanted = KeyType.RSA
    if isinstance(public, EllipticCurvePublicKey):
        wanted = KeyType.EC
    elif isinstance(public, Ed25519PublicKey):
        wanted = KeyType.EC_EDWARDS
    return bool(attribute(key, Attribute.KEY_TYPE) == wanted)


def _beside(key: TokenObject) -> Pkcs11Uri:
    """Return by what the public key and the certificate of a private key are found: its id, else its label."""
    from pkcs11 import Attribute

    keyid = attribute(key, Attribute.ID) or None
    return Pkcs11Uri(module="", id=keyid, object=None if keyid else attribute(key, Attribute.LABEL) or None)


def _public(key: TokenObject) -> PublicKey | None:
    from pkcs11 import Attribute, KeyType

    if attribute(key, Attribute.KEY_TYPE) == KeyType.RSA:
        return rsa_public_key(attribute(key, Attribute.MODULUS), attribute(key, Attribute.PUBLIC_EXPONENT))
    return ec_public_key(attribute(key, Attribute.EC_PARAMS), attribute(key, Attribute.EC_POINT))


def objects(session: pkcs11.Session, kind: pkcs11.ObjectClass, uri: Pkcs11Uri) -> list[TokenObject]:
    from pkcs11 import Attribute

    wanted: dict[pkcs11.Attribute, Any] = {Attribute.CLASS: kind}
    if uri.object is not None:
        wanted[Attribute.LABEL] = uri.object
    if uri.id is not None:
        wanted[Attribute.ID] = uri.id
    return cast("list[TokenObject]", list(session.get_objects(wanted)))


def attribute(key: TokenObject, kind: pkcs11.Attribute) -> Any:
    """Return an attribute, None if the object has none of the kind or does not show it."""
    from pkcs11.exceptions import AttributeSensitive, AttributeTypeInvalid, FunctionFailed

    try:
        return key[kind]
    except (AttributeTypeInvalid, AttributeSensitive, FunctionFailed):
        return None


def described(key: TokenObject) -> str:
    from pkcs11 import Attribute

    label, keyid = attribute(key, Attribute.LABEL), attribute(key, Attribute.ID)
    return Pkcs11Uri(module="", object=label or None, id=keyid or None).described_key
