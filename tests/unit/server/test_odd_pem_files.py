"""The server's PEM files are read whatever an editor has made of them; else it says which is wrong, and how."""

from __future__ import annotations

import ssl
from collections.abc import Callable
from pathlib import Path

import pytest

from keys.foreign_files import Wanted
from keys.material import write_private_pem
from keys.private_blocks import read_private_pem
from tests.simulator.memory_store import MemoryStore
from tests.simulator.token_issuer import certify
from tests.support.foreign_keys import FOREIGN, Foreign
from tests.support.odd_keys import CHANGES, Change
from tests.support.server_owner import NOW
from trustserver.auth.token_keys import load_keys
from trustserver.errors import StartRefused
from trustserver.process.self_signed import self_signed_files
from trustserver.process.tls import ServedCertificate, TlsFiles
from trustserver.storage.sealed_keys import open_seal


@pytest.mark.parametrize("change", CHANGES.values(), ids=list(CHANGES))
def test_files_are_served_whatever_an_editor_has_made_of_them(tmp_path: Path, change: Change) -> None:
    files = self_signed_files(tmp_path / "tls", host="h", at=NOW)
    certificate, key = tmp_path / "odd.crt", tmp_path / "odd.key"
    certificate.write_bytes(change(files.certificate.read_bytes()))
    key.write_bytes(change(files.key.read_bytes()))
    served = ServedCertificate(TlsFiles(certificate=certificate, key=key))
    assert served.context.minimum_version is ssl.TLSVersion.TLSv1_2


def test_what_is_wrong_with_which_of_the_two_files_is_told(tmp_path: Path) -> None:
    files = self_signed_files(tmp_path / "tls", host="h", at=NOW)
    other = self_signed_files(tmp_path / "other", host="h", at=NOW)
    odd = tmp_path / "odd.pem"
    encrypted = write_private_pem(read_private_pem(files.key.read_bytes(), None, place="p"), b"secret")
    for content, as_key, said in (
        (b"", True, "it is empty"),
        (files.certificate.read_bytes(), True, "it holds a certificate where a private key is wanted"),
        (encrypted, True, "is encrypted"),
        (files.key.read_bytes()[:-20], True, "it is cut off"),
        (other.key.read_bytes(), True, "does not belong to"),
        (b"<html>", False, "it is a web page"),
        (
            b"-----BEGIN PUBLIC KEY-----\nMAA=\n-----END PUBLIC KEY-----\n",
            False,
            "holds a public key where a certificate",
        ),
    ):
        odd.write_bytes(content)
        pair = TlsFiles(certificate=files.certificate, key=odd) if as_key else TlsFiles(certificate=odd, key=files.key)
        with pytest.raises(StartRefused, match=said) as caught:
            ServedCertificate(pair)
        assert caught.value.what == str(files.certificate if "belong" in said else odd)


@pytest.mark.parametrize("change", CHANGES.values(), ids=list(CHANGES))
def test_certificates_are_read_whatever_an_editor_has_made_of_their_file(tmp_path: Path, change: Change) -> None:
    file = tmp_path / "tokens.crt"
    file.write_bytes(change(certify(NOW).pem))
    assert load_keys(file, None) is not None


def test_what_holds_no_certificates_is_told_for_what_it_is(tmp_path: Path) -> None:
    file = tmp_path / "tokens.crt"
    for content, said in (
        (
            b"-----BEGIN PUBLIC KEY-----\nMAA=\n-----END PUBLIC KEY-----\n",
            "it holds a public key where a certificate is wanted",
        ),
        (b"<html></html>", "it is a web page"),
    ):
        file.write_bytes(content)
        with pytest.raises(StartRefused, match=f"holds no certificates in PEM.*{said}"):
            load_keys(file, None)


@pytest.mark.parametrize("foreign", FOREIGN.values(), ids=list(FOREIGN))
def test_files_in_other_forms_are_told_with_the_command_that_converts_them(tmp_path: Path, foreign: Foreign) -> None:
    """For the key of TLS, for its certificate, for those of tokens, and for the seal key, which nothing becomes."""
    files = self_signed_files(tmp_path / "tls", host="h", at=NOW)
    odd = tmp_path / "odd.file"
    odd.write_bytes(foreign.data)
    odd.chmod(0o600)
    refusals: list[tuple[Callable[[], object], Wanted | None]] = [
        (lambda: ServedCertificate(TlsFiles(certificate=files.certificate, key=odd)), "unencrypted private key"),
        (lambda: ServedCertificate(TlsFiles(certificate=odd, key=files.key)), "certificate"),
        (lambda: load_keys(odd, None), "certificate"),
        (lambda: open_seal(MemoryStore(), odd, may_create=False), None),
    ]
    for refused, wanted in refusals:
        with pytest.raises(StartRefused) as caught:
            refused()
        assert caught.value.what == str(odd)
        assert foreign.kind in caught.value.reason
        if wanted is not None:
            assert foreign.commands.get(wanted, "").replace("FILE", str(odd)) in caught.value.reason
        else:
            assert "is no seal key: 32 bytes in base64 are wanted, and it " in caught.value.reason
            assert "PEM is wanted" not in caught.value.reason
