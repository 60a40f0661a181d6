"""`trust-image-verifier`: containerd's image verifier. Exit status 0 allows the pull; every other one denies it.

One line on standard output says why; containerd shows it to the user. Standard error goes to containerd's debug log.
The process ends in one place (`_Verdict`), by `os._exit`, so that nothing after a verdict can change it. A second
thread refuses, and says why, shortly before containerd would kill the process: the first thread may hang in a system
call (name server, lock, disk) that no exception interrupts. A signal ends the process by its default action, which
denies the pull, too.

Where the agent of the node says yes, starting Python takes nearly all of the time. So this module imports only what can
refuse in any state. What tells every other refusal comes after the agent, and before anything that may use up memory,
open files or time; until then it is imported when there is one.
"""

from __future__ import annotations

import contextlib
import gc
import os
import sys
import threading
import time
from typing import TYPE_CHECKING, Final, NoReturn

from keys.back_ends import leave_out_back_ends
from trustcli.console.exit_codes import DONE, OTHER, UNREACHABLE
from trustcli.late_verdict import DEFAULT_TIMEOUT, late_line

if TYPE_CHECKING:
    from trustcli.hooks.containerd_refusal import HookRequest
    from trustcli.hooks.containerd_request import Arguments

_STDIN: Final = 0
_STDOUT: Final = 1
_HELP: Final = """Usage: trust-image-verifier [-config FILE] [-state DIR] -name REF -digest sha256:HEX
                            -stdin-media-type application/vnd.oci.descriptor.v1+json

containerd's image verifier: the descriptor comes on standard input, exit status 0 allows the pull, any other denies it.
Put it in place with `trust hook containerd`, and see that nothing goes around it with `trust doctor containerd`.
"""


class _Verdict:
    """The single answer of this process: the first thread to call `give` ends the process with its answer."""

    def __init__(self) -> None:
        self._first = threading.Lock()

    def give(self, status: int, line: str) -> NoReturn:
        """Print the line and end the process. If the line cannot be written, the status becomes a refusal."""
        self._first.acquire()  # never released: a second caller waits until the process ends
        try:
            rest = memoryview(f"{line}\n".encode(errors="backslashreplace"))
            while rest:
                rest = rest[os.write(_STDOUT, rest) :]
        except BaseException:  # noqa: BLE001 - whatever happens, the process ends here
            status = status or OTHER
        finally:
            os._exit(status)


class _Deadline:
    """Refuses when the time is up, whatever the process is doing then. `doing` is for the message."""

    def __init__(self, answer: _Verdict) -> None:
        self.doing = "starting"
        self._answer = answer
        self._start = time.monotonic()
        self._timer: threading.Timer | None = None

    def within(self, seconds: float) -> None:
        """Set the time limit, in seconds since the process began; a later call replaces an earlier one."""
        if self._timer is not None:
            self._timer.cancel()
        self._timer = threading.Timer(self._start + seconds - time.monotonic(), self._passed, (seconds,))
        self._timer.daemon = True
        self._timer.start()

    def _passed(self, seconds: float) -> None:
        self._answer.give(UNREACHABLE, late_line(round(seconds), self.doing))


class _Asked:
    """What is known of the request when there is a refusal: its name, and later all that advice can say."""

    def __init__(self) -> None:
        self.name = "IMAGE"
        self.request: HookRequest | None = None


def main() -> NoReturn:
    """Run the console script: judge one image and end the process."""
    gc.disable()  # a start keeps all that it makes: to look for garbage in it takes time, and finds none
    leave_out_back_ends()
    _open_missing_standard_files()
    argv = sys.argv[1:]
    if argv in (["--help"], ["-help"], ["-h"], ["--version"], ["-version"]):
        _print_help(argv[0])
    answer = _Verdict()
    deadline = _Deadline(answer)
    asked = _Asked()
    try:
        deadline.within(DEFAULT_TIMEOUT)
        line = _judge(argv, deadline, asked)
    except BaseException as error:  # noqa: BLE001 - every error, expected or not, is a refusal
        status, line = _refusal(error, asked)
        answer.give(status, line)
    answer.give(DONE, line)


