"""Something else stands at the address of the trust server, and every command says so."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest

from tests.journeys.hostile import Serve, always
from tests.support.hostile_server import Request, Wire, json_reply, reply
from tests.support.images import BuiltImage
from tests.support.trust_program import TrustUser

pytestmark = pytest.mark.allow_hosts(["127.0.0.1"])

REQUEST = "the request to the trust server"
PAGE = b"<html><title>Sign in</title></html>"
ELSE = "usually the address belongs to something else, or a proxy before it hides what is there"
ABSENT = {
    "a-page": reply(404, b"<html><title>Nothing here</title></html>"),
    "text": reply(404, b"404 page not found"),
    "nothing": reply(404),
    "a-registry": json_reply(404, {"errors": [{"code": "NAME_UNKNOWN", "message": "unknown"}]}),
}


@pytest.mark.parametrize("answer", ABSENT.values(), ids=ABSENT)
def test_a_name_is_not_called_unsigned_by_who_is_no_trust_server(
    owner: TrustUser, gun: str, serve: Serve, answer: bytes
) -> None:
    url = serve(always(answer)).url
    for command in (("verify", f"{gun}:1.0"), ("inspect", gun), ("expiring", gun)):
        failed = owner.run("--server", url, *command, expect=7).said(f"{url} refused (404)", ELSE)
        assert "trust init" not in failed.stderr
    owner.run("--server", url, "collections", expect=7).said(ELSE)
    told = owner.run("--server", url, "explain", f"{gun}:1.0", expect=7)
    assert told.stdout.partition("  ")[2].lstrip().startswith(f"refused at {REQUEST}: ")


@pytest.mark.parametrize(
    "answer",
    [
        json_reply(
            404, {"code": "no-trust-data", "title": "No trust data"}, {"Content-Type": "application/problem+json"}
        ),
        json_reply(404, {"errors": [{"code": "METADATA_NOT_FOUND", "message": "none"}]}),
    ],
    ids=["ours", "notary-server"],
)
def test_a_trust_server_is_believed(owner: TrustUser, gun: str, serve: Serve, answer: bytes) -> None:
    url = serve(always(answer)).url
    owner.run("--server", url, "verify", f"{gun}:1.0", expect=3).said(f"{gun} has no trust data", "trust init")
    owner.run("--server", url, "collections", expect=7).said("it does not list its collections")


def test_a_registry_at_the_paths_of_notary_decides_nothing(owner: TrustUser, gun: str, serve: Serve) -> None:
    def script(request: Request, wire: Wire) -> None:
        ours = json_reply(404, {"code": "not-found"}, {"Content-Type": "application/problem+json"})
        wire.send(ABSENT["a-registry"] if request.target.startswith("/v2/") else ours)

    owner.run("--server", serve(script).url, "verify", f"{gun}:1.0", expect=3).said(f"{gun} has no trust data")


def test_of_a_known_name_both_are_said(owner: TrustUser, gun: str, begun: BuiltImage, serve: Serve) -> None:
    for answer in ABSENT.values():
        failed = owner.run("--server", serve(always(answer)).url, "verify", f"{gun}:1.0", expect=4)
        failed.said("is withheld: ", ELSE)
    told = owner.run("--json", "--server", serve(always(reply(404))).url, "explain", f"{gun}:1.0", expect=4)
    assert json.loads(told.stdout)["explanation"]["broke_at"] == REQUEST


def test_a_page_is_no_setting(owner: TrustUser, gun: str, begun: BuiltImage, serve: Serve) -> None:
    for image in (f"{gun}:1.0", f"{gun}/unknown:1.0"):
        told = owner.run("--server", serve(always(reply(200, PAGE))).url, "explain", image, expect=6)
        assert f"refused at {REQUEST}: http://" in told.stdout
        assert "sends a page in place of" in told.stdout


@pytest.mark.parametrize(
    "command",
    [
        ["collections"],
        ["init", "GUN-new", "--no-recovery-key"],
        ["delete", "GUN", "--plan"],
        ["verify", "GUN-new:1.0"],
        ["inspect", "GUN"],
        ["sign", "GUN:1.0"],
        ["revoke", "GUN:1.0"],
        ["signer", "list", "GUN"],
    ],
    ids=lambda command: command[0],
)
def test_a_page_is_told_as_one_by_every_command(
    owner: TrustUser, gun: str, begun: BuiltImage, serve: Serve, command: list[str]
) -> None:
    words = [word.replace("GUN", gun) for word in command]
    url = serve(always(reply(200, PAGE))).url
    owner.run("--server", url, *words, expect=6).said(url, "sends a page in place of", "Sign in")


@pytest.mark.parametrize(
    ("answer", "status", "sentence"),
    [(reply(200, PAGE), 6, "it sends a page in place of an answer about logins"), (ABSENT["text"], 7, ELSE)],
    ids=["a-page", "404"],
)
def test_who_has_no_logins_is_not_said_to_want_none(
    owner: TrustUser, serve: Serve, answer: bytes, status: int, sentence: str
) -> None:
    url = serve(always(answer)).url
    command = [sys.executable, "-m", "trustcli", "login", "-u", "alice", "--password-stdin", url]
    environ = {**os.environ, **owner.environ}
    done = subprocess.run(command, env=environ, input="a secret\n", capture_output=True, text=True, check=False)
    assert done.returncode == status, done.stderr
    assert sentence in done.stderr
    assert "wants no login" not in done.stderr
