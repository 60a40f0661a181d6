"""Our server, which takes collections over, and the rotation to its keys if the old server's keys are not available."""

from __future__ import annotations

from collections.abc import Collection as AnyCollection
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias

from keys.algorithms import PrivateKey
from keys.material import write_private_pem
from trustcli.client.collection import Collection
from trustcli.client.notary_remote import NotaryRemote
from trustcli.commands.migrate.source import FIRST_ROOT, SourceCollection
from trustcli.commands.support.key_source import KeySource, SessionKeys
from trustcli.errors import RemoteMisbehaved, RemoteUnreachable
from trustcli.publish.effects import check_same_releases
from trustcli.publish.preparation import Roles
from trustcli.publish.store_keys import StoreKeys
from trustcli.session import Session
from trustdata.editing import repository_editor
from trustdata.editing.owner_roles import OwnerDecisions, file_reference
from trustdata.editing.repository_editor import Contents, EditTerms
from trustdata.gun import GUN
from trustdata.limits import MAX_NOTARY_TIMESTAMP
from trustdata.model import Key
from trustdata.roles import ONLINE, ROOT, SNAPSHOT, TARGETS, TIMESTAMP, RoleName, is_delegated
from trustdata.verification.delegations import delegations_of
from trustdata.verification.minimum_versions import check_minimum_versions, lowest_accepted
from trustdata.verification.trust_pinning import SourcedPin, fingerprint
from trustdata.verification.vouching import KnownFiles, find_unvouched
from trustdata.wire.notary import NOTARY

