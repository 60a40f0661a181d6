"""The record of changes: what an event says, its canonical form, and the people in it, who are stored separately.

An event has one canonical form: JSON with sorted members, without white space, in UTF-8 (RFC 8785; numbers are whole).
It is made when the event gets its numbers, stored as it is, and never made again, so that a hash over it holds. Of
people it has only a hash with a salt. Who they are stands beside it, with the salt, and can be erased: then the hash
says nothing any more, and the event is as it was (docs/adr/0082).
"""

from __future__ import annotations

import hmac
import secrets
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from datetime import datetime
from enum import StrEnum
from hashlib import sha256
from typing import Final

import orjson

from keys.rfc3339 import to_rfc3339
from trustdata.foreign_text import shown
from trustdata.gun import GUN

SALT_BYTES: Final = 32
_LONGEST: Final = {"subject": 255, "kind": 32, "address": 64, "client": 200}
"""Characters of the personal parts: of clients, whatever they like to send."""


class EventKind(StrEnum):
    """What was done. Whoever reads events must pass over kinds that are not known to them."""

    PUBLISHED = "published"
    TAKEN_OVER = "taken-over"
    DELETED = "deleted"
    RELEASED = "released"
    KEY_MADE = "key-made"
    """A server-held key to rotate to. It is used as soon as a root that names it is published."""
    ACCESS = "access"
    """Somebody's credential is another, or other rules count (AccessChange)."""
    EXPIRING = "expiring"
    """A file that only owners can sign runs out soon. Nobody did that: it is there for those who are told of events."""
    ERASED = "erased"
    """Personal parts were erased from the record."""
    RESEALED = "resealed"
    """All server-held keys are sealed with another seal key."""
    RESTORED = "restored"
    """A restored database was accepted: changes that were made after the backup are not in the record."""


class AccessChange(StrEnum):
    """What an event of the kind `access` says: what became of a credential, or that other rules count."""

    ADDED = "added"
    CHANGED = "changed"
    """It has another secret, and the rights that are told."""
    ENDED = "ended"
    RULES = "rules"


@dataclass(frozen=True, slots=True, kw_only=True)
class Actor:
    """Who makes a change, as far as it is known; each part is cut to a length and made printable.

    `subject`: the name that rules have for them. `kind`: how they were authenticated. `address`: theirs. `client`: what
    their program calls itself.
    """

    subject: str
    kind: str
    address: str = ""
    client: str = ""

    def __post_init__(self) -> None:
        """Cut what is too long, and escape what is not printable."""
        for name, longest in _LONGEST.items():
            object.__setattr__(self, name, shown(getattr(self, name), longest)[:longest])

    def commitment(self, salt: bytes) -> str:
        """Return the hash that stands for them in an event: HMAC-SHA256, in hex, with the salt as its key."""
        return hmac.new(salt, canonical(asdict(self)), sha256).hexdigest()


NOBODY: Final = Actor(subject="anonymous", kind="anonymous")
"""Whoever it was, nothing is known of them."""


SERVER: Final = Actor(subject="server", kind="server")
"""The server itself."""


class Part(StrEnum):
    """What somebody has to do with an event."""

    BY = "by"
    """They made the change."""
    ABOUT = "about"
    """It is their access that was changed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NewEvent:
    """An event before it is stored. `gun` None: it is about no name. `details`: further members of the event.

    `about`: whose access was changed. Details are not erased, so they say nothing of people.
    """

    kind: EventKind
    at: datetime
    by: Actor
    gun: GUN | None = None
    about: Actor | None = None
    details: Mapping[str, object] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Person:
    """Somebody in a stored event, and the salt with which the event names them."""

    part: Part
    actor: Actor
    salt: bytes = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredEvent:
    """An event of the record. `number`: from 1 on, in all; `name_number`: among those of its name. Both without gaps.

    `name_number` is None for an event that is about no name; `gun` is empty then. `body`: the canonical form.
    `people`: who has not been erased.
    """

    number: int
    name_number: int | None
    gun: str
    kind: str
    at: datetime
    body: bytes
    people: tuple[Person, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class EventRange:
    """The events of one name, or of all (`gun` empty): how many are kept, and which numbers these have.

    `newest`: the number that was given last; 0 if none was. `first`, `last`: of those that are kept; 0 if none is.
    `dropped`: the last number of all that is not kept on purpose; None for the events of one name.
    """

    gun: str
    count: int
    first: int
    last: int
    newest: int
    dropped: int | None = None


def canonical(document: Mapping[str, object]) -> bytes:
    """Return the canonical form of a document."""
    return orjson.dumps(document, option=orjson.OPT_SORT_KEYS)


def numbered(event: NewEvent, *, number: int, name_number: int | None) -> StoredEvent:
    """Return the event as it is stored under these numbers."""
    actors = {Part.BY: event.by} | ({Part.ABOUT: event.about} if event.about is not None else {})
    people = tuple(
        Person(part=part, actor=actor, salt=secrets.token_bytes(SALT_BYTES)) for part, actor in actors.items()
    )
    document = {
        **event.details,
        "version": 1,
        "number": number,
        "kind": str(event.kind),
        "at": to_rfc3339(event.at),
        "people": {str(person.part): person.actor.commitment(person.salt) for person in people},
    }
    if event.gun is not None:
        document |= {"gun": event.gun, "name_number": name_number}
    return StoredEvent(
        number=number,
        name_number=name_number,
        gun=event.gun or "",
        kind=event.kind,
        at=event.at.replace(microsecond=0),
        body=canonical(document),
        people=people,
    )
