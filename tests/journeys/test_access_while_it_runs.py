"""A running server, its rules and its credentials: what changes counts without a restart, and who may not start."""

from __future__ import annotations

import base64
import json
import signal
import socket
import urllib.request
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support.server_process import ServerProcess, server_command

pytestmark = pytest.mark.allow_hosts(["127.0.0.1"])

FILE = "/tuf/registry.example.com/team/app/metadata/timestamp.json"
NOBODY = "version = 1\n"
EVERYBODY = 'version = 1\n[[rule]]\nsubjects = ["*"]\nnames = ["*"]\nallow = ["pull"]\n'
ENOUGH = 50_000


def until(found: Callable[[], bool]) -> bool:
    """Whether something becomes so while it is asked again and again, which takes longer than the server needs."""
    return any(found() for _ in range(ENOUGH))


def test_rules_and_tokens_count_while_it_runs_and_a_broken_file_does_not(tmp_path: Path) -> None:
    rules = tmp_path / "access.toml"
    rules.write_text(EVERYBODY)
    rules.chmod(0o600)
    server = ServerProcess(tmp_path / "data")
    try:
        server.start("--access", str(rules))

        def status(token: str = "") -> int:
            request = urllib.request.Request(server.url + FILE)
            if token:
                login = base64.b64encode(f"ci:{token}".encode()).decode()
                request.add_header("Authorization", f"Basic {login}")
            try:
                with urllib.request.urlopen(request, timeout=60) as answer:
                    return int(answer.status)
            except urllib.error.HTTPError as error:
                with error:
                    return error.code

        assert status() == 404  # it may be read, and is not there
        rules.write_text("version = 1\n[[rule]]\n")
        server.signal(signal.SIGHUP)
        assert until(lambda: b"older than their file" in server.get("/readyz")[1])
        assert status() == 404
        rules.write_text(NOBODY)
        assert until(lambda: status() == 401)
        added = ("add", "ci", "--rights", "pull", "--names", "registry.example.com/team/*", "--expires", "1h")
        token = server_command("access", "token", *added, "--data", str(server.data)).stdout.strip()
        assert until(lambda: status(token) == 404)
        server_command("access", "token", "revoke", "ci", "--data", str(server.data))
        assert until(lambda: status(token) == 401)
        assert token not in server.log()
        assert server.stop() == 0
        recorded = server_command("events", "--json", "--data", str(server.data)).stdout.splitlines()
        changes = [json.loads(line)["event"]["access"]["change"] for line in recorded]
        assert changes == ["rules", "rules", "added", "ended"]
    finally:
        server.kill()


def test_the_first_administrator_opens_an_address_to_others_and_nobody_else_does(tmp_path: Path) -> None:
    data = ("--data", str(tmp_path / "data"))
    everywhere = ("serve", "--listen", "0.0.0.0:1", *data)
    assert "--init-admin makes the first" in server_command(*everywhere, expect=2).stderr
    assert not (tmp_path / "data").exists()
    assert "lets everybody in" in server_command(*everywhere, "--insecure-open", "--init-admin", expect=2).stderr
    server_command("migrate", *data)
    assert "--init-admin makes the first" in server_command(*everywhere, expect=2).stderr
    server_command("access", "token", "add", "ci", "--expires", "1h", *data)
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        refused = server_command("serve", "--listen", f"127.0.0.1:{port}", *data, expect=2)
        assert "cannot be used" in refused.stderr
        assert "cannot be used" in server_command("serve", "--listen", f"0.0.0.0:{port}", *data, expect=2).stderr
        first = server_command("serve", "--listen", f"0.0.0.0:{port}", "--init-admin", *data, expect=2)
        assert first.stdout.startswith("token that may do everything, shown this once: ct_")
        assert (
            "ct_" not in server_command("serve", "--listen", f"0.0.0.0:{port}", "--init-admin", *data, expect=2).stdout
        )
