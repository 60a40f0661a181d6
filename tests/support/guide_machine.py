"""A fresh machine on which the commands of the guides are typed into one shell, and what they print is compared."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Final
from urllib.parse import quote

from tests.support.guide_commands import TOP, Typed
from tests.support.programs import free_port
from tests.support.trust_program import no_secret_in

PATH: Final = "/usr/local/bin:/usr/bin:/bin"
ROOT: Final = "/home/you/root"
_SECONDS: Final = 300
_MARK: Final = "\x1e"
_FAILED: Final = 99
_PASSPHRASE: Final = re.compile(r"_PASSPHRASE='(.+?)'")


class Machine:
    """An empty home, the installed programs, ports of its own in place of those that the guides name.

    `there`: what else of a guide is called otherwise here, in the words of the tutorial. `registry`: that of another
    machine, which has collections of its name.
    """

    def __init__(self, folder: Path, *, there: Mapping[str, str] | None = None, registry: str = "") -> None:
        self.folder = folder
        self.home = folder / "home"
        self.home.mkdir(parents=True)
        server = f"127.0.0.1:{free_port()}"
        registry = registry or f"127.0.0.1:{free_port()}"
        self._there = {
            **(there or {}),
            "127.0.0.1:5000": registry,
            "127.0.0.1%3A5000": quote(registry, safe=""),
            "127.0.0.1:4443": server,
            "0.0.0.0:4443": server.replace("127.0.0.1", "0.0.0.0"),
            "127.0.0.1:4444": f"127.0.0.1:{free_port()}",
            "/home/you": str(self.home),
        }
        self.environ = {
            "PATH": PATH,
            "HOME": str(self.home),
            "PYTHONUNBUFFERED": "1",
            "TRUST_SERVER_LISTEN": server,
        }

    def there(self, text: str) -> str:
        """What the guides name, as it is called here."""
        for written, real in self._there.items():
            text = text.replace(written, real)
        return text

    def _from_root(self, text: str) -> str:
        """The text without the folder that is the root of the file system here, for what is not below the home."""
        return text.replace(self.there(ROOT), "")

    def program(self, name: str, module: str) -> None:
        """Put a program of the tests where the shell finds it."""
        folder = self.folder / "bin"
        folder.mkdir(exist_ok=True)
        _script(folder / name, f'{_PYTHON} -m {module} "$@"')
        self.environ["PATH"] = f"{folder}:{PATH}"

    def install(self, folder: str) -> None:
        """Do as `install.sh` does below the home; the programs are those that are tested."""
        programs = self.home / folder / "bin"
        programs.mkdir(parents=True)
        modules = {
            "trust": "trustcli",
            "content-trust": "trustcli",
            "trust-image-verifier": "trustcli.hooks.containerd",
            "trust-server": "trustserver",
        }
        for name, module in modules.items():
            _script(programs / name, f'{_PYTHON} -m {module} "$@"')
        _script(programs / "python", f'{_PYTHON} "$@"')

    def type(self, steps: Iterable[tuple[Typed, bool]]) -> None:
        """Type commands in one shell: each ends with status 0 and, if that is compared, prints what is shown."""
        steps = list(steps)
        script = []
        for step, _ in steps:
            script += [f"printf '{_MARK}'", self.there(step.command), f"test $? = 0 || exit {_FAILED}"]
        printed, status = self._run("\n".join(script))
        no_secret_in(printed)
        assert not [secret for step, _ in steps for secret in _PASSPHRASE.findall(step.command) if secret in printed]
        _, *outputs = printed.split(_MARK)
        ids: dict[str, Ids] = {}
        for (step, compared), output in zip(steps, outputs, strict=False):
            if compared:
                shown, here = (self._from_root(text) for text in (self.there(step.shown), output))
                compare(step, shown, here, ids.setdefault(step.guide, Ids()))
        last = f"{steps[len(outputs) - 1][0]}\n{outputs[-1]}"
        assert status == 0, f"status {status} after\n{last}"
        assert len(outputs) == len(steps), last

    def _run(self, script: str) -> tuple[str, int]:
        with subprocess.Popen(
            ["bash", "-c", script],
            env=self.environ,
            cwd=self.home,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        ) as shell:
            try:
                printed, _ = shell.communicate(timeout=_SECONDS)
            finally:
                _end(shell.pid)
        return printed, shell.returncode


_PYTHON: Final = f"PYTHONPATH='{TOP}' exec '{sys.executable}' -P"


def _end(group: int) -> None:
    """Kill what a shell has left running, and wait for the end of what became ours when the shell ended."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(group, signal.SIGKILL)
    with contextlib.suppress(ChildProcessError):
        while True:
            os.waitpid(-group, 0)


