"""Open the private keys of a file, or the one at a URI, for one run: nothing of them is stored on this machine."""

from __future__ import annotations

from pathlib import Path

from keys.errors import KeyFileMalformed
from keys.key_info import KeyInfo
from keys.passphrase import ask_and_try, passphrase_bytes
from keys.private_blocks import PrivateKeyBlock, read_private_blocks
from keys.recovery_file import read_key_file
from keys.sealed_file import is_sealed
from keys.signers import FileSigner
from keys.uris.uri import is_key_uri
from trustcli.session import Session
from trustdata.roles import TIMESTAMP


def signers_of(session: Session, named: str) -> tuple[FileSigner, ...]:
    """Return a signer for the key at a URI, or for each private key of a PEM file. Raises: KeysError."""
    if not is_key_uri(named):
        return signers_in(session, Path(named))
    from keys.key_opening import find_key, open_key  # few keys live elsewhere: start-up time

    found = find_key(named, session.passphrases, "signer")
    private = open_key(found.uri, found.public, session.passphrases, "signer")
    return (FileSigner(private, KeyInfo.of(private, purpose="signer", created=session.at, uri=found.uri)),)


def signers_in(session: Session, file: Path) -> tuple[FileSigner, ...]:
    """Return a signer for each private key of a PEM file. Its passphrase is that of a signer's key.

    Raises: KeysError: KeyFileExposed, if others may read a key that is not encrypted; KeyFileMalformed, also for a file
    of a key store; PassphraseMissing, PassphraseWrong, KeyNotAccepted and others.
    """
    data = read_key_file(file, platform_secrets=session.settings.platform_secrets)
    if is_sealed(data):
        reason = "it is a file of a key store of trust; trust key export writes a key that can be carried"
        raise KeyFileMalformed(place=str(file), reason=reason)
    blocks = [block for block in read_private_blocks(data, place=str(file)) if block.role != TIMESTAMP]
    return tuple(_opened(session, block) for block in blocks)  # timestamp keys are servers'


def _opened(session: Session, block: PrivateKeyBlock) -> FileSigner:
    if block.encrypted:
        private, _ = ask_and_try(
            session.passphrases,
            lambda passphrase: block.open(passphrase_bytes(passphrase)),
            purpose="signer",
            key=block.place,
        )
    else:
        private = block.open(None)
    return FileSigner(private, KeyInfo.of(private, purpose="signer", created=session.at))
