"""Ctrl-C while a server is waited for: every command says so, in words and in JSON, and ends with 130."""

from __future__ import annotations

import signal
import threading

import pytest

from tests.journeys.hostile import Serve
from tests.support.hostile_server import Request, Wire
from tests.support.trust_program import TrustUser, finished

pytestmark = pytest.mark.allow_hosts(["127.0.0.1"])

PIN = f"sha256:{'5' * 64}"
COMMANDS = {
    "verify": ("verify", "NAME:1.0"),
    "inspect": ("inspect", "NAME"),
    "renew": ("renew", "NAME"),
    "a command below another": ("signer", "list", "NAME"),
    "of several names": ("audit", "NAME", "NAME-too"),
    "explain": ("explain", "NAME:1.0"),
    "at the trust server": ("collections",),
}
"""What Typer parses, and what does not wait for it."""


@pytest.mark.parametrize("command", COMMANDS.values(), ids=COMMANDS)
@pytest.mark.parametrize("json", [(), ("--json",)], ids=["words", "json"])
def test_an_interruption_is_told(
    owner: TrustUser, gun: str, serve: Serve, command: tuple[str, ...], json: tuple[str, ...]
) -> None:
    asked, over = threading.Event(), threading.Event()

    def hold(_: Request, __: Wire) -> None:
        asked.set()
        over.wait(60)

    arguments = ("--server", serve(hold).url, "--pin", PIN, *json, *(word.replace("NAME", gun) for word in command))
    started = owner.start(*arguments)
    assert asked.wait(30)
    started.send_signal(signal.SIGINT)
    ran = finished(started, arguments, expect=130)
    over.set()
    assert "interrupted" in ran.stderr
    if json:
        document = ran.document()
        told = document["collections"][0] if "collections" in document else document
        assert told["error"]["code"] == "interrupted"
        assert document["exit"] == 130