def _judge(argv: list[str], deadline: _Deadline, asked: _Asked) -> str:
    """Return why the pull is allowed. Every exception is a refusal."""
    from trustcli.hooks.containerd_request import MAX_DESCRIPTOR, check_descriptor, parse_arguments

    arguments = parse_arguments(argv)
    asked.name = arguments.name
    deadline.doing = "reading the descriptor from standard input"
    check_descriptor(_standard_input(MAX_DESCRIPTOR + 1), arguments.digest)
    deadline.doing = "asking the agent of this node"
    told = _told_by_agent(arguments)
    return _judged_here(arguments, deadline, asked) if told is None else told


def _told_by_agent(arguments: Arguments) -> str | None:
    """Return why the agent of this node allows the pull; None if it does not, or if there is none."""
    try:
        from trustcli.hooks.agent.verifier import reason_of_agent

        return reason_of_agent(arguments.name, arguments.digest, config=arguments.config, state=arguments.state)
    except Exception:  # noqa: BLE001 - whatever it is, this process can verify by itself
        return None


def _judged_here(arguments: Arguments, deadline: _Deadline, asked: _Asked) -> str:
    """Verify in this process, and return why the pull is allowed. Every exception is a refusal."""
    gc.enable()
    from keys.record import replace
    from trustcli.hooks.containerd_refusal import HookRequest

    asked.request = request = HookRequest(name=arguments.name)

    from trustcli.config.docker_config import docker_config_dir
    from trustcli.hooks.admission import admit
    from trustcli.registry.reference import parse_reference
    from trustcli.session import open_hook_session

    reference = parse_reference(arguments.name)
    deadline.doing = "reading its settings"
    session = open_hook_session(config=arguments.config, state=arguments.state)
    docker = docker_config_dir(session.environ) if arguments.config else None
    settings = session.settings
    asked.request = replace(request, home=settings.home, settings=settings.file, docker=docker)
    deadline.within(settings.verifier.timeout)
    deadline.doing = f"asking the trust server of {reference.gun}, or writing what was verified"
    return admit(session, reference, arguments.digest)


def _refusal(error: BaseException, asked: _Asked) -> tuple[int, str]:
    try:
        from trustcli.hooks.containerd_refusal import HookRequest, refusal_line

        return refusal_line(error, asked.request or HookRequest(name=asked.name))
    except BaseException:  # noqa: BLE001 - even building the message failed, most likely for lack of memory
        return OTHER, "refused: this image cannot be judged"


def _standard_input(remaining: int) -> bytes:
    """Read standard input, up to so many bytes."""
    parts: list[bytes] = []
    while remaining and (part := os.read(_STDIN, remaining)):
        parts.append(part)
        remaining -= len(part)
    return b"".join(parts)


def _open_missing_standard_files() -> None:
    """Open missing standard files.

    The next file that is opened would otherwise get the number of a closed one, and the answer could be written into
    it.
    """
    try:
        os.fstat(_STDOUT)
    except OSError:
        os._exit(OTHER)
    for descriptor in (_STDIN, 2):
        try:
            os.fstat(descriptor)
        except OSError:
            os.open(os.devnull, os.O_RDWR)
    if sys.stderr is None:
        sys.stderr = open(os.devnull, "w", encoding="utf-8")  # noqa: PTH123, SIM115 - until the process ends


def _print_help(word: str) -> NoReturn:
    """Print help or version for a person; containerd always passes more arguments."""
    text = _HELP
    if "version" in word:
        from importlib.metadata import version

        text = f"trust-image-verifier {version('content-trust')}\n"
    with contextlib.suppress(OSError):
        os.write(_STDOUT, text.encode())
    sys.exit(DONE)


if __name__ == "__main__":
    main()
