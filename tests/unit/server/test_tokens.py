"""Which tokens are good: genuine, for us, of now; and what they allow."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from joserfc.jwk import ECKey, OctKey, RSAKey

from tests.simulator.token_issuer import (
    ISSUER,
    SERVICE,
    Certified,
    access,
    authority,
    certify,
    claims,
    p256,
    token,
    x5c,
)
from tests.support.server_owner import NOW
from trustserver.auth.accepted_keys import ALGORITHMS
from trustserver.auth.json_web_token import MAX_TOKEN
from trustserver.auth.token_chain import MAX_CHAIN
from trustserver.auth.token_keys import MAX_FILE, TokenKeys, libtrust_id, load_keys
from trustserver.auth.tokens import LEEWAY, TokenVerifier
from trustserver.errors import StartRefused, TokenRefused

ISSUED = certify(NOW)
KID = libtrust_id(ISSUED.key.public_key())
PULL = access("reg.example/app", "pull")


def verifier(*trusted: Certified) -> TokenVerifier:
    keys = TokenKeys([certified.certificate for certified in trusted or (ISSUED,)])
    return TokenVerifier(keys, issuer=ISSUER, service=SERVICE)


def refusal(bearer: str | bytes, *trusted: Certified, seconds: float = 0) -> str:
    raw = bearer.encode() if isinstance(bearer, str) else bearer
    with pytest.raises(TokenRefused) as refused:
        verifier(*trusted).verify(raw, NOW + timedelta(seconds=seconds))
    return refused.value.reason


# --- keys that are known


@pytest.mark.parametrize(
    ("make", "alg"),
    [
        *((lambda: rsa.generate_private_key(65537, 2048), alg) for alg in ("RS256", "RS384", "RS512")),
        *((lambda: rsa.generate_private_key(65537, 2048), alg) for alg in ("PS256", "PS384", "PS512")),
        (p256, "ES256"),
        (lambda: ec.generate_private_key(ec.SECP384R1()), "ES384"),
        (lambda: ec.generate_private_key(ec.SECP521R1()), "ES512"),
        (ed25519.Ed25519PrivateKey.generate, "EdDSA"),
        (ed25519.Ed25519PrivateKey.generate, "Ed25519"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_every_algorithm_with_a_key_pair(make: Callable[[], Any], alg: str) -> None:
    signer = certify(NOW, key=make())
    kid = libtrust_id(signer.key.public_key())
    for header in ({"kid": kid}, x5c(signer)):
        grant = verifier(signer).verify(token(signer.key, claims(NOW, PULL), alg=alg, **header).encode(), NOW)
        assert grant.allows("repository", "reg.example/app", ("pull",))
        assert grant.subject == "alice"


def test_the_algorithms_are_those_with_key_pairs() -> None:
    assert "none" not in ALGORITHMS
    assert not [name for name in ALGORITHMS if name.startswith("HS")]


def test_libtrust_s_fingerprint() -> None:
    """Twelve groups of four, base32 of the first 240 bits of the SHA-256 of the public key's DER."""
    der = ISSUED.key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    digest = base64.b32decode(KID.replace(":", ""))
    assert digest == hashlib.sha256(der).digest()[:30]
    assert [len(group) for group in KID.split(":")] == [4] * 12


def test_a_thumbprint_names_a_certificate_s_key() -> None:
    thumbprint = ECKey.import_key(
        ISSUED.key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    ).thumbprint()
    verifier().verify(token(ISSUED.key, claims(NOW), kid=thumbprint).encode(), NOW)


def test_chains_up_to_a_known_authority() -> None:
    root = authority(NOW, name="root")
    middle = authority(NOW, name="middle", issuer=root)
    leaf = certify(NOW, issuer=middle)
    verifier(root).verify(token(leaf.key, claims(NOW), **x5c(leaf, middle)).encode(), NOW)
    direct = certify(NOW, issuer=root)
    verifier(root).verify(token(direct.key, claims(NOW), **x5c(direct)).encode(), NOW)


def test_the_end_of_a_certificate_ends_what_its_token_allows() -> None:
    short = certify(NOW, days=1 / 1440)
    for header in ({"kid": libtrust_id(short.key.public_key())}, x5c(short)):
        grant = verifier(short).verify(token(short.key, claims(NOW), **header).encode(), NOW)
        assert grant.until == (NOW + timedelta(minutes=1)).timestamp()
    assert "has expired" in refusal(token(short.key, claims(NOW), **x5c(short)), short, seconds=61)
    by_kid = token(short.key, claims(NOW), kid=libtrust_id(short.key.public_key()))
    assert "has expired" in refusal(by_kid, short, seconds=61)


