"""Which root keys an authority vouches for: the way of certificates up to it, and each thing that breaks it."""

from __future__ import annotations

import base64
from dataclasses import replace
from datetime import UTC, datetime

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.hashes import SHA384, SHA512
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import ExtendedKeyUsageOID

from keys.algorithms import PrivateKey
from keys.authorities import (
    MAX_AUTHORITIES,
    MAX_CERTIFICATES,
    NotCertified,
    authority_end,
    certified_until,
    read_authorities,
)
from keys.notary import NotaryKey, bare_key
from tests.support.issuers import (
    CA,
    END,
    LEAF,
    START,
    Form,
    Issuer,
    chain,
    days,
    key_called,
    notary_key_of,
    pem_of,
    weak_rsa,
)
from tests.support.notary_keys import MD5_WITH_RSA, SHA1_WITH_RSA, signed_by

GUN = "registry.example.com/team/app"
AT = datetime(2026, 11, 1, 12, tzinfo=UTC)
OWN = key_called("owner")
ROOT = Issuer.root()
OTHER = Issuer.root("Another CA")
OID = x509.ObjectIdentifier("1.3.6.1.4.1.99999.1")
UNKNOWN_WITH_RSA = b"\x07"
UNKNOWN = x509.UnrecognizedExtension(OID, b"\x05\x00")
LIMITS = x509.NameConstraints([x509.DNSName("example.com")], None)
EMAIL, SERVER = ExtendedKeyUsageOID.EMAIL_PROTECTION, ExtendedKeyUsageOID.SERVER_AUTH
CODE, ANY = ExtendedKeyUsageOID.CODE_SIGNING, ExtendedKeyUsageOID.ANY_EXTENDED_KEY_USAGE


def vouched(key: NotaryKey, *trusted: Issuer, at: datetime = AT) -> datetime:
    return certified_until(key, authorities=[each.der for each in trusted or (ROOT,)], at=at)


def refused(key: NotaryKey, *trusted: Issuer, at: datetime = AT) -> str:
    with pytest.raises(NotCertified) as caught:
        vouched(key, *trusted, at=at)
    return str(caught.value)


def below(*issuers: Issuer, form: Form = LEAF) -> NotaryKey:
    """A root key that the first of these has certified, beside the certificates of all of them."""
    return notary_key_of(issuers[0].issue(GUN, OWN, form), *(each.certificate for each in issuers))


# --- what is vouched for


@pytest.mark.parametrize("count", range(MAX_CERTIFICATES))
def test_a_key_below_the_authority_is_vouched_for(count: int) -> None:
    between = chain(count, ROOT)
    leaf = (between[0] if between else ROOT).issue(GUN, OWN)
    others = [each.certificate for each in between]
    assert vouched(notary_key_of(leaf, *others)) == END
    assert vouched(notary_key_of(leaf, *reversed(others))) == END, "in any order"
    for missing in range(count):
        rest = [each for place, each in enumerate(others) if place != missing]
        assert "was issued neither by that CA nor by one beside it" in refused(notary_key_of(leaf, *rest))


def test_any_of_the_authorities_may_vouch_and_what_stands_beside_it_does_not_matter() -> None:
    key = notary_key_of(ROOT.issue(GUN, OWN), ROOT.certificate, OTHER.certificate)
    assert vouched(key, OTHER, ROOT) == END
    assert "was issued neither by that CA" in refused(key, OTHER)
    between = ROOT.below("CA 0")
    assert vouched(below(between), between) == END, "an authority below another may be the one that is trusted"


def test_every_kind_of_key_and_of_strong_signature_will_do() -> None:
    kinds: tuple[PrivateKey, ...] = (
        ec.generate_private_key(ec.SECP384R1()),
        ed25519.Ed25519PrivateKey.generate(),
        rsa.generate_private_key(public_exponent=65537, key_size=2048),
    )
    for number, private in enumerate(kinds):
        top = Issuer.root(f"CA of kind {number}", key=private)
        for hashed in (SHA384, SHA512):
            assert vouched(below(top, form=replace(LEAF, hashed=hashed)), top) == END
    own = kinds[2]
    assert vouched(notary_key_of(ROOT.issue(GUN, own), kind="rsa")) == END


