"""Reads beside nginx with the same bytes: requests per second and CPU, the two in turn, medians."""

from __future__ import annotations

import re
import statistics
import subprocess
import urllib.request
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from tests.benchmarks import cpu
from tests.benchmarks.our_server import BenchCollection, OurServer
from tests.benchmarks.table import Row
from tests.benchmarks.web_server import start_nginx
from tests.support.programs import program
from trustdata.gun import parse_gun

GUN = "127.0.0.1:5000/bench/nginx"
TAGS = 8_500
"""So many that targets.json has the 940 KB of the figures that others have published."""
ROUNDS = 5
SECONDS = 3
CONNECTIONS = 16
_FILES = ("timestamp.json", "2.targets.json")
KEPT_OPEN, OPENED_EACH = 0.25, 0.3
"""Of nginx's requests per second, with connections that stay open and with a new TLS connection for each request."""
UNCHANGED = {"timestamp.json": 2.0, "2.targets.json": 0.25}
"""CPU of a 304, of that of the whole file. A small file costs little more than its headers, and the fast path leaves
conditions to the application behind: they are rare, since clients of TUF do not make them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Load:
    """What one run of wrk found: requests per second; microseconds of the server's CPU and bytes for each request."""

    rate: float
    cpu: float
    size: float


def rows(plain: OurServer, tls: OurServer, folder: Path) -> list[Row]:
    """The rows of the table, for two servers of ours: over plain HTTP and over TLS."""
    for server in (plain, tls):
        collection = BenchCollection(server, parse_gun(GUN))
        collection.init()
        collection.send(collection.next_upload(range(TAGS)))
    base = f"{plain.url}/tuf/{GUN}/metadata"
    files = {name: _get(f"{base}/{name}")[1] for name in _FILES}
    if tls.ca is None:
        raise ValueError("the second server must speak TLS")
    key = tls.ca.parent / "server.key"
    with start_nginx(folder, files, certificate=tls.ca.parent / "server.crt", key=key) as nginx:
        found: list[Row] = []
        whole: dict[str, Load] = {}
        for name in _FILES:
            what = f"GET {name} ({len(files[name]) / 1e3:.1f} KB) beside nginx"
            mine, peer = _in_turn(
                partial(load, f"{base}/{name}", plain.pid), partial(load, f"{nginx.http}/{name}", nginx.pid)
            )
            found += _pair(what, mine, peer, least=KEPT_OPEN)
            whole[name] = mine
        closing = ["Connection: close"]
        mine, peer = _in_turn(
            partial(load, f"{tls.url}/tuf/{GUN}/metadata/{_FILES[0]}", tls.pid, headers=closing),
            partial(load, f"{nginx.https}/{_FILES[0]}", nginx.pid, headers=closing),
        )
        found += _pair("the same, a new TLS connection each", mine, peer, least=OPENED_EACH)
    for name in _FILES:
        url = f"{base}/{name}"
        known = [f"If-None-Match: {_get(url)[0]['etag']}"]
        unchanged, all_of_it = _in_turn(partial(load, url, plain.pid, headers=known), partial(load, url, plain.pid))
        if unchanged.size >= len(files[name]):
            raise RuntimeError(f"{name} was sent although it is unchanged")
        what = f"If-None-Match {name} beside the whole: CPU"
        found.append(Row(what=what, ours=unchanged.cpu, peer=all_of_it.cpu, unit="us", wanted=UNCHANGED[name]))
    asked = partial(load, f"{base}/{_FILES[1]}", plain.pid, headers=["Accept-Encoding: gzip"])
    asked()  # compresses it
    packed, large = asked(), len(files[_FILES[1]])
    found += [
        Row(
            what=f"{_FILES[1]} with gzip beside the whole: bytes",
            ours=packed.size / 1e3,
            peer=large / 1e3,
            unit="KB",
            wanted=0.5,
        ),
        Row(
            what=f"{_FILES[1]} with gzip beside the whole: CPU",
            ours=packed.cpu,
            peer=whole[_FILES[1]].cpu,
            unit="us",
            wanted=1.0,
        ),
    ]
    return found


def load(url: str, pid: int, *, headers: Sequence[str] = ()) -> Load:
    """Ask as fast as the server answers, for SECONDS, with one thread of wrk. Raises: RuntimeError if requests fail."""
    options = [part for header in headers for part in ("-H", header)]
    command = [program("wrk"), "-t", "1", "-c", str(CONNECTIONS), "-d", f"{SECONDS}s", *options, url]
    before = cpu.settle([pid])
    output = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    used = cpu.settle([pid]) - before
    count = re.search(r"(\d+) requests in ([\d.]+)s, ([\d.]+)([KMG]?B) read", output)
    rate = re.search(r"Requests/sec: +([\d.]+)", output)
    if "Non-2xx" in output or count is None or rate is None or not int(count[1]):
        raise RuntimeError(output)
    read = float(count[3]) * {"B": 1, "KB": 2**10, "MB": 2**20, "GB": 2**30}[count[4]]
    requests = int(count[1])
    return Load(rate=float(rate[1]), cpu=used / requests * 1e6, size=read / requests)


def _in_turn(ours: Callable[[], Load], peer: Callable[[], Load]) -> tuple[Load, Load]:
    ours()  # warm: the view is filled, and where a file is to be compressed, it is now
    peer()
    both: tuple[list[Load], list[Load]] = ([], [])
    for _ in range(ROUNDS):
        for run, found in zip((ours, peer), both, strict=True):
            found.append(run())
    mine, theirs = (
        Load(
            rate=statistics.median(each.rate for each in found),
            cpu=statistics.median(each.cpu for each in found),
            size=found[-1].size,
        )
        for found in both
    )
    return mine, theirs


def _pair(what: str, mine: Load, peer: Load, *, least: float) -> list[Row]:
    return [
        Row(what=f"{what}: rate", ours=mine.rate, peer=peer.rate, unit="/s", wanted=least, more_is_better=True),
        Row(what=f"{what}: CPU", ours=mine.cpu, peer=peer.cpu, unit="us", wanted=1 / least),
    ]


def _get(url: str) -> tuple[dict[str, str], bytes]:
    with urllib.request.urlopen(url) as answer:
        return {name.lower(): value for name, value in answer.headers.items()}, answer.read()