def test_a_certificate_is_of_no_use_before_its_time() -> None:
    for header in ({"kid": KID}, x5c(ISSUED)):
        early = NOW - timedelta(days=2)
        assert "expired" in refusal(token(ISSUED.key, claims(early), **header), seconds=-2 * 86400)


def test_of_two_certificates_of_one_key_the_valid_one_counts() -> None:
    key = p256()
    old, new = certify(NOW - timedelta(days=60), key=key), certify(NOW, key=key)
    bearer = token(key, claims(NOW), kid=libtrust_id(key.public_key())).encode()
    verifier(old, new).verify(bearer, NOW)
    with pytest.raises(TokenRefused):
        verifier(old).verify(bearer, NOW)


# --- keys that are not


def _chain_of_a_leaf() -> str:
    leaf = certify(NOW, name="leaf", issuer=ISSUED_BY)
    return _by(leaf, leaf)


ISSUED_BY = authority(NOW, name="root")
OF_ANOTHER = authority(NOW, name="root")


def _by(issuer: Certified, *between: Certified, days: float = 30, key: Any = None) -> str:
    leaf = certify(NOW, issuer=issuer, days=days, key=key)
    return token(leaf.key, claims(NOW), **x5c(leaf, *between))


def _chain_of_a_leaf_that_says_so() -> str:
    constraints = x509.BasicConstraints(ca=False, path_length=None)
    leaf = certify(NOW, name="leaf", issuer=ISSUED_BY, extensions=[constraints])
    return _by(leaf, leaf)


def _chain_too_long() -> str:
    first = certify(NOW, name="first", issuer=ISSUED_BY, extensions=[x509.BasicConstraints(ca=True, path_length=0)])
    second = authority(NOW, name="second", issuer=first)
    return _by(second, second, first)


def _without_right_to_issue() -> str:
    usage = x509.KeyUsage(
        digital_signature=True,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=False,
        crl_sign=False,
        encipher_only=False,
        decipher_only=False,
    )
    constraints = x509.BasicConstraints(ca=True, path_length=None)
    middle = certify(NOW, name="middle", issuer=ISSUED_BY, extensions=[constraints, usage])
    return _by(middle, middle)


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: _by(OF_ANOTHER), "leads to no certificate"),
        (lambda: _by(OF_ANOTHER, OF_ANOTHER), "leads to no certificate"),
        (lambda: _by(ISSUED_BY, days=-0.5), "leads to no certificate"),
        (_chain_of_a_leaf, "leads to no certificate"),
        (_chain_of_a_leaf_that_says_so, "leads to no certificate"),
        (_chain_too_long, "leads to no certificate"),
        (_without_right_to_issue, "leads to no certificate"),
        (lambda: _by(ISSUED_BY, key=rsa.generate_private_key(65537, 1024)), "cannot sign tokens"),
        (lambda: _by(ISSUED_BY, key=ec.generate_private_key(ec.SECP256K1())), "cannot sign tokens"),
        (lambda: token(p256(), claims(NOW), **x5c(ISSUED_BY)), "signature is not that of its key"),
        (lambda: token(ISSUED.key, claims(NOW)), "names no key"),
        (lambda: token(ISSUED.key, claims(NOW), kid=5), "names no key"),
        (lambda: token(ISSUED.key, claims(NOW), kid="AAAA:BBBB"), "a key that is not known here"),
        (lambda: token(ISSUED.key, claims(NOW), x5c=[]), "no list of"),
        (lambda: token(ISSUED.key, claims(NOW), x5c="x"), "no list of"),
        (lambda: token(ISSUED.key, claims(NOW), x5c=["AA=="] * (MAX_CHAIN + 1)), "no list of"),
        (lambda: token(ISSUED.key, claims(NOW), x5c=["AA=="]), "no certificate"),
        (lambda: token(ISSUED.key, claims(NOW), x5c=["!"]), "no certificate"),
        (lambda: token(ISSUED.key, claims(NOW), x5c=[5]), "no certificate"),
        (lambda: token(ISSUED.key, claims(NOW), x5c=["é"]), "no certificate"),
        # A key that comes along is no key that is trusted.
        (
            lambda: token(ISSUED.key, claims(NOW), jwk=ECKey.generate_key("P-256", private=False).as_dict()),
            "names no key",
        ),
        (lambda: token(ISSUED.key, claims(NOW), jku="https://evil.example/keys.json"), "names no key"),
    ],
)
def test_keys_that_are_not_trusted(make: Callable[[], str], said: str) -> None:
    assert said in refusal(make(), ISSUED_BY)


