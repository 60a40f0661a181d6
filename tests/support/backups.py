"""Backups of keys, made without the command, and the text of their shares."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

import pytest

from keys.algorithms import PrivateKey, generate
from keys.backup import archive
from keys.backup.archive import Backup, Elsewhere, PassphraseSeal, SharedSeal
from keys.backup.share_text import write_share
from keys.backup.slip39 import Share, split
from keys.key_info import KeyInfo
from tests.support.cheap_keys import CHEAP

AT: Final = datetime(2026, 11, 30, 3, 4, 5, tzinfo=UTC)
PASSPHRASE: Final = "Sicherungs-Geheimnis-8"
ALICE: Final = generate()
KEYS: Final[tuple[tuple[KeyInfo, PrivateKey], ...]] = (
    (KeyInfo.of(ALICE, purpose="signer", name="alice", created=AT), ALICE),
)


@dataclass(frozen=True, kw_only=True)
class Made:
    """A backup, with what opens it."""

    data: bytes
    key: bytes
    shares: tuple[Share, ...] = ()

    @property
    def read(self) -> Backup:
        return archive.read_archive(self.data, place="keys.backup")

    def text(self, number: int, *, qr: bool = False) -> bytes:
        backup = self.read
        assert isinstance(backup.seal, SharedSeal)
        return write_share(
            self.shares[number - 1],
            backup.seal,
            backup=backup.name,
            file="keys.backup",
            created=AT,
            by="ann@laptop",
            qr=qr,
        )


def sealed(
    keys: Sequence[tuple[KeyInfo, PrivateKey]] = KEYS,
    *,
    passphrase: str = PASSPHRASE,
    elsewhere: Sequence[Elsewhere] = (),
) -> Made:
    """A backup under a passphrase."""
    name, key = archive.new_name(), archive.new_key()
    return _made(keys, key, archive.seal_key(key, passphrase, name=name, cost=CHEAP), name, elsewhere=elsewhere)


def shared(threshold: int = 2, count: int = 3, keys: Sequence[tuple[KeyInfo, PrivateKey]] = KEYS) -> Made:
    """A backup that shares open; where their library is missing the test is skipped."""
    pytest.importorskip("shamir_mnemonic", reason="shamir-mnemonic is not installed")
    name, key = archive.new_name(), archive.new_key()
    seal, shares = split(key, threshold=threshold, count=count)
    return _made(keys, key, seal, name, shares=shares)


def _made(
    keys: Sequence[tuple[KeyInfo, PrivateKey]],
    key: bytes,
    seal: PassphraseSeal | SharedSeal,
    name: str,
    *,
    shares: tuple[Share, ...] = (),
    elsewhere: Sequence[Elsewhere] = (),
) -> Made:
    data = archive.write_archive(keys, key, seal=seal, name=name, created=AT, by="ann@laptop", elsewhere=elsewhere)
    return Made(data=data, key=key, shares=shares)
