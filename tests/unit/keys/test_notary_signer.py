"""Signatures as Notary v1's clients make them, under the id that a document gives a key."""

from __future__ import annotations

import base64
from datetime import UTC, datetime

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, SECP384R1
from securesystemslib.exceptions import UnverifiedSignatureError
from securesystemslib.signer import Signature

from keys.algorithms import Algorithm, generate, key_fingerprint
from keys.certificate import root_certificate
from keys.errors import KeyNotAccepted, SigningFailed
from keys.key_info import KeyInfo
from keys.material import tuf_key
from keys.notary import METHOD, NotaryKey, bare_key, notary_key
from keys.notary_signer import NotarySigner
from keys.signers import FileSigner

NOW = datetime(2026, 11, 1, tzinfo=UTC)
METHODS = {
    Algorithm.ECDSA_P256: ("ecdsa", "ecdsa", 64),
    Algorithm.ECDSA_P384: ("ecdsa", "ecdsa", 96),
    Algorithm.ED25519: ("ed25519", "eddsa", 64),
    Algorithm.RSA: ("rsa", "rsapss", 384),
}


def _changed(signature: Signature, **to: str) -> Signature:
    method = to.get("method", signature.unrecognized_fields[METHOD])
    return Signature(signature.keyid, to.get("sig", signature.signature), {METHOD: method})


@pytest.mark.parametrize("algorithm", list(Algorithm))
def test_each_algorithm_signs_in_its_method_and_width(algorithm: Algorithm) -> None:
    signer = NotarySigner(generate(algorithm))
    keytype, method, width = METHODS[algorithm]
    for payload in (b"one", b"another", b""):  # r and s are as wide as the curve, however small they are
        signature = signer.sign(payload)
        assert signature.keyid == signer.public_key.keyid
        assert signature.unrecognized_fields == {METHOD: method}
        assert len(base64.b64decode(signature.signature)) == width
        signer.public_key.verify_signature(signature, payload)
        with pytest.raises(UnverifiedSignatureError):
            signer.public_key.verify_signature(signature, payload + b"!")
    assert signer.public_key.keytype == keytype


