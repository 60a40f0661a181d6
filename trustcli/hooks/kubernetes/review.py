"""Read an AdmissionReview (admission.k8s.io/v1), strictly and within bounds.

Members that occur twice are refused, since two parsers could read them differently. `dryRun` is not read: nothing that
a review asks for changes anything here, so a dry run is answered as the real one would be. Sources: Kubernetes'
"Dynamic Admission Control", and `k8s.io/api/admission/v1`.
"""

from __future__ import annotations

import re
from typing import Any, Final, Literal, TypeAlias, cast, get_args

import orjson

from keys.record import record
from trustcli.errors import ReviewMalformed
from trustdata.json_bounds import count_values

MAX_REVIEW: Final = 8 * 1024 * 1024
"""Bytes. An API server takes 3 MiB from its users, and sends the stored object beside the new one."""
MAX_VALUES: Final = 400_000
"""Values of a review: a list of so many takes some 40 MB."""
MAX_DEPTH: Final = 64
"""Levels. A CronJob whose `managedFields` tell who set a projected volume has 26."""
API_VERSION: Final = "admission.k8s.io/v1"
KIND: Final = "AdmissionReview"
Operation: TypeAlias = Literal["CREATE", "UPDATE", "DELETE", "CONNECT"]
_OPERATIONS: Final = get_args(Operation)
_UID: Final = re.compile(r"[\x21-\x7e]{1,128}")
Object: TypeAlias = dict[str, Any]


@record
class Kind:
    """What an object is, such as `apps/v1, Deployment`. `group`: "" for the core of Kubernetes."""

    group: str
    version: str
    kind: str

    @property
    def api_version(self) -> str:
        """Group and version, as they stand in an object."""
        return f"{self.group}/{self.version}" if self.group else self.version

    def __str__(self) -> str:
        return f"{self.kind} of {self.api_version}"


@record
class SentRequest:
    """The request of a review, of which no more is known than that it can be answered. `uid`: what answers it."""

    uid: str
    members: Object


@record
class Review:
    """What somebody wants to do with an object. `object`, `old_object`: as it will be, and as it is; {} for none.

    `namespace`: where, by the API server's word; "" for what is in no namespace.
    """

    uid: str
    operation: Operation
    kind: Kind
    namespace: str
    object: Object
    old_object: Object


def read_sent(raw: bytes) -> SentRequest:
    """Read as much of a review as its answer needs. Raises: ReviewMalformed."""
    if len(raw) > MAX_REVIEW:
        raise ReviewMalformed(place="its text", reason=f"is longer than {MAX_REVIEW} bytes")
    try:
        document = _parsed(raw)
    except ValueError as error:
        raise ReviewMalformed(place="its JSON", reason=f"cannot be read: {error}") from error
    if not isinstance(document, dict):
        raise ReviewMalformed(place="its JSON", reason="is no object")
    if document.get("kind") != KIND or document.get("apiVersion") != API_VERSION:
        raise ReviewMalformed(place="its JSON", reason=f"is no {KIND} of {API_VERSION}")
    members = document.get("request")
    if not isinstance(members, dict):
        raise ReviewMalformed(place="request", reason="is no object")
    uid = members.get("uid")
    if not isinstance(uid, str) or not _UID.fullmatch(uid):
        raise ReviewMalformed(place="request.uid", reason="is no identifier")
    return SentRequest(uid=uid, members=members)


def read_review(sent: SentRequest) -> Review:
    """Read the request. Raises: ReviewMalformed, which names the member."""
    members = sent.members
    operation = _text(members, "operation")
    if operation not in _OPERATIONS:
        raise ReviewMalformed(place="request.operation", reason=f"is not one of {', '.join(_OPERATIONS)}")
    kind = _object(members, "kind")
    return Review(
        uid=sent.uid,
        operation=cast("Operation", operation),
        kind=Kind(
            group=_text(kind, "group", "request.kind"),
            version=_text(kind, "version", "request.kind"),
            kind=_text(kind, "kind", "request.kind"),
        ),
        namespace=_text(members, "namespace"),
        object=_object(members, "object"),
        old_object=_object(members, "oldObject"),
    )


def _parsed(raw: bytes) -> object:
    """Parse a text in which no object has a member twice. Raises: ValueError."""
    counted = count_values(raw, most=MAX_VALUES, depth=MAX_DEPTH)
    document: object = orjson.loads(raw.decode())  # which says where it is not UTF-8
    # Of a member that occurs twice the parser keeps one: then it has fewer than the text. To look at each object while
    # it is parsed would take twice the time.
    if _members(document) != counted.members:
        raise ValueError("a member occurs twice in one object")
    return document


def _members(document: object) -> int:
    """Return how many members all objects of a document have."""
    found, values = 0, [document]
    for value in values:
        if isinstance(value, dict):
            found += len(value)
            values.extend(value.values())
        elif isinstance(value, list):
            values.extend(value)
    return found


def _text(members: Object, name: str, place: str = "request") -> str:
    value = members.get(name)
    if value is None:
        return ""
    if not isinstance(value, str):
        raise ReviewMalformed(place=f"{place}.{name}", reason="is no text")
    return value


def _object(members: Object, name: str) -> Object:
    value = members.get(name)
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise ReviewMalformed(place=f"request.{name}", reason="is no object")
    return value
