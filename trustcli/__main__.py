"""The `trust` program: read the global options, open a session, run one command."""

from __future__ import annotations

import gc

# Before all other imports: they create many objects that live to the end, and collecting garbage among them took a
# quarter of the start-up time.
gc.set_threshold(100_000, 50, 50)

from keys.back_ends import leave_out_back_ends

leave_out_back_ends()

import sys
from collections.abc import Sequence

from keys.errors import KeysError
from trustcli.console.exit_codes import DONE, INTERRUPTED, OTHER
from trustcli.config.global_options import extract
from trustcli.config.line_ends import plain_words
from trustcli.console.output import INTERRUPTION, Output, failure_document, internal_document
from trustcli.errors import UsageError
from trustcli.session import open_session
from trustcli.console.internal_error import internal_error
from trustdata.errors import TrustError


def main() -> None:
    """Run the console script `trust` and exit with a status of `console.exit_codes`."""
    sys.exit(run(sys.argv[1:]))


def docker_trust() -> None:
    """Run the console script `docker-trust`, the plugin of Docker's CLI, and exit with 0 or 1 as Docker's own does."""
    from trustcli.hooks import docker_plugin

    sys.exit(docker_plugin.main(sys.argv[1:], run))


def run(argv: Sequence[str], *, program: str = "trust") -> int:
    """Run one command line and return its exit status; an error becomes a sentence on standard error.

    No error leaves this function as a stack trace. `program`: the name of the program in help texts and advice.
    """
    if argv[:1] in (["__complete"], ["__complete_line"]):  # the tab key of a shell (docs/adr/0076)
        from trustcli.completion.answer import answer

        return answer(argv)
    argv = plain_words(argv)
    output = Output(stdout=sys.stdout, stderr=sys.stderr, as_json="--json" in argv)
    try:
        return _execute(argv, program)
    except KeyboardInterrupt:
        output.notice("error: interrupted")
        output.document({"error": INTERRUPTION, "exit": INTERRUPTED})
        return INTERRUPTED
    except BrokenPipeError:
        return OTHER
    except Exception as error:  # noqa: BLE001 - an unexpected error must end as a failure, too
        status, document = _failure(output, error, argv, program)
        output.document({"error": document, "exit": status})
        return status


def _execute(argv: Sequence[str], program: str) -> int:
    options, rest = extract(argv)
    if rest in (["--version"], ["-V"], ["version"]):
        from importlib.metadata import version

        sys.stdout.write(f"trust {version('content-trust')}\n")
        return DONE
    session = open_session(options)
    # These two are called in loops, and read their arguments without Typer, which takes long to load (docs/adr/0005).
    if rest and rest[0] == "verify":
        from trustcli.commands import verify

        return verify.main(session, rest[1:])
    if rest and rest[0] == "inspect":
        from trustcli.commands import inspect

        return inspect.main(session, rest[1:])
    from trustcli.commands.table import dispatch

    return dispatch(session, rest, program=program)


def _help_for(argv: Sequence[str], program: str) -> str:
    """Return the command line that shows help: that of the command in `argv`, if there is one."""
    from trustcli.commands.table import COMMANDS

    return next((f"{program} {word} --help" for word in argv if word in COMMANDS), f"{program} --help")


def _failure(output: Output, error: Exception, argv: Sequence[str], program: str) -> tuple[int, dict[str, object]]:
    """Print the error and return the exit status and the same as a JSON value."""
    if isinstance(error, UsageError):
        error = error.explained_by(_help_for(argv, program))
    if isinstance(error, TrustError | KeysError | UsageError):
        return output.failure(error), failure_document(error)
    message = internal_error(error)
    output.notice(f"error: {message}")
    return OTHER, internal_document(message)


if __name__ == "__main__":
    main()
