"""Completion in real shells, with a person at a terminal who presses the tab key."""

from __future__ import annotations

import os
import pty
import re
import select
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final

import pytest

from tests.support.known_home import APP, cached, key, pin
from tests.support.programs import program
from tests.support.trust_program import COMMAND_SECONDS
from trustcli.completion.scripts import SCRIPTS

TAB: Final = "\t"
TO_THE_BEGINNING: Final = "\x01"
READY: Final = "ready> "
START: Final = {
    "bash": ["--norc", "--noprofile", "-i"],
    "zsh": ["-f", "-i"],
    "fish": ["--no-config", "--interactive"],
}
LOADED: Final = {
    "bash": "source <(trust completion bash)",
    "zsh": "autoload -Uz compinit; compinit -u -D; source <(trust completion zsh)",
}
"""How the reference says that it is loaded."""


class Terminal:
    """A shell in a terminal."""

    def __init__(self, shell: str, folder: Path, environ: Mapping[str, str]) -> None:
        path = program(shell)
        self._pid, self._side = pty.fork()
        if not self._pid:
            os.chdir(folder)
            os.execve(path, [shell, *START[shell]], dict(environ))
        self._printed = ""
        self.until(READY)
        self.command(LOADED[shell])

    def until(self, text: str) -> str:
        """Read until the text is printed; what stood before it."""
        while text not in self._printed:
            ready, _, _ = select.select([self._side], [], [], COMMAND_SECONDS)
            assert ready, f"the shell says no more than {self._printed!r}"
            self._printed += os.read(self._side, 65536).decode()
        before, _, self._printed = self._printed.partition(text)
        return before

    def type(self, text: str) -> None:
        os.write(self._side, text.encode())

    def command(self, text: str) -> None:
        """Run a command to its end."""
        self.type(f"{text}; echo en''ded\n")
        self.until("ended")
        self.until(READY)

    def completed(self, line: str) -> list[str]:
        """The words of the line after the tab key was pressed at its end."""
        self.type(f"{line}{TAB}{TO_THE_BEGINNING}printf 'wo''rd<%s>\\n' \x05 en''ded\n")
        return re.findall("word<(.*?)>", self.until("word<ended>"))

    def close(self) -> None:
        os.close(self._side)  # hangs up
        os.waitpid(self._pid, 0)


@pytest.fixture
def environ(tmp_path: Path) -> dict[str, str]:
    """What the shells are given: a home that knows a collection, and `trust` on the PATH."""
    home = tmp_path / "home"
    home.mkdir(mode=0o700)
    pin(home, APP)
    cached(home, APP, ["1.0", "rolling", "\x1b[31mred", "$(touch gone)"], signers=["alice"])
    key(home, "walter")
    (tmp_path / "my policy.toml").touch()
    (tmp_path / "folder").mkdir()
    (tmp_path / "folders.txt").touch()
    (tmp_path / "bin").mkdir()
    for name in ("trust", "content-trust"):
        trust = tmp_path / "bin" / name
        trust.write_text(f'#!/bin/sh\nexec {sys.executable} -m trustcli "$@"\n')
        trust.chmod(0o755)
    return {
        "HOME": str(tmp_path),
        "PATH": f"{trust.parent}:{os.environ['PATH']}",
        "PS1": READY,
        "PROMPT": READY,
        "PYTHONPATH": str(Path(__file__).parents[2]),
        "TERM": "dumb",
        "TRUST_HOME": str(home),
    }


@pytest.fixture(params=sorted(LOADED))
def terminal(request: pytest.FixtureRequest, tmp_path: Path, environ: dict[str, str]) -> Iterator[Terminal]:
    found = Terminal(request.param, tmp_path, environ)
    yield found
    found.close()


