"""Private keys of a notary-signer, read from a dump of the table `private_keys` of its database.

Two forms are read: the text that `pg_dump` writes (a `COPY ... FROM stdin` block), and comma-separated values with a
header line. Each key is a JSON Web Encryption with a passphrase (PBES2-HS256+A128KW, A256GCM; RFC 7516, RFC 7518
section 4.8). The notary-signer reads the passphrase from its environment variable NOTARY_SIGNER_<ALIAS>.
"""

from __future__ import annotations

import csv
import re
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Final

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import load_der_private_key

from keys.algorithms import PrivateKey, algorithm_of
from keys.errors import KeyFileMalformed, KeyNotAccepted, PassphraseWrong
from keys.notary import bare_key
from keys.passphrase import passphrase_bytes
from keys.pem import text_of
from keys.unpadding import NOTARY_ED25519_BYTES

_COPY: Final = re.compile(r"COPY (?:[\w\"]+\.)?\"?private_keys\"? \((?P<columns>[^)]*)\) FROM stdin;")
_REQUIRED_COLUMNS: Final = ("key_id", "algorithm", "passphrase_alias", "private", "gun", "role")
_ENCRYPTION: Final = ["PBES2-HS256+A128KW", "A256GCM"]
_WANTED: Final = "a dump of the table private_keys is wanted"
_MAX_FIELD: Final = 1 << 20  # characters
_ED25519_BYTES: Final = (64, NOTARY_ED25519_BYTES)
"""Seed and public key, before which Notary has the public key once more."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SignerKey:
    """A row of the table, not decrypted yet. `keyid`: the id of Notary v1. `alias`: the name of the passphrase."""

    place: str
    keyid: str
    gun: str
    role: str
    alias: str
    algorithm: str
    encrypted: bytes = field(repr=False)

    def open(self, passphrase: str) -> PrivateKey:
        """Decrypt the private key and check that it has the id of the row.

        Raises: PassphraseWrong, KeyFileMalformed, KeyNotAccepted.
        """
        from joserfc import jwe
        from joserfc.errors import JoseError
        from joserfc.jwk import OctKey

        if not passphrase:
            raise PassphraseWrong(key=self.place)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about a short passphrase: it was chosen for the notary-signer
            key = OctKey.import_key(passphrase_bytes(passphrase))
        try:
            content = jwe.decrypt_compact(self.encrypted, key, algorithms=_ENCRYPTION).plaintext
        except JoseError as error:
            raise PassphraseWrong(key=self.place) from error
        except (ValueError, TypeError) as error:
            raise KeyFileMalformed(place=self.place, reason="is no encrypted key") from error
        private = self._read(content or b"")
        algorithm_of(private, named=self.place)
        if bare_key(private.public_key()).keyid != self.keyid:
            raise KeyFileMalformed(place=self.place, reason="holds another key than its id says")
        return private

    def _read(self, content: bytes) -> PrivateKey:
        if self.algorithm == "ed25519":
            if len(content) not in _ED25519_BYTES:
                raise KeyFileMalformed(place=self.place, reason="holds no private key")
            return Ed25519PrivateKey.from_private_bytes(content[-64:-32])
        try:
            key = load_der_private_key(content, None)
        except (ValueError, TypeError, UnsupportedAlgorithm) as error:
            raise KeyFileMalformed(place=self.place, reason="holds no private key") from error
        if not isinstance(key, PrivateKey):
            raise KeyNotAccepted(key=self.place, reason="neither ECDSA, Ed25519 nor RSA")
        return key


def read_signer_dump(content: bytes, *, place: str) -> list[SignerKey]:
    """Read every key in a dump, at least one: in UTF-8, or in UTF-16, as a shell of Windows redirects it.

    `place`: the name of the file in error messages. Raises: KeyFileMalformed.
    """
    text = text_of(content).replace("\r\n", "\n")
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise KeyFileMalformed(place=place, reason="is no text") from error
    copy_statement = _COPY.search(text)
    rows = _copy_rows(text, copy_statement, place) if copy_statement else _csv_rows(text, place)
    keys = [_key(row, columns, f"{place}, row {number}") for number, (columns, row) in enumerate(rows, 1)]
    if not keys:
        raise KeyFileMalformed(place=place, reason=f"holds no key: {_WANTED}")
    return keys


def _copy_rows(text: str, copy_statement: re.Match[str], place: str) -> Iterator[tuple[Sequence[str], Sequence[str]]]:
    """Yield the columns and each row of a `COPY` block. Raises: KeyFileMalformed if its end is missing."""
    columns = [name.strip().strip('"') for name in copy_statement["columns"].split(",")]
    for line in text[copy_statement.end() :].removeprefix("\n").split("\n"):
        if line == r"\.":
            return
        yield columns, line.split("\t")
    raise KeyFileMalformed(place=place, reason="is cut off before the end of the table")


def _csv_rows(text: str, place: str) -> Iterator[tuple[Sequence[str], Sequence[str]]]:
    """Yield the head and each row of comma-separated values. Raises: KeyFileMalformed for a field that is too long."""
    csv.field_size_limit(_MAX_FIELD)
    try:
        rows = list(csv.reader(text.splitlines()))
    except csv.Error as error:
        raise KeyFileMalformed(place=place, reason=f"has a field of more than {_MAX_FIELD} characters") from error
    for row in filter(None, rows[1:]):  # an empty line is no row
        yield rows[0], row


def _key(row: Sequence[str], columns: Sequence[str], place: str) -> SignerKey:
    missing = [name for name in _REQUIRED_COLUMNS if name not in columns]
    if missing:
        raise KeyFileMalformed(place=place, reason=f"has no {', '.join(missing)}: {_WANTED}")
    try:
        values = dict(zip(columns, row, strict=True))
    except ValueError as error:
        reason = f"has another number of columns than its head: {_WANTED}"
        raise KeyFileMalformed(place=place, reason=reason) from error
    hex_text = values["private"].removeprefix("\\").removeprefix("\\").removeprefix("x")
    try:
        encrypted = bytes.fromhex(hex_text)
    except ValueError as error:
        raise KeyFileMalformed(place=place, reason="its column private is not hexadecimal") from error
    return SignerKey(
        place=place,
        keyid=values["key_id"],
        gun=values["gun"],
        role=values["role"],
        alias=values["passphrase_alias"],
        algorithm=values["algorithm"],
        encrypted=encrypted,
    )
