"""Vectors that the Go programs of Notary v1 have written: canonical JSON, key ids, certificates, signatures."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.hazmat.primitives.hashes import SHA256
from securesystemslib.exceptions import UnverifiedSignatureError
from securesystemslib.signer import Signature

from keys.algorithms import key_fingerprint
from keys.errors import KeyNotAccepted
from keys.notary import METHOD, NotaryKey, bare_key
from trustdata.errors import MalformedMetadata
from trustdata.roles import TARGETS
from trustdata.wire import canonical_json, strict_json

FOLDER = Path(__file__).with_name("notary_v1")
CANONICAL: list[dict[str, Any]] = json.loads((FOLDER / "canonical.json").read_text())
KEYS: list[dict[str, Any]] = json.loads((FOLDER / "keys.json").read_text())
# Where Go rounds, overflows, or lets the last of two win, nobody should sign anything.
REFUSED = {"1.0", "1e3", "-0", "1.5", "1e400", "9007199254740993", "12345678901234567890", r'"\ud800"'}


@pytest.mark.parametrize("vector", CANONICAL, ids=lambda vector: ascii(vector["in"]))
def test_canonical_form_is_go_s_or_the_input_is_refused(vector: dict[str, Any]) -> None:
    raw = vector["in"].encode()
    if vector["in"].removeprefix('{"a":').removesuffix("}") in REFUSED or vector["in"].count('"a"') > 1:
        with pytest.raises(MalformedMetadata):
            strict_json.parse(TARGETS, raw)
    else:
        assert canonical_json.encode(strict_json.parse(TARGETS, raw).value).hex() == vector["out_hex"]


def bare(vector: dict[str, Any]) -> NotaryKey:
    return NotaryKey.of(vector["Alg"], vector["PublicB64"])


def signature(vector: dict[str, Any], **changed: str) -> Signature:
    sig = vector["Sig"] | changed
    return Signature(vector["KeyID"], sig["SignatureB64"], {METHOD: sig["Method"]})


def algorithm(vector: dict[str, Any]) -> str:
    return str(vector["Alg"])


CERTIFIED = [vector for vector in KEYS if vector.get("X509")]


def test_notary_makes_no_certificates_of_ed25519_keys() -> None:
    assert [vector["Alg"] for vector in KEYS if vector not in CERTIFIED] == ["ed25519"]


@pytest.mark.parametrize("vector", CERTIFIED, ids=algorithm)
def test_certificate(vector: dict[str, Any]) -> None:
    pem = base64.b64encode(vector["X509"]["PEM"].encode()).decode()
    certified = NotaryKey.of(f"{vector['Alg']}-x509", pem)
    assert certified.keyid == vector["X509"]["KeyIDInMetadata"]
    assert certified.canonical_keyid == vector["X509"]["CanonicalKeyID"] == vector["KeyID"]
    assert canonical_json.to_json(certified.to_dict()).decode() == vector["X509"]["TUFKeyCanonical"]
    certified.verify_signature(signature(vector), vector["Sig"]["Message"].encode())


@pytest.mark.parametrize("vector", KEYS, ids=algorithm)
class TestKeys:
    def test_key_id_and_document(self, vector: dict[str, Any]) -> None:
        key = bare(vector)
        assert key.keyid == key.canonical_keyid == vector["KeyID"]
        assert canonical_json.to_json(key.to_dict()).decode() == vector["TUFKeyJSON"]
        assert NotaryKey.from_dict(key.keyid, key.to_dict()) == key

    def test_signature(self, vector: dict[str, Any]) -> None:
        message = vector["Sig"]["Message"].encode()
        bare(vector).verify_signature(signature(vector), message)
        bare(vector).verify_signature(signature(vector, Method=vector["Sig"]["Method"].upper()), message)
        wrong = bytearray(base64.b64decode(vector["Sig"]["SignatureB64"]))
        wrong[-1] ^= 1
        for false, text in (
            (signature(vector), message + b" "),
            (signature(vector, SignatureB64=base64.b64encode(wrong).decode()), message),
            (signature(vector, SignatureB64=vector["Sig"]["SignatureB64"][4:]), message),
            (signature(vector, SignatureB64="!"), message),
            (signature(vector, SignatureB64=""), message),
            *((signature(vector, Method=method), message) for method in self.other_methods(vector)),
        ):
            with pytest.raises(UnverifiedSignatureError):
                bare(vector).verify_signature(false, text)

    @staticmethod
    def other_methods(vector: dict[str, Any]) -> set[str]:
        return {"ecdsa", "rsapss", "rsapkcs1v15", "eddsa", "", "pyca", "none"} - {vector["Sig"]["Method"]}

    def test_one_key_has_one_mark_however_it_is_written(self, vector: dict[str, Any]) -> None:
        key = bare(vector)
        assert bare_key(key.read()) == key
        marks = {key_fingerprint(key)}
        if vector.get("X509"):
            pem = base64.b64encode(vector["X509"]["PEM"].encode()).decode()
            marks.add(key_fingerprint(NotaryKey.of(f"{vector['Alg']}-x509", pem)))
        assert len(marks) == 1
        assert marks.isdisjoint(key_fingerprint(bare(other)) for other in KEYS if other is not vector)

    def test_a_key_that_is_another_than_it_says_is_not_accepted(self, vector: dict[str, Any]) -> None:
        for keytype in {"ecdsa", "rsa", "ed25519", "ecdsa-x509", "rsa-x509", "dsa"} - {vector["Alg"]}:
            with pytest.raises(KeyNotAccepted) as caught:
                NotaryKey.of(keytype, vector["PublicB64"]).read()
            assert caught.value.key == NotaryKey.of(keytype, vector["PublicB64"]).keyid
        for public in ("", "!", vector["PublicB64"][:-8], "A" * 40_000):
            with pytest.raises(KeyNotAccepted):
                NotaryKey.of(vector["Alg"], public).read()


def test_an_ecdsa_signature_has_the_width_of_its_curve() -> None:
    vector = next(vector for vector in KEYS if vector["Alg"] == "ecdsa")
    raw = base64.b64decode(vector["Sig"]["SignatureB64"])
    wide = base64.b64encode(raw[:32] + b"\0" + raw[32:]).decode()
    with pytest.raises(UnverifiedSignatureError):
        bare(vector).verify_signature(signature(vector, SignatureB64=wide), vector["Sig"]["Message"].encode())


@pytest.mark.parametrize(("salt", "good"), [(32, True), (20, False), (222, False)])
def test_an_rsa_signature_has_a_salt_of_32_bytes(salt: int, *, good: bool) -> None:
    private = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    signed = private.sign(b"x", padding.PSS(mgf=padding.MGF1(SHA256()), salt_length=salt), SHA256())
    key = bare_key(private.public_key())
    made = Signature(key.keyid, base64.b64encode(signed).decode(), {METHOD: "rsapss"})
    if good:
        key.verify_signature(made, b"x")
    else:
        with pytest.raises(UnverifiedSignatureError):
            key.verify_signature(made, b"x")
