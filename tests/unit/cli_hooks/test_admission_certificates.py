"""The webhook's own certificate: made once, for the names that were given, and made anew in time."""

from __future__ import annotations

import base64
import ssl
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509

from trustcli.errors import SettingsUnusable
from trustcli.hooks.kubernetes.certificates import OwnCertificate, ServedCertificate, ca_bundle

NOW = datetime(2026, 11, 30, tzinfo=UTC)


class Time:
    """A clock that is moved by hand."""

    def __init__(self) -> None:
        self.at = NOW
        self.seconds = 0.0

    def passes(self, by: timedelta) -> None:
        self.at += by
        self.seconds += by.total_seconds()


def _own(folder: Path, time: Time, *names: str) -> OwnCertificate:
    return OwnCertificate(folder, dns_names=names, at=lambda: time.at, clock=lambda: time.seconds)


def _served(folder: Path) -> x509.Certificate:
    return x509.load_pem_x509_certificate((folder / "server.crt").read_bytes())


def test_it_is_for_the_names_of_the_service(tmp_path: Path) -> None:
    folder = tmp_path / "tls"
    own = _own(folder, Time(), "a.b.svc", "a.b.svc.cluster.local", "10.0.0.7")
    names = _served(folder).extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert names.get_values_for_type(x509.DNSName) == ["a.b.svc", "a.b.svc.cluster.local", "localhost"]
    assert [str(ip) for ip in names.get_values_for_type(x509.IPAddress)] == ["10.0.0.7", "127.0.0.1", "::1"]
    authority = x509.load_pem_x509_certificate(base64.b64decode(ca_bundle(own.ca)))
    _served(folder).verify_directly_issued_by(authority)
    assert own.expiry() == _served(folder).not_valid_after_utc.timestamp()
    assert isinstance(own(), ssl.SSLContext)
    assert (folder / "ca.key").stat().st_mode & 0o077 == 0


def test_it_stays_until_it_is_about_to_expire(tmp_path: Path) -> None:
    folder, time = tmp_path / "tls", Time()
    own = _own(folder, time)
    first, bundle = _served(folder), ca_bundle(own.ca)
    context = own()
    time.passes(timedelta(days=360))
    assert own() is context
    assert _served(folder) == first
    time.passes(timedelta(days=10))
    assert own() is not context
    assert _served(folder) != first
    assert ca_bundle(own.ca) == bundle
    assert _own(folder, time).expiry() == own.expiry()


def test_one_that_cannot_be_renewed_serves_on(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    folder, time = tmp_path / "tls", Time()
    own = _own(folder, time)
    context = own()
    (folder / "ca.crt").write_text("damaged")
    time.passes(timedelta(days=390))
    assert own() is context
    assert "the certificate is not renewed" in caplog.text
    assert "holds a damaged CA" in caplog.text
    with pytest.raises(SettingsUnusable, match="holds a damaged CA"):
        _own(folder, time)


def test_a_folder_that_cannot_be_used_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(SettingsUnusable, match="no certificate can be kept there"):
        _own(tmp_path / "file", Time())


def test_files_that_are_gone_expire_at_once(tmp_path: Path) -> None:
    folder = tmp_path / "tls"
    time = Time()
    own = _own(folder, time)
    files = ServedCertificate(folder / "server.crt", folder / "server.key", at=lambda: time.at)
    assert files.expiry() == own.expiry()
    (folder / "server.crt").write_text("gone")
    assert files.expiry() == 0
    (folder / "server.crt").unlink()
    assert files.expiry() == 0
