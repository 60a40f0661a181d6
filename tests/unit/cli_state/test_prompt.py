"""Questions at the terminal."""

from __future__ import annotations

import getpass
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from keys.errors import PassphraseMissing
from keys.passphrase import variables_for
from trustcli.console.prompt import TerminalPrompt

KEY = "root key (0123456789ab)"


class Terminal:
    def __init__(self, *answers: str | Exception) -> None:
        self._answers = list(answers)
        self.questions: list[str] = []

    def __call__(self, question: str) -> str:
        self.questions.append(question)
        answer = self._answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer


def ask(terminal: Callable[[str], str], *, new: bool = False, retry: bool = False) -> str:
    return TerminalPrompt(hidden=terminal)(purpose="root", key=KEY, new=new, retry=retry)


def test_asks_once_for_a_known_passphrase_and_names_the_key() -> None:
    terminal = Terminal("secret")
    assert ask(terminal) == "secret"
    assert KEY in terminal.questions[0]


def test_says_that_the_last_one_was_wrong() -> None:
    terminal = Terminal("secret")
    ask(terminal, retry=True)
    assert "not open" in terminal.questions[0]


def test_a_pin_is_called_one_and_is_never_asked_for_again() -> None:
    terminal = Terminal("1234", "1234")
    prompt = TerminalPrompt(hidden=terminal)
    for retry in (False, True):  # the second before the last try, when somebody else may have been wrong
        assert prompt(purpose="token", key="token vault (serial 01)", new=False, retry=retry) == "1234"
    assert terminal.questions == ["PIN of token vault (serial 01): "] * 2


def test_a_new_one_is_asked_for_until_two_answers_agree() -> None:
    terminal = Terminal("one-of-eight", "two-of-eight", "", "a secret", "a secret")
    assert ask(terminal, new=True) == "a secret"
    assert "differ" in terminal.questions[2]
    assert "empty" in terminal.questions[3]


def test_a_new_one_below_eight_characters_is_refused_as_by_docker() -> None:
    terminal = Terminal("seven77", "eight888", "eight888")
    assert ask(terminal, new=True) == "eight888"
    assert "at least 8 characters" in terminal.questions[1]
    assert ask(Terminal("seven77")) == "seven77"  # one that is in use may be short


def test_a_new_one_is_asked_for_three_times_at_most() -> None:
    terminal = Terminal(*[f"eight-{letter}-888" for letter in "abcdef"], "never", "never")
    with pytest.raises(PassphraseMissing, match="0123456789ab"):
        ask(terminal, new=True)
    assert len(terminal.questions) == 6


@pytest.mark.parametrize("failure", [OSError(6, "No such device"), EOFError(), getpass.GetPassWarning("echo")])
def test_a_terminal_that_cannot_be_used_gives_no_passphrase(failure: Exception) -> None:
    with pytest.raises(PassphraseMissing):
        ask(Terminal(failure))


def test_who_gives_no_passphrase_is_told_where_one_can_be_put() -> None:
    for nobody, new in ((Terminal(EOFError()), False), (Terminal(*["short"] * 3), True)):
        with pytest.raises(PassphraseMissing) as caught:
            ask(nobody, new=new)
        assert caught.value.sources == variables_for("root")


def test_interrupting_is_not_swallowed() -> None:
    def interrupted(_: str) -> str:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        ask(interrupted)


def test_where_the_echo_cannot_be_turned_off_nothing_is_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    def shows(question: str) -> str:
        import warnings

        warnings.warn("Can not control echo on the terminal.", getpass.GetPassWarning, stacklevel=2)
        return "shown to everybody"

    monkeypatch.setattr(getpass, "getpass", shows)
    with pytest.raises(PassphraseMissing):
        TerminalPrompt()(purpose="root", key=KEY, new=False, retry=False)


@pytest.mark.parametrize(
    ("answer", "expected"),
    [("y\n", True), ("YES\n", True), ("n\n", False), ("", False), ("\n", False), ("yeah\n", False)],
)
def test_only_a_clear_yes_is_yes(answer: str, expected: object) -> None:
    terminal = Terminal(answer)
    assert TerminalPrompt(openly=terminal).confirm("Really?") is expected
    assert terminal.questions == ["Really? [y/N] "]


@pytest.mark.parametrize("failure", [OSError(6, "No such device"), EOFError()])
def test_no_answer_is_no_yes_and_no_empty_line(failure: Exception) -> None:
    assert not TerminalPrompt(openly=Terminal(failure)).confirm("Really?")
    assert TerminalPrompt(openly=Terminal(failure)).ask("Which file?") is None
    assert TerminalPrompt(openly=Terminal("\n")).ask("Which file?") == ""


