"""A policy in a registry: fetched by digest, and believed in nothing else."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator

import pytest

from tests.support.fake_registry import FakeRegistry
from tests.support.fake_registry import Stored as StoredImage
from tests.support.hostile_server import answering, reply
from tests.support.network_users import Stored, network_of
from tests.support.policy_artifacts import PolicyArtifact, policy_artifact
from tests.unit.cli_net.conftest import Serve
from trustcli.errors import ImageNotFound
from trustcli.registry.client import Registry
from trustcli.registry.policy_artifact import MAX_POLICY, fetch_policy
from trustcli.registry.reference import parse_reference
from trustdata.errors import ContentMismatch, PolicyMalformed, TooLarge

pytestmark = pytest.mark.allow_hosts(["127.0.0.1", "127.0.0.2"])

TEXT = '[[rule]]\nmatch = "*"\n'
Fetch = Callable[[FakeRegistry, str], bytes]


@pytest.fixture
def fetch(environ: dict[str, str], serve: Serve) -> Iterator[Fetch]:
    made: list[Registry] = []

    def fetched(registry: FakeRegistry, digest: str) -> bytes:
        made.append(Registry(network_of(environ), Stored()))
        return fetch_policy(made[-1], parse_reference(f"{serve(registry).netloc}/app@{digest}"))

    yield fetched
    for registry in made:
        registry.close()


def holding(artifact: PolicyArtifact) -> FakeRegistry:
    registry = FakeRegistry(blobs=dict(artifact.contents))
    registry.manifests[artifact.digest] = StoredImage(raw=artifact.contents[artifact.digest])
    return registry


def test_the_layer_is_the_policy(fetch: Fetch) -> None:
    artifact = policy_artifact(TEXT)
    assert fetch(holding(artifact), artifact.digest) == TEXT.encode()


def test_other_bytes_are_refused(fetch: Fetch) -> None:
    artifact, other = policy_artifact(TEXT), policy_artifact(TEXT + "\n")
    registry = holding(artifact)
    registry.manifests[artifact.digest] = StoredImage(raw=other.contents[other.digest])
    with pytest.raises(ContentMismatch):
        fetch(registry, artifact.digest)
    registry = holding(artifact)
    registry.blobs = dict.fromkeys(registry.blobs, b"other")
    with pytest.raises(ContentMismatch):
        fetch(registry, artifact.digest)


@pytest.mark.parametrize(
    "raw",
    [
        b"{",
        b"[]",
        policy_artifact(TEXT, kind="application/vnd.oci.image.layer.v1.tar+gzip"),
        policy_artifact(TEXT, layers=2),
        policy_artifact(TEXT, layers=0),
        json.dumps({"layers": [1]}).encode(),
        json.dumps({"layers": [{"mediaType": "application/vnd.content-trust.policy.v1+toml"}]}).encode(),
    ],
)
def test_what_is_no_policy_is_refused(fetch: Fetch, raw: bytes | PolicyArtifact) -> None:
    stored = StoredImage(raw=raw if isinstance(raw, bytes) else raw.contents[raw.digest])
    registry = FakeRegistry(manifests={stored.digest: stored})
    with pytest.raises(PolicyMalformed):
        fetch(registry, stored.digest)


def test_what_is_not_there_is_told(fetch: Fetch) -> None:
    artifact = policy_artifact(TEXT)
    registry = holding(artifact)
    registry.blobs.clear()
    with pytest.raises(ImageNotFound):
        fetch(registry, artifact.digest)


def test_too_much_is_not_read(fetch: Fetch) -> None:
    artifact = policy_artifact("#" * (MAX_POLICY + 1))
    with pytest.raises(TooLarge):
        fetch(holding(artifact), artifact.digest)


def test_a_layer_may_be_elsewhere(fetch: Fetch, serve: Serve) -> None:
    """Registries redirect to where their blobs are."""
    artifact = policy_artifact(TEXT)
    store = serve(holding(artifact))
    registry = holding(artifact)
    for digest in artifact.contents:
        moved = reply(307, b"", {"Location": f"{store.url}/v2/app/blobs/{digest}"})
        registry.answers[f"GET /v2/app/blobs/{digest}"] = answering(moved)
    assert fetch(registry, artifact.digest) == TEXT.encode()
    assert len(store.requests) == 1
