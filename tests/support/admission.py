"""AdmissionReviews as an API server sends them, and what answers to them say."""

from __future__ import annotations

import base64
import copy
import json
from collections.abc import Mapping, Sequence
from typing import Any, Final

Object = dict[str, Any]
UID: Final = "705ab4f5-6393-11e8-b7cc-42010a800002"
_TEMPLATE: Final = ("spec", "template")
KINDS: Final[Mapping[str, tuple[str, tuple[str, ...]]]] = {
    "Pod": ("v1", ()),
    "PodTemplate": ("v1", ("template",)),
    "ReplicationController": ("v1", _TEMPLATE),
    "Deployment": ("apps/v1", _TEMPLATE),
    "ReplicaSet": ("apps/v1", _TEMPLATE),
    "StatefulSet": ("apps/v1", _TEMPLATE),
    "DaemonSet": ("apps/v1", _TEMPLATE),
    "Job": ("batch/v1", _TEMPLATE),
    "CronJob": ("batch/v1", ("spec", "jobTemplate", *_TEMPLATE)),
}
"""Every kind with a Pod, with its version and where its template stands."""


def pod_spec(*images: str, **members: Any) -> Object:
    """A specification with a container for each image: `c0`, `c1` and so on."""
    containers = [{"name": f"c{number}", "image": image} for number, image in enumerate(images)]
    return {"containers": containers, **members}


def holding(kind: str, spec: Object) -> Object:
    """An object of a kind with this specification of its Pod."""
    version, path = KINDS[kind]
    inner: Object = {"metadata": {"labels": {"app": "app"}}, "spec": copy.deepcopy(spec)}
    for name in reversed(path):
        inner = {name: inner}
    metadata = {"name": "app", "namespace": "team-a", **inner.pop("metadata", {})}
    return {"apiVersion": version, "kind": kind, "metadata": metadata, **inner}


def pod(*images: str, **members: Any) -> Object:
    """A Pod with a container for each image."""
    return holding("Pod", pod_spec(*images, **members))


def review(
    thing: Object | None,
    *,
    operation: str = "CREATE",
    old: Object | None = None,
    namespace: str = "team-a",
    kind: str = "",
    **members: Any,
) -> Object:
    """The review of a request about an object. `kind`: `apps/v1 Deployment`, if it is not the object's own."""
    shown = thing or old or {}
    version, name = kind.split() if kind else (shown["apiVersion"], shown["kind"])
    group, _, version = version.rpartition("/")
    about = {"group": group, "version": version, "kind": name}
    return {
        "apiVersion": "admission.k8s.io/v1",
        "kind": "AdmissionReview",
        "request": {
            "uid": UID,
            "kind": about,
            "resource": {"group": group, "version": version, "resource": f"{name.lower()}s"},
            "requestKind": about,
            "name": "app",
            "namespace": namespace,
            "operation": operation,
            "userInfo": {"username": "jane"},
            "object": thing,
            "oldObject": old,
            "dryRun": False,
            "options": None,
            **members,
        },
    }


def sent(document: Object) -> bytes:
    """A review as bytes."""
    return json.dumps(document).encode()


def answered(raw: bytes) -> Object:
    """The response of an answer, whose frame is checked as an API server checks it."""
    document = json.loads(raw)
    assert (document["apiVersion"], document["kind"]) == ("admission.k8s.io/v1", "AdmissionReview")
    response: Object = document["response"]
    assert response["uid"] == UID
    assert isinstance(response["allowed"], bool)
    return response


def patched(thing: Object, response: Object) -> Object:
    """The object after the patch of an answer, by RFC 6902 as far as these patches go; unchanged without one."""
    result = copy.deepcopy(thing)
    if "patch" not in response:
        return result
    assert response["patchType"] == "JSONPatch"
    for operation in json.loads(base64.b64decode(response["patch"])):
        *parents, last = (part.replace("~1", "/").replace("~0", "~") for part in operation["path"].split("/")[1:])
        parent: Any = result
        for name in parents:
            parent = parent[int(name)] if isinstance(parent, list) else parent[name]
        assert last in parent
        if operation["op"] == "test":
            assert parent[last] == operation["value"]
        else:
            assert operation["op"] == "replace"
            parent[last] = operation["value"]
    return result


def images_of(value: Any) -> list[str]:
    """Every text under a member `image` or `reference`, wherever it stands."""
    if isinstance(value, Mapping):
        own = [found for name in ("image", "reference") if isinstance(found := value.get(name), str)]
        return own + [image for each in value.values() for image in images_of(each)]
    if isinstance(value, Sequence) and not isinstance(value, str):
        return [image for each in value for image in images_of(each)]
    return []
