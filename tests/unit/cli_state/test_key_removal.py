"""`trust key remove`: several keys, all looked up before the first is removed; what was removed is said."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from keys.errors import KeyStoreUnwritable
from keys.filestore import FileKeyStore
from tests.support.json_documents import check_printed
from tests.support.known_home import key
from trustcli.__main__ import run


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home with three keys."""
    found = tmp_path / "home"
    found.mkdir(mode=0o700)
    monkeypatch.setenv("TRUST_HOME", str(found))
    for name in ("walter", "xenia", "yves"):
        key(found, name)
    return found


def stored(home: Path) -> list[str]:
    return [info.name for info in FileKeyStore(home / "private").list()]


def removed(capsys: pytest.CaptureFixture[str], *references: str, status: int = 0) -> Any:
    command = ["--json", "key", "remove", *references]
    assert run(command) == status
    printed = capsys.readouterr().out
    check_printed(command, status, printed)
    return json.loads(printed)


def test_several_are_removed_once_each(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    document = removed(capsys, "walter", "xenia", "walter", "--yes")
    assert [(row["name"], row["state"]) for row in document["keys"]] == [("walter", "done"), ("xenia", "done")]
    assert "name" not in document
    assert stored(home) == ["yves"]


def test_one_has_its_members_beside_its_row(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    document = removed(capsys, "walter", "--yes")
    assert (document["name"], document["keys"][0]["name"]) == ("walter", "walter")
    assert stored(home) == ["xenia", "yves"]


def test_none_is_removed_if_one_is_not_there(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert removed(capsys, "walter", "nobody", "--yes", status=8)["error"]["code"] == "key-not-found"
    assert stored(home) == ["walter", "xenia", "yves"]


def test_none_is_removed_without_a_word(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    error = removed(capsys, "walter", "xenia", status=2)["error"]
    assert "walter" in error["message"]
    assert "xenia" in error["message"]
    assert stored(home) == ["walter", "xenia", "yves"]


def test_what_was_removed_is_said_when_the_store_fails(
    home: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    remove, asked = FileKeyStore.remove, list[str]()

    def once(store: FileKeyStore, keyid: str) -> None:
        asked.append(keyid)
        if len(asked) > 1:
            raise KeyStoreUnwritable(path="the store", reason="Read-only file system")
        remove(store, keyid)

    monkeypatch.setattr(FileKeyStore, "remove", once)
    document = removed(capsys, "walter", "xenia", "yves", "--yes", status=8)
    assert [row["state"] for row in document["keys"]] == ["done", "failed", "not tried"]
    assert document["error"]["code"] == document["keys"][1]["error"]["code"] == "key-store-unwritable"
    assert (len(asked), stored(home)) == (2, ["xenia", "yves"])


def test_a_store_that_fails_at_once_is_told_as_that(
    home: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(store: FileKeyStore, keyid: str) -> None:
        raise KeyStoreUnwritable(path="the store", reason="Read-only file system")

    monkeypatch.setattr(FileKeyStore, "remove", fail)
    assert removed(capsys, "walter", "xenia", "--yes", status=8).keys() == {"error", "exit"}
    assert len(stored(home)) == 3
