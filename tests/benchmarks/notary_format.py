"""Notary v1 beside the programs that it is of: reads and publishes on both servers, `trust inspect` beside docker's."""

from __future__ import annotations

import hashlib
import os
import statistics
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

from tests.benchmarks import cpu
from tests.benchmarks.our_server import OurServer
from tests.benchmarks.reads import cpu_per_request
from tests.benchmarks.small_parent import Used, run_measured
from tests.benchmarks.table import Row
from tests.support.docker_engine import UnpackedDocker
from tests.support.handmade import Document, HandCollection, target
from tests.support.notary_server import NotaryStack
from tests.support.trust_servers import NotaryApi

_ROLES = ("timestamp", "snapshot", "targets", "root")
_CONNECTIONS = 16
_NAMES = "127.0.0.1:5000/notary-v1"
KEPT_OPEN, OPENED_EACH, BY_HASH = 1 / 20, 1 / 3, 1.0
"""Of notary-server's CPU for a request. By hash Debian's build answers from memory."""
PUBLISHES = {2: (40, 1 / 2), 100: (40, 1 / 2), 10_000: (15, 1 / 10)}
"""Tags: how many publishes are measured, and the largest share of notary-server's CPU."""
INSPECTS = {1: (15, 6.0), 100: (15, 5.0), 10_000: (7, 0.6), 100_000: (5, 0.4)}
"""Tags: rounds, and the largest share of docker's time."""
MEMORY = {10_000: 0.6, 100_000: 0.3}
"""Tags: the largest share of docker's memory."""


def server_rows(plain: OurServer, tls: OurServer, notary: NotaryStack) -> list[Row]:
    """What our server and Debian's spend on the same requests. Ours are two: over plain HTTP and over TLS."""
    return [*_publishing(tls, notary), *_reading(plain, tls, notary)]


def _publishing(tls: OurServer, notary: NotaryStack) -> list[Row]:
    """One tag more each time, signed beforehand, a new TLS connection for each upload as clients do it."""
    rows = []
    for tags, (publishes, wanted) in PUBLISHES.items():
        spent = []
        for server, pids in ((_api(tls), [tls.pid]), (NotaryApi(url=notary.url, ca=notary.ca), notary.pids)):
            collection = _published(server, f"{_NAMES}/publish{tags}", tags)
            uploads = [_next_upload(collection, tags + number) for number in range(publishes)]
            before = cpu.settle(pids)
            for raw in uploads:
                collection.publish({"targets": raw})
            spent.append((cpu.settle(pids) - before) / publishes * 1e3)
        what = f"Notary v1, publish of {tags} tags: CPU"
        rows.append(Row(what=what, ours=spent[0], peer=spent[1], unit="ms", wanted=wanted))
    return rows


def _reading(plain: OurServer, tls: OurServer, notary: NotaryStack) -> list[Row]:
    gun = f"{_NAMES}/read"
    # Debian's two servers share a database.
    theirs = NotaryApi(url=notary.url, ca=notary.ca)
    for server in (_api(plain), _api(tls), theirs):
        _published(server, gun, 1)
    rows = []
    for role in _ROLES:
        path = f"/v2/{gun}/_trust/tuf/{role}.json"
        mine = cpu_per_request(plain.url + path, [plain.pid], connections=_CONNECTIONS)
        peer = cpu_per_request(notary.http + path, notary.pids, connections=_CONNECTIONS)
        rows.append(Row(what=f"Notary v1, GET {role}.json: CPU", ours=mine, peer=peer, unit="us", wanted=KEPT_OPEN))
    path = f"/v2/{gun}/_trust/tuf/timestamp.json"
    closing = ["Connection: close"]
    mine = cpu_per_request(tls.url + path, [tls.pid], connections=_CONNECTIONS, headers=closing)
    peer = cpu_per_request(notary.url + path, notary.pids, connections=_CONNECTIONS, headers=closing)
    what = "the same timestamp.json, a new TLS connection each: CPU"
    rows.append(Row(what=what, ours=mine, peer=peer, unit="us", wanted=OPENED_EACH))
    mine = cpu_per_request(plain.url + _by_hash(_api(plain), gun), [plain.pid], connections=_CONNECTIONS)
    peer = cpu_per_request(notary.http + _by_hash(theirs, gun), notary.pids, connections=_CONNECTIONS)
    rows.append(Row(what="Notary v1, GET targets by hash: CPU", ours=mine, peer=peer, unit="us", wanted=BY_HASH))
    return rows


