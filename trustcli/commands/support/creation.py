"""Create a collection: for `trust init`, and for `trust sign` of an unknown name.

1. recovery key     its file or its URI, or the decision to have none (docs/adr/0030)
2. other keys       root key from the store or new, repository key new; the server holds snapshot and timestamp
3. root version 1   signed by the root key, and by the recovery key after its file was read back from disk, which
                    proves that the file works
4. publish, pin, verify as a client
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from keys.algorithms import accepted_fingerprints, bare_keyid, key_fingerprint, matching_keyids
from keys.errors import KeyAmbiguous
from trustcli.client.collection import Collection
from trustcli.client.ports import DeletedCollection
from trustcli.commands.support.aliases import refuse_alias
from trustcli.commands.support.compromised import compromised_keys, refuse_compromised
from trustcli.commands.support.key_source import KeySource, SessionKeys, uncompromised_recovery
from trustcli.commands.support.keys_in_use import keys_in_use
from trustcli.commands.support.planning import Planning
from trustcli.commands.support.recovery_place import RecoveryPlace, recovery_place
from trustcli.config.home_folder import expanded
from trustcli.errors import RemoteUnreachable, UsageError
from trustcli.publish.plan import Current, Planned
from trustcli.publish.preparation import Roles
from trustcli.session import Session
from trustdata.editing.owner_roles import OwnerRoles
from trustdata.editing.repository_editor import Contents, EditTerms, new_collection
from trustdata.envelope import Envelope
from trustdata.errors import CollectionExists, PublishRefused
from trustdata.gun import GUN
from trustdata.limits import MAX_ROOT
from trustdata.model import Key, Signer
from trustdata.roles import ROOT, SNAPSHOT, TARGETS, TIMESTAMP
from trustdata.verification import checks
from trustdata.verification.trust_pinning import fingerprint
from trustdata.wire import WireFormat
from trustdata.wire.tuf import TUF

_ONLY_THE_PIN: Final = "an earlier attempt has made it; only its pin was missing here"


@dataclass(frozen=True, slots=True, kw_only=True)
class Recovery:
    """The decision about a recovery root key: its file or its URI, or None for no such key."""

    place: RecoveryPlace | None

    @property
    def file(self) -> Path | None:
        """Its file; None if it has none."""
        return self.place if isinstance(self.place, Path) else None


def recovery_choice(named: str | None, *, none: bool) -> Recovery | None:
    """Return the decision that the command line makes, if any. Raises: UsageError."""
    if named is not None and none:
        raise UsageError("--recovery-key and --no-recovery-key contradict each other")
    if named is None:
        return Recovery(place=None) if none else None
    return Recovery(place=recovery_place(named))


def decide_recovery(session: Session, recovery: Recovery | None) -> Recovery:
    """Return the decision; ask the user if it is not made yet.

    Raises: UsageError if nobody can be asked or nobody answers, SettingsUnusable if the answer begins with `~` and no
    home folder is known.
    """
    if recovery is not None:
        return recovery
    answer = None if session.settings.non_interactive else _asked_for_recovery()
    if answer is None:
        raise UsageError("decide about the recovery key: --recovery-key FILE or --no-recovery-key")
    if not answer or not isinstance(recovery_place(answer), Path):
        return Recovery(place=answer or None)
    return Recovery(place=expanded(answer))


def _asked_for_recovery() -> str | None:
    """Ask for the file of the recovery key; an empty answer decides for none, no answer (None) for nothing."""
    from trustcli.console.prompt import TerminalPrompt

    return TerminalPrompt().ask(
        "File or URI of the recovery root key, which should not stay on this machine (empty: no recovery key): "
    )


def create(
    session: Session,
    gun: GUN,
    recovery: Recovery,
    *,
    wire: WireFormat = TUF,
    root_keys: Sequence[str] = (),
    threshold: int = 1,
    source: KeySource | None = None,
) -> str:
    """Create the collection and return its pin. `source`: of all collections that are created together.

    Raises: CollectionExists, UsageError, KeysError, PublishRefused, VersionConflict, ServerKeyNotUsed, NotTrusted,
    MalformedMetadata, TooLarge, RemoteUnreachable, RemoteRefused, RemoteMisbehaved, NoTrustServer, InvalidName (the
    server's URL), SettingsUnusable, LockDamaged, MemoryDamaged, MemoryUnwritable, FormatChanged.
    """
    _check_format_and_threshold(session, gun, wire, threshold)
    collection = session.collection(gun, wire=wire)
    earlier_root = _root_of_earlier_attempt(session, collection)
    if earlier_root is not None:
        session.output.notice(f"{gun}: {_ONLY_THE_PIN}")
        return _pin_and_refresh(session, collection, earlier_root)
    creation = Creation(
        session, source or SessionKeys(session), collection, recovery, root_keys=root_keys, threshold=threshold
    )
    publisher = session.publisher(collection, creation.keys)
    with _telling_what_was_made(session, gun, recovery):
        uploads = publisher.prepare(OwnerRoles(), creation({}))
        try:
            publisher.send_when_free(uploads)
        except (RemoteUnreachable, PublishRefused):
            # The upload may have been stored, and only the reply lost, or a proxy's busy one taken its place.
            if collection.server.fetch(gun, wire.filename(ROOT, version=1), limit=MAX_ROOT) != uploads[ROOT].raw:
                raise
    return _pin_and_refresh(session, collection, uploads[ROOT])


@contextmanager
def _telling_what_was_made(session: Session, gun: GUN, recovery: Recovery) -> Iterator[None]:
    """Say which keys are there now, if the collection is not made after all: the next attempt uses them."""
    before = {info.keyid for info in session.keystore.list()}
    had_file = recovery.file is not None and recovery.file.exists()
    try:
        yield
    except BaseException:  # also where the user ends it at a prompt
        made = [info.described for info in session.keystore.list() if info.keyid not in before]
        if recovery.file is not None and not had_file and recovery.file.exists():
            made.append(f"the recovery key {recovery.file}")
        if made:
            stay = (
                "is kept, and the next trust init uses it"
                if len(made) == 1
                else "are kept; the next trust init uses them"
            )
            session.output.notice(f"{gun} was not made; {' and '.join(made)} {stay}, under the same passphrase")
        raise


def plan(
    session: Session,
    planning: Planning,
    gun: GUN,
    recovery: Recovery,
    *,
    wire: WireFormat = TUF,
    root_keys: Sequence[str] = (),
    threshold: int = 1,
) -> Planned:
    """Return what `create` would publish; a TrustError or KeysError that would stop it is part of the plan.

    Raises: CollectionExists (known here in the other format), UsageError, NoTrustServer, InvalidName (the server's
    URL), SettingsUnusable, LockDamaged, FormatChanged.
    """
    _check_format_and_threshold(session, gun, wire, threshold)
    collection = planning.collection(gun, wire=wire)
    creation = Creation(session, planning.keys, collection, recovery, root_keys=root_keys, threshold=threshold)
    already_made = False

    def read() -> Current:
        nonlocal already_made
        already_made = _root_of_earlier_attempt(session, collection) is not None
        return Current(roles=OwnerRoles())

    def edit(roles: Roles) -> Contents:
        return {} if already_made else creation(roles)

    planned = planning.plan(collection, edit, creation.keys, read=read)
    return replace(planned, plan=replace(planned.plan, note=_ONLY_THE_PIN)) if already_made else planned


def _check_format_and_threshold(session: Session, gun: GUN, wire: WireFormat, threshold: int) -> None:
    """Check that the name is not known here in another format, and that the format has such a threshold.

    Raises: CollectionExists, UsageError, InvalidName; as `CollectionNames.named`.
    """
    known = session.pins.load().get(gun)
    if known is None or known.named is None:
        refuse_alias(session, gun)  # of the policy: an alias in pins.toml has a collection, which is told below
    if known is not None and known.format != wire.name:
        reason = f"{gun} is known already, in format {known.format}; a collection has one format for good"
        raise CollectionExists(role=ROOT, reason=reason)
    if wire.certifies_root_keys and threshold > 1:
        raise UsageError("--threshold: docker and notary cannot sign for more than 1; leave it out in their format")


class Creation:
    """The edit that creates a collection. Call it once: it makes the missing keys and adds them to `keys`."""

    def __init__(
        self,
        session: Session,
        source: KeySource,
        collection: Collection,
        recovery: Recovery,
        *,
        root_keys: Sequence[str],
        threshold: int,
    ) -> None:
        self.keys = source.held_keys()
        self._session = session
        self._source = source
        self._collection = collection
        self._recovery = recovery
        self._root_keys = root_keys
        self._threshold = threshold

    def __call__(self, roles: Roles) -> Contents:
        """Return the contents of all offline roles.

        Raises: UsageError, KeysError, RemoteUnreachable, RemoteRefused, RemoteMisbehaved, TooLarge.
        """
        del roles  # a new collection has none
        gun, server, wire = self._collection.gun, self._collection.server, self._collection.wire
        file, threshold = self._recovery.file, self._threshold
        if file is not None and not file.parent.is_dir():
            raise UsageError(
                f"the recovery key cannot go into {file.parent}, which is no folder; make it first: "
                f"mkdir -p {file.parent}"
            )
        if self._recovery.place is None or (file is not None and not file.exists()):  # else it may be the pinned key
            _check_pattern(self._session, gun, self._candidates(wire), wire)
        root_signers = _root_signers(self._session, self._source, self._root_keys, wire)
        spare = len(root_signers) > threshold
        recovery_signer = _recovery_signer(self._session, self._source, self._recovery, spare=spare)
        signers = [*root_signers, *([recovery_signer] if recovery_signer else [])]
        if len(accepted_fingerprints(signer.public_key for signer in signers)) < len(signers):
            raise UsageError("one key is named twice as a root key; a recovery key is another one, kept elsewhere")
        if len(signers) < threshold:
            raise UsageError(f"--threshold {threshold} needs {threshold} root keys; there are {len(signers)}")
        root_keys = [self._source.root_key(signer, gun, wire) for signer in signers]
        _check_pattern(self._session, gun, root_keys, wire)
        repository = _repository_signer(self._session, self._source, gun, wire)
        for signer in (*signers, repository):
            self.keys.add(signer)
        return new_collection(
            root_keys=root_keys,
            threshold=threshold,
            targets_key=wire.encode_key(repository.public_key),
            snapshot_key=wire.encode_key(self._source.online_key(server, gun, SNAPSHOT)),
            timestamp_key=wire.encode_key(self._source.online_key(server, gun, TIMESTAMP)),
            terms=EditTerms.of(self._collection.wire, at=self._session.at),
        )

    def _candidates(self, wire: WireFormat) -> list[Key]:
        """Return the keys of the store that may become root keys: those that were named, or all for roots."""
        store = self._session.keystore
        infos = [store.get(reference) for reference in self._root_keys] or store.list()
        return [wire.encode_key(info.public) for info in infos if info.purpose == "root"]


def _both_keyids(public: Key) -> frozenset[str]:
    """Return the ids that a key has: in TUF 1.0, and in Notary v1 without a certificate."""
    from keys.notary import notary_key  # only where a pattern is pinned

    return frozenset({public.keyid, notary_key(public).keyid})


def _check_pattern(session: Session, gun: GUN, root_keys: Iterable[Key], wire: WireFormat) -> None:
    """Refuse a root that those would refuse who have pinned a pattern of names, as this machine has.

    `root_keys`: those of which the root may have some. Raises: UsageError, SettingsUnusable (`pins.toml` cannot be
    read).
    """
    fitting = None if gun in session.pins.load() else session.pins.pattern_for(gun)
    if fitting is None:
        return
    pattern, pinned = fitting
    if any(pinned.pin.digest in {key.keyid, bare_keyid(key)} for key in root_keys):
        return
    refusal = f"pins.toml pins every name of {pattern} to {pinned.pin}, and the root of {gun} would not be signed by it"
    held = next((info for info in session.keystore.list() if pinned.pin.digest in _both_keyids(info.public)), None)
    if held is None:
        raise UsageError(f"{refusal}; that key is not in the store here: trust key import FILE")
    there = wire.encode_key(held.public).keyid
    if there != pinned.pin.digest:
        raise UsageError(f"{refusal}: it is the id of that key in the other format; in this one it is {there}")
    raise UsageError(f"{refusal}; name it: --root-key {held.keyid}")


def _root_of_earlier_attempt(session: Session, collection: Collection) -> Envelope | None:
    """Return the root that an earlier attempt of this machine, killed halfway, has published; None if the name is free.

    Raises: CollectionExists (it is not free), NotTrusted, MalformedMetadata, TooLarge, RemoteUnreachable,
    RemoteRefused, RemoteMisbehaved, MemoryDamaged, SettingsUnusable.
    """
    gun = collection.gun
    known = collection.known_by()
    if known is not None:
        raise CollectionExists(
            role=ROOT, reason=f"{gun} is known already (by {known}); a second root would not be trusted"
        )
    state = collection.on_server()
    if isinstance(state, DeletedCollection):
        reason = f"{gun} was deleted; its operator must release the name first: trust-server collections release {gun}"
        raise CollectionExists(role=ROOT, reason=reason)
    if state is None:
        return None
    root = _root_made_here(session, collection)
    if root is None:
        raise CollectionExists(role=ROOT, reason=f"{gun} has trust data already; pin it: trust pin {gun} REF")
    return root


def _root_made_here(session: Session, collection: Collection) -> Envelope | None:
    """Return root version 1 from the server, if an earlier attempt of this machine created it and lost the pin.

    The proof: a root key of this store has signed it, and it names the repository key that this store made for this
    name. The second condition keeps a server from serving another collection of ours under this name.

    Raises: NotTrusted, MalformedMetadata, TooLarge, RemoteUnreachable, RemoteRefused, RemoteMisbehaved.
    """
    raw = collection.server.fetch(collection.gun, collection.wire.filename(ROOT, version=1), limit=MAX_ROOT)
    if raw is None:
        return None
    root = collection.wire.parse(ROOT, raw)
    signed = checks.check_signatures(root.root, ROOT, root)
    checks.check_root_belongs(collection.gun, root, None, wire=collection.wire)
    keys, named = session.keystore.list(), root.root.keys
    root_keyids = matching_keyids(named, (key_fingerprint(info.public) for info in keys if info.purpose == "root"))
    repository_keys = (info for info in keys if info.purpose == "targets" and info.gun == collection.gun)
    repository = matching_keyids(named, (key_fingerprint(info.public) for info in repository_keys))
    if root_keyids.isdisjoint(signed) or repository.isdisjoint(root.root.roles[TARGETS].keyids):
        return None
    return root


def _pin_and_refresh(session: Session, collection: Collection, root: Envelope) -> str:
    """Record the pin, refresh the collection as a client, and return the pin.

    Raises: MemoryUnwritable, and the errors of `Collection.refresh`.
    """
    collection.adopt(root)
    session.collection(collection.gun, wire=collection.wire).refresh()
    return str(fingerprint(root))


# --- keys


def _root_signers(session: Session, source: KeySource, references: Sequence[str], wire: WireFormat) -> list[Signer]:
    """Return signers with the root keys that were named; else with the store's only one, else with a new one.

    Raises: KeysError (KeyAmbiguous, if the store has several), KeyCompromised.
    """
    store = session.keystore
    infos = [store.get(reference) for reference in references]
    if not infos:
        infos = [info for info in store.list() if info.purpose == "root" and not info.retired]
        if len(infos) > 1:
            # An interrupted rotation leaves a root key in the store that no collection uses.
            named = keys_in_use(session)
            used = [info for info in infos if key_fingerprint(info.public) in named]
            if len(used) != 1:
                candidates = tuple(info.described for info in infos)
                raise KeyAmbiguous(key="the root key (say which: --root-key)", candidates=candidates)
            infos = used
    for info in infos:
        refuse_compromised(session, info.public)
    if infos:
        return [source.stored(info.keyid) for info in infos]
    return [source.new(purpose="root", wire=wire)]


def _repository_signer(session: Session, source: KeySource, gun: GUN, wire: WireFormat) -> Signer:
    """Return a signer with a repository key for this collection alone.

    A key that an earlier attempt left in the store is used again, unless it is compromised. Raises: KeysError.
    """
    for info in session.keystore.list():
        left = info.purpose == "targets" and info.gun == gun and not info.retired
        if left and key_fingerprint(info.public) not in compromised_keys(session):
            return source.stored(info.keyid)
    return source.new(purpose="targets", gun=gun, wire=wire)


def _recovery_signer(session: Session, source: KeySource, recovery: Recovery, *, spare: bool) -> Signer | None:
    """Return a signer with the recovery key, or None, and warn of what the decision means.

    `spare`: whether there are more root keys than must sign, so that one may be lost. Raises: KeysError,
    KeyCompromised.
    """
    if recovery.place is None:
        if not spare:
            session.output.warn("no recovery key: if the root key is lost, the collection is lost")
        return None
    file = recovery.file
    if file is None:
        return uncompromised_recovery(session, source, recovery.place)
    if file.resolve().is_relative_to(session.settings.home.resolve()):
        session.output.warn(
            f"{file} lies beside the root key; move it to where a loss of this machine does not reach it"
        )
    signer = uncompromised_recovery(session, source, file) if file.exists() else source.new_recovery(file)
    if session.passphrases.shared("root", "recovery"):
        session.output.warn("the recovery key has the root key's passphrase: who loses one loses both")
    return signer
