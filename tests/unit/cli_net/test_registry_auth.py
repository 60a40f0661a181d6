from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from urllib.parse import parse_qs, parse_qsl

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.network_users import Stored
from trustcli.config.credential import TOKEN_LOGIN, Credential
from trustcli.console.failure_table import row_for
from trustcli.errors import (
    CertificateRefused,
    RemoteMisbehaved,
    RemoteRefused,
    RemoteUnreachable,
)
from trustcli.http.challenges import parse_challenges
from trustcli.http.messages import Origin, Response, parse_url
from trustcli.http.token_auth import MAX_TOKEN_ANSWER, ChallengeResponder
from trustdata.errors import TrustError

SCOPE = "repository:team/app:pull"
ALICE = Credential(source="config.json", username="alice", password="hunter2")
ALICE_BASIC = "Basic YWxpY2U6aHVudGVyMg=="


@dataclass
class TokenServer:
    """Answers token requests and remembers them."""

    answer: Response = field(default_factory=lambda: token_answer({"token": "t0k"}))
    asked: list[tuple[str, str, Mapping[str, str], bytes | None]] = field(default_factory=list)

    def exchange(
        self,
        method: str,
        origin: Origin,
        target: str,
        *,
        headers: Mapping[str, str],
        limit: int,
        body: bytes | None = None,
    ) -> Response:
        assert method == ("GET" if body is None else "POST")
        assert limit == MAX_TOKEN_ANSWER
        self.asked.append((str(origin), target, headers, body))
        return self.answer


def token_answer(content: object, status: int = 200) -> Response:
    body = content if isinstance(content, bytes) else json.dumps(content).encode()
    return Response(status=status, headers=(), body=body)


def authorize(
    challenge: str,
    tokens: TokenServer,
    credential: Credential | None = None,
    server: str = "https://r.example:5000",
    *,
    is_registry: bool = False,
) -> str:
    origin, _ = parse_url(server, kind="server")
    stored = Stored(**({origin.netloc: credential} if credential else {}))
    answer = Response(status=401, headers=(("WWW-Authenticate", challenge),), body=b"")
    return ChallengeResponder(origin, stored, tokens, is_registry=is_registry).authorization(answer, scope=SCOPE)


# --- challenges


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("Basic", [("basic", {})]),
        ('BASIC realm="a, b"', [("basic", {"realm": "a, b"})]),
        (
            'Bearer realm="https://t/",service="s",scope="x y"',
            [("bearer", {"realm": "https://t/", "service": "s", "scope": "x y"})],
        ),
        ("Bearer realm=unquoted , Service = s", [("bearer", {"realm": "unquoted", "service": "s"})]),
        (r'Bearer realm="a\"b\\c"', [("bearer", {"realm": 'a"b\\c'})]),
        ('Basic realm="a", Bearer realm="b"', [("basic", {"realm": "a"}), ("bearer", {"realm": "b"})]),
        ("Negotiate, Basic", [("negotiate", {}), ("basic", {})]),
        ('Negotiate abc==, Bearer realm="b"', [("negotiate", {}), ("bearer", {"realm": "b"})]),
        ('Bearer realm="first",realm="second"', [("bearer", {"realm": "first"})]),
        ('Bearer realm="never closed', [("bearer", {})]),
        ("", []),
        (", ,", []),
        ('="x"', []),
    ],
)
def test_challenges(value: str, expected: list[tuple[str, dict[str, str]]]) -> None:
    assert [(c.scheme, dict(c.parameters)) for c in parse_challenges([value])] == expected


@pytest.mark.parametrize("challenge", ['Basic realm="x"', 'Bearer realm="https://t.example/",service="s"', "Bearer"])
def test_a_token_for_a_trust_server_is_sent_as_it_is_and_to_no_token_server(challenge: str) -> None:
    tokens = TokenServer()
    credential = Credential(source="TRUST_TOKEN", username=TOKEN_LOGIN, password="ct_abc")
    assert authorize(challenge, tokens, credential) == "Bearer ct_abc"
    assert tokens.asked == []
    with pytest.raises(RemoteRefused, match="without credentials"):  # and never in the clear
        authorize('Basic realm="x"', tokens, credential, server="http://r.example:5000")


@settings(deadline=None)
@given(st.lists(st.text()))
def test_any_challenge_is_read_or_passed_over(values: list[str]) -> None:
    assert all(challenge.scheme for challenge in parse_challenges(values))