def test_it_ends_with_the_first_certificate_on_the_way() -> None:
    early = END - days(100)
    between = ROOT.below("CA 0", replace(CA, end=early))
    assert vouched(below(between)) == early
    assert vouched(below(ROOT, form=replace(LEAF, end=early))) == early
    short = Issuer.root("Short CA", replace(CA, end=early))
    assert vouched(below(short), short) == early
    assert vouched(below(short), short, at=early) == early
    assert "is valid from 2026-01-01 00:00 to" in refused(below(short), short, at=early + days(1))


def test_a_renewed_certificate_of_an_authority_counts_beside_the_old_one() -> None:
    old = Issuer.root(form=replace(CA, end=AT - days(1)))
    assert vouched(below(ROOT), old, ROOT) == END
    assert "the certificate of the pinned CA is valid from" in refused(notary_key_of(ROOT.issue(GUN, OWN)), old)
    past, now = (ROOT.below("CA 0", replace(CA, end=end)) for end in (AT - days(1), END))
    assert vouched(notary_key_of(now.issue(GUN, OWN), past.certificate, now.certificate)) == END


@pytest.mark.parametrize("uses", [(), (CODE,), (SERVER,), (ANY,), (EMAIL, CODE), (EMAIL, ANY)])
def test_what_certificates_may_be_for(uses: tuple[x509.ObjectIdentifier, ...]) -> None:
    assert vouched(below(ROOT, form=replace(LEAF, uses=uses))) == END
    assert vouched(below(ROOT.below("CA 0", replace(CA, uses=uses)))) == END


def test_usual_extensions_are_understood() -> None:
    names = x509.SubjectAlternativeName([x509.DNSName("registry.example.com")])
    form = replace(LEAF, usage=("digital_signature",), uses=(CODE,), more=((names, True), (UNKNOWN, False)))
    top = Issuer.root("Plain CA", replace(CA, usage=("key_cert_sign", "crl_sign"), longest=0))
    assert vouched(below(top, form=form), top) == END
    assert vouched(below(ROOT, form=replace(LEAF, is_authority=None))) == END


# --- what is not


def test_a_key_that_is_no_certificate() -> None:
    assert refused(bare_key(OWN.public_key())) == "it has no certificate"


def test_a_certificate_that_signs_itself_is_nobodys() -> None:
    own = Issuer(GUN, OWN, ROOT.certificate).issue(GUN, OWN)
    assert "was issued neither by that CA" in refused(notary_key_of(own))


def test_the_name_of_the_issuer_is_not_enough() -> None:
    """Somebody who calls himself as the CA does, with a key of his own."""
    impostor = Issuer.root(ROOT.name, key=key_called("impostor"))
    assert "was issued neither by that CA" in refused(below(impostor))
    between = ROOT.below("CA 0")
    false = Issuer(between.name, key_called("impostor"), between.certificate)
    assert "was issued neither by that CA" in refused(below(false))


def _as_authority(form: Form) -> NotaryKey:
    return below(ROOT.below("CA 0", form))


def _as_leaf(form: Form) -> NotaryKey:
    return below(ROOT, form=form)


EARLY, LATE = replace(LEAF, end=AT - days(1)), replace(LEAF, start=AT + days(1))


