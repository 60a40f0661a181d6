"""Help of the commands: what their parsers know, with examples, in the form of all programs here."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

from trustcli.commands.support.examples import EXAMPLES
from trustcli.console.help_text import CommandHelp, HelpRow

_HELP: Final = HelpRow(term="-h, --help", text="Show this text and end.")
HELP_OPTIONS: Final = ["-h", "--help"]


def show_help_of(command: Any, program: str) -> None:
    """Have a Typer command and all below it give this help for `-h` and `--help`. `program`: as users call it."""
    command.context_settings["help_option_names"] = HELP_OPTIONS
    command.get_help = lambda context: command_help(command, context.command_path, program).text()
    for each in getattr(command, "commands", {}).values():
        show_help_of(each, program)


def commands_named(command: Any, words: Sequence[str]) -> list[str]:
    """Return which of the words are the names of commands below a Typer command, from the group to the command."""
    below = getattr(command, "commands", {})
    name = next((word for word in words if not word.startswith("-")), None)
    if name not in below:
        return []
    return [str(name), *commands_named(below[name], words[words.index(str(name)) + 1 :])]


def command_help(command: Any, path: str, program: str) -> CommandHelp:
    """Return what is said of a Typer command that is called as `path`."""
    arguments = [each for each in command.params if each.param_type_name == "argument"]
    options = [each for each in command.params if each.param_type_name == "option" and not each.hidden]
    below = getattr(command, "commands", {})
    words = [path, "[OPTIONS]", *map(_term_of_argument, arguments), *(["COMMAND ..."] if below else [])]
    return CommandHelp(
        usage=" ".join(words),
        about=_sentences(command.help),
        arguments=[HelpRow(term=_term_of_argument(each), text=each.help) for each in arguments if each.help],
        options=[*(HelpRow(term=_term_of_option(each), text=_explained(each)) for each in options), _HELP],
        commands=[HelpRow(term=name, text=_sentences(each.help)) for name, each in below.items()],
        examples=_examples(path, program),
    )


def parser_help(parser: argparse.ArgumentParser) -> CommandHelp:
    """Return what is said of a command whose arguments are read with argparse."""
    named = [action for action in parser._actions if action.option_strings and action.dest != "help"]  # noqa: SLF001
    placed = [str(action.metavar) for action in parser._actions if not action.option_strings]  # noqa: SLF001
    return CommandHelp(
        usage=" ".join([parser.prog, "[OPTIONS]", *(f"{each}..." for each in placed)]),
        about=parser.description or "",
        options=[*map(_row_of_action, named), _HELP],
        examples=_examples(parser.prog, "trust"),
    )


def _row_of_action(action: argparse.Action) -> HelpRow:
    value = f" {action.metavar}" if action.nargs != 0 else ""
    text = action.help or ""
    return HelpRow(term=f"{', '.join(action.option_strings)}{value}", text=f"{text[:1].upper()}{text[1:]}.")


def _term_of_argument(argument: Any) -> str:
    return str(argument.metavar or argument.name.upper())


def _term_of_option(option: Any) -> str:
    names = ", ".join(sorted((*option.opts, *option.secondary_opts), key=len))
    return names if option.is_flag else f"{names} {_value_of(option)}"


def _explained(option: Any) -> str:
    """Return what explains an option, with its default where that is a word or number and is not named already."""
    text, default = option.help or "", option.default
    named = isinstance(default, str | int | Path) and not isinstance(default, bool) and str(default) not in {"", "."}
    return f"{text} [{default}]" if named and str(default) not in text else text


def _value_of(option: Any) -> str:
    """Return the name of an option's value: its metavar, or what it is, and never a type of Python."""
    if option.metavar:
        return str(option.metavar)
    kind = str(option.type_descriptor) if hasattr(option, "type_descriptor") else ""
    if "path" in kind.lower():
        return "DIR" if option.opts[0].endswith("dir") else "FILE"
    return "N" if "int" in kind.lower() else option.opts[0].lstrip("-").rpartition("-")[2].upper()


def _sentences(text: str | None) -> str:
    return " ".join((text or "").split())


def _examples(path: str, program: str) -> Sequence[str]:
    """Return the examples of a command; `path` begins with the name of the program."""
    found = EXAMPLES.get(path.removeprefix(program).strip(), ())
    return [example.replace("trust ", f"{program} ", 1) if program != "trust" else example for example in found]
