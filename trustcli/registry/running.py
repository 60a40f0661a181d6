"""Which containers run, and which content: read from what an engine, `crictl` or Kubernetes says of them.

Only the digest of a manifest can be judged. The id of an image is another hash, that of its configuration. What says
nothing else is listed with the reason, and is never passed over.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Final

from keys.record import record, replace
from trustcli.registry.reference import parse_reference
from trustdata.digest import is_sha256_hex
from trustdata.errors import InvalidName, shown

MAX_CONTAINERS: Final = 20_000
"""How many containers one scan judges."""
_RUNNING: Final = "CONTAINER_RUNNING"
_STATUSES: Final = ("containerStatuses", "initContainerStatuses", "ephemeralContainerStatuses")
_NO_DIGEST: Final = "the engine knows no digest of a registry for its image: it was built or loaded here"
_ONLY_ID: Final = "only the id of its image is known, which is no digest of a manifest"


class NotThatList(ValueError):
    """A document that is no list of containers, images or Pods. Its text says what is wrong."""


@record
class Running:
    """A container that runs. `container`: its name for people. `image`: as it was started.

    `contents`: what it may be, `NAME@sha256:HEX`; several if its image has several digests. None: `unknown` says why.
    """

    container: str
    image: str
    contents: tuple[str, ...] = ()
    unknown: str = ""


def of_engine(listed: object, repo_digests: Mapping[str, Sequence[str]]) -> list[Running]:
    """Return the containers in an engine's list (`GET /containers/json`).

    `repo_digests`: by the id of the image, the names with digests under which the engine has it. Raises: NotThatList.
    """
    found = []
    for entry in _objects(listed, "the list of containers"):
        names = _texts(entry.get("Names"))
        container = names[0].removeprefix("/") if names else _text(entry.get("Id"))[:12]
        image, digests = _text(entry.get("Image")), repo_digests.get(image_id(entry), ())
        found.append(_judged(Running(container=container, image=image), digests, _NO_DIGEST))
    return _few(found)


def image_ids(listed: object) -> list[str]:
    """Return the ids of the images in an engine's list, each once. Raises: NotThatList."""
    return list(dict.fromkeys(image_id(entry) for entry in _objects(listed, "the list of containers")))


def image_id(entry: Mapping[str, object]) -> str:
    """Return the id of the image of one container in an engine's list, as the engine wants it asked for."""
    return _text(entry.get("ImageID"))


def of_crictl(documents: Sequence[object]) -> list[Running]:
    """Return the running containers in what `crictl ps -o json` says.

    What `crictl images -o json` says may stand beside it: containerd names an image there by its id alone.

    Raises: NotThatList.
    """
    listed: list[Mapping[str, object]] = []
    digests: dict[str, Sequence[str]] = {}
    for document in documents:
        content = _object(document, "what crictl says")
        if "containers" not in content and "images" not in content:
            raise NotThatList("has neither containers nor images: crictl ps -o json, crictl images -o json")
        listed += _objects(content.get("containers", []), "containers")
        for image in _objects(content.get("images", []), "images"):
            digests[_bare_id(_text(image.get("id")))] = _texts(image.get("repoDigests"))
    found = []
    for entry in listed:
        if entry.get("state", _RUNNING) != _RUNNING:
            continue
        metadata, labels, image = (_object(entry.get(name) or {}, name) for name in ("metadata", "labels", "image"))
        pod = [_text(labels.get(f"io.kubernetes.pod.{part}")) for part in ("namespace", "name")]
        container = "/".join(filter(None, [*pod, _text(metadata.get("name")) or _text(entry.get("id"))[:12]]))
        started = _text(image.get("userSpecifiedImage")) or _text(image.get("image"))
        known = _text(entry.get("imageRef"))
        names = [known] if "@" in known else digests.get(_bare_id(known), ())
        why = f"{_ONLY_ID}; crictl images -o json has the digests" if not digests else _NO_DIGEST
        found.append(_judged(Running(container=container, image=started), names, why))
    return _few(found)


def of_pods(document: object) -> list[Running]:
    """Return the running containers of Pods, as `kubectl get pods -A -o json` lists them. Raises: NotThatList."""
    content = _object(document, "the document")
    if content.get("kind") not in {"List", "PodList", "Pod"}:
        raise NotThatList("is no list of Pods: kubectl get pods -A -o json")
    pods = [content] if content["kind"] == "Pod" else _objects(content.get("items", []), "items")
    return _few([each for pod in pods for each in _of_pod(pod)])


def _of_pod(pod: Mapping[str, object]) -> Iterator[Running]:
    if pod.get("kind", "Pod") != "Pod":
        raise NotThatList(f"lists what is no Pod: {shown(_text(pod.get('kind')), 60)}")
    metadata, status = _object(pod.get("metadata") or {}, "metadata"), _object(pod.get("status") or {}, "status")
    place = "/".join(filter(None, (_text(metadata.get("namespace")), _text(metadata.get("name")))))
    for member in _STATUSES:
        for entry in _objects(status.get(member) or [], member):
            if "running" not in _object(entry.get("state") or {}, "state"):
                continue
            # Docker's shim wrote docker-pullable://NAME@DIGEST, and docker://ID where it knew no digest.
            known = _text(entry.get("imageID")).rpartition("://")[2]
            found = Running(container=f"{place}/{_text(entry.get('name'))}", image=_text(entry.get("image")))
            yield _judged(found, [known] if "@" in known else [], _ONLY_ID)


def _judged(found: Running, digests: Sequence[str], why: str) -> Running:
    """Return the container with what it may be: under the name by which it was started, if that has a digest here."""
    started = _parsed(found.image)
    if started is not None and started[1]:
        return replace(found, contents=(f"{started[0]}@{started[1]}",))
    known = [each for each in map(_parsed, digests) if each is not None and each[1]]
    named = [each for each in known if started is not None and each[0] == started[0]] or known
    contents = tuple(dict.fromkeys(f"{gun}@{digest}" for gun, digest in named))
    return replace(found, contents=contents, unknown="" if contents else why)


def _parsed(name: str) -> tuple[str, str] | None:
    """Return the collection and the digest ("" for none) of a name; None for an id or what is no name."""
    if not name or is_sha256_hex(_bare_id(name)):
        return None
    try:
        reference = parse_reference(name)
    except InvalidName:
        return None
    return str(reference.gun), reference.digest or ""


def _bare_id(text: str) -> str:
    """Return an image's id without its algorithm, which CRI-O leaves out."""
    return text.removeprefix("sha256:")


def _few(found: list[Running]) -> list[Running]:
    if len(found) > MAX_CONTAINERS:
        raise NotThatList(f"lists more than {MAX_CONTAINERS} containers")
    return found


def _object(value: object, what: str) -> Mapping[str, object]:
    if not isinstance(value, dict):
        raise NotThatList(f"{what} must be an object")
    return value


def _objects(value: object, what: str) -> list[Mapping[str, object]]:
    if not isinstance(value, list):
        raise NotThatList(f"{what} must be a list")
    return [_object(each, f"each of {what}") for each in value]


def _text(value: object) -> str:
    return value if isinstance(value, str) else ""


def _texts(value: object) -> tuple[str, ...]:
    return tuple(filter(None, map(_text, value))) if isinstance(value, list) else ()
