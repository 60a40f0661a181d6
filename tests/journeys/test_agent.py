"""The real `trust agent`: who asks it, what it answers, and what happens when it ends, is killed, hangs or differs."""

from __future__ import annotations

import http.client
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.support.bindir_runner import asked, descriptor
from tests.support.images import BuiltImage
from tests.support.json_documents import check_printed
from tests.support.programs import READY_SECONDS, free_port
from tests.support.pulling_node import PATIENT, Node, release
from tests.support.server_process import ServerProcess
from tests.support.stage import OTHER_DIGEST, Put
from tests.support.trust_program import TrustUser

POLICY = '[[rule]]\nmatch = "*"\nmax_staleness = "2h"\n'


class Agent:
    """A running agent. `said`: what it has written."""

    def __init__(self, process: subprocess.Popen[str], socket_path: Path) -> None:
        self.process = process
        self.socket = socket_path

    def printed(self) -> str:
        """All that it has printed, once it has ended."""
        assert self.process.stdout is not None
        return self.process.stdout.read()

    def end(self, number: int) -> int:
        self.process.send_signal(number)
        return self.process.wait(READY_SECONDS)


@contextmanager
def running(node: Node, *options: str, config: Path | None = None) -> Iterator[Agent]:
    """`trust agent` on this node, from the moment at which it listens to the end of the block."""
    place = node.etc.parent / "run" / "s"
    arguments = ("--config", str(config or node.config), "--state", str(node.state / "agent"), "--socket", str(place))
    command = [sys.executable, "-m", "trustcli", "agent", *arguments, *options]
    environ = {**os.environ, "HOME": str(node.admin.folder)}
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdout=pipe, stderr=pipe, text=True, env=environ) as process:
        try:
            assert process.stderr is not None
            line = process.stderr.readline()
            assert line == f"listening at {place}\n", line + process.stderr.read()
            yield Agent(process, place)
        finally:
            process.kill()


def verified_by_itself(folder: Path) -> bool:
    """Whether somebody with this folder has read trust data, rather than ask the agent."""
    return (folder / "cache").exists()


@pytest.fixture
def image(owner: TrustUser, gun: str, put: Put) -> BuiltImage:
    """What tag 1.0 is signed as."""
    return release(owner, gun, put)


@pytest.fixture
def node(tmp_path: Path, gun: str, trust_server: ServerProcess, owner: TrustUser, image: BuiltImage) -> Node:
    """Tag 1.0 is signed, and the node knows the collection; its programs ask an agent in its own folder."""
    found = Node(tmp_path / "node", {gun.partition("/")[0]: trust_server.url}, verifier=PATIENT)
    policy = found.etc / "policy.toml"
    policy.write_text(POLICY)
    place = found.etc.parent / "run" / "s"
    text = found.config.read_text().replace(PATIENT, f'{PATIENT}\npolicy = "policy.toml"')
    found.config.write_text(f'agent = "{place}"\n{text}')
    found.admin.knows(gun, owner.pin_of(gun))
    return found


def test_where_it_has_listened_is_told_as_json(node: Node) -> None:
    with running(node, "--json") as agent:
        assert agent.end(signal.SIGTERM) == 0
        document = check_printed(("agent", "--json"), 0, agent.printed())
    assert document["socket"] == str(agent.socket)


def test_what_the_agent_allows_needs_no_trust_server(node: Node, gun: str, image: BuiltImage) -> None:
    with running(node):
        first = node.allows(f"{gun}:1.0", image.digest)
        assert f"{gun}:1.0 is signed as {image.digest}" in first
        assert not verified_by_itself(node.state)


def test_what_verifies_is_not_even_loaded_for_it(node: Node, gun: str, image: BuiltImage) -> None:
    code = """
import os, sys
really_end = os._exit
def end(status):
    os.write(2, " ".join(sys.modules).encode())
    really_end(status)
os._exit = end
from trustcli.hooks.containerd import main
main()
"""
    arguments = ("-config", str(node.config), "-state", str(node.state), *asked(f"{gun}:1.0", image.digest))
    command = [sys.executable, "-c", code, *arguments]
    with running(node):
        node.allows(f"{gun}:1.0", image.digest)  # remembers what the agent has verified
        done = subprocess.run(command, input=descriptor(image.digest), capture_output=True, check=True, timeout=60)
    heavy = {"tuf", "securesystemslib", "cryptography", "http.client", "ssl", "trustcli.session", "trustdata.model"}
    heavy |= {"orjson", "inspect", "hashlib", "trustcli.console.failure_table", "trustcli.hooks.containerd_refusal"}
    assert heavy & set(done.stderr.decode().split()) == set()
    assert done.stdout.decode().startswith(f"{gun}:1.0 is signed as {image.digest}")


def test_a_refusal_is_the_verifier_s_own(node: Node, gun: str) -> None:
    with running(node):
        node.refuses(f"{gun}:1.0", OTHER_DIGEST, "is signed as", status=4)
        said = node.refuses(f"{gun}:unsigned", OTHER_DIGEST, "is not signed", status=3)
        assert f"explain {gun}:unsigned" in said


def test_verify_takes_its_yes_and_fresh_does_not(node: Node, gun: str, image: BuiltImage) -> None:
    name = f"{gun}@{image.digest}\n"
    user = TrustUser(node.admin.folder, "", environ={"TRUST_HOME": str(node.etc), "TRUST_SERVER": ""})
    with running(node):
        assert user.run("verify", "--policy", str(node.etc / "policy.toml"), f"{gun}:1.0").stdout == name
        assert user.run("verify", f"{gun}:1.0").stdout == name, "by the pins alone"
        assert not verified_by_itself(node.etc)
        assert user.run("verify", "--fresh", f"{gun}:1.0").stdout == name
        assert verified_by_itself(node.etc)