def test_an_expired_authority_vouches_for_nobody() -> None:
    root = authority(NOW, days=1)
    leaf = certify(NOW, issuer=root, days=30)
    later = 2 * 86400
    bearer = token(leaf.key, claims(NOW + timedelta(seconds=later)), **x5c(leaf))
    assert "or has expired" in refusal(bearer, root, seconds=later)


def test_a_chain_is_for_certificates_that_are_known(tmp_path: Path) -> None:
    keys = load_keys(None, _jwks(tmp_path, RSAKey.generate_key(2048, private=False).as_dict()))
    with pytest.raises(TokenRefused, match="no certificates are known"):
        keys.find(x5c(ISSUED), NOW)


# --- algorithms


def _mac(alg: str, secret: bytes) -> str:
    head = base64.urlsafe_b64encode(json.dumps({"alg": alg, "kid": KID}).encode()).rstrip(b"=")
    body = base64.urlsafe_b64encode(json.dumps(claims(NOW, PULL)).encode()).rstrip(b"=")
    digest = hmac.new(secret, head + b"." + body, getattr(hashlib, f"sha{alg[2:]}")).digest()
    return b".".join([head, body, base64.urlsafe_b64encode(digest).rstrip(b"=")]).decode()


@pytest.mark.parametrize("alg", ["HS256", "HS384", "HS512"])
@pytest.mark.parametrize("encoding", ["PEM", "DER", "certificate"])
def test_the_public_key_is_no_secret_to_authenticate_with(alg: str, encoding: str) -> None:
    public = ISSUED.key.public_key()
    secrets = {
        "PEM": public.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo),
        "DER": public.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo),
        "certificate": ISSUED.pem,
    }
    assert "algorithm is not accepted" in refusal(_mac(alg, secrets[encoding]))


@pytest.mark.parametrize("alg", ["none", "None", "NONE", "", "ES256K", "RSA1_5", "dir", "HS1"])
def test_other_algorithms(alg: str) -> None:
    bearer = token(ISSUED.key, claims(NOW), alg=alg or "x", kid=KID)
    assert "algorithm is not accepted" in refusal(bearer)
    unsigned = bearer.rpartition(".")[0] + "."
    assert "algorithm is not accepted" in refusal(unsigned)


@pytest.mark.parametrize("alg", ["RS256", "PS256", "EdDSA", "Ed25519", "ES384", "ES512"])
def test_an_algorithm_of_other_keys(alg: str) -> None:
    said = refusal(token(ISSUED.key, claims(NOW), alg=alg, kid=KID))
    assert said in {"its key and its algorithm do not belong together", "its signature is not that of its key"}


def test_no_algorithm_at_all() -> None:
    head = base64.urlsafe_b64encode(json.dumps({"kid": KID}).encode()).rstrip(b"=").decode()
    bearer = token(ISSUED.key, claims(NOW), kid=KID)
    refusal(".".join([head, *bearer.split(".")[1:]]))


@pytest.mark.parametrize(
    "change",
    [
        lambda head, body, sig: f"{head}.{body}.",
        lambda head, body, sig: f"{head}.{body}.{sig[:-4]}AAAA",
        lambda head, body, sig: f"{head}.{body[:-4]}AAAA.{sig}",
        lambda head, body, sig: f"{head}.{body}.{sig}AAAA",
    ],
)
def test_a_signature_that_is_not_of_this_content(change: Callable[[str, str, str], str]) -> None:
    refusal(change(*token(ISSUED.key, claims(NOW), kid=KID).split(".")))


