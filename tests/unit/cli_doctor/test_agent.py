"""What the doctor says of this machine's agent: it never fails a check, since everything goes on without one."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.simulator.home import Home
from tests.simulator.scene import good_collection
from trustcli.doctor.agent import check_agent
from trustcli.doctor.findings import Finding
from trustcli.hooks.agent import place
from trustcli.hooks.agent.answers import Answers
from trustcli.hooks.agent.server import AgentServer
from trustcli.hooks.deciding.context import context_hash
from trustcli.hooks.deciding.decision import Decision
from trustcli.registry.reference import ImageReference
from trustdata.gun import GUN
from trustdata.verification.rollback_memory import Memory

PLENTY = 30.0
"""Seconds that no test needs."""


class DecidesAs:
    """Knows who decides alike, and decides about nothing."""

    def __init__(self, context: str) -> None:
        self._context = context

    def decides_as(self, context: str) -> bool:
        return context == self._context

    def decide_as(self, context: str, reference: ImageReference, digest: str | None = None) -> Decision | None:
        raise AssertionError(context, reference, digest)

    def remembered(self, gun: GUN) -> dict[GUN, Memory]:
        raise AssertionError(gun)


@contextmanager
def serving(path: Path, context: str, at: Home) -> Iterator[None]:
    server = AgentServer(path, Answers(DecidesAs(context), now=lambda: at.at))
    thread = threading.Thread(target=server.run)
    thread.start()
    try:
        yield
    finally:
        server.stop()
        thread.join(PLENTY)


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Home:
    monkeypatch.setattr(place, "DEFAULT", str(tmp_path / "run" / "default"))
    (tmp_path / "run").mkdir(mode=0o700)
    return Home(tmp_path, good_collection().server)


def findings(home: Home, policy: Path | None = None) -> list[Finding]:
    return list(check_agent(home.session(), policy=policy, with_allow_list=True, who="trust verify"))


def context(home: Home, policy: Path | None = None) -> str:
    return context_hash(home.session().settings, policy=policy, with_allow_list=True)


def test_where_there_is_no_agent_and_none_is_named_nothing_is_said(home: Home) -> None:
    home.environ = {"XDG_RUNTIME_DIR": str(home.folder)}
    assert findings(home) == []
    home.environ["TRUST_AGENT"] = "off"
    assert findings(home) == []


def test_an_agent_that_is_asked(home: Home) -> None:
    path = home.folder / "run" / "s"
    home.environ["TRUST_AGENT"] = str(path)
    with serving(path, context(home), home):
        (finding,) = findings(home)
    assert finding == Finding(check="agent", severity="ok", text="the agent is asked first", place=str(path))


def test_an_agent_at_the_place_of_the_node_that_decides_by_another_policy(home: Home) -> None:
    policy = home.folder / "policy.toml"
    policy.write_text('[[rule]]\nmatch = "*"\n')
    policy.chmod(0o600)
    path = Path(place.DEFAULT)
    with serving(path, context(home), home):
        (finding,) = findings(home, policy)
    assert (finding.severity, finding.place) == ("note", str(path))
    assert finding.text.startswith("the agent decides by other files, ")
    assert finding.text.endswith(": trust verify verifies by itself, each time")
    assert "--config" in str(finding.remedy)


def test_an_agent_that_is_named_and_does_not_run(home: Home) -> None:
    home.environ["TRUST_AGENT"] = str(home.folder / "none")
    (finding,) = findings(home)
    assert finding.text.startswith("the agent does not run: ")


@pytest.mark.skipif(os.geteuid() == 0, reason="root reads every file")
def test_a_policy_that_cannot_be_read_is_for_another_check(home: Home) -> None:
    home.environ["TRUST_AGENT"] = str(home.folder / "none")
    policy = home.folder / "policy.toml"
    policy.touch(mode=0o000)
    assert findings(home, policy) == []