def _script(path: Path, command: str) -> None:
    path.write_text(f"#!/bin/sh\n{command}\n")
    path.chmod(0o755)


# --- what two runs of the same commands have in common

_VARIABLE: Final = (
    (re.compile(r"\b[0-9a-f]{130,146}\b"), "SIGNATURE"),
    (re.compile(r"\b20\d\d-\d\d-\d\d(?:[T ]\d\d:\d\d(?::\d\d(?:\.\d+)?(?:Z|\+00:00)?)?)?"), "TIME"),
    (re.compile(r"^(-rw-------) 1 \S+ \S+ +\d+ \w+ +\d+ [\d:]+ ", re.MULTILINE), r"\1 "),
    (re.compile(r'"length":\d+,"version"'), '"length":N,"version"'),
    (re.compile(r"\bPython 3\.\d+"), "Python 3"),
    (re.compile(r"^total \d+$", re.MULTILINE), "total N"),
    (re.compile(r"\bserial([= ])[0-9a-f]{16}\b"), r"serial\1SERIAL"),
    (re.compile(r";id=(?:%[0-9A-F]{2}){8}"), ";id=ID"),
    (re.compile(r"\bprocess \d+ on \S+ since"), "process N on HOST since"),
    (re.compile(r"\bby \S+@\S+"), "by USER@HOST"),
    (re.compile(r"^Backup:  [0-9a-f]{32}$", re.MULTILINE), "Backup:  NAME"),
    (re.compile(r"\(for localhost,(?: [^,]+,)? 127"), "(for localhost, HOST, 127"),
)
_IN_NO_ORDER: Final = ("docker images", "trust key import ")
"""These images have no times, by which they would be sorted; key files are sorted by their ids."""
_DOTS: Final = "..."
"""A line of these stands for lines that the guide leaves out."""
_ID: Final = re.compile(r"\b[0-9a-f]{64}\b|\b[0-9a-f]{12}\b")


class Ids:
    """Digests and key ids: others in each run, but wherever a guide shows the same one, it is the same one here."""

    def __init__(self) -> None:
        self._here: dict[str, str] = {}
        self._shown: dict[str, str] = {}

    def agree(self, shown: str, here: str) -> bool:
        """Whether the two stand for the same thing. A key is known by its first digits, too."""
        shown, here = shown[:12], here[:12]
        return self._here.setdefault(shown, here) == here and self._shown.setdefault(here, shown) == shown


def compare(step: Typed, shown: str, output: str, ids: Ids) -> None:
    """Assert that a command printed what is shown, but for what differs between two runs."""
    where = f"{step.guide}, {step.heading}:\n$ {step.command}\n{output}"
    wanted, found = _lines(shown), _lines(output)
    if step.command.startswith(_IN_NO_ORDER):
        wanted.sort(key=_without_ids)
        found.sort(key=_without_ids)
    if _DOTS in wanted:
        begin = wanted.index(_DOTS)
        wanted.remove(_DOTS)
        assert len(found) > len(wanted), where
        found[begin : begin + len(found) - len(wanted)] = []
    assert [_without_ids(line) for line in found] == [_without_ids(line) for line in wanted], where
    for pair in zip(wanted, found, strict=True):
        shown_ids, ids_here = (_ID.findall(line) for line in pair)
        if len(shown_ids) == 1:  # of several, the order is that of the ids
            assert ids.agree(shown_ids[0], ids_here[0]), where


def _lines(text: str) -> list[str]:
    """The lines without what the time and the machine decide, and without the width of columns."""
    for pattern, word in _VARIABLE:
        text = pattern.sub(word, text)
    return [re.sub(r" {2,}", "  ", line).rstrip() for line in text.strip().splitlines()]


def _without_ids(line: str) -> str:
    return _ID.sub("ID", line)
