"""Private keys of a notary-signer, from a dump of its database: the table `private_keys`.

Read are the text that `pg_dump` writes (a `COPY ... FROM stdin` block), and comma-separated values with a header. Each
key is a JSON Web Encryption under a passphrase (PBES2-HS256+A128KW, A256GCM; RFC 7516, RFC 7518 4.8), which the signer
has from its environment as NOTARY_SIGNER_<ALIAS>.
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

_COPY: Final = re.compile(r"COPY (?:[\w\"]+\.)?\"?private_keys\"? \((?P<columns>[^)]*)\) FROM stdin;")
_NEEDED: Final = ("key_id", "algorithm", "passphrase_alias", "private", "gun", "role")
_ENCRYPTION: Final = ["PBES2-HS256+A128KW", "A256GCM"]
_LONGEST_FIELD: Final = 1 << 20
_ED25519_BYTES: Final = (64, 96)


@dataclass(frozen=True, slots=True, kw_only=True)
class SignerKey:
    """A row, still closed. `keyid`: Notary's; `alias`: which passphrase opens it."""

    place: str
    keyid: str
    gun: str
    role: str
    alias: str
    algorithm: str
    encrypted: bytes = field(repr=False)

    def open(self, passphrase: str) -> PrivateKey:
        """The key, which is that of the row's id. Raises: PassphraseWrong, KeyFileMalformed, KeyNotAccepted."""
        from joserfc import jwe
        from joserfc.errors import JoseError
        from joserfc.jwk import OctKey

        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # of a passphrase's length: the signer has chosen it
                key = OctKey.import_key(passphrase.encode())
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


def read_signer_dump(text: str, *, place: str) -> list[SignerKey]:
    """Every key in the dump. Raises: KeyFileMalformed."""
    found = _COPY.search(text)
    rows = _copied(text, found, place) if found else _comma_separated(text)
    return [_key(row, columns, f"{place}, row {number}") for number, (columns, row) in enumerate(rows, 1)]


def _copied(text: str, found: re.Match[str], place: str) -> Iterator[tuple[Sequence[str], Sequence[str]]]:
    """Raises: KeyFileMalformed, if the end of the table is missing."""
    columns = [name.strip().strip('"') for name in found["columns"].split(",")]
    for line in text[found.end() :].lstrip("\n").split("\n"):
        if line == r"\.":
            return
        yield columns, line.split("\t")
    raise KeyFileMalformed(place=place, reason="is cut off before the end of the table")


def _comma_separated(text: str) -> Iterator[tuple[Sequence[str], Sequence[str]]]:
    csv.field_size_limit(_LONGEST_FIELD)
    rows = csv.reader(text.splitlines())
    columns = next(rows, [])
    for row in rows:
        yield columns, row


def _key(row: Sequence[str], columns: Sequence[str], place: str) -> SignerKey:
    missing = [name for name in _NEEDED if name not in columns]
    if missing or len(row) != len(columns):
        reason = f"has no {', '.join(missing)}" if missing else "has another number of columns than its head"
        raise KeyFileMalformed(place=place, reason=f"{reason}: a dump of the table private_keys is wanted")
    values = dict(zip(columns, row, strict=True))
    written = values["private"].removeprefix("\\").removeprefix("\\").removeprefix("x")
    try:
        encrypted = bytes.fromhex(written)
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
