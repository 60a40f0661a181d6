"""Which schema belongs to a command line, and whether what a command has printed with `--json` is a document of it."""

from __future__ import annotations

import json
from collections.abc import Sequence
from functools import cache
from importlib import import_module
from typing import Any, Final

import typer

from tests.support.json_schema import faults
from trustcli.commands.table import COMMANDS
from trustcli.config.global_options import extract
from trustcli.errors import UsageError

QUICK: Final = ("verify", "inspect")
"""Commands that are read without Typer."""
SAME: Final = {"key-load": "key-import"}
"""Commands whose documents are those of another."""
FAILURE: Final = "failure"
"""What a command line prints that names no command."""


@cache
def documented_commands() -> dict[tuple[str, ...], str]:
    """The schema of each command, by the words that call it."""
    found: dict[tuple[str, ...], str] = {(name,): name for name in QUICK}
    for name, entry in COMMANDS.items():
        if name in QUICK:
            continue
        command = typer.main.get_command(import_module(entry.module).app)
        for below in getattr(command, "commands", {"": command}):
            words = (name, below) if below and not below.isupper() else (name,)  # NAME stands for an argument
            joined = "-".join(words)
            found[words] = SAME.get(joined, joined)
    return found


def schema_for(arguments: Sequence[str]) -> str:
    """The name of the schema of what this command line prints."""
    try:
        _, rest = extract(arguments)
    except UsageError:
        return FAILURE
    commands = documented_commands()
    for words in (tuple(rest[:2]), tuple(rest[:1])):
        if words in commands:
            return commands[words]
    return FAILURE


def check_printed(arguments: Sequence[str], status: int, stdout: str) -> Any:
    """Demand that standard output is one document as its schema says, with the exit status; return the document."""
    if {"--help", "-h", "--version"} & set(arguments):
        return None
    document = json.loads(stdout)
    found = faults(document, schema_for(arguments))
    assert not found, f"trust {' '.join(arguments)} printed what {schema_for(arguments)}.json does not say: {found}"
    if isinstance(document, dict):
        assert document["exit"] == status, f"trust {' '.join(arguments)} ended with {status}: {stdout}"
    return document
