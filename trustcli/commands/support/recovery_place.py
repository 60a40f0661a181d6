"""Where a recovery key is: in a file, or at the URI of a key. Nothing of it is stored on this machine."""

from __future__ import annotations

from pathlib import Path
from typing import TypeAlias

from keys.key_info import KeyInfo
from keys.passphrase import PassphraseProvider
from keys.signers import FileSigner
from keys.uris.uri import is_key_uri, shown_uri
from trustcli.session import Session
from trustdata.model import Key

RecoveryPlace: TypeAlias = Path | str
"""A file; or text, which is a key URI."""


def recovery_place(named: str) -> RecoveryPlace:
    """Return what a command line names as a recovery key: a file, or a key URI as it stands."""
    return named if is_key_uri(named) else Path(named)


def shown_place(place: RecoveryPlace) -> str:
    """Return the place for messages."""
    return str(place) if isinstance(place, Path) else shown_uri(place)


def recovery_public(session: Session, place: RecoveryPlace, passphrases: PassphraseProvider) -> Key:
    """Return the public half of a recovery key. A sealed file is not decrypted; a token wants its PIN.

    Raises: KeysError.
    """
    if isinstance(place, Path):
        from keys import recovery_file

        return recovery_file.read_public_key(place, passphrases, platform_secrets=session.settings.platform_secrets)
    from keys.key_opening import find_key  # few keys live elsewhere: start-up time

    return KeyInfo.of(find_key(place, passphrases, "recovery").public, purpose="recovery").public


def recovery_signer(session: Session, place: RecoveryPlace) -> FileSigner:
    """Open a recovery key: decrypt its file, or find the key at its URI. Raises: KeysError."""
    if isinstance(place, Path):
        from keys import recovery_file

        private = recovery_file.read(place, session.passphrases, platform_secrets=session.settings.platform_secrets)
        return FileSigner(private, KeyInfo.of(private, purpose="recovery", name=place.name))
    from keys.key_opening import find_key, open_key  # few keys live elsewhere: start-up time

    found = find_key(place, session.passphrases, "recovery")
    private = open_key(found.uri, found.public, session.passphrases, "recovery")
    return FileSigner(private, KeyInfo.of(private, purpose="recovery", uri=found.uri))
