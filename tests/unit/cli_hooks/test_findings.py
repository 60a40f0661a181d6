"""Findings as people and programs see them, and where `trust doctor` sends its words."""

from __future__ import annotations

from typing import Any

import pytest
import typer

from trustcli.commands.doctor import DoctorGroup
from trustcli.doctor.findings import Finding, finding_lines, findings_document, findings_status

GOOD = Finding(check="one", severity="ok", text="fine")
NOTE = Finding(check="two", severity="note", text="look", remedy="do this")
BAD = Finding(check="three", severity="wrong", text="broken\x1b[31m\n" + "x" * 1000, remedy="mend it", place="/etc/x")


def test_what_is_wrong_stands_last_with_place_and_remedy() -> None:
    assert list(finding_lines([GOOD, NOTE])) == [
        "ok     one: fine",
        "note   two: look",
        "       do: do this",
        "nothing is wrong",
    ]
    printed = list(finding_lines([BAD, GOOD]))
    assert printed[0] == "ok     one: fine"
    assert printed[1].startswith("wrong  three: broken\\x1b[31m\\n")
    assert printed[2:] == ["       at: /etc/x", "       do: mend it", "1 of 2 findings are wrong"]
    assert all(line.isprintable() for line in printed)


def test_the_document_has_the_same_fields() -> None:
    rows: Any = findings_document([NOTE, BAD])
    assert rows["findings"][0] == {
        "check": "two",
        "severity": "note",
        "text": "look",
        "remedy": "do this",
        "place": None,
    }
    assert rows["exit"] == findings_status([NOTE, BAD]) == 1
    assert len(rows["findings"][1]["text"]) < 600
    assert findings_status([GOOD, NOTE]) == findings_status([]) == 0


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["containerd"], "containerd"),
        ([], "here None"),
        (["registry.example.com/app"], "here registry.example.com/app"),
        (["--verbose"], "here None verbose"),
    ],
)
def test_a_first_word_that_is_no_subcommand_is_a_name(words: list[str], expected: str) -> None:
    app = typer.Typer(cls=DoctorGroup)
    said = []

    @app.command("containerd")
    def containerd() -> None:
        said.append("containerd")

    @app.command("NAME")
    def here(name: str | None = typer.Argument(None), *, verbose: bool = typer.Option(False)) -> None:
        said.append(f"here {name}{' verbose' if verbose else ''}")

    typer.main.get_command(app).main(words, standalone_mode=False)
    assert said == [expected]
