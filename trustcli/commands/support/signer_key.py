"""Read the public key of a signer, as somebody has sent it."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

from keys.file_access import key_file_error
from keys.pem import MAX_KEY_FILE
from keys.public_pem import read_public_pem
from trustdata.model import Key


def read_signer_key(file: Path, at: datetime) -> Key:
    """Return the key in a PEM file: a public key, or a certificate that is valid at `at`. Raises: KeysError."""
    try:
        with file.open("rb") as stream:
            data = stream.read(MAX_KEY_FILE + 1)
    except OSError as error:
        raise key_file_error(file, error) from error
    return read_public_pem(data, place=str(file), at=at)
