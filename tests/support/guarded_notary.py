"""Debian's notary-server with registry tokens, as a program."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tests.simulator.token_issuer import now
from tests.support.programs import free_port, program, running
from tests.support.token_server import TokenServer
from trustserver.process.self_signed import self_signed_files


@dataclass(frozen=True, kw_only=True)
class Guarded:
    """A server that wants tokens. `authority`: the CA of its certificate."""

    url: str
    authority: Path
    tokens: TokenServer


@contextlib.contextmanager
def notary_server(folder: Path, tokens: TokenServer) -> Iterator[Guarded]:
    """Notary-server 0.7 with its store in memory."""
    binary = program("notary-server")
    files = self_signed_files(folder / "tls", host="localhost", at=now())
    port = free_port()
    config = {
        "server": {
            "http_addr": f"127.0.0.1:{port}",
            "tls_cert_file": str(files.certificate),
            "tls_key_file": str(files.key),
        },
        "trust_service": {"type": "local", "hostname": "", "port": "", "key_algorithm": "ecdsa"},
        "logging": {"level": "error"},
        "storage": {"backend": "memory"},
        "auth": {"type": "token", "options": tokens.of_distribution()},
    }
    file = folder / "server.json"
    file.write_text(json.dumps(config))
    assert files.ca is not None
    with running([binary, "-config", str(file)], port=port, log=folder / "server.log"):
        yield Guarded(url=f"https://127.0.0.1:{port}", authority=files.ca, tokens=tokens)
