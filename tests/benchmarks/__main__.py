"""`make bench`: what we promise as ratios, beside Debian's notary-server with PostgreSQL, and docker."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from contextlib import ExitStack
from pathlib import Path

from tests.benchmarks import (
    access,
    admission,
    beside_nginx,
    bulk_rotation,
    common_pots,
    cpu,
    expiring,
    guessing,
    hostile_files,
    many_collections,
    notary_format,
    resident,
    server_keys,
    under_attack,
    verifying_proxy,
)
from tests.benchmarks.commands import medians
from tests.benchmarks.notary_client import NotaryClient
from tests.benchmarks.our_server import BenchCollection, OurServer, run_trust, start_ours
from tests.benchmarks.reads import cpu_per_request
from tests.benchmarks.table import Row, show
from tests.support.docker_engine import UnpackedDocker, unpack_docker
from tests.support.notary_server import NotaryStack, missing_programs, start_notary
from trustdata.gun import parse_gun

_MANY = 10_000
_SMALL_PUBLISHES = 40
_LARGE_PUBLISHES = 15


def main() -> int:
    """Print the table. Exit status 0 whatever the figures say; 1 where a peer is missing."""
    missing = missing_programs() + [name for name in ("nginx", "wrk") if shutil.which(name) is None]
    if missing:
        sys.stderr.write(f"cannot measure: not installed: {', '.join(missing)} (make peers)\n")
        return 1
    with tempfile.TemporaryDirectory(prefix="trust-bench-") as name, ExitStack() as stack:
        folder = Path(name)
        folder.chmod(0o755)
        notary = stack.enter_context(start_notary(folder / "notary"))
        ours = stack.enter_context(start_ours(folder / "ours"))
        tls = stack.enter_context(start_ours(folder / "ours-tls", tls=True))
        client = NotaryClient(stack=notary, folder=folder / "notary-trust")
        rows, notes = [], []
        rows += _publishing(ours, notary, client)
        rows += _reading(ours, notary)
        rows += notary_format.server_rows(ours, tls, notary)
        rows += beside_nginx.rows(ours, tls, folder / "nginx")
        rows += many_collections.rows(folder / "many-collections", go_read=_go_read(notary))
        rows += bulk_rotation.rows(folder / "bulk-rotation")
        rows += expiring.rows(folder / "expiring")
        rows += under_attack.rows(folder / "attacked")
        rows += server_keys.rows(folder / "server-keys")
        rows += hostile_files.rows(folder)
        rows += common_pots.token_rows()
        rows += access.rows(folder / "access")
        rows += guessing.rows(folder / "guessing")
        rows += resident.rows()
        rows += resident.verifier_rows(folder / "verifier")
        rows += verifying_proxy.rows(folder / "proxy")
        rows += admission.rows(folder / "admission")
        docker = unpack_docker(folder / "docker")
        if isinstance(docker, str):
            notes.append(f"trust verify and trust inspect: not measured: {docker}")
        else:
            rows += _verifying(tls, notary, client, docker, folder)
            rows += notary_format.client_rows(tls, docker, folder)
        notes.append(_import_time())
        show(rows, notes)
    return 0


def _publishing(ours: OurServer, notary: NotaryStack, client: NotaryClient) -> list[Row]:
    rows = []
    for tags, publishes, wanted in ((2, _SMALL_PUBLISHES, 1.0), (_MANY, _LARGE_PUBLISHES, 0.12)):
        gun = f"127.0.0.1:5000/bench/publish{tags}"
        client.init(gun)
        client.publish(gun, range(tags))
        before = cpu.settle(notary.pids)
        for number in range(publishes):
            client.publish(gun, range(tags - 1 + number, tags + number))
        peer = (cpu.settle(notary.pids) - before) / publishes

        collection = BenchCollection(ours, parse_gun(gun))
        collection.init()
        collection.send(collection.next_upload(range(tags)))
        uploads = [collection.next_upload(range(tags + number, tags + number + 1)) for number in range(publishes)]
        before = cpu.settle([ours.pid])
        for upload in uploads:
            collection.send(upload)
        mine = (cpu.settle([ours.pid]) - before) / publishes
        rows.append(
            Row(what=f"publish of {tags} tags: CPU", ours=mine * 1e3, peer=peer * 1e3, unit="ms", wanted=wanted)
        )
    return rows


def _reading(ours: OurServer, notary: NotaryStack) -> list[Row]:
    gun = "127.0.0.1:5000/bench/publish2"
    rows = []
    for connections in (2, 16):
        mine = cpu_per_request(f"{ours.url}/tuf/{gun}/metadata/timestamp.json", [ours.pid], connections=connections)
        peer = cpu_per_request(
            f"{notary.http}/v2/{gun}/_trust/tuf/timestamp.json", notary.pids, connections=connections
        )
        what = f"GET timestamp.json, {connections} connections: CPU"
        rows.append(Row(what=what, ours=mine, peer=peer, unit="us", wanted=1 / 20))
    return rows


def _go_read(notary: NotaryStack) -> float:
    """Milliseconds of CPU of Go's server for a read over 16 connections; it asks its database each time."""
    url = f"{notary.http}/v2/127.0.0.1:5000/bench/publish2/_trust/tuf/timestamp.json"
    return cpu_per_request(url, notary.pids, connections=16) / 1e3


