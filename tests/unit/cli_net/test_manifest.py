from __future__ import annotations

import hashlib
import json
from contextlib import suppress

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from trustcli.errors import ImageNotSupported
from trustcli.registry.manifest import (
    DOCKER_LIST,
    DOCKER_MANIFEST,
    OCI_ARTIFACT,
    OCI_INDEX,
    OCI_MANIFEST,
    ORAS_ARTIFACT,
    Manifest,
    read_manifest,
)

A, B = "a" * 64, "b" * 64


def read(content: object, content_type: str = "") -> Manifest:
    raw = content if isinstance(content, bytes) else json.dumps(content).encode()
    return read_manifest(raw, content_type=content_type, image="r.example/app:1")


def index(*digests: object, media_type: str = OCI_INDEX) -> dict[str, object]:
    return {"schemaVersion": 2, "mediaType": media_type, "manifests": [{"digest": d} for d in digests]}


@pytest.mark.parametrize("media_type", [OCI_INDEX, DOCKER_LIST])
def test_children_in_order_each_once(media_type: str) -> None:
    found = read(index(f"sha256:{B}", f"sha256:{A}", f"sha256:{B}", media_type=media_type))
    assert found.children == (B, A)
    assert found.media_type == media_type


@pytest.mark.parametrize("media_type", [OCI_MANIFEST, DOCKER_MANIFEST])
def test_a_manifest_without_a_type_has_that_of_the_header(media_type: str) -> None:
    found = read({"schemaVersion": 2, "config": {}, "layers": []}, f"{media_type}; charset=utf-8")
    assert (found.media_type, found.children) == (media_type, ())


def test_digest_and_size_are_those_of_the_bytes() -> None:
    raw = b' {"schemaVersion": 2, "mediaType": "%s"}\n' % OCI_MANIFEST.encode()
    found = read(raw)
    assert found.digest == f"sha256:{hashlib.sha256(raw).hexdigest()}"
    assert found.size == len(raw)


def test_256_children_and_one_more() -> None:
    many = [f"sha256:{n:064x}" for n in range(257)]
    assert len(read(index(*many[:256])).children) == 256
    with pytest.raises(ImageNotSupported, match="257 manifests, more than 256"):
        read(index(*many))


@pytest.mark.parametrize("content_type", ["", "application/json", "text/plain; charset=utf-8", "nonsense"])
def test_what_it_is_its_bytes_say(content_type: str) -> None:
    """Whatever the registry calls it, as static file servers and some caches do; charts of Helm name no type."""
    single = {"schemaVersion": 2, "config": {"mediaType": "application/vnd.cncf.helm.config.v1+json"}, "layers": []}
    assert read(single, content_type).media_type == OCI_MANIFEST
    assert read({**single, "mediaType": DOCKER_MANIFEST}, content_type).media_type == DOCKER_MANIFEST
    untyped = {"schemaVersion": 2, "manifests": [{"digest": f"sha256:{A}"}]}
    assert read(untyped, content_type).children == (A,)
    for artifact in (OCI_ARTIFACT, ORAS_ARTIFACT):
        assert read({"mediaType": artifact, "blobs": []}, content_type).media_type == artifact


def test_the_registry_may_call_a_manifest_by_its_other_name() -> None:
    assert (
        read({"schemaVersion": 2, "mediaType": OCI_MANIFEST, "layers": []}, DOCKER_MANIFEST).media_type == OCI_MANIFEST
    )
    assert read(index(f"sha256:{A}"), DOCKER_LIST).media_type == OCI_INDEX


def test_attestations_are_no_platforms() -> None:
    attestation = {
        "digest": f"sha256:{B}",
        "platform": {"architecture": "unknown", "os": "unknown"},
        "annotations": {"vnd.docker.reference.type": "attestation-manifest", "vnd.docker.reference.digest": "x"},
    }
    found = read({**index(f"sha256:{A}"), "manifests": [{"digest": f"sha256:{A}"}, attestation]})
    assert found.children == (A,)


@pytest.mark.parametrize(
    "platform",
    [
        {},
        {"platform": None},
        {"platform": {}},
        {"platform": {"architecture": "amd64", "os": "linux"}},
        {"platform": {"architecture": "unknown", "os": "linux"}},
        {"platform": {"architecture": "unknown"}},
    ],
)
def test_what_an_engine_may_run_is_no_attestation_whatever_it_calls_itself(platform: dict[str, object]) -> None:
    """Engines choose by the platform, and run what names none: a list of denied digests must find it."""
    disguised = {"digest": f"sha256:{B}", "annotations": {"vnd.docker.reference.type": "attestation-manifest"}}
    found = read({**index(f"sha256:{A}"), "manifests": [{"digest": f"sha256:{A}"}, {**disguised, **platform}]})
    assert found.children == (A, B)


