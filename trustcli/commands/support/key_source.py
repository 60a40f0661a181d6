"""Where a command gets its keys: from the key store, from a recovery key's file, newly made, or from the server.

Commands that publish ask a `KeySource` and nobody else, so that a plan can stand in for all of it
(`trustcli.commands.support.planning`): what makes, opens or asks for a key is here.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Protocol

from keys import recovery as recovery_file
from keys.algorithms import Algorithm, generate
from keys.errors import KeyNotAccepted
from keys.key_info import KeyInfo, Purpose
from keys.signers import FileSigner, signer_for
from trustcli.client.ports import PublishRemote
from trustcli.publish.plan import KeyPlace
from trustcli.publish.preparation import HeldKeys
from trustcli.session import Session
from trustdata.gun import GUN
from trustdata.model import Key, Signer
from trustdata.roles import RoleName
from trustdata.wire import WireFormat


class KeysAtHand(HeldKeys, Protocol):
    """`HeldKeys` that can grow."""

    def bring(self, signer: Signer) -> None:
        """One more key for this invocation."""


class KeySource(Protocol):
    """Raises KeysError, and what the server raises."""

    def at_hand(self, brought: Iterable[Signer] = ()) -> KeysAtHand:
        """The keys of the store, and those brought along."""

    def stored(self, reference: str) -> Signer:
        """A key of the store: id, the first digits of it, or name."""

    def new(self, *, purpose: Purpose, gun: str = "", name: str = "") -> Signer:
        """A new key, kept in the store."""

    def recovery(self, file: Path) -> Signer:
        """The key in an existing file, proven to open."""

    def new_recovery(self, file: Path) -> Signer:
        """A new recovery key in a new file, proven to open."""

    def root_key(self, signer: Signer, gun: GUN, wire: WireFormat) -> Key:
        """A root key's public part as the roots of a collection write it: in Notary v1 in a certificate, newly made."""

    def online(self, server: PublishRemote, gun: GUN, role: RoleName) -> Key:
        """The server's key for a new collection."""

    def new_online(self, server: PublishRemote, gun: GUN, role: RoleName) -> Key:
        """The server's next key for a collection that there is."""


def stored_place(info: KeyInfo) -> KeyPlace:
    """A key of the store, for plans and lists."""
    return KeyPlace(keyid=info.keyid, place="store", name=f"{info.purpose} key {info.name}".rstrip())


class SessionKeys:
    """`KeySource` of a command that is carried out."""

    def __init__(self, session: Session) -> None:
        self._session = session

    def at_hand(self, brought: Iterable[Signer] = ()) -> KeysAtHand:
        """See KeySource."""
        return self._session.held_keys(brought)

    def stored(self, reference: str) -> Signer:
        """See KeySource."""
        return signer_for(self._session.keystore, reference, self._session.passphrases)

    def new(self, *, purpose: Purpose, gun: str = "", name: str = "") -> Signer:
        """See KeySource. Durable when it returns."""
        private = generate(Algorithm.ECDSA_P256)
        info = KeyInfo.of(private, purpose=purpose, gun=gun, name=name, created=self._session.at)
        passphrase = self._session.passphrases.passphrase(purpose=purpose, key=f"the new {purpose} key", new=True)
        self._session.keystore.add(private, info, passphrase)
        self._session.output.notice(f"made {info.described}")
        return FileSigner(private, info)

    def recovery(self, file: Path) -> Signer:
        """See KeySource."""
        private = recovery_file.read_asking(
            file,
            lambda: self._session.passphrases.passphrase(purpose="recovery", key=f"the recovery key {file}"),
        )
        return FileSigner(private, KeyInfo.of(private, purpose="recovery", name=file.name))

    def new_recovery(self, file: Path) -> Signer:
        """See KeySource. The file is read back from disk: from then on it is known to work."""
        secret = self._session.passphrases.passphrase(purpose="recovery", key=f"the new recovery key {file}", new=True)
        recovery_file.create(file, secret, created=self._session.at)
        return self.recovery(file)

    def root_key(self, signer: Signer, gun: GUN, wire: WireFormat) -> Key:
        """See KeySource."""
        if not wire.certifies_root_keys:
            return wire.encode_key(signer.public_key)
        if not isinstance(signer, FileSigner):
            raise KeyNotAccepted(key=signer.public_key.keyid, reason="only a key of the store can be certified")
        from keys.certificate import root_certificate  # Notary v1 only: start-up time

        return root_certificate(signer.private, gun=gun, at=self._session.at)

    def online(self, server: PublishRemote, gun: GUN, role: RoleName) -> Key:
        """See KeySource."""
        return server.online_key(gun, role)

    def new_online(self, server: PublishRemote, gun: GUN, role: RoleName) -> Key:
        """See KeySource."""
        return server.new_online_key(gun, role)
