"""Read the public key of a signer, as somebody has sent it, or where the private one lives."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

from keys.errors import KeyNotFound, KeyUnknown
from keys.file_access import key_file_error
from keys.material import tuf_key
from keys.pem import MAX_KEY_FILE
from keys.public_pem import read_public_pem
from keys.uris.uri import is_key_uri
from trustcli.session import Session
from trustdata.errors import shown
from trustdata.model import Key


def signer_key(session: Session, named: str) -> Key:
    """Return the public key in a file, or of the key at a URI. Raises: KeysError."""
    if not is_key_uri(named):
        return read_signer_key(Path(named), session.at)
    from keys.key_opening import find_key  # few keys live elsewhere: start-up time

    return tuf_key(find_key(named, session.passphrases, "signer").public)


def new_signer_key(session: Session, named: str) -> Key:
    """Return the public key of the store, of a file, or of the key at a URI. Raises: KeysError."""
    if not is_key_uri(named):
        try:
            return session.keystore.get(named).public
        except KeyNotFound as error:
            if not Path(named).is_file():
                raise KeyUnknown(key=shown(named), named=True, digits=False) from error
    return signer_key(session, named)


def read_signer_key(file: Path, at: datetime) -> Key:
    """Return the key in a PEM file: a public key, or a certificate that is valid at `at`. Raises: KeysError."""
    try:
        with file.open("rb") as stream:
            data = stream.read(MAX_KEY_FILE + 1)
    except OSError as error:
        raise key_file_error(file, error) from error
    return read_public_pem(data, place=str(file), at=at)