_AT_A_TERMINAL = """
import os, pty, sys

child, terminal = pty.fork()
if child == 0:
    from trustcli.console.prompt import TerminalPrompt
    prompt = TerminalPrompt()
    sure = prompt.confirm("Sure?")
    passphrase = prompt(purpose="root", key="the key", new=False, retry=False)
    os._exit(0 if sure and passphrase == "secret" else 1)

seen = b""
def until(text):
    global seen
    while text not in seen:
        seen += os.read(terminal, 1000)
until(b"Sure? [y/N] ")
os.write(terminal, b"yes\\n")
until(b"Passphrase of the key: ")
os.write(terminal, b"secret\\n")
try:
    while part := os.read(terminal, 1000):
        seen += part
except OSError:
    pass
assert b"secret" not in seen, seen
sys.exit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
"""


def test_at_a_real_terminal_the_passphrase_is_not_shown() -> None:
    # In a process of its own, which may fork; standard input and output are pipes, as in a pipeline.
    done = subprocess.run(
        [sys.executable, "-c", _AT_A_TERMINAL], stdin=subprocess.DEVNULL, capture_output=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr.decode()


_WITH_ONE_ANSWER = """
import os, pty, sys

question, answer, *argv = sys.argv[1:]
child, terminal = pty.fork()
if child == 0:
    from trustcli.__main__ import run
    os._exit(run(argv))
seen = b""
while question.encode() not in seen:
    seen += os.read(terminal, 1000)
os.write(terminal, answer.encode())
try:
    while part := os.read(terminal, 1000):
        seen += part
except OSError:
    pass
sys.stdout.buffer.write(seen)
sys.exit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
"""
_CTRL_D = "\x04"
_DECIDE = "decide about the recovery key: --recovery-key FILE or --no-recovery-key"


@pytest.mark.parametrize("answer", [_CTRL_D, f"yes{_CTRL_D}{_CTRL_D}"])
@pytest.mark.parametrize(
    ("question", "command", "says"),
    [
        ("recovery root key", ["init", "r.invalid/app"], _DECIDE),
        ("[y/N]", ["renew"], "to renew in r.invalid/app, the only pinned collection, without being asked: --yes"),
    ],
)
def test_the_end_of_the_terminal_decides_nothing(
    tmp_path: Path, question: str, command: list[str], says: str, answer: str
) -> None:
    """Also after a line that was not finished."""
    (tmp_path / "home").mkdir()
    if command == ["renew"]:
        pin = f'pin = "sha256:{"0" * 64}"\nformat = "tuf-1.0"\nrecorded = 2026-01-02T03:04:05Z\nhow = "init"\n'
        (tmp_path / "home" / "pins.toml").write_text(f'[pins."r.invalid/app"]\n{pin}')
    before = sorted(tmp_path.rglob("*"))
    done = at_a_terminal(tmp_path, question, answer, *command)
    assert done.returncode == 2
    assert says in done.stdout.decode()
    assert sorted(tmp_path.rglob("*")) == before


def test_a_file_below_a_home_that_nobody_knows_is_wrong_usage(tmp_path: Path) -> None:
    done = at_a_terminal(tmp_path, "recovery root key", "~nobody.here/r.pem\n", "init", "r.invalid/app")
    assert done.returncode == 2
    assert "~nobody.here/r.pem cannot be used: begins with a home folder that is not known here" in done.stdout.decode()


def at_a_terminal(folder: Path, question: str, answer: str, *command: str) -> subprocess.CompletedProcess[bytes]:
    """Run `trust` at a terminal, where one question is answered."""
    program = [sys.executable, "-c", _WITH_ONE_ANSWER, question, answer, *command]
    environ = {**os.environ, "TRUST_HOME": str(folder / "home")}
    return subprocess.run(program, capture_output=True, env=environ, cwd=folder, timeout=60, check=False)


def test_without_any_terminal_nobody_is_asked() -> None:
    code = (
        "from keys.errors import PassphraseMissing\nfrom trustcli.console.prompt import TerminalPrompt\n"
        "assert not TerminalPrompt().confirm('Sure?')\n"
        "try: TerminalPrompt()(purpose='root', key='k', new=False, retry=False)\n"
        "except PassphraseMissing: print('missing')"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        start_new_session=True,  # no controlling terminal
        timeout=60,
        check=False,
    )
    assert done.stdout == b"missing\n", done.stderr.decode()


def test_questions_are_harmless_on_a_terminal() -> None:
    """They name keys and collections, which others may have named."""
    asked: list[str] = []

    def answer(question: str) -> str:
        asked.append(question)
        return "y"

    prompt = TerminalPrompt(hidden=answer, openly=answer)
    assert prompt.confirm("Remove \x1b[2Kx?")
    assert prompt.ask("Who is \rx?") == "y"
    assert prompt(purpose="root", key="\x9bx", new=False, retry=False) == "y"
    assert asked == ["Remove \\x1b[2Kx? [y/N] ", "Who is \\rx?", "Passphrase of \\x9bx: "]
