"""Blobs, lists of tags, referrers, pushes, and what is no endpoint."""

from __future__ import annotations

import contextlib
import threading

import pytest

from tests.support.fake_registry import Stored
from tests.support.hostile_server import Request, Wire, json_reply, reply
from tests.support.proxy_stage import ProxyStage
from trustcli.hooks.proxy import relayed_blob

pytestmark = pytest.mark.allow_hosts(["127.0.0.1"])


@pytest.fixture
def image(stage: ProxyStage) -> Stored:
    made = stage.registry.image("signed")
    stage.registry.tags["1.0"] = stage.decider.signed["1.0"] = made.digest
    return made


# --- blobs


@pytest.mark.parametrize("can_splice", [True, False])
def test_a_blob_of_any_size_is_handed_on(
    stage: ProxyStage, image: Stored, monkeypatch: pytest.MonkeyPatch, *, can_splice: bool
) -> None:
    monkeypatch.setattr(relayed_blob, "_CAN_SPLICE", can_splice)
    with stage.running(), contextlib.closing(stage.connection()) as client:
        for size in (0, 1, 5_000_000):
            stage.registry.blobs[image.layer] = b"0123456789" * (size // 10) + b"x" * (size % 10)
            got = stage.get_over(client, f"/v2/app/blobs/{image.layer}")
            assert got.body == stage.registry.blobs[image.layer]
            assert got.headers["content-type"] == "application/octet-stream"
    assert stage.upstream is not None
    assert len({request.connection for request in stage.upstream.requests}) == 1, "its connection is used again"


def test_a_blob_without_a_length_comes_in_chunks(stage: ProxyStage, image: Stored) -> None:
    chunked = reply(200, headers={"Transfer-Encoding": "chunked", "Content-Length": None}) + b"3\r\nabc\r\n0\r\n\r\n"
    stage.registry.answers[f"GET /v2/app/blobs/{image.layer}"] = lambda _, wire: wire.send(chunked)
    with stage.running():
        got = stage.get(f"/v2/app/blobs/{image.layer}")
        assert (got.body, got.headers["transfer-encoding"]) == (b"abc", "chunked")


def test_a_part_of_a_blob(stage: ProxyStage, image: Stored) -> None:
    blob = stage.registry.blobs[image.layer]
    with stage.running():
        got = stage.get(f"/v2/app/blobs/{image.layer}", headers={"Range": "bytes=2-4"})
        assert (got.status, got.body) == (206, blob[2:5])
        assert got.headers["content-range"] == f"bytes 2-4/{len(blob)}"
        odd = stage.get(f"/v2/app/blobs/{image.layer}", headers={"Range": "bytes=0-1,3-4"})
        assert (odd.status, odd.body) == (200, blob)


def test_the_head_of_a_blob(stage: ProxyStage, image: Stored) -> None:
    with stage.running():
        got = stage.get(f"/v2/app/blobs/{image.layer}", method="HEAD")
        assert (got.status, got.body) == (200, b"")
        assert got.headers["content-length"] == str(len(stage.registry.blobs[image.layer]))


@pytest.mark.parametrize("anonymous", [True, False])
def test_a_client_is_sent_to_where_the_blob_is_if_that_is_wanted(
    stage: ProxyStage, image: Stored, *, anonymous: bool
) -> None:
    """With credentials only where upstream itself sends it elsewhere: they would not follow."""
    path = f"/v2/app/blobs/{image.layer}"
    who = "" if anonymous else "Bearer alice"
    stage.registry.readers[who] = {"app"}
    with stage.running(redirect_blobs=True):
        assert stage.upstream is not None
        got = stage.get(path, who=who)
        if anonymous:
            assert (got.status, got.headers["location"]) == (307, f"{stage.upstream.url}{path}")
        else:
            assert (got.status, got.body) == (200, stage.registry.blobs[image.layer])
        stage.registry.answers[f"GET {path}"] = lambda _, wire: wire.send(
            reply(302, headers={"Location": "https://store.example/x?y"})
        )
        got = stage.get(path, who=who)
        assert (got.status, got.headers["location"]) == (307, "https://store.example/x?y")
        other = stage.registry.image("other")
        assert stage.get(f"/v2/app/blobs/{other.layer}", who=who).status == 403


# --- lists


def test_the_list_has_the_signed_tags(stage: ProxyStage, image: Stored) -> None:
    stage.registry.tags["unsigned"] = image.digest
    stage.decider.signed.update(dict.fromkeys(("b", "a", "C"), image.digest))
    with stage.running():
        got = stage.get("/v2/app/tags/list")
        assert got.json == {"name": "app", "tags": ["1.0", "C", "a", "b"]}
        first = stage.get("/v2/app/tags/list?n=2")
        assert first.json["tags"] == ["1.0", "C"]
        assert first.headers["link"] == '</v2/app/tags/list?n=2&last=C>; rel="next"'
        last = stage.get("/v2/app/tags/list?n=2&last=C")
        assert last.json["tags"] == ["a", "b"]
        assert "link" not in last.headers
        assert stage.get("/v2/app/tags/list?n=0").json["tags"] == []
        assert stage.get("/v2/app/tags/list?n=x").code == "PAGINATION_NUMBER_INVALID"
        assert stage.get("/v2/app/tags/list?" + "a=1&" * 20).status == 400


def test_upstream_s_own_list_has_no_way_around_the_proxy(stage: ProxyStage, image: Stored) -> None:
    stage.decider.mode = "allow"
    with stage.running():
        assert stage.upstream is not None
        link = f'<{stage.upstream.url}/v2/app/tags/list?n=1&last=a>; rel="next"'
        stage.registry.answers["GET /v2/app/tags/list"] = lambda _, wire: wire.send(
            json_reply(200, {"name": "app", "tags": ["a"]}, {"Link": link})
        )
        got = stage.get("/v2/app/tags/list?n=1")
        assert got.headers["link"] == '</v2/app/tags/list?n=1&last=a>; rel="next"'


@pytest.mark.parametrize(
    ("method", "path", "status", "code"),
    [
        ("GET", "/v2/_catalog", 403, "DENIED"),
        ("GET", "/", 404, "UNSUPPORTED"),
        ("GET", "/v2/app", 404, "UNSUPPORTED"),
        ("GET", "/v2/App/manifests/1.0", 404, "UNSUPPORTED"),
        ("GET", "/v2/app/manifests/..", 404, "UNSUPPORTED"),
        ("GET", "/v2/app/../other/manifests/1.0", 404, "UNSUPPORTED"),
        ("GET", "/v2/app%2Fother/manifests/1.0", 404, "UNSUPPORTED"),
        ("GET", "/v2/app/blobs/sha256:zz", 404, "UNSUPPORTED"),
        ("GET", "/v2/app/blobs/uploads/", 405, "UNSUPPORTED"),
        ("POST", "/v2/app/blobs/uploads/", 405, "UNSUPPORTED"),
        ("PUT", "/v2/app/manifests/1.0", 405, "UNSUPPORTED"),
        ("DELETE", "/v2/app/manifests/1.0", 405, "UNSUPPORTED"),
        ("PATCH", "/v2/app/blobs/uploads/1", 405, "UNSUPPORTED"),
        ("OPTIONS", "/v2/", 405, "UNSUPPORTED"),
    ],
)
def test_what_is_not_done_here(stage: ProxyStage, method: str, path: str, status: int, code: str) -> None:
    with stage.running():
        got = stage.get(path, method=method)
        assert (got.status, got.code) == (status, code)
        assert stage.asked == []


@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_how_far_an_upload_is_is_no_content(stage: ProxyStage, method: str) -> None:
    """Whatever upstream makes of the path: what nobody has signed comes through no other door of it either."""
    told = reply(200, b"content" if method == "GET" else b"", {"Range": "0-6", "Content-Type": "a/b"})
    stage.registry.answers[f"{method} /v2/app/blobs/uploads/id1"] = lambda _, wire: wire.send(told)
    with stage.running(allow_push=True):
        got = stage.get("/v2/app/blobs/uploads/id1", method=method)
        assert (got.status, got.body, got.headers["range"]) == (204, b"", "0-6")


# --- referrers


def test_referrers_are_an_empty_list_unless_they_are_wanted(stage: ProxyStage, image: Stored) -> None:
    about = stage.registry.artifact("signature", image)
    with stage.running():
        got = stage.get(f"/v2/app/referrers/{image.digest}")
        assert (got.status, got.json["manifests"]) == (200, [])
        assert stage.get(f"/v2/app/manifests/{about.digest}").status == 403


def test_referrers_of_signed_content_if_they_are_wanted(stage: ProxyStage, image: Stored) -> None:
    about, other = stage.registry.artifact("signature", image), stage.registry.image("other")
    of_other = stage.registry.artifact("about other", other)
    listed = {"schemaVersion": 2, "manifests": [{"digest": about.digest}]}
    for subject in (image, other):
        stage.registry.answers[f"GET /v2/app/referrers/{subject.digest}"] = lambda _, wire: wire.send(
            json_reply(200, listed)
        )
    with stage.running(referrers=True):
        assert stage.get(f"/v2/app/referrers/{image.digest}").json == listed
        assert stage.get(f"/v2/app/referrers/{other.digest}").status == 403
        assert stage.get(f"/v2/app/manifests/{about.digest}").body == about.raw
        assert stage.get(f"/v2/app/blobs/{about.layer}").status == 200
        assert stage.get(f"/v2/app/manifests/{of_other.digest}").status == 403
        assert stage.get(f"/v2/app/blobs/{of_other.layer}").status == 403
    with stage.running():
        assert stage.get(f"/v2/app/blobs/{about.layer}").status == 403, "wanted no longer"


# --- pushes


def test_a_push_is_passed_through_where_that_is_wanted(stage: ProxyStage, image: Stored) -> None:
    def start(request: Request, wire: Wire) -> None:
        place = f"http://{request.headers['host']}/v2/app/blobs/uploads/id1?_state=a"
        wire.send(reply(202, headers={"Location": place, "Range": "0-0"}))

    done = reply(201, headers={"Location": "/v2/app/blobs/x", "Docker-Content-Digest": image.digest})
    stage.registry.answers |= {
        "POST /v2/app/blobs/uploads/": start,
        "PATCH /v2/app/blobs/uploads/id1": lambda _, wire: wire.send(reply(202)),
        "PUT /v2/app/manifests/2.0": lambda _, wire: wire.send(done),
    }
    with stage.running(allow_push=True):
        begun = stage.get("/v2/app/blobs/uploads/", method="POST", who="Bearer alice", body=b"")
        assert (begun.status, begun.headers["location"]) == (202, "/v2/app/blobs/uploads/id1?_state=a")
        body = b"x" * 300_000
        assert stage.get("/v2/app/blobs/uploads/id1?_state=a", method="PATCH", body=body).status == 202
        got = stage.get("/v2/app/manifests/2.0", method="PUT", body=b"{}", headers={"Content-Type": "a/b"})
        assert (got.status, got.headers["docker-content-digest"]) == (201, image.digest)
        assert stage.upstream is not None
        first, second, third = stage.upstream.requests
        assert first.headers["authorization"] == "Bearer alice"
        assert second.body == body
        assert (third.body, third.headers["content-type"]) == (b"{}", "a/b")
        assert stage.get("/v2/app/manifests/2.0", method="DELETE").status == 405


def test_who_pushes_is_told_by_head_that_what_is_not_signed_is_not_there(stage: ProxyStage, image: Stored) -> None:
    """They send it then. To GET, and to everybody where nothing is pushed, the refusal is told."""
    other = stage.registry.image("other")
    stage.registry.tags["unsigned"] = other.digest
    unsigned = [f"/v2/app/{end}" for end in ("manifests/unsigned", f"manifests/{other.digest}", f"blobs/{other.layer}")]
    with stage.running(allow_push=True):
        assert [stage.get(path, method="HEAD").status for path in unsigned] == [404] * 3
        assert [stage.get(path).status for path in unsigned] == [403] * 3
        assert stage.get("/v2/app/manifests/1.0", method="HEAD").status == 200
    with stage.running():
        assert [stage.get(path, method="HEAD").status for path in unsigned] == [403] * 3


def test_many_pull_at_once(stage: ProxyStage, image: Stored) -> None:
    """A miss is searched once for all who wait."""
    others = [stage.registry.image(str(number)) for number in range(8)]
    stage.decider.signed.update({f"2.{number}": other.digest for number, other in enumerate(others)})
    found: list[int] = []
    with stage.running():
        start = threading.Barrier(16)

        def pull(number: int) -> None:
            start.wait()
            found.append(stage.get(f"/v2/app/blobs/{others[number % 8].layer}").status)

        threads = [threading.Thread(target=pull, args=(number,)) for number in range(16)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        fetched = [line for line in stage.asked if line.startswith("GET /v2/app/manifests/")]
    assert found == [200] * 16
    assert len(fetched) == len(set(fetched))


def test_a_redirect_to_something_else_than_http(stage: ProxyStage, image: Stored) -> None:
    path = f"/v2/app/blobs/{image.layer}"
    moved = reply(307, headers={"Location": "ftp://127.0.0.1/x"})
    stage.registry.answers[f"GET {path}"] = lambda _, wire: wire.send(moved)
    with stage.running():
        assert stage.get(path).status == 502
