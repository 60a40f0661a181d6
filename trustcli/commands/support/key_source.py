"""Where a command gets its keys: from the key store, a recovery key's file, newly made, or from the server.

Commands that publish get all keys from a `KeySource`, so that a plan can replace it by one that makes, opens and
requests no key (`trustcli.commands.support.planning`).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Protocol

from keys import recovery_file
from keys.algorithms import Algorithm, generate
from keys.errors import KeyNotAccepted
from keys.key_info import KeyInfo, Purpose
from keys.signers import FileSigner, keep_open, signer_for
from trustcli.client.ports import PublishRemote
from trustcli.commands.support.compromised import refuse_compromised, uncompromised_online_key
from trustcli.commands.support.recovery_place import RecoveryPlace, recovery_signer
from trustcli.publish.plan import KeyPlace
from trustcli.publish.preparation import HeldKeys
from trustcli.session import Session
from trustdata.gun import GUN
from trustdata.model import Key, Signer
from trustdata.roles import RoleName
from trustdata.wire import WireFormat


class ExtensibleKeys(HeldKeys, Protocol):
    """Held keys to which further ones can be added."""

    def add(self, signer: Signer) -> None:
        """Add a key for the rest of this run."""


class KeySource(Protocol):
    """All keys that a command uses: methods that are called after a key return its public part, all others a signer.

    Every method may raise KeysError; those that take a server also RemoteUnreachable, RemoteRefused, RemoteMisbehaved
    and TooLarge.
    """

    def held_keys(self, extra: Iterable[Signer] = ()) -> ExtensibleKeys:
        """Return the keys of the store and the extra ones."""

    def stored(self, reference: str) -> Signer:
        """Return a signer with a key of the store, given its id, the first digits of its id, or its name."""

    def new(self, *, purpose: Purpose, gun: str = "", name: str = "", wire: WireFormat | None = None) -> Signer:
        """Make a new key, store it, and return a signer with it. `wire`: the format for which it is made."""

    def recovery(self, place: RecoveryPlace) -> Signer:
        """Open a recovery key that is there, in a file or at a URI, and return a signer with it."""

    def new_recovery(self, file: Path) -> Signer:
        """Make a recovery key in a new file, read it back, and return a signer with it."""

    def root_key(self, signer: Signer, gun: GUN, wire: WireFormat) -> Key:
        """Return a root key as a root of the format holds it: for Notary v1, a new certificate."""

    def online_key(self, server: PublishRemote, gun: GUN, role: RoleName) -> Key:
        """Return the server's key for a role of a new collection."""

    def new_online_key(self, server: PublishRemote, gun: GUN, role: RoleName) -> Key:
        """Request a new key from the server for a role of an existing collection, and return it."""


def uncompromised_recovery(session: Session, source: KeySource, place: RecoveryPlace) -> Signer:
    """Return a signer with the recovery key at a place, unless that key was removed as compromised.

    Raises: KeysError, KeyCompromised, SettingsUnusable, FileNewer, FileExposed.
    """
    signer = source.recovery(place)
    refuse_compromised(session, signer.public_key)
    return signer


def stored_place(info: KeyInfo) -> KeyPlace:
    """Return where a key of the store is, for plans and lists."""
    return KeyPlace(keyid=info.keyid, place="store", name=f"{info.purpose} key {info.name}".rstrip())


def _described_in_format(info: KeyInfo, wire: WireFormat | None) -> str:
    """Return the name of a new key under the id that the format gives it, so that no output shows two ids of it."""
    if wire is None or not wire.certifies_root_keys:
        return info.described
    if info.purpose == "root":
        return "root key"  # its certificate, which is not made yet, has an id of its own
    return replace(info, keyid=wire.encode_key(info.public).keyid).described


class SessionKeys:
    """The `KeySource` of a command that is really run."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self._recovery: dict[RecoveryPlace, FileSigner] = {}

    def held_keys(self, extra: Iterable[Signer] = ()) -> ExtensibleKeys:
        """Return the keys of the store and the extra ones."""
        return self._session.held_keys(extra)

    def stored(self, reference: str) -> Signer:
        """Return a signer with a key of the store, given its id, the first digits of its id, or its name."""
        return signer_for(self._session.keystore, reference, self._session.passphrases)

    def new(self, *, purpose: Purpose, gun: str = "", name: str = "", wire: WireFormat | None = None) -> Signer:
        """Make a new key, store it durably, and return a signer with it."""
        private = generate(Algorithm.ECDSA_P256)
        info = KeyInfo.of(private, purpose=purpose, gun=gun, name=name, created=self._session.at)
        passphrase = self._session.passphrases.passphrase(purpose=purpose, key=f"the new {purpose} key", new=True)
        self._session.keystore.add(private, info, passphrase)
        self._session.output.notice(f"made {_described_in_format(info, wire)}")
        signer = FileSigner(private, info)
        keep_open(self._session.keystore, info.keyid, signer)
        return signer

    def recovery(self, place: RecoveryPlace) -> Signer:
        """Open a recovery key that is there, once for all collections, and return a signer with it."""
        if place not in self._recovery:
            self._recovery[place] = recovery_signer(self._session, place)
        return self._recovery[place]

    def new_recovery(self, file: Path) -> Signer:
        """Make a recovery key in a new file, read the file back from disk, and return a signer with it."""
        key = f"the new recovery key {file}"
        passphrase = self._session.passphrases.passphrase(purpose="recovery", key=key, new=True)
        recovery_file.create(file, passphrase, created=self._session.at)
        return self.recovery(file)

    def root_key(self, signer: Signer, gun: GUN, wire: WireFormat) -> Key:
        """Return a root key as a root of the format holds it: for Notary v1, a new certificate.

        Raises: KeyNotAccepted (its private key is not open here).
        """
        if not wire.certifies_root_keys:
            return wire.encode_key(signer.public_key)
        if not isinstance(signer, FileSigner):
            raise KeyNotAccepted(
                key=signer.public_key.keyid, reason="only a private key that is open here can be certified"
            )
        from keys.certificate import root_certificate  # Notary v1 only: start-up time

        return root_certificate(signer.private, gun=gun, at=self._session.at)

    def online_key(self, server: PublishRemote, gun: GUN, role: RoleName) -> Key:
        """Return the server's key for a role of a new collection."""
        return uncompromised_online_key(self._session, server, role, server.online_key(gun, role))

    def new_online_key(self, server: PublishRemote, gun: GUN, role: RoleName) -> Key:
        """Request a new key from the server for a role of an existing collection, and return it."""
        return uncompromised_online_key(self._session, server, role, server.new_online_key(gun, role))