State: TypeAlias = Literal["absent", "behind", "same", "ahead", "other"]
"""What our server has of a collection, compared with the source.

Nothing (`absent`), an earlier state (`behind`), the same (`same`), a later state (`ahead`), or another collection under
the same name (`other`).
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class RotationNeed:
    """Which roles must be rotated.

    `roles`: those whose keys only the old server has. `root_key_here`: whether this machine can sign the new root.
    """

    roles: tuple[RoleName, ...]
    root_key_here: bool


def rotation_need(found: SourceCollection, available: AnyCollection[str], keys: StoreKeys) -> RotationNeed:
    """Return what must be rotated before our server can continue the collection.

    `available`: the roles whose keys our server has, or is given. A snapshot key that an owner holds stays with the
    owner.
    """
    root = found.root.root
    roles = [TIMESTAMP] if TIMESTAMP not in available else []
    owners = bool(keys.held(root.keys) & set(root.roles[SNAPSHOT].keyids))
    if SNAPSHOT not in available and found.snapshot_is_the_servers is not False and not owners:
        roles.append(SNAPSHOT)
    role = root.roles[ROOT]
    here = len(keys.held(root.keys) & set(role.keyids)) >= role.threshold
    return RotationNeed(roles=tuple(roles), root_key_here=here)


class Destination:
    """Our trust server."""

    def __init__(self, session: Session) -> None:
        self._session = session

    def state(self, found: SourceCollection) -> State:
        """Return what our server has of the collection. Nothing is verified: our server judges what it takes over.

        Raises: RemoteUnreachable, RemoteRefused, RemoteMisbehaved, TooLarge.
        """
        remote = NotaryRemote(self._session.link(found.gun))
        timestamp = remote.fetch(found.gun, NOTARY.filename(TIMESTAMP), limit=MAX_NOTARY_TIMESTAMP)
        if timestamp is None:
            return "absent"
        name = NOTARY.filename(ROOT, version=found.roots[0].version)
        first = remote.fetch(found.gun, name, limit=NOTARY.size_limit(ROOT))
        if first != found.roots[0].raw:  # compare the first roots: two chains may end in the same root
            return "other"
        if timestamp == found.files[TIMESTAMP]:
            return "same"
        ours = NOTARY.parse(TIMESTAMP, timestamp)
        return "behind" if ours.version < found.verified[TIMESTAMP].version else "ahead"

    def keys(self, found: SourceCollection) -> frozenset[str]:
        """Return the online roles whose keys our server holds already.

        Raises: RemoteUnreachable, RemoteRefused, RemoteMisbehaved, TooLarge.
        """
        return self._session.server_keys(found.gun)

    def changed_on_source(self, found: SourceCollection) -> list[RoleName]:
        """Return the offline roles whose file on the old server is not on ours, sorted: they were changed there later.

        Raises: RemoteUnreachable, RemoteRefused, RemoteMisbehaved, TooLarge.
        """
        remote = NotaryRemote(self._session.link(found.gun))
        offline = {role: found.verified.get(role) for role in found.files if role not in ONLINE}
        changed = []
        for role, envelope in sorted(offline.items()):
            if envelope is not None:
                name = NOTARY.listed_filename(role, NOTARY.meta(envelope), consistent=True)
                if remote.fetch(found.gun, name, limit=NOTARY.size_limit(role)) != envelope.raw:
                    changed.append(role)
        return changed

    def take_over(self, found: SourceCollection, private_keys: Mapping[RoleName, PrivateKey]) -> None:
        """Upload the collection in one request, all or nothing, and check that our server serves it afterwards.

        The check matters: the old server may be switched off once this returns. Repeating it changes nothing. Raises:
        PublishRefused, RemoteUnreachable, RemoteRefused, RemoteMisbehaved (not served afterwards), TooLarge.
        """
        parts = {RoleName(f"{root.version}.root"): root.raw for root in found.roots}
        parts |= found.files
        parts |= {RoleName(f"key.{role}"): write_private_pem(private, None) for role, private in private_keys.items()}
        try:
            self._session.take_over(found.gun, parts)
        except RemoteUnreachable:
            # It may have been stored, and only the reply lost.
            if self.state(found) not in {"same", "ahead"}:
                raise
            return
        if self.state(found) not in {"same", "ahead"}:
            name = self._session.link(found.gun).name
            raise RemoteMisbehaved(
                remote=name, reason="it says that it took the collection over, and does not serve it"
            )

    def check_newest(self, found: SourceCollection) -> None:
        """Check that the source shows nothing older than this machine or its lock file knows.

        A root with our keys makes what all clients remember void, so this is the last moment at which it counts.
        Delegations that do not verify are no matter: nobody believes them. Raises: VersionRollback, MemoryDamaged,
        SettingsUnusable, LockDamaged.
        """
        minimums = lowest_accepted(
            memory=self._session.memory.load(found.gun), lock=self._session.locks.get(found.gun), chain=found.roots
        )
        versions = {role: file.version for role, file in found.verified.items()}
        delegators = [file.targets for role, file in found.verified.items() if role == TARGETS or is_delegated(role)]
        delegated = [role for delegator in delegators for role in delegations_of(delegator) if role not in found.broken]
        check_minimum_versions(versions, minimums, [ROOT, TARGETS, *delegated])

    def check_rotation(self, found: SourceCollection, decisions: OwnerDecisions) -> None:
        """Check that the next root may be made from the root of the source, before anything is handed over.

        Raises: ExpiredUnknown, MemoryDamaged, SettingsUnusable, LockDamaged.
        """
        known = KnownFiles(
            memory=self._session.memory.load(found.gun), lock=self._session.locks.get(found.gun), chain=found.roots
        )
        error = find_unvouched(found.root, fault=None, delegator=None, known=known, beneath=None, at=self._session.at)
        if error is not None and file_reference(found.root) not in decisions.accept_expired:
            raise error

    def rotate(
        self, found: SourceCollection, roles: Sequence[RoleName], keys: StoreKeys, decisions: OwnerDecisions
    ) -> None:
        """Publish one root that names our server's keys for `roles`; clients follow it from the root that they know.

        Raises: KeysError, NotTrusted, PublishRefused, RemoteUnreachable, RemoteRefused, RemoteMisbehaved, TooLarge.
        """
        collection = self._collection(found)
        publisher = self._session.publisher(collection, keys, lambda: collection.owner_roles(decisions))
        edit = _KeyRotation(collection, SessionKeys(self._session), roles, EditTerms.of(NOTARY, at=self._session.at))
        publisher.publish(edit, check_same_releases)
        self._collection(found).refresh()

    def _collection(self, found: SourceCollection) -> Collection:
        pin = SourcedPin(pin=fingerprint(found.roots[0]), source=FIRST_ROOT)
        return self._session.collection(found.gun, wire=NOTARY, policy_pins=[pin], keep=False)


class _KeyRotation:
    """An edit that gives online roles keys of our server. Each key is requested once, also if the edit runs again."""

    def __init__(self, collection: Collection, source: KeySource, roles: Sequence[RoleName], terms: EditTerms) -> None:
        self._collection = collection
        self._source = source
        self._roles = roles
        self._terms = terms
        self._keys: dict[RoleName, Key] = {}

    def __call__(self, roles: Roles) -> Contents:
        for role in self._roles:
            if role not in self._keys:
                self._keys[role] = self._source.new_online_key(self._collection.server, self._gun, role)
        root = roles[ROOT].root
        if all(self._keys[role].keyid in root.roles[role].keyids for role in self._roles):
            return {}  # an earlier attempt was stored, and only its reply was lost
        return repository_editor.replace_online_keys(roles, self._keys, terms=self._terms)

    @property
    def _gun(self) -> GUN:
        return self._collection.gun
