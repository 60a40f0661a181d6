"""`--plan`: replacements for keys, local state and publishing, so that a plan runs the command's own code.

Nothing is written below TRUST_HOME (neither pins nor rollback memory nor cache, although a refresh verifies new files),
no key is made or opened, the user is asked for no passphrase, and the server is asked for no key: a key that does not
exist yet is replaced by a temporary one.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterable, Mapping
from collections.abc import Set as AbstractSet
from dataclasses import replace
from functools import cached_property, partial
from pathlib import Path
from typing import Literal

from keys.algorithms import Algorithm, generate, key_fingerprint, matching_keyids, public_key_of
from keys.errors import KeyNotAccepted
from keys.key_info import Purpose
from keys.material import tuf_key
from keys.passphrase import EnvironmentPassphrases
from keys.signers import signer_for
from trustcli.client.collection import Collection
from trustcli.client.ports import PublishRemote
from trustcli.commands.support.key_source import ExtensibleKeys, stored_place
from trustcli.commands.support.recovery_place import RecoveryPlace, recovery_public, shown_place
from trustcli.console.exit_codes import DONE, worst
from trustcli.console.failure_table import row_for
from trustcli.console.output import Output, failure_document
from trustcli.publish import plan_view
from trustcli.publish.key_record import compromised_keys
from trustcli.publish.plan import Current, KeyPlace, Plan, Planned
from trustcli.publish.planner import Planner
from trustcli.publish.preparation import HeldKeys
from trustcli.publish.publisher import Check, Edit
from trustcli.session import Session
from trustdata.editing.owner_roles import NOTHING_DECIDED, OwnerDecisions, OwnerRoles
from trustdata.editing.promises import Promises
from trustdata.envelope import Envelope
from trustdata.errors import MetadataMissing
from trustdata.gun import GUN
from trustdata.model import Key, MetaFile, Signer
from trustdata.roles import RoleName
from trustdata.verification.checks import check_content
from trustdata.wire import WireFormat


class Planning:
    """One run of a command with `--plan`, or the check that comes before the first of several publishes.

    `shown`: whether the user sees the plans, and so is warned of what they would do.
    """

    def __init__(self, session: Session, *, shown: bool = True) -> None:
        self.shown = shown
        self.session = session
        self._promises = Promises(secrets.token_bytes(32))
        self.keys = PlannedKeySource(session, self._promises)

    def collection(self, gun: GUN, *, wire: WireFormat | None = None) -> Collection:
        """Return the collection, read from the server as usual; nothing is stored on this machine.

        Raises: FormatChanged, SettingsUnusable, LockDamaged, NoTrustServer, InvalidName.
        """
        return self.session.collection(gun, wire=wire, wrap_wire=self._promises.wire, keep=False)

    def plan(
        self,
        collection: Collection,
        edit: Edit,
        keys: HeldKeys,
        *,
        read: Callable[[], Current] | None = None,
        decisions: OwnerDecisions = NOTHING_DECIDED,
        check: Check | None = None,
        afterwards: Callable[[OwnerRoles], None] | None = None,
        seen_as: Literal["client", "owner"] = "client",
    ) -> Planned:
        """Return the plan of an edit; without `read`, the collection is read as an owner does who made `decisions`.

        `check`: as for a publish. `afterwards`: checks the roles after the publish, and raises the
        error that the command would end with. `seen_as`: whether the command looks at its result as a client or as an
        owner. No TrustError or KeysError is raised.
        """
        planner = Planner(
            gun=collection.gun,
            wire=collection.wire,
            promises=self._promises,
            at=self.session.at,
            compromised=partial(compromised_keys, self.session.settings.home),
        )
        return planner.plan(
            read or (lambda: current(collection, decisions.in_plan(shown=self.shown))),
            edit,
            keys=keys,
            locate=self.keys.place,
            recall=lambda role, meta: _recall(collection, role, meta),
            check=check,
            afterwards=afterwards,
            seen_as=seen_as,
        )

    def report(self, plans: Iterable[Plan]) -> int:
        """Print the plans and return the exit status: the worst of those that the commands would end with."""
        return report(self.session.output, list(plans))


def current(collection: Collection, decisions: OwnerDecisions = NOTHING_DECIDED) -> Current:
    """Return the collection as its owner reads it, who has made `decisions`.

    Raises: NoTrustData, TrustDataWithheld, CollectionDeleted, Unpinned, NotTrusted, MalformedMetadata, TooLarge,
    RemoteUnreachable, RemoteRefused, RemoteMisbehaved, MemoryDamaged.
    """
    roles = collection.owner_roles(decisions)
    return Current(roles=roles, chain=collection.last_updater.roots() if collection.last_updater else ())


def _recall(collection: Collection, role: RoleName, meta: MetaFile) -> Envelope:
    """Return a role's file that the verified snapshot lists, without checking its signatures.

    Raises: MetadataMissing, ContentMismatch, MalformedMetadata, RemoteUnreachable, RemoteRefused, RemoteMisbehaved,
    TooLarge.
    """
    name = collection.wire.listed_filename(role, meta, consistent=True)
    raw = collection.server.fetch(collection.gun, name, limit=collection.wire.size_limit(role))
    if raw is None:
        raise MetadataMissing(role=role, reason=f"{collection.server.name} lists it but has no file {name}")
    check_content(role, raw, meta)
    return collection.wire.parse(role, raw)


def report(output: Output, plans: list[Plan]) -> int:
    """Print the plans and return the exit status: the worst of those that the commands would end with."""
    statuses = [DONE]
    rows = []
    for plan in plans:
        for line in plan_view.lines(plan):
            output.result(line)
        error = None
        if plan.refusal is not None:
            plan.refusal.about = plan.refusal.about or plan.gun
            output.failure(plan.refusal, subject=plan.gun)
            error = failure_document(plan.refusal)
            statuses.append(row_for(plan.refusal).status)
        rows.append({**plan_view.row(plan), "error": error})
    status = worst(statuses)
    for line in plan_view.summary(plans):
        output.result(line)
    output.document({"plans": rows, "feasible": all(plan.refusal is None for plan in plans), "exit": status})
    return status


class PlannedKeySource:
    """The `KeySource` of a plan: it makes, opens and requests no key."""

    def __init__(self, session: Session, promises: Promises) -> None:
        self._session = session
        self._promises = promises
        self._places: dict[str, KeyPlace] = {}
        """By key fingerprint, not by key id: Notary v1 writes the same key differently, under another id."""
        self._signing: dict[str, None] = {}
        self._new: dict[Purpose, None] = {}

    @cached_property
    def _stored(self) -> set[str]:
        """The fingerprints of the keys that the store would hold by now."""
        found: set[str] = set()
        for info in self._session.keystore.list():
            fingerprint = key_fingerprint(info.public)
            found.add(fingerprint)
            self._places.setdefault(fingerprint, stored_place(info))
        return found

    def held_keys(self, extra: Iterable[Signer] = ()) -> ExtensibleKeys:
        """Return the keys of the store and the extra ones; all of them sign with promises."""
        keys = PlannedKeys(self._stored, self._promises, self._signing)
        for signer in extra:
            public = signer.public_key
            self._places.setdefault(key_fingerprint(public), KeyPlace(keyid=public.keyid, place="key-file"))
            keys.add(signer)
        return keys

    def opening(self) -> Callable[[], None]:
        """Return a function that opens the keys of the store that have signed here since the last call of this method.

        It also asks for the passphrases of the keys that would have been made. What it opens stays open for this run.
        The function raises KeysError.
        """
        signing, new = tuple(self._signing), tuple(self._new)
        self._signing.clear()
        self._new.clear()

        def open_keys() -> None:
            for info in self._session.keystore.list():
                if key_fingerprint(info.public) in signing:
                    signer_for(self._session.keystore, info.keyid, self._session.passphrases)
            for purpose in new:
                self._session.passphrases.passphrase(purpose=purpose, key=f"the new {purpose} key", new=True)

        return open_keys

    def place(self, key: Key) -> KeyPlace | None:
        """Return where a key is, if it is here or temporary; else None."""
        try:
            place = self._places.get(key_fingerprint(key))
        except KeyNotAccepted:
            return None
        return None if place is None else replace(place, keyid=key.keyid)

    def stored(self, reference: str) -> Signer:
        """Return a signer for a key of the store, which is not opened."""
        public = self._session.keystore.get(reference).public
        self._signing[key_fingerprint(public)] = None
        return self._promises.signer(public)

    def new(self, *, purpose: Purpose, gun: str = "", name: str = "", wire: WireFormat | None = None) -> Signer:
        """Return a signer with a temporary key in place of a new one."""
        del gun, wire
        signer = self._temporary_key("store", f"new {purpose} key {name}".rstrip())
        self._new[purpose] = None
        self._stored.add(key_fingerprint(signer.public_key))
        return signer

    def recovery(self, place: RecoveryPlace) -> Signer:
        """Return a signer for a recovery key that is there, of which only the public key is read.

        An encrypted PEM file, and a token, must be opened for that: the passphrase or PIN must be in the environment,
        since the user is not asked. Raises: KeysError.
        """
        public = recovery_public(self._session, place, EnvironmentPassphrases(self._session.environ, None))
        self._places[key_fingerprint(public)] = KeyPlace(
            keyid=public.keyid,
            place="recovery-file" if isinstance(place, Path) else "key-uri",
            name=shown_place(place),
        )
        return self._promises.signer(public)

    def new_recovery(self, file: Path) -> Signer:
        """Return a signer with a temporary key in place of a new recovery key."""
        return self._temporary_key("recovery-file", str(file))

    def root_key(self, signer: Signer, gun: GUN, wire: WireFormat) -> Key:
        """Return a root key's public part as roots of the format write it; a temporary key signs the certificate."""
        if not wire.certifies_root_keys:
            return wire.encode_key(signer.public_key)
        from keys.certificate import root_certificate

        public = public_key_of(signer.public_key)
        return root_certificate(generate(Algorithm.ECDSA_P256), gun=gun, at=self._session.at, public=public)

    def online_key(self, server: PublishRemote, gun: GUN, role: RoleName) -> Key:
        """Return a temporary key. The server is not asked, since it would make a key and store it."""
        del server, gun
        return self._temporary_key("server", f"new {role} key").public_key

    def new_online_key(self, server: PublishRemote, gun: GUN, role: RoleName) -> Key:
        """Return a temporary key."""
        return self.online_key(server, gun, role)

    def _temporary_key(self, place: Literal["store", "recovery-file", "server"], name: str) -> Signer:
        public = tuf_key(generate(Algorithm.ECDSA_P256))
        self._places[key_fingerprint(public)] = KeyPlace(keyid=public.keyid, place=place, name=name, new=True)
        return self._promises.signer(public)


class PlannedKeys:
    """The held keys of a plan: those that the store lists and those that were added.

    None is opened; all sign with promises.
    """

    def __init__(self, stored: AbstractSet[str], promises: Promises, signing: dict[str, None]) -> None:
        """Take `stored`, a set of key fingerprints that may grow later, and `signing`, for those that have signed."""
        self._stored = stored
        self._promises = promises
        self._signing = signing
        self._added: set[str] = set()

    def held(self, keys: Mapping[str, Key]) -> frozenset[str]:
        """Return the ids of those of `keys` that could sign."""
        return matching_keyids(keys, {*self._stored, *self._added})

    def opened(self, keys: Mapping[str, Key]) -> frozenset[str]:
        """Return the ids of the keys that the real command would have opened: added or newly made ones."""
        return matching_keyids(keys, self._added)

    def signer(self, key: Key) -> Signer:
        """Return a signer that signs with promises of the key."""
        self._signing[key_fingerprint(key)] = None
        return self._promises.signer(key)

    def add(self, signer: Signer) -> None:
        """Add a key for the rest of this run."""
        self._added.add(key_fingerprint(signer.public_key))
