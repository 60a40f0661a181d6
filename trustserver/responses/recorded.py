"""An event of the record as JSON, for the operator's command and for GET /api/v1/events."""

from __future__ import annotations

from collections.abc import Mapping

import orjson

from trustserver.storage.events import Part, StoredEvent


def event_row(event: StoredEvent) -> Mapping[str, object]:
    """Return what documents say of an event: the event as it is stored, and the people in it; null if erased or none.

    Sorted and without white space (RFC 8785), `event` has the bytes over which hashes are made.
    """
    return {"event": orjson.loads(event.body)} | _people(event)


def event_json(event: StoredEvent) -> bytes:
    """Return `event_row` as JSON. The event's own bytes, which may be tens of kilobytes, are not read for that."""
    return orjson.dumps({"event": orjson.Fragment(event.body)} | _people(event))


def _people(event: StoredEvent) -> dict[str, object]:
    people = {person.part: person for person in event.people}
    return {
        str(part): None
        if part not in people
        else {
            "subject": (actor := people[part].actor).subject,
            "kind": actor.kind,
            "address": actor.address,
            "client": actor.client,
            "salt": people[part].salt.hex(),
        }
        for part in Part
    }
