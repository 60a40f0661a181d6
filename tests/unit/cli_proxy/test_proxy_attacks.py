"""Ways to pull through the proxy what nobody has signed, or to learn what upstream would not tell."""

from __future__ import annotations

import json

import pytest

from tests.support.fake_registry import INDEX, MANIFEST, Stored
from tests.support.hostile_server import json_reply, reply
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


# --- what a signed image names, asked for as something else


def disguised(stage: ProxyStage, *, disguise: str) -> tuple[Stored, Stored]:
    """A signed artifact one of whose blobs has the bytes of a manifest, which the registry has as such, too."""
    other = stage.registry.image("other")
    stage.registry.blobs[other.digest] = other.raw
    blob = {"mediaType": "application/json", "digest": other.digest, "size": len(other.raw)}
    small = stage.registry.image("small")
    document = json.loads(small.raw)
    document |= {"config": blob} if disguise == "config" else {"layers": [blob]}
    artifact = Stored(raw=json.dumps(document).encode())
    stage.registry.manifests[artifact.digest] = artifact
    stage.registry.tags["1.0"] = stage.decider.signed["1.0"] = artifact.digest
    return artifact, other


@pytest.mark.parametrize("disguise", ["config", "layer"])
@pytest.mark.parametrize("is_searched", [False, True])
def test_a_blob_of_a_signed_image_is_no_image(stage: ProxyStage, disguise: str, *, is_searched: bool) -> None:
    """Whoever signs an artifact signs that its blobs belong to it, and not that one of them may run."""
    artifact, other = disguised(stage, disguise=disguise)
    with stage.running():
        if not is_searched:
            assert stage.get("/v2/app/manifests/1.0").body == artifact.raw
        got = stage.get(f"/v2/app/manifests/{other.digest}")
        assert (got.status, got.code) == (403, "DENIED")
        assert stage.get(f"/v2/app/blobs/{other.digest}").body == other.raw
        assert stage.get(f"/v2/app/blobs/{other.layer}").status == 403


def test_what_hangs_on_a_blob_does_not_hang_on_the_image(stage: ProxyStage) -> None:
    """The index knows the disguised manifest, since a rule let it pass under a tag of its own for a while."""
    _, other = disguised(stage, disguise="layer")
    stage.registry.tags["dev"] = other.digest
    stage.decider.mode, stage.decider.open_tags = "allow", frozenset({"dev"})
    with stage.running():
        assert stage.get("/v2/app/manifests/1.0").status == stage.get("/v2/app/manifests/dev").status == 200
        assert stage.get(f"/v2/app/blobs/{other.layer}").status == 200
        stage.decider.mode = "enforce"
        assert stage.get(f"/v2/app/manifests/{other.digest}").status == 403
        assert stage.get(f"/v2/app/blobs/{other.layer}").status == 403


# --- a rule about the digest of a platform


@pytest.mark.parametrize("is_searched", [False, True])
def test_a_signed_index_does_not_outweigh_a_rule_about_one_of_its_platforms(
    stage: ProxyStage, *, is_searched: bool
) -> None:
    kept, denied = (stage.registry.image(text) for text in ("amd64", "arm64"))
    index = stage.registry.index(kept, denied)
    stage.registry.tags["1.0"] = stage.decider.signed["1.0"] = index.digest
    stage.decider.denied.add(denied.digest)
    with stage.running():
        if not is_searched:
            assert stage.get("/v2/app/manifests/1.0").body == index.raw
        got = stage.get(f"/v2/app/manifests/{denied.digest}")
        assert (got.status, got.code) == (403, "DENIED")
        assert "the rule denies it" in got.message
        assert stage.get(f"/v2/app/manifests/{kept.digest}").body == kept.raw


# --- what one right says of another


def test_who_may_pull_is_told_of_no_tags_that_upstream_does_not_list(stage: ProxyStage, image: Stored) -> None:
    """Registries have rights of their own for lists: what may be read by its name need not be found."""
    stage.registry.answers["GET /v2/app/tags/list"] = lambda _, wire: wire.send(json_reply(403, {"errors": []}))
    with stage.running():
        assert stage.get("/v2/app/manifests/1.0").status == 200
        got = stage.get("/v2/app/tags/list")
        assert got.status == 403
        assert b"1.0" not in got.body


def test_who_may_list_is_told_nothing_of_content_that_upstream_does_not_hand_out(
    stage: ProxyStage, image: Stored
) -> None:
    unsigned = stage.registry.image("unsigned")
    path = f"/v2/app/manifests/{unsigned.digest}"
    no = reply(403, b'{"errors": []}')
    stage.registry.answers[f"HEAD {path}"] = lambda _, wire: wire.send(no.partition(b"{")[0])
    with stage.running():
        assert stage.get("/v2/app/tags/list").status == 200
        assert "says: Forbidden" in stage.get(path).message


def test_a_right_to_list_is_asked_once_for_tags_that_are_gone(stage: ProxyStage, image: Stored) -> None:
    stage.registry.tags.clear()
    with stage.running():
        for _ in range(3):
            assert stage.get("/v2/app/manifests/1.0").body == image.raw
        assert stage.asked.count("GET /v2/app/tags/list?n=1") == 1


# --- what is about signed content, where that is handed out


def about(stage: ProxyStage, subject: Stored, **members: object) -> Stored:
    document = json.loads(stage.registry.artifact("about", subject).raw) | members
    made = Stored(raw=json.dumps(document).encode(), kind=str(document["mediaType"]), layer="")
    stage.registry.manifests[made.digest] = made
    return made


