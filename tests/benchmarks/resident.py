"""A resident hook: memory with 1 000 collections, CPU of a refresh and of a warm answer, and an agent's answering time.

The peer of a row is a budget. `python -m tests.benchmarks.resident` measures only this.
"""

from __future__ import annotations

import gc
import hashlib
import os
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final

from tests.benchmarks.our_server import BenchCollection, run_trust, start_ours
from tests.benchmarks.table import Row, show
from tests.simulator.scene import APP_IMAGE, GOOD, good_collection
from tests.support.bindir_runner import asked, descriptor
from tests.support.resident_node import ResidentNode, rule
from trustcli.hooks.agent.answers import Answers
from trustcli.hooks.agent.client import Asked, ask_agent
from trustcli.hooks.agent.server import AgentLimits, AgentServer
from trustcli.hooks.deciding.decider import PolicyDecider
from trustcli.hooks.deciding.decision import Decision
from trustcli.hooks.resident.limits import ResidentLimits
from trustcli.registry.reference import ImageReference
from trustdata.gun import GUN, parse_gun
from trustdata.verification.rollback_memory import Memory

_COLLECTIONS: Final = 1000
_ANSWERS: Final = 5000
_QUESTIONS: Final = 1000
_VERIFIERS: Final = 25
_OF_PYTHON: Final = 5.2
"""The budget of 60 ms in starts of Python, where it was set: one took 11.5 ms there."""


class _DecidesAll:
    """Decides by pins, whatever the asker decides by."""

    def __init__(self, node: ResidentNode) -> None:
        self._node = node
        self._decider = PolicyDecider(None, (), node.reader, at=lambda: node.time.at)

    def decides_as(self, context: str) -> bool:
        del context
        return True

    def decide_as(self, context: str, reference: ImageReference, digest: str | None = None) -> Decision | None:
        del context
        return self._decider.decide(reference, digest)

    def remembered(self, gun: GUN) -> Mapping[GUN, Memory]:
        memory = self._node.client.memory.load(gun)
        return {} if memory is None else {gun: memory}


def rows() -> list[Row]:
    """Measure one reader in this process, and one agent."""
    node = ResidentNode(good_collection().newcomer(), limits=ResidentLimits(wait=60.0))
    try:
        return [*_reader_rows(node), *_agent_rows(node)]
    finally:
        node.close()


def _reader_rows(node: ResidentNode) -> Iterator[Row]:
    node.digest()
    before, began = _resident_megabytes(), time.process_time()
    for number in range(_COLLECTIONS):  # each with a limit of its own, so that it is another one
        node.digest(rule=rule(max_life=f"{400 + number}d"))
    each = (time.process_time() - began) / _COLLECTIONS * 1e3
    memory = _resident_megabytes() - before
    assert node.reader.holdings().collections == _COLLECTIONS + 1
    yield Row(what=f"{_COLLECTIONS} collections in memory", ours=memory, peer=200.0, unit="MB", wanted=1.0)
    yield Row(what="first contact with a collection: CPU", ours=each, peer=20.0, unit="ms", wanted=1.0)
    began = time.process_time()
    for _ in range(_ANSWERS):
        node.digest()
    each = (time.process_time() - began) / _ANSWERS * 1e3
    yield Row(what="warm answer of a resident hook: CPU", ours=each, peer=1.0, unit="ms", wanted=1.0)


def verifier_rows(folder: Path) -> list[Row]:
    """`trust-image-verifier` from its start to its end, with an agent that knows the collection."""
    folder.mkdir()
    with start_ours(folder / "ours") as ours:
        gun = parse_gun("127.0.0.1:5000/bench/verifier")
        collection = BenchCollection(ours, gun)
        pin = collection.init()
        collection.send(collection.next_upload(range(1)))
        etc, place = folder / "etc", folder / "run" / "s"
        run_trust(["pin", gun, pin], home=etc, server=ours)
        settings = etc / "trust.toml"
        settings.write_text(f'agent = "{place}"\n[servers]\n"127.0.0.1:5000" = "{ours.url}"\n')
        files = ["--config", str(settings), "--state", str(folder / "state")]
        command = [sys.executable, "-m", "trustcli", "agent", "--socket", str(place), *files]
        with subprocess.Popen(command, stderr=subprocess.PIPE) as agent:
            try:
                assert agent.stderr is not None
                agent.stderr.readline()
                digest = f"sha256:{hashlib.sha256(b'0').hexdigest()}"
                times, bare = [], []
                for _ in range(_VERIFIERS):
                    bare.append(_started())
                    times.append(_verified(settings, folder / "alone", f"{gun}:v0", digest))
            finally:
                agent.terminate()
        assert not (folder / "alone" / "cache").exists(), "the verifier has asked the agent alone"
    what = "trust-image-verifier with an agent: wall"
    took = statistics.median(times)
    return [
        Row(what=what, ours=took, peer=60.0, unit="ms", wanted=1.0),
        Row(what=f"{what}, beside Python alone", ours=took, peer=statistics.median(bare), unit="ms", wanted=_OF_PYTHON),
    ]


def _started() -> float:
    began = time.perf_counter()
    subprocess.run([sys.executable, "-c", "pass"], input=b"", capture_output=True, check=True)
    return (time.perf_counter() - began) * 1000


def _verified(settings: Path, state: Path, image: str, digest: str) -> float:
    program = Path(sys.executable).parent / "trust-image-verifier"
    command = [str(program), "-config", str(settings), "-state", str(state), *asked(image, digest)]
    began = time.perf_counter()
    subprocess.run(command, input=descriptor(digest), capture_output=True, check=True)
    return (time.perf_counter() - began) * 1e3


def _agent_rows(node: ResidentNode) -> Iterator[Row]:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "s"
        answers = Answers(_DecidesAll(node), now=lambda: node.time.at)
        server = AgentServer(path, answers, limits=AgentLimits(questions=1e6))
        thread = threading.Thread(target=server.run)
        thread.start()
        try:
            times = sorted(_asked(str(path)) for _ in range(_QUESTIONS))
        finally:
            server.stop()
            thread.join()
    yield Row(what="agent, connect to answer: p50", ours=statistics.median(times), peer=15.0, unit="ms", wanted=1.0)
    yield Row(what="agent, connect to answer: p99", ours=times[-_QUESTIONS // 100], peer=50.0, unit="ms", wanted=1.0)


def _asked(path: str) -> float:
    began = time.perf_counter()
    (yes,) = ask_agent(
        path, "5f" * 32, [Asked(image=APP_IMAGE, digest=f"sha256:{GOOD}")], seconds=60.0, memory=lambda _: None
    )
    assert yes is not None
    return (time.perf_counter() - began) * 1e3


def _resident_megabytes() -> float:
    gc.collect()
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as name:
        show([*rows(), *verifier_rows(Path(name) / "verifier")], [])
