"""Backups of version 1, as an earlier program wrote them: they open, and their keys sign."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import pytest

from keys.backup.archive import (
    KIND,
    Backup,
    PassphraseSeal,
    SharedSeal,
    key_from_passphrase,
    open_archive,
    read_archive,
)
from keys.backup.opening import key_from_shares, prove
from keys.backup.share_text import read_share_text

FOLDER: Final = Path(__file__).with_name("backup")


def backup(name: str) -> Backup:
    return read_archive((FOLDER / name).read_bytes(), place=name)


def proven(found: Backup, key: bytes) -> None:
    prove(found, open_archive(found, key))
    assert [(info.purpose, info.name, info.retired) for info in found.infos] == [
        ("signer", "alice", False),
        ("root", "", True),
    ]
    assert [each.uri for each in found.elsewhere] == ["pkcs11:serial=0123?module-path=/usr/lib/token.so"]
    assert found.by == "ann@laptop"


def test_the_version_has_a_file_here() -> None:
    """A new one needs its own, beside that of every version before it."""
    assert KIND.known == 1


def test_one_that_a_passphrase_opens() -> None:
    found = backup("passphrase.backup")
    assert isinstance(found.seal, PassphraseSeal)
    proven(found, key_from_passphrase(found, found.seal, "a passphrase of the tests"))


def test_one_that_shares_open() -> None:
    pytest.importorskip("shamir_mnemonic", reason="shamir-mnemonic is not installed")
    found = backup("shared.backup")
    assert isinstance(found.seal, SharedSeal)
    shares = [read_share_text(path.read_bytes(), place=path.name) for path in sorted(FOLDER.glob("*.txt"))]
    proven(found, key_from_shares(found, found.seal, shares))
