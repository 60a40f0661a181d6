"""Which names a certificate of a program's own making is for. How it is renewed: tests/unit/server/test_tls.py."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.x509.oid import NameOID

from keys.self_signed import self_signed_files

NOW = datetime(2026, 11, 30, tzinfo=UTC)


def test_each_host_is_named_once_as_what_it_is(tmp_path: Path) -> None:
    hosts = ("a.example.com", "", "10.0.0.7", "a.example.com", "::1", "bücher.example.com")
    files = self_signed_files(tmp_path / "tls", hosts=hosts, subject="a program", at=NOW)
    served = x509.load_pem_x509_certificate(files.certificate.read_bytes())
    names = served.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert [str(name.value) for name in names] == ["a.example.com", "10.0.0.7", "::1"]
    authority = x509.load_pem_x509_certificate(files.ca.read_bytes())
    served.verify_directly_issued_by(authority)
    (called,) = authority.subject.get_attributes_for_oid(NameOID.COMMON_NAME)
    assert called.value == "a program CA"


def test_a_damaged_authority_is_not_replaced(tmp_path: Path) -> None:
    files = self_signed_files(tmp_path / "tls", hosts=["a"], subject="a program", at=NOW)
    files.ca.write_text("damaged")
    with pytest.raises(ValueError, match="holds a damaged CA"):
        self_signed_files(tmp_path / "tls", hosts=["a"], subject="a program", at=NOW)
    assert files.ca.read_text() == "damaged"
