"""Measure `trust hook proxy` beside its registry: manifests by tag, and one large blob beside nginx's proxy_pass.

Everything over plain HTTP on loopback; `measure` gives numbers, and whoever calls it puts them into a table.
"""

from __future__ import annotations

import contextlib
import hashlib
import http.client
import json
import statistics
import time
from dataclasses import dataclass
from pathlib import Path

from tests.support.programs import RunningProgram
from tests.support.proxies import start_nginx
from tests.support.proxy_program import ProxyProgram

_NGINX = """
server {{
  listen 127.0.0.1:PORT;
  client_max_body_size 0;
  location / {{ proxy_pass http://{upstream}; proxy_http_version 1.1; proxy_set_header Host $http_host; }}
}}
"""


@dataclass(frozen=True, kw_only=True)
class ProxyNumbers:
    """Times in seconds, rates in bytes a second, memory in bytes: the proxy's growth while the blob passed."""

    manifest_direct: float
    manifest_proxy: float
    blob_direct: float
    blob_nginx: float
    blob_proxy: float
    memory_growth: int


def measure(
    folder: Path, proxy: ProxyProgram, registry: RunningProgram, *, repository: str, tag: str, blob: str, requests: int
) -> ProxyNumbers:
    """Measure a signed tag, and a blob (digest) of its image. `requests`: for manifests, on one connection each."""
    with start_nginx(folder / "nginx", _NGINX.format(upstream=registry.netloc)) as nginx:
        target, layer = f"/v2/{repository}/manifests/{tag}", f"/v2/{repository}/blobs/{blob}"
        before = _resident(proxy)
        numbers = {
            name: _rate(netloc, layer)
            for name, netloc in (("direct", registry.netloc), ("nginx", nginx.netloc), ("proxy", proxy.netloc))
        }
        return ProxyNumbers(
            manifest_direct=_median(registry.netloc, target, requests),
            manifest_proxy=_median(proxy.netloc, target, requests),
            blob_direct=numbers["direct"],
            blob_nginx=numbers["nginx"],
            blob_proxy=numbers["proxy"],
            memory_growth=_resident(proxy) - before,
        )


def large_image(layout: Path, *, size: int) -> tuple[str, str]:
    """Make an OCI layout whose image has one layer of zeros; return the digests of manifest and layer."""
    blobs = layout / "blobs" / "sha256"
    blobs.mkdir(parents=True)
    digest, piece = hashlib.sha256(), bytes(1024 * 1024)
    partial = blobs / "layer"
    with partial.open("wb") as file:
        for _ in range(size // len(piece)):
            file.write(piece)
            digest.update(piece)
    layer = digest.hexdigest()
    partial.rename(blobs / layer)

    def blob(kind: str, content: object) -> dict[str, object]:
        raw = json.dumps(content).encode()
        name = hashlib.sha256(raw).hexdigest()
        (blobs / name).write_bytes(raw)
        return {"mediaType": f"application/vnd.oci.image.{kind}", "digest": f"sha256:{name}", "size": len(raw)}

    config = blob(
        "config.v1+json",
        {"architecture": "amd64", "os": "linux", "rootfs": {"type": "layers", "diff_ids": [f"sha256:{layer}"]}},
    )
    layers = [{"mediaType": "application/vnd.oci.image.layer.v1.tar", "digest": f"sha256:{layer}", "size": size}]
    kind = "application/vnd.oci.image.manifest.v1+json"
    manifest = blob("manifest.v1+json", {"schemaVersion": 2, "mediaType": kind, "config": config, "layers": layers})
    (layout / "index.json").write_text(json.dumps({"schemaVersion": 2, "manifests": [manifest]}))
    (layout / "oci-layout").write_text('{"imageLayoutVersion": "1.0.0"}')
    return str(manifest["digest"]), f"sha256:{layer}"


def _median(netloc: str, target: str, requests: int) -> float:
    taken = []
    with contextlib.closing(http.client.HTTPConnection(netloc, timeout=60)) as client:
        for _ in range(requests):
            begun = time.perf_counter()
            client.request("GET", target, headers={"Accept": "application/vnd.oci.image.manifest.v1+json"})
            answer = client.getresponse()
            answer.read()
            taken.append(time.perf_counter() - begun)
            if answer.status != 200:
                raise RuntimeError(f"{netloc}{target}: status {answer.status}")
    return statistics.median(taken)


def _rate(netloc: str, target: str) -> float:
    buffer = memoryview(bytearray(1024 * 1024))
    begun, size = time.perf_counter(), 0
    with contextlib.closing(http.client.HTTPConnection(netloc, timeout=600)) as client:
        client.request("GET", target)
        answer = client.getresponse()
        while count := answer.readinto(buffer):
            size += count
    if answer.status != 200 or size != int(answer.headers["Content-Length"]):
        raise RuntimeError(f"{netloc}{target}: status {answer.status}, {size} bytes")
    return size / (time.perf_counter() - begun)


def _resident(proxy: ProxyProgram) -> int:
    status = Path(f"/proc/{proxy.process.pid}/status").read_text(encoding="ascii")
    (line,) = [line for line in status.splitlines() if line.startswith("VmHWM")]
    return int(line.split()[1]) * 1024
