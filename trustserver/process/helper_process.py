"""A helper process of the server: it is asked one question at a time, over its standard input and output.

A helper is started when it is first needed, and again if it has ended. It ends with the server, however that ends: then
its standard input does. It gets frames: four bytes with a length (big-endian), and so many bytes.
"""

from __future__ import annotations

import contextlib
import fcntl
import logging
import os
import resource
import select
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from types import TracebackType
from typing import IO, Final, Self

from trustdata.errors import NotStored

MAX_FRAME: Final = 64 * 1024 * 1024
"""The highest number of bytes in one frame."""
OUT_OF_MEMORY: Final = 3
"""The exit status of a helper for whose question there is not enough memory."""
_LENGTH: Final = 4  # bytes of the number before each frame
_PIPE_BYTES: Final = 1024 * 1024
"""The wanted capacity of the pipes: with the usual 64 KiB, a large question would wait for many changes of process."""
_FIRST_TO_GO: Final = "1000"

_log = logging.getLogger(__name__)


class FrameBroken(Exception):
    """What was read is no whole frame."""


def write_frame(file: IO[bytes], content: bytes) -> None:
    """Write one frame. Raises: OSError."""
    file.write(len(content).to_bytes(_LENGTH, "big"))
    file.write(content)


def read_frame(file: IO[bytes]) -> bytes | None:
    """Read one frame; None at the end of the file. Raises: FrameBroken, OSError."""
    head = file.read(_LENGTH)
    if not head:
        return None
    length = int.from_bytes(head, "big")
    if len(head) != _LENGTH or length > MAX_FRAME:
        raise FrameBroken
    content = file.read(length)
    if len(content) != length:
        raise FrameBroken
    return content


class Helper:
    """The server's end of a helper process, as a context manager. May be used from several threads.

    `command`: what is run; it must read and write frames. `what`: names its work in errors, such as `judging a large
    upload`. `seconds`: the time for one question. What takes longer is killed.
    """

    def __init__(self, command: Sequence[str], *, what: str, seconds: float) -> None:
        self._command = list(command)
        self._what = what
        self._seconds = seconds
        self._asking = threading.Lock()
        self._changing = threading.Lock()
        self._process: subprocess.Popen[bytes] | None = None
        self._closed = False
        self.started = 0
        """How often the process was started."""

    @property
    def pid(self) -> int | None:
        """The process id; None if the helper does not run."""
        process = self._process
        return process.pid if process is not None and process.poll() is None else None

    def ask(self, frames: Iterable[bytes]) -> bytes:
        """Send a question, which is one or more frames, and return the answer, which is one frame.

        Raises: NotStored if there is no answer: the process cannot be started, has ended, or takes too long.
        """
        with self._asking:
            process = self._running()
            late = threading.Event()
            timer = threading.Timer(self._seconds, _kill, (process, late))
            timer.daemon = True
            timer.start()
            answer = None
            try:
                answer = _exchange(process, frames)
            except (OSError, FrameBroken, ValueError):  # ValueError: the helper was closed meanwhile
                _log.warning("a helper process gave no answer", extra={"work": self._what})
            finally:
                timer.cancel()
            if answer is not None:
                return answer
            raise NotStored(reason=self._no_answer(process, late=late.is_set()))

    def close(self) -> None:
        """End the process, and start no other. A question that is not answered yet fails."""
        with self._changing:
            self._closed = True
            process = self._process
        if process is not None:
            _end(process)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    def _running(self) -> subprocess.Popen[bytes]:
        """Return the process; it is started if it does not run. Raises: NotStored."""
        with self._changing:
            process = self._process
            if process is not None and process.poll() is None:
                return process
            if process is not None:
                _end(process)
            if self._closed:
                raise NotStored(reason="the server is stopping")
            try:
                process = subprocess.Popen(self._command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)  # noqa: S603
            except OSError as error:
                reason = f"the process for {self._what} cannot be started: {error.strerror}"
                raise NotStored(reason=reason) from error
            self._process = process
            self.started += 1
            for pipe in (process.stdin, process.stdout):
                _widen(pipe)
            _log.info("a helper process was started", extra={"work": self._what, "pid": process.pid})
            return process

    def _no_answer(self, process: subprocess.Popen[bytes], *, late: bool) -> str:
        """End a process that has failed, and return what has happened, for an error."""
        _end(process)
        if late:
            return f"{self._what} took longer than {self._seconds:g} seconds"
        status = process.returncode
        if status == OUT_OF_MEMORY:
            return f"{self._what} takes more memory than it may have"
        how = f"signal {-status}" if status < 0 else f"status {status}"
        return f"the process for {self._what} has ended ({how})"


