"""Busy servers are waited for, whoever they are, as long as a command has patience."""

from __future__ import annotations

import pytest

from tests.support.hostile_server import answering, json_reply, reply
from tests.support.network_users import DIGEST, FILE, stored_for
from tests.unit.cli_net.conftest import Remotes, Serve, Users
from trustcli.console.failure_table import row_for
from trustcli.errors import RemoteBusy, RemoteFailing
from trustcli.http.messages import Response
from trustcli.http.patience import Patience, retry_after
from trustdata.gun import parse_gun
from trustdata.roles import ROOT

pytestmark = pytest.mark.allow_hosts(["127.0.0.1"])


class Waits(list[float]):
    """What was waited, and what the user was told of it."""

    def __init__(self) -> None:
        super().__init__()
        self.told: list[str] = []

    def patience(self, seconds: float = 60) -> Patience:
        return Patience(seconds, sleep=self.append, notice=self.told.append)


def busy(status: int = 429, after: str | None = None, body: bytes = b"slow down") -> bytes:
    return reply(status, body, {"Retry-After": after} if after is not None else {})


@pytest.mark.parametrize("status", [429, 503])
def test_a_busy_server_is_asked_again_when_it_says(serve: Serve, user_of: Users, status: int) -> None:
    waits = Waits()
    server = serve(answering(busy(status, "7"), busy(status, "0"), busy(status), reply(200, FILE)))
    assert user_of(server, patience=waits.patience()).get() == DIGEST
    assert waits == [7, 0, 4]
    assert waits.told == [f"{server.url} is busy ({status}); waiting {n} s" for n in (7, 4)]


@pytest.mark.parametrize("what", ["wrong passwords from this address", "refused tokens from this address"])
def test_who_has_shown_too_much_that_is_wrong_is_told_so(serve: Serve, user_of: Users, what: str) -> None:
    """And is told nothing else of the answer, which may hold what was sent."""
    waits = Waits()
    server = serve(answering(busy(503, "60", f"secret; too many {what}".encode()), reply(200, FILE)))
    assert user_of(server, patience=waits.patience()).get() == DIGEST
    assert waits.told == [f"{server.url} turns us away (503): too many {what}; waiting 60 s"]


def test_a_busy_token_server_is_asked_again_too(serve: Serve, user_of: Users) -> None:
    waits = Waits()
    tokens = serve(answering(busy(429, "3"), json_reply(200, {"token": "t0k"})))
    challenge = reply(401, headers={"WWW-Authenticate": f'Bearer realm="{tokens.url}/token"'})
    server = serve(answering(challenge, reply(200, FILE)))
    assert user_of(server, patience=waits.patience()).get() == DIGEST
    assert waits == [3]
    assert waits.told == [f"{tokens.url} is busy (429); waiting 3 s"]


def test_the_token_server_is_named_when_patience_ends(serve: Serve, user_of: Users) -> None:
    tokens = serve(answering(json_reply(429, {"errors": [{"message": "pull rate limit"}]}, {"Retry-After": "3600"})))
    server = serve(answering(reply(401, headers={"WWW-Authenticate": f'Bearer realm="{tokens.url}/token"'})))
    waits = Waits()
    with pytest.raises(RemoteBusy, match=r"the token server of http://.*: pull rate limit") as caught:
        user_of(server, credentials=stored_for(server), patience=waits.patience()).get()
    assert (caught.value.remote, caught.value.seconds, list(waits)) == (tokens.url, 3600, [])
    assert "after 3600 s" in row_for(caught.value).advice(caught.value)


def test_one_request_is_sent_five_times_at_most(serve: Serve, user_of: Users) -> None:
    waits = Waits()
    server = serve(answering(busy()))
    with pytest.raises(RemoteBusy, match=r"is busy \(429\): slow down; it was asked too often") as caught:
        user_of(server, patience=waits.patience()).get()
    assert waits == [1, 2, 4, 8]
    assert len(server.requests) == 5
    assert "later" in row_for(caught.value).advice(caught.value)


def test_a_command_waits_so_long_in_all(serve: Serve, user_of: Users) -> None:
    waits = Waits()
    server = serve(answering(busy(503, "20"), busy(503, "20"), busy(503, "20"), reply(200, FILE)))
    user = user_of(server, patience=waits.patience(59))
    with pytest.raises(RemoteBusy):
        user.get()
    assert waits == [20, 20]
    assert user.get() == DIGEST


def test_waits_of_no_time_are_counted_too(serve: Serve, user_of: Users) -> None:
    waits = Waits()
    user = user_of(serve(answering(busy(503, "0"))), patience=waits.patience(6))
    for _ in range(3):
        with pytest.raises(RemoteBusy):
            user.get()
    assert waits == [0] * 6


def test_an_upload_is_not_repeated_here(serve: Serve, remote_of: Remotes) -> None:
    waits = Waits()
    server = serve(answering(busy(503, "1")))
    with pytest.raises(RemoteBusy):
        remote_of(server, patience=waits.patience()).publish(parse_gun("registry.example.com/app"), {ROOT: b"{}"})
    assert (len(server.requests), list(waits)) == (1, [])


@pytest.mark.parametrize("status", [500, 502, 504, 507])
def test_nobody_else_is_waited_for(serve: Serve, registry_user_of: Users, status: int) -> None:
    waits = Waits()
    server = serve(answering(reply(status, headers={"Retry-After": "1"}), reply(200, FILE)))
    with pytest.raises(RemoteFailing):
        registry_user_of(server, patience=waits.patience()).get()
    assert waits == []


@pytest.mark.parametrize(
    ("after", "date", "seconds"),
    [
        ("0", "", 0),
        ("120", "", 120),
        ("9" * 400, "", 86_400),
        ("Sun, 29 Nov 2026 12:00:30 GMT", "Sun, 29 Nov 2026 12:00:00 GMT", 30),
        ("Sun, 29 Nov 2026 11:00:00 GMT", "Sun, 29 Nov 2026 12:00:00 GMT", 0),
        ("Sun, 29 Nov 2096 12:00:00 GMT", "Sun, 29 Nov 2026 12:00:00 GMT", 86_400),
        ("Sun, 29 Nov 2026 12:00:30 GMT", "", None),
        ("Sun, 29 Nov 2026 12:00:30 GMT", "Sun, 29 Nov 2026 12:00:00 -0000", None),
        ("soon", "Sun, 29 Nov 2026 12:00:00 GMT", None),
        ("-1", "", None),
        ("1.5", "", None),
        ("²", "", None),
        ("Mon, 1 Jan 99999999999999999999 00:00:00 GMT", "Sun, 29 Nov 2026 12:00:00 GMT", None),
        ("Sun, 29 Nov 2026 12:00:30 GMT", "Sun, 29 Nov 2026 12:00:00 +9999999999999999", None),
        ("", "", None),
    ],
)
def test_when_a_server_wants_to_be_asked_again(after: str, date: str, seconds: int | None) -> None:
    headers = [("Retry-After", after), ("Date", date)]
    assert retry_after(Response(status=429, headers=headers, body=b"")) == seconds
    assert retry_after(Response(status=502, headers=headers, body=b"")) is None