@pytest.mark.parametrize(
    ("key", "reason"),
    [
        (_as_leaf(EARLY), "its certificate is valid from 2026-01-01 00:00 to 2026-10-31 12:00 UTC only"),
        (_as_leaf(LATE), "its certificate is valid from 2026-11-02 12:00 to"),
        (_as_leaf(CA), "its certificate is the certificate of a CA"),
        (_as_leaf(replace(LEAF, usage=("key_encipherment",))), "its certificate is not for signatures (keyUsage)"),
        (_as_leaf(replace(LEAF, uses=(EMAIL,))), "(extendedKeyUsage)"),
        (_as_leaf(replace(LEAF, more=((UNKNOWN, True),))), f"has the critical extension {OID.dotted_string}"),
        (_as_authority(replace(CA, end=AT - days(1))), "the certificate 1 beside it is valid from"),
        (_as_authority(replace(CA, start=AT + days(1))), "the certificate 1 beside it is valid from"),
        (_as_authority(LEAF), "the certificate 1 beside it is not the certificate of a CA"),
        (_as_authority(replace(CA, is_authority=None)), "the certificate 1 beside it is not the certificate of a CA"),
        (_as_authority(replace(CA, usage=("digital_signature",))), "is not for certificates (keyUsage)"),
        (_as_authority(replace(CA, uses=(EMAIL,))), "(extendedKeyUsage)"),
        (_as_authority(replace(CA, more=((UNKNOWN, True),))), "which is not understood"),
        (_as_authority(replace(CA, more=((LIMITS, True),))), "limits names (nameConstraints)"),
        (_as_authority(replace(CA, more=((LIMITS, False),))), "limits names (nameConstraints)"),
        (below(ROOT.below("weak CA", key=weak_rsa())), "RSA with 1024 bits"),
        (below(ROOT.below("curve", key=ec.generate_private_key(ec.SECP256K1()))), "has a key that is not accepted"),
    ],
)
def test_what_breaks_the_way(key: NotaryKey, reason: str) -> None:
    assert reason in refused(key)


def test_uses_must_have_one_in_common() -> None:
    between = ROOT.below("CA 0", replace(CA, uses=(SERVER,)))
    assert "(extendedKeyUsage)" in refused(below(between, form=replace(LEAF, uses=(CODE,))))


def test_a_limit_of_length_counts_all_below_it() -> None:
    for longest in range(3):
        top = Issuer.root("Short CA", replace(CA, longest=longest))
        for count in range(4):
            between = chain(count, top)
            leaf = (between[0] if between else top).issue(GUN, OWN)
            key = notary_key_of(leaf, *(each.certificate for each in between))
            if count <= longest:
                assert vouched(key, top) == END
            else:
                assert f"allows {longest} CAs below it, and there are {count} (pathlen)" in refused(key, top)
    first = ROOT.below("CA 0", replace(CA, longest=0))
    assert "the certificate 2 beside it allows 0 CAs below it" in refused(below(first.below("CA 1"), first))


@pytest.mark.parametrize("algorithm", [SHA1_WITH_RSA, MD5_WITH_RSA, UNKNOWN_WITH_RSA])
def test_weak_signatures(algorithm: bytes) -> None:
    top = Issuer.root("RSA CA", key=rsa.generate_private_key(public_exponent=65537, key_size=2048))
    leaf = x509.load_der_x509_certificate(signed_by(top.issue(GUN, OWN), algorithm))
    assert "signed in a way that is not accepted" in refused(notary_key_of(leaf), top)


def test_two_certificates_that_certify_each_other_lead_nowhere() -> None:
    one, two = Issuer.root("One"), Issuer.root("Two")
    crossed = [two.below("One", key=one.key), one.below("Two", key=two.key)]
    assert "was issued neither by that CA" in refused(below(*crossed))


def test_further_certificates_must_be_of_authorities() -> None:
    other = ROOT.issue(GUN, key_called("another owner"))
    key = notary_key_of(ROOT.issue(GUN, OWN), other)
    assert refused(key) == "the certificate 1 beside it is not the certificate of a CA (basicConstraints)"


def text_key(text: bytes) -> NotaryKey:
    return NotaryKey.of("ecdsa-x509", base64.b64encode(text).decode())


