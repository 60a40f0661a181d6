"""A trust server in memory: the production ports, with real keys and the production rules.

Everything that it serves lies in `files`, by the name on the wire. The test is its operator: it may put other bytes
there (`files[...] = ...`), take some away, save all of them and serve them again later.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime, timedelta

from securesystemslib.signer import Signer

from tests.simulator.keyring import Keys
from trustcli.client.ports import CollectionState, DeletedCollection, PublishReceipt
from trustcli.errors import RemoteRefused, RemoteUnreachable
from trustdata.editing.derived_roles import next_snapshot, next_timestamp
from trustdata.editing.signing import sign
from trustdata.envelope import Envelope
from trustdata.errors import (
    CollectionExists,
    NoTrustData,
    ServerKeyNotUsed,
    TooLarge,
)
from trustdata.gun import GUN, parse_gun
from trustdata.lifetimes import Lifetimes
from trustdata.model import Key, MetaFile, UnversionedMeta
from trustdata.roles import ONLINE, ROOT, SNAPSHOT, TIMESTAMP, RoleName
from trustdata.verification.candidate_set import judge_upload
from trustdata.verification.second_opinion import check_second_opinion
from trustdata.wire import WireFormat
from trustdata.wire.tuf import TUF

NOW = datetime(2026, 11, 1, 12, 0, 0, tzinfo=UTC)
APP = parse_gun("registry.example.com/team/app")


class RepositorySimulator:
    """One server with one collection. `MetadataRemote` and `PublishRemote`.

    `requests` records the names that were asked for. `down` makes every request fail as an outage. `lose_replies`:
    how many of the next publishes are stored while their answers get lost. `before_publish` is called as each upload
    arrives: other publishers get in there. `before_fetch` is called as each question arrives, with the file's name.
    `offered`: keys that it gives out as new ones, whatever they are.
    """

    name = "https://trust.example.com"

    def __init__(
        self,
        *,
        gun: GUN = APP,
        wire: WireFormat = TUF,
        at: datetime = NOW,
        lifetimes: Lifetimes | None = None,
        online_keys: str = "",
    ) -> None:
        self.gun = gun
        self.wire = wire
        self.at = at
        self.lifetimes = lifetimes or wire.lifetimes
        self.keys = Keys(wire=wire, gun=gun)
        self.stored: dict[RoleName, Envelope] = {}
        self.files: dict[str, bytes] = {}
        self.revision = 0
        self.requests: list[str] = []
        self.told_time: datetime | None = None
        self.doubtful_absence: RemoteRefused | None = None
        self.down = False
        self.lose_replies = 0
        self.before_publish: Callable[[], None] | None = None
        self.before_fetch: Callable[[str], None] | None = None
        self.stone: DeletedCollection | None = None
        self.owner_holds_snapshot = False
        self.online: dict[RoleName, Signer] = {
            role: self.keys.signer(f"{role}{online_keys}") for role in (SNAPSHOT, TIMESTAMP)
        }
        self._pending: dict[RoleName, Signer] = {}
        self.offered: dict[RoleName, Signer] = {}

    # --- MetadataRemote

    def fetch(self, gun: GUN, filename: str, *, limit: int) -> bytes | None:
        self.requests.append(filename)
        if self.before_fetch is not None:
            self.before_fetch(filename)
        self._answer()
        raw = self.files.get(filename) if gun == self.gun else None
        if raw is not None and len(raw) > limit:
            raise TooLarge(what=filename, limit=limit)
        return raw

    # --- PublishRemote

    def publish(self, gun: GUN, files: Mapping[RoleName, bytes]) -> PublishReceipt:
        self._answer()
        if self.before_publish is not None:
            self.before_publish()
        if self.stone is not None:
            raise CollectionExists(role=ROOT, reason="was deleted; only the operator can make it again")
        uploads = {role: self.wire.parse(role, raw) for role, raw in files.items()}
        candidate = judge_upload(gun=self.gun, stored=self.stored, uploads=uploads, at=self.at, wire=self.wire)
        if self.wire is TUF:
            check_second_opinion(candidate.roles, candidate.changed)
        self._take_online_keys(candidate.root)
        self.stored = {role: self.stored[role] for role in ONLINE if role in self.stored} | dict(candidate.roles)
        self.store(*(candidate.roles[role] for role in candidate.changed))
        if candidate.snapshot is None:
            self.issue(candidate.roles[role] for role in candidate.changed)
        else:
            self.store(candidate.snapshot)
            self.renew_timestamp()
            self.revision += 1
        if self.lose_replies:
            self.lose_replies -= 1
            raise RemoteUnreachable(remote=self.name, reason="the connection was closed before the answer")
        return PublishReceipt(revision=self.revision, versions=self.versions())

    def online_key(self, gun: GUN, role: RoleName) -> Key:
        self._answer()
        return self.offered.get(role, self.online[role]).public_key

    def new_online_key(self, gun: GUN, role: RoleName) -> Key:
        self._answer()
        self._pending[role] = self.offered.get(role) or self.keys.signer(f"{role} after revision {self.revision}")
        return self._pending[role].public_key

    def collection(self, gun: GUN) -> CollectionState | DeletedCollection | None:
        self._answer()
        if self.stone is not None:
            return self.stone
        if not self.stored or gun != self.gun:
            return None
        return CollectionState(gun=gun, format=self.wire.name, revision=self.revision, versions=self.versions())

    def tombstone(self, gun: GUN) -> DeletedCollection | None:
        self._answer()
        return self.stone if gun == self.gun else None

    def delete(self, gun: GUN) -> int:
        self._answer()
        if not self.stored or gun != self.gun:
            raise NoTrustData(gun=gun)
        first = self.wire.parse(ROOT, self.files[self.wire.filename(ROOT, version=1)])
        self.stone = DeletedCollection(
            gun=gun,
            deleted_root=f"sha256:{first.sha256}",
            versions=self.versions(),
            deleted_at=f"{self.at:%Y-%m-%dT%H:%M:%SZ}",
            subject="mallory",
        )
        self.stored, self.files = {}, {}
        self.revision += 1
        return self.revision

    # --- the operator's side

    def issue(self, changed: Iterable[Envelope] = ()) -> None:
        """The next snapshot (over the `changed` envelopes) and timestamp; without any, a renewal."""
        self.renew_snapshot(changed)
        self.renew_timestamp()
        self.revision += 1

    def renew_snapshot(self, changed: Iterable[Envelope] = ()) -> None:
        snapshot = next_snapshot(
            previous=self.stored.get(SNAPSHOT),
            changed=changed,
            at=self.at,
            lifetime=self.lifetimes.snapshot,
            wire=self.wire,
        )
        self.store(sign(snapshot, [self.online[SNAPSHOT]], role=SNAPSHOT, wire=self.wire))

    def renew_timestamp(self) -> None:
        timestamp = next_timestamp(
            previous=self.stored.get(TIMESTAMP),
            snapshot=self.stored[SNAPSHOT],
            at=self.at,
            lifetime=self.lifetimes.timestamp,
            wire=self.wire,
        )
        self.store(sign(timestamp, [self.online[TIMESTAMP]], role=TIMESTAMP, wire=self.wire))

    def store(self, *envelopes: Envelope) -> None:
        """Put files where clients will ask for them, whatever they say."""
        for envelope in envelopes:
            self.stored[envelope.role] = envelope
            self.files[self.place(envelope.role, envelope.version, envelope.raw)] = envelope.raw
            if envelope.role == ROOT and self.wire.first_root_may_be_later:
                meta = self.meta(envelope.version, envelope.raw)
                for name in (self.wire.filename(ROOT), self.wire.listed_filename(ROOT, meta, consistent=True)):
                    self.files[name] = envelope.raw

    def place(self, role: RoleName, version: int, raw: bytes) -> str:
        """Under which name clients ask for such a file once it is announced."""
        if role in (ROOT, TIMESTAMP):
            return self.wire.filename(role, version=version if role == ROOT else None)
        consistent = bool(self.stored[ROOT].root.consistent_snapshot)
        return self.wire.listed_filename(role, self.meta(version, raw), consistent=consistent)

    def current(self, role: RoleName) -> str:
        """Where the current file of a role lies."""
        return self.place(role, self.stored[role].version, self.stored[role].raw)

    def meta(self, version: int, raw: bytes) -> MetaFile:
        """How snapshot and timestamp announce such bytes, whether they can be read or not."""
        sha256 = hashlib.sha256(raw).hexdigest()
        if self.wire.lists_versions:
            return MetaFile(version, len(raw), {"sha256": sha256})
        return UnversionedMeta(length=len(raw), hashes={"sha256": sha256, "sha512": hashlib.sha512(raw).hexdigest()})

    def written(self, file: MetaFile) -> dict[str, object]:
        """An entry of snapshot or timestamp as it stands in the document."""
        if self.wire.lists_versions:
            return file.to_dict()
        hashes = {name: self.written_hash(digest) for name, digest in (file.hashes or {}).items()}
        return {"hashes": hashes, "length": file.length}

    def written_hash(self, digest: str) -> str:
        """A hash (hex) as documents write it."""
        return digest if self.wire.lists_versions else base64.b64encode(bytes.fromhex(digest)).decode()

    def versions(self) -> dict[RoleName, int]:
        return {role: envelope.version for role, envelope in self.stored.items()}

    def later(self, delta: timedelta) -> None:
        """Time passes on the server."""
        self.at += delta

    def copy(self) -> RepositorySimulator:
        """The same state in another server, for tests that go on in two ways."""
        other = RepositorySimulator(gun=self.gun, wire=self.wire, at=self.at, lifetimes=self.lifetimes)
        other.stored, other.files, other.revision = dict(self.stored), dict(self.files), self.revision
        other.online, other._pending = dict(self.online), dict(self._pending)
        other.stone = self.stone
        other.owner_holds_snapshot = self.owner_holds_snapshot
        return other

    def _answer(self) -> None:
        if self.down:
            raise RemoteUnreachable(remote=self.name, reason="connection refused")

    def _take_online_keys(self, root: Envelope) -> None:
        for role in ONLINE:
            if role == SNAPSHOT and self.wire.upload_rules.may_include_snapshot and self.owner_holds_snapshot:
                continue
            named = root.root.roles[role].keyids
            for candidate in (self.online[role], self._pending.get(role)):
                if candidate is not None and named == [candidate.public_key.keyid]:
                    self.online[role] = candidate
                    break
            else:
                raise ServerKeyNotUsed(role=role, reason="the root names another key than the server's")