@pytest.mark.parametrize(
    "nonsense", ['Bearer realm="' + "\\" * 60_000, "a=" * 30_000, "Basic " * 10_000, "A" * 60_000, " ," * 30_000]
)
def test_long_nonsense_is_read_to_its_end(nonsense: str) -> None:
    """And at once: what looked at each character again for each of the others would take minutes."""
    assert all(challenge.scheme for challenge in parse_challenges([nonsense]))


# --- ways in


def test_an_anonymous_token() -> None:
    tokens = TokenServer()
    assert (
        authorize('Bearer realm="https://auth.example/token?a=b",service="s s",scope="x:y z:w"', tokens) == "Bearer t0k"
    )
    origin, target, headers, form = tokens.asked[0]
    assert origin == "https://auth.example"
    assert parse_qsl(target.partition("?")[2]) == [("a", "b"), ("service", "s s"), ("scope", "x:y"), ("scope", "z:w")]
    assert (dict(headers), form) == ({}, None)


def test_without_a_scope_in_the_challenge_ours_is_asked_for() -> None:
    tokens = TokenServer()
    authorize('Bearer realm="https://auth.example/token"', tokens)
    assert parse_qs(tokens.asked[0][1].partition("?")[2]) == {"scope": [SCOPE]}


def test_of_the_same_repository_no_more_is_asked_for_than_is_needed() -> None:
    """Some registries name the rights to push in every challenge, which whoever may only pull is refused."""
    tokens = TokenServer()
    authorize('Bearer realm="https://auth.example/token",scope="repository:team/app:pull,push"', tokens)
    assert parse_qs(tokens.asked[0][1].partition("?")[2]) == {"scope": [SCOPE]}


def test_what_a_token_server_says_is_told_but_not_what_it_was_sent() -> None:
    for body, told in (
        (b'{"details": "your account is locked"}', True),
        (b'{"details": "hunter2 is wrong"}', False),
        (f"<h1>{ALICE_BASIC}</h1>".encode(), False),
    ):
        with pytest.raises(RemoteRefused) as caught:
            authorize('Bearer realm="https://auth.example/token"', TokenServer(token_answer(body, 401)), ALICE)
        assert ("your account is locked" in caught.value.reason) is told
        assert "hunter2" not in caught.value.reason
        assert ALICE_BASIC.removeprefix("Basic ") not in caught.value.reason


def test_an_identity_token_is_told_in_no_form() -> None:
    token = "a+b/c=="
    for said in (token, "a%2Bb%2Fc%3D%3D"):
        tokens = TokenServer(token_answer(f"refresh_token={said} is unknown".encode(), 401))
        with pytest.raises(RemoteRefused) as caught:
            authorize('Bearer realm="https://auth.example/token"', tokens, Credential(source="s", identity_token=token))
        assert said not in caught.value.reason


def test_a_token_with_what_is_stored_for_the_challenging_server() -> None:
    tokens = TokenServer(token_answer({"access_token": "t0k"}))
    assert authorize('Bearer realm="https://auth.example/token"', tokens, ALICE) == "Bearer t0k"
    assert tokens.asked[0][2] == {"Authorization": ALICE_BASIC}


def test_nothing_is_stored_for_the_token_server_itself() -> None:
    tokens = TokenServer()
    origin, _ = parse_url("https://r.example", kind="server")
    stored = Stored(**{"auth.example": ALICE})
    answer = Response(status=401, headers=(("www-authenticate", 'Bearer realm="https://auth.example/t"'),), body=b"")
    ChallengeResponder(origin, stored, tokens).authorization(answer, scope=SCOPE)
    assert stored.asked == ["r.example"]
    assert "Authorization" not in tokens.asked[0][2]


def test_an_identity_token_is_posted() -> None:
    tokens = TokenServer()
    credential = Credential(source="config.json", identity_token="idt")
    assert authorize('Bearer realm="https://auth.example/token",service="s"', tokens, credential) == "Bearer t0k"
    _, target, headers, form = tokens.asked[0]
    assert target == "/token"
    assert "Authorization" not in headers
    assert form is not None
    assert parse_qs(form.decode()) == {
        "grant_type": ["refresh_token"],
        "service": ["s"],
        "client_id": ["content-trust"],
        "scope": [SCOPE],
        "refresh_token": ["idt"],
    }