def test_texts_that_are_no_certificates() -> None:
    good = pem_of(ROOT.issue(GUN, OWN)).encode()
    assert vouched(text_key(b"\n" + good + b"\n\n")) == END
    many = good + pem_of(*[ROOT.certificate] * MAX_CERTIFICATES).encode()
    for text, reason in (
        (b"", "its text holds no certificate in PEM"),
        (b"certified by mother\n" + good, "holds something else than certificates"),
        (good + b"and more", "holds something else than certificates"),
        (good.replace(b"CERTIFICATE", b"PUBLIC KEY"), "holds something else than certificates"),
        (good.replace(b"-----\n", b"-----", 1), "holds something else than certificates"),  # Go finds none in it
        (many, f"its text holds more than {MAX_CERTIFICATES} certificates"),
        (b"-----BEGIN CERTIFICATE-----\nAAA\n-----END CERTIFICATE-----\n", "its text cannot be read"),
        (b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n", "its certificate cannot be read"),
    ):
        assert reason in refused(text_key(text))
    assert refused(NotaryKey.of("ecdsa-x509", "no base64!")) == "its certificate cannot be read"


def test_a_certificate_that_repeats_an_extension() -> None:
    der = ROOT.issue(GUN, OWN, replace(LEAF, usage=("digital_signature",), uses=(CODE,))).public_bytes(Encoding.DER)
    usage, uses = b"\x55\x1d\x0f", b"\x55\x1d\x25"  # their identifiers
    assert der.count(usage) == der.count(uses) == 1
    twice = x509.load_der_x509_certificate(der.replace(uses, usage))
    assert refused(notary_key_of(twice)) == "its certificate cannot be read"


def _sequence(content: bytes) -> bytes:
    return (
        b"\x30\x82" + len(content).to_bytes(2) + content
        if len(content) > 255
        else b"\x30\x81" + bytes([len(content)]) + content
    )


def test_a_certificate_of_version_1_says_nothing_of_what_it_is_for() -> None:
    certificate = ROOT.issue(GUN, OWN, Form(is_authority=None))
    der, signed, version = (
        certificate.public_bytes(Encoding.DER),
        certificate.tbs_certificate_bytes,
        b"\xa0\x03\x02\x01\x02",
    )
    body, behind = signed[signed.index(version) + len(version) :], der[der.index(signed) + len(signed) :]
    old = x509.load_der_x509_certificate(_sequence(_sequence(body) + behind))
    assert "is older than X.509 version 3" in refused(notary_key_of(old))


# --- the authorities that are trusted


def test_authorities_are_read_as_they_stand() -> None:
    between = ROOT.below("CA 0", replace(CA, end=END - days(1)))
    text = f"\n{ROOT.pem}\n\n{between.pem}"
    assert read_authorities(text) == (ROOT.der, between.der)
    assert [authority_end(der) for der in read_authorities(text)] == [END, END - days(1)]
    past = Issuer.root(form=replace(CA, start=START - days(9), end=START - days(1)))
    assert read_authorities(past.pem) == (past.der,), "when it is used is judged later"
    many = [ROOT.below(f"CA {number}") for number in range(MAX_AUTHORITIES)]
    assert len(read_authorities("".join(each.pem for each in many))) == MAX_AUTHORITIES


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "the text holds no certificate in PEM"),
        ("corp", "the text holds something else than certificates in PEM"),
        (pem_of(ROOT.issue(GUN, OWN)), "certificate 1 is not the certificate of a CA (basicConstraints)"),
        (ROOT.pem + Issuer.root("C", Form(is_authority=None)).pem, "certificate 2 is not the certificate of a CA"),
        (Issuer.root("C", replace(CA, usage=("crl_sign",))).pem, "certificate 1 is not for certificates (keyUsage)"),
        (Issuer.root("C", replace(CA, more=((UNKNOWN, True),))).pem, "which is not understood"),
        (Issuer.root("C", replace(CA, more=((LIMITS, True),))).pem, "limits names"),
        (Issuer.root("C", key=weak_rsa()).pem, "RSA with 1024 bits"),
        (ROOT.pem + OTHER.pem + ROOT.pem, "certificate 3 is there a second time"),
        (ROOT.pem * (MAX_AUTHORITIES + 1), f"the text holds more than {MAX_AUTHORITIES} certificates"),
    ],
)
def test_what_is_no_bundle_of_authorities(text: str, reason: str) -> None:
    with pytest.raises(NotCertified, match=r".") as caught:
        read_authorities(text)
    assert reason in str(caught.value)
