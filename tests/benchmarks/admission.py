"""The admission webhook with what it needs in memory: what a review costs, over connections that stay, with TLS."""

from __future__ import annotations

import hashlib
import re
import socket
import ssl
import subprocess
import sys
import time
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from tests.benchmarks import cpu
from tests.benchmarks.table import Row
from tests.support.admission import Object, pod, review, sent
from tests.support.admission_program import Admission
from tests.support.loaded_program import stop_loaders
from tests.support.server_owner import Owner
from tests.support.server_process import ServerProcess
from trustserver.process.kernel_clock import now

GUN: Final = "registry.example.com/team/app"
_CONNECTIONS: Final = 4
_REVIEWS: Final = 800
_FIELDS: Final = 60
"""Entries of `managedFields`, which make most of what an API server sends about a Pod."""


def rows(folder: Path) -> list[Row]:
    """Milliseconds of CPU for each review, and reviews for each second."""
    folder.mkdir()
    server = ServerProcess(folder / "data")
    server.start()
    admission = Admission(folder / "admission", {GUN.partition("/")[0]: server.url})
    try:
        _publish(server)
        admission.allow(f'match = "{GUN}"')
        root = server.get(f"/tuf/{GUN}/metadata/1.root.json")[1]
        admission.admin.knows(GUN, f"sha256:{hashlib.sha256(root).hexdigest()}")
        admission.start()
        raw = folder / "review"
        raw.write_bytes(_review())
        _measured(admission, raw)  # everything is in memory afterwards
        refreshes = _refreshes(admission)
        spent, rate = _measured(admission, raw)
    finally:
        admission.kill()
        server.kill()
        stop_loaders()
    return [
        Row(what=f"admission: refreshes for {_CONNECTIONS * _REVIEWS} Pods", ours=refreshes, peer=1, unit="", wanted=1),
        Row(what="admission: CPU of a review", ours=spent, peer=1.0, unit="ms", wanted=1.0),
        Row(what="admission: reviews", ours=rate, peer=1000.0, unit="1/s", wanted=1.0, more_is_better=True),
    ]


def _refreshes(admission: Admission) -> int:
    """How often the trust server was asked for what is new."""
    (count,) = re.findall(r'trust_refreshes_total\{result="ok"\} (\d+)', admission.get("/metrics")[1])
    return int(count)


def _publish(server: ServerProcess) -> None:
    owner = Owner(now())
    owner.tags = {"1.0": "ab" * 32}
    server.learn_keys(owner, GUN)
    status, body = server.publish(GUN, owner.first_upload())
    assert status == 200, body


def _review() -> bytes:
    thing = pod(f"{GUN}:1.0")
    fields: Object = {f"f:field{number}": {".": {}, "f:image": {}, "f:name": {}} for number in range(_FIELDS)}
    thing["metadata"]["managedFields"] = [{"manager": "kubectl", "fieldsV1": {"f:spec": fields}}]
    return sent(review(thing))


def _measured(admission: Admission, raw: Path) -> tuple[float, float]:
    before = cpu.seconds([admission.pid])
    command = [sys.executable, "-m", "tests.benchmarks.admission", admission.url, str(admission.ca), str(raw)]
    senders = [subprocess.Popen(command, stdout=subprocess.PIPE) for _ in range(_CONNECTIONS)]
    seconds = max(float(sender.communicate()[0]) for sender in senders)
    reviews = _CONNECTIONS * _REVIEWS
    return (cpu.seconds([admission.pid]) - before) / reviews * 1000, reviews / seconds


def _send(url: str, ca: str, raw: bytes) -> None:
    """Post a review again and again over one connection; all must be allowed. Prints how many seconds it took."""
    address = urlsplit(url)
    head = f"POST /mutate?timeout=10s HTTP/1.1\r\nHost: {address.netloc}\r\nContent-Length: {len(raw)}\r\n\r\n"
    context = ssl.create_default_context(cafile=ca)
    plain = socket.create_connection((str(address.hostname), int(address.port or 0)))
    with context.wrap_socket(plain, server_hostname=address.hostname) as connection, connection.makefile("rb") as read:
        start = time.perf_counter()
        for _ in range(_REVIEWS):
            connection.sendall(head.encode() + raw)
            length = 0
            while (line := read.readline()) != b"\r\n":
                if line.lower().startswith(b"content-length:"):
                    length = int(line.partition(b":")[2])
            assert b'"allowed":true' in read.read(length)
        sys.stdout.write(str(time.perf_counter() - start))


if __name__ == "__main__":
    _send(sys.argv[1], sys.argv[2], Path(sys.argv[3]).read_bytes())
