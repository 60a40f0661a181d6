"""Questions at the terminal."""

from __future__ import annotations

import getpass
import subprocess
import sys
from collections.abc import Callable

import pytest

from keys.errors import PassphraseMissing
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


def test_without_a_terminal_the_answer_is_no() -> None:
    assert not TerminalPrompt(openly=Terminal(OSError(6, "No such device"))).confirm("Really?")


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
