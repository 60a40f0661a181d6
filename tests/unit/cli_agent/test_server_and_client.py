"""Question and answer over the socket, and what is no agent: who hangs, lies, closes early, or is somebody else."""

from __future__ import annotations

import contextlib
import json
import os
import socket
import struct
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path

import pytest

from keys.record import replace
from tests.simulator.repository import NOW
from tests.simulator.scene import APP_IMAGE, GOOD, OTHER
from trustcli.errors import SettingsUnusable
from trustcli.hooks.agent.answers import Answers
from trustcli.hooks.agent.client import Asked, Yes, ask_agent
from trustcli.hooks.agent.probe import AgentUse, probe_agent
from trustcli.hooks.agent.server import AgentLimits, AgentServer
from trustcli.hooks.deciding.decision import Decision
from trustcli.registry.reference import ImageReference, parse_reference
from trustdata.errors import NotSigned
from trustdata.gun import GUN
from trustdata.judgement import Evidence
from trustdata.verification.rollback_memory import Memory

CONTEXT = "5f" * 32
DIGEST = f"sha256:{GOOD}"
PLENTY = 30.0
"""Seconds that no test needs."""
EVIDENCE = Evidence(versions={"targets": 4}, released_by="targets", tags=("1.0",), signers=("alice",), fresh_until=NOW)


