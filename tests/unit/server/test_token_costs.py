"""What a token costs before it is known who sends it: signatures checked, certificates parsed, tokens waiting."""

from __future__ import annotations

import asyncio
import base64
import json
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding

from keys.algorithms import RSA_MAX_BITS, RSA_MAX_EXPONENT
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
from trustserver.auth import token_chain, tokens
from trustserver.auth.accepted_keys import usable
from trustserver.auth.json_web_token import MAX_VALUES
from trustserver.auth.signature_queue import MAX_REFUSED, MAX_WAITING, MAX_WAITING_OF_ONE, SignatureQueue
from trustserver.auth.token_chain import MAX_AUTHORITIES, MAX_CERTIFICATE, MAX_CHAIN
from trustserver.auth.token_keys import TokenKeys, libtrust_id
from trustserver.auth.tokens import Grant, TokenVerifier, UnverifiedToken
from trustserver.errors import Overloaded, TokenRefused

ROOT = authority(NOW, name="root")
MIDDLE = authority(NOW, name="middle", issuer=ROOT)
LEAF = certify(NOW, name="leaf", issuer=MIDDLE)
KID = libtrust_id(ROOT.key.public_key())
EIGHT = [authority(NOW, name="root") for _ in range(MAX_CHAIN)]
"""Certificates of one name, which is that of the operator's. Any may be the issuer of any other, by the names."""


@pytest.fixture
def cost(monkeypatch: pytest.MonkeyPatch) -> Counter[str]:
    """How often the costly steps were done: `signature`, `certificate` (parsed), `chain` (judged as a whole)."""
    counted: Counter[str] = Counter()

    def count(place: object, name: str, what: str) -> None:
        original: Callable[..., Any] = getattr(place, name)

        def counting(*arguments: Any, **named: Any) -> Any:
            counted[what] += 1
            return original(*arguments, **named)

        monkeypatch.setattr(place, name, counting)

    count(token_chain, "is_issued_by", "signature")
    count(token_chain, "parse_certificate", "certificate")
    count(token_chain, "_judge", "chain")
    count(tokens, "check_signature", "signature")
    return counted


def verifier(*trusted: Certified) -> TokenVerifier:
    keys = TokenKeys([certified.certificate for certified in trusted or (ROOT,)])
    return TokenVerifier(keys, issuer=ISSUER, service=SERVICE)


def by_leaf(said: dict[str, Any], *chain: Certified, **header: Any) -> str:
    return token((chain or (LEAF,))[0].key, said, **x5c(*(chain or (LEAF, MIDDLE))), **header)


def _padded(certified: Certified) -> dict[str, Any]:
    der = certified.certificate.public_bytes(Encoding.DER)
    return {"x5c": [base64.b64encode(der + bytes(MAX_CERTIFICATE)).decode()]}


def _signed_with(key: Any) -> str:
    return by_leaf(claims(NOW), certify(NOW, name="leaf", issuer=ROOT, key=key))


def _huge_exponent() -> str:
    numbers = rsa.RSAPublicNumbers(e=2**1024 + 1, n=(1 << 2047) + 1)
    leaf = x509.CertificateBuilder(
        issuer_name=ROOT.certificate.subject,
        subject_name=LEAF.certificate.subject,
        public_key=numbers.public_key(),
        serial_number=5,
        not_valid_before=NOW - timedelta(days=1),
        not_valid_after=NOW + timedelta(days=1),
    ).sign(ROOT.key, token_hash())
    return token(p256(), claims(NOW), **x5c(Certified(key=p256(), certificate=leaf)))


def token_hash() -> Any:
    return ROOT.certificate.signature_hash_algorithm


