"""What is completed is what the commands have: every command, option and list of values, and nothing else."""

from __future__ import annotations

from collections.abc import Iterator
from importlib import import_module
from typing import Any, get_args

import pytest
import typer

from keys.algorithms import Algorithm
from keys.key_info import Purpose
from trustcli.commands import inspect, pins, verify
from trustcli.commands.key.rotation import ROTATABLE
from trustcli.commands.support import foreign_policy
from trustcli.commands.table import COMMANDS
from trustcli.completion import grammar
from trustcli.completion.grammar import DOCKER_TRUST, FILE, FLAG, FOLDER, GLOBAL, TRUST, Words
from trustcli.completion.scripts import SCRIPTS
from trustcli.config.global_options import extract
from trustcli.console.help_text import GLOBAL_OPTIONS
from trustcli.hooks import docker_plugin

FAST = {"verify": verify.parser, "inspect": inspect.parser}


def options_of_parsers() -> Iterator[tuple[str, dict[str, str], int]]:
    """Each command, its options with the names of their values, and how many arguments it has."""
    for name, parser in FAST.items():
        actions = [action for action in parser()._actions if action.dest != "help"]
        named = [action for action in actions if action.option_strings]
        values = {
            option: str(action.metavar) if action.nargs != 0 else ""
            for action in named
            for option in action.option_strings
        }
        yield name, values, len(actions) - len(named)
    for name, entry in COMMANDS.items():
        if name not in FAST:
            yield from below(typer.main.get_command(import_module(entry.module).app), name)


def below(command: Any, path: str) -> Iterator[tuple[str, dict[str, str], int]]:
    for word, found in getattr(command, "commands", {}).items():
        yield from below(found, path if word.isupper() else f"{path} {word}")  # NAME stands for an argument
    if not hasattr(command, "commands"):
        options = [each for each in command.params if each.param_type_name == "option" and each.name != "help"]
        values = {
            name: "" if each.is_flag else str(each.metavar or each.type_descriptor)
            for each in options
            for name in (*each.opts, *each.secondary_opts)
        }
        yield path, values, len(command.params) - len(options)


def leaves(words: Words, path: str = "") -> Iterator[tuple[str, Words]]:
    if words.arguments or not words.below:
        yield path.strip(), words
    for word, found in words.below.items():
        yield from leaves(found, f"{path} {word}")


PARSED = {path: (values, arguments) for path, values, arguments in options_of_parsers()}
COMPLETED = dict(leaves(TRUST))


def test_every_command_is_completed() -> None:
    assert set(COMPLETED) == set(PARSED)
    assert set(TRUST.below) == set(COMMANDS)


@pytest.mark.parametrize("path", sorted(PARSED))
def test_every_option_of_a_command_is_completed(path: str) -> None:
    values, arguments = PARSED[path]
    completed = COMPLETED[path]
    assert set(completed.options) == set(values)
    assert len(completed.arguments) == arguments
    for option, value in values.items():
        kind = completed.options[option]
        assert (kind == FLAG) == (not value), option
        if value == "DIR":
            assert kind == FOLDER, option
        elif value == "FILE" or "path" in value.lower():
            assert kind in {FILE, FOLDER}, option


def test_global_options() -> None:
    named = {option: value for option, _, value in (part.partition(" ") for part in GLOBAL_OPTIONS)}
    assert set(GLOBAL) == {*named, "--help"}
    for option, value in named.items():
        assert (GLOBAL[option] == FLAG) == (not value)
        assert extract([option, "x"])[1] == ([] if value else ["x"])


def test_lists_of_values() -> None:
    assert set(grammar.SHELLS) == set(SCRIPTS)
    assert set(grammar.ALGORITHMS) == {each.value for each in Algorithm}
    assert set(grammar.PURPOSES) == set(get_args(Purpose)) - {"recovery"}
    assert set(grammar.ROTATABLE) == set(ROTATABLE)
    assert set(grammar.FORMS) == set(pins.FORMS)
    assert set(grammar.POLICIES) == set(foreign_policy.FORMS)


def test_docker_trust_has_these_commands() -> None:
    assert set(DOCKER_TRUST.below) == set(docker_plugin._COMMANDS)