@pytest.mark.parametrize(
    "kind",
    [
        "application/vnd.oci.image.config.v1+json",
        "application/vnd.docker.container.image.v1+json",
        "application/vnd.docker.plugin.v1+json",
        "application/octet-stream",
        "",
        None,
    ],
)
def test_an_image_that_calls_itself_about_a_signed_one_is_none_the_less_an_image(
    stage: ProxyStage, image: Stored, kind: str | None
) -> None:
    """Whoever may push may write any `subject`; engines run the image and never look at it."""
    config = json.loads(image.raw)["config"] | {"mediaType": kind}
    image_about = about(stage, image, config=config)
    with stage.running(referrers=True):
        got = stage.get(f"/v2/app/manifests/{image_about.digest}")
        assert (got.status, got.code) == (403, "DENIED")


@pytest.mark.parametrize("content", [b'{"rootfs": {"type": "layers", "diff_ids": []}}', b"{ }"])
def test_an_artifact_whose_config_says_something_may_be_an_image(
    stage: ProxyStage, image: Stored, content: bytes
) -> None:
    """Not every runtime looks at the type of a config, if it can read that."""
    runnable = stage.registry.image("runnable", subject=image, config=content)
    with stage.running(referrers=True):
        assert stage.get(f"/v2/app/manifests/{runnable.digest}").status == 403
        assert stage.get(f"/v2/app/blobs/{runnable.layer}").status == 403


BUNDLE = "application/vnd.dev.sigstore.bundle.v0.3+json"
EMPTY = "application/vnd.oci.empty.v1+json"
NOTATION = "application/vnd.cncf.notary.signature"


@pytest.mark.parametrize(
    ("artifact_type", "config", "layer"),
    [
        (BUNDLE, EMPTY, BUNDLE),  # cosign 3, and cosign 2 with --new-bundle-format
        (NOTATION, EMPTY, "application/jose+json"),  # notation 1.1 and later
        ("", NOTATION, "application/cose"),  # notation 1.0: the type of the config is that of the artifact
        ("application/spdx+json", EMPTY, "application/spdx+json"),  # oras attach
        ("application/vnd.cyclonedx+json", EMPTY, EMPTY),
    ],
)
def test_what_is_attached_by_the_programs_of_others_is_handed_out(
    stage: ProxyStage, image: Stored, artifact_type: str, config: str, layer: str
) -> None:
    """The manifests as these programs write them: the content of the config is `{}`."""
    plain = json.loads(stage.registry.artifact("about", image).raw)
    annotations = {"org.opencontainers.image.created": "2026-11-30T12:00:00Z"}
    members = {
        "config": plain["config"] | {"mediaType": config, "data": "e30="},
        "layers": [plain["layers"][0] | {"mediaType": layer, "annotations": {"org.opencontainers.image.title": "x"}}],
        "annotations": annotations,
        **({"artifactType": artifact_type} if artifact_type else {}),
    }
    attached = about(stage, image, **members)
    with stage.running(referrers=True):
        got = stage.get(f"/v2/app/manifests/{attached.digest}")
        assert (got.status, got.body) == (200, attached.raw)
        for part in (plain["config"], plain["layers"][0]):
            assert stage.get(f"/v2/app/blobs/{part['digest']}").status == 200


def test_a_signature_with_the_config_of_an_image_may_be_an_image(stage: ProxyStage, image: Stored) -> None:
    """As cosign 2 writes it in its experiment with referrers: only the types say that it is none."""
    kind = "application/vnd.dev.cosign.artifact.sig.v1+json"
    content = json.dumps({"rootfs": {"type": "layers", "diff_ids": [image.layer]}, "config": {}}).encode()
    plain = json.loads(stage.registry.image("signature", subject=image, config=content).raw)
    layer = plain["layers"][0] | {"mediaType": "application/vnd.dev.cosign.simplesigning.v1+json"}
    attached = about(stage, image, config=plain["config"] | {"mediaType": kind}, layers=[layer])
    with stage.running(referrers=True):
        assert stage.get(f"/v2/app/manifests/{attached.digest}").status == 403


def test_an_artifact_that_some_programs_read_as_an_image_is_not_handed_out(stage: ProxyStage, image: Stored) -> None:
    """Go's programs take `MediaType` for `mediaType`, and the later one of two."""
    config = json.loads(stage.registry.artifact("about", image).raw)["config"]
    runnable = about(stage, image, config=config | {"MediaType": "application/vnd.oci.image.config.v1+json"})
    with stage.running(referrers=True):
        got = stage.get(f"/v2/app/manifests/{runnable.digest}")
        assert (got.status, got.code) == (403, "DENIED")


def test_an_index_or_an_image_of_docker_s_is_no_referrer(stage: ProxyStage, image: Stored) -> None:
    other = stage.registry.image("other")
    listed = {"mediaType": MANIFEST, "digest": other.digest, "size": len(other.raw)}
    subject = {"mediaType": MANIFEST, "digest": image.digest, "size": len(image.raw)}
    raw = json.dumps({"schemaVersion": 2, "mediaType": INDEX, "manifests": [listed], "subject": subject}).encode()
    index = Stored(raw=raw, kind=INDEX)
    stage.registry.manifests[index.digest] = index
    docker = about(stage, image, mediaType="application/vnd.docker.distribution.manifest.v2+json")
    with stage.running(referrers=True):
        for digest in (index.digest, other.digest, docker.digest):
            assert stage.get(f"/v2/app/manifests/{digest}").status == 403
