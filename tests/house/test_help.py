"""Help that teaches: one form for all commands, examples that are right, nothing cut, no types of Python."""

from __future__ import annotations

import re
import shlex
import sys
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
import typer

from trustcli.commands import inspect, verify
from trustcli.commands.support.command_help import command_help, parser_help, show_help_of
from trustcli.commands.support.examples import EXAMPLES
from trustcli.commands.table import COMMANDS, overview
from trustcli.config.global_options import extract
from trustcli.console.help_text import WIDTH
from trustserver import __main__ as server

TOP = Path(__file__).parents[2]
FAST = {"verify": verify.parser, "inspect": inspect.parser}
PYTHON = re.compile(r"<[a-z]|\b(PATH|TEXT|INTEGER|None|list\[|str\b)")


def _commands() -> Iterator[tuple[str, Any]]:
    """Every command that can be called, by its words; groups with those below them."""
    for name, entry in COMMANDS.items():
        if name in FAST:
            continue
        command = typer.main.get_command(import_module(entry.module).app)
        show_help_of(command, "trust")
        below = getattr(command, "commands", {})
        yield from ((f"{name} {each}", found) for each, found in below.items())
        yield name, command


TYPED = dict(_commands())
LEAVES = [name for name, command in TYPED.items() if not getattr(command, "commands", {}) and name != "doctor NAME"]
"""What can be called. `doctor NAME` is how `trust doctor` reads its argument: nobody writes it so."""


def _text(name: str) -> str:
    if name in FAST:
        return parser_help(FAST[name]()).text()
    return command_help(TYPED[name], f"trust {name}", "trust").text()


@pytest.mark.parametrize("name", [*FAST, *TYPED])
def test_a_help_text_is_whole(name: str) -> None:
    text = _text(name)
    assert text.startswith(f"Usage: trust {name} ")
    assert "-h, --help" in text
    assert "--server URL" in text
    assert (
        "..." not in text.replace("...\n", "\n").replace("NAME...", "").replace("KEY...", "").replace("IMAGE", "")
        or "COMMAND ..." in text
    )
    assert PYTHON.search(text) is None, PYTHON.search(text)
    examples = text.partition("Examples:\n")[2].partition("\n\n")[0]
    for line in text.replace(examples, "").splitlines():
        assert len(line) <= WIDTH, line


@pytest.mark.parametrize("name", [*FAST, *LEAVES])
def test_a_command_has_two_examples_that_its_own_parser_reads(name: str) -> None:
    first, second = EXAMPLES[name]
    assert first != second
    for example in (first, second):
        program, *words = shlex.split(example)
        _, words = extract(words)
        assert (program, " ".join(words[: len(name.split())])) == ("trust", name)
        arguments = words[len(name.split()) :]
        if name in FAST:
            FAST[name]().parse_args(arguments)
        else:
            TYPED[name].make_context(name, arguments)


def test_there_are_examples_of_commands_only() -> None:
    assert EXAMPLES.keys() == {*FAST, *LEAVES, "doctor"}


def test_the_overview_names_every_command() -> None:
    text = overview()
    for name, entry in COMMANDS.items():
        assert re.search(rf"^  {name} +\S", text, re.MULTILINE)
        assert entry.summary.split()[0] in text
    assert max(map(len, text.splitlines())) <= WIDTH


def _server_commands(command: Any, path: str) -> Iterator[tuple[str, Any]]:
    yield path, command
    for name, below in getattr(command, "commands", {}).items():
        yield from _server_commands(below, f"{path} {name}")


@pytest.mark.parametrize("words", [path for path, _ in _server_commands(typer.main.get_command(server.app), "")])
@pytest.mark.parametrize("option", ["-h", "--help"])
def test_the_server_s_help_has_the_same_form(
    words: str, option: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "argv", ["trust-server", *words.split(), option])
    with pytest.raises(SystemExit) as ended:
        server.main()
    assert ended.value.code == 0
    text = capsys.readouterr().out
    assert text.startswith(f"Usage: trust-server{words} ")
    assert "-h, --help" in text
    assert PYTHON.search(text.replace("Path", "")) is None, PYTHON.search(text)
    assert "..." not in text.replace("[ARGS]...", "")
    if "COMMAND" not in text:
        assert text.count("  trust-server ") == 2, "two examples"


def test_the_server_s_examples_are_read_by_their_parsers() -> None:
    for name, examples in server.EXAMPLES.items():
        for example in examples:
            _, *words = shlex.split(example)
            command = typer.main.get_command(server.app)
            while hasattr(command, "commands"):
                command = command.commands[words.pop(0)]
            assert command.make_context(name, words) is not None


def test_the_tutorial_shows_the_overview_as_it_is() -> None:
    """Cheaper than typing it, which only the long tests do."""
    shown = (TOP / "docs" / "tutorial.md").read_text(encoding="utf-8").partition("$ trust --help\n")[2]
    assert shown.partition("```")[0].rstrip() == overview().rstrip()
