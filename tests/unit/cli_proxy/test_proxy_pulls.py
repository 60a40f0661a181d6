"""What the proxy hands out, and what it refuses: tags by trust data, content if something signed names it."""

from __future__ import annotations

import pytest

from tests.support.fake_registry import Stored
from tests.support.hostile_server import reply
from tests.support.proxy_stage import Got, ProxyStage
from trustcli.errors import RemoteUnreachable

pytestmark = pytest.mark.allow_hosts(["127.0.0.1"])

NOWHERE = f"sha256:{'0' * 64}"


def manifest(stage: ProxyStage, reference: str, **more: object) -> Got:
    return stage.get(f"/v2/app/manifests/{reference}", **more)  # type: ignore[arg-type]


def blob(stage: ProxyStage, digest: str, **more: object) -> Got:
    return stage.get(f"/v2/app/blobs/{digest}", **more)  # type: ignore[arg-type]


def signed(stage: ProxyStage, tag: str = "1.0", text: str = "signed") -> Stored:
    """An image that is signed, and that the registry has under its tag."""
    image = stage.registry.image(text)
    stage.registry.tags[tag] = stage.decider.signed[tag] = image.digest
    return image


@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_a_signed_tag(stage: ProxyStage, method: str) -> None:
    image = signed(stage)
    with stage.running():
        got = manifest(stage, "1.0", method=method)
    assert got.status == 200
    assert got.headers["docker-content-digest"] == image.digest
    assert got.headers["content-type"] == image.kind
    assert got.headers["content-length"] == str(len(image.raw))
    assert got.body == (image.raw if method == "GET" else b"")


def test_content_is_asked_for_by_digest_alone(stage: ProxyStage) -> None:
    """The tag is asked for only to hear whether this caller may read; its body counts for nothing."""
    image = signed(stage)
    with stage.running():
        for _ in range(2):
            assert manifest(stage, "1.0").body == image.raw
        by_digest = f"GET /v2/app/manifests/{image.digest}"
        assert stage.asked == ["HEAD /v2/app/manifests/1.0", by_digest, by_digest]


def test_a_tag_that_was_moved_in_the_registry_is_still_what_was_signed(stage: ProxyStage) -> None:
    image = signed(stage)
    other = stage.registry.image("other")
    stage.registry.tags["1.0"] = other.digest
    with stage.running():
        assert manifest(stage, "1.0").body == image.raw
        assert manifest(stage, other.digest).status == 403


def test_a_tag_that_was_deleted_in_the_registry_is_still_what_was_signed(stage: ProxyStage) -> None:
    image = signed(stage)
    del stage.registry.tags["1.0"]
    with stage.running():
        assert manifest(stage, "1.0").body == image.raw


def test_signed_content_that_the_registry_does_not_have(stage: ProxyStage) -> None:
    image = signed(stage)
    del stage.registry.manifests[image.digest]
    stage.registry.tags["1.0"] = stage.registry.image("other").digest
    with stage.running():
        got = manifest(stage, "1.0")
        assert (got.status, got.code) == (404, "MANIFEST_UNKNOWN")
        assert "which the registry does not have" in got.message


@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_an_unsigned_tag_is_refused_in_words(stage: ProxyStage, method: str) -> None:
    signed(stage)
    stage.registry.tags["2.0"] = stage.registry.image("unsigned").digest
    with stage.running():
        got = manifest(stage, "2.0", method=method)
    assert got.status == 403
    if method == "GET":
        assert (got.code, got.message) == ("DENIED", "registry.example:5000/app:2.0 is not signed")
        assert got.headers["content-type"] == "application/json"
    else:
        assert got.body == b""


def test_what_hangs_on_a_signed_image(stage: ProxyStage) -> None:
    image = signed(stage)
    with stage.running():
        assert manifest(stage, image.digest).body == image.raw
        for digest in (image.config, image.layer):
            got = blob(stage, digest)
            assert (got.status, got.body) == (200, stage.registry.blobs[digest])
            assert got.headers["docker-content-digest"] == digest


