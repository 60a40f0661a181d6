"""Certificates of Notary v1's root keys: ours as the Go clients make them, and which of anybody's speak for a name."""

from __future__ import annotations

import base64
import hashlib
from datetime import UTC, datetime, timedelta, timezone

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from keys.algorithms import Algorithm, generate
from keys.certificate import (
    LEEWAY,
    LIFETIME,
    certificate_fault,
    certificate_fingerprint,
    common_name,
    issuer_of,
    root_certificate,
)
from keys.errors import KeyNotAccepted
from keys.go_certificate import load_der_certificate, load_pem_certificate, name_of, with_readable_names
from keys.notary import NotaryKey, bare_key
from tests.support.issuers import Issuer, notary_key_of
from tests.support.notary_keys import MD5_WITH_RSA, SHA1_WITH_RSA, as_printable, pem_of, signed_by
from trustdata.lifetimes import NOTARY_LIFETIMES

GUN = "registry.example.com:5000/team/app"
NOW = datetime(2026, 11, 1, 12, 0, 0, 123456, tzinfo=UTC)
OWN = ec.generate_private_key(ec.SECP256R1())


def _read(key: NotaryKey) -> x509.Certificate:
    return x509.load_pem_x509_certificate(base64.b64decode(key.keyval["public"]))


def _made(*names: str, encoded: bytes | None = None) -> NotaryKey:
    """A certificate with these common names; `encoded`: a name that cannot be read."""
    attributes = [x509.NameAttribute(NameOID.COMMON_NAME, name) for name in names]
    subject = x509.Name([*attributes, x509.NameAttribute(NameOID.ORGANIZATION_NAME, "XXXX")])
    certificate = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(OWN.public_key())
        .serial_number(1)
        .not_valid_before(NOW)
        .not_valid_after(NOW + timedelta(days=1))
        .sign(OWN, SHA256())
    )
    der = certificate.public_bytes(Encoding.DER)
    if encoded is not None:
        assert der.count(b"XXXX") == 2
        der = der.replace(b"XXXX", encoded)
    return _key_in(der)


@pytest.mark.parametrize("algorithm", [Algorithm.ECDSA_P256, Algorithm.ECDSA_P384, Algorithm.RSA])
def test_ours_is_what_the_go_clients_make(algorithm: Algorithm) -> None:
    private = generate(algorithm)
    key = root_certificate(private, gun=GUN, at=NOW)
    certificate = _read(key)
    (name,) = certificate.subject
    assert (name.oid, name.value) == (NameOID.COMMON_NAME, GUN)
    assert certificate.issuer == certificate.subject
    certificate.verify_directly_issued_by(certificate)
    assert certificate.not_valid_before_utc == NOW.replace(microsecond=0)
    assert certificate.not_valid_after_utc - certificate.not_valid_before_utc == LIFETIME == timedelta(days=3650)
    usage = certificate.extensions.get_extension_for_class(x509.KeyUsage)
    assert usage.critical
    assert usage.value == x509.KeyUsage(
        digital_signature=True,
        key_encipherment=True,
        content_commitment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=False,
        crl_sign=False,
        encipher_only=False,
        decipher_only=False,
    )
    extended = certificate.extensions.get_extension_for_class(x509.ExtendedKeyUsage)
    assert list(extended.value) == [ExtendedKeyUsageOID.CODE_SIGNING]
    assert not extended.critical
    constraints = certificate.extensions.get_extension_for_class(x509.BasicConstraints)
    assert constraints.value == x509.BasicConstraints(ca=False, path_length=None)
    assert constraints.critical
    assert certificate_fault(key, gun=GUN, at=NOW) is None


def test_for_a_public_key_whose_private_key_is_not_at_hand() -> None:
    public = generate(Algorithm.RSA).public_key()
    key = root_certificate(OWN, gun=GUN, at=NOW, public=public)
    assert key.keytype == "rsa-x509"
    assert key.canonical_keyid == bare_key(public).keyid