@pytest.mark.parametrize(
    "header", [{"crit": ["exp"], "exp": 1}, {"crit": ["b64"], "b64": False}, {"crit": []}, {"crit": 5}, {"b64": False}]
)
def test_extensions_that_are_not_known(header: dict[str, Any]) -> None:
    refusal(token(ISSUED.key, claims(NOW), kid=KID, **header))


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"x",
        b"a.b",
        b"a.b.c.d",
        b"....",
        b"\xff.\xff.\xff",
        b"e30.e30.e30",
        b"W10.e30.e30",
        b"bnVsbA.e30.e30",
        base64.urlsafe_b64encode(b"[" * 12_000) + b".e30.e30",
        base64.urlsafe_b64encode(b'{"alg":' + b'{"a":' * 3000) + b".e30.e30",
        b"A" * (MAX_TOKEN + 1),
    ],
    ids=lambda raw: repr(raw[:12]),
)
def test_what_is_no_token(raw: bytes) -> None:
    refusal(raw)


def test_a_token_has_a_largest_size() -> None:
    good = token(ISSUED.key, claims(NOW, more="x" * (MAX_TOKEN // 2)), kid=KID)
    verifier().verify(good.encode(), NOW)
    assert refusal(token(ISSUED.key, claims(NOW, more="x" * MAX_TOKEN), kid=KID)) == "it has more than 32768 bytes"


# --- claims


@pytest.mark.parametrize(
    ("others", "said"),
    [
        ({"iss": "evil.example.com"}, "iss"),
        ({"iss": None}, "iss"),
        ({"iss": [ISSUER]}, "iss"),
        ({"aud": "registry.example.com"}, "aud"),
        ({"aud": None}, "aud"),
        ({"aud": []}, "aud"),
        ({"aud": ["registry.example.com"]}, "aud"),
        ({"aud": {SERVICE: 1}}, "aud"),
        ({"aud": ["another", SERVICE]}, "aud"),
        ({"iat": int(NOW.timestamp()) + 3600}, "its claim iat is 3600 s ahead of the clock"),
        ({"aud": SERVICE.upper()}, "aud"),
        ({"exp": None}, "exp"),
        ({"exp": "2099-01-01"}, "exp"),
        ({"exp": True}, "exp"),
        ({"exp": int(NOW.timestamp()) - LEEWAY}, "expired"),
        ({"nbf": int(NOW.timestamp()) + LEEWAY + 1}, "nbf"),
        ({"nbf": "soon"}, "nbf"),
        ({"sub": 5}, "sub"),
        ({"access": "all"}, "access"),
        ({"access": ["all"]}, "access"),
        ({"access": [{"type": "repository", "name": 5, "actions": []}]}, "name"),
        ({"access": [{"type": "repository", "name": "x", "actions": "*"}]}, "actions"),
    ],
)
def test_claims_that_are_not_for_us_or_not_of_now(others: dict[str, Any], said: str) -> None:
    assert said in refusal(token(ISSUED.key, claims(NOW, **others), kid=KID))


@pytest.mark.parametrize("body", [b"", b"[]", b"null", b"{", b'{"exp": NaN}', b"\xff", b"[" * 5000])
def test_claims_that_are_none(body: bytes) -> None:
    refusal(token(ISSUED.key, body, kid=KID))


@pytest.mark.parametrize(
    "others",
    [
        {"aud": [SERVICE]},
        {"exp": int(NOW.timestamp()) - LEEWAY + 1},
        {"nbf": int(NOW.timestamp()) + LEEWAY},
        {"nbf": None},
        {"iat": None},
        {"jti": None},
        {"sub": ""},
        {"sub": None},
        {"access": None},
    ],
)
def test_claims_that_may_be_so(others: dict[str, Any]) -> None:
    said = claims(NOW, **others)
    grant = verifier().verify(token(ISSUED.key, said, kid=KID).encode(), NOW)
    assert grant.until == said["exp"] + LEEWAY


@pytest.mark.parametrize(
    ("entries", "wanted", "allowed"),
    [
        ([access("a", "pull")], ("pull",), True),
        ([access("a", "pull")], ("pull", "push"), False),
        ([access("a", "push")], ("pull",), False),
        ([access("a", "pull"), access("a", "push")], ("pull", "push"), True),
        ([access("a", "pull", "push")], ("*",), False),
        ([access("a", "*")], ("pull", "push"), True),
        ([access("a", "*")], ("*",), True),
        ([access("b", "*")], ("pull",), False),
        ([access("a/b", "*")], ("pull",), False),
        ([access("*", "*")], ("pull",), False),
        ([access("a", "*", kind="registry")], ("pull",), False),
        ([access("a", "PULL")], ("pull",), False),
        ([{"type": "repository", "name": "a", "actions": None}], ("pull",), False),
        ([{"type": "repository", "name": "a", "actions": [5, "pull"]}], ("pull",), True),
        ([{"type": "repository", "class": "image", "name": "a", "actions": ["pull"]}], ("pull",), True),
        ([], ("pull",), False),
        ([access("a", "pull")], (), False),
    ],
)
def test_what_access_allows(entries: list[dict[str, Any]], wanted: tuple[str, ...], *, allowed: bool) -> None:
    grant = verifier().verify(token(ISSUED.key, claims(NOW, *entries), kid=KID).encode(), NOW)
    assert grant.allows("repository", "a", wanted) is allowed


# --- files of keys


def _jwks(folder: Path, *keys: Any) -> Path:
    file = folder / "keys.json"
    file.write_text(json.dumps({"keys": list(keys)}))
    return file


def test_keys_of_a_jwk_set(tmp_path: Path) -> None:
    keys = load_keys(
        None,
        _jwks(
            tmp_path,
            {**_public(ISSUED), "kid": "2026-a", "use": "sig", "alg": "ES256"},
            {**_public(certify(NOW)), "kid": "enc", "use": "enc"},
            {"kty": "ML-DSA", "kid": "of a kind to come"},
        ),
    )
    ours = TokenVerifier(keys, issuer=ISSUER, service=SERVICE)
    ours.verify(token(ISSUED.key, claims(NOW), kid="2026-a").encode(), NOW)
    for kid in ("enc", "of a kind to come", KID):
        with pytest.raises(TokenRefused):
            ours.verify(token(ISSUED.key, claims(NOW), kid=kid).encode(), NOW)


def _public(certified: Certified) -> dict[str, Any]:
    pem = certified.key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    return dict(ECKey.import_key(pem).as_dict())


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{}",
        b"[]",
        b'{"keys": []}',
        b'{"keys": 5}',
        b'{"keys": [5]}',
        b'{"keys": [{"kty": "RSA"}]}',
        b'{"keys": [{"kty": "EC", "crv": "P-256", "x": "AA", "y": "AA"}]}',
        b'{"keys": [{"kty": "ML-DSA"}]}',
        b"[" * 100_000,
        b" " * (MAX_FILE + 1),
        pytest.param(json.dumps({"keys": [OctKey.generate_key(256).as_dict(private=True)]}).encode(), id="secret"),
        pytest.param(json.dumps({"keys": [ECKey.generate_key("P-256").as_dict(private=True)]}).encode(), id="private"),
        pytest.param(
            json.dumps({"keys": [ECKey.generate_key("secp256k1", private=False).as_dict()]}).encode(), id="curve"
        ),
    ],
    ids=lambda content: repr(content[:40]),
)
def test_a_jwk_set_that_cannot_be_used_stops_the_start(tmp_path: Path, content: bytes) -> None:
    file = tmp_path / "keys.json"
    file.write_bytes(content)
    with pytest.raises(StartRefused) as refused:
        load_keys(None, file)
    assert refused.value.what == str(file)
    assert "PRIVATE" not in str(refused.value)


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n",
        pytest.param(certify(NOW, key=rsa.generate_private_key(65537, 1024)).pem, id="small RSA key"),
        pytest.param(certify(NOW, key=ec.generate_private_key(ec.SECP256K1())).pem, id="curve"),
    ],
)
def test_certificates_that_cannot_be_used_stop_the_start(tmp_path: Path, content: bytes) -> None:
    file = tmp_path / "tokens.crt"
    file.write_bytes(content)
    with pytest.raises(StartRefused) as refused:
        load_keys(file, None)
    assert refused.value.what == str(file)


def test_a_file_without_end_stops_the_start() -> None:
    for files in ((Path("/dev/zero"), None), (None, Path("/dev/zero"))):
        with pytest.raises(StartRefused, match=f"has more than {MAX_FILE} bytes"):
            load_keys(*files)


def test_a_file_that_is_not_there_stops_the_start(tmp_path: Path) -> None:
    for files in ((tmp_path / "absent", None), (None, tmp_path / "absent")):
        with pytest.raises(StartRefused, match="cannot be read"):
            load_keys(*files)