def test_indexes_in_an_index_are_named() -> None:
    entries = [{"digest": f"sha256:{A}", "mediaType": OCI_INDEX}, {"digest": f"sha256:{B}", "mediaType": [OCI_INDEX]}]
    found = read({**index(), "manifests": entries})
    assert (found.children, found.inner) == ((A, B), (A,))


@pytest.mark.parametrize(
    ("content", "content_type", "words"),
    [
        (b"", OCI_MANIFEST, "not JSON"),
        (b"\xff", OCI_MANIFEST, "not JSON"),
        (b"[" * 100_000, OCI_MANIFEST, "not JSON"),
        ([], OCI_MANIFEST, "not a JSON object"),
        (b'{"schemaVersion": 2, "schemaVersion": 2}', OCI_MANIFEST, "twice"),
        ({"schemaVersion": 1, "fsLayers": []}, "", "schema 1"),
        ({"schemaVersion": 2}, "application/vnd.docker.distribution.manifest.v1+prettyjws", "schema 1"),
        ({}, OCI_MANIFEST, "schemaVersion 2"),
        ({"schemaVersion": True}, OCI_MANIFEST, "schemaVersion 2"),
        ({"schemaVersion": "2"}, OCI_MANIFEST, "schemaVersion 2"),
        ({"schemaVersion": 2}, "", "no image"),
        ({"schemaVersion": 2}, "text/html", "no image"),
        ({"schemaVersion": 2, "mediaType": "text/html"}, OCI_MANIFEST, "no image"),
        ({"schemaVersion": 2, "mediaType": 5}, OCI_MANIFEST, "no image"),
        ({"schemaVersion": 2, "mediaType": OCI_MANIFEST}, OCI_INDEX, "registry calls it"),
        ({"schemaVersion": 2, "config": {}, "layers": []}, DOCKER_LIST, "registry calls it"),
        ({"schemaVersion": 2, "config": {}, "layers": [], "manifests": []}, "", "not built like one"),
        ({"schemaVersion": 2, "blobs": [], "manifests": []}, "", "not built like one"),
        ({"schemaVersion": 2, "config": {}}, OCI_MANIFEST, "built like none"),
        ({"blobs": []}, OCI_ARTIFACT, "schemaVersion 2"),
        ({"schemaVersion": 1, "mediaType": OCI_ARTIFACT, "blobs": []}, "", "schema 1"),
        (index(f"sha256:{A}"), OCI_MANIFEST, "registry calls it"),
        ({**index(), "mediaType": OCI_MANIFEST}, "", "not built like one"),
        ({**index(), "layers": []}, "", "not built like one"),
        ({**index(), "config": {}}, "", "not built like one"),
        ({"schemaVersion": 2, "mediaType": OCI_INDEX}, "", "not built like one"),
        ({**index(), "manifests": {}}, "", "no list"),
        (index("sha512:" + A + A), "", "manifest 0 of its index"),
        (index(f"sha256:{A}", None), "", "manifest 1 of its index"),
        (index(f"sha256:{A.upper()}"), "", "manifest 0"),
        (index(f"sha256:{A}\n"), "", "manifest 0"),
        ({**index(), "manifests": ["x"]}, "", "manifest 0"),
        ({**index(f"sha256:{A}"), "Manifests": [{"digest": f"sha256:{B}"}]}, "", "'Manifests'.*for manifests"),
        ({"schemaVersion": 2, "config": {}, "layers": [], "Layers": []}, OCI_MANIFEST, "'Layers'.*for layers"),
        ({"schemaVersion": 2, "config": {}, "layers": [], "layer\u017f": []}, OCI_MANIFEST, "for layers"),
        ({"schemaVersion": 2, "config": {"mediatype": "a/b"}, "layers": []}, OCI_MANIFEST, "for mediaType"),
        ({"schemaVersion": 2, "config": {}, "layers": [{"Digest": f"sha256:{A}"}]}, OCI_MANIFEST, "for digest"),
        ({**index(), "manifests": [{"digest": f"sha256:{A}", "Digest": f"sha256:{B}"}]}, "", "for digest"),
        ({"mediaType": OCI_ARTIFACT, "blobs": [], "SUBJECT": {}}, "", "for subject"),
    ],
)
def test_what_is_no_image_to_sign(content: object, content_type: str, words: str) -> None:
    with pytest.raises(ImageNotSupported, match=words):
        read(content, content_type)


def test_annotations_and_unknown_members_are_spelled_as_anybody_likes() -> None:
    annotations = {"Digest": "x", "digest": "y", "MediaType": "z"}
    listed = {"digest": f"sha256:{A}", "annotations": annotations, "Platform": {}}
    assert read({**index(), "manifests": [listed], "annotations": annotations, "Other": 1}).children == (A,)


@settings(deadline=None)
@given(st.binary(max_size=200), st.sampled_from([OCI_INDEX, OCI_MANIFEST, "", "x"]))
def test_any_bytes_are_read_or_refused(raw: bytes, content_type: str) -> None:
    with suppress(ImageNotSupported):
        assert read(raw, content_type).size == len(raw)
