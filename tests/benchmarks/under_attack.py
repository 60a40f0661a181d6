"""Honest reads and publishes while somebody attacks the server, at a fixed rate and from a process of its own."""

from __future__ import annotations

import base64
import contextlib
import json
import multiprocessing
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from urllib.parse import urlencode, urlsplit

from tests.benchmarks import cpu
from tests.benchmarks.common_pots import begin_for_attacker
from tests.benchmarks.large_file import large_file, large_files
from tests.benchmarks.our_server import BenchCollection, OurServer, start_ours
from tests.benchmarks.reads import requests_per_second
from tests.benchmarks.table import Row
from tests.support.attackers import (
    Attacker,
    Target,
    common_pots,
    connections,
    same_address,
    slow_readers,
    tls_records,
    uploads,
)
from tests.support.token_server import ISSUER, PASSWORD, SERVICE, TokenServer, logged_in, start_token_server
from trustdata.gun import parse_gun

_READ_SECONDS: Final = 5
_PUBLISH_BUDGET: Final = 10.0
_MEMORY_BUDGET: Final = 600.0
_RECOVERY_BUDGET: Final = 60.0
_TAGS: Final = 10


@dataclass(frozen=True, kw_only=True)
class Attack:
    """One attack. `prepare`: called before the attacker starts. `tokens`: everybody needs a token, also to read."""

    what: str
    attacker: Attacker
    tls: bool = False
    tokens: bool = False
    prepare: Callable[[OurServer], None] | None = None


ATTACKS: Final = (
    Attack(what="forged tokens", attacker=common_pots.forged_tokens, tokens=True),
    Attack(what="forged tokens, TLS", attacker=common_pots.forged_tokens, tls=True, tokens=True),
    Attack(what="half of a handshake", attacker=connections.half_open_from_everywhere, tls=True),
    Attack(what="half of a request", attacker=connections.half_open_from_everywhere),
    Attack(what="nested uploads", attacker=uploads.nests),
    Attack(what="worst uploads that are admitted", attacker=uploads.worst_uploads),
    Attack(what="empty uploads", attacker=common_pots.empty_uploads, prepare=begin_for_attacker),
    Attack(what="heads without end", attacker=connections.long_heads),
    Attack(what="200 handshakes a second", attacker=connections.handshakes, tls=True),
    Attack(what="4000 new TLS keys at once", attacker=tls_records.new_keys, tls=True),
    Attack(what="TLS records of one byte", attacker=tls_records.single_bytes, tls=True),
    Attack(what="stalled uploads, same address", attacker=same_address.stalled_uploads),
    Attack(what="82 slow readers", attacker=slow_readers.readers_of_attackers_file, prepare=large_file),
    Attack(what="82 slow readers, TLS", attacker=slow_readers.readers_of_attackers_file, tls=True, prepare=large_file),
    Attack(what="82 slow readers of 20 files", attacker=slow_readers.readers_of_many_files, prepare=large_files),
    Attack(what="unfinished uploads", attacker=common_pots.unfinished_uploads),
    Attack(what="keys of many names", attacker=common_pots.many_names),
)


def rows(folder: Path) -> list[Row]:
    """Measure every attack against a server of its own."""
    measured: list[Row] = []
    for number, attack in enumerate(ATTACKS):
        with contextlib.ExitStack() as stack:
            here = folder / str(number)
            tokens = stack.enter_context(start_token_server(here / "tokens")) if attack.tokens else None
            options = tokens.options() if tokens else []
            server = stack.enter_context(start_ours(here / "server", tls=attack.tls, options=options))
            measured += _under(attack, server, tokens, here)
    return measured