def test_what_hangs_on_a_signed_index(stage: ProxyStage) -> None:
    platforms = [stage.registry.image(text) for text in ("amd64", "arm64")]
    index = stage.registry.index(stage.registry.index(platforms[0]), platforms[1])
    stage.registry.tags["1.0"] = stage.decider.signed["1.0"] = index.digest
    with stage.running():
        assert manifest(stage, "1.0").body == index.raw
        assert manifest(stage, index.children[0].digest).body == index.children[0].raw
        for platform in platforms:
            assert manifest(stage, platform.digest).body == platform.raw
            assert blob(stage, platform.layer).status == 200


@pytest.mark.parametrize("seen", [True, False])
def test_a_denied_index_stops_its_platforms_within_another_one(stage: ProxyStage, *, seen: bool) -> None:
    platforms = [stage.registry.image(text) for text in ("amd64", "arm64")]
    inner = stage.registry.index(platforms[0])
    outer = stage.registry.index(inner, platforms[1])
    stage.registry.tags["1.0"] = stage.decider.signed["1.0"] = outer.digest
    with stage.running():
        if seen:
            assert manifest(stage, "1.0").status == manifest(stage, inner.digest).status == 200
            assert manifest(stage, platforms[0].digest).status == 200
        stage.decider.denied.add(inner.digest)
        assert manifest(stage, inner.digest).status == 403
        got = manifest(stage, platforms[0].digest)
        assert (got.status, got.code) == (403, "DENIED")
        assert blob(stage, platforms[0].layer).status == 403
        assert manifest(stage, platforms[1].digest).status == 200
        again = stage.registry.index(platforms[1], platforms[0])
        stage.registry.tags["2.0"] = stage.decider.signed["2.0"] = again.digest
        assert manifest(stage, "2.0").status == 200
        assert manifest(stage, platforms[0].digest).status == 200, "it is in another signed image as well"
        assert blob(stage, platforms[0].layer).status == 200
        stage.decider.denied.add(again.digest)
        assert manifest(stage, platforms[0].digest).status == 403


def test_what_nothing_signed_names_is_refused(stage: ProxyStage) -> None:
    signed(stage)
    other = stage.registry.image("other")
    stage.registry.tags["2.0"] = other.digest
    with stage.running():
        assert manifest(stage, "2.0").status == 403
        got = manifest(stage, other.digest)
        assert (got.status, got.code) == (403, "DENIED")
        got = blob(stage, other.layer)
        assert (got.status, got.code) == (403, "DENIED")
        assert (
            got.message == f"{other.layer} belongs to no image that is signed under the name registry.example:5000/app"
        )


def test_what_was_revoked_is_refused_with_all_that_hangs_on_it(stage: ProxyStage) -> None:
    image = signed(stage)
    with stage.running():
        assert manifest(stage, "1.0").status == blob(stage, image.layer).status == 200
        stage.decider.signed.clear()
        assert {manifest(stage, "1.0").status, manifest(stage, image.digest).status} == {403}
        assert blob(stage, image.layer).status == 403


def test_the_index_of_one_repository_says_nothing_of_another(stage: ProxyStage) -> None:
    """What is signed there is not signed here, even if both have it."""
    image = signed(stage)
    stage.registry.readers[""].add("other")
    with stage.running():
        assert manifest(stage, "1.0").status == 200
        stage.decider.signed.clear()
        assert stage.get(f"/v2/other/blobs/{image.layer}").status == 403


def test_trust_data_that_cannot_be_had_refuses(stage: ProxyStage) -> None:
    image = signed(stage)
    stage.decider.refusal = RemoteUnreachable(remote="https://trust.example", reason="no answer in time")
    with stage.running():
        for path in ("manifests/1.0", f"manifests/{image.digest}", f"blobs/{image.layer}", "tags/list"):
            got = stage.get(f"/v2/app/{path}")
            assert (got.status, got.code) == (403, "DENIED"), path
            assert "https://trust.example" in got.message


# --- after a restart, and in another replica


def test_a_restart_forgets_nothing(stage: ProxyStage) -> None:
    image = signed(stage)
    with stage.running():
        assert manifest(stage, "1.0").status == 200
    with stage.running():
        assert blob(stage, image.layer).status == 200
        assert f"GET /v2/app/manifests/{image.digest}" not in stage.asked[2:]