def _exchange(process: subprocess.Popen[bytes], frames: Iterable[bytes]) -> bytes | None:
    """Send the frames and read the answer; None if the process has ended. Raises: OSError, FrameBroken, ValueError."""
    if process.stdin is None or process.stdout is None:
        return None
    for frame in frames:
        write_frame(process.stdin, frame)
    process.stdin.flush()
    return read_frame(process.stdout)


def _kill(process: subprocess.Popen[bytes], late: threading.Event) -> None:
    late.set()
    process.kill()


def _end(process: subprocess.Popen[bytes]) -> None:
    process.kill()
    process.wait()
    for pipe in (process.stdin, process.stdout):
        if pipe is not None:
            with contextlib.suppress(OSError):  # what was not written yet cannot be written any more
                pipe.close()


def _widen(pipe: object) -> None:
    """Give a pipe a larger capacity, where the system lets us."""
    set_size = getattr(fcntl, "F_SETPIPE_SZ", None)
    if set_size is not None:
        with contextlib.suppress(OSError):
            fcntl.fcntl(pipe, set_size, _PIPE_BYTES)  # type: ignore[call-overload]


# -- in the helper process itself ---------------------------------------------------------------------------


def python_command(module: str, *arguments: str) -> list[str]:
    """Return the command that runs `main` of a module with these arguments, in the same interpreter.

    It finds the modules where this process finds them, and nowhere else: `-m` would look in the working directory too.
    """
    program = f"import sys; sys.path[:] = sys.argv[{len(arguments) + 1}:]; import {module}; {module}.main()"
    return [sys.executable, "-P", "-c", program, *arguments, *sys.path]


def serve_frames(answer: Callable[[IO[bytes]], bytes | None]) -> None:
    """Answer questions until the server ends. `answer`: reads one question and returns its answer, None at the end.

    Signals for the whole group of processes are left to the server, which finishes what it has begun. What anything
    else writes to the standard output goes to standard error.
    """
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
    with contextlib.suppress(OSError):  # if memory runs out, this process is to end and not the server
        Path("/proc/self/oom_score_adj").write_text(_FIRST_TO_GO, encoding="ascii")
    threading.Thread(target=_end_with_the_server, name="server's end", daemon=True).start()
    with os.fdopen(os.dup(0), "rb") as questions, os.fdopen(os.dup(1), "wb") as answers:
        os.dup2(2, 1)
        while (answered := answer(questions)) is not None:
            write_frame(answers, answered)
            answers.flush()


def _end_with_the_server() -> None:
    """Wait until nobody can ask any more, and end this process, whatever it does."""
    poll = select.poll()
    poll.register(0, 0)  # the end of the other side is always reported
    poll.poll()
    os._exit(0)


def limit_memory(size: int) -> None:
    """Let this process have so many bytes of data, its interpreter included. More raises MemoryError, or ends it.

    C code that does not look whether it got memory ends it with a signal; that leaves no core file.
    """
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    with contextlib.suppress(OSError, ValueError):
        _, hard = resource.getrlimit(resource.RLIMIT_DATA)
        most = size if hard == resource.RLIM_INFINITY else min(size, hard)
        resource.setrlimit(resource.RLIMIT_DATA, (most, most))
