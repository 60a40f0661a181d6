"""Where a CI job's own token comes from, and what is given for it."""

from __future__ import annotations

import base64
import contextlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.support.hostile_server import HostileServer, Request, Wire, answering, json_reply, reply
from tests.support.network_users import network_of
from trustcli.client.ci_identity import EXCHANGE, ExchangedToken, exchange, job_token, unauthenticated_link
from trustcli.config.settings import Settings
from trustcli.errors import RemoteBusy, RemoteMisbehaved, RemoteRefused, RemoteUnreachable, SettingsUnusable, UsageError
from trustdata.errors import TrustError

AUDIENCE = "https://trust.example.com"
GIVEN = {"token": "ct_abc", "subject": "ci:app", "expires": "2026-11-30T12:00:00Z"}

pytestmark = pytest.mark.allow_hosts(["127.0.0.1"])

Start = Callable[..., HostileServer]


def found(environ: dict[str, str]) -> str:
    return job_token(environ, Settings(home=Path()), network_of(environ), audience=AUDIENCE)


def github(server: HostileServer, url: str = "") -> dict[str, str]:
    url = url or f"{server.url}/idtoken?api-version=2.0"
    return {"ACTIONS_ID_TOKEN_REQUEST_URL": url, "ACTIONS_ID_TOKEN_REQUEST_TOKEN": "of the runner".replace(" ", "-")}


def test_github_is_asked_for_this_audience(serve: Start) -> None:
    server = serve(answering(json_reply(200, {"count": 1, "value": "e.y.J"})))
    assert found(github(server)) == "e.y.J"
    assert found(github(server, f"{server.url}/idtoken")) == "e.y.J"
    asked = [(request.method, request.target, request.headers["authorization"]) for request in server.requests]
    audience = "audience=https%3A%2F%2Ftrust.example.com"
    assert asked == [
        ("GET", f"/idtoken?api-version=2.0&{audience}", "Bearer of-the-runner"),
        ("GET", f"/idtoken?{audience}", "Bearer of-the-runner"),
    ]


def test_what_stands_in_a_variable_or_a_file_comes_first(serve: Start, tmp_path: Path) -> None:
    server = serve(answering(json_reply(200, {"value": "of github"})))
    file = tmp_path / "token"
    file.write_text("e.y.J\n")
    file.chmod(0o600)
    assert found({**github(server), "TRUST_ID_TOKEN": "e.y.J\n"}) == "e.y.J"
    assert found({**github(server), "TRUST_ID_TOKEN_FILE": str(file)}) == "e.y.J"
    assert server.requests == []


@pytest.mark.parametrize("aud", ["https://other.example.com", ["https://other.example.com"], 7])
def test_a_token_for_another_audience_is_not_sent(aud: object) -> None:
    claims = base64.urlsafe_b64encode(json.dumps({"aud": aud}).encode()).decode().rstrip("=")
    with pytest.raises(SettingsUnusable, match=r"not for https://trust\.example\.com"):
        found({"TRUST_ID_TOKEN": f"e.{claims}.s"})
    own = base64.urlsafe_b64encode(json.dumps({"aud": [AUDIENCE]}).encode()).decode().rstrip("=")
    assert found({"TRUST_ID_TOKEN": f"e.{own}.s"}) == f"e.{own}.s"


@pytest.mark.parametrize(
    ("answer", "error", "said"),
    [
        (reply(403, b"no"), RemoteRefused, "gives no token to this job"),
        (reply(500), RemoteRefused, "gives no token to this job"),
        (json_reply(200, {"value": ""}), RemoteMisbehaved, "holds no token for this job"),
        (json_reply(200, {"value": 7}), RemoteMisbehaved, "holds no token for this job"),
        (json_reply(200, []), RemoteMisbehaved, "holds no token for this job"),
        (json_reply(200, {"value": "two words"}), SettingsUnusable, "holds no token"),
        (reply(200, b"<html>"), RemoteMisbehaved, "holds no token for this job"),
        (reply(302, headers={"Location": "https://elsewhere.example.com/"}), TrustError, "elsewhere.example.com"),
    ],
)
def test_answers_of_github_that_are_no_token(serve: Start, answer: bytes, error: type[TrustError], said: str) -> None:
    server = serve(answering(answer))
    with pytest.raises(error, match=said) as caught:
        found(github(server))
    assert "of-the-runner" not in str(caught.value)


@pytest.mark.parametrize(
    ("environ", "error", "said"),
    [
        ({}, UsageError, "id-token: write"),
        ({"TRUST_ID_TOKEN": " ", "TRUST_ID_TOKEN_FILE": ""}, UsageError, "no CI platform"),
        ({"ACTIONS_ID_TOKEN_REQUEST_URL": "https://x.example.com"}, UsageError, "no CI platform"),
        (github(HostileServer, "http://token.example.com/x"), SettingsUnusable, "in the clear"),  # type: ignore[arg-type]
        (github(HostileServer, "nonsense"), SettingsUnusable, "ACTIONS_ID_TOKEN_REQUEST_URL"),  # type: ignore[arg-type]
    ],
)
def test_environments_without_a_token(environ: dict[str, str], error: type[TrustError], said: str) -> None:
    with pytest.raises(error, match=said):
        found(environ)


def exchanged(server: HostileServer) -> ExchangedToken:
    with contextlib.closing(unauthenticated_link(server.url, network_of({}))) as link:
        return exchange(link, "e.y.J")


def test_the_exchange(serve: Start) -> None:
    server = serve(answering(json_reply(200, GIVEN)))
    assert exchanged(server) == ExchangedToken(token="ct_abc", subject="ci:app", expires=GIVEN["expires"])
    assert [(each.method, each.target, each.headers["authorization"]) for each in server.requests] == [
        ("POST", EXCHANGE, "Bearer e.y.J")
    ]
    assert "ct_abc" not in repr(exchanged(server))


def _problem(status: int, **members: Any) -> bytes:
    return json_reply(status, {"status": status, **members}, {"Content-Type": "application/problem+json"})


@pytest.mark.parametrize(
    ("answer", "error", "said"),
    [
        (_problem(403, code="token-refused", detail="it was shown before"), RemoteRefused, "it was shown before"),
        (_problem(429, code="overloaded", detail="too many wait"), RemoteBusy, "too many wait"),
        (json_reply(200, {**GIVEN, "token": 7}), RemoteMisbehaved, "has no token"),
        (json_reply(200, {"token": "ct_abc"}), RemoteMisbehaved, "has no token"),
        (reply(200, b"<html>"), RemoteMisbehaved, "has no token"),
        (reply(404, b"not here"), TrustError, "404|not here"),
    ],
)
def test_exchanges_that_fail(serve: Start, answer: bytes, error: type[TrustError], said: str) -> None:
    server = serve(answering(answer))
    with pytest.raises(error, match=said) as caught:
        exchanged(server)
    assert "e.y.J" not in str(caught.value)


def test_the_job_s_token_goes_to_no_other_host(serve: Start) -> None:
    other = serve(answering(json_reply(200, GIVEN)))
    server = serve(answering(reply(307, headers={"Location": f"http://127.0.0.1:{other.port}{EXCHANGE}"})))
    with pytest.raises(TrustError):
        exchanged(server)
    assert other.requests == []


def _hang_up(_: Request, wire: Wire) -> None:
    wire.close()


def test_a_server_that_hangs_up(serve: Start) -> None:
    with pytest.raises(RemoteUnreachable):
        exchanged(serve(_hang_up))
