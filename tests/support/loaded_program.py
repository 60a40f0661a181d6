"""Programs that are already loaded: a process that has imported one forks for each start of it.

A start by this way is a process of its own, with its own memory, environment, working directory, streams, signals and
exit status; only what the interpreter does before the first line of the program is not done again, which is most of
what a start costs. Keys are sealed cheaply. What depends on the interpreter's own start is started for real.

Run as a program, this module is the process that has loaded PACKAGE: orders come over the socket that is its standard
input, and its end is the end of that.
"""

from __future__ import annotations

import atexit
import contextlib
import functools
import gc
import importlib
import io
import json
import os
import pkgutil
import runpy
import select
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import traceback
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO, Any, NoReturn

_TOP = Path(__file__).resolve().parents[2]
_LONGEST_ORDER = 1 << 17
_INHERITED = ("PATH", "COVERAGE_PROCESS_CONFIG")
"""Variables that a process which loads a package gets: it is measured if this one is."""
_READS_ITS_COMMAND_LINE = {"trustcli": ["pins"], "trustserver": ["check", "--data", "/nonexistent"]}
"""Commands that do nothing where there is nothing."""
_HAS_PARSERS = "trustcli"
"""The package with a table of commands, whose parsers are made before the first start."""
_loaders: dict[str, _Loader] = {}
"""By package, in this process."""


class LoadedProcess:
    """What `subprocess.Popen` is for a process that was not forked by this one."""

    def __init__(self, args: Sequence[str], told: socket.socket) -> None:
        self.args = args
        self.returncode: int | None = None
        self._told = told
        self.pid = int(told.recv(16))

    def wait(self, timeout: float) -> int:
        """Exit status, negative for a signal. Raises: subprocess.TimeoutExpired."""
        if self.returncode is None:
            ready, _, _ = select.select([self._told], [], [], timeout)
            if not ready:
                raise subprocess.TimeoutExpired(self.args, timeout)
            with self._told:
                self.returncode = int(self._told.recv(16))
        return self.returncode

    def send_signal(self, number: signal.Signals) -> None:
        """Send a signal to the process if nobody has waited for it yet."""
        if self.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.pid, number)

    def kill(self) -> None:
        """Send SIGKILL."""
        self.send_signal(signal.SIGKILL)


class _Loader:
    """The process that has loaded a package."""

    def __init__(self, package: str) -> None:
        self._orders, there = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with there:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "tests.support.loaded_program", package],
                stdin=there.fileno(),
                stdout=subprocess.DEVNULL,
                cwd=_TOP,
                env={name: os.environ[name] for name in _INHERITED if name in os.environ},
            )

    def start(self, order: dict[str, Any], *files: IO[Any]) -> LoadedProcess:
        here, there = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with there:
            descriptors = [there.fileno(), *(file.fileno() for file in files)]
            socket.send_fds(self._orders, [json.dumps(order).encode()], descriptors)
        return LoadedProcess([order["module"], *order["arguments"]], here)

    def stop(self) -> None:
        self._orders.close()
        self._process.wait()


def start_loaded(
    module: str,
    arguments: Sequence[str],
    *,
    package: str,
    cwd: Path,
    environ: Mapping[str, str],
    stdout: IO[Any],
    stderr: IO[Any],
    stdin: IO[Any] | None = None,
) -> LoadedProcess:
    """Start `python -m module arguments` from a process that has loaded `package`; without `stdin` it reads nothing."""
    if package not in _loaders:
        _loaders[package] = _Loader(package)
    order = {
        "module": module,
        "arguments": list(arguments),
        "cwd": str(cwd),
        "environ": dict(environ),
    }
    with Path(os.devnull).open() as nothing:
        return _loaders[package].start(order, stdin or nothing, stdout, stderr)


class Started:
    """A program that was started, and writes to files: `ended` waits for it. `fresh`: as a start of its own."""

    def __init__(
        self,
        module: str,
        arguments: Sequence[str],
        *,
        package: str,
        cwd: Path,
        environ: Mapping[str, str],
        raw: bytes = b"",
        fresh: bool = False,
    ) -> None:
        self._files = [tempfile.TemporaryFile(), tempfile.TemporaryFile(), tempfile.TemporaryFile()]  # noqa: SIM115
        stdin, stdout, stderr = self._files
        stdin.write(raw)
        stdin.seek(0)
        self._process: subprocess.Popen[bytes] | LoadedProcess
        if fresh:
            command = [sys.executable, "-m", module, *arguments]
            self._process = subprocess.Popen(command, cwd=cwd, env=environ, stdin=stdin, stdout=stdout, stderr=stderr)
        else:
            self._process = start_loaded(
                module,
                arguments,
                package=package,
                cwd=cwd,
                environ=environ,
                stdin=stdin,
                stdout=stdout,
                stderr=stderr,
            )

    def send_signal(self, number: signal.Signals) -> None:
        """Send a signal to the program."""
        self._process.send_signal(number)

    def ended(self, seconds: float) -> subprocess.CompletedProcess[bytes]:
        """How it ended, and what it wrote; after so many seconds it is killed. Call it once."""
        try:
            status = self._process.wait(seconds)
        except subprocess.TimeoutExpired:
            self._process.kill()
            status = self._process.wait(seconds)
        for file in self._files:
            file.seek(0)
        _, stdout, stderr = (file.read() for file in self._files)
        for file in self._files:
            file.close()
        return subprocess.CompletedProcess(self._process.args, status, stdout, stderr)