def test_without_an_index_the_signed_images_are_searched(stage: ProxyStage) -> None:
    images = {tag: signed(stage, tag, tag) for tag in ("1.9", "1.10", "1.2", "latest")}
    with stage.running():
        assert blob(stage, images["1.10"].layer).status == 200
        fetched = [line for line in stage.asked if line.startswith("GET /v2/app/manifests/")]
        assert fetched == [f"GET /v2/app/manifests/{images[tag].digest}" for tag in ("latest", "1.10")]
        assert blob(stage, images["1.2"].config).status == 200
        assert manifest(stage, images["1.9"].digest).status == 200


def test_a_platform_is_searched_in_signed_indexes(stage: ProxyStage) -> None:
    platform = stage.registry.image("amd64")
    index = stage.registry.index(stage.registry.index(platform))
    stage.decider.signed["1.0"] = index.digest
    with stage.running():
        assert manifest(stage, platform.digest).body == platform.raw
    with stage.running():
        assert blob(stage, platform.layer).status == 200


def test_one_image_that_is_gone_hides_no_other(stage: ProxyStage) -> None:
    gone, odd, kept = (signed(stage, tag, tag) for tag in ("3", "2", "1"))
    del stage.registry.manifests[gone.digest]
    path = f"/v2/app/manifests/{odd.digest}"
    with stage.running():
        stage.registry.answers[f"GET {path}"] = lambda _, wire: wire.send(reply(200, b"other bytes"))
        assert blob(stage, kept.layer).status == 200
        assert blob(stage, NOWHERE).status == 403


def test_a_search_has_a_bound_and_the_next_request_goes_on(stage: ProxyStage) -> None:
    """Until all was looked at nothing is refused: a wrong no would be an outage."""
    images = [signed(stage, f"1.{number}", str(number)) for number in range(5)]
    with stage.running(fetches=2):
        first, second, third = (blob(stage, images[0].layer) for _ in range(3))
        assert [first.status, second.status, third.status] == [503, 503, 200]
        assert first.headers["retry-after"] == "1"
        other = stage.registry.image("other")
        assert blob(stage, other.layer).status == 403


def test_a_failing_registry_is_no_refusal(stage: ProxyStage) -> None:
    image = signed(stage)
    path = f"/v2/app/manifests/{image.digest}"
    stage.registry.answers[f"GET {path}"] = lambda _, wire: wire.send(reply(500, b"{}"))
    with stage.running():
        assert blob(stage, image.layer).status == 500
        del stage.registry.answers[f"GET {path}"]
        assert blob(stage, image.layer).status == 200


# --- rules that let everything pass


@pytest.mark.parametrize("mode", ["allow", "audit"])
def test_where_a_rule_lets_everything_pass(stage: ProxyStage, mode: str) -> None:
    stage.decider.mode = mode  # type: ignore[assignment]
    image = stage.registry.image("unsigned")
    stage.registry.tags["2.0"] = image.digest
    with stage.running():
        assert manifest(stage, "2.0").body == image.raw
        assert blob(stage, image.layer).status == 200
        assert stage.get("/v2/app/tags/list").json["tags"] == ["2.0"]
        assert f'trust_proxy_unverified_total{{mode="{mode}"}} 1.0'.encode() in stage.metrics.text()


def test_where_a_rule_is_about_some_tags_what_hangs_on_them_passes_until_it_ends(stage: ProxyStage) -> None:
    stage.decider.mode, stage.decider.open_tags = "allow", frozenset({"dev"})
    image, other = stage.registry.image("dev"), stage.registry.image("other")
    stage.registry.tags.update(dev=image.digest, other=other.digest)
    with stage.running():
        assert manifest(stage, "other").status == 403
        assert manifest(stage, "dev").status == blob(stage, image.layer).status == 200
        assert manifest(stage, image.digest).status == 200
        assert manifest(stage, other.digest).status == blob(stage, other.layer).status == 403
        stage.decider.mode = "enforce"
        assert blob(stage, image.layer).status == manifest(stage, image.digest).status == 403