@pytest.mark.parametrize(
    ("last", "fault"), [(SHA1_WITH_RSA, "is a certificate signed with SHA-1"), (MD5_WITH_RSA, None)]
)
def test_how_it_says_that_it_is_signed_counts_as_in_go(last: bytes, fault: str | None) -> None:
    """Nobody verifies the signature. Go looks for SHA-1 alone, before the time of validity and after the name."""
    key = root_certificate(generate(Algorithm.RSA), gun=GUN, at=NOW)
    changed = NotaryKey.of(key.keytype, base64.b64encode(pem_of(signed_by(_read(key), last))).decode())
    assert certificate_fault(changed, gun=GUN, at=NOW) == fault
    assert certificate_fault(changed, gun=GUN, at=None) == fault
    assert "is a certificate for" in str(certificate_fault(changed, gun="other", at=NOW))


def test_two_of_one_key_have_two_ids() -> None:
    one, other = (root_certificate(OWN, gun=GUN, at=NOW) for _ in range(2))
    assert one.keyid != other.keyid
    assert one.canonical_keyid == other.canonical_keyid


def test_none_for_ed25519() -> None:
    with pytest.raises(KeyNotAccepted, match="no certificates of Ed25519 keys") as caught:
        root_certificate(generate(Algorithm.ED25519), gun=GUN, at=NOW)
    assert caught.value.key == "the root key"


def test_it_begins_at_the_same_moment_in_every_time_zone() -> None:
    for hours in (-11, 0, 5):
        certificate = _read(root_certificate(OWN, gun=GUN, at=NOW.astimezone(timezone(timedelta(hours=hours)))))
        assert certificate.not_valid_before_utc == NOW.replace(microsecond=0)


def test_names_may_be_as_long_as_collections_have_them() -> None:
    gun = "registry.example.com/" + "a" * 234
    assert certificate_fault(root_certificate(OWN, gun=gun, at=NOW), gun=gun, at=NOW) is None
    assert certificate_fault(root_certificate(OWN, gun=gun, at=NOW), gun=gun[:-1], at=NOW) is not None


@pytest.mark.parametrize(
    ("name", "fault"),
    [
        (GUN, None),
        ("registry.example.com:5000/team/*", None),
        ("registry.example.com:5000/team/app*", None),
        ("*", None),
        ("registry.example.com:5000/te**", None),
        (f"{GUN}x", "is a certificate for"),
        (GUN.upper(), "is a certificate for"),
        ("registry.example.com:5000/teams/*", "is a certificate for"),
        ("registry.example.com:5000/team", "is a certificate for"),
        ("regi*/app", "is a certificate for"),
    ],
)
def test_whose_name_it_has(name: str, fault: str | None) -> None:
    found = certificate_fault(_made(name), gun=GUN, at=NOW)
    assert found is None if fault is None else fault in str(found)


def test_the_last_of_several_names_counts_as_for_go() -> None:
    assert certificate_fault(_made("other", GUN), gun=GUN, at=NOW) is None
    assert certificate_fault(_made(GUN, "other"), gun=GUN, at=NOW) == "is a certificate for 'other'"


def test_of_a_foreign_name_eighty_characters_are_shown() -> None:
    for length, shown in ((80, "a" * 80), (81, "a" * 80)):
        key = root_certificate(OWN, gun="a" * length, at=NOW)
        assert certificate_fault(key, gun=GUN, at=NOW) == f"is a certificate for '{shown}'"


def _with_bits_for_a_name() -> NotaryKey:
    """A certificate with a BIT STRING as its organisation."""
    der = _read(_made(GUN)).public_bytes(Encoding.DER)
    assert der.count(b"\x0c\x04XXXX") == 2
    return _key_in(der.replace(b"\x0c\x04XXXX", b"\x03\x04\0XXX"))


def test_no_name_and_no_readable_name() -> None:
    assert certificate_fault(_made(), gun=GUN, at=NOW) == "is a certificate for ''"
    assert certificate_fault(_made(GUN, encoded=b"\xff\xfe\xff\xfe"), gun=GUN, at=NOW) == "has no readable name"
    assert certificate_fault(_with_bits_for_a_name(), gun=GUN, at=NOW) == "has no readable name"


