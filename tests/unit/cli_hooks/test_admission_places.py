"""The table of places with images holds every place that a release of Kubernetes has."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from functools import cache
from importlib.resources import files
from typing import Any, Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.admission import KINDS, Object, images_of, pod, review, sent
from trustcli.errors import ReviewMalformed
from trustcli.hooks.kubernetes.pod_images import POD_SPECS, image_places, images_to_judge
from trustcli.hooks.kubernetes.review import Kind, read_review, read_sent

_SCHEMAS: Final = files("kubernetes_validate").joinpath("kubernetes-json-schema")
RELEASES: Final = sorted(entry.name for entry in _SCHEMAS.iterdir() if entry.name.endswith("-local"))
_NAMED_ALIKE: Final = {
    "volumes[].rbd.image": "a block device of Ceph",
}
"""Members of a PodSpec whose names say image, and which name no container image."""
IN_A_POD: Final = {
    "containers[].image",
    "initContainers[].image",
    "ephemeralContainers[].image",
    "volumes[].image.reference",
}
_POD_SPEC: Final = "io.k8s.api.core.v1.PodSpec"
_TEMPLATE: Final = "io.k8s.api.core.v1.PodTemplateSpec"


@cache
def definitions(release: str) -> Mapping[str, Any]:
    document = json.loads(_SCHEMAS.joinpath(release, "_definitions.json").read_text())
    found: Mapping[str, Any] = document.get("$defs") or document["definitions"]
    return found


def members(definition: Mapping[str, Any]) -> Iterator[tuple[str, str, str]]:
    """Every member of an object: its name, `[]` if it is a list, and the definition of what it holds ("" for none)."""
    for name, rule in definition.get("properties", {}).items():
        inner = rule.get("items", rule)
        choices = [inner, *inner.get("anyOf", ()), *inner.get("allOf", ())]
        reference = next((choice["$ref"] for choice in choices if "$ref" in choice), "")
        yield name, "[]" if "items" in rule else "", reference.rpartition("/")[2]


def image_members(release: str, kind: str, above: tuple[str, ...] = ()) -> Iterator[str]:
    """The path of every member below a kind of object whose name says that it names an image."""
    for name, many, below in members(definitions(release)[kind]):
        if below and below not in above:
            yield from (f"{name}{many}.{path}" for path in image_members(release, below, (*above, kind)))
        elif not below and re.search("image|reference", name, re.IGNORECASE) and "Policy" not in name:
            yield f"{name}{many}"


def test_there_are_releases() -> None:
    assert len(RELEASES) >= 10


@pytest.mark.parametrize("release", RELEASES)
def test_no_release_has_an_image_at_another_place_of_a_pod(release: str) -> None:
    found = set(image_members(release, _POD_SPEC))
    assert found - set(_NAMED_ALIKE) <= IN_A_POD
    assert found >= {"containers[].image", "initContainers[].image", "ephemeralContainers[].image"}


@pytest.mark.parametrize("release", RELEASES)
def test_no_release_has_another_kind_that_holds_the_template_of_a_pod(release: str) -> None:
    known = definitions(release)
    above: dict[str, set[str]] = {}
    for kind, definition in known.items():
        for _, _, below in members(definition):
            above.setdefault(below, set()).add(kind)
    found, seen = set(), {_TEMPLATE}
    waiting = [_TEMPLATE]
    while waiting:
        for kind in above.get(waiting.pop(), set()) - seen:
            seen.add(kind)
            waiting.append(kind)
            for each in known[kind].get("x-kubernetes-group-version-kind", ()):
                found.add(Kind(group=each["group"], version=each["version"], kind=each["kind"]))
    workloads = {kind for kind in found if not kind.kind.endswith("List")}
    assert workloads == {kind for kind in POD_SPECS if kind.kind != "Pod"}


def test_the_table_of_the_tests_is_that_of_the_program() -> None:
    assert {(kind.api_version, kind.kind) for kind in POD_SPECS} == {(KINDS[kind][0], kind) for kind in KINDS}


# --- any object

_NAMES: Final = st.sampled_from(["a", "b", ""])
_IMAGES: Final = st.sampled_from(["app:1", "team/app:2", f"app@sha256:{'ab' * 32}", "", " "])
_HOLDERS: Final = st.sampled_from(["containers", "initContainers", "ephemeralContainers", "volumes", "newContainers"])
_ENTRIES: Final = st.fixed_dictionaries(
    {"name": _NAMES},
    optional={
        "image": _IMAGES | st.none() | st.fixed_dictionaries({"reference": _IMAGES}) | st.integers(),
        "env": st.just([{"name": "image", "value": "no/image:1"}]),
        "emptyDir": st.just({}),
    },
)
_SPECS: Final = st.dictionaries(_HOLDERS, st.lists(_ENTRIES, max_size=3) | st.none(), max_size=5)


@given(_SPECS)
def test_no_image_escapes(spec: Object) -> None:
    thing = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "app"}, "spec": spec}
    kind = read_review(read_sent(sent(review(thing)))).kind
    try:
        places = image_places(kind, thing, "object")
    except ReviewMalformed:
        assert any("image" in entry for entry in _entries(spec))
    else:
        assert sorted(filter(None, (place.image for place in places))) == sorted(filter(None, images_of(spec)))
        for place in places:
            value: Any = thing
            for name in place.path[:-1]:
                value = value[name]
            assert value.get(place.path[-1]) in {place.image, None}


def _entries(spec: Object) -> list[Object]:
    return [entry for entries in spec.values() for entry in entries or ()]


@given(st.lists(st.tuples(_NAMES, _IMAGES), max_size=4), st.lists(st.tuples(_NAMES, _IMAGES), max_size=4))
def test_an_update_never_brings_an_image_unseen(before: list[tuple[str, str]], after: list[tuple[str, str]]) -> None:
    old, new = ([{"name": name, "image": image} for name, image in pairs] for pairs in (before, after))
    document = review(pod(containers=new), operation="UPDATE", old=pod(containers=old))
    judged = [(place.name, place.image) for place in images_to_judge(read_review(read_sent(sent(document))))]
    remaining = list(before)
    for pair in after:
        if pair in remaining:
            remaining.remove(pair)
        else:
            judged.remove(pair)
    assert judged == []