def test_a_stored_registry_token_needs_no_token_server() -> None:
    tokens = TokenServer()
    credential = Credential(source="config.json", registry_token="rt")
    assert authorize('Bearer realm="https://auth.example/token"', tokens, credential) == "Bearer rt"
    assert tokens.asked == []


def test_basic() -> None:
    assert authorize('Basic realm="x"', TokenServer(), ALICE) == ALICE_BASIC
    both = 'Basic realm="x", Bearer realm="https://auth.example/token"'
    assert authorize(both, TokenServer(), ALICE) == "Bearer t0k"


# --- no way in


@pytest.mark.parametrize("credential", [None, Credential(source="c", identity_token="idt")])
@pytest.mark.parametrize(("is_registry", "login"), [(True, "docker login"), (False, "trust login")])
def test_basic_without_a_user(credential: Credential | None, login: str, *, is_registry: bool) -> None:
    with pytest.raises(RemoteRefused, match=rf"{login} r\.example:5000") as caught:
        authorize("Basic", TokenServer(), credential, is_registry=is_registry)
    assert caught.value.status == 401
    assert caught.value.login.startswith(login)


def test_only_ways_that_we_do_not_know() -> None:
    with pytest.raises(RemoteRefused, match="offers negotiate, ntlm"):
        authorize("Negotiate, NTLM", TokenServer())
    with pytest.raises(RemoteRefused, match="offers nothing"):
        authorize("", TokenServer())


@pytest.mark.parametrize(
    ("status", "error"),
    [
        (401, RemoteRefused),
        (403, RemoteRefused),
        (429, RemoteUnreachable),
        (500, RemoteUnreachable),
    ],
)
def test_a_token_server_that_gives_none(status: int, error: type[TrustError]) -> None:
    with pytest.raises(error) as caught:
        authorize('Bearer realm="https://auth.example/token"', TokenServer(token_answer(b"hunter2", status)), ALICE)
    assert "auth.example" in str(caught.value)
    assert "hunter2" not in str(caught.value)
    if error is RemoteRefused:
        assert "alice (config.json)" in str(caught.value)
        assert "refuses the credentials" in str(caught.value)


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"nope",
        [],
        {},
        {"token": ""},
        {"token": 5},
        {"token": "a b"},
        {"token": "a\r\nX: y"},
        {"token": "ä"},
        b"[" * 99_999,
    ],
)
def test_answers_without_a_token(content: object) -> None:
    with pytest.raises(RemoteMisbehaved):
        authorize('Bearer realm="https://auth.example/token"', TokenServer(token_answer(content)))


@pytest.mark.parametrize(
    "realm", ["", "/token", "ftp://x/", "https://", "https://u:hunter2@x/", "https://x/#f", "https://x/\x01"]
)
def test_realms_that_are_none(realm: str) -> None:
    tokens = TokenServer()
    with pytest.raises(RemoteMisbehaved) as caught:
        authorize(f'Bearer realm="{realm}"', tokens, ALICE)
    assert tokens.asked == []
    assert "hunter2" not in str(caught.value)


# --- where credentials may go


@pytest.mark.parametrize(
    ("server", "realm", "with_credential"),
    [
        ("https://r.example", "https://auth.example/t", True),
        ("http://127.0.0.1:5000", "http://127.0.0.1:5001/t", True),
        ("http://127.0.0.1:5000", "https://auth.example/t", True),
        ("http://127.0.0.1:5000", "http://auth.example/t", False),
        ("http://r.example", "https://auth.example/t", False),
        ("http://r.example", "http://auth.example/t", False),
    ],
)
def test_the_realm_decides_what_it_gets(server: str, realm: str, with_credential: bool) -> None:  # noqa: FBT001
    tokens = TokenServer()
    assert authorize(f'Bearer realm="{realm}"', tokens, ALICE, server) == "Bearer t0k"
    assert ("Authorization" in tokens.asked[0][2]) is with_credential


def test_what_was_not_sent_is_not_blamed() -> None:
    """A token server in the clear gets no password, so that it has not refused any."""
    tokens = TokenServer(token_answer({}, 401))
    with pytest.raises(RemoteRefused) as caught:
        authorize('Bearer realm="http://auth.example/t"', tokens, ALICE, "http://127.0.0.1:5000")
    assert "Authorization" not in tokens.asked[0][2]
    assert caught.value.reason == (
        "the token server of http://127.0.0.1:5000 gives no token without credentials, which do not go over plain http"
    )


