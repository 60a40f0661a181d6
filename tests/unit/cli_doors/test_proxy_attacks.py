"""Ways to pull through the proxy what nobody has signed, or to learn what upstream would not tell."""

from __future__ import annotations

import json

import pytest

from tests.support.fake_registry import MANIFEST, Stored
from tests.support.hostile_server import reply
from tests.support.proxy_stage import ProxyStage

pytestmark = pytest.mark.allow_hosts(["127.0.0.1"])


@pytest.fixture
def image(stage: ProxyStage) -> Stored:
    made = stage.registry.image("signed")
    stage.registry.tags["1.0"] = stage.decider.signed["1.0"] = made.digest
    return made


# --- an upstream that puts content where a refusal is expected


@pytest.mark.parametrize("status", [201, 203, 206, 226, 299, 300, 304, 399])
def test_an_answer_that_is_no_refusal_hands_out_nothing(stage: ProxyStage, image: Stored, status: int) -> None:
    """Docker's client takes every status from 200 to 399 for a success, and the body for a manifest."""
    other = stage.registry.image("other")
    lie = reply(status, other.raw, {"Content-Type": MANIFEST})
    stage.registry.answers[f"GET /v2/app/manifests/{image.digest}"] = lambda _, wire: wire.send(lie)
    with stage.running():
        for path in ("manifests/1.0", f"manifests/{image.digest}"):
            got = stage.get(f"/v2/app/{path}")
            assert (got.status, got.code) == (502, "UNAVAILABLE")
            assert str(status) in got.message
            assert other.raw not in got.body


def test_a_blob_is_not_answered_with_what_a_search_was_told(stage: ProxyStage, image: Stored) -> None:
    """The layer that nobody signed, as the body of an answer to the proxy's own question about a signed manifest."""
    layer = b"a small layer"
    stage.registry.blobs[Stored(raw=layer).digest] = layer
    lie = reply(203, layer)
    stage.registry.answers[f"GET /v2/app/manifests/{image.digest}"] = lambda _, wire: wire.send(lie)
    with stage.running():
        got = stage.get(f"/v2/app/blobs/{Stored(raw=layer).digest}")
        assert got.status == 502
        assert layer not in got.body


@pytest.mark.parametrize("path", ["/v2/", "/v2/app/manifests/1.0", "/v2/app/tags/list"])
def test_the_first_question_is_answered_by_a_yes_or_a_no(stage: ProxyStage, image: Stored, path: str) -> None:
    for method in ("GET", "HEAD"):
        stage.registry.answers[f"{method} {path}"] = lambda _, wire: wire.send(reply(203))
    with stage.running():
        assert stage.get(path).status == 502