@pytest.mark.parametrize(
    ("make", "said", "signatures", "certificates"),
    [
        # By the header and the claims alone.
        (lambda: by_leaf(claims(NOW, iss="another")), "claim iss", 0, 0),
        (lambda: by_leaf(claims(NOW, aud="another")), "another audience", 0, 0),
        (lambda: by_leaf(claims(NOW, exp=1)), "has expired", 0, 0),
        (lambda: by_leaf(claims(NOW, nbf=2**40)), "claim nbf", 0, 0),
        (lambda: by_leaf(claims(NOW, sub=5)), "claim sub", 0, 0),
        (lambda: by_leaf(claims(NOW, access=5)), "claim access", 0, 0),
        (lambda: token(ROOT.key, claims(NOW, exp=1), kid=KID), "has expired", 0, 0),
        (lambda: token(ROOT.key, claims(NOW), kid="of nobody"), "not known here", 0, 0),
        (lambda: by_leaf(claims(NOW), alg="none"), "algorithm", 0, 0),
        (lambda: by_leaf(claims(NOW), crit=["x"]), "extensions", 0, 0),
        (lambda: by_leaf(claims(NOW)).rpartition(".")[0] + "." + "A" * 4000, "not a JSON Web Token", 0, 0),
        (lambda: token(p256(), claims(NOW), **_padded(LEAF)), "more than 8192 characters", 0, 0),
        (lambda: token(p256(), b"[" * (MAX_VALUES + 1), **x5c(LEAF)), "more than 4096 values", 0, 0),
        (lambda: token(p256(), b'{"a":[' + b"0," * 9000 + b"0]}", **x5c(LEAF)), "more than 4096 values", 0, 0),
        (lambda: token(p256(), claims(NOW), kid=[[0]] * MAX_VALUES), "more than 4096 values", 0, 0),
        (lambda: token(p256(), b'{"a":' * 3000 + b"0" + b"}" * 3000, **x5c(LEAF)), "not a JSON object", 0, 0),
        # By a key that is not the operator's.
        (lambda: by_leaf(claims(NOW), *EIGHT), "leads to no certificate", MAX_AUTHORITIES, MAX_CHAIN),
        (lambda: by_leaf(claims(NOW), EIGHT[0]), "leads to no certificate", 1, 1),
        (lambda: by_leaf(claims(NOW), *[LEAF] * MAX_CHAIN), "leads to no certificate", 0, 2),
        (lambda: by_leaf(claims(NOW), certify(NOW, name="x"), MIDDLE), "leads to no certificate", 2, 2),
        (lambda: by_leaf(claims(NOW), certify(NOW - timedelta(days=99), name="root")), "or has expired", 0, 1),
        (lambda: _signed_with(rsa.generate_private_key(65537, 1024)), "cannot sign tokens", 0, 1),
        (_huge_exponent, "cannot sign tokens", 0, 1),
        # By a signature.
        (lambda: token(p256(), claims(NOW), kid=KID), "signature", 1, 0),
        (lambda: token(p256(), claims(NOW), **x5c(LEAF, MIDDLE)), "signature", 3, 2),
    ],
)
def test_what_a_bad_token_costs(
    cost: Counter[str], make: Callable[[], str], said: str, signatures: int, certificates: int
) -> None:
    with pytest.raises(TokenRefused, match=said):
        verifier().verify(make().encode(), NOW)
    assert (cost["signature"], cost["certificate"]) == (signatures, certificates)


def test_what_a_good_token_costs(cost: Counter[str]) -> None:
    verifier().verify(by_leaf(claims(NOW)).encode(), NOW)
    assert cost == {"signature": 3, "certificate": 2, "chain": 1}


def test_a_chain_is_judged_as_a_whole_only_if_its_signatures_hold(cost: Counter[str]) -> None:
    for chain in (EIGHT, [certify(NOW), MIDDLE], [LEAF, *EIGHT]):
        with pytest.raises(TokenRefused):
            verifier().verify(by_leaf(claims(NOW), *chain).encode(), NOW)
    assert cost["chain"] == 0


def test_certificates_after_a_known_one_are_not_looked_at(cost: Counter[str]) -> None:
    ours = verifier(MIDDLE)
    ours.verify(by_leaf(claims(NOW), LEAF, MIDDLE, *EIGHT[:6]).encode(), NOW)
    assert (cost["signature"], cost["certificate"]) == (2, 1)


