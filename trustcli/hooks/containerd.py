"""`trust-image-verifier`: containerd's image verifier. Exit status 0 allows the pull; everything else denies it.

One line on standard output says why; containerd shows it to the user. Standard error goes to containerd's debug log.
The process ends in one place (`_Verdict`), by `os._exit`, so that nothing after a verdict can change it. A second
thread refuses in words shortly before containerd would kill without any: name servers, locks and disks can hold the
first one in a system call that no exception interrupts. A signal's default action ends the process, which denies, too.
"""

from __future__ import annotations

import contextlib
import os
import sys
import threading
import time
from dataclasses import replace
from typing import Final, NoReturn

from trustcli.config.hook_settings import DEFAULT_TIMEOUT
from trustcli.console.exit_codes import DONE, OTHER
from trustcli.hooks.containerd_request import MAX_DESCRIPTOR, check_descriptor, parse_arguments
from trustcli.hooks.refusal import Asked, explained
from trustdata.errors import VerdictTooLate

_STDIN: Final = 0
_STDOUT: Final = 1
_HELP: Final = """Usage: trust-image-verifier [-config FILE] [-state DIR] -name REF -digest sha256:HEX
                            -stdin-media-type application/vnd.oci.descriptor.v1+json

containerd's image verifier: the descriptor comes on standard input, exit status 0 allows the pull, any other denies it.
Put it in place with `trust hook containerd`, and see that nothing goes around it with `trust doctor containerd`.
"""


class _Verdict:
    """The one answer of this process: whoever comes first gives it, and the process ends with it."""

    def __init__(self) -> None:
        self._first = threading.Lock()

    def give(self, status: int, line: str) -> NoReturn:
        """End the process. An answer that cannot be written is a refusal: its receiver has gone."""
        self._first.acquire()  # never released: who comes second waits for the end
        try:
            rest = memoryview(f"{line}\n".encode(errors="backslashreplace"))
            while rest:
                rest = rest[os.write(_STDOUT, rest) :]
        except BaseException:  # noqa: BLE001 - and nothing else may happen here
            status = status or OTHER
        finally:
            os._exit(status)


class _Deadline:
    """Refuses when time is up, whatever the process is doing then. `asked` and `doing` are for the message."""

    def __init__(self, answer: _Verdict) -> None:
        self.asked = Asked(name="IMAGE")
        self.doing = "starting"
        self._answer = answer
        self._start = time.monotonic()
        self._timer: threading.Timer | None = None

    def within(self, seconds: float) -> None:
        """Allow so much since the beginning; a later call takes the place of an earlier one."""
        if self._timer is not None:
            self._timer.cancel()
        self._timer = threading.Timer(self._start + seconds - time.monotonic(), self._passed, (seconds,))
        self._timer.daemon = True
        self._timer.start()

    def _passed(self, seconds: float) -> None:
        self._answer.give(*explained(VerdictTooLate(seconds=round(seconds), doing=self.doing), self.asked))


def main() -> NoReturn:
    """Console script."""
    _be_sure_of_standard_files()
    argv = sys.argv[1:]
    if argv in (["--help"], ["-help"], ["-h"], ["--version"], ["-version"]):
        _tell(argv[0])
    answer = _Verdict()
    deadline = _Deadline(answer)
    try:
        deadline.within(DEFAULT_TIMEOUT)
        line = _judge(argv, deadline)
    except BaseException as error:  # noqa: BLE001 - the last line: what nobody foresaw is refused, too
        status, line = _refusal(error, deadline.asked)
        answer.give(status, line)
    answer.give(DONE, line)


def _judge(argv: list[str], deadline: _Deadline) -> str:
    """Why the pull may go on. Raises: anything, which is a refusal."""
    arguments = parse_arguments(argv)
    deadline.asked = Asked(name=arguments.name)
    deadline.doing = "reading the descriptor from standard input"
    check_descriptor(_standard_input(), arguments.digest)

    from trustcli.hooks.admission import admit
    from trustcli.registry.reference import parse_reference
    from trustcli.session import open_hook_session

    reference = parse_reference(arguments.name)
    deadline.doing = "reading its settings"
    session = open_hook_session(config=arguments.config, state=arguments.state)
    deadline.asked = replace(deadline.asked, home=session.settings.home, settings=session.settings.file)
    deadline.within(session.settings.verifier.timeout)
    deadline.doing = f"asking the trust server of {reference.gun}, or writing what was verified"
    return admit(session, reference, arguments.digest)


def _refusal(error: BaseException, asked: Asked) -> tuple[int, str]:
    try:
        return explained(error, asked)
    except BaseException:  # noqa: BLE001 - even the explanation failed: no memory, most likely
        return OTHER, "refused: this image cannot be judged"


def _standard_input() -> bytes:
    """All of it, up to one byte more than may be there."""
    parts: list[bytes] = []
    left = MAX_DESCRIPTOR + 1
    while left and (part := os.read(_STDIN, left)):
        parts.append(part)
        left -= len(part)
    return b"".join(parts)


def _be_sure_of_standard_files() -> None:
    """A closed descriptor would be given to the next file opened, and an answer be written into that."""
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


def _tell(word: str) -> NoReturn:
    """For people, who call it with nothing else: containerd always gives more."""
    text = _HELP
    if "version" in word:
        from importlib.metadata import version

        text = f"trust-image-verifier {version('content-trust')}\n"
    with contextlib.suppress(OSError):
        os.write(_STDOUT, text.encode())
    sys.exit(DONE)


if __name__ == "__main__":
    main()