def test_a_line_is_completed(terminal: Terminal) -> None:
    assert terminal.completed("trust veri") == ["trust", "verify"]
    assert terminal.completed("trust key rot") == ["trust", "key", "rotate"]
    assert terminal.completed("trust verify registry") == ["trust", "verify", APP]
    assert terminal.completed("trust verify registry.example.com:50") == ["trust", "verify", APP]
    assert terminal.completed(f"trust verify {APP}:1") == ["trust", "verify", f"{APP}:1.0"]
    assert terminal.completed(f"trust verify {APP}:ro") == ["trust", "verify", f"{APP}:rolling"]
    assert terminal.completed("trust audit 'registry") == ["trust", "audit", APP]
    assert terminal.completed("trust sign --form") == ["trust", "sign", "--format"]
    assert terminal.completed("trust sign --format no") == ["trust", "sign", "--format", "notary"]
    assert terminal.completed("trust sign --format=no") == ["trust", "sign", "--format=notary"]
    assert terminal.completed("trust key export wal") == ["trust", "key", "export", "walter"]
    assert terminal.completed("trust signer remove al") == ["trust", "signer", "remove", "alice"]
    assert terminal.completed("trust verify --policy my") == ["trust", "verify", "--policy", "my policy.toml"]
    assert terminal.completed("trust verify --policy=my") == ["trust", "verify", "--policy=my policy.toml"]
    assert terminal.completed("trust key generate --dir fol")[-1].removesuffix("/") == "folder", "no file"


@pytest.mark.parametrize(
    ("line", "suggested"),
    [
        ("trust veri", ["verify"]),
        ("trust verify registry", [APP, f"{APP}:"]),
        (f"trust verify {APP}:", [f"{APP}:1.0", f"{APP}:rolling"]),
        ("trust sign --format=n", ["--format=notary"]),
        ("trust key export wal", ["walter"]),
        ("trust verify --policy my", ["my policy.toml"]),
        ("trust key generate --dir fol", ["folder/"]),
        ("trust verify --max-age ", []),
    ],
)
def test_fish(line: str, suggested: list[str], tmp_path: Path, environ: dict[str, str]) -> None:
    asked = f"trust completion fish | source; complete -C '{line}'"
    command = [program("fish"), "--no-config", "-c", asked]
    done = subprocess.run(command, cwd=tmp_path, env=environ, capture_output=True, text=True, check=True)
    assert [each.partition("\t")[0] for each in done.stdout.splitlines()] == suggested
    assert done.stderr == ""


@pytest.mark.parametrize("shell", sorted(LOADED))
def test_the_server_is_completed_too(shell: str, tmp_path: Path, environ: dict[str, str]) -> None:
    server = tmp_path / "bin" / "trust-server"
    server.write_text(f'#!/bin/sh\nexec {sys.executable} -m trustserver "$@"\n')
    server.chmod(0o755)
    terminal = Terminal(shell, tmp_path, environ)
    terminal.command(LOADED[shell].replace("trust completion", "trust-server completion"))
    assert terminal.completed("trust-server coll") == ["trust-server", "collections"]
    assert terminal.completed("trust-server collections re") == ["trust-server", "collections", "release"]
    assert terminal.completed("trust-server serve --lis") == ["trust-server", "serve", "--listen"]
    assert terminal.completed("trust-server check --against my") == [
        "trust-server",
        "check",
        "--against",
        "my policy.toml",
    ]
    terminal.close()


def test_the_server_is_completed_in_fish(tmp_path: Path, environ: dict[str, str]) -> None:
    server = tmp_path / "bin" / "trust-server"
    server.write_text(f'#!/bin/sh\nexec {sys.executable} -m trustserver "$@"\n')
    server.chmod(0o755)
    for line, suggested in (("trust-server coll", "collections"), ("trust-server serve --data fold", "folder/")):
        asked = f"trust-server completion fish | source; complete -C '{line}'"
        done = subprocess.run(
            [program("fish"), "--no-config", "-c", asked],
            cwd=tmp_path,
            env=environ,
            capture_output=True,
            text=True,
            check=True,
        )
        assert done.stdout.splitlines()[0].partition("\t")[0] == suggested
        assert done.stderr == ""


@pytest.mark.parametrize("shell", sorted(SCRIPTS))
def test_each_shell_understands_its_script(shell: str, tmp_path: Path) -> None:
    path = program(shell)
    script = tmp_path / "script"
    script.write_text(SCRIPTS[shell])
    assert os.spawnv(os.P_WAIT, path, [shell, "-n", str(script)]) == 0