def test_the_name_that_it_has() -> None:
    assert common_name(_made("other", GUN)) == GUN
    assert common_name(_made("example.com/*")) == "example.com/*"
    assert common_name(_made()) == ""
    with pytest.raises(ValueError):
        common_name(_made(GUN, encoded=b"\xff\xfe\xff\xfe"))
    with pytest.raises(ValueError):
        common_name(_with_bits_for_a_name())
    with pytest.raises(KeyNotAccepted):
        common_name(NotaryKey.of("ecdsa-x509", "AAAA"))


def test_when_it_is_valid_is_looked_at_only_if_asked() -> None:
    key = root_certificate(OWN, gun=GUN, at=NOW)
    start = NOW.replace(microsecond=0)
    for at in (start - LEEWAY, start, start + LIFETIME, None):
        assert certificate_fault(key, gun=GUN, at=at) is None
    for at in (start - LEEWAY - timedelta(seconds=1), start + LIFETIME + timedelta(seconds=1)):
        fault = certificate_fault(key, gun=GUN, at=at)
        assert fault == "is a certificate that is valid from 2026-11-01 to 2036-10-29 only"


def test_what_is_no_certificate() -> None:
    assert certificate_fault(bare_key(OWN.public_key()), gun=GUN, at=NOW) == "is no certificate"
    with pytest.raises(KeyNotAccepted):
        certificate_fault(NotaryKey.of("ecdsa-x509", "AAAA"), gun=GUN, at=NOW)


def _as_old_go_wrote_it(name: str) -> NotaryKey:
    """A certificate whose common names are PrintableString, whatever is in them."""
    der = _read(_made(name)).public_bytes(Encoding.DER)
    return _key_in(as_printable(der, name.encode()))


def _key_in(der: bytes) -> NotaryKey:
    return NotaryKey.of("ecdsa-x509", base64.b64encode(pem_of(der)).decode())


class TestOldGo:
    """Up to Go 1.9 `*` stood in a PrintableString, and Go reads it so to this day."""

    @pytest.mark.parametrize("name", ["registry.example.com:5000/*", "registry.example.com:5000/team/app*", "*"])
    def test_a_pattern_speaks_for_the_names_that_it_matches(self, name: str) -> None:
        key = _as_old_go_wrote_it(name)
        with pytest.raises(ValueError, match="PrintableString"):
            _read(key)
        assert certificate_fault(key, gun=GUN, at=NOW) is None
        assert common_name(key) == name

    @pytest.mark.parametrize("name", ["docker/*", "registry.example.com:5000/team/app2*", "a&b"])
    def test_and_for_no_others(self, name: str) -> None:
        fault = certificate_fault(_as_old_go_wrote_it(name), gun=GUN, at=NOW)
        assert fault == f"is a certificate for {name!r}"

    def test_its_dates_and_its_key_are_what_they_were(self) -> None:
        key = _as_old_go_wrote_it("registry.example.com:5000/*")
        assert "is valid from" in str(certificate_fault(key, gun=GUN, at=NOW + timedelta(days=2)))
        assert key.read() == OWN.public_key()
        assert key.canonical_keyid == bare_key(OWN.public_key()).keyid

    @pytest.mark.parametrize("name", ["docker_app/*", "docker/@*", "docker/_"])
    def test_other_characters_are_refused_as_go_refuses_them(self, name: str) -> None:
        key = _as_old_go_wrote_it(name)
        with pytest.raises(KeyNotAccepted):
            certificate_fault(key, gun=GUN, at=NOW)

    def test_other_faults_stay_faults(self) -> None:
        """A pattern in the name excuses nothing else."""
        name = "registry.example.com:5000/*"
        der = as_printable(_read(_made(name)).public_bytes(Encoding.DER), name.encode())
        for broken in (der[:-1], der + b"\0", der[:40] + der[41:], b"\x30\x03" + der, b""):
            with pytest.raises(KeyNotAccepted):
                _key_in(broken).read()

    def test_only_names_are_changed(self) -> None:
        der = _read(_made("docker/*")).public_bytes(Encoding.DER)
        assert with_readable_names(der) == der, "newer Go writes UTF8String"
        assert with_readable_names(b"\x30\x00") == b"\x30\x00"
        assert with_readable_names(b"no certificate") == b"no certificate"
        assert with_readable_names(b"\x30\x84\0\0\0\0") == b"\x30\x84\0\0\0\0"
        printable = as_printable(der, b"docker/*")
        assert with_readable_names(printable) == der
        assert with_readable_names(printable[:-1]) == printable[:-1], "it ends too early"

    def test_a_length_without_an_end_is_none(self) -> None:
        """DER has no indefinite lengths (X.690, 10.1)."""

        def element(tag: int, content: bytes, length: bytes = b"") -> bytes:
            return bytes([tag]) + (length or b"\x82" + len(content).to_bytes(2)) + content

        def certificate(length: bytes) -> bytes:
            value = element(0x06, b"\x55\x04\x03") + element(0x13, b"*" * 0x80, length)
            name = element(0x30, element(0x31, element(0x30, value)))
            part = element(0x30, b"")
            return element(0x30, element(0x30, element(0x02, b"\1") + part + name + part + name))

        assert with_readable_names(certificate(b"\x81\x80")) != certificate(b"\x81\x80")
        assert with_readable_names(certificate(b"\x80")) == certificate(b"\x80")

    def test_a_pattern_does_not_excuse_what_is_no_base64(self) -> None:
        der = as_printable(_read(_made("docker/*")).public_bytes(Encoding.DER), b"docker/*")
        text = base64.b64encode(der)
        text = text[:8] + b"==" + text[8:]
        with pytest.raises(ValueError, match="padding"):
            load_pem_certificate(b"-----BEGIN CERTIFICATE-----\n" + text + b"\n-----END CERTIFICATE-----\n")


