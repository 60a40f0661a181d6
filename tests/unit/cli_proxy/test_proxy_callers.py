"""Who may ask: upstream decides for each caller, by the caller's own credentials, before the proxy tells anything."""

from __future__ import annotations

import pytest

from tests.support.fake_registry import CHALLENGE, Stored
from tests.support.hostile_server import HostileServer, Request, Wire, json_reply, reply
from tests.support.proxy_stage import ProxyStage
from trustcli.hooks.proxy.callers import ReadersMemory

pytestmark = pytest.mark.allow_hosts(["127.0.0.1"])

ALICE, MALLORY = "Bearer alice", "Basic bWFsbG9yeTp4"


@pytest.fixture
def image(stage: ProxyStage) -> Stored:
    """Signed, in a repository that only Alice may read."""
    made = stage.registry.image("private")
    stage.registry.tags["1.0"] = stage.decider.signed["1.0"] = made.digest
    stage.registry.readers = {ALICE: {"app"}}
    return made


def paths(image: Stored) -> list[str]:
    known = ["manifests/1.0", f"manifests/{image.digest}", f"blobs/{image.layer}"]
    unknown = ["manifests/2.0", f"manifests/sha256:{'0' * 64}", f"blobs/sha256:{'0' * 64}"]
    return [f"/v2/app/{end}" for end in (*known, *unknown, "tags/list", f"referrers/{image.digest}")]


@pytest.mark.parametrize("who", ["", MALLORY])
def test_a_stranger_is_told_nothing_but_what_upstream_says(stage: ProxyStage, image: Stored, who: str) -> None:
    with stage.running():
        for path in paths(image):
            got = stage.get(path, who=who)
            assert got.status == 401, path
            assert got.headers["www-authenticate"] == CHALLENGE
            assert b"sign" not in got.body
        assert stage.decider.asked == [], "nothing is looked up for a stranger"


@pytest.mark.parametrize("who", ["", MALLORY])
def test_what_upstream_hides_is_hidden(stage: ProxyStage, image: Stored, who: str) -> None:
    stage.registry.absent_for_strangers = True
    with stage.running():
        found = {stage.get(path, who=who).body for path in paths(image)}
        assert {stage.get(path, who=who).status for path in paths(image)} == {404}
        assert len(found) <= 2, "one answer to all, in upstream's words or for them"
        assert stage.decider.asked == []


def test_one_caller_s_yes_is_nobody_else_s(stage: ProxyStage, image: Stored) -> None:
    with stage.running():
        for path in paths(image):
            assert stage.get(path, who=ALICE).status in {200, 403, 404}
        for path in paths(image):
            assert stage.get(path, who=MALLORY).status == stage.get(path).status == 401


def test_a_yes_for_one_repository_is_none_for_another(stage: ProxyStage, image: Stored) -> None:
    with stage.running():
        assert stage.get("/v2/app/tags/list", who=ALICE).status == 200
        assert stage.get("/v2/other/tags/list", who=ALICE).status == 401


def test_a_no_ends_a_yes(stage: ProxyStage, image: Stored) -> None:
    with stage.running():
        assert stage.get("/v2/app/manifests/1.0", who=ALICE).status == 200
        stage.registry.readers = {}
        assert stage.get("/v2/app/manifests/1.0", who=ALICE).status == 401
        assert stage.get("/v2/app/manifests/2.0", who=ALICE).status == 401


def test_a_no_to_a_pull_ends_the_yes_to_a_list(stage: ProxyStage, image: Stored) -> None:
    """The list of tags is a right of its own; who has lost the other one has most likely lost both."""
    with stage.running():
        assert stage.get("/v2/app/tags/list", who=ALICE).json["tags"] == ["1.0"]
        stage.registry.readers = {}
        assert stage.get("/v2/app/tags/list", who=ALICE).status == 200, "for a while"
        assert stage.get("/v2/app/manifests/1.0", who=ALICE).status == 401
        assert stage.get("/v2/app/tags/list", who=ALICE).status == 401


def test_what_upstream_hides_from_one_caller_is_found_for_another(stage: ProxyStage, image: Stored) -> None:
    """A search of the signed images is made with one caller's rights: what it does not find, another's may."""
    bob, path = "Bearer bob", f"/v2/app/manifests/{image.digest}"
    stage.registry.readers[bob] = {"app"}

    def hiding(request: Request, wire: Wire) -> None:
        hidden = request.headers.get("authorization") == bob
        wire.send(reply(404) if hidden else reply(200, image.raw, {"Content-Type": image.kind}))

    stage.registry.answers[f"GET {path}"] = hiding
    with stage.running():
        got = stage.get(f"/v2/app/blobs/{image.layer}", who=bob)
        assert (got.status, got.code) == (403, "DENIED")
        assert stage.get(f"/v2/app/blobs/{image.layer}", who=ALICE).status == 200


def test_what_upstream_does_not_have_is_asked_for_once_in_a_while_by_each(stage: ProxyStage, image: Stored) -> None:
    path = f"/v2/app/manifests/{image.digest}"
    stage.registry.answers[f"GET {path}"] = lambda _, wire: wire.send(reply(404))
    with stage.running():
        for _ in range(3):
            assert stage.get(f"/v2/app/blobs/{image.layer}", who=ALICE).status == 403
        assert stage.asked.count(f"GET {path}") == 1


def test_a_yes_counts_for_a_while() -> None:
    now = [0.0]
    memory = ReadersMemory(seconds=30, clock=lambda: now[0])
    memory.remember(ALICE, "app")
    assert memory.may_read(ALICE, "app")
    assert not memory.may_read(ALICE, "other")
    assert not memory.may_read("", "app")
    now[0] = 30.0
    assert not memory.may_read(ALICE, "app")