def _verifying(
    ours: OurServer, notary: NotaryStack, client: NotaryClient, docker: UnpackedDocker, folder: Path
) -> list[Row]:
    """Both over TLS with a warm cache: `trust verify` of one tag, `docker trust inspect` of a like collection."""
    configuration = folder / "docker-config"
    authority = configuration / "tls" / notary.url.removeprefix("https://") / "ca.crt"
    authority.parent.mkdir(parents=True)
    authority.write_bytes(notary.ca.read_bytes())
    environ = {**os.environ, "DOCKER_CONFIG": str(configuration), "DOCKER_CONTENT_TRUST_SERVER": notary.url}
    rows = []
    for tags, rounds, wanted in ((1, 15, 6.0), (_MANY, 7, 0.6)):
        gun = f"127.0.0.1:5000/bench/verify{tags}"
        client.init(gun)
        client.publish(gun, range(tags))
        collection = BenchCollection(ours, parse_gun(gun))
        pin = collection.init()
        collection.send(collection.next_upload(range(tags)))
        home = folder / f"home{tags}"
        run_trust(["pin", gun, pin], home=home, server=ours)

        def verify(gun: str = gun, home: Path = home) -> None:
            run_trust(["verify", f"{gun}:v0"], home=home, server=ours)

        def inspect(gun: str = gun) -> None:
            subprocess.run([docker.docker, "trust", "inspect", gun], env=environ, capture_output=True, check=True)

        mine, peer = medians(verify, inspect, rounds=rounds)
        rows.append(Row(what=f"trust verify, {tags} tags: wall", ours=mine, peer=peer, unit="ms", wanted=wanted))
    return rows


def _import_time() -> str:
    """The whole of `python -X importtime` for what `trust verify` imports, and its heaviest lines."""
    code = "import trustcli.__main__, trustcli.commands.verify"
    done = subprocess.run([sys.executable, "-X", "importtime", "-c", code], capture_output=True, text=True, check=True)
    lines = [line.removeprefix("import time:").split("|") for line in done.stderr.splitlines() if "|" in line]
    times = [(int(own), name.strip()) for own, _, name in lines if own.strip().isdigit()]
    heaviest = ", ".join(f"{name} {own / 1e3:.1f}" for own, name in sorted(times, reverse=True)[:8])
    total = sum(own for own, _ in times) / 1e3
    return f"python -X importtime of trust verify: {total:.0f} ms in {len(times)} modules; own time, ms: {heaviest}"


if __name__ == "__main__":
    sys.exit(main())
