"""Find the images of a Pod, and of everything that holds the template of one.

Sources: the reference of Kubernetes' API (PodSpec v1, Container, EphemeralContainer, ImageVolumeSource), and of the
kinds that have a PodTemplateSpec.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Final, TypeAlias

from keys.record import record
from trustcli.errors import ReviewMalformed
from trustcli.hooks.kubernetes.review import Kind, Object, Review

Path: TypeAlias = tuple[str | int, ...]
POD: Final = Kind(group="", version="v1", kind="Pod")
_TEMPLATE: Final = ("spec", "template", "spec")
POD_SPECS: Final[Mapping[Kind, tuple[str, ...]]] = {
    POD: ("spec",),
    Kind(group="", version="v1", kind="PodTemplate"): ("template", "spec"),
    Kind(group="", version="v1", kind="ReplicationController"): _TEMPLATE,
    **{
        Kind(group="apps", version="v1", kind=kind): _TEMPLATE
        for kind in ("Deployment", "ReplicaSet", "StatefulSet", "DaemonSet")
    },
    Kind(group="batch", version="v1", kind="Job"): _TEMPLATE,
    Kind(group="batch", version="v1", kind="CronJob"): ("spec", "jobTemplate", *_TEMPLATE),
}
"""Where the specification of the Pod stands in each kind. Other versions of these kinds are unknown: they could have
images elsewhere, and an API server converts to these as long as it serves them (`matchPolicy: Equivalent`)."""
WITHOUT_IMAGES: Final = frozenset(
    {
        Kind(group="autoscaling", version="v1", kind="Scale"),
        Kind(group="policy", version="v1", kind="Eviction"),
        Kind(group="", version="v1", kind="Binding"),
    }
)
"""What is created or updated below these kinds (`/scale`, `/eviction`, `/binding`) and names no image."""
_CONTAINERS: Final[Mapping[str, str]] = {
    "initContainers": "init container",
    "containers": "container",
    "ephemeralContainers": "ephemeral container",
}
_VOLUMES: Final = "volumes"
_VOLUME: Final = "image volume"


@record
class ImagePlace:
    """An image of an object. `path`: of its text, from the object on. `holder`: what kind of thing names it.

    `name`: of the container or volume. `image`: as it stands there; "" if nothing does.
    """

    path: Path
    holder: str
    name: str
    image: str

    def __str__(self) -> str:
        return f'{self.holder} "{self.name}"'


def images_to_judge(review: Review) -> tuple[ImagePlace, ...]:
    """Return the images that a request brings: all of what is created, and of an update what it adds or changes.

    An image that moves to another container is one that is changed: in that place nobody has judged it. A template may
    leave out an image, since nothing runs before a Pod names one. Raises: ReviewMalformed, also if the kind is unknown.
    """
    if review.operation in {"DELETE", "CONNECT"} or review.kind in WITHOUT_IMAGES:
        return ()
    if review.kind not in POD_SPECS:
        reason = f"is {review.kind}, of which it is not known where images stand; take it out of the webhook's rules"
        raise ReviewMalformed(place="request.kind", reason=reason)
    places = image_places(review.kind, review.object, "request.object")
    if review.operation == "UPDATE" and review.old_object:
        kept = Counter(map(_identity, image_places(review.kind, review.old_object, "request.oldObject")))
        places = [place for place in places if not _is_kept(place, kept)]
    elif not places and review.kind == POD:
        raise ReviewMalformed(place="request.object.spec", reason="holds no container")
    if review.kind != POD:
        return tuple(place for place in places if place.image)
    return tuple(places)


def image_places(kind: Kind, document: Object, where: str) -> list[ImagePlace]:
    """Return every image of an object. `where`: the object, for messages. Raises: ReviewMalformed."""
    if document.get("kind") != kind.kind or document.get("apiVersion") != kind.api_version:
        raise ReviewMalformed(place=where, reason=f"is no {kind}")
    way = POD_SPECS[kind]
    spec = document
    for name in way:
        spec = _object(spec.get(name), f"{where}.{name}")
    path: Path = way
    places: list[ImagePlace] = []
    for member, value in spec.items():
        if member == _VOLUMES:
            places += _volumes(_list(value, f"{where}.{_VOLUMES}"), (*path, _VOLUMES), where)
        elif member in _CONTAINERS:
            places += _containers(_list(value, f"{where}.{member}"), (*path, member), where)
        elif isinstance(value, list) and any(isinstance(entry, dict) and "image" in entry for entry in value):
            reason = "holds images, and is not known: this program is older than the cluster"
            raise ReviewMalformed(place=_place(where, (*path, member)), reason=reason)
    return places


def _containers(entries: Sequence[object], path: Path, where: str) -> Iterator[ImagePlace]:
    holder = _CONTAINERS[str(path[-1])]
    for index, entry in enumerate(entries):
        place = (*path, index)
        container = _object(entry, _place(where, place), absent=False)
        image = _text(container.get("image"), where, (*place, "image"))
        name = _text(container.get("name"), where, (*place, "name"))
        yield ImagePlace(path=(*place, "image"), holder=holder, name=name, image=image)


def _volumes(entries: Sequence[object], path: Path, where: str) -> Iterator[ImagePlace]:
    for index, entry in enumerate(entries):
        place = (*path, index)
        volume = _object(entry, _place(where, place), absent=False)
        if volume.get("image") is None:
            continue
        place = (*place, "image")
        source = _object(volume["image"], _place(where, place))
        reference = _text(source.get("reference"), where, (*place, "reference"))
        name = _text(volume.get("name"), where, (*path, index, "name"))
        yield ImagePlace(path=(*place, "reference"), holder=_VOLUME, name=name, image=reference)


def _identity(place: ImagePlace) -> tuple[str, str, str]:
    return place.holder, place.name, place.image


def _is_kept(place: ImagePlace, kept: Counter[tuple[str, str, str]]) -> bool:
    """Return whether the old object had this image in this container; each of its own counts once."""
    identity = _identity(place)
    if not kept[identity]:
        return False
    kept[identity] -= 1
    return True


def _object(value: object, place: str, *, absent: bool = True) -> Object:
    if value is None and absent:
        return {}
    if not isinstance(value, dict):
        raise ReviewMalformed(place=place, reason="is no object")
    return value


def _list(value: object, place: str) -> Sequence[object]:
    if value is None:
        return ()
    if not isinstance(value, list):
        raise ReviewMalformed(place=place, reason="is no list")
    return value


def _text(value: object, where: str, path: Path) -> str:
    if value is None:
        return ""
    if not isinstance(value, str):
        raise ReviewMalformed(place=_place(where, path), reason="is no text")
    return value


def _place(where: str, path: Path) -> str:
    return where + "".join(f"[{name}]" if isinstance(name, int) else f".{name}" for name in path)
