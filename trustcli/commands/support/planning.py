"""`--plan`: what stands in for keys, local state and publishing, so that a command can be planned with its own code.

Nothing is written below TRUST_HOME (neither pins nor rollback memory nor cache, although a refresh has verified
something new), no key is made or opened, nobody is asked for a passphrase, and no key is asked of the server: a key
that does not exist yet is stood in by one that is thrown away.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterable, Mapping
from collections.abc import Set as AbstractSet
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import Literal

from keys import recovery as recovery_file
from keys.algorithms import Algorithm, generate, key_fingerprint, public_key_of
from keys.errors import KeyNotAccepted, PassphraseMissing
from keys.key_info import KeyInfo, Purpose
from keys.material import tuf_key
from keys.passphrase import EnvironmentPassphrases
from trustcli.client.collection import Collection, every_role
from trustcli.client.ports import PublishRemote
from trustcli.commands.support.key_source import KeysAtHand, stored_place
from trustcli.console.exit_codes import DONE, row_for, worst
from trustcli.console.output import Output, failure_document
from trustcli.publish import plan_view
from trustcli.publish.held_keys import among
from trustcli.publish.plan import Current, KeyPlace, Plan, Planned
from trustcli.publish.planner import Planner
from trustcli.publish.preparation import HeldKeys, Roles
from trustcli.publish.publisher import Check, Edit
from trustcli.session import Session
from trustdata.editing.promises import Promises
from trustdata.envelope import Envelope
from trustdata.errors import MetadataMissing
from trustdata.gun import GUN
from trustdata.model import Key, MetaFile, Signer
from trustdata.roles import RoleName
from trustdata.verification.checks import check_content
from trustdata.wire import WireFormat


class Planning:
    """One invocation with `--plan`."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self._promises = Promises(secrets.token_bytes(32))
        self.keys = StandIns(session, self._promises)

    def collection(self, gun: GUN, *, wire: WireFormat | None = None) -> Collection:
        """The collection, read as ever; nothing of it is kept here. Raises: as Session.collection."""
        return self._session.collection(gun, wire=wire, dress=self._promises.wire, keep=False)

    def plan(
        self,
        collection: Collection,
        edit: Edit,
        keys: HeldKeys,
        *,
        read: Callable[[], Current] | None = None,
        check: Check | None = None,
        afterwards: Callable[[Roles], None] | None = None,
        seen_as: Literal["client", "owner"] = "client",
    ) -> Planned:
        """As Planner.plan; without `read` the collection is read as its owner does."""
        planner = Planner(gun=collection.gun, wire=collection.wire, promises=self._promises, at=self._session.at)
        return planner.plan(
            read or (lambda: current(collection)),
            edit,
            keys=keys,
            locate=self.keys.place,
            recall=lambda role, meta: _recall(collection, role, meta),
            check=check,
            afterwards=afterwards,
            seen_as=seen_as,
        )

    def report(self, plans: Iterable[Plan]) -> int:
        """Print plans; returns the exit status: the worst of those that the commands would end with."""
        return report(self._session.output, list(plans))


def current(collection: Collection) -> Current:
    """A collection as its owner reads it. Raises: as Collection.refresh."""
    updater = collection.refresh(for_owner=True)
    return Current(roles=every_role(updater), chain=updater.roots())


def _recall(collection: Collection, role: RoleName, meta: MetaFile) -> Envelope:
    """A file as the verified snapshot lists it. Raises: NotTrusted, and what the server raises."""
    name = collection.wire.listed_filename(role, meta, consistent=True)
    raw = collection.server.fetch(collection.gun, name, limit=collection.wire.size_limit(role))
    if raw is None:
        raise MetadataMissing(role=role, reason=f"{collection.server.name} lists it but has no file {name}")
    check_content(role, raw, meta)
    return collection.wire.parse(role, raw)


def report(output: Output, plans: list[Plan]) -> int:
    """See Planning.report."""
    statuses = [DONE]
    rows = []
    for plan in plans:
        for line in plan_view.lines(plan):
            output.result(line)
        error = None
        if plan.refusal is not None:
            output.failure(plan.refusal, subject=plan.gun)
            error = failure_document(plan.refusal)
            statuses.append(row_for(plan.refusal).status)
        rows.append({**plan_view.row(plan), "error": error})
    status = worst(statuses)
    for line in plan_view.summary(plans):
        output.result(line)
    output.document({"plans": rows, "feasible": all(plan.refusal is None for plan in plans), "exit": status})
    return status