def seen_later(file: Path) -> None:
    """Make it a memory of somebody who has seen the next versions, which take this one back."""
    memory = json.loads(file.read_text())
    for collection in memory["collections"].values():
        for role in collection["roles"].values():
            role["version"] += 1
            role.pop("sha256", None)
    file.write_text(json.dumps(memory))


def test_a_new_agent_does_not_make_a_user_forget(node: Node, gun: str, image: BuiltImage) -> None:
    """The server is set back; the agent's state is new. Whoever has seen more is told, as without an agent."""
    user = TrustUser(node.admin.folder, "", environ={"TRUST_HOME": str(node.etc), "TRUST_SERVER": ""})
    user.run("verify", "--fresh", f"{gun}:1.0")
    node.allows(f"{gun}:1.0", image.digest)
    with running(node):
        user.run("verify", f"{gun}:1.0")
        node.allows(f"{gun}:1.0", image.digest)
        for folder in (node.etc, node.state):
            seen_later(folder / "seen.json")
        assert "older" in user.run("verify", f"{gun}:1.0", expect=4).stderr
        node.refuses(f"{gun}:1.0", image.digest, "older", status=4)


def test_it_ends_in_order_and_leaves_nothing(node: Node, gun: str, image: BuiltImage) -> None:
    with running(node) as agent:
        node.allows(f"{gun}:1.0", image.digest)
        assert agent.end(signal.SIGTERM) == 0
        assert list(agent.socket.parent.iterdir()) == []
    node.allows(f"{gun}:1.0", image.digest)


def test_after_a_kill_the_next_one_goes_on(node: Node, gun: str, image: BuiltImage) -> None:
    with running(node) as agent:
        node.allows(f"{gun}:1.0", image.digest)
        agent.end(signal.SIGKILL)
        assert agent.socket.exists()
        node.allows(f"{gun}:1.0", image.digest)
    shutil.rmtree(node.state / "cache")  # of the verifier's own verdict
    with running(node):
        node.allows(f"{gun}:1.0", image.digest)
        assert not verified_by_itself(node.state)


def test_a_node_survives_an_outage_as_long_as_its_policy_says(
    node: Node, gun: str, own_server: ServerProcess, put: Put
) -> None:
    """The agent is killed during the outage, too: what it had verified is on its disk."""
    own_server.start()
    signer = TrustUser(node.admin.folder.parent / "signer", own_server.url)
    image = release(signer, gun, put)
    host = gun.partition("/")[0]
    text = node.config.read_text()
    url = next(line for line in text.splitlines() if line.startswith(f'"{host}"'))
    node.config.write_text(text.replace(url, f'"{host}" = "{own_server.url}"'))
    node.admin.run("pin", gun, signer.pin_of(gun), "--replace")
    with running(node) as agent:
        node.allows(f"{gun}:1.0", image.digest)
        own_server.kill()
        agent.end(signal.SIGKILL)
    with running(node):
        node.allows(f"{gun}:1.0", image.digest)
        node.refuses(f"{gun}:2.0", image.digest)


def test_an_agent_with_other_files_gives_no_verdict(node: Node, gun: str, image: BuiltImage, tmp_path: Path) -> None:
    other = tmp_path / "other"
    other.mkdir()
    lenient = '[[rule]]\nmatch = "*"\nmode = "allow"\nreason = "all of it"\nuntil = 2099-01-01T00:00:00Z\n'
    (other / "policy.toml").write_text(lenient)
    (other / "trust.toml").write_text('[verifier]\npolicy = "policy.toml"\n')
    with running(node, config=other / "trust.toml"):
        node.refuses(f"{gun}:1.0", OTHER_DIGEST, status=4)
        node.allows(f"{gun}:1.0", image.digest)


def test_an_agent_that_hangs_is_waited_for_two_seconds(node: Node, gun: str, image: BuiltImage) -> None:
    place = node.etc.parent / "run" / "s"
    place.parent.mkdir(mode=0o700)
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(place))
        listener.listen()
        asked: list[bytes] = []

        def take() -> None:
            connection, _ = listener.accept()
            with connection:
                while part := connection.recv(4096):
                    asked.append(part)

        thread = threading.Thread(target=take)
        thread.start()
        node.allows(f"{gun}:1.0", image.digest)
        thread.join(READY_SECONDS)
    assert gun.encode() in b"".join(asked)


def test_a_second_agent_says_what_is_in_its_way(node: Node) -> None:
    with running(node) as agent:
        arguments = ("--config", str(node.config), "--socket", str(agent.socket))
        same = node.admin.run("agent", *arguments, "--state", str(node.state / "agent"), expect=2)
        same.said("another hook uses this folder")
        node.admin.run("agent", *arguments, "--state", str(node.state / "two"), expect=2).said("another agent listens")


def test_metrics_are_told_and_the_policy_is_read_again(node: Node, gun: str, image: BuiltImage) -> None:
    port = free_port()

    def get(path: str) -> tuple[int, str]:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=READY_SECONDS)
        connection.request("GET", path)
        answer = connection.getresponse()
        text = answer.read().decode()
        connection.close()
        return answer.status, text

    with running(node, "--metrics", f"127.0.0.1:{port}"):
        assert get("/readyz") == (200, "ready\n")
        node.allows(f"{gun}:1.0", image.digest)
        assert 'trust_decisions_total{mode="enforce",stale="0",verdict="allowed"} 1.0' in get("/metrics")[1]
        (node.etc / "policy.toml").write_text("[[rule]")
        status, why = get("/readyz")
        assert (status, "policy.toml" in why) == (503, True)
        node.refuses(f"{gun}:1.0", image.digest, "policy.toml")
        assert get("/other")[0] == 404