@pytest.mark.parametrize(
    ("server", "realm"),
    [
        ("https://r.example", "http://auth.example/t"),
        ("https://r.example", "http://127.0.0.1/t"),
        ("http://r.example", "http://localhost/t"),
        ("https://127.0.0.1:5000", "http://auth.example/t"),
    ],
)
def test_a_realm_over_plain_http_is_not_asked(server: str, realm: str) -> None:
    tokens = TokenServer()
    with pytest.raises(RemoteMisbehaved, match="plain http"):
        authorize(f'Bearer realm="{realm}"', tokens, ALICE, server)
    assert tokens.asked == []


def test_a_password_does_not_go_over_plain_http() -> None:
    with pytest.raises(RemoteRefused, match="plain http"):
        authorize("Basic", TokenServer(), ALICE, "http://r.example")


def test_a_password_is_sent_as_the_bytes_that_it_was_read_from() -> None:
    """Half a character, which JSON can write, is no error that nobody expected."""
    for password, sent in (("\udce4", b"alice:\xe4"), ("\ud83d", b"alice:?"), ("ä", "alice:ä".encode())):
        credential = Credential(source="s", username="alice", password=password)
        assert base64.b64decode(authorize("Basic", TokenServer(), credential).removeprefix("Basic ")) == sent
    for token in ("\udce4", "\ud83d"):
        credential = Credential(source="s", identity_token=token)
        assert authorize('Bearer realm="https://t.example/"', TokenServer(), credential) == "Bearer t0k"


@pytest.mark.parametrize("realm", ["", ' realm=""', ' realm="factory"', ' realm="/token"'])
def test_a_bearer_challenge_that_names_no_place_leaves_basic(realm: str) -> None:
    tokens = TokenServer()
    assert authorize(f'Bearer{realm}, Basic realm="x"', tokens, ALICE) == ALICE_BASIC
    assert tokens.asked == []
    assert authorize('Basic realm="x", Bearer realm="https://t.example/"', tokens, ALICE) == "Bearer t0k"
    with pytest.raises(RemoteMisbehaved, match="realm"):
        authorize(f"Bearer{realm}", tokens, ALICE)


@dataclass
class Unreachable(TokenServer):
    def exchange(self, method: str, origin: Origin, target: str, **_: object) -> Response:
        raise CertificateRefused(remote=str(origin), reason="its certificate is refused")


def test_who_has_named_a_token_server_that_cannot_be_reached_is_told() -> None:
    with pytest.raises(CertificateRefused) as caught:
        authorize('Bearer realm="https://backend:8080/t"', Unreachable())
    assert str(caught.value).startswith("https://backend:8080 ")
    assert str(caught.value).endswith("; it is the token server that https://r.example:5000 names")
    assert (caught.value.remote, caught.value.named_by) == ("https://backend:8080", "https://r.example:5000")
    with pytest.raises(CertificateRefused, match=r"is refused$"):
        authorize('Bearer realm="https://r.example:5000/t"', Unreachable())


def test_what_helps_depends_on_who_has_named_the_address_and_not_on_words() -> None:
    words = "it is the token server that https://r.example names"
    chosen = RemoteUnreachable(remote="https://backend:8080", reason=words)
    named = RemoteUnreachable(remote="https://backend:8080", reason="no answer in time", named_by="https://r.example")
    assert "--server" in row_for(chosen).advice(chosen)
    assert row_for(named).advice(named).endswith("is no address, tell the operator of https://r.example")


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (b"<!doctype html><title>Sign in</title>", "holds no token: it is a page for people (Sign in)"),
        (b'{"error": "invalid_grant", "error_description": "it has expired"}', "holds no token: it has expired"),
        (b'{"error_description": "bad hunter2"}', "holds no token"),
        (b"eyJ.raw.token", "holds no token"),
        (b'{"tokn": "eyJ.raw.token"}', "holds no token"),
        (b'{"message": "eyJ.raw.token"', "holds no token"),
    ],
)
def test_what_comes_in_place_of_a_token_is_told_but_no_secret(answer: bytes, words: str) -> None:
    with pytest.raises(RemoteMisbehaved) as caught:
        authorize('Bearer realm="https://t.example/"', TokenServer(answer=token_answer(answer)), ALICE)
    assert str(caught.value).endswith(words)