def test_few_callers_are_remembered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("trustcli.hooks.proxy.callers._MOST", 2)
    memory = ReadersMemory()
    for repository in "abc":
        memory.remember("", repository)
    assert [memory.may_read("", repository) for repository in "abc"] == [False, True, True]


def test_a_login_is_passed_on_to_upstream_and_its_challenge_back(stage: ProxyStage, image: Stored) -> None:
    def base(request: Request, wire: Wire) -> None:
        known = request.headers.get("authorization") == ALICE
        wire.send(json_reply(200, {}) if known else json_reply(401, {}, {"WWW-Authenticate": CHALLENGE}))

    stage.registry.answers["GET /v2/"] = base
    with stage.running():
        assert stage.get("/v2/", who=ALICE).status == 200
        got = stage.get("/v2/")
        assert (got.status, got.headers["www-authenticate"]) == (401, CHALLENGE)


def test_two_credentials_are_no_credentials(stage: ProxyStage, image: Stored) -> None:
    with stage.running() as running:
        assert running.server is not None
        import http.client

        client = http.client.HTTPConnection(*running.server.address, timeout=20)
        client.putrequest("GET", "/v2/app/manifests/1.0")
        client.putheader("Authorization", ALICE)
        client.putheader("Authorization", MALLORY)
        client.endheaders()
        assert client.getresponse().status == 400
        client.close()
        assert stage.asked == []


def test_credentials_do_not_follow_a_redirect_elsewhere(stage: ProxyStage, image: Stored) -> None:
    blob = stage.registry.blobs[image.layer]
    elsewhere = HostileServer(lambda request, wire: wire.send(reply(200, blob)))
    path = f"/v2/app/blobs/{image.layer}"
    stage.registry.answers[f"GET {path}"] = lambda _, wire: wire.send(
        reply(307, headers={"Location": f"{elsewhere.url}/store?signature=abc"})
    )
    try:
        with stage.running():
            assert stage.get("/v2/app/manifests/1.0", who=ALICE).status == 200
            assert stage.get(path, who=ALICE).body == blob
        (asked,) = elsewhere.requests
        assert "authorization" not in asked.headers
        assert asked.target == "/store?signature=abc"
    finally:
        elsewhere.stop()


@pytest.mark.parametrize("kind", ["text/html; charset=utf-8", "Application/XHTML+xml"])
@pytest.mark.parametrize("redirected", [False, True])
def test_a_page_to_sign_in_is_no_yes(stage: ProxyStage, image: Stored, kind: str, *, redirected: bool) -> None:
    """Portals before a registry send strangers to one, which everybody may see, and say 200."""

    def page(request: Request) -> bytes:
        told = reply(200, b"<html>sign in</html>", {"Content-Type": kind})
        return told.partition(b"\r\n\r\n")[0] + b"\r\n\r\n" if request.method == "HEAD" else told

    portal = HostileServer(lambda request, wire: wire.send(page(request)))

    def answered(request: Request, wire: Wire) -> None:
        location = {"Location": f"{portal.url}/login"}
        wire.send(reply(302, headers=location) if redirected else page(request))

    for path in [*paths(image), "/v2/", "/v2/app/tags/list"]:
        stage.registry.answers |= {f"GET {path}": answered, f"HEAD {path}": answered}
    try:
        with stage.running():
            for path in [*paths(image), "/v2/"]:
                got = stage.get(path)
                assert (got.status, got.code) == (502, "UNAVAILABLE"), path
                assert "sign in" in got.message
            assert stage.decider.asked == []
    finally:
        portal.stop()


def test_credentials_follow_a_redirect_within_the_registry(stage: ProxyStage, image: Stored) -> None:
    path, moved = f"/v2/app/blobs/{image.layer}", f"/v2/app/blobs/{image.config}"
    stage.registry.answers[f"GET {path}"] = lambda _, wire: wire.send(reply(302, headers={"Location": moved}))
    with stage.running():
        assert stage.get("/v2/app/manifests/1.0", who=ALICE).status == 200
        assert stage.get(path, who=ALICE).body == stage.registry.blobs[image.config]


def test_a_digest_that_upstream_does_not_have_is_absent_and_no_yes(stage: ProxyStage, image: Stored) -> None:
    with stage.running():
        assert stage.get(f"/v2/app/manifests/sha256:{'0' * 64}", who=ALICE).status == 404
        assert stage.get(f"/v2/app/blobs/sha256:{'0' * 64}", who=ALICE).status == 404
        assert stage.decider.asked == []


def test_what_upstream_says_of_busy_times_is_passed_on(stage: ProxyStage, image: Stored) -> None:
    stage.registry.answers["HEAD /v2/app/manifests/1.0"] = lambda _, wire: wire.send(
        reply(429, headers={"Retry-After": "7", "X-Secret": "inside"})
    )
    with stage.running():
        got = stage.get("/v2/app/manifests/1.0", who=ALICE)
        assert (got.status, got.code, got.headers["retry-after"]) == (429, "TOOMANYREQUESTS", "7")
        assert "x-secret" not in got.headers


def test_a_registry_that_is_another_one_s_name_space(stage: ProxyStage, image: Stored) -> None:
    with stage.running():
        assert stage.get("/v2/app/manifests/1.0?ns=registry.example:5000", who=ALICE).status == 200
        got = stage.get("/v2/app/manifests/1.0?ns=docker.io", who=ALICE)
        assert (got.status, got.code) == (403, "DENIED")
        assert "ns=" in got.message
