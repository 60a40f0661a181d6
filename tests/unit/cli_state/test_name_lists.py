"""Lists of names: whatever an export, a spreadsheet or an editor leaves, and each bad line by its number."""

from __future__ import annotations

import io
from pathlib import Path
from types import SimpleNamespace

import pytest

from trustcli.commands.support.name_lists import MAX_LIST, collection_names, image_names, image_references
from trustcli.errors import UsageError

LINES = "# all of team a\n\nregistry.example.com/a # the first\n  registry.example.com/b\t\nregistry.example.com/a\n"
FOUND = ["registry.example.com/a", "registry.example.com/b"]


@pytest.mark.parametrize(
    "content",
    [
        LINES.encode(),
        LINES.encode("utf-8-sig"),
        LINES.replace("\n", "\r\n").encode(),
        LINES.removesuffix("\n").encode(),
        LINES.encode("utf-16"),
        b"\xfe\xff" + LINES.encode("utf-16-be"),
        LINES.encode("utf-16-le"),
        LINES.encode("utf-16-be"),
    ],
    ids=["plain", "bom", "crlf", "no last line end", "utf-16", "utf-16-be", "utf-16-le bare", "utf-16-be bare"],
)
def test_forms(tmp_path: Path, content: bytes) -> None:
    file = tmp_path / "names.txt"
    file.write_bytes(content)
    assert collection_names([], file) == FOUND
    assert collection_names(["registry.example.com/b"], file) == FOUND[::-1], "names of both, each once"
    assert [str(reference.gun) for reference in image_references(None, file)] == [*FOUND, FOUND[0]]
    assert image_names(["x"], file) == ["x", *FOUND, FOUND[0]]


def test_standard_input(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin", SimpleNamespace(buffer=io.BytesIO(LINES.encode())))
    assert collection_names(None, Path("-")) == FOUND


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("registry.example.com/Upper", "line 3: 'registry.example.com/Upper' is no valid image reference"),
        ("registry.example.com/a:1.0", "line 3: a collection is named without tag or digest"),
        ("https://registry.example.com/a", "line 3: "),
        ("registry.example.com/a registry.example.com/b", "line 3: "),
    ],
)
def test_a_bad_line_is_told_with_its_number(tmp_path: Path, line: str, said: str) -> None:
    file = tmp_path / "names.txt"
    file.write_text(f"registry.example.com/a\n\n{line}\n")
    with pytest.raises(UsageError) as refused:
        collection_names([], file)
    assert str(refused.value).startswith(f"--names: {file}, {said}")
    (bad,) = refused.value.lines
    assert (bad.line, bad.text) == (3, line)


@pytest.mark.parametrize("content", [b"", b"\xef\xbb\xbf\n# nothing\n", b"\r\n\r\n"])
def test_an_empty_list_is_no_name(tmp_path: Path, content: bytes) -> None:
    file = tmp_path / "images.txt"
    file.write_bytes(content)
    with pytest.raises(UsageError, match="holds no name"):
        collection_names([], file)
    with pytest.raises(UsageError, match="holds no name"):
        image_names(["registry.example.com/a"], file)


def test_no_name_and_no_list() -> None:
    with pytest.raises(UsageError, match=r"NAME\.\.\. is missing, or --names FILE"):
        collection_names([])
    with pytest.raises(UsageError, match=r"IMAGE\.\.\. is missing, or --images FILE"):
        image_references(None)
    with pytest.raises(UsageError, match=r"IMAGE\.\.\. is missing, or --images FILE"):
        image_names([], None)


def test_what_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="cannot be read: No such file"):
        collection_names([], tmp_path / "none")
    with pytest.raises(UsageError, match="cannot be read: Is a directory"):
        collection_names([], tmp_path)
    file = tmp_path / "names.txt"
    file.write_bytes(b"a\xff\xfe\xfd")
    with pytest.raises(UsageError, match="not text in UTF-8 or UTF-16"):
        collection_names([], file)
    file.write_bytes(b"\n" * (MAX_LIST + 1))
    with pytest.raises(UsageError, match="is larger than"):
        collection_names([], file)