def test_authorities_of_one_name_while_their_keys_are_changed() -> None:
    """The right one is found among the operator's; also if one of that name is beside the chain that counts."""
    others = [authority(NOW, name="root") for _ in range(MAX_AUTHORITIES - 1)]
    verifier(*others, ROOT).verify(by_leaf(claims(NOW)).encode(), NOW)
    verifier(authority(NOW, name="middle"), ROOT).verify(by_leaf(claims(NOW)).encode(), NOW)


def test_a_chain_out_of_order_is_refused() -> None:
    low = authority(NOW, name="low", issuer=MIDDLE)
    leaf = certify(NOW, name="leaf", issuer=low)
    with pytest.raises(TokenRefused, match="leads to no certificate"):
        verifier().verify(by_leaf(claims(NOW), leaf, MIDDLE, low).encode(), NOW)


def test_name_constraints_of_an_authority_still_count() -> None:
    constraints = x509.NameConstraints(permitted_subtrees=[x509.DNSName("example.com")], excluded_subtrees=None)
    basic = x509.BasicConstraints(ca=True, path_length=None)
    top = certify(NOW, name="top", extensions=[basic, constraints])
    middle = authority(NOW, name="middle", issuer=top)
    for host, good in (("auth.example.com", True), ("auth.example.org", False)):
        names = x509.SubjectAlternativeName([x509.DNSName(host)])
        leaf = certify(NOW, name="leaf", issuer=middle, extensions=[names])
        said = by_leaf(claims(NOW), leaf, middle).encode()
        if good:
            verifier(top).verify(said, NOW)
        else:
            with pytest.raises(TokenRefused, match="leads to no certificate"):
                verifier(top).verify(said, NOW)


def test_sizes_of_rsa_keys() -> None:
    for bits, good in ((RSA_MAX_BITS, True), (RSA_MAX_BITS + 1, False), (16384, False)):
        key = rsa.RSAPublicNumbers(e=65537, n=(1 << (bits - 1)) + 1).public_key()
        if good:
            usable(key)
        else:
            with pytest.raises(ValueError, match="at most"):
                usable(key)
    usable(rsa.RSAPublicNumbers(e=RSA_MAX_EXPONENT, n=(1 << 2047) + 1).public_key())


# --- waiting


class Held(TokenVerifier):
    """Holds every check of a signature until the test lets go; counts them."""

    def __init__(self) -> None:
        super().__init__(TokenKeys([ROOT.certificate]), issuer=ISSUER, service=SERVICE)
        self.let_go = threading.Event()
        self.checked = 0

    def verify_signature(self, token: UnverifiedToken, at: datetime) -> Grant:
        assert self.let_go.wait(timeout=30)
        self.checked += 1
        return super().verify_signature(token, at)


@pytest.fixture
def held() -> Iterator[Held]:
    verifier = Held()
    yield verifier
    verifier.let_go.set()


def read(number: int, *, key: Any = None) -> UnverifiedToken:
    said = claims(NOW, access("a", "pull"), jti=str(number))
    return verifier().read(token(key or ROOT.key, said, kid=KID).encode(), NOW)


def test_a_token_is_turned_away_where_too_many_wait(held: Held) -> None:
    checks = SignatureQueue(held)

    async def ask() -> list[Grant | BaseException]:
        waiting = [
            asyncio.create_task(checks.check(read(number), NOW, address=f"10.0.{number}.1"))
            for number in range(MAX_WAITING)
        ]
        await asyncio.sleep(0)
        with pytest.raises(Overloaded):
            await checks.check(read(-1), NOW, address="10.1.0.1")
        held.let_go.set()
        done = await asyncio.gather(*waiting, return_exceptions=True)
        return [*done, await checks.check(read(-1), NOW, address="10.1.0.1")]

    done = asyncio.run(ask())
    assert len(done) == held.checked == MAX_WAITING + 1
    assert all(isinstance(grant, Grant) for grant in done)