class StandIns:
    """`KeySource` of a plan."""

    def __init__(self, session: Session, promises: Promises) -> None:
        self._session = session
        self._promises = promises
        self._places: dict[str, KeyPlace] = {}
        """By mark: documents of Notary v1 write keys otherwise, under other ids."""

    @cached_property
    def _stored(self) -> set[str]:
        """The marks of what the store would hold by now."""
        found: set[str] = set()
        for info in self._session.keystore.list():
            mark = key_fingerprint(info.public)
            found.add(mark)
            self._places.setdefault(mark, stored_place(info))
        return found

    def at_hand(self, brought: Iterable[Signer] = ()) -> KeysAtHand:
        """See KeySource."""
        keys = PlannedKeys(self._stored, self._promises)
        for signer in brought:
            keys.bring(signer)
        return keys

    def place(self, key: Key) -> KeyPlace | None:
        """Where a key is, if it is here or stood in."""
        try:
            place = self._places.get(key_fingerprint(key))
        except KeyNotAccepted:
            return None
        return None if place is None else replace(place, keyid=key.keyid)

    def stored(self, reference: str) -> Signer:
        """See KeySource; not opened."""
        return self._promises.signer(self._session.keystore.get(reference).public)

    def new(self, *, purpose: Purpose, gun: str = "", name: str = "") -> Signer:
        """A stand-in."""
        del gun
        signer = self._stand_in("store", f"new {purpose} key {name}".rstrip())
        self._stored.add(key_fingerprint(signer.public_key))
        return signer

    def recovery(self, file: Path) -> Signer:
        """See KeySource. A sealed or plain file tells its public key; an encrypted PEM file does only with its
        passphrase, which is then taken from the environment alone. Raises: as `keys.recovery.read`.
        """
        try:
            public = recovery_file.public(file)
        except PassphraseMissing:
            told = EnvironmentPassphrases(self._session.environ, None)
            private = recovery_file.read_asking(
                file, lambda: told.passphrase(purpose="recovery", key=f"the recovery key {file}")
            )
            public = KeyInfo.of(private, purpose="recovery").public
        place = KeyPlace(keyid=public.keyid, place="recovery-file", name=str(file))
        self._places[key_fingerprint(public)] = place
        return self._promises.signer(public)

    def new_recovery(self, file: Path) -> Signer:
        """A stand-in."""
        return self._stand_in("recovery-file", str(file))

    def root_key(self, signer: Signer, gun: GUN, wire: WireFormat) -> Key:
        """See KeySource; a certificate of the right key, signed by one that is thrown away."""
        if not wire.certifies_root_keys:
            return wire.encode_key(signer.public_key)
        from keys.certificate import root_certificate

        public = public_key_of(signer.public_key)
        return root_certificate(generate(Algorithm.ECDSA_P256), gun=gun, at=self._session.at, public=public)

    def online(self, server: PublishRemote, gun: GUN, role: RoleName) -> Key:
        """A stand-in: the server would keep what it is asked for."""
        del server, gun
        return self._stand_in("server", f"new {role} key").public_key

    def new_online(self, server: PublishRemote, gun: GUN, role: RoleName) -> Key:
        """A stand-in."""
        return self.online(server, gun, role)

    def _stand_in(self, place: Literal["store", "recovery-file", "server"], name: str) -> Signer:
        public = tuf_key(generate(Algorithm.ECDSA_P256))
        self._places[key_fingerprint(public)] = KeyPlace(keyid=public.keyid, place=place, name=name, new=True)
        return self._promises.signer(public)


class PlannedKeys:
    """`KeysAtHand` of a plan: what the store lists and what was brought; none is opened, all of them promise."""

    def __init__(self, stored: AbstractSet[str], promises: Promises) -> None:
        """`stored`: marks of keys, which may become more."""
        self._stored = stored
        self._promises = promises
        self._brought: set[str] = set()

    def held(self, keys: Mapping[str, Key]) -> frozenset[str]:
        """See HeldKeys."""
        return among(keys, {*self._stored, *self._brought})

    def opened(self, keys: Mapping[str, Key]) -> frozenset[str]:
        """Those that the real command has open: brought or newly made."""
        return among(keys, self._brought)

    def signer(self, key: Key) -> Signer:
        """See HeldKeys."""
        return self._promises.signer(key)

    def bring(self, signer: Signer) -> None:
        """See KeysAtHand."""
        self._brought.add(key_fingerprint(signer.public_key))