def test_a_version_that_does_not_exist_is_named() -> None:
    der = _read(_made("x")).public_bytes(Encoding.DER).replace(b"\xa0\x03\x02\x01\x02", b"\xa0\x03\x02\x01\x09", 1)
    for load, raw in ((load_der_certificate, der), (load_pem_certificate, pem_of(der))):
        with pytest.raises(ValueError, match="9"):
            load(raw)


def test_the_name_and_that_of_the_issuer() -> None:
    names = [x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)]) for name in ("subject", "issuer")]
    builder = x509.CertificateBuilder().subject_name(names[0]).issuer_name(names[1]).public_key(OWN.public_key())
    dated = builder.serial_number(1).not_valid_before(NOW).not_valid_after(NOW + timedelta(days=1))
    certificate = dated.sign(OWN, SHA256())
    assert [name_of(certificate), name_of(certificate, issuer=True)] == names
    bits = _made("x", encoded=b"XXXX")
    der = _read(bits).public_bytes(Encoding.DER).replace(b"\x0c\x04XXXX", b"\x03\x04\0XXX")
    with pytest.raises(ValueError, match=r"BIT STRING|BitString|bit string|x500UniqueIdentifier"):
        name_of(x509.load_der_x509_certificate(der))


@pytest.mark.parametrize("blank", [b"\n", b" ", b"\r\n", b" \n"])
def test_blanks_without_end_are_no_certificate_and_cost_no_square_of_their_number(blank: bytes) -> None:
    # The square of a million takes hours, in which no other thread of a server runs.
    with pytest.raises(ValueError, match="PEM"):
        load_pem_certificate(b"-----BEGIN CERTIFICATE-----" + blank * 1_000_000 + b"!")


def test_a_long_name_costs_no_square_of_its_length() -> None:
    def element(tag: int, *parts: bytes) -> bytes:
        content = b"".join(parts)
        return bytes([tag, 0x83]) + len(content).to_bytes(3) + content

    def certificate(text: bytes) -> bytes:
        value = element(0x13, text)
        name = element(0x30, element(0x31, element(0x30, element(0x06, b"\x55\x04\x03"), value)))
        part = element(0x30)
        return element(0x30, element(0x30, element(0x02, b"\1"), part, name, part, name, part))

    stars = b"*" * 1_000_000
    assert with_readable_names(certificate(stars + b"_")) == certificate(stars + b"_")
    assert with_readable_names(certificate(stars)) == certificate(stars).replace(b"\x13\x83", b"\x0c\x83")