def client_rows(tls: OurServer, docker: UnpackedDocker, folder: Path) -> list[Row]:
    """`trust inspect` and `docker trust inspect` of the same collections on our server, with warm caches."""
    configuration = folder / "docker-inspect"
    configuration.mkdir()
    environ = {name: value for name, value in os.environ.items() if not name.startswith("TRUST_")}
    environ |= {
        "DOCKER_CONFIG": str(configuration),
        "DOCKER_CONTENT_TRUST_SERVER": tls.url,
        "TRUST_HOME": str(folder / "home-inspect"),
        "TRUST_SERVER": tls.url,
        "TRUST_CACERT": str(tls.ca),
        "TRUST_TOFU": "1",
    }
    program = str(Path(sys.executable).parent / "trust")
    rows = []
    for tags, (rounds, wanted) in INSPECTS.items():
        gun = f"{_NAMES}/inspect{tags}"
        _published(_api(tls), gun, tags)
        commands = ([program, "inspect", gun], [str(docker.docker), "trust", "inspect", gun])
        both = [[_run(command, environ)] for command in commands]
        if both[0][0].printed != both[1][0].printed:
            raise RuntimeError(f"trust inspect and docker trust inspect of {tags} tags differ")
        for _ in range(rounds):
            for command, found in zip(commands, both, strict=True):
                found.append(_run(command, environ))
        mine, peer = (statistics.median(each.used.milliseconds for each in found[1:]) for found in both)
        rows.append(Row(what=f"trust inspect, {tags} tags: wall", ours=mine, peer=peer, unit="ms", wanted=wanted))
        if tags in MEMORY:
            what, most = f"trust inspect, {tags} tags: memory", MEMORY[tags]
            mine, peer = (statistics.median(each.used.megabytes for each in found[1:]) for found in both)
            rows.append(Row(what=what, ours=mine, peer=peer, unit="MB", wanted=most))
    return rows


@dataclass(frozen=True, slots=True, kw_only=True)
class _Ran:
    """What a command has used, and SHA-256 of what it printed."""

    used: Used
    printed: str


def _run(command: list[str], environ: dict[str, str]) -> _Ran:
    """Raises: RuntimeError."""
    with tempfile.TemporaryFile() as output:
        used = run_measured(command, environ=environ, stdout=output)
        output.seek(0)
        digest = hashlib.file_digest(output, "sha256").hexdigest()
    return _Ran(used=used, printed=digest)


def _api(server: OurServer) -> NotaryApi:
    return NotaryApi(url=server.url, ca=server.ca or Path(os.devnull))


def _published(server: NotaryApi, gun: str, tags: int) -> HandCollection:
    """A collection whose snapshot key the server holds, as docker makes it."""
    collection = HandCollection(server, gun, gives_snapshot=True)
    collection.targets = {f"v{tag}": _target(tag) for tag in range(tags)}
    collection.publish()
    return collection


def _next_upload(collection: HandCollection, tag: int) -> bytes:
    """The next version of targets, with this tag besides those that there are."""
    collection.targets[f"v{tag}"] = _target(tag)
    collection.version += 1
    return collection.targets_file()


def _target(tag: int) -> Document:
    return target(hashlib.sha256(str(tag).encode()).hexdigest(), size=1234)


def _by_hash(server: NotaryApi, gun: str) -> str:
    raw = server.file(gun, "targets.json").body
    return f"/v2/{gun}/_trust/tuf/targets.{hashlib.sha256(raw).hexdigest()}.json"
