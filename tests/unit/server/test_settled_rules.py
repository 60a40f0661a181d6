"""A file of rules is read when nobody is writing it: half of one may be a whole one without the rules that deny."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from threading import Event, Thread

import pytest

from tests.unit.server.access_site import rules_text
from trustserver.auth import access_source
from trustserver.auth.access_file import load_rules
from trustserver.auth.access_source import LOOK_SECONDS, SETTLED_SECONDS, AccessSource
from trustserver.auth.rules import AccessRules

ALLOW = ("*", "*", "allow", "pull")
DENY = ("anonymous", "registry.example.com/secret/*", "deny", "pull")


class Rig:
    """A file of rules, and what looks at it at times that a test says."""

    def __init__(self, file: Path) -> None:
        self.file = file
        self.at = 0.0
        self.write(rules_text(ALLOW, DENY))
        self.source = AccessSource(file, seconds=lambda: self.at)

    def write(self, text: str) -> None:
        self.file.write_text(text)
        self.file.chmod(0o600)

    def append(self, text: str) -> None:
        with self.file.open("a") as file:
            file.write(text)

    def look(self, *, after: float = 0.0, at_signal: bool = False) -> int:
        """How many rules count after a look."""
        self.at += after
        self.source.refresh(unchanged_too=at_signal)
        return len(self.source.state.rules.rules)


@pytest.fixture
def rig(tmp_path: Path) -> Rig:
    return Rig(tmp_path / "access.toml")


def test_half_a_file_does_not_count_however_often_it_is_looked_at(rig: Rig) -> None:
    whole = rules_text(ALLOW, DENY, DENY)
    half, rest = whole[: whole.rindex("[[rule]]")], whole[whole.rindex("[[rule]]") :]
    half, middle = half[: half.rindex("[[rule]]")], half[half.rindex("[[rule]]") :]
    rig.write(half)
    for _ in range(10):  # anybody can cause a look, with a wrong token
        assert rig.look() == 2
    rig.append(middle)
    assert rig.look(after=SETTLED_SECONDS - 0.01) == 2
    rig.append(rest)
    assert rig.look(after=SETTLED_SECONDS - 0.01) == 2
    assert rig.look(after=SETTLED_SECONDS) == 3


def test_what_was_there_again_in_time_changes_nothing(rig: Rig, caplog: pytest.LogCaptureFixture) -> None:
    rig.file.rename(rig.file.with_suffix(".new"))
    assert rig.look() == 2
    rig.file.with_suffix(".new").rename(rig.file)
    assert rig.look(after=10) == 2
    assert rig.look(after=10) == 2
    assert not caplog.records


def test_at_a_signal_it_is_read_at_once(rig: Rig) -> None:
    rig.write(rules_text(ALLOW))
    assert rig.look(at_signal=True) == 1
    assert rig.look(after=10) == 1


@pytest.mark.parametrize("at_signal", [False, True])
def test_what_is_changed_while_it_is_read_is_read_again(
    rig: Rig, monkeypatch: pytest.MonkeyPatch, *, at_signal: bool
) -> None:
    def meanwhile(path: Path) -> AccessRules:
        found = load_rules(path)
        for user in "ab":
            rig.append(f"[[rule]]\nsubjects = ['user:{user}']\nnames = ['*']\nallow = ['pull']\n")
        return found

    rig.write(rules_text(ALLOW))
    assert rig.look() == 2
    with monkeypatch.context() as patch:
        patch.setattr(access_source, "load_rules", meanwhile)
        assert rig.look(after=SETTLED_SECONDS, at_signal=at_signal) == 2
    assert rig.look() == 2
    assert rig.look(after=SETTLED_SECONDS) == 3


class Wakes(Event):
    """An event that is set by others at the worst moment: after the wait has ended without it."""

    def __init__(self, ends: Callable[[], None]) -> None:
        super().__init__()
        self.waited: list[float | None] = []
        self._ends = ends

    def wait(self, timeout: float | None = None) -> bool:
        self.waited.append(timeout)
        if len(self.waited) == 1:
            self.set()
            return False
        self._ends()
        return self.is_set()


def test_a_signal_at_the_end_of_a_wait_is_not_lost(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    looks: list[bool] = []
    source = rig.source

    def look(*, asked: bool) -> None:
        looks.append(asked)
        source._closed = len(looks) == 2

    monkeypatch.setattr(source, "_look", look)
    source._wake = Wakes(lambda: None)
    source._look_on()
    assert looks == [False, True]


def test_a_changed_file_is_looked_at_again_soon(rig: Rig) -> None:
    source = rig.source
    source._wake = wakes = Wakes(lambda: setattr(source, "_closed", True))
    rig.write(rules_text(ALLOW))
    thread = Thread(target=source._look_on)
    thread.start()
    thread.join(10)
    assert wakes.waited == [LOOK_SECONDS, SETTLED_SECONDS]
