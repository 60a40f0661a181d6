"""What crictl and Kubernetes say of containers that run: which digests, and what is no digest."""

from __future__ import annotations

from typing import Any

import pytest

from trustcli.registry.running import MAX_CONTAINERS, NotThatList, Running, of_crictl, of_engine, of_pods

D, E = "sha256:" + "d" * 64, "sha256:" + "e" * 64
ID = "sha256:" + "1" * 64
APP = "registry.example.com/team/app"


def one(found: list[Running]) -> Running:
    (only,) = found
    return only


def ps(image: str, ref: str, state: str = "CONTAINER_RUNNING", given: str = "") -> dict[str, Any]:
    """A row of `crictl ps -o json`, as crictl 1.29 prints it."""
    return {
        "id": "24ca73d0b8b02093e6ec2217546a97f919f33718ec38cfa81e589eeb4f8e7040",
        "podSandboxId": "d9795a1474428ec74f70a83a03df842e1c9f540855592a584c668a885cc32b7b",
        "metadata": {"name": "web", "attempt": 4},
        "image": {"image": image, "annotations": {}, "userSpecifiedImage": given},
        "imageRef": ref,
        "state": state,
        "createdAt": "1717161223054406170",
        "labels": {"io.kubernetes.pod.name": "app-1", "io.kubernetes.pod.namespace": "shop"},
        "annotations": {},
    }


def listed(*rows: dict[str, Any]) -> dict[str, Any]:
    return {"containers": list(rows)}


def images(*rows: dict[str, Any]) -> dict[str, Any]:
    return {"images": list(rows)}


# --- an engine


@pytest.mark.parametrize(
    ("image", "digests", "contents"),
    [
        (f"{APP}:1.0", [f"{APP}@{D}"], (f"{APP}@{D}",)),
        (f"{APP}:1.0", [f"mirror.example.net/app@{E}", f"{APP}@{D}"], (f"{APP}@{D}",)),
        (f"{APP}:1.0", [f"{APP}@{D}", f"{APP}@{E}"], (f"{APP}@{D}", f"{APP}@{E}")),
        (f"{APP}@{E}", [f"{APP}@{D}"], (f"{APP}@{E}",)),
        (f"{APP}:1.0@{E}", [], (f"{APP}@{E}",)),
        (ID, [f"{APP}@{D}", f"mirror.example.net/app@{E}"], (f"{APP}@{D}", f"mirror.example.net/app@{E}")),
        ("retagged:here", [f"{APP}@{D}"], (f"{APP}@{D}",)),
        ("nginx", [f"nginx@{D}"], (f"docker.io/library/nginx@{D}",)),
        ("NO NAME", [f"{APP}@{D}", "NO NAME@x", "<none>@<none>"], (f"{APP}@{D}",)),
    ],
)
def test_the_digest_is_that_of_the_name_by_which_it_was_started(
    image: str, digests: list[str], contents: tuple[str, ...]
) -> None:
    entry = {"Names": ["/web"], "Image": image, "ImageID": ID}
    assert one(of_engine([entry], {ID: digests})).contents == contents


@pytest.mark.parametrize("image", [ID, "1" * 64, f"{APP}:1.0", ""])
def test_an_id_is_no_digest(image: str) -> None:
    found = one(of_engine([{"Names": ["/web"], "Image": image, "ImageID": ID}], {ID: ()}))
    assert found.contents == ()
    assert found.unknown


# --- crictl


def test_cri_o_says_the_digest() -> None:
    found = one(of_crictl([listed(ps("1" * 64, f"{APP}@{D}"))]))
    assert (found.container, found.contents) == ("shop/app-1/web", (f"{APP}@{D}",))


def test_containerd_says_the_id_and_its_list_of_images_the_digest() -> None:
    row = ps(ID, ID, given=f"{APP}:1.0")
    alone = one(of_crictl([listed(row)]))
    assert alone.contents == ()
    assert "crictl images -o json" in alone.unknown
    known = images({"id": ID, "repoTags": [f"{APP}:1.0"], "repoDigests": [f"{APP}@{D}"], "size": "1"})
    for documents in ([listed(row), known], [known, listed(row)], [{**listed(row), **known}]):
        found = one(of_crictl(documents))
        assert (found.image, found.contents) == (f"{APP}:1.0", (f"{APP}@{D}",))


def test_an_image_that_was_loaded_has_no_digest_of_a_registry() -> None:
    found = one(of_crictl([listed(ps(ID, ID)), images({"id": "1" * 64, "repoDigests": []})]))
    assert "no digest of a registry" in found.unknown


def test_what_runs_no_more_is_left_out() -> None:
    assert of_crictl([listed(ps(ID, f"{APP}@{D}", "CONTAINER_EXITED"))]) == []


# --- Kubernetes


def pod(image_id: str, state: str = "running", image: str = f"{APP}:1.0", member: str = "containerStatuses") -> Any:
    status = {"name": "web", "image": image, "imageID": image_id, "state": {state: {}}}
    return {"kind": "Pod", "metadata": {"name": "app-1", "namespace": "shop"}, "status": {member: [status]}}


@pytest.mark.parametrize("image_id", [f"{APP}@{D}", f"docker-pullable://{APP}@{D}"])
@pytest.mark.parametrize("member", ["containerStatuses", "initContainerStatuses", "ephemeralContainerStatuses"])
@pytest.mark.parametrize("kind", ["List", "PodList"])
def test_a_pod_says_the_digest(image_id: str, member: str, kind: str) -> None:
    found = one(of_pods({"kind": kind, "items": [pod(image_id, member=member)]}))
    assert (found.container, found.image, found.contents) == ("shop/app-1/web", f"{APP}:1.0", (f"{APP}@{D}",))


@pytest.mark.parametrize("image_id", [ID, f"docker://{ID}", "", "1" * 64])
def test_an_id_of_a_pod_is_no_digest(image_id: str) -> None:
    found = one(of_pods(pod(image_id)))
    assert found.contents == ()
    assert "only the id" in found.unknown


@pytest.mark.parametrize("state", ["waiting", "terminated"])
def test_a_pod_that_does_not_run_is_left_out(state: str) -> None:
    assert of_pods(pod(f"{APP}@{D}", state)) == []
    assert of_pods({"kind": "List", "items": [{"kind": "Pod", "metadata": {}}]}) == []


# --- what is none of them


@pytest.mark.parametrize(
    ("read", "document"),
    [
        (of_pods, {"kind": "Deployment"}),
        (of_pods, {"kind": "List", "items": [{"kind": "Service"}]}),
        (of_pods, {"kind": "List", "items": {}}),
        (of_pods, []),
        (of_pods, {"kind": "Pod", "status": [1]}),
        (of_crictl, [{}]),
        (of_crictl, [[]]),
        (of_crictl, [{"containers": [1]}]),
        (of_crictl, [{"images": {}}]),
        (of_crictl, [{"containers": [{"image": "x"}]}]),
    ],
)
def test_what_is_no_such_list_is_refused(read: Any, document: Any) -> None:
    with pytest.raises(NotThatList):
        read(document)


def test_a_list_without_end_is_refused() -> None:
    row = ps(ID, f"{APP}@{D}")
    with pytest.raises(NotThatList, match=f"more than {MAX_CONTAINERS}"):
        of_crictl([listed(*[row] * (MAX_CONTAINERS + 1))])
