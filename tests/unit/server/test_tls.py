"""Certificates made here: kept, renewed in time, for the names that are asked for."""

from __future__ import annotations

import ssl
from datetime import timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.x509.verification import PolicyBuilder, Store

from keys.self_signed import LEAF_LIFETIME
from tests.support.server_owner import NOW
from trustserver.errors import StartRefused
from trustserver.process.self_signed import self_signed_files
from trustserver.process.tls import ServedCertificate, TlsFiles


def leaf(folder: Path) -> x509.Certificate:
    return x509.load_pem_x509_certificate((folder / "server.crt").read_bytes())


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_the_certificate_verifies_for_its_names_under_its_ca(tmp_path: Path) -> None:
    files = self_signed_files(tmp_path / "tls", host="build-7.example.com", at=NOW)
    assert files.ca == tmp_path / "tls" / "ca.crt"
    ca = x509.load_pem_x509_certificate((tmp_path / "tls" / "ca.crt").read_bytes())
    policy = PolicyBuilder().store(Store([ca])).time(NOW)
    for name in ("localhost", "build-7.example.com"):
        policy.build_server_verifier(x509.DNSName(name)).verify(leaf(tmp_path / "tls"), [])
    with pytest.raises(x509.verification.VerificationError):
        policy.build_server_verifier(x509.DNSName("other.example.com")).verify(leaf(tmp_path / "tls"), [])
    for name in ("ca.key", "server.key"):
        assert (tmp_path / "tls" / name).stat().st_mode & 0o777 == 0o600
    assert ServedCertificate(files).context.minimum_version is ssl.TLSVersion.TLSv1_2


@pytest.mark.parametrize(
    ("address", "added"),
    [
        ("10.9.0.1", ["10.9.0.1"]),
        ("fd00:9::1", ["fd00:9::1"]),
        *((each, []) for each in ("0.0.0.0", "::", "localhost")),
    ],
)
def test_the_address_that_is_listened_on_is_named_too(tmp_path: Path, address: str, added: list[str]) -> None:
    """Who listens on one address of the machine is reached there, and the CA stays what clients were given."""
    self_signed_files(tmp_path / "tls", host="h", at=NOW)
    before = contents(tmp_path / "tls")
    for _ in range(2):
        self_signed_files(tmp_path / "tls", host="h", at=NOW, address=address)
        names = leaf(tmp_path / "tls").extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        ips = [str(ip) for ip in names.get_values_for_type(x509.IPAddress)]
        assert ips == ["127.0.0.1", "::1", *added]
    after = contents(tmp_path / "tls")
    assert after["ca.crt"] == before["ca.crt"]
    assert (after == before) == (not added)


def test_a_second_start_changes_nothing(tmp_path: Path) -> None:
    self_signed_files(tmp_path / "tls", host="h", at=NOW)
    before = contents(tmp_path / "tls")
    self_signed_files(tmp_path / "tls", host="h", at=NOW + timedelta(days=300))
    assert contents(tmp_path / "tls") == before


def test_a_certificate_that_a_clock_ahead_has_made_is_made_anew(tmp_path: Path) -> None:
    """Nobody would accept it for the length of the jump; the CA, which clients were given, stays."""
    folder = tmp_path / "tls"
    self_signed_files(folder, host="h", at=NOW)
    before = contents(folder)
    self_signed_files(folder, host="h", at=NOW + timedelta(days=730))
    assert leaf(folder).not_valid_before_utc > NOW
    self_signed_files(folder, host="h", at=NOW)
    assert leaf(folder).not_valid_before_utc <= NOW
    assert leaf(folder).not_valid_after_utc <= NOW + LEAF_LIFETIME
    after = contents(folder)
    assert (after["ca.crt"], after["ca.key"]) == (before["ca.crt"], before["ca.key"])


def test_a_machine_that_does_not_know_the_time_yet_keeps_its_certificate(tmp_path: Path) -> None:
    """A new one would have expired for every client."""
    self_signed_files(tmp_path / "tls", host="h", at=NOW)
    before = contents(tmp_path / "tls")
    self_signed_files(tmp_path / "tls", host="h", at=NOW - timedelta(days=10_000))
    assert contents(tmp_path / "tls") == before


@pytest.mark.parametrize("reason", ["nearly expired", "another host", "damaged", "key of another"])
def test_the_certificate_is_renewed_under_the_same_ca(tmp_path: Path, reason: str) -> None:
    folder = tmp_path / "tls"
    self_signed_files(folder, host="h", at=NOW)
    before = contents(folder)
    host, at = "h", NOW
    if reason == "nearly expired":
        at = NOW + timedelta(days=370)
    elif reason == "another host":
        host = "new"
    elif reason == "damaged":
        (folder / "server.crt").write_text("-----BEGIN")
    else:
        (folder / "server.key").write_bytes(before["ca.key"])
    self_signed_files(folder, host=host, at=at)
    after = contents(folder)
    assert (after["ca.crt"], after["ca.key"]) == (before["ca.crt"], before["ca.key"])
    assert after["server.crt"] != before["server.crt"]
    ServedCertificate(TlsFiles(certificate=folder / "server.crt", key=folder / "server.key"))


def test_a_damaged_ca_is_not_silently_replaced(tmp_path: Path) -> None:
    folder = tmp_path / "tls"
    self_signed_files(folder, host="h", at=NOW)
    (folder / "ca.key").write_text("nonsense")
    (folder / "server.crt").unlink()
    with pytest.raises(StartRefused):
        self_signed_files(folder, host="h", at=NOW)


def test_files_that_do_not_belong_together_are_refused(tmp_path: Path) -> None:
    one = self_signed_files(tmp_path / "one", host="h", at=NOW)
    two = self_signed_files(tmp_path / "two", host="h", at=NOW)
    for certificate, key in ((one.certificate, two.key), (one.key, one.key), (tmp_path / "absent", one.key)):
        with pytest.raises(StartRefused):
            ServedCertificate(TlsFiles(certificate=certificate, key=key))
