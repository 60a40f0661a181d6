"""Debian's notary-server with PostgreSQL and notary-signer on loopback: the peer to measure beside and to test with."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tests.support.programs import free_port, program, running

_SCHEMA = Path(__file__).parent / "notary_schema.sql"
SIGNER_PASSPHRASE = "defaultpass1"


@dataclass(frozen=True, kw_only=True)
class NotaryStack:
    """`url` over TLS, `http` plain; `pids`: of everything that works for a request; `database_port`: PostgreSQL's."""

    url: str
    http: str
    ca: Path
    pids: list[int]
    database_port: int

    def dumped_signer_keys(self) -> str:
        """What `pg_dump` writes of the signer's keys."""
        command = [f"{_postgres()}/pg_dump", "-h", "127.0.0.1", "-p", str(self.database_port), "-U", "signer"]
        command += ["--data-only", "-t", "private_keys", "notarysigner"]
        return subprocess.run(command, capture_output=True, text=True, check=True, timeout=60).stdout


def missing_programs() -> list[str]:
    """What would have to be installed."""
    wanted = ["notary-server", "notary-signer", "notary", "openssl"]
    missing = [name for name in wanted if shutil.which(name) is None]
    return missing if _postgres() else [*missing, "postgresql"]


@contextlib.contextmanager
def start_notary(folder: Path) -> Iterator[NotaryStack]:
    """PostgreSQL with stock settings, a signer, and two servers (TLS and plain) over one database."""
    folder.mkdir(parents=True, exist_ok=True)
    folder.chmod(0o755)
    _certificates(folder)
    with contextlib.ExitStack() as stack:
        database = stack.enter_context(_database(folder / "pg"))
        signer_port, tls_port, http_port = free_port(), free_port(), free_port()
        signer = folder / "signer.json"
        signer.write_text(
            json.dumps(
                {
                    "server": {
                        "grpc_addr": f"127.0.0.1:{signer_port}",
                        "tls_cert_file": str(folder / "notary-signer.crt"),
                        "tls_key_file": str(folder / "notary-signer.key"),
                        "client_ca_file": str(folder / "ca.crt"),
                    },
                    "logging": {"level": "error"},
                    "storage": {
                        "backend": "postgres",
                        "default_alias": "defaultalias",
                        "db_url": f"postgres://signer@127.0.0.1:{database.port}/notarysigner?sslmode=disable",
                    },
                }
            )
        )
        environ = {**os.environ, "NOTARY_SIGNER_DEFAULTALIAS": SIGNER_PASSPHRASE}
        log = folder / "signer.log"
        command = [program("notary-signer"), "-config", str(signer)]
        pids = [database.pid]
        started = stack.enter_context(running(command, port=signer_port, log=log, environ=environ))
        pids.append(started.process.pid)
        for name, port, tls in (("tls", tls_port, True), ("http", http_port, False)):
            config = _server_config(folder, port, tls=tls, signer_port=signer_port, database_port=database.port)
            file = folder / f"server-{name}.json"
            file.write_text(json.dumps(config))
            command = [program("notary-server"), "-config", str(file)]
            started = stack.enter_context(running(command, port=port, log=folder / f"server-{name}.log"))
            pids.append(started.process.pid)
        yield NotaryStack(
            url=f"https://127.0.0.1:{tls_port}",
            http=f"http://127.0.0.1:{http_port}",
            ca=folder / "ca.crt",
            pids=pids,
            database_port=database.port,
        )


def _server_config(folder: Path, port: int, *, tls: bool, signer_port: int, database_port: int) -> dict[str, object]:
    server: dict[str, object] = {"http_addr": f"127.0.0.1:{port}"}
    if tls:
        server |= {
            "tls_key_file": str(folder / "notary-server.key"),
            "tls_cert_file": str(folder / "notary-server.crt"),
        }
    return {
        "server": server,
        "trust_service": {
            "type": "remote",
            "hostname": "127.0.0.1",
            "port": str(signer_port),
            "tls_ca_file": str(folder / "ca.crt"),
            "key_algorithm": "ecdsa",
            "tls_client_cert": str(folder / "notary-server.crt"),
            "tls_client_key": str(folder / "notary-server.key"),
        },
        "logging": {"level": "error"},
        "storage": {
            "backend": "postgres",
            "db_url": f"postgres://server@127.0.0.1:{database_port}/notaryserver?sslmode=disable",
        },
    }


@dataclass(frozen=True, kw_only=True)
class _Database:
    port: int
    pid: int


