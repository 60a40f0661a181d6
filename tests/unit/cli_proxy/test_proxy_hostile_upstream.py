"""An upstream that lies, is slow, sends too much or too little."""

from __future__ import annotations

import http.client
import json

import pytest

from tests.support.fake_registry import INDEX, MANIFEST, Stored
from tests.support.hostile_server import Request, Wire, reply
from tests.support.proxy_stage import ProxyStage
from trustcli.hooks.proxy import relayed_blob
from trustcli.http.time_budget import Timeouts

pytestmark = pytest.mark.allow_hosts(["127.0.0.1"])

HURRY = Timeouts(connect=5, read=0.2, overall=0.2)


@pytest.fixture
def image(stage: ProxyStage) -> Stored:
    made = stage.registry.image("signed")
    stage.registry.tags["1.0"] = stage.decider.signed["1.0"] = made.digest
    return made


def instead(stage: ProxyStage, path: str, answer: bytes) -> None:
    stage.registry.answers[f"GET {path}"] = lambda _, wire: wire.send(answer)


def test_other_bytes_than_those_that_were_signed(stage: ProxyStage, image: Stored) -> None:
    other = stage.registry.image("other")
    instead(stage, f"/v2/app/manifests/{image.digest}", reply(200, other.raw, {"Content-Type": MANIFEST}))
    with stage.running():
        for reference in ("1.0", image.digest):
            got = stage.get(f"/v2/app/manifests/{reference}")
            assert (got.status, got.code) == (403, "DENIED")
            assert other.raw not in got.body
        assert stage.get(f"/v2/app/blobs/{other.layer}").status == 403


def test_a_manifest_that_is_too_large_is_not_read(stage: ProxyStage, image: Stored) -> None:
    path = f"/v2/app/manifests/{image.digest}"
    stage.registry.answers[f"GET {path}"] = lambda _, wire: wire.send(
        reply(200, headers={"Content-Length": str(5 * 1024 * 1024)})
    )
    with stage.running():
        assert stage.get("/v2/app/manifests/1.0").status == 403


def test_an_image_that_can_be_read_in_two_ways(stage: ProxyStage, image: Stored) -> None:
    """Its digest is signed, but clients would make different things of it (CVE-2021-41190)."""
    document = json.loads(image.raw) | {"manifests": []}
    odd = Stored(raw=json.dumps(document).encode())
    stage.registry.manifests[odd.digest] = odd
    stage.decider.signed["1.0"] = odd.digest
    with stage.running():
        got = stage.get("/v2/app/manifests/1.0")
        assert (got.status, got.code) == (403, "DENIED")


def test_the_type_that_upstream_tells_decides_nothing(stage: ProxyStage, image: Stored) -> None:
    instead(stage, f"/v2/app/manifests/{image.digest}", reply(200, image.raw, {"Content-Type": "text/html"}))
    with stage.running():
        got = stage.get("/v2/app/manifests/1.0")
        assert (got.status, got.headers["content-type"]) == (200, MANIFEST)
        instead(stage, f"/v2/app/manifests/{image.digest}", reply(200, image.raw, {"Content-Type": INDEX}))
        assert stage.get("/v2/app/manifests/1.0").status == 403


@pytest.mark.parametrize("can_splice", [True, False])
@pytest.mark.parametrize("sent", [0, 5, 70_000])
def test_a_blob_that_is_cut_off_ends_the_connection(
    stage: ProxyStage, image: Stored, monkeypatch: pytest.MonkeyPatch, sent: int, *, can_splice: bool
) -> None:
    monkeypatch.setattr(relayed_blob, "_CAN_SPLICE", can_splice)

    def cut(_: Request, wire: Wire) -> None:
        wire.send(reply(200, headers={"Content-Length": "100000"}) + b"x" * sent)
        wire.close()

    stage.registry.answers[f"GET /v2/app/blobs/{image.layer}"] = cut
    with stage.running():
        with pytest.raises(http.client.IncompleteRead):
            stage.get(f"/v2/app/blobs/{image.layer}")
        assert stage.get("/v2/app/manifests/1.0").status == 200


@pytest.mark.parametrize("can_splice", [True, False])
def test_a_blob_that_stalls_ends_the_connection(
    stage: ProxyStage, image: Stored, monkeypatch: pytest.MonkeyPatch, *, can_splice: bool
) -> None:
    monkeypatch.setattr(relayed_blob, "_CAN_SPLICE", can_splice)

    def stall(_: Request, wire: Wire) -> None:
        wire.send(reply(200, headers={"Content-Length": "100000"}) + b"x" * 10)
        wire.stopping.wait(20)

    stage.registry.answers[f"GET /v2/app/blobs/{image.layer}"] = stall
    with stage.running(timeouts=HURRY), pytest.raises(http.client.IncompleteRead):
        stage.get(f"/v2/app/blobs/{image.layer}")


def test_an_upstream_that_says_nothing_is_not_waited_for(stage: ProxyStage, image: Stored) -> None:
    def silent(_: Request, wire: Wire) -> None:
        wire.stopping.wait(20)

    stage.registry.answers["HEAD /v2/app/manifests/1.0"] = silent
    with stage.running(timeouts=HURRY):
        got = stage.get("/v2/app/manifests/1.0")
        assert (got.status, got.code) == (502, "UNAVAILABLE")


def test_an_upstream_that_is_away(stage: ProxyStage, image: Stored) -> None:
    with stage.running():
        assert stage.upstream is not None
        stage.upstream.stop()
        got = stage.get("/v2/app/manifests/1.0")
        assert (got.status, got.code) == (502, "UNAVAILABLE")


def test_a_blob_in_a_coding_that_nobody_asked_for(stage: ProxyStage, image: Stored) -> None:
    instead(stage, f"/v2/app/blobs/{image.layer}", reply(200, b"x", {"Content-Encoding": "gzip"}))
    with stage.running():
        assert stage.get(f"/v2/app/blobs/{image.layer}").status == 502


def test_headers_of_upstream_cannot_be_two(stage: ProxyStage, image: Stored) -> None:
    stage.registry.answers["HEAD /v2/app/manifests/1.0"] = lambda _, wire: wire.send(
        reply(401, headers={"WWW-Authenticate": "Basic realm=\x00x", "Set-Cookie": "a=b", "Content-Length": "0"})
    )
    with stage.running():
        got = stage.get("/v2/app/manifests/1.0")
        assert (got.status, got.code) == (401, "UNAUTHORIZED")
        assert not {"www-authenticate", "set-cookie"} & set(got.headers)


def test_redirects_have_an_end(stage: ProxyStage, image: Stored) -> None:
    path = f"/v2/app/blobs/{image.layer}"
    instead(stage, path, reply(307, headers={"Location": path}))
    with stage.running():
        assert stage.get(path).status == 502
