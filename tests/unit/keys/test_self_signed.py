"""Which names a certificate of a program's own making is for. How it is renewed: tests/unit/server/test_tls.py."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final, TypeVar

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, load_pem_private_key
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from keys.algorithms import Algorithm, generate
from keys.self_signed import CA_LIFETIME, LEAF_LIFETIME, RENEW_BEFORE, self_signed_files

NOW = datetime(2026, 11, 30, tzinfo=UTC)
SERVER_AUTH: Final = ExtendedKeyUsageOID.SERVER_AUTH
Ext = TypeVar("Ext", bound=x509.ExtensionType)


def test_each_host_is_named_once_as_what_it_is(tmp_path: Path) -> None:
    hosts = ("a.example.com", "", "10.0.0.7", "a.example.com", "::1", "bücher.example.com")
    files = self_signed_files(tmp_path / "tls", hosts=hosts, subject="a program", at=NOW)
    served = x509.load_pem_x509_certificate(files.certificate.read_bytes())
    names = served.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert [str(name.value) for name in names] == ["a.example.com", "10.0.0.7", "::1"]
    assert [type(name) for name in names] == [x509.DNSName, x509.IPAddress, x509.IPAddress]
    authority = x509.load_pem_x509_certificate(files.ca.read_bytes())
    served.verify_directly_issued_by(authority)
    (called,) = authority.subject.get_attributes_for_oid(NameOID.COMMON_NAME)
    assert called.value == "a program CA"


def extension(certificate: x509.Certificate, kind: type[Ext]) -> tuple[Ext, bool]:
    found = certificate.extensions.get_extension_for_class(kind)
    return found.value, found.critical


def usage(*, certificates: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=True,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=certificates,
        crl_sign=certificates,
        encipher_only=False,
        decipher_only=False,
    )


def test_the_authority_signs_certificates_of_servers_and_they_sign_none(tmp_path: Path) -> None:
    files = self_signed_files(tmp_path / "tls", hosts=["a"], subject="a program", at=NOW)
    authority, served = (x509.load_pem_x509_certificate(file.read_bytes()) for file in (files.ca, files.certificate))
    assert extension(authority, x509.BasicConstraints) == (x509.BasicConstraints(ca=True, path_length=0), True)
    assert extension(authority, x509.KeyUsage) == (usage(certificates=True), True)
    identifier = x509.SubjectKeyIdentifier.from_public_key(authority.public_key())
    assert extension(authority, x509.SubjectKeyIdentifier) == (identifier, False)
    assert extension(served, x509.BasicConstraints) == (x509.BasicConstraints(ca=False, path_length=None), True)
    assert extension(served, x509.KeyUsage) == (usage(certificates=False), True)
    assert extension(served, x509.ExtendedKeyUsage) == (x509.ExtendedKeyUsage([SERVER_AUTH]), False)
    names = x509.SubjectAlternativeName([x509.DNSName("a")])
    assert extension(served, x509.SubjectAlternativeName) == (names, False)
    by = x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(identifier)
    assert extension(served, x509.AuthorityKeyIdentifier) == (by, False)
    for certificate, lifetime in ((authority, CA_LIFETIME), (served, LEAF_LIFETIME)):
        assert certificate.not_valid_before_utc == NOW - timedelta(hours=1)
        assert certificate.not_valid_after_utc == NOW + lifetime


def test_clients_may_read_certificates_and_nobody_else_a_key(tmp_path: Path) -> None:
    files = self_signed_files(tmp_path / "tls", hosts=["a"], subject="a program", at=NOW)
    modes = {file.name: file.stat().st_mode & 0o777 for file in (tmp_path / "tls").iterdir()}
    assert modes == {"ca.key": 0o600, "ca.crt": 0o644, "server.key": 0o600, "server.crt": 0o644}
    assert {file.name for file in (files.ca, files.certificate, files.key)} == set(modes) - {"ca.key"}
    key = load_pem_private_key(files.key.read_bytes(), None)
    assert key.public_key() == x509.load_pem_x509_certificate(files.certificate.read_bytes()).public_key()


def test_what_is_good_is_kept_and_an_authority_without_its_key_is_made_anew(tmp_path: Path) -> None:
    def content() -> dict[str, bytes]:
        self_signed_files(tmp_path / "tls", hosts=["a", "10.0.0.7"], subject="a program", at=NOW)
        return {file.name: file.read_bytes() for file in (tmp_path / "tls").iterdir()}

    made = content()
    assert content() == made
    for missing in ("ca.key", "ca.crt"):
        (tmp_path / "tls" / missing).unlink()
        again = content()
        assert [name for name in made if again[name] == made[name]] == []
        made = again


def certificates(folder: Path, at: datetime, *hosts: str) -> tuple[bytes, bytes]:
    """The certificate that is served at this time, and the authority's."""
    files = self_signed_files(folder, hosts=hosts or ["a"], subject="a program", at=at)
    return files.certificate.read_bytes(), files.ca.read_bytes()


