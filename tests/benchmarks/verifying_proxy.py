"""`trust hook proxy` beside its registry, and beside nginx's proxy_pass: manifests by tag, and one large blob.

Everything on loopback; over TLS beside itself without. `python -m tests.benchmarks.verifying_proxy` measures only this.
"""

from __future__ import annotations

import contextlib
import hashlib
import http.client
import json
import ssl
import statistics
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

from tests.benchmarks.table import Row, show
from tests.support.certificates import make_authority
from tests.support.images import BuiltImage
from tests.support.loaded_program import stop_loaders
from tests.support.programs import RunningProgram, push, start_registry
from tests.support.proxies import start_nginx
from tests.support.proxy_program import ProxyProgram, proxy_running
from tests.support.server_process import ServerProcess
from tests.support.trust_program import TrustUser
from trustcli.registry.manifest import ACCEPT

_REPOSITORY: Final = "bench/large"
_TAG: Final = "1.0"
_BLOB: Final = 2**30
_MANIFESTS: Final = 400
_ROUNDS: Final = 3
_NGINX = """
server {{
  listen 127.0.0.1:PORT;
  client_max_body_size 0;
  location / {{ proxy_pass http://{upstream}; proxy_http_version 1.1; proxy_set_header Host $http_host; }}
}}
"""


def rows(folder: Path) -> list[Row]:
    """The proxy over HTTP beside its registry and nginx, and over TLS beside itself without."""
    folder.mkdir()
    with (
        start_registry(folder / "registry") as registry,
        start_nginx(folder / "nginx", _NGINX.format(upstream=registry.netloc)) as nginx,
    ):
        server = ServerProcess(folder / "data")
        server.start()
        try:
            owner = TrustUser(folder / "owner", server.url)
            layer = _publish(folder, registry, owner)
            certificate, authority = _certificate(folder)
            tls = ("--tls-cert", str(certificate), "--tls-key", str(certificate))
            with (
                proxy_running(folder / "plain", registry.netloc, home=owner.home, server=server.url) as plain,
                proxy_running(folder / "tls", registry.netloc, *tls, home=owner.home, server=server.url) as encrypted,
            ):
                direct, between = Client(registry.netloc), Client(nginx.netloc)
                ours, over_tls = Client(plain.netloc), Client(encrypted.netloc, tls=authority)
                return [*_manifests(direct, ours, over_tls), *_blobs(plain, layer, [direct, between, ours, over_tls])]
        finally:
            server.kill()
            stop_loaders()


def _publish(folder: Path, registry: RunningProgram, owner: TrustUser) -> str:
    """Sign an image with one large layer; return the digest of that."""
    manifest, layer = large_image(folder / "layout", size=_BLOB)
    push(BuiltImage(layout=folder / "layout", digest=manifest, raw=b"", children=()), registry, _REPOSITORY, _TAG)
    gun = f"{registry.netloc}/{_REPOSITORY}"
    owner.run("init", gun, "--no-recovery-key")
    owner.run("sign", f"{gun}:{_TAG}")
    return layer


def _certificate(folder: Path) -> tuple[Path, ssl.SSLContext]:
    """A file with a certificate and its key, and what believes it."""
    authority = make_authority(folder)
    authority.server_context(folder)
    (file,) = folder.glob("server-*.pem")
    file.chmod(0o600)
    return file, ssl.create_default_context(cafile=str(authority.file))


class Client:
    """What asks one end. `tls`: what believes its certificate, if it has one."""

    def __init__(self, netloc: str, *, tls: ssl.SSLContext | None = None) -> None:
        self._netloc = netloc
        self._tls = tls

    def manifest_milliseconds(self) -> float:
        """The median time of a manifest by tag, over a connection that stays."""
        taken = []
        target = f"/v2/{_REPOSITORY}/manifests/{_TAG}"
        with contextlib.closing(self._connection()) as client:
            for _ in range(_MANIFESTS):
                begun = time.perf_counter()
                client.request("GET", target, headers={"Accept": ACCEPT})
                answer = client.getresponse()
                answer.read()
                taken.append(time.perf_counter() - begun)
                if answer.status != 200:
                    raise RuntimeError(f"{self._netloc}{target}: status {answer.status}")
        return statistics.median(taken) * 1e3

    def blob_rate(self, digest: str) -> float:
        """Megabytes of a blob in each second."""
        buffer = memoryview(bytearray(1024 * 1024))
        begun, size = time.perf_counter(), 0
        with contextlib.closing(self._connection()) as client:
            client.request("GET", f"/v2/{_REPOSITORY}/blobs/{digest}")
            answer = client.getresponse()
            while count := answer.readinto(buffer):
                size += count
        if answer.status != 200 or size != _BLOB:
            raise RuntimeError(f"{self._netloc}: status {answer.status}, {size} bytes")
        return size / 1e6 / (time.perf_counter() - begun)

    def _connection(self) -> http.client.HTTPConnection:
        if self._tls is None:
            return http.client.HTTPConnection(self._netloc, timeout=600)
        return http.client.HTTPSConnection(self._netloc, timeout=600, context=self._tls)


def _manifests(direct: Client, ours: Client, over_tls: Client) -> list[Row]:
    for client in (direct, ours, over_tls):
        client.manifest_milliseconds()
    plain, own, encrypted = (_median(client.manifest_milliseconds) for client in (direct, ours, over_tls))
    what = "proxy: manifest by tag"
    return [
        Row(what=f"{what} beside the registry: p50", ours=own, peer=plain, unit="ms", wanted=2.0),
        Row(what=f"{what}, TLS beside none: p50", ours=encrypted, peer=own, unit="ms", wanted=2.0),
    ]


def _blobs(proxy: ProxyProgram, layer: str, clients: Sequence[Client]) -> list[Row]:
    """`clients`: of the registry, of nginx, of the proxy, of the proxy over TLS."""
    before = _peak_megabytes(proxy)
    runs = [[client.blob_rate(layer) for client in clients] for _ in range(_ROUNDS)]
    plain, nginx, own, encrypted = (statistics.median(found) for found in zip(*runs, strict=True))
    what = f"proxy: blob of {_BLOB / 2**30:.0f} GiB"
    return [
        Row(what=f"{what} beside nginx", ours=own, peer=nginx, unit="MB/s", wanted=1.0, more_is_better=True),
        Row(what=f"{what} beside the registry", ours=own, peer=plain, unit="MB/s", wanted=0.6, more_is_better=True),
        Row(what=f"{what}, TLS beside none", ours=encrypted, peer=own, unit="MB/s", wanted=0.2, more_is_better=True),
        Row(what=f"{what}: memory", ours=_peak_megabytes(proxy) - before, peer=16.0, unit="MB", wanted=1.0),
    ]


def _median(measured: Callable[[], float]) -> float:
    return statistics.median(measured() for _ in range(_ROUNDS))


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


def _peak_megabytes(proxy: ProxyProgram) -> float:
    status = Path(f"/proc/{proxy.process.pid}/status").read_text(encoding="ascii")
    (line,) = [line for line in status.splitlines() if line.startswith("VmHWM")]
    return int(line.split()[1]) * 1024 / 1e6


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as name:
        show(rows(Path(name) / "proxy"), [])
