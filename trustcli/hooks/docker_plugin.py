"""`docker-trust`: the plugin of Docker's CLI. It translates docker's command line and runs `trust` with it.

Docker runs `docker-NAME [docker's own options] NAME COMMAND ...` with its own arguments unchanged, and asks for
`docker-cli-plugin-metadata` to list its plugins (docker/cli, cli-plugins). Docker up to 28 has a built-in `trust`,
which wins; the same program is then reached as `docker-ctrust`. Commands, options and the exit status 1 for every
failure are those of Docker's own `docker trust`.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from importlib.metadata import version
from typing import Final, Protocol

from trustcli.completion.answer import WORDS, answer
from trustcli.completion.grammar import DOCKER_TRUST
from trustcli.config.global_options import extract
from trustcli.config.line_ends import plain_words
from trustcli.console.exit_codes import DONE, INTERRUPTED, OTHER
from trustcli.console.output import one_line
from trustcli.errors import UsageError
from trustcli.registry.reference import parse_reference
from trustdata.errors import InvalidName, shown

METADATA: Final = "docker-cli-plugin-metadata"
NAMES: Final = ("trust", "ctrust")
_COMMANDS: Final[Mapping[str, str]] = {
    "sign": "Sign an image: sign [--local] IMAGE:TAG",
    "inspect": "Show signed tags, signers and keys: inspect [--pretty] IMAGE[:TAG]...",
    "revoke": "Remove a tag, or all tags: revoke [-y] IMAGE[:TAG]",
    "pull": "Verify an image, pull it by digest, tag it: pull IMAGE[:TAG]...",
    "key": "Make and load signers' keys: key generate NAME [--dir DIR], key load [--name NAME] KEYFILE",
    "signer": "Who may sign: signer add --key FILE NAME REPOSITORY..., signer remove [-f] NAME REPOSITORY...",
}
_HELP: Final = frozenset({"--help", "-h", "help"})
_FLAGS: Final = frozenset({"-D", "--debug", "--tls", "--tlsverify"})
_VALUES: Final = frozenset(
    {"-c", "--context", "--config", "-H", "--host", "-l", "--log-level", "--tlscacert", "--tlscert", "--tlskey"}
)
_FORCE: Final = frozenset({"-f", "--force"})
_YES: Final = frozenset({"-y", "--yes"})


class Program(Protocol):
    """The `trust` program. `program`: what the command is called in help and advice."""

    def __call__(self, argv: Sequence[str], *, program: str) -> int:
        """Run one command line and return its exit status."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """A command line of `trust`, and the environment variables that docker's own options become."""

    argv: Sequence[str]
    program: str
    environ: Mapping[str, str] = field(default_factory=dict)


def main(argv: Sequence[str], trust: Program) -> int:
    """Run one call by docker and return the exit status: 0, 1, or 130 after an interrupt."""
    if argv[:1] == [WORDS]:  # the tab key: docker runs `docker-trust __complete trust COMMAND ...`
        return answer([WORDS, *argv[2:]], DOCKER_TRUST)
    try:
        call = read(argv)
    except UsageError as error:
        sys.stderr.write(f"error: {one_line(str(error))}\n")
        return OTHER
    if isinstance(call, str):
        sys.stdout.write(call)
        return DONE
    os.environ.update(call.environ)
    status = trust(call.argv, program=call.program)
    return status if status in {DONE, INTERRUPTED} else OTHER


def read(argv: Sequence[str]) -> Call | str:
    """Return the call of `trust` that docker's command line means, or a text to print instead. Raises: UsageError."""
    if list(argv) == [METADATA]:
        return metadata()
    environ, context, words = _docker_options(plain_words(argv))
    asks_for_help = words[:1] == ["help"]  # `docker help ctrust [COMMAND]`
    words = words[1:] if asks_for_help else words
    name = words.pop(0) if words and words[0] in NAMES else NAMES[0]
    program = f"docker {name}"
    if not words or words[0] in _HELP:
        return overview(program)
    command, *rest = words
    if command not in _COMMANDS:
        known = ", ".join(_COMMANDS)
        raise UsageError(f"{program} has no command '{shown(command)}', but {known}; trust --help has all others")
    if context not in {"", "default"} and (command == "pull" or "--local" in rest):
        raise UsageError(f"the engine of --context {shown(context)} is not looked up here; name it with --host")
    if asks_for_help:
        rest = [*rest, "--help"]
    return Call(argv=[command, *_as_ours(command, rest)], program=program, environ=environ)


def metadata() -> str:
    """Return the JSON that docker asks for, to show the plugin in `docker --help` and `docker info`."""
    return json.dumps(
        {
            "SchemaVersion": "0.1.0",
            "Vendor": "content-trust",
            "Version": version("content-trust"),
            "ShortDescription": "Sign images, and verify what is signed (content-trust)",
        }
    )


def overview(program: str) -> str:
    """Return the text of `docker trust --help`."""
    width = max(map(len, _COMMANDS))
    rows = "".join(f"  {name.ljust(width)}  {summary}\n" for name, summary in _COMMANDS.items())
    return (
        f"\nUsage:  {program} COMMAND\n\nSign images, and verify what is signed.\n\nCommands:\n{rows}\n"
        f"More: {program} COMMAND --help; trust --help for everything else that this program does.\n"
    )


def _docker_options(argv: Sequence[str]) -> tuple[dict[str, str], str, list[str]]:
    """Return what docker's own options mean: variables for `trust`, the context, and the words after them."""
    environ: dict[str, str] = {}
    context = ""
    words = iter(argv)
    for word in words:
        if not word.startswith("-") or word in _HELP:
            return environ, context, [word, *words]
        option, value = _option(word, words)
        if option in {"-H", "--host"}:
            environ["DOCKER_HOST"] = value
        elif option == "--config":
            environ["DOCKER_CONFIG"] = value
        elif option in {"-c", "--context"}:
            context = value
        # The other options (logging, TLS of a remote engine) change nothing: only engines on this machine are used.
    return environ, context, []


def _option(word: str, words: Iterator[str]) -> tuple[str, str]:
    """Return one of docker's own options and its value, which may be the next word. Raises: UsageError."""
    name, equals, value = word.partition("=")
    if name in _FLAGS:
        return name, value
    if not word.startswith("--") and word[:2] in _VALUES and len(word) > 2:  # -Hunix:///run/docker.sock
        return word[:2], word[2:].removeprefix("=")
    if name not in _VALUES:
        raise UsageError(f"docker's option {shown(word)} is not known here")
    given = value if equals else next(words, None)
    if given is None:
        raise UsageError(f"{name} needs a value")
    return name, given


def _as_ours(command: str, rest: Sequence[str]) -> list[str]:
    """Return the words after a command, changed so that our command asks the user exactly when docker's does."""
    if command == "signer" and rest[:1] == ["remove"]:
        # Docker's fails where there is no such signer.
        return [*("--yes" if word in _FORCE else word for word in rest), "--existing"]
    if command == "revoke" and not _YES & set(rest) and _names_a_tag(rest):
        return [*rest, "--yes"]  # docker asks only before all tags go
    return list(rest)


def _names_a_tag(rest: Sequence[str]) -> bool:
    _, words = extract(rest)
    images = [word for word in words if not word.startswith("-")]
    try:
        return len(images) == 1 and parse_reference(images[0]).tag is not None
    except InvalidName:
        return False  # the command itself reports a bad name