def _under(attack: Attack, server: OurServer, tokens: TokenServer | None, folder: Path) -> Iterator[Row]:
    gun = parse_gun("127.0.0.1:5000/honest/app")
    headers = []
    if tokens is not None:
        logged_in(folder / "docker", "alice", urlsplit(server.url).netloc)
        headers = [f"Authorization: Bearer {_token_to_read(tokens, gun)}"]
    honest = BenchCollection(server, gun, docker_config=folder / "docker" if tokens else None)
    honest.init()
    honest.send(honest.next_upload(range(_TAGS)))
    if attack.prepare is not None:
        attack.prepare(server)
    url = f"{server.url}/tuf/{honest.gun}/metadata/timestamp.json"
    alone = requests_per_second(url, seconds=_READ_SECONDS, headers=headers)
    forged = f"{ISSUER}\n{SERVICE}" if tokens else ""
    with attacking(attack.attacker, server, forged), _publishing(honest) as publishes, _watching(server) as memory:
        attacked = requests_per_second(url, seconds=_READ_SECONDS, headers=headers)
    ended = time.monotonic()
    honest.send(honest.next_upload(range(_TAGS)))
    recovered = time.monotonic() - ended
    yield Row(
        what=f"{attack.what}: honest reads", ours=attacked, peer=alone, unit="1/s", wanted=0.5, more_is_better=True
    )
    slowest = max(publishes, default=float("inf"))
    yield Row(what=f"{attack.what}: slowest publish", ours=slowest, peer=_PUBLISH_BUDGET, unit="s", wanted=1.0)
    yield Row(what=f"{attack.what}: memory", ours=max(memory), peer=_MEMORY_BUDGET, unit="MB", wanted=1.0)
    yield Row(what=f"{attack.what}: recovery", ours=recovered, peer=_RECOVERY_BUDGET, unit="s", wanted=1.0)


def _token_to_read(tokens: TokenServer, gun: str) -> str:
    """Ask the token server for a token as alice does."""
    query = urlencode({"service": SERVICE, "scope": f"repository:{gun}:pull"})
    asked = urllib.request.Request(f"{tokens.realm}?{query}")
    asked.add_header("Authorization", "Basic " + base64.b64encode(f"alice:{PASSWORD}".encode()).decode())
    with urllib.request.urlopen(asked) as answer:
        return str(json.loads(answer.read())["token"])


@contextlib.contextmanager
def attacking(attacker: Attacker, server: OurServer, token: str) -> Iterator[None]:
    """Attack a server from a process of its own. `token`: as in `Target`."""
    parts = urlsplit(server.url)
    spawning = multiprocessing.get_context("spawn")
    stop = spawning.Event()
    target = Target(host=parts.hostname or "", port=parts.port or 0, ca=server.ca, token=token)
    process = spawning.Process(target=attacker, args=(target, stop))
    process.start()
    try:
        time.sleep(2)  # it has begun, and holds what it holds
        yield
    finally:
        stop.set()
        process.join(10)
        process.kill()
        process.join()


@contextlib.contextmanager
def _publishing(collection: BenchCollection) -> Iterator[list[float]]:
    """Publish again and again in a thread. The list has the seconds that each took."""
    stop = threading.Event()
    seconds: list[float] = []

    def publish() -> None:
        number = _TAGS
        while not stop.is_set():
            upload = collection.next_upload(range(number, number + 1))
            began = time.monotonic()
            collection.send(upload)
            seconds.append(time.monotonic() - began)
            number += 1
            stop.wait(0.5)

    thread = threading.Thread(target=publish)
    thread.start()
    try:
        yield seconds
    finally:
        stop.set()
        thread.join()


@contextlib.contextmanager
def _watching(server: OurServer) -> Iterator[list[float]]:
    """Note the memory of the server and its children, in MB, five times a second."""
    stop = threading.Event()
    noted: list[float] = [cpu.megabytes(server.pid)]

    def note() -> None:
        while not stop.wait(0.2):
            noted.append(cpu.megabytes(server.pid))

    thread = threading.Thread(target=note)
    thread.start()
    try:
        yield noted
    finally:
        stop.set()
        thread.join()