def test_a_certificate_is_for_its_key(tmp_path: Path) -> None:
    """Nobody could be served with another key: handshakes would fail."""
    served, authority = certificates(tmp_path / "tls", NOW)
    key = tmp_path / "tls" / "server.key"
    certificates(tmp_path / "other", NOW)
    key.write_bytes((tmp_path / "other" / "server.key").read_bytes())
    again, still = certificates(tmp_path / "tls", NOW)
    assert (again != served, still == authority) == (True, True)
    public = x509.load_pem_x509_certificate(again).public_key()
    assert load_pem_private_key(key.read_bytes(), None).public_key() == public


def test_a_certificate_is_made_anew_in_time_and_not_before(tmp_path: Path) -> None:
    made = certificates(tmp_path, NOW)
    last = NOW + LEAF_LIFETIME - RENEW_BEFORE
    assert certificates(tmp_path, last - timedelta(seconds=1)) == made
    served, authority = certificates(tmp_path, last)
    assert (served != made[0], authority == made[1]) == (True, True)


def test_an_authority_is_made_anew_in_time_and_not_before(tmp_path: Path) -> None:
    _, made = certificates(tmp_path, NOW)
    last = NOW + CA_LIFETIME - RENEW_BEFORE
    assert certificates(tmp_path, last - timedelta(seconds=1))[1] == made
    assert certificates(tmp_path, last)[1] != made


def test_a_certificate_of_a_clock_that_was_ahead_is_made_anew(tmp_path: Path) -> None:
    """From the first second of the authority on; before that it is now that the clock is wrong."""
    begin = NOW - timedelta(hours=1)
    made = certificates(tmp_path, NOW)
    assert certificates(tmp_path, begin) == made, "which both are good from then on"
    ahead, authority = certificates(tmp_path, NOW + timedelta(days=40), "b")
    assert authority == made[1]
    assert certificates(tmp_path, begin - timedelta(seconds=1), "b") == (ahead, authority)
    again, still = certificates(tmp_path, begin, "b")
    assert (again != ahead, still == authority) == (True, True)


def test_a_damaged_authority_is_not_replaced(tmp_path: Path) -> None:
    files = self_signed_files(tmp_path / "tls", hosts=["a"], subject="a program", at=NOW)
    files.ca.write_text("damaged")
    with pytest.raises(ValueError, match="holds a damaged CA"):
        self_signed_files(tmp_path / "tls", hosts=["a"], subject="a program", at=NOW)
    assert files.ca.read_text() == "damaged"


def test_an_authority_with_a_key_of_another_kind_is_damaged(tmp_path: Path) -> None:
    folder = tmp_path / "tls"
    self_signed_files(folder, hosts=["a"], subject="a program", at=NOW)
    other = generate(Algorithm.ED25519).private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    (folder / "ca.key").write_bytes(other)
    with pytest.raises(ValueError, match="holds a damaged CA"):
        self_signed_files(folder, hosts=["b"], subject="a program", at=NOW)
    assert (folder / "ca.key").read_bytes() == other
