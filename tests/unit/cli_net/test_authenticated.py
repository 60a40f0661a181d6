"""The loop around exchanges, whoever asks: challenges, redirects, their bounds, and where credentials never go."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.support.hostile_server import HostileServer, Request, Wire, answering, json_reply, reply
from tests.support.network_users import DIGEST, FILE, Stored, TrustServerUser, stored_for
from tests.unit.cli_net.conftest import Serve, Users
from trustcli.config.credential import Credential
from trustcli.errors import (
    RemoteMisbehaved,
    RemoteRefused,
    RemoteUnreachable,
)
from trustcli.http.record import Record
from trustdata.errors import TrustError

pytestmark = pytest.mark.allow_hosts(["127.0.0.1", "127.0.0.2"])

BASIC = {"WWW-Authenticate": 'Basic realm="x"'}
ALICE = "Basic YWxpY2U6aHVudGVyMg=="
BOB = "Basic Ym9iOjB0aGVy"


def behind(wanted: str, challenge: str | None = None) -> Callable[[Request, Wire], None]:
    """Gives the file to who sends `wanted` as Authorization; challenges everybody else."""

    def script(request: Request, wire: Wire) -> None:
        headers = {"WWW-Authenticate": challenge} if challenge else BASIC
        known = request.headers.get("authorization") == wanted
        wire.send(reply(200, FILE) if known else reply(401, headers=headers))

    return script


def authorized(server: HostileServer) -> list[bool]:
    """Which requests carried credentials."""
    return ["authorization" in request.headers for request in server.requests]


# --- challenges


def test_a_basic_challenge_is_met_once_and_remembered(serve: Serve, user_of: Users) -> None:
    server = serve(behind(ALICE))
    user = user_of(server, credentials=stored_for(server))
    assert user.get() == DIGEST
    assert user.get() == DIGEST
    assert authorized(server) == [False, True, True]


def test_wrong_credentials_are_named_but_never_shown(serve: Serve, user_of: Users) -> None:
    server = serve(answering(reply(401, headers=BASIC)))
    with pytest.raises(RemoteRefused, match=r"as alice \(config.json\)") as caught:
        user_of(server, credentials=stored_for(server)).get()
    assert len(server.requests) == 2
    assert "hunter2" not in str(caught.value)
    assert "hunter2" not in repr(caught.value)


@pytest.mark.parametrize("status", [401, 403, 418, 500])
@pytest.mark.parametrize("content", [None, "detail", "message"])
def test_what_a_server_repeats_of_a_request_is_in_no_message(
    serve: Serve, user_of: Users, status: int, content: str | None
) -> None:
    def script(request: Request, wire: Wire) -> None:
        sent = request.headers.get("authorization")
        if sent is None:
            wire.send(reply(401, headers=BASIC))
            return
        text = f"no entry for {sent}, which is alice:hunter2"
        body = {content: text, "errors": [{"code": "DENIED", content: text}]} if content else None
        wire.send(json_reply(status, body) if body else reply(status, text.encode(), BASIC))

    server = serve(script)
    with pytest.raises(TrustError) as caught:
        user_of(server, credentials=stored_for(server)).get()
    assert len(server.requests) == 2
    for told in (str(caught.value), repr(caught.value)):
        assert "hunter2" not in told
        assert ALICE.removeprefix("Basic ") not in told


def test_a_token_is_fetched_once_for_one_scope(serve: Serve, user_of: Users) -> None:
    tokens = serve(answering(json_reply(200, {"access_token": "t0k"})))
    server = serve(behind("Bearer t0k", f'Bearer realm="{tokens.url}/token",service="s"'))
    user = user_of(server, credentials=stored_for(server))
    assert user.get() == DIGEST
    assert user.get() == DIGEST
    (asked,) = tokens.requests
    assert asked.target.startswith("/token?service=s&scope=repository%3A")
    assert asked.target.endswith("team%2Fapp%3Apull")
    assert asked.headers["authorization"] == ALICE
    assert authorized(server) == [False, True, True]


def test_a_token_that_has_run_out_is_replaced(serve: Serve, user_of: Users) -> None:
    tokens = serve(answering(json_reply(200, {"token": "one"}), json_reply(200, {"token": "two"})))
    good = ["Bearer one"]

    def script(request: Request, wire: Wire) -> None:
        behind(good[0], f'Bearer realm="{tokens.url}/token"')(request, wire)

    user = user_of(serve(script))
    assert user.get() == DIGEST
    good[0] = "Bearer two"
    assert user.get() == DIGEST
    assert len(tokens.requests) == 2


def test_a_refused_token_is_not_tried_for_ever(serve: Serve, user_of: Users) -> None:
    tokens = serve(answering(json_reply(200, {"token": "t0k"})))
    server = serve(answering(reply(401, headers={"WWW-Authenticate": f'Bearer realm="{tokens.url}/token"'})))
    with pytest.raises(RemoteRefused, match="none stored for"):
        user_of(server).get()
    assert (len(server.requests), len(tokens.requests)) == (2, 1)


@pytest.mark.parametrize("size", [256 * 1024 + 1, 6_000_000])
def test_a_token_server_s_endless_answer_is_its_own_fault(serve: Serve, user_of: Users, size: int) -> None:
    tokens = serve(answering(reply(200, b"x" * size)))
    server = serve(answering(reply(401, headers={"WWW-Authenticate": f'Bearer realm="{tokens.url}/token"'})))
    with pytest.raises(RemoteMisbehaved, match="the token server's answer is larger than 262144 bytes") as caught:
        user_of(server).get()
    assert caught.value.remote == tokens.url


# --- redirects


def test_redirects_inside_the_origin_are_followed_three_times(serve: Serve, user_of: Users) -> None:
    server = serve(answering(*[reply(302, headers={"Location": f"/r{n}"}) for n in range(3)], reply(200, FILE)))
    assert user_of(server).get() == DIGEST
    assert [r.target for r in server.requests[1:]] == ["/r0", "/r1", "/r2"]


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_redirect_loop_ends(serve: Serve, user_of: Users, status: int) -> None:
    server = serve(answering(reply(status, headers={"Location": "/again"})))
    with pytest.raises(RemoteMisbehaved, match="more than 3 redirects"):
        user_of(server).get()
    assert len(server.requests) == 4


@pytest.mark.parametrize("location", ["", "ftp://x/", "file:///etc/passwd", "https://u:p@x/", "http://[", "//"])
def test_redirects_to_no_url(serve: Serve, user_of: Users, location: str) -> None:
    server = serve(answering(reply(307, headers={"Location": location})))
    with pytest.raises(RemoteMisbehaved) as caught:
        user_of(server).get()
    assert "u:p" not in str(caught.value)


# --- where credentials go


@pytest.mark.parametrize("how", ["basic", "bearer", "identity-token", "registry-token"])
@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_no_credential_leaks_to_where_a_redirect_leads(serve: Serve, user_of: Users, how: str, status: int) -> None:
    """Neither what is stored nor what was made of it: the target is given what is stored for itself, and no more."""
    other = serve(answering(reply(401, headers=BASIC)))
    tokens = serve(answering(json_reply(200, {"token": "t0k"})))
    challenge = 'Basic realm="x"' if how == "basic" else f'Bearer realm="{tokens.url}/token"'

    def script(request: Request, wire: Wire) -> None:
        if "authorization" in request.headers:
            wire.send(reply(status, headers={"Location": f"{other.url}/elsewhere"}))
        else:
            wire.send(reply(401, headers={"WWW-Authenticate": challenge}))

    server = serve(script)
    credential = {
        "basic": Credential(source="c", username="alice", password="hunter2"),
        "bearer": Credential(source="c", username="alice", password="hunter2"),
        "identity-token": Credential(source="c", identity_token="hunter2"),
        "registry-token": Credential(source="c", registry_token="hunter2"),
    }[how]
    theirs = Credential(source="c", username="bob", password="0ther")
    stored = Stored(**{server.netloc: credential, other.netloc: theirs})
    user = user_of(server, credentials=stored)
    for _ in range(2):
        # A trust server may not lead elsewhere at all.
        with pytest.raises((RemoteMisbehaved, RemoteRefused)):
            user.get()
    assert authorized(server) == [False, True, True]
    elsewhere = not isinstance(user, TrustServerUser)
    assert set(stored.asked) == ({server.netloc, other.netloc} if elsewhere else {server.netloc})
    assert authorized(other)[:2] == ([False, True] if elsewhere else [])
    for request in other.requests:
        assert request.headers.get("authorization", BOB) == BOB
        assert "hunter2" not in str(request)
        assert "t0k" not in str(request)


def test_a_redirect_before_the_challenge_is_met_where_it_leads(serve: Serve, registry_user_of: Users) -> None:
    """As hosts of vanity names do: they ask for nothing themselves, and what they lead to asks."""
    other = serve(behind(BOB))
    server = serve(answering(reply(307, headers={"Location": f"{other.url}/v2/real/name"})))
    stored = Stored(
        **{
            server.netloc: Credential(source="c", username="alice", password="hunter2"),
            other.netloc: Credential(source="c", username="bob", password="0ther"),
        }
    )
    user = registry_user_of(server, credentials=stored)
    assert user.get() == user.get() == DIGEST
    assert stored.asked == [other.netloc]
    assert authorized(server) == [False, False]
    assert authorized(other) == [False, True, True]


def test_who_refuses_behind_a_redirect_is_named(serve: Serve, registry_user_of: Users) -> None:
    other = serve(answering(reply(401, headers=BASIC), reply(403, b"not you")))
    server = serve(answering(reply(307, headers={"Location": f"{other.url}/v2/real/name"})))
    stored = Stored(**{other.netloc: Credential(source="c", username="bob", password="0ther")})
    with pytest.raises(RemoteRefused, match=r"may not be read as bob \(c\).*not you") as caught:
        registry_user_of(server, credentials=stored).get()
    assert caught.value.remote == other.url


def test_the_token_server_of_a_redirect_s_target_gets_the_target_s_credential(
    serve: Serve, registry_user_of: Users
) -> None:
    tokens = serve(answering(json_reply(200, {"token": "t0k"})))
    scope = "repository:real/name:pull"
    other = serve(behind("Bearer t0k", f'Bearer realm="{tokens.url}/token",scope="{scope}"'))
    server = serve(answering(reply(302, headers={"Location": f"{other.url}/v2/real/name"})))
    stored = Stored(
        **{
            server.netloc: Credential(source="c", username="alice", password="hunter2"),
            other.netloc: Credential(source="c", username="bob", password="0ther"),
        }
    )
    assert registry_user_of(server, credentials=stored).get() == DIGEST
    (asked,) = tokens.requests
    assert asked.headers["authorization"] == BOB
    assert "scope=repository%3Areal%2Fname%3Apull" in asked.target, "the repository's name there"


def test_a_token_server_that_redirects_elsewhere_gets_nothing_more(serve: Serve, user_of: Users) -> None:
    thief = serve(answering(json_reply(200, {"token": "t0k"})))
    tokens = serve(answering(reply(302, headers={"Location": thief.url})))
    server = serve(answering(reply(401, headers={"WWW-Authenticate": f'Bearer realm="{tokens.url}/token"'})))
    with pytest.raises(RemoteMisbehaved, match="redirects to another server") as caught:
        user_of(server, credentials=stored_for(server)).get()
    assert caught.value.remote == tokens.url
    assert thief.requests == []


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_token_server_may_redirect_within_its_origin(serve: Serve, user_of: Users, status: int) -> None:
    moved = reply(status, headers={"Location": "/auth/token?service=s"})
    tokens = serve(answering(moved, json_reply(200, {"token": "t0k"})))
    server = serve(behind("Bearer t0k", f'Bearer realm="{tokens.url}/token"'))
    assert user_of(server, credentials=stored_for(server)).get() == DIGEST
    assert [request.target.partition("?")[0] for request in tokens.requests] == ["/token", "/auth/token"]
    assert tokens.requests[1].headers["authorization"] == ALICE


@pytest.mark.parametrize(("status", "again"), [(302, False), (307, True), (308, True)])
def test_an_identity_token_is_posted_again_only_where_a_redirect_keeps_it(
    serve: Serve,
    user_of: Users,
    status: int,
    again: bool,  # noqa: FBT001
) -> None:
    tokens = serve(answering(reply(status, headers={"Location": "/other"}), json_reply(200, {"token": "t0k"})))
    server = serve(behind("Bearer t0k", f'Bearer realm="{tokens.url}/token"'))
    user = user_of(server, credentials=Stored(**{server.netloc: Credential(source="c", identity_token="idt")}))
    if again:
        assert user.get() == DIGEST
        assert [request.method for request in tokens.requests] == ["POST", "POST"]
        assert tokens.requests[0].body == tokens.requests[1].body
    else:
        with pytest.raises(RemoteMisbehaved, match="redirects a POST"):
            user.get()


# --- what is told to an observer


def test_an_observer_is_told_of_every_exchange_and_of_how_the_challenge_was_met(serve: Serve, user_of: Users) -> None:
    tokens = serve(answering(json_reply(200, {"token": "t0k"})))
    server = serve(behind("Bearer t0k", f'Bearer realm="{tokens.url}/token",scope="a:b:pull"'))
    record = Record()
    assert user_of(server, credentials=stored_for(server), observer=record).get() == DIGEST
    plain = [exchange for exchange in record.exchanges if exchange.origin.scheme == "http"]
    assert [(str(e.origin), e.response.status if e.response else None) for e in plain] == [
        (server.url, 401),
        (tokens.url, 200),
        (server.url, 200),
    ]
    (authentication,) = record.authentications
    assert str(authentication.server) == server.url
    assert authentication.scope == "a:b:pull"
    assert authentication.credential is not None
    assert authentication.credential.username == "alice"
    assert authentication.authorization == "Bearer t0k"
    assert authentication.failure is None
    assert [challenge.scheme for challenge in authentication.challenges] == ["bearer"]
    assert "hunter2" not in repr(record.exchanges) + repr(record.authentications)
    assert "t0k" not in repr(record.authentications)


def test_an_observer_is_told_of_what_failed(serve: Serve, user_of: Users) -> None:
    tokens = serve(answering(reply(503)))
    server = serve(answering(reply(401, headers={"WWW-Authenticate": f'Bearer realm="{tokens.url}/token"'})))
    record = Record()
    with pytest.raises(RemoteUnreachable) as caught:
        user_of(server, observer=record).get()
    assert record.authentications[-1].failure is caught.value
    server.stop()
    with pytest.raises(RemoteUnreachable) as again:
        user_of(server, observer=record).get()
    assert record.exchanges[-1].failure is again.value
