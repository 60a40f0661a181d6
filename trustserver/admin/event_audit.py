"""Check the record of changes: numbers without gaps, events as they were stored, people as the events name them."""

from __future__ import annotations

import hmac
from collections.abc import Iterator
from typing import Final

import orjson

from trustserver.admin.audit import AuditFinding
from trustserver.storage.events import EventRange, StoredEvent, canonical
from trustserver.storage.ports import MetadataStore

_BATCH: Final = 200
_BACKUP: Final = "what is missing or changed in the record is in a backup of before, and nowhere else"


def audit_events(store: MetadataStore) -> Iterator[AuditFinding]:
    """Yield what is wrong with the record. Raises: NotStored."""
    for kept in store.event_ranges():
        if _has_gap(kept):
            yield _finding(kept.gun, "event-missing", _gap(kept))
    after = 0
    while found := store.events(None, after=after, limit=_BATCH):
        for event in found:
            if not _is_as_stored(event):
                yield _finding(event.gun, "event-changed", f"event {event.number} was changed after it was recorded")
            elif not _people_fit(event):
                message = f"event {event.number} names other people than those who stand beside it"
                yield _finding(event.gun, "event-people", message)
        after = found[-1].number


def _finding(gun: str, code: str, message: str) -> AuditFinding:
    return AuditFinding(gun=gun, code=code, message=message, remedy=_BACKUP)


def _has_gap(kept: EventRange) -> bool:
    """Return whether events are missing between the first that is kept and the newest that there was."""
    if kept.dropped is not None:  # of all
        return (kept.first or kept.newest + 1, kept.count) != (kept.dropped + 1, kept.newest - kept.dropped)
    if kept.count == 0:
        return False  # all of them may be older than what is kept
    return kept.last != kept.newest or kept.last - kept.first + 1 != kept.count


def _gap(kept: EventRange) -> str:
    first = kept.first if kept.dropped is None else kept.dropped + 1
    return f"events {first} to {kept.newest} should be there, and there are {kept.count}"


def _is_as_stored(event: StoredEvent) -> bool:
    """Return whether an event is in its canonical form, and says what the columns beside it say."""
    try:
        document = orjson.loads(event.body)
        said = (document["number"], document.get("name_number"), document.get("gun", ""), document["kind"])
        return said == (event.number, event.name_number, event.gun, event.kind) and canonical(document) == event.body
    except (ValueError, TypeError, KeyError):
        return False


def _people_fit(event: StoredEvent) -> bool:
    """Return whether those who stand beside an event are those whom it names. People who were erased are missing."""
    named = orjson.loads(event.body).get("people", {})
    return all(
        hmac.compare_digest(named.get(str(each.part), ""), each.actor.commitment(each.salt)) for each in event.people
    )
