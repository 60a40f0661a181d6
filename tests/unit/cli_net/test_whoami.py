"""Who we are at a trust server: what is asked with which login, and which answers are believed."""

from __future__ import annotations

import base64
import contextlib
from typing import Any

import pytest

from tests.support.hostile_server import HostileServer, Request, Wire, answering, json_reply, reply
from tests.support.network_users import Stored, network_of
from tests.unit.cli_net.conftest import Serve
from trustcli.client.server_link import ServerLink
from trustcli.client.whoami import WHOAMI, Identity, identity_at
from trustcli.config.credential import TOKEN_LOGIN, Credential
from trustcli.errors import RemoteMisbehaved, RemoteRefused
from trustdata.errors import TrustError
from trustdata.gun import GUN

NAME = GUN("registry.example.com/team/app")
NOBODY: dict[str, Any] = {
    "subject": "anonymous",
    "authenticated": None,
    "expires": None,
    "name": NAME,
    "rights": {"pull": {"allowed": True, "why": "rule 1 allows it"}},
}
CI = {**NOBODY, "subject": "token:ci", "authenticated": "token", "expires": "2027-01-01T00:00:00Z", "later": 1}

pytestmark = pytest.mark.allow_hosts(["127.0.0.1"])


def login(**parts: str) -> Credential:
    return Credential(source="the test", **parts)


TOKEN = login(username=TOKEN_LOGIN, password="ct_abc")
PASSWORD = login(username="alice", password="secret-1")
BASIC = f"Basic {base64.b64encode(b'alice:secret-1').decode()}"


def asked(server: HostileServer, credential: Credential | None = None, gun: GUN | None = NAME) -> Identity:
    stored = Stored(**({server.netloc: credential} if credential else {}))
    with contextlib.closing(ServerLink(server.url, network_of({}), stored)) as link:
        return identity_at(link, gun, log_in=credential is not None)


def knowing(server: list[HostileServer], challenge: str, shown: str) -> Any:
    """A server that tells nobody how to log in, and `shown` who they are."""

    def script(request: Request, wire: Wire) -> None:
        if request.target.startswith("/api/v1/token"):
            assert request.headers["authorization"] == BASIC
            wire.send(json_reply(200, {"token": "cts_session"}))
        elif request.headers.get("authorization") == shown:
            wire.send(json_reply(200, CI))
        else:
            header = {"WWW-Authenticate": challenge.replace("HERE", server[0].url)}
            wire.send(json_reply(200, NOBODY, header))

    return script


@pytest.mark.parametrize(
    ("challenge", "credential", "shown"),
    [
        ('Bearer realm="HERE/api/v1/token",service="s"', TOKEN, "Bearer ct_abc"),
        ('Bearer realm="HERE/api/v1/token",service="s"', PASSWORD, "Bearer cts_session"),
        ('Basic realm="trust server"', PASSWORD, BASIC),
    ],
)
def test_the_login_is_shown_although_nobody_is_refused(
    serve: Serve, challenge: str, credential: Credential, shown: str
) -> None:
    servers: list[HostileServer] = []
    servers.append(serve(knowing(servers, challenge, shown)))
    found = asked(servers[0], credential)
    assert (found.subject, found.authenticated, found.expires) == ("token:ci", "token", "2027-01-01T00:00:00Z")
    assert found.rights["pull"].allowed
    assert servers[0].requests[0].target == f"{WHOAMI}?name=registry.example.com%2Fteam%2Fapp"


@pytest.mark.parametrize("credential", [None, TOKEN])
def test_without_a_login_or_a_challenge_it_is_about_nobody(serve: Serve, credential: Credential | None) -> None:
    server = serve(answering(json_reply(200, NOBODY)))
    assert asked(server, credential, None).subject == "anonymous"
    assert {request.target for request in server.requests} == {WHOAMI}
    assert not any("authorization" in request.headers for request in server.requests)


def test_the_scope_of_a_registry_token_is_everything_on_this_name(serve: Serve) -> None:
    """A server with a token server: what the token allows is what it was asked for."""
    servers: list[HostileServer] = []
    challenge = f'Bearer realm="HERE/api/v1/token",service="s",scope="repository:{NAME}:*"'
    servers.append(serve(knowing(servers, challenge, "Bearer cts_session")))
    assert asked(servers[0], PASSWORD).subject == "token:ci"
    (token,) = [request.target for request in servers[0].requests if "/token" in request.target]
    assert "scope=repository%3Aregistry.example.com%2Fteam%2Fapp%3A%2A" in token


ODD: list[Any] = [
    [],
    {},
    {**NOBODY, "subject": None},
    {**NOBODY, "authenticated": True},
    {**NOBODY, "expires": 7},
    {**NOBODY, "rights": None},
    {**NOBODY, "rights": {"pull": {"allowed": "yes", "why": "x"}}},
    {**NOBODY, "rights": {"pull": {"allowed": True}}},
    {**NOBODY, "rights": {"pull": {"allowed": True, "why": 7}}},
]


@pytest.mark.parametrize(
    ("answer", "error", "said"),
    [
        (json_reply(404, {"code": "not-found", "title": "Not found"}), RemoteRefused, "of an older version"),
        (json_reply(404, {"errors": [{"code": "METADATA_NOT_FOUND"}]}), RemoteRefused, "or of another kind"),
        (reply(404, b"<h1>Not here</h1>"), RemoteRefused, "something else"),
        (reply(200, b"<title>Sign in</title>"), RemoteMisbehaved, "sends a page"),
        (reply(200), RemoteMisbehaved, "cannot be read"),
        *((json_reply(200, odd), RemoteMisbehaved, "cannot be read") for odd in ODD),
    ],
)
def test_answers_that_say_nobody(serve: Serve, answer: bytes, error: type[TrustError], said: str) -> None:
    with pytest.raises(error, match=said):
        asked(serve(answering(answer)))


def test_a_login_that_is_no_good_is_told(serve: Serve) -> None:
    def script(request: Request, wire: Wire) -> None:
        header = {"WWW-Authenticate": "Basic realm=x"}
        if "authorization" in request.headers:
            wire.send(json_reply(401, {"code": "forbidden", "detail": "the API token was revoked"}, header))
        else:
            wire.send(json_reply(200, NOBODY, header))

    with pytest.raises(RemoteRefused, match="was revoked"):
        asked(serve(script), TOKEN)
