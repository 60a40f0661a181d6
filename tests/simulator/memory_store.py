"""A store that forgets: for tests and for demonstrations. The promises of ports.py, durability apart."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from threading import RLock

from keys.rfc3339 import to_rfc3339
from trustdata.errors import NotStored
from trustdata.gun import GUN
from trustdata.roles import ONLINE, RELEASES, ROOT, TARGETS, TIMESTAMP, RoleName, is_delegated
from trustserver.errors import RevisionMoved
from trustserver.storage.events import SERVER, Actor, EventKind, EventRange, NewEvent, StoredEvent, numbered
from trustserver.storage.ports import (
    Category,
    ClockRecord,
    FeedRecord,
    KeyRecord,
    KeyState,
    OfferSalt,
    Overview,
    Publication,
    RoleExpiry,
    Standing,
    Status,
    StoredCollection,
    StoredFile,
    StoredVersion,
    Summary,
    Tombstone,
)


@dataclass(slots=True, kw_only=True)
class _Slot:
    collection: StoredCollection
    versions: dict[tuple[RoleName, int], StoredFile] = field(default_factory=dict)
    renew_at: datetime | None = None
    published_at: datetime | None = None
    published_by: str = ""


class MemoryStore:
    """A MetadataStore in dictionaries, under one lock."""

    def __init__(self) -> None:
        self._lock = RLock()
        self._slots: dict[GUN, _Slot] = {}
        self._salts: tuple[OfferSalt, ...] = ()
        self._changes: list[FeedRecord] = []
        self._last_change = 0
        self._begun_by: dict[GUN, str] = {}
        self._seal_mark = ""
        self._clock = ClockRecord()
        self._events: list[StoredEvent] = []
        self._newest: dict[str, int] = {}
        self._told: dict[str, int] = {}
        self._warned: set[tuple[GUN, RoleName, int]] = set()

    def load(self, gun: GUN, *, only: Collection[RoleName] | None = None) -> StoredCollection:
        with self._lock:
            slot = self._slots.get(gun)
            whole = slot.collection if slot else StoredCollection(gun=gun, status=Status.ABSENT)
            files = {role: file for role, file in whole.files.items() if only is None or role in only}
            return whole if only is None else replace(whole, files=files)

    def load_many(self, guns: Sequence[GUN]) -> tuple[StoredCollection, ...]:
        with self._lock:
            return tuple(map(self.load, guns))

    def file(self, gun: GUN, role: RoleName, version: int, *, wire: str = "") -> StoredFile | None:
        with self._lock:
            slot = self._slot(gun, wire)
            return slot.versions.get((role, version)) if slot else None

    def file_by_hash(self, gun: GUN, role: RoleName, sha256: str, *, wire: str = "") -> StoredFile | None:
        with self._lock:
            slot = self._slot(gun, wire)
            files = slot.versions.values() if slot else ()
            return next((file for file in files if file.role == role and file.sha256 == sha256), None)

    def piece(self, gun: GUN, role: RoleName, sha256: str, *, start: int, length: int) -> bytes | None:
        found = self.file_by_hash(gun, role, sha256)
        return found.raw[start : start + length] if found else None

    def current(self, gun: GUN, role: RoleName, *, wire: str = "") -> StoredFile | None:
        with self._lock:
            slot = self._slot(gun, wire)
            return slot.collection.files.get(role) if slot else None

    def current_timestamp(self, gun: GUN, *, wire: str = "") -> tuple[StoredFile, datetime | None] | None:
        with self._lock:
            slot = self._slot(gun, wire)
            newest = slot.collection.files.get(TIMESTAMP) if slot else None
            return (newest, slot.renew_at) if slot and newest else None

    def size(self, gun: GUN) -> int:
        return sum(len(file.raw) for file in self.load(gun).files.values())

    def standing(self, gun: GUN) -> Standing | None:
        state = self.load(gun)
        if state.status is not Status.LIVE:
            return None
        held = frozenset(key.role for key in state.keys if key.state is KeyState.CURRENT)
        signed_at = state.files[TIMESTAMP].stored_at if TIMESTAMP in state.files else None
        return Standing(format=state.format, revision=state.revision, signed_at=signed_at, held=held)

    def versions(self, gun: GUN) -> tuple[StoredVersion, ...]:
        with self._lock:
            slot = self._slots.get(gun) or _Slot(collection=StoredCollection(gun=gun, status=Status.ABSENT))
            return tuple(
                StoredVersion(
                    role=role,
                    version=version,
                    size=len(file.raw),
                    stored_at=file.stored_at,
                    is_current=slot.collection.files[role] is file,
                )
                for (role, version), file in slot.versions.items()
            )

    def drop_versions(self, gun: GUN, versions: Collection[tuple[RoleName, int]]) -> None:
        with self._lock:
            slot = self._slots[gun]
            for role, version in versions:
                file = slot.versions.get((role, version))
                if role != ROOT and file is not None and slot.collection.files[role] is not file:
                    del slot.versions[(role, version)]

    def drop_changes(self, gun: GUN, *, keep: int) -> int:
        with self._lock:
            old = self._changes_of(gun)[: -keep or None]
            self._changes = [change for change in self._changes if change not in old]
            return len(old)

    def room_taken(self) -> tuple[int, int]:
        with self._lock:
            size = sum(len(file.raw) for slot in self._slots.values() for file in slot.versions.values())
            return len(self._slots), size

    def count_names(self, *, subject: str) -> tuple[int, int]:
        with self._lock:
            return len(self._slots), sum(begun == subject for begun in self._begun_by.values())

    def publish(self, publication: Publication) -> int:
        with self._lock:
            gun = publication.gun
            known = self.load(gun)
            self._compare(known, publication.base)
            slot = self._slots.get(gun)
            versions = dict(slot.versions) if slot else {}
            if known.status is Status.DELETED or any((f.role, f.version) in versions for f in publication.files):
                raise RevisionMoved(gun=gun, base=publication.base)
            held = {(key.role, key.keyid): key for key in known.keys}
            for promoted in publication.promoted_keys:
                if (promoted.role, promoted.keyid) not in held:
                    raise RevisionMoved(gun=gun, base=publication.base)
                held = {place: key for place, key in held.items() if place[0] != promoted.role}
                held[(promoted.role, promoted.keyid)] = replace(promoted, state=KeyState.CURRENT)
            for imported in publication.imported_keys:
                held = {place: key for place, key in held.items() if place[0] != imported.role}
                held[(imported.role, imported.keyid)] = imported
            files = {**known.files, **{f.role: f for f in publication.files}}
            versions.update({(f.role, f.version): f for f in publication.files})
            newest = files.get(TIMESTAMP)
            if newest is not None and publication.in_feed:
                self._note(gun, newest.stored_at, version=newest.version, sha256=newest.sha256)
            else:
                versions = {p: f for p, f in versions.items() if p[0] != TIMESTAMP or f is newest}
            revision = known.revision + 1
            state = StoredCollection(
                gun=gun,
                status=Status.LIVE,
                format=publication.format,
                revision=revision,
                files=files,
                keys=tuple(held.values()),
                renew_at=publication.renew_at,
            )
            by_owners = [file.stored_at for file in publication.files if file.role not in ONLINE]
            self._slots[gun] = _Slot(
                collection=state,
                versions=versions,
                renew_at=publication.renew_at,
                published_at=by_owners[0] if by_owners else slot.published_at if slot else None,
                published_by=publication.subject if by_owners else slot.published_by if slot else "",
            )
            self._begun_by.setdefault(gun, publication.subject)
            self._record(publication.event)
            return revision

    def delete(
        self,
        gun: GUN,
        *,
        base: int,
        tombstone: Tombstone,
        frees_name: bool = False,
        event: NewEvent | None = None,
    ) -> int:
        with self._lock:
            known = self._live(gun, base)
            status = Status.RELEASED if frees_name else Status.DELETED
            state = replace(
                known, status=status, revision=base + 1, files={}, keys=(), tombstone=tombstone, renew_at=None
            )
            self._slots[gun] = _Slot(collection=state)
            if frees_name:
                self._note(gun, tombstone.deleted_at)
            self._record(event)
            return base + 1

    def changes(self, gun: GUN | None, *, after: int, limit: int) -> tuple[FeedRecord, ...]:
        with self._lock:
            return tuple(change for change in self._changes_of(gun) if change.id > after)[:limit]

    def changes_before(self, gun: GUN | None, *, before: int | None, limit: int) -> tuple[FeedRecord, ...]:
        with self._lock:
            found = [change for change in self._changes_of(gun) if before is None or change.id < before]
            return tuple(found[max(0, len(found) - limit) :])

    def add_pending(self, key: KeyRecord, *, base: int, event: NewEvent | None = None) -> int:
        with self._lock:
            known = self._live(key.gun, base)
            kept = tuple(k for k in known.keys if k.role != key.role or k.state is not KeyState.PENDING)
            slot = self._slots[key.gun]
            slot.collection = replace(known, keys=(*kept, key), revision=base + 1)
            self._record(event)
            return base + 1

    def offer_salts(self) -> tuple[OfferSalt, ...]:
        return self._salts

    def replace_offer_salts(self, salts: Sequence[OfferSalt]) -> None:
        self._salts = tuple(sorted(salts, key=lambda each: each.created, reverse=True))

    def release(self, gun: GUN, *, event: NewEvent | None = None) -> bool:
        with self._lock:
            slot = self._slots.get(gun)
            if slot is None or slot.collection.status is not Status.DELETED:
                return False
            state = slot.collection
            slot.collection = replace(state, status=Status.RELEASED, revision=state.revision + 1)
            self._record(event)
            return True

    def record(self, event: NewEvent) -> int:
        with self._lock:
            self._record(event)
            return self._newest[""]

    def events(
        self, gun: GUN | None, *, after: int, limit: int, since: datetime | None = None
    ) -> tuple[StoredEvent, ...]:
        with self._lock:
            return tuple(
                event
                for event in self._events
                if event.number > after and gun in {None, event.gun} and (since is None or event.at >= since)
            )[:limit]

    def event_ranges(self) -> tuple[EventRange, ...]:
        with self._lock:
            return tuple(self._range(gun) for gun in ["", *sorted(self._newest.keys() - {""})])

    def erase_people(self, subject: str, *, stored: str, by: Actor, at: datetime) -> int:
        with self._lock:
            before = self._events
            self._events = [
                replace(event, people=tuple(each for each in event.people if each.actor.subject != subject))
                for event in before
            ]
            erased = sum(new.people != old.people for new, old in zip(self._events, before, strict=True))
            names = self._erase_from_names({subject, stored})
            if erased or names:
                details = {"events": erased, "names": names}
                self._record(NewEvent(kind=EventKind.ERASED, at=at, by=by, details=details))
            return erased

    def tell_expiring(self, *, at: datetime, until: datetime, limit: int) -> int:
        with self._lock:
            soon = sorted(
                (file.expires, gun, role, file.version)
                for gun, slot in self._slots.items()
                for role, file in slot.collection.files.items()
                if role not in ONLINE and at < file.expires <= until and (gun, role, file.version) not in self._warned
            )[:limit]
            for expires, gun, role, version in soon:
                self._warned.add((gun, role, version))
                known = self._slots[gun].collection
                details = {
                    "format": known.format,
                    "revision": known.revision,
                    "role": role,
                    "role_version": version,
                    "expires": to_rfc3339(expires),
                }
                self._record(NewEvent(kind=EventKind.EXPIRING, at=at, by=SERVER, gun=gun, details=details))
            return len(soon)

    def newest_event(self) -> int:
        return self._newest.get("", 0)

    def hook_cursor(self, name: str) -> int | None:
        return self._told.get(name)

    def move_hook_cursor(self, name: str, told: int) -> None:
        self._told[name] = told

    def drop_events(self, *, keep: int) -> int:
        with self._lock:
            dropped = max(0, len(self._events) - keep)
            del self._events[:dropped]
            return dropped

    def due(self, *, at: datetime, limit: int) -> tuple[GUN, ...]:
        with self._lock:
            waiting = sorted(
                (slot.renew_at, gun) for gun, slot in self._slots.items() if slot.renew_at and slot.renew_at <= at
            )
            return tuple(gun for _, gun in waiting[:limit])

    def outliving(self, bounds: Mapping[str, Mapping[RoleName, datetime]], *, limit: int) -> tuple[GUN, ...]:
        with self._lock:
            found = [gun for gun, slot in self._slots.items() if _outlives(slot.collection, bounds)]
            return tuple(sorted(found)[:limit])

    def collections(self, *, after: str = "", limit: int | None = None) -> tuple[Summary, ...]:
        with self._lock:
            every = tuple(
                Summary(gun=gun, format=c.format, status=c.status, revision=c.revision, tombstone=c.tombstone)
                for gun, c in sorted((gun, slot.collection) for gun, slot in self._slots.items())
                if gun > after
            )
            return every[:limit]

    def overviews(self, *, after: str = "", limit: int) -> tuple[Overview, ...]:
        with self._lock:
            return tuple(self._overview(summary) for summary in self.collections(after=after, limit=limit))

    def _overview(self, summary: Summary) -> Overview:
        slot = self._slots[summary.gun]
        files = slot.collection.files
        first = min(files.values(), key=lambda file: (file.expires, file.role), default=None)
        by_owners = (file for role, file in files.items() if role not in ONLINE)
        of_owners = min(by_owners, key=lambda file: (file.expires, file.role), default=None)
        releasing = [RELEASES] if RELEASES in files and summary.format != "notary-v1" else [RELEASES, TARGETS]
        return Overview(
            summary=summary,
            tags=sum(files[role].tags or 0 for role in releasing if role in files),
            size=sum(len(file.raw) for file in slot.versions.values()),
            published_at=slot.published_at,
            published_by=slot.published_by,
            expires=first.expires if first is not None else None,
            expires_role=first.role if first is not None else "",
            owner_expires=of_owners.expires if of_owners is not None else None,
            owner_expires_role=of_owners.role if of_owners is not None else "",
        )

    def earliest_expiries(self) -> Mapping[str, datetime]:
        with self._lock:
            found: dict[str, datetime] = {}
            for slot in self._slots.values():
                for role, file in slot.collection.files.items():
                    kind = "delegation" if is_delegated(role) else role
                    found[kind] = min(found.get(kind, file.expires), file.expires)
            return found

    def first_expiries(self, *, most: int) -> tuple[RoleExpiry, ...]:
        with self._lock:
            found = [
                RoleExpiry(file.expires, gun, role)
                for gun, slot in self._slots.items()
                for role, file in slot.collection.files.items()
            ]
        by_owners = sorted(each for each in found if each.role not in ONLINE)[:most]
        return tuple(sorted(by_owners + sorted(each for each in found if each.role in ONLINE)[:most]))

    def waiting_keys(self) -> tuple[KeyRecord, ...]:
        return ()

    def seal_mark(self) -> str:
        return self._seal_mark

    def set_seal_mark(self, mark: str) -> None:
        self._seal_mark = mark

    def clock_record(self) -> ClockRecord:
        return self._clock

    def record_round(self, at: datetime) -> None:
        self._clock = replace(self._clock, last_round=at.replace(microsecond=0))

    def accept_clock(self, at: datetime) -> None:
        self._clock = ClockRecord(last_round=at.replace(microsecond=0), accepted=at.replace(microsecond=0))

    def ping(self) -> None:
        """Always there."""

    def refusal(self) -> NotStored | None:
        return None

    def probe(self) -> None:
        """Memory takes everything."""

    def close(self) -> None:
        """Nothing to let go of."""

    def _slot(self, gun: GUN, wire: str) -> _Slot | None:
        slot = self._slots.get(gun)
        return None if slot is None or wire not in {"", slot.collection.format} else slot

    def _record(self, event: NewEvent | None) -> None:
        if event is None:
            return
        for gun in {"", event.gun or ""}:
            self._newest[gun] = self._newest.get(gun, 0) + 1
        name_number = None if event.gun is None else self._newest[event.gun]
        self._events.append(numbered(event, number=self._newest[""], name_number=name_number))

    def _range(self, gun: str) -> EventRange:
        kept = [event.name_number or 0 if gun else event.number for event in self._events if gun in {"", event.gun}]
        first, last = min(kept, default=0), max(kept, default=0)
        newest = self._newest.get(gun, 0)
        dropped = None if gun else newest - len(kept)
        return EventRange(gun=gun, count=len(kept), first=first, last=last, newest=newest, dropped=dropped)

    def _erase_from_names(self, subjects: set[str]) -> int:
        erased = 0
        for gun, slot in self._slots.items():
            stone = slot.collection.tombstone
            if stone is not None and stone.subject in subjects:
                slot.collection = replace(slot.collection, tombstone=replace(stone, subject="erased"))
                erased += 1
            if slot.published_by in subjects:
                slot.published_by = ""
                erased += 1
            if self._begun_by.get(gun) in subjects:
                self._begun_by[gun] = ""
                erased += 1
        return erased

    def _changes_of(self, gun: GUN | None) -> list[FeedRecord]:
        return [change for change in self._changes if gun in {None, change.gun}]

    def _note(self, gun: GUN, created: datetime | None, *, version: int = 0, sha256: str = "") -> None:
        self._last_change += 1
        change = FeedRecord(
            id=self._last_change,
            created=created or datetime.fromtimestamp(0, UTC),
            gun=gun,
            version=version,
            sha256=sha256,
            category=Category.UPDATE if sha256 else Category.DELETION,
        )
        self._changes.append(change)

    def _compare(self, known: StoredCollection, base: int) -> None:
        if known.revision != base:
            raise RevisionMoved(gun=known.gun, base=base)

    def _live(self, gun: GUN, base: int) -> StoredCollection:
        known = self.load(gun)
        self._compare(known, base)
        if known.status is not Status.LIVE:
            raise RevisionMoved(gun=gun, base=base)
        return known


def _outlives(collection: StoredCollection, bounds: Mapping[str, Mapping[RoleName, datetime]]) -> bool:
    held = {key.role for key in collection.keys if key.state is KeyState.CURRENT}
    return collection.status is Status.LIVE and any(
        role in held and role in collection.files and collection.files[role].expires > bound
        for role, bound in bounds.get(collection.format, {}).items()
    )
