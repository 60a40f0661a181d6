"""Registry tokens at every route: who is let in, what the others are told, and that no fast way goes around it."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Callable, Coroutine
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.simulator.memory_store import MemoryStore
from tests.simulator.token_issuer import ISSUER, REALM, SERVICE, access, certify, claims, token
from tests.support.server_owner import NOW
from tests.support.server_site import GUN_A, Site
from tests.unit.server.guarded_site import ISSUED, Guarded, _Counting, bearer, challenge
from trustdata.gun import GUN
from trustserver.auth.authorizer import ANONYMOUS, Action, Sender, Subject, SubjectKind
from trustserver.auth.open_authorizer import OpenAuthorizer
from trustserver.auth.opening import open_authorizer
from trustserver.auth.token_authorizer import TokenAuthorizer
from trustserver.auth.token_keys import TokenKeys, libtrust_id
from trustserver.auth.tokens import TokenVerifier
from trustserver.auth.verified_tokens import MAX_KEPT_TOKENS
from trustserver.errors import Forbidden
from trustserver.server.fast_path import HotAnswers
from trustserver.settings import Settings

GUN_B = GUN("registry.example.com/team/other")
TIMESTAMP = f"/tuf/{GUN_A}/metadata/timestamp.json"
API = f"/api/v1/collections/{GUN_A}"


def raw(headers: dict[str, str]) -> Sender:
    return Sender(headers=[(name.lower().encode(), value.encode()) for name, value in headers.items()])


def decided(decision: Coroutine[Any, Any, Subject]) -> Subject:
    return asyncio.run(decision)


@pytest.fixture
def store() -> MemoryStore:
    """One collection."""
    site = Site()
    site.begin()
    assert isinstance(site.store, MemoryStore)
    return site.store


# --- routes


ROUTES = [
    ("GET", TIMESTAMP, "pull"),
    ("HEAD", TIMESTAMP, "pull"),
    ("GET", f"/tuf/{GUN_A}/metadata/1.root.json", "pull"),
    ("GET", f"/tuf/{GUN_A}/metadata/99.root.json", "pull"),
    ("GET", API, "pull"),
    ("GET", f"{API}/keys/snapshot", "pull,push"),
    ("POST", f"{API}/publish", "pull,push"),
    ("POST", f"{API}/keys/timestamp", "*"),
    ("DELETE", API, "*"),
]


@pytest.mark.parametrize(("method", "path", "needed"), ROUTES)
@pytest.mark.parametrize("warm", [False, True], ids=["cold", "warm"])
def test_what_each_route_needs(store: MemoryStore, method: str, path: str, needed: str, *, warm: bool) -> None:
    site = Guarded(store)
    if warm:
        site.get(path, headers=bearer("*"))
    scope = f"repository:{GUN_A}:{needed}"
    refusals: list[tuple[dict[str, str], str]] = [({}, ""), ({"Authorization": "Basic YTpi"}, "")]
    refusals += [({"Authorization": "Bearer x.y.z"}, "invalid_token"), ({"Authorization": "Bearer"}, "invalid_token")]
    refusals += [(bearer(exp=1), "invalid_token"), (bearer(), "insufficient_scope")]
    refusals += [(bearer("*", name=GUN_B), "insufficient_scope"), (bearer("push"), "insufficient_scope")]
    if needed != "pull":
        refusals.append((bearer("pull"), "insufficient_scope"))
    if needed == "*":
        refusals.append((bearer("pull", "push"), "insufficient_scope"))
    for headers, error in refusals:
        answer = site.request(method, path, headers=headers)
        assert (answer.status_code, answer.headers.get("www-authenticate")) == (401, challenge(scope, error)), headers
        assert answer.headers["cache-control"] == "no-store"
        if method != "HEAD":
            assert answer.json()["code"] == "forbidden"
            assert "challenge" not in answer.json()
    for headers in [bearer(*needed.split(",")), bearer("*")][: 1 if method == "DELETE" else 2]:
        assert site.request(method, path, headers=headers).status_code not in {401, 403}


FOR_STRANGERS = {"/api/v1/access/exchange": 400, "/api/v1/access/whoami": 200}
"""The routes on which strangers show or ask who they are, with the status of a request that shows nothing."""


def test_no_route_forgets_to_ask(store: MemoryStore) -> None:
    site = Guarded(store)
    paths = site.get("/api/v1/openapi.json").json()["paths"]
    asked = 0
    for template, methods in paths.items():
        path = template.replace("{gun}", GUN_A).replace("{role}", "snapshot")
        for method in methods:
            if path.startswith("/api/"):
                asked += 1
                wanted = FOR_STRANGERS.get(path, 401)
                assert site.request(method.upper(), path).status_code == wanted, f"{method} {template}"
    assert asked >= 5


@pytest.mark.parametrize("path", ["/healthz", "/readyz", "/metrics"])
def test_what_the_operator_s_programs_ask_needs_no_token(path: str) -> None:
    assert Guarded().get(path).status_code == 200


def test_the_scheme_is_read_in_any_case_and_one_token_is_enough(store: MemoryStore) -> None:
    site = Guarded(store)
    good = bearer("pull")["Authorization"].removeprefix("Bearer ")
    assert site.get(TIMESTAMP, headers={"AUTHORIZATION": f"bearer  {good}"}).status_code == 200
    twice = [("Authorization", f"Bearer {good}"), ("Authorization", f"Bearer {good}")]
    assert 'error="invalid_token"' in site.get(TIMESTAMP, headers=twice).headers["www-authenticate"]


def test_the_reason_is_told_and_the_token_is_not(store: MemoryStore, caplog: pytest.LogCaptureFixture) -> None:
    site = Guarded(store)
    headers = bearer("pull", aud="registry.example.com")
    with caplog.at_level("INFO"):
        answer = site.get(TIMESTAMP, headers=headers)
    assert "it is for another audience (aud), or for others as well" in answer.json()["detail"]
    secret = headers["Authorization"].split()[1]
    assert secret not in answer.text
    assert secret not in caplog.text
    assert "token refused" in caplog.text
    short = site.get(TIMESTAMP, headers=bearer("push")).json()
    assert (short["subject"], short["right"]) == ("registry-token:alice", "pull")
    assert short["detail"] == (
        f"not allowed to read {GUN_A} as registry-token:alice: the token of alice does not allow pull; "
        "who runs the token server grants it"
    )
    assert site.get(TIMESTAMP).json()["detail"] == f"not allowed to read {GUN_A}: it wants a token"


def test_the_tombstone_names_whom_the_token_names(store: MemoryStore) -> None:
    site = Guarded(store)
    assert site.request("DELETE", API, headers=bearer("*", sub="carol")).status_code == 200
    gone = site.get(API, headers=bearer("pull"))
    assert (gone.status_code, gone.json()["subject"]) == (410, "carol")


@pytest.mark.parametrize("sub", ["carol\x1b[31m", "carol\n", "x" * 256, "carol\u202e", "carol\u200b"])
def test_a_token_of_somebody_who_is_not_shown_as_they_are_is_refused(sub: str) -> None:
    """Two users, of whom the same is shown, would be one subject."""
    answer = Guarded().request("DELETE", API, headers=bearer("*", sub=sub))
    assert answer.status_code == 401
    assert "its claim sub has more than 255 characters, or some that cannot be shown" in answer.json()["detail"]


def test_users_whose_names_begin_with_the_same_hundreds_of_characters_are_two() -> None:
    tokens = Guarded().tokens
    names = ["x" * 254 + last for last in "ab"]
    assert [decided(tokens.authorize_ping(raw(bearer(sub=name)))).name for name in names] == names


# --- the catalogue and the ping


def test_the_catalogue() -> None:
    tokens = Guarded().tokens
    scope = "registry:catalog:*"
    assert decided(tokens.authorize_catalog(raw(bearer("*", name="catalog", kind="registry")))).name == "alice"
    for headers, error in (
        ({}, ""),
        (bearer("*"), "insufficient_scope"),
        (bearer("pull", name="catalog", kind="registry"), "insufficient_scope"),
        ({"Authorization": "Bearer x"}, "invalid_token"),
    ):
        with pytest.raises(Forbidden) as refused:
            decided(tokens.authorize_catalog(raw(headers)))
        assert refused.value.challenge == challenge(scope, error)


@pytest.mark.parametrize("anonymous_pull", [False, True])
def test_the_ping_asks_for_a_token_even_where_reading_needs_none(*, anonymous_pull: bool) -> None:
    tokens = Guarded(anonymous_pull=anonymous_pull).tokens
    for headers, error in (({}, ""), ({"Authorization": "Bearer x"}, "invalid_token")):
        with pytest.raises(Forbidden) as refused:
            decided(tokens.authorize_ping(raw(headers)))
        assert refused.value.challenge == challenge("registry:catalog:*", error)
    assert decided(tokens.authorize_ping(raw(bearer()))) == Subject(name="alice", kind=SubjectKind.REGISTRY_TOKEN)
    assert decided(tokens.authorize_ping(raw(bearer(sub="")))) == ANONYMOUS


# --- anonymous pull


def test_anonymous_pull_is_for_reading_alone(store: MemoryStore) -> None:
    site = Guarded(store, anonymous_pull=True)
    for _ in range(2):
        assert site.get(TIMESTAMP).status_code == 200
    assert site.get(API).status_code == 200
    assert site.get(TIMESTAMP).headers["cache-control"] == "no-cache"
    assert site.file("1.root.json").headers["cache-control"].startswith("public")
    for method, path, needed in ROUTES:
        if needed != "pull":
            answer = site.request(method, path)
            assert answer.headers["www-authenticate"] == challenge(f"repository:{GUN_A}:{needed}")
    # From the view or not, no token is looked at: the same answer either way.
    for headers in (bearer(exp=1), bearer("pull", name=GUN_B), {"Authorization": "Bearer x"}):
        for path in (API, TIMESTAMP, f"/tuf/{GUN_A}/metadata/99.root.json"):
            assert site.get(path, headers=headers).status_code == site.get(path).status_code


# --- the fast ways


def test_hot_reads_ask_too(store: MemoryStore) -> None:
    site = Guarded(store)
    good = bearer("pull")
    assert site.get(TIMESTAMP, headers=good).status_code == 200
    before = site.app.asgi.answered
    assert site.get(TIMESTAMP, headers=good).status_code == 200
    assert site.app.asgi.answered == before + 1, "not from the view: this test proves nothing"
    for headers in ({}, bearer("push"), bearer("pull", name=GUN_B), bearer("pull", exp=1)):
        assert site.get(TIMESTAMP, headers=headers).status_code == 401
        unchanged = {**headers, "If-None-Match": "*"}
        assert site.get(TIMESTAMP, headers=unchanged).status_code == 401
        packed = {**headers, "Accept-Encoding": "gzip"}
        assert site.get(f"/tuf/{GUN_A}/metadata/1.root.json", headers=packed).status_code == 401
    assert site.app.asgi.answered == before + 1


def test_the_front_has_nothing_for_those_who_bring_no_token(store: MemoryStore) -> None:
    asked = f"GET {TIMESTAMP} HTTP/1.1\r\nhost: x\r\n\r\n".encode()
    for site, answers in ((Guarded(store), False), (Guarded(store, anonymous_pull=True), True), (Site(store), True)):
        site.get(TIMESTAMP, headers=bearer("pull"))
        answer = HotAnswers(site.app.asgi, may_hold=site.app.asgi.bodies.may_hold).answer(asked)
        assert (answer is not None) is answers


def test_no_cache_in_between_keeps_what_not_everybody_may_read(store: MemoryStore) -> None:
    site = Guarded(store)
    path = f"/tuf/{GUN_A}/metadata/1.root.json"
    kinds: list[dict[str, str]] = [{}, {}, {"If-None-Match": "*"}, {"Accept-Encoding": "gzip"}]
    for more in kinds:
        answer = site.get(path, headers={**bearer("pull"), **more})
        assert answer.status_code in {200, 304}
        assert answer.headers["cache-control"] == "private, max-age=31536000, immutable"
    assert site.request("HEAD", path, headers=bearer("pull")).headers["cache-control"].startswith("private")
    # The answer that is kept is not changed by that.
    assert Site(store).get(path).headers["cache-control"].startswith("public")
    assert site.get(TIMESTAMP, headers=bearer("pull")).headers["cache-control"] == "no-cache"


def test_a_token_is_verified_once_until_it_expires(store: MemoryStore) -> None:
    site = Guarded(store)
    good = bearer("pull")
    for _ in range(5):
        assert site.get(TIMESTAMP, headers=good).status_code == 200
    assert site.verifier.verified == 1
    site.later(seconds=300 + 59)
    assert site.get(TIMESTAMP, headers=good).status_code == 200
    assert site.verifier.verified == 1
    site.later(seconds=1)
    assert site.get(TIMESTAMP, headers=good).status_code == 401
    assert site.verifier.verified == 1, "its claims say that it has expired"


def test_a_certificate_that_ends_ends_its_remembered_tokens() -> None:
    short = certify(NOW, days=1 / 1440)
    at = NOW
    tokens = TokenAuthorizer(
        TokenVerifier(TokenKeys([short.certificate]), issuer=ISSUER, service=SERVICE),
        realm=REALM,
        service=SERVICE,
        anonymous_pull=False,
        clock=lambda: at,
    )
    signed = token(short.key, claims(NOW, access(GUN_A, "pull")), kid=libtrust_id(short.key.public_key()))
    headers = raw({"Authorization": f"Bearer {signed}"})
    decided(tokens.authorize(headers, Action.READ, GUN_A))
    at = NOW + timedelta(seconds=61)
    with pytest.raises(Forbidden, match="has expired"):
        decided(tokens.authorize(headers, Action.READ, GUN_A))


def test_remembered_tokens_are_bounded_and_the_used_ones_stay() -> None:
    tokens = Guarded().tokens
    mine = raw(bearer("pull"))
    decided(tokens.authorize(mine, Action.READ, GUN_A))
    for number in range(MAX_KEPT_TOKENS + 10):
        decided(tokens.authorize(raw(bearer("pull", jti=str(number))), Action.READ, GUN_A))
        decided(tokens.authorize(mine, Action.READ, GUN_A))
    assert len(tokens._verified) == MAX_KEPT_TOKENS
    verifier = tokens._verifier
    assert isinstance(verifier, _Counting)
    assert verifier.verified == MAX_KEPT_TOKENS + 11


def test_refused_tokens_are_not_remembered() -> None:
    tokens = Guarded().tokens
    for number in range(5):
        with pytest.raises(Forbidden):
            decided(tokens.authorize(raw({"Authorization": f"Bearer x{number}"}), Action.READ, GUN_A))
    assert not tokens._verified


# --- challenges and settings


def test_a_challenge_is_a_header_whatever_it_quotes() -> None:
    tokens = TokenAuthorizer(
        TokenVerifier(TokenKeys([ISSUED.certificate]), issuer=ISSUER, service=SERVICE),
        realm='https://auth.example.com/"token"\\',
        service="tru\r\nst é",
        anonymous_pull=False,
        clock=lambda: NOW,
    )
    with pytest.raises(Forbidden) as refused:
        decided(tokens.authorize(Sender(), Action.READ, GUN_A))
    said = 'Bearer realm="https://auth.example.com/\\"token\\"\\\\",service="tru%0D%0Ast %C3%A9"'
    assert refused.value.challenge == f'{said},scope="repository:{GUN_A}:pull"'


@pytest.mark.parametrize("anonymous_pull", [False, True])
def test_the_settings_make_the_authorizer(tmp_path: Path, *, anonymous_pull: bool) -> None:
    file = tmp_path / "tokens.crt"
    file.write_bytes(ISSUED.pem)
    settings = Settings(
        auth_token_realm=REALM,
        auth_token_service=SERVICE,
        auth_token_issuer=ISSUER,
        auth_token_cert=file,
        auth_anonymous_pull=anonymous_pull,
    )
    made = open_authorizer(settings, clock=lambda: NOW)
    assert made.reads_are_open is anonymous_pull
    assert decided(made.authorize(raw(bearer("pull", "push")), Action.PUBLISH, GUN_A)).name == "alice"
    assert isinstance(open_authorizer(Settings()), OpenAuthorizer)


def test_what_the_operator_should_know_at_the_start(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    file = tmp_path / "tokens.crt"
    file.write_bytes(ISSUED.pem)
    given: dict[str, Any] = {
        "auth_token_realm": REALM,
        "auth_token_service": SERVICE,
        "auth_token_issuer": ISSUER,
        "auth_token_cert": file,
    }
    from trustserver.settings import Listen

    beyond = Listen(host="192.0.2.1", port=4443)
    for settings, at, warnings in (
        (Settings(**given), NOW, 0),
        (Settings(**given, listen=beyond, self_signed=True), NOW, 0),
        (Settings(**given, listen=beyond), NOW, 1),
        (Settings(**given), NOW + timedelta(days=31), 1),
    ):
        caplog.clear()
        clock: Callable[[], Any] = itertools.repeat(at).__next__
        open_authorizer(settings, clock=clock)
        assert len([record for record in caplog.records if record.levelname == "WARNING"]) == warnings


def test_open_servers_ask_nobody(store: MemoryStore) -> None:
    answer: httpx.Response = Site(store).get(TIMESTAMP, headers={"Authorization": "Bearer nonsense"})
    assert answer.status_code == 200

    assert (
        decided(OpenAuthorizer().authorize_ping(Sender()))
        == decided(OpenAuthorizer().authorize_catalog(Sender()))
        == ANONYMOUS
    )
