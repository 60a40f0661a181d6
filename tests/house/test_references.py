"""What code, tests and documents refer to is in this repository: decisions by their ADR, paths that exist."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final

import pytest

_TOP: Final = Path(__file__).resolve().parents[2]
_DOCUMENTS: Final = sorted([*_TOP.glob("*.md"), *(_TOP / "docs").rglob("*.md")])
_TEXTS: Final = {
    "documents": _DOCUMENTS,
    **{folder: sorted((_TOP / folder).rglob("*.py")) for folder in ("keys", "trustdata", "trustcli", "trustserver")},
    "tests": sorted(path for path in (_TOP / "tests").rglob("*.py") if path != Path(__file__)),
}
_OUTWARD: Final = re.compile(r"\bPRODUCT\b|\bfacts(?:/| of the| \d)|\bpull-hooks\b|(?<!ADR )\bdecisions? \d")
"""Words that have led to papers outside of the repository. A decision has an ADR here, and is named by its number."""
_PATH: Final = re.compile(r"(?:keys|trustdata|trustcli|trustserver|tests|docs)/[\w./-]*")
_CODE_BLOCK: Final = re.compile(r"^```.*?^```", re.MULTILINE | re.DOTALL)
_ADR: Final = re.compile(r"\bADR (\d{4})\b|docs/adr/(\d{4})")


def _places(path: Path) -> list[str]:
    lines = path.read_text(encoding="utf-8").splitlines()
    where = path.relative_to(_TOP)
    return [f"{where}:{number}: {line.strip()}" for number, line in enumerate(lines, 1) if _OUTWARD.search(line)]


@pytest.mark.parametrize("texts", _TEXTS)
def test_nothing_refers_to_what_is_not_here(texts: str) -> None:
    assert _TEXTS[texts] != []
    assert [place for path in _TEXTS[texts] for place in _places(path)] == []


@pytest.mark.parametrize(
    "text", ["PRODUCT decision 9", "decisions 6 and 10", "(facts 4.1)", "facts/notary", "pull-hooks 7"]
)
def test_the_words_are_found(text: str) -> None:
    assert _OUTWARD.search(text)


def test_every_adr_that_is_named_exists() -> None:
    there = {path.name[:4] for path in (_TOP / "docs" / "adr").glob("*-*.md")}
    named = {
        (number, str(path.relative_to(_TOP)))
        for paths in _TEXTS.values()
        for path in paths
        for pair in _ADR.findall(path.read_text(encoding="utf-8"))
        for number in pair
        if number
    }
    assert named
    assert {(number, where) for number, where in named if number not in there} == set()


@pytest.mark.parametrize("document", _DOCUMENTS, ids=lambda path: str(path.relative_to(_TOP)))
def test_paths_in_documents_exist(document: Path) -> None:
    spans = re.findall(r"`([^`\n]+)`", _CODE_BLOCK.sub("", document.read_text("utf-8")))
    paths = {path.group().rstrip(".") for span in spans for word in span.split() if (path := _PATH.match(word))}
    assert {path for path in paths if not (_TOP / path).exists()} == set()
