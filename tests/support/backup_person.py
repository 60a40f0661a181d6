"""Somebody who backs keys up and restores them, on one machine or on another."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Final

import pytest

from keys.algorithms import Algorithm, generate
from keys.filestore import FileKeyStore
from keys.key_info import KeyInfo, Purpose
from tests.support.json_documents import check_printed
from trustcli.__main__ import run

OLD: Final = "Altes-Geheimnis-1"
NEW: Final = "Neues-Geheimnis-2"
SEALED: Final = "Sicherungs-Geheimnis-3"


class Person:
    """Somebody with keys, in a folder of their own."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
        self.folder, self._monkeypatch, self._capsys = folder, monkeypatch, capsys
        self.said = ""
        self.moves(folder / "home", OLD)

    def moves(self, home: Path, passphrase: str) -> None:
        """To a machine with this home."""
        self.home = home
        home.mkdir(mode=0o700, exist_ok=True)
        self._monkeypatch.setenv("TRUST_HOME", str(home))
        for name in ("ROOT", "REPOSITORY"):
            self._monkeypatch.setenv(f"TRUST_{name}_PASSPHRASE", passphrase)
        self._monkeypatch.setenv("TRUST_BACKUP_PASSPHRASE", SEALED)

    @property
    def store(self) -> FileKeyStore:
        return FileKeyStore(self.home / "private")

    def makes(self, name: str, purpose: Purpose = "signer", *, passphrase: str = OLD) -> KeyInfo:
        private = generate(Algorithm.ED25519)
        info = KeyInfo.of(private, purpose=purpose, name=name)
        self.store.add(private, info, passphrase)
        return info

    def key(self, command: str, *arguments: str, status: int = 0) -> Any:
        """Run `trust key`; its document, held against its schema."""
        line = ["--json", "--non-interactive", "key", command, *arguments]
        found = run(line)
        printed = self._capsys.readouterr()
        self.said = printed.err
        assert found == status, printed.err
        check_printed(line, status, printed.out)
        for secret in (OLD, NEW, SEALED):
            assert secret not in printed.out + printed.err
        return json.loads(printed.out)

    def states(self, document: Any) -> dict[str, str]:
        return {row["name"]: row["state"] for row in document["keys"]}
