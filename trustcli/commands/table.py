"""The table of commands. A command's module is imported when the command is called, so that others start faster."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib import import_module
from typing import Any, Final

import typer

from trustcli.commands.support.command_help import commands_named, show_help_of
from trustcli.console.exit_codes import DONE
from trustcli.console.help_text import CommandHelp, HelpRow
from trustcli.errors import UsageError
from trustcli.session import Session
from trustdata.errors import shown
from trustdata.suggestion import did_you_mean
from trustdata.usage_words import command_meant, usage_sentence

ABOUT: Final = "Content trust for container images: tag to digest, signed, fresh and rollback-protected."


@dataclass(frozen=True, slots=True)
class CommandEntry:
    """The module of a command, and its line in `trust --help`. The module has a Typer application named `app`."""

    module: str
    summary: str


COMMANDS: Final[Mapping[str, CommandEntry]] = {
    "init": CommandEntry(
        "trustcli.commands.init", "Make collections: root, targets, server-held snapshot and timestamp."
    ),
    "sign": CommandEntry("trustcli.commands.sign", "Sign tags by digest."),
    "verify": CommandEntry("trustcli.commands.verify", "Verify images; print name@digest for each that is trusted."),
    "pull": CommandEntry("trustcli.commands.pull", "Verify, pull by digest through the container engine, tag."),
    "inspect": CommandEntry("trustcli.commands.inspect", "Show signed tags, signers and administrative keys."),
    "revoke": CommandEntry("trustcli.commands.revoke", "Remove a tag, or all tags, from every role that we can sign."),
    "deny": CommandEntry("trustcli.commands.deny", "Deny digests, which then run nowhere, whatever is signed."),
    "prune": CommandEntry("trustcli.commands.prune", "Revoke signed tags that the registry no longer has."),
    "delete": CommandEntry("trustcli.commands.delete", "Delete collections at the trust server."),
    "signer": CommandEntry("trustcli.commands.signer.command", "Add, remove and list signers, and rotate their keys."),
    "key": CommandEntry("trustcli.commands.key.command", "The key store, and key rotation."),
    "pin": CommandEntry("trustcli.commands.pin", "Pin a collection to its root of trust."),
    "pins": CommandEntry("trustcli.commands.pins", "List the pins."),
    "lock": CommandEntry("trustcli.commands.lock", "Write the project's lock file: pins and minimum versions for CI."),
    "expiring": CommandEntry("trustcli.commands.expiring", "List what runs out, and who can renew it."),
    "audit": CommandEntry("trustcli.commands.audit", "List who may sign what, who has signed it, and what is odd."),
    "renew": CommandEntry("trustcli.commands.renew", "Sign again what runs out, content unchanged."),
    "collections": CommandEntry("trustcli.commands.collections", "List what a trust server has."),
    "login": CommandEntry("trustcli.commands.login", "Log in at a trust server."),
    "logout": CommandEntry("trustcli.commands.logout", "Forget the login at a trust server."),
    "whoami": CommandEntry("trustcli.commands.whoami", "Show who you are at a trust server, and your rights there."),
    "migrate": CommandEntry("trustcli.commands.migrate.command", "Take collections over from another Notary server."),
    "plugin": CommandEntry("trustcli.commands.plugin", "Put `docker trust` back into Docker's CLI."),
    "policy": CommandEntry(
        "trustcli.commands.policy", "Look a policy over, distribute one, and read the policies of others."
    ),
    "hook": CommandEntry("trustcli.commands.hook.command", "Put a pull-time hook in place, or be one."),
    "agent": CommandEntry("trustcli.commands.agent", "Answer hooks and `trust verify` of a node from memory."),
    "scan": CommandEntry("trustcli.commands.scan", "Judge the containers that run: unsigned, revoked, denied."),
    "explain": CommandEntry("trustcli.commands.explain", "Say why an image is trusted or refused, step by step."),
    "doctor": CommandEntry("trustcli.commands.doctor", "Find what is wrong here, and say what to do."),
    "completion": CommandEntry(
        "trustcli.commands.completion", "Print the script with which a shell completes commands."
    ),
    "demo": CommandEntry("trustcli.commands.demo.command", "The whole main job in one go, in a temporary folder."),
}


def dispatch(session: Session, arguments: Sequence[str], *, program: str = "trust") -> int:
    """Run one command and return its exit status. `program`: the name of the program in help texts.

    Raises: UsageError, TrustError, KeysError.
    """
    if not arguments or arguments[0] in {"--help", "-h", "help"}:
        session.output.raw(overview())
        return DONE
    name, *rest = arguments
    if name not in COMMANDS:
        kind = "option" if name.startswith("-") else "command"
        sentence = f"there is no {kind} '{shown(name)}'{did_you_mean(name, COMMANDS)}"
        raise UsageError(sentence, help_command=_help_of(program, sentence))
    command = _command(COMMANDS[name].module)
    show_help_of(command, program)
    path = " ".join([program, name, *commands_named(command, rest)])
    try:
        # Not `main`: it turns Ctrl-C into a status, without a word of it.
        with command.make_context(f"{program} {name}", list(rest), obj=session) as context:
            status = command.invoke(context)
    except UsageError as error:
        raise error.explained_by(f"{path} --help") from error
    except (typer.Abort, EOFError) as stopped:
        raise KeyboardInterrupt from stopped
    except typer.Exit as stopped:
        return stopped.exit_code
    except typer.TyperException as error:
        # A group without a command: the error's text is the help. Typer does not export its class.
        if type(error).__name__ == "NoArgsIsHelpError":
            session.output.raw(f"{error}\n")
            return DONE
        sentence = _sentence(error)
        raise UsageError(sentence, help_command=_help_of(path, sentence)) from error
    return status if isinstance(status, int) else DONE


@cache
def _command(module: str) -> Any:
    """Make the parsers of a command; once, for programs that run many."""
    return typer.main.get_command(import_module(module).app)


def _sentence(error: typer.TyperException) -> str:
    """Return the parser's error as a sentence; only `format_message` names a missing argument."""
    words = error.format_message() if hasattr(error, "format_message") else str(error)
    return usage_sentence(words)


def _help_of(path: str, sentence: str) -> str:
    """Return the command line that explains what was meant: the command of the path, or one below it."""
    return " ".join(filter(None, (path, command_meant(sentence), "--help")))


def overview() -> str:
    """Return the text of `trust --help`."""
    return CommandHelp(
        usage="trust COMMAND ...",
        about=ABOUT,
        commands=[HelpRow(term=name, text=entry.summary) for name, entry in COMMANDS.items()],
        examples=("trust COMMAND --help", "trust demo"),
    ).text()