def test_one_address_does_not_take_the_places_of_others(held: Held) -> None:
    checks = SignatureQueue(held)

    async def ask() -> None:
        many = [
            asyncio.create_task(checks.check(read(number), NOW, address="192.0.2.1"))
            for number in range(MAX_WAITING_OF_ONE)
        ]
        await asyncio.sleep(0)
        with pytest.raises(Overloaded):
            await checks.check(read(-1), NOW, address="192.0.2.1")
        honest = asyncio.create_task(checks.check(read(-1), NOW, address="192.0.2.2"))
        await asyncio.sleep(0)
        held.let_go.set()
        assert (await honest).subject == "alice"
        await asyncio.gather(*many)
        await checks.check(read(-2), NOW, address="192.0.2.1")

    asyncio.run(ask())
    assert not checks._by_address


def test_a_token_of_many_requests_is_checked_once(held: Held) -> None:
    checks = SignatureQueue(held)

    async def ask() -> list[Grant]:
        one = read(1)
        waiting = [asyncio.create_task(checks.check(one, NOW, address=None)) for _ in range(3 * MAX_WAITING)]
        await asyncio.sleep(0)
        waiting.pop(0).cancel()
        held.let_go.set()
        return await asyncio.gather(*waiting)

    assert len(asyncio.run(ask())) == 3 * MAX_WAITING - 1
    assert held.checked == 1


def test_a_refusal_is_remembered_and_not_without_bound(held: Held, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("trustserver.auth.signature_queue.MAX_REFUSED", 3)
    assert MAX_REFUSED >= MAX_WAITING
    held.let_go.set()
    checks = SignatureQueue(held)
    forged = [read(number, key=p256()) for number in range(5)]

    async def refused(token: UnverifiedToken) -> None:
        with pytest.raises(TokenRefused, match="signature is not that of its key"):
            await checks.check(token, NOW, address=None)

    for one in forged:
        for _ in range(3):
            asyncio.run(refused(one))
    assert held.checked == len(forged)
    asyncio.run(refused(forged[0]))
    assert held.checked == len(forged) + 1, "the oldest is forgotten"
    assert len(checks._refused) == 3


def test_what_the_clock_refuses_is_not_remembered(held: Held) -> None:
    """A certificate that is not valid yet, by this machine's clock, may be valid in a minute."""
    held.let_go.set()
    checks = SignatureQueue(held)
    soon = certify(NOW + timedelta(days=2), name="leaf", issuer=ROOT)
    later = NOW + timedelta(days=2)

    bearer = token(soon.key, claims(NOW, exp=int(later.timestamp()) + 300), **x5c(soon)).encode()

    async def ask(at: datetime) -> Grant:
        return await checks.check(held.read(bearer, at), at, address=None)

    with pytest.raises(TokenRefused, match="or has expired"):
        asyncio.run(ask(NOW))
    assert asyncio.run(ask(later)).subject == "alice"


def test_the_order_of_checks_tells_nothing_of_the_signature() -> None:
    """With wrong claims a forged token and a genuine one are refused with the same words."""
    for wrong in ({"iss": "x"}, {"aud": "x"}, {"exp": 1}, {"sub": 5}):
        said = claims(NOW, **wrong)
        reasons = set()
        for key in (ROOT.key, p256()):
            with pytest.raises(TokenRefused) as refused:
                verifier().verify(token(key, said, kid=KID).encode(), NOW)
            reasons.add(refused.value.reason)
        assert len(reasons) == 1, json.dumps(said)


@pytest.mark.parametrize("depth", [100, 980, 1000, 1020, 5000, 12_000])
def test_a_header_that_is_nested_deep_is_a_refusal(depth: int) -> None:
    """Two parsers read it, and one allows less than the other."""
    head = json.dumps({"alg": "ES256", "kid": KID, "a": 0})[:-2] + "[" * depth + "]" * depth + "}"
    body = json.dumps(claims(NOW, access("a", "pull")))
    encoded = [base64.urlsafe_b64encode(part).rstrip(b"=") for part in (head.encode(), body.encode(), b"x" * 64)]
    verifier = TokenVerifier(TokenKeys([ROOT.certificate]), issuer=ISSUER, service=SERVICE)
    with pytest.raises(TokenRefused):
        verifier.verify(b".".join(encoded), NOW)
