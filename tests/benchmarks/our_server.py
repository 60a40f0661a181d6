"""Our server and our client's core, for measuring: collections made in this process, uploads signed beforehand."""

from __future__ import annotations

import contextlib
import hashlib
import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from securesystemslib.signer import CryptoSigner

from tests.support.programs import free_port, running
from trustcli.client.server_link import ServerLink
from trustcli.client.tuf_remote import TufRemote
from trustcli.config.docker_config import DockerConfig
from trustcli.http.network import Network
from trustcli.http.tls import CertificateAuthorities
from trustdata.editing import repository_editor
from trustdata.editing.repository_editor import EditTerms, TagEdit
from trustdata.editing.signing import sign
from trustdata.envelope import Envelope
from trustdata.gun import GUN, parse_tag
from trustdata.roles import ROOT, SNAPSHOT, TARGETS, TIMESTAMP, RoleName
from trustdata.wire.tuf import TUF


@dataclass(frozen=True, kw_only=True)
class OurServer:
    """`url`: `http://127.0.0.1:PORT` or, with TLS, https; `pid`: of the one process; `ca`: of its certificate."""

    url: str
    pid: int
    ca: Path | None


@contextlib.contextmanager
def start_ours(folder: Path, *, tls: bool = False, options: Sequence[str] = ()) -> Iterator[OurServer]:
    """trust-server on embedded defaults: one worker, SQLite."""
    folder.mkdir(parents=True, exist_ok=True)
    port = free_port()
    command = [sys.executable, "-m", "trustserver", "serve", "--listen", f"127.0.0.1:{port}"]
    command += ["--data", str(folder / "data"), *(["--self-signed"] if tls else []), *options]
    environ = {name: value for name, value in os.environ.items() if not name.startswith("TRUST_")}
    with running(command, port=port, log=folder / "trust-server.log", environ=environ) as started:
        ca = folder / "data" / "tls" / "ca.crt" if tls else None
        yield OurServer(url=f"{'https' if tls else 'http'}://127.0.0.1:{port}", pid=started.process.pid, ca=ca)


class BenchCollection:
    """One collection with keys of its own."""

    def __init__(self, server: OurServer, gun: GUN, *, docker_config: Path | None = None) -> None:
        self.gun = gun
        self.remote = TufRemote(
            ServerLink(
                server.url,
                Network(authorities=CertificateAuthorities(os.environ, cacert=server.ca), environ={}),
                DockerConfig({"DOCKER_CONFIG": str(docker_config or os.devnull)}),
            )
        )
        self._root, self._targets = CryptoSigner.generate_ecdsa(), CryptoSigner.generate_ecdsa()
        self._terms = EditTerms.of(TUF, at=datetime.now(UTC))
        self._roles: dict[RoleName, Envelope] = {}

    def init(self) -> str:
        """Publish version 1; returns the pin."""
        contents = repository_editor.new_collection(
            root_keys=[self._root.public_key],
            threshold=1,
            targets_key=self._targets.public_key,
            snapshot_key=self.remote.online_key(self.gun, SNAPSHOT),
            timestamp_key=self.remote.online_key(self.gun, TIMESTAMP),
            terms=self._terms,
        )
        self._roles = {
            ROOT: sign(contents[ROOT], [self._root], role=ROOT, wire=TUF),
            TARGETS: sign(contents[TARGETS], [self._targets], role=TARGETS, wire=TUF),
        }
        self.remote.publish(self.gun, {role: envelope.raw for role, envelope in self._roles.items()})
        return f"sha256:{self._roles[ROOT].sha256}"

    def next_upload(self, tags: range) -> bytes:
        """The next version of targets, with these tags besides those that there are; not sent yet."""
        edits = [TagEdit(tag=parse_tag(f"v{tag}"), digest=_digest(tag), length=1234) for tag in tags]
        contents = repository_editor.set_tags(self._roles, edits, into=[TARGETS], terms=self._terms)
        self._roles[TARGETS] = sign(contents[TARGETS], [self._targets], role=TARGETS, wire=TUF)
        return self._roles[TARGETS].raw

    def send(self, upload: bytes) -> None:
        """Publish one upload."""
        self.remote.publish(self.gun, {TARGETS: upload})


def _digest(tag: int) -> str:
    """One that cannot be compressed better than those of real images."""
    return hashlib.sha256(str(tag).encode()).hexdigest()


def run_trust(arguments: list[str], *, home: Path, server: OurServer) -> None:
    """The program as users start it. Raises: RuntimeError."""
    environ = {name: value for name, value in os.environ.items() if not name.startswith("TRUST_")}
    environ |= {"TRUST_HOME": str(home), "TRUST_SERVER": server.url}
    if server.ca is not None:
        environ["TRUST_CACERT"] = str(server.ca)
    program = Path(sys.executable).parent / "trust"
    done = subprocess.run([program, *arguments], env=environ, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"trust {' '.join(arguments)}: {done.stderr}")
