"""Private keys that sign elsewhere: they do what others do, and no signature of another key gets through."""

from __future__ import annotations

import base64
import copy
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, padding
from cryptography.hazmat.primitives.asymmetric.ec import ECDH, ECDSA, EllipticCurvePrivateKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.hazmat.primitives.asymmetric.utils import Prehashed
from cryptography.hazmat.primitives.hashes import SHA256, SHA384, SHA512
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from keys.algorithms import Algorithm, PrivateKey, generate
from keys.certificate import certificate_fault, root_certificate
from keys.errors import KeyCommandFailed, SignatureNotVerified, SigningFailed
from keys.key_info import KeyInfo
from keys.notary_signer import NotarySigner
from keys.remote_key import METHODS, Method, is_remote, remote_key
from keys.signers import FileSigner
from keys.uris.proof import proven

AT = datetime(2026, 11, 30, tzinfo=UTC)
_PSS = padding.PSS(mgf=padding.MGF1(SHA256()), salt_length=32)


class Device:
    """Signs with a key in memory, and remembers how it was asked."""

    described = "a device of the tests"

    def __init__(self, private: PrivateKey) -> None:
        self.private: Any = private
        self.asked: list[Method] = []

    def sign(self, payload: bytes, method: Method) -> bytes:
        self.asked.append(method)
        how: dict[Method, Callable[[], bytes]] = {
            "ecdsa-sha256": lambda: self.private.sign(payload, ECDSA(SHA256())),
            "ecdsa-sha384": lambda: self.private.sign(payload, ECDSA(SHA384())),
            "ed25519": lambda: self.private.sign(payload),
            "rsa-pss-sha256": lambda: self.private.sign(payload, _PSS, SHA256()),
            "rsa-pkcs1v15-sha256": lambda: self.private.sign(payload, padding.PKCS1v15(), SHA256()),
        }
        return how[method]()


def made(algorithm: Algorithm) -> tuple[PrivateKey, Device]:
    device = Device(generate(algorithm))
    return remote_key(device.private.public_key(), device), device


@pytest.mark.parametrize("algorithm", list(Algorithm))
def test_signers_of_both_formats_take_it(algorithm: Algorithm) -> None:
    private, device = made(algorithm)
    info = KeyInfo.of(private, purpose="root")
    assert info.algorithm is algorithm
    signer = FileSigner(private, info)
    info.public.verify_signature(signer.sign(b"payload"), b"payload")
    notary = NotarySigner(private)
    notary.public_key.verify_signature(notary.sign(b"payload"), b"payload")
    assert proven(private, private.public_key())
    assert set(device.asked) <= set(METHODS)
    assert len(device.asked) == 3


@pytest.mark.parametrize("algorithm", [a for a in Algorithm if a is not Algorithm.ED25519])
def test_it_certifies_itself_for_notary(algorithm: Algorithm) -> None:
    private, _ = made(algorithm)
    key = root_certificate(private, gun="example.com/app", at=AT)
    assert certificate_fault(key, gun="example.com/app", at=AT) is None
    certificate = x509.load_pem_x509_certificate(base64.b64decode(key.keyval["public"]))
    certificate.verify_directly_issued_by(certificate)


@pytest.mark.parametrize("algorithm", list(Algorithm))
def test_a_signature_of_another_key_is_not_used(algorithm: Algorithm) -> None:
    private, device = made(algorithm)
    device.private = generate(algorithm)
    signer = FileSigner(private, KeyInfo.of(private, purpose="root"))
    with pytest.raises(
        SignatureNotVerified, match="a device of the tests could not sign: what it gave is no signature"
    ):
        signer.sign(b"payload")
    with pytest.raises(SignatureNotVerified):
        NotarySigner(private).sign(b"payload")
    if algorithm is not Algorithm.ED25519:
        with pytest.raises(SignatureNotVerified):
            root_certificate(private, gun="example.com/app", at=AT)


@pytest.mark.parametrize("algorithm", list(Algorithm))
@pytest.mark.parametrize("garbage", [b"", b"\0" * 64, b"x" * 1000])
def test_what_is_no_signature_at_all_is_not_used(algorithm: Algorithm, garbage: bytes) -> None:
    private, device = made(algorithm)
    device.sign = lambda payload, method: garbage  # type: ignore[method-assign]
    with pytest.raises(SignatureNotVerified):
        proven(private, private.public_key())


def test_what_the_holder_says_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    private, device = made(Algorithm.ECDSA_P256)

    def fail(payload: bytes, method: Method) -> bytes:
        raise KeyCommandFailed(command="/bin/x", reason="no device")

    monkeypatch.setattr(device, "sign", fail)
    with pytest.raises(KeyCommandFailed, match="no device"):
        FileSigner(private, KeyInfo.of(private, purpose="root")).sign(b"x")


@pytest.mark.parametrize("algorithm", list(Algorithm))
def test_its_private_part_is_nowhere(algorithm: Algorithm) -> None:
    private, device = made(algorithm)
    uses: dict[Callable[[], object], str] = {
        lambda: private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()): "it was to be written"
    }
    if isinstance(private, EllipticCurvePrivateKey):
        own = ec.generate_private_key(private.curve).public_key()
        uses[private.private_numbers] = "its numbers were asked for"
        uses[lambda: private.exchange(ECDH(), own)] = "a secret was to be agreed on"
        assert private.key_size == device.private.key_size
    elif isinstance(private, RSAPrivateKey):
        uses[private.private_numbers] = "its numbers were asked for"
        uses[lambda: private.decrypt(b"x", padding.PKCS1v15())] = "something was to be decrypted"
        assert private.key_size == 3072
    else:
        uses[private.private_bytes_raw] = "it was to be written"
    for use, what in uses.items():
        with pytest.raises(SigningFailed) as caught:
            use()
        reason = f"{what}, for which its private part would be needed"
        assert caught.value.details() == {"key": "a device of the tests", "reason": reason}
    assert device.asked == []


def test_copies_are_the_same_key() -> None:
    private, _ = made(Algorithm.ECDSA_P256)
    assert copy.copy(private) is copy.deepcopy(private) is private
    assert is_remote(private)
    assert not is_remote(generate())


def test_other_hashes_and_paddings_are_refused_before_the_device_is_asked() -> None:
    private, device = made(Algorithm.ECDSA_P256)
    assert isinstance(private, EllipticCurvePrivateKey)
    for algorithm in (ECDSA(SHA512()), ECDSA(Prehashed(SHA256()))):
        with pytest.raises(SigningFailed, match="no such hash") as caught:
            private.sign(b"x", algorithm)
        assert caught.value.key == "a device of the tests"
    other, device_of_rsa = made(Algorithm.RSA)
    assert isinstance(other, RSAPrivateKey)
    with pytest.raises(SigningFailed, match="RSA keys sign with SHA-256 here") as caught:
        other.sign(b"x", _PSS, SHA512())
    assert caught.value.key == "a device of the tests"
    oaep = padding.OAEP(mgf=padding.MGF1(SHA256()), algorithm=SHA256(), label=None)
    with pytest.raises(SigningFailed):
        other.sign(b"x", oaep, SHA256())
    assert device.asked == device_of_rsa.asked == []


def test_a_proof_is_for_a_key_of_the_same_kind() -> None:
    ecdsa, rsa, ed = generate(), generate(Algorithm.RSA), generate(Algorithm.ED25519)
    for one, other in ((ecdsa, rsa), (rsa, ed), (ed, ecdsa), (ecdsa, generate()), (ed, generate(Algorithm.ED25519))):
        assert not proven(one, other.public_key())