def test_a_certificate_lives_as_long_as_the_root_that_holds_it() -> None:
    """`keys` knows of no roots, and so cannot ask how long one lives."""
    assert NOTARY_LIFETIMES.root == LIFETIME


def test_the_fingerprint_is_that_of_the_bytes_that_stand_there() -> None:
    made = _made("registry.example.com/app")
    assert certificate_fingerprint(made) == _read(made).fingerprint(SHA256()).hex()
    old = _as_old_go_wrote_it("registry.example.com/*")
    pem = base64.b64decode(old.keyval["public"]).decode()
    der = base64.b64decode("".join(pem.split("-----")[2].split()))
    assert certificate_fingerprint(old) == hashlib.sha256(der).hexdigest()


_BEGIN = b"-----BEGIN CERTIFICATE-----"


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (b" CERTIFICATE-----", b" X509 CERTIFICATE-----"),
        (b" CERTIFICATE-----", b" TRUSTED CERTIFICATE-----"),
        (_BEGIN + b"\n", _BEGIN),
        (_BEGIN + b"\n", _BEGIN + b"\r"),
        (_BEGIN + b"\n", _BEGIN + b" \n"),
        (_BEGIN + b"\n", _BEGIN + b"\x0b\n"),
        (_BEGIN + b"\n", _BEGIN + b"\nName: value\n\n"),
        (b"-----END ", b"----- END "),
        (b"", b""),
    ],
)
def test_key_name_and_fingerprint_are_those_of_one_certificate_of_a_text(old: bytes, new: bytes) -> None:
    """Somebody's own certificate in an odd form, before a known one, must not sign under the fingerprint of that."""
    own, known = generate(Algorithm.ECDSA_P256), generate(Algorithm.ECDSA_P256)
    parts = {each: root_certificate(key, gun=each, at=NOW) for each, key in (("own", own), ("known", known))}
    texts = {each: base64.b64decode(key.keyval["public"]) for each, key in parts.items()}
    assert old in texts["own"]
    both = NotaryKey.of("ecdsa-x509", base64.b64encode(texts["own"].replace(old, new) + texts["known"]).decode())
    name = common_name(both)
    assert bare_key(both.read()) == bare_key({"own": own, "known": known}[name].public_key())
    assert certificate_fingerprint(both) == certificate_fingerprint(parts[name])


@pytest.mark.parametrize("public", ["", "A", base64.b64encode(b"no certificate").decode()])
def test_what_has_no_fingerprint(public: str) -> None:
    assert certificate_fingerprint(NotaryKey.of("ecdsa-x509", public)) is None
    assert certificate_fingerprint(bare_key(generate(Algorithm.ECDSA_P256).public_key())) is None


def test_who_has_issued_a_certificate() -> None:
    corp = Issuer.root("Corp")
    assert issuer_of(notary_key_of(corp.issue(GUN, OWN))) == "CN=Corp"
    assert issuer_of(root_certificate(OWN, gun=GUN, at=NOW)) == ""
    assert issuer_of(bare_key(OWN.public_key())) == ""
    # Python would warn on the terminal of a name that is longer than 64 characters; here that ends the test.
    assert issuer_of(root_certificate(OWN, gun=f"example.com/{'x' * 80}", at=NOW)) == ""
    for text in ("", "A", base64.b64encode(b"no certificate").decode()):
        assert issuer_of(NotaryKey.of("ecdsa-x509", text)) == ""


@pytest.mark.parametrize("content", [b"\x02\x01\x05", b"\x30\x03\x02\x01\x05", b""])
def test_what_is_der_and_no_certificate_keeps_its_bytes(content: bytes) -> None:
    der = bytes((0x30, len(content))) + content
    assert with_readable_names(der) == der
