"""The record of changes as `trust-server events` prints it."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any, Final

from keys.rfc3339 import from_rfc3339, to_rfc3339
from trustdata.counting import counted
from trustdata.gun import GUN
from trustserver.errors import StartRefused
from trustserver.storage.events import AccessChange, EventKind, Part, StoredEvent
from trustserver.storage.ports import MetadataStore

_BATCH: Final = 200
"""How many events are read at one time."""
_NUMBER: Final = re.compile(r"[0-9]{1,18}", re.ASCII)
_NOT_SINCE: Final = "must be the number of an event, a day, or a time: 4711, 2026-11-30 or 2026-11-30T08:00:00Z"


def read_events(store: MetadataStore, gun: GUN | None, since: str) -> Iterator[StoredEvent]:
    """Yield the events of one name or of all, the oldest first, without holding all of them at a time.

    `since`: the number, the day or the time to begin with; empty for the first. Raises: StartRefused, NotStored.
    """
    first, not_before = _parse_since(since)
    after = first - 1
    while found := store.events(gun, after=after, limit=_BATCH, since=not_before):
        yield from found
        after = found[-1].number


def _parse_since(text: str) -> tuple[int, datetime | None]:
    """Return the number to begin with, and the time. Raises: StartRefused."""
    if not text:
        return 1, None
    if _NUMBER.fullmatch(text):
        return int(text), None
    try:
        return 1, from_rfc3339(text if "T" in text else f"{text}T00:00:00Z")
    except ValueError as error:
        raise StartRefused(what="--since", reason=_NOT_SINCE) from error


def dropped_before(event: StoredEvent, gun: GUN | None) -> int:
    """Return how many events of a name, or of all, are not kept any more. `event`: the first that is."""
    number = event.number if gun is None else event.name_number
    return (number or 1) - 1


def event_line(event: StoredEvent) -> str:
    """Return an event for people, in one line."""
    document = json.loads(event.body)
    words = [str(event.number), to_rfc3339(event.at), event.kind, event.gun or "-"]
    if "revision" in document:
        words.append(f"revision {document['revision']}")
    people = {person.part: person.actor for person in event.people}
    by = people.get(Part.BY)
    words.append(
        "by somebody erased" if by is None else f"by {by.subject}{f' from {by.address}' if by.address else ''}"
    )
    if Part.ABOUT in people:
        words.append(f"about {people[Part.ABOUT].subject}")
    return "  ".join([*words, *_details(document)])


def _details(document: Mapping[str, Any]) -> Iterator[str]:
    """Yield what an event says, in few words."""
    if (tags := document.get("tags")) is not None:
        kinds = ", ".join(f"{tags[kind]} {kind}" for kind in ("added", "changed", "removed") if tags[kind])
        yield f"tags: {kinds}"
    if "keys" in document:
        roles = [row["role"] for row in document["keys"]["listed"]]
        yield f"keys: {', '.join(roles)}{', ...' if document['keys']['cut'] else ''}"
    if (access := document.get("access")) is not None:
        yield _access(access)
    if document["kind"] == EventKind.KEY_MADE:
        yield f"{document['role']} key {document['keyid']}"
    if document["kind"] == EventKind.EXPIRING:
        yield f"{document['role']} version {document['role_version']} expires {document['expires']}"
    if document["kind"] == EventKind.ERASED:
        yield f"from {counted(document['events'], 'event')}"


def _access(access: Mapping[str, Any]) -> str:
    """Return what an event says of somebody's access, or of the rules that count."""
    change = str(access["change"])
    if change == AccessChange.RULES:
        file = access["sha256"]
        return "rules: no file" if file is None else f"rules: {counted(access['rules'], 'rule')}, file sha256 {file}"
    if change == AccessChange.ENDED:
        return change
    rights = f"{','.join(access['rights'])} on {','.join(access['names'])}" if access["rights"] else "what rules allow"
    roles = f" for {','.join(access['roles'])}" if access["roles"] else ""
    expires = f" until {access['expires']}" if access["expires"] is not None else ""
    return f"{change}: {rights}{roles}{expires}"