class Deciding:
    """Allows one image, for those who decide alike. `asked`: what was asked."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, str | None]] = []
        self.decision = Decision(
            image=APP_IMAGE,
            trust_name=parse_reference(APP_IMAGE).gun,
            allowed=True,
            digest=DIGEST,
            mode="enforce",
            rule="policy.toml, rule *",
            reason="it is signed",
            evidence=EVIDENCE,
            warnings=("old",),
            refreshed=NOW - timedelta(seconds=12),
        )

    def decides_as(self, context: str) -> bool:
        return context == CONTEXT

    def decide_as(self, context: str, reference: ImageReference, digest: str | None = None) -> Decision | None:
        self.asked.append((str(reference), digest))
        if context != CONTEXT:
            return None
        if str(reference) != APP_IMAGE or digest not in {None, DIGEST}:
            return Decision.refused(reference.given, reference.gun, NotSigned(gun=reference.gun, tag="x"))
        return self.decision

    def remembered(self, gun: GUN) -> Mapping[GUN, Memory]:
        return {gun: Memory(root_of_trust="ab" * 32, roles={}, refreshed=NOW)}


@contextmanager
def serving(path: Path, decider: Deciding | None = None, limits: AgentLimits | None = None) -> Iterator[AgentServer]:
    server = AgentServer(path, Answers(decider or Deciding(), now=lambda: NOW), limits=limits)
    thread = threading.Thread(target=server.run)
    thread.start()
    try:
        yield server
    finally:
        server.stop()
        thread.join(PLENTY)
        assert not thread.is_alive()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    (tmp_path / "run").mkdir(mode=0o700)
    return tmp_path / "run" / "s"


def ask(path: Path, *questions: Asked, context: str = CONTEXT, seconds: float = PLENTY) -> list[Yes | None]:
    asked = questions or [Asked(image=APP_IMAGE, digest=DIGEST)]
    return list(ask_agent(str(path), context, asked, seconds=seconds, memory=lambda _: None))


# --- an agent


def test_a_yes_says_what_may_run_why_and_how_old_it_is(path: Path) -> None:
    with serving(path):
        (yes,) = ask(path)
    assert yes is not None
    assert (yes.runs, yes.reason, yes.mode, yes.age, yes.stale) == (DIGEST, "it is signed", "enforce", 12.0, False)
    assert yes.warnings == ("old",)
    assert yes.evidence["signers"] == ["alice"]


def test_several_questions_go_over_one_connection(path: Path) -> None:
    decider = Deciding()
    unknown = Asked(image="registry.example.com/other:1", digest=None)
    with serving(path, decider):
        first, second, third = ask(path, Asked(image=APP_IMAGE, digest=None), unknown, Asked(image="A B", digest=None))
    assert first is not None
    assert (second, third) == (None, None), "a no is not taken: who asks verifies"
    assert decider.asked == [(APP_IMAGE, None), ("registry.example.com/other:1", None)]


def test_what_the_agent_remembers_comes_with_a_yes_and_with_a_no(path: Path) -> None:
    told: list[Mapping[str, object]] = []
    questions = [Asked(image=APP_IMAGE, digest=None), Asked(image="registry.example.com/other:1", digest=None)]
    with serving(path):
        yes, no = ask_agent(str(path), CONTEXT, questions, seconds=PLENTY, memory=told.append)
    assert (yes is None, no is None) == (False, True)
    assert [list(each) for each in told] == [[parse_reference(q.image).gun] for q in questions]
    (document,) = told[0].values()
    assert document == {"root_of_trust": "ab" * 32, "refreshed": None, "named": False, "keys": {}, "roles": {}}


def test_who_decides_by_other_files_gets_no_verdict(path: Path) -> None:
    with serving(path):
        assert ask(path, context="00" * 32) == [None]


def test_an_exemption_names_no_digest_only_where_none_was_asked_for(path: Path) -> None:
    decider = Deciding()
    decider.decision = replace(decider.decision, digest=None, mode="allow", evidence=None, refreshed=None)
    with serving(path, decider):
        open_, closed = ask(path, Asked(image=APP_IMAGE, digest=None), Asked(image=APP_IMAGE, digest=DIGEST))
    assert open_ is not None
    assert (open_.runs, open_.age) == (None, None)
    assert closed is None


def test_the_socket_is_its_users_alone_and_gone_after_the_end(path: Path) -> None:
    with serving(path):
        assert path.stat().st_mode & 0o777 == 0o600
    assert not path.exists()
    assert list(path.parent.iterdir()) == []


def test_a_socket_that_a_killed_agent_has_left_is_replaced(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as abandoned:
        abandoned.bind(str(path))
    with serving(path):
        assert ask(path) != [None]


def test_an_agent_takes_nobodys_place(path: Path) -> None:
    with serving(path), pytest.raises(SettingsUnusable, match="another agent"):
        AgentServer(path, Answers(Deciding(), now=lambda: NOW))
    path.write_text("precious")
    with pytest.raises(SettingsUnusable, match="no socket"):
        AgentServer(path, Answers(Deciding(), now=lambda: NOW))
    assert path.read_text() == "precious"
    with pytest.raises(SettingsUnusable, match=f"{path} cannot be used: is no folder"):
        AgentServer(path / "s", Answers(Deciding(), now=lambda: NOW))


def test_an_agent_listens_nowhere_that_nobody_can_connect_to(path: Path) -> None:
    long = path.parent / ("s" * (108 - len(str(path.parent)) - 1))
    with pytest.raises(SettingsUnusable, match="107 bytes"):
        AgentServer(long, Answers(Deciding(), now=lambda: NOW))
    with serving(long.with_name(long.name[:-1])) as server:
        assert ask(server.path) != [None]


def test_an_agent_listens_in_no_folder_that_others_write_to(path: Path) -> None:
    path.parent.chmod(0o777)
    with pytest.raises(SettingsUnusable, match="no safe place"):
        AgentServer(path, Answers(Deciding(), now=lambda: NOW))


# --- hostile askers


def frame(document: object) -> bytes:
    raw = document if isinstance(document, bytes) else json.dumps(document).encode()
    return struct.pack("!I", len(raw)) + raw


GOOD_QUESTION = {"version": 1, "id": "a", "context": CONTEXT, "image": APP_IMAGE, "digest": None}


@pytest.mark.parametrize(
    "sent",
    [
        frame(b"no JSON"),
        frame([]),
        frame({}),
        frame(GOOD_QUESTION | {"more": 1}),
        frame(GOOD_QUESTION | {"image": 1}),
        frame(GOOD_QUESTION | {"digest": "sha256:short"}),
        frame(GOOD_QUESTION | {"version": True}),
        frame(GOOD_QUESTION | {"id": ["a"]}),
        frame(GOOD_QUESTION | {"image": "a" * 9000}),
        struct.pack("!I", 2**32 - 1),
        struct.pack("!I", 0),
        frame(b"[" * 5000),
    ],
    ids=repr,
)
def test_what_is_no_question_gets_no_answer(path: Path, sent: bytes) -> None:
    decider = Deciding()
    with serving(path, decider):
        with socket.socket(socket.AF_UNIX) as asker:
            asker.settimeout(PLENTY)
            asker.connect(str(path))
            asker.sendall(sent)
            with contextlib.suppress(ConnectionResetError):  # closed with bytes unread
                assert asker.recv(1) == b""
        assert decider.asked == []
        assert ask(path) != [None], "the next one is answered"


def test_another_version_is_answered_without_a_verdict(path: Path) -> None:
    with serving(path), socket.socket(socket.AF_UNIX) as asker:
        asker.settimeout(PLENTY)
        asker.connect(str(path))
        asker.sendall(frame(GOOD_QUESTION | {"version": 2}))
        (length,) = struct.unpack("!I", asker.recv(4))
        assert json.loads(asker.recv(length))["allowed"] is None


def test_one_user_has_only_so_many_connections(path: Path) -> None:
    with serving(path, limits=AgentLimits(per_user=2)) as server:
        idle = [socket.socket(socket.AF_UNIX) for _ in range(2)]
        for each in idle:
            each.connect(str(path))
        with socket.socket(socket.AF_UNIX) as third:
            third.settimeout(PLENTY)
            third.connect(str(path))
            assert third.recv(1) == b""
        assert server.turned_away == 1
        for each in idle:
            each.close()


def test_a_silent_connection_is_closed(path: Path) -> None:
    with serving(path, limits=AgentLimits(idle=0.05)), socket.socket(socket.AF_UNIX) as silent:
        silent.settimeout(PLENTY)
        silent.connect(str(path))
        silent.sendall(b"\0\0")
        assert silent.recv(1) == b""


def test_one_user_has_only_so_many_questions(path: Path) -> None:
    decider = Deciding()
    with serving(path, decider, AgentLimits(questions=0.1)):
        assert [yes is not None for yes in ask(path, *[Asked(image=APP_IMAGE, digest=None)] * 3)] == [
            True,
            False,
            False,
        ]
    assert len(decider.asked) == 1


# --- what is no agent


@contextmanager
def pretending(path: Path, behave: Callable[[socket.socket, dict[str, object]], None]) -> Iterator[None]:
    """Somebody listens there who is no agent, and gets one question."""
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))
        listener.listen()

        def serve() -> None:
            connection, _ = listener.accept()
            with connection:
                (length,) = struct.unpack("!I", connection.recv(4))
                behave(connection, json.loads(connection.recv(length)))

        thread = threading.Thread(target=serve)
        thread.start()
        yield
        thread.join(PLENTY)


def lie(**changes: object) -> Callable[[socket.socket, dict[str, object]], None]:
    """An answer that is a good yes but for these members."""

    def answer(connection: socket.socket, question: dict[str, object]) -> None:
        good: dict[str, object] = {
            **question,
            "allowed": True,
            "runs": DIGEST,
            "collection": "registry.example.com/app",
            "reason": "it is signed",
            "mode": "enforce",
            "rule": "",
            "warnings": [],
            "age": 1,
            "stale": False,
            "code": None,
            "evidence": {},
        }
        connection.sendall(frame({name: value for name, value in (good | changes).items() if value is not ...}))

    return answer


def test_the_lies_below_are_only_lies_by_what_they_change(path: Path) -> None:
    with pretending(path, lie()):
        assert ask(path) != [None]


@pytest.mark.parametrize(
    "behave",
    [
        lambda connection, _: connection.shutdown(socket.SHUT_RDWR),
        lambda connection, _: connection.sendall(b"HTTP/1.1 200 OK\r\n\r\n"),
        lambda connection, _: connection.sendall(struct.pack("!I", 100) + b"{"),
        lambda connection, _: connection.sendall(frame(b"{")),
        lambda connection, _: connection.sendall(frame([True])),
        lambda connection, _: connection.sendall(struct.pack("!I", 1024**3)),
        lie(id="of another question"),
        lie(id=...),
        lie(context="00" * 32),
        lie(image="registry.example.com/other:1"),
        lie(digest=f"sha256:{OTHER}"),
        lie(digest=None),
        lie(version=1.0),
        lie(version=True),
        lie(allowed=1),
        lie(allowed="true"),
        lie(allowed=None),
        lie(allowed=False),
        lie(runs=f"sha256:{OTHER}"),
        lie(runs=None),
        lie(runs=None, mode="allow"),
        lie(runs=["sha256"]),
        lie(age=-1),
        lie(age="1"),
        lie(age=True),
        lie(age=float("nan")),
        lie(age=float("inf")),
        lie(stale=None),
        lie(reason=None),
        lie(warnings=None),
        lie(warnings=[1]),
        lie(evidence=None),
    ],
)
def test_whoever_lies_is_no_agent(path: Path, behave: Callable[[socket.socket, dict[str, object]], None]) -> None:
    with pretending(path, behave):
        assert ask(path) == [None]


def test_an_agent_that_hangs_is_none(path: Path) -> None:
    done = threading.Event()

    def hang(_connection: socket.socket, _question: dict[str, object]) -> None:
        done.wait(PLENTY)

    with pretending(path, hang):
        assert ask(path, seconds=0.1) == [None]
        done.set()


def test_an_agent_that_answers_in_drops_has_no_more_time(path: Path) -> None:
    stopped = threading.Event()

    def drip(connection: socket.socket, _: dict[str, object]) -> None:
        connection.sendall(struct.pack("!I", 1000))
        while not stopped.is_set():
            try:
                connection.sendall(b" ")
            except OSError:
                return
            stopped.wait(0.01)

    began = time.monotonic()
    with pretending(path, drip):
        assert ask(path, seconds=0.2) == [None]
        stopped.set()
    assert time.monotonic() - began < PLENTY


def test_nobody_listens(path: Path) -> None:
    assert ask(path) == [None]
    path.write_text("")
    assert ask(path) == [None]


def test_a_folder_that_others_write_to_is_not_looked_into(path: Path) -> None:
    with serving(path):
        path.parent.chmod(0o777)
        assert ask(path) == [None]
        path.parent.chmod(0o700)
        assert ask(path) != [None]


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")
def test_an_agent_of_another_user_is_none(path: Path) -> None:
    """Even in a folder of ours, at a socket of ours: who listens is somebody else."""
    path.parent.chmod(0o755)
    for folder in (path.parent.parent, path.parent.parent.parent, path.parent.parent.parent.parent):
        folder.chmod(0o755)
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(str(path))
    ready_read, ready_write = os.pipe()
    child = os.fork()
    if child == 0:
        os.setuid(4711)
        listener.listen()  # this is what SO_PEERCRED tells of
        os.write(ready_write, b".")
        connection, _ = listener.accept()
        os._exit(0 if connection.recv(1) == b"" else 1)
    assert os.read(ready_read, 1) == b"."
    assert ask(path) == [None]
    _, status = os.waitpid(child, 0)
    assert os.waitstatus_to_exitcode(status) == 0, "it was not even asked"
    for descriptor in (ready_read, ready_write):
        os.close(descriptor)
    listener.close()


# --- what `trust doctor` says of it


def standing(path: Path, context: str = CONTEXT, seconds: float = PLENTY) -> AgentUse:
    return probe_agent(str(path), context, seconds=seconds)


def test_an_agent_that_decides_alike_is_used_and_is_asked_about_no_image(path: Path) -> None:
    decider = Deciding()
    with serving(path, decider):
        assert standing(path) == AgentUse(is_used=True, why="is asked first")
    assert decider.asked == []


def test_why_an_agent_is_not_used(path: Path) -> None:
    assert standing(path).why == "does not run: there is nothing at this path"
    with serving(path):
        assert standing(path, "00" * 32).why.startswith("decides by other files")
        path.parent.chmod(0o777)
        assert f"{path.parent} has mode 777, so others may write to it" in standing(path).why
        path.parent.chmod(0o700)
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))
    assert standing(path).why == "does not answer (Connection refused)"
    path.unlink()
    path.write_text("")
    assert standing(path).why.endswith("is no socket")


@pytest.mark.parametrize(
    ("behave", "why"),
    [
        (lie(code="other-version"), "is of another version"),
        (lie(id="of another question"), "does not answer (no answer that is understood)"),
        (lambda connection, _: connection.shutdown(socket.SHUT_RDWR), "does not answer (no answer that is understood)"),
    ],
)
def test_why_a_strange_agent_is_not_used(path: Path, behave: Callable[..., None], why: str) -> None:
    with pretending(path, behave):
        found = standing(path)
    assert (found.is_used, found.why) == (False, why)
    assert found.remedy


def test_an_agent_that_hangs_is_told(path: Path) -> None:
    done = threading.Event()

    def hang(_connection: socket.socket, _question: dict[str, object]) -> None:
        done.wait(PLENTY)

    with pretending(path, hang):
        assert standing(path, seconds=0.1).why == "has not answered within 0.1 s"
        done.set()