@pytest.mark.parametrize("curve", [SECP256R1(), SECP384R1()])
def test_small_numbers_are_filled_up(curve: ec.EllipticCurve) -> None:
    """One signature in 128 has an r or s with a leading zero byte; none may be shorter for it."""
    signer = NotarySigner(ec.generate_private_key(curve))
    widths = {len(base64.b64decode(signer.sign(b"payload").signature)) for _ in range(600)}
    assert widths == {2 * ((curve.key_size + 7) // 8)}


@pytest.mark.parametrize("algorithm", [Algorithm.ECDSA_P256, Algorithm.ECDSA_P384, Algorithm.RSA])
def test_under_a_certificate_the_id_is_another_and_the_key_the_same(algorithm: Algorithm) -> None:
    private = generate(algorithm)
    certificate = root_certificate(private, gun="example.com/a", at=NOW)
    signer = NotarySigner(private, certificate)
    bare = bare_key(private.public_key())
    assert certificate.keytype == f"{bare.keytype}-x509"
    assert signer.sign(b"x").keyid == certificate.keyid != bare.keyid
    assert certificate.canonical_keyid == bare.canonical_keyid == bare.keyid
    assert key_fingerprint(certificate) == key_fingerprint(bare) == key_fingerprint(tuf_key(private))
    certificate.verify_signature(signer.sign(b"x"), b"x")
    assert notary_key(tuf_key(private)).keyid == bare.keyid


def test_a_key_that_is_not_its_own_is_refused() -> None:
    with pytest.raises(ValueError, match="is another key"):
        NotarySigner(generate(), bare_key(generate().public_key()))


def test_rsa_verifies_by_pkcs1_too_and_no_method_stands_for_another() -> None:
    from cryptography.hazmat.primitives.asymmetric import padding, rsa
    from cryptography.hazmat.primitives.hashes import SHA256

    private = rsa.generate_private_key(65537, 2048)
    key = bare_key(private.public_key())
    old = base64.b64encode(private.sign(b"x", padding.PKCS1v15(), SHA256())).decode()
    key.verify_signature(Signature(key.keyid, old, {METHOD: "rsapkcs1v15"}), b"x")
    key.verify_signature(Signature(key.keyid, old, {METHOD: "RSAPKCS1v15"}), b"x")  # lower-cased on reading
    new = NotarySigner(private).sign(b"x")
    for wrong in (
        Signature(key.keyid, old, {METHOD: "rsapss"}),
        _changed(new, method="rsapkcs1v15"),
        _changed(new, method="ecdsa"),
        _changed(new, method=""),
        Signature(key.keyid, new.signature),
        _changed(new, sig="*"),
        _changed(new, sig=""),
        _changed(new, sig=f"{new.signature[:8]}*{new.signature[8:]}"),
        _changed(new, sig=f"{new.signature}\n"),
    ):
        with pytest.raises(UnverifiedSignatureError, match=key.keyid):
            key.verify_signature(wrong, b"x")


@pytest.mark.parametrize("algorithm", [Algorithm.ECDSA_P256, Algorithm.ED25519])
def test_no_method_but_the_key_s_own(algorithm: Algorithm) -> None:
    signer = NotarySigner(generate(algorithm))
    good = signer.sign(b"x")
    signer.public_key.verify_signature(_changed(good, method=METHODS[algorithm][1].upper()), b"x")
    for method in {"ecdsa", "eddsa", "rsapss", "rsapkcs1v15", "hmac"} - {METHODS[algorithm][1]}:
        with pytest.raises(UnverifiedSignatureError):
            signer.public_key.verify_signature(_changed(good, method=method), b"x")


def test_a_signature_of_another_width_is_none() -> None:
    """As DER, or cut, or filled up: the facts say fixed width."""
    private = generate(Algorithm.ECDSA_P256)
    signer = NotarySigner(private)
    raw = base64.b64decode(signer.sign(b"x").signature)
    assert isinstance(private, ec.EllipticCurvePrivateKey)
    from cryptography.hazmat.primitives.hashes import SHA256

    for wrong in (private.sign(b"x", ec.ECDSA(SHA256())), raw[:-1], raw + b"\0", b"\0" + raw, b""):
        signature = Signature(signer.public_key.keyid, base64.b64encode(wrong).decode(), {METHOD: "ecdsa"})
        with pytest.raises(UnverifiedSignatureError):
            signer.public_key.verify_signature(signature, b"x")


def test_a_signer_has_no_uri() -> None:
    key = bare_key(generate().public_key())
    with pytest.raises(SigningFailed, match="no URIs") as caught:
        NotarySigner.from_priv_key_uri("file:x", key)
    assert caught.value.key == key.keyid


# --- a key of the store under a document's id


@pytest.mark.parametrize("algorithm", list(Algorithm))
def test_a_key_of_the_store_signs_under_the_id_of_the_document(algorithm: Algorithm) -> None:
    private = generate(algorithm)
    signer = FileSigner(private, KeyInfo.of(private, purpose="signer", name="alice"))
    assert signer.under(tuf_key(private)) is signer
    bare = bare_key(private.public_key())
    signature = signer.under(bare).sign(b"payload")
    assert signature.keyid == bare.keyid
    bare.verify_signature(signature, b"payload")
    if algorithm is not Algorithm.ED25519:
        certificate = root_certificate(private, gun="example.com/a", at=NOW)
        certificate.verify_signature(signer.under(certificate).sign(b"payload"), b"payload")


def test_but_not_under_the_id_of_another_key() -> None:
    private = generate()
    signer = FileSigner(private, KeyInfo.of(private, purpose="signer", name="alice"))
    with pytest.raises(ValueError, match="is another key"):
        signer.under(bare_key(generate().public_key()))


# --- keys that cannot be read


@pytest.mark.parametrize(
    ("keytype", "public", "reason"),
    [
        ("dsa", "AAAA", "key type 'dsa' is not supported"),
        ("ed25519-x509", "AAAA", "is not supported"),
        ("ecdsa", "A" * 32_769, "longer than 32768 characters"),
        ("ecdsa", "*", "no key that can be read"),
        ("ecdsa", "AAAA", "no key that can be read"),
        ("ed25519", "AAAA", "no key that can be read"),
        ("rsa-x509", "AAAA", "no key that can be read"),
    ],
)
def test_what_is_no_key(keytype: str, public: str, reason: str) -> None:
    key = NotaryKey.of(keytype, public)
    with pytest.raises(KeyNotAccepted, match=reason) as caught:
        key.read()
    assert caught.value.key == key.keyid
    with pytest.raises(UnverifiedSignatureError):
        key.verify_signature(Signature(key.keyid, "AAAA", {METHOD: "ecdsa"}), b"x")


def test_a_key_of_another_type_than_it_says() -> None:
    public = bare_key(generate(Algorithm.ECDSA_P256).public_key()).keyval["public"]
    with pytest.raises(KeyNotAccepted, match="it says rsa but is ecdsa"):
        NotaryKey.of("rsa", public).read()
    p224 = bare_key(ec.generate_private_key(ec.SECP224R1()).public_key())
    with pytest.raises(KeyNotAccepted, match="too weak"):
        key_fingerprint(p224)


def test_a_key_is_read_from_a_document_and_written_again() -> None:
    key = bare_key(generate().public_key())
    assert key.keyval == {"private": None, **_public(key)}
    again = NotaryKey.from_dict(key.keyid, key.to_dict())
    assert again.to_dict() == key.to_dict() == {"keytype": "ecdsa", "keyval": {"private": None, **_public(key)}}


def _public(key: NotaryKey) -> dict[str, str]:
    return {"public": key.keyval["public"]}