def stop_loaders() -> None:
    """End the processes that have loaded programs; what they started and still runs is left to be found."""
    while _loaders:
        _loaders.popitem()[1].stop()


# --- the process that has loaded a package


def _load(package: str) -> None:
    """Import every module of it, what those import, and what is imported when a command line is read."""
    import typer.main

    from tests.support.cheap_keys import seal_cheaply

    for module in pkgutil.walk_packages(importlib.import_module(package).__path__, f"{package}."):
        if not module.name.endswith((".__main__", ".env")) and ".versions." not in module.name:
            importlib.import_module(module.name)
    seal_cheaply()
    # Typer reads the signatures of all commands for each that is called: most of what is left of a start.
    reads = typer.main.get_params_from_function  # type: ignore[attr-defined] # typer does not export it
    typer.main.get_params_from_function = functools.cache(reads)  # type: ignore[attr-defined]
    os.environ |= {"HOME": "/nonexistent", "TRUST_HOME": "/nonexistent"}
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
        _run(package, _READS_ITS_COMMAND_LINE[package])
        if package == _HAS_PARSERS:
            from trustcli.commands.table import COMMANDS

            for name in COMMANDS:
                _run(package, [name, "--help"])


def _obey() -> None:
    """Fork for each order; tell who gave it the process id, and at last the exit status."""
    orders = socket.socket(fileno=os.dup(0))
    woken, waker = socket.socketpair()
    waker.setblocking(False)
    woken.setblocking(False)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    signal.set_wakeup_fd(waker.fileno(), warn_on_full_buffer=False)
    waiting: dict[int, socket.socket] = {}
    while True:
        ready, _, _ = select.select([orders, woken], [], [])
        if woken in ready:
            woken.recv(4096)
            _reap(waiting)
        if orders in ready:
            order, descriptors, _, _ = socket.recv_fds(orders, _LONGEST_ORDER, 4)
            if not order:
                return
            told, *files = descriptors
            pid = os.fork()
            if pid == 0:
                _become(json.loads(order), files)
            for file in files:
                os.close(file)
            waiting[pid] = socket.socket(fileno=told)
            waiting[pid].send(str(pid).encode())


def _reap(waiting: dict[int, socket.socket]) -> None:
    with contextlib.suppress(ChildProcessError):
        while True:
            pid, ended = os.waitpid(-1, os.WNOHANG)
            if pid == 0:
                return
            with waiting.pop(pid) as told, contextlib.suppress(OSError):  # whoever asked may be gone
                told.send(str(os.waitstatus_to_exitcode(ended)).encode())


def _become(order: dict[str, Any], files: list[int]) -> NoReturn:
    """Be the program, to its end."""
    status = 1
    try:
        signal.set_wakeup_fd(-1)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        for number, file in enumerate(files):
            os.dup2(file, number)
        os.closerange(3, os.sysconf("SC_OPEN_MAX"))
        os.chdir(order["cwd"])
        os.environ.clear()
        os.environ.update(order["environ"])
        for stream in (sys.stdout, sys.stderr):
            stream.reconfigure(write_through="PYTHONUNBUFFERED" in os.environ)  # type: ignore[union-attr]
        status = _run(order["module"], order["arguments"])
        atexit._run_exitfuncs()
        sys.stdout.flush()
        sys.stderr.flush()
    finally:
        os._exit(status)


def _run(module: str, arguments: Sequence[str]) -> int:
    """What the interpreter does with `-m module arguments`: run it, report what it raises, end its threads, flush."""
    sys.argv = [module, *arguments]
    sys.modules.pop(module, None)  # or runpy would warn that it runs what is loaded
    status = 0
    try:
        runpy.run_module(module, run_name="__main__", alter_sys=True)
    except SystemExit as ended:
        status = ended.code if isinstance(ended.code, int) else int(ended.code is not None)
        if isinstance(ended.code, str):
            sys.stderr.write(f"{ended.code}\n")
    except BaseException:  # noqa: BLE001 - the last line, as in the interpreter
        traceback.print_exc()
        status = 1
    for thread in threading.enumerate():
        if thread is not threading.main_thread() and not thread.daemon:
            thread.join()
    return status


if __name__ == "__main__":
    _load(sys.argv[1])
    gc.collect()
    gc.freeze()
    _obey()