@contextlib.contextmanager
def _database(folder: Path) -> Iterator[_Database]:
    """A PostgreSQL cluster of its own; as root it runs as user postgres, since PostgreSQL refuses root."""
    binaries = _postgres()
    folder.mkdir()
    as_postgres: list[str] = []
    if os.geteuid() == 0:
        shutil.chown(folder, "postgres")
        as_postgres = ["runuser", "-u", "postgres", "--"]
    _run(
        [*as_postgres, f"{binaries}/initdb", "-D", str(folder), "-A", "trust", "-U", "postgres", "-E", "UTF8"],
        cwd=folder,
    )
    port = free_port()
    options = [
        f"-p{port}",
        "-clisten_addresses=127.0.0.1",
        f"-cunix_socket_directories={folder}",
        "-cmax_connections=200",
    ]
    command = [*as_postgres, f"{binaries}/postgres", "-D", str(folder), *options]
    with running(command, port=port, log=folder.parent / "postgres.log") as started:
        query = [f"{binaries}/psql", "-q", "-h", "127.0.0.1", "-p", str(port), "-v", "ON_ERROR_STOP=1"]
        ready = [f"{binaries}/pg_isready", "-q", "-t", "20", "-h", "127.0.0.1", "-p", str(port)]
        for _ in range(200):
            if subprocess.run(ready, check=False).returncode == 0:
                break
        _run(
            [
                *query,
                "-U",
                "postgres",
                "-d",
                "postgres",
                "-c",
                "CREATE ROLE server LOGIN",
                "-c",
                "CREATE ROLE signer LOGIN",
            ]
        )
        for name, owner in (("notaryserver", "server"), ("notarysigner", "signer")):
            _run([*query, "-U", "postgres", "-d", "postgres", "-c", f"CREATE DATABASE {name} OWNER {owner}"])
            _run([*query, "-U", owner, "-d", name, "-v", f"part={owner}", "-f", str(_SCHEMA)])
        postmaster = int((folder / "postmaster.pid").read_text().splitlines()[0])
        try:
            yield _Database(port=port, pid=postmaster)
        finally:
            # SIGKILL of the wrapper would leave the postmaster behind.
            _run([*as_postgres, f"{binaries}/pg_ctl", "-D", str(folder), "-m", "immediate", "-w", "stop"], cwd=folder)
            started.process.wait(30)


def _postgres() -> str:
    """The folder of PostgreSQL's programs, or ""."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/postgres"))
    return str(found[-1].parent) if found else ""


def _certificates(folder: Path) -> None:
    openssl = program("openssl")
    new_key = [openssl, "ecparam", "-name", "prime256v1", "-genkey", "-noout"]
    _run([*new_key, "-out", str(folder / "ca.key")])
    authority = ["-addext", "basicConstraints=critical,CA:TRUE", "-addext", "keyUsage=critical,keyCertSign,cRLSign"]
    _run(
        [
            openssl,
            "req",
            "-x509",
            "-new",
            "-key",
            str(folder / "ca.key"),
            "-days",
            "365",
            "-subj",
            "/CN=peers test CA",
            "-out",
            str(folder / "ca.crt"),
            *authority,
        ]
    )
    extensions = folder / "leaf.ext"
    extensions.write_text(
        "subjectAltName=DNS:localhost,IP:127.0.0.1\nextendedKeyUsage=serverAuth,clientAuth\n"
        "keyUsage=digitalSignature\nbasicConstraints=CA:FALSE\n"
    )
    for name in ("notary-server", "notary-signer"):
        sec1, key, request = folder / f"{name}.sec1", folder / f"{name}.key", folder / f"{name}.csr"
        _run([*new_key, "-out", str(sec1)])
        _run([openssl, "pkey", "-in", str(sec1), "-out", str(key)])  # PKCS#8, which Go reads
        _run([openssl, "req", "-new", "-key", str(key), "-subj", f"/CN={name}", "-out", str(request)])
        _run(
            [
                openssl,
                "x509",
                "-req",
                "-in",
                str(request),
                "-CA",
                str(folder / "ca.crt"),
                "-CAkey",
                str(folder / "ca.key"),
                "-CAcreateserial",
                "-days",
                "365",
                "-extfile",
                str(extensions),
                "-out",
                str(folder / f"{name}.crt"),
            ]
        )


def _run(command: list[str], *, cwd: Path | None = None) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=cwd, timeout=120)
    if done.returncode:
        sys.stderr.write(done.stdout + done.stderr)
        raise RuntimeError(f"{command[0]} ended with {done.returncode}")
