"""`trust key show`: what a key file holds, or the key store under a name.

No private part is shown. An encrypted key is decrypted only if that is asked for: without, its id is not known.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, TypeAlias

from securesystemslib.signer import Key

from keys.algorithms import algorithm_of_tuf_key, key_fingerprint, public_key_of
from keys.errors import KeyIsPrivate, KeyNotFound, KeyUnknown
from keys.key_info import KeyInfo
from keys.material import tuf_key
from keys.notary import X509, notary_key
from keys.passphrase import ask_and_try, passphrase_bytes
from keys.private_blocks import PrivateKeyBlock
from keys.public_pem import read_public_pem
from keys.sealed_file import is_sealed, read_info
from keys.uris.uri import is_key_uri, shown_uri
from trustcli.commands.key.key_elsewhere import found_at
from trustcli.commands.key.key_import import blocks_of, read_key_file, stored_purpose
from trustcli.commands.key.key_uses import KeyUses
from trustcli.session import Session
from trustdata.errors import shown

Form: TypeAlias = Literal[
    "sealed private key",
    "private key",
    "encrypted private key",
    "public key",
    "certificate",
    "entry for a key elsewhere",
    "key at a URI",
]


@dataclass(frozen=True, slots=True, kw_only=True)
class ShownKey:
    """One key of a file. `public`: as TUF 1.0 encodes it, None for a key that is encrypted.

    `certificate_id`: the id of a certificate as a key of Notary v1. `role`, `gun`, `name`: as the file says. Or "".
    `uri`: where the private half lives, if it is in no file here.
    """

    place: str
    form: Form
    public: Key | None
    certificate_id: str = ""
    role: str = ""
    gun: str = ""
    name: str = ""
    uri: str = ""


def keys_of(session: Session, named: str, *, decrypt: bool) -> list[ShownKey]:
    """Return the key at a URI, or those of a file: sealed, PEM of either half, a certificate, of docker or notary.

    What is no file is a key of the store, by its name, its id or the first digits of that. `decrypt`: ask for the
    passphrase of an encrypted PEM key, to know its public half. Raises: KeysError.
    """
    if is_key_uri(named):
        found = found_at(session, named)
        return [ShownKey(place=shown_uri(named), form="key at a URI", public=tuf_key(found.public), uri=found.uri)]
    file = Path(named)
    if not os.path.lexists(file):
        try:
            return [_of_info(session.keystore.get(named), named)]
        except KeyNotFound as error:
            raise KeyUnknown(key=shown(named), named=True, digits=False) from error
    data = read_key_file(file)
    if is_sealed(data):
        return [_of_info(read_info(data, place=str(file)), str(file))]
    try:
        public = read_public_pem(data, place=str(file), at=session.at)
    except KeyIsPrivate:
        return [_of_block(session, block, decrypt=decrypt) for block in blocks_of(file, data)]
    certified = public.keytype.endswith(X509)
    return [
        ShownKey(
            place=str(file),
            form="certificate" if certified else "public key",
            public=tuf_key(public_key_of(public)),
            certificate_id=public.keyid if certified else "",
        )
    ]


def _of_info(info: KeyInfo, place: str) -> ShownKey:
    return ShownKey(
        place=place,
        form="entry for a key elsewhere" if info.uri else "sealed private key",
        public=info.public,
        role=info.purpose,
        gun=info.gun,
        name=info.name,
        uri=info.uri,
    )


def _of_block(session: Session, block: PrivateKeyBlock, *, decrypt: bool) -> ShownKey:
    public: Key | None = None
    if not block.encrypted:
        public = tuf_key(block.open(None))
    elif decrypt:
        private, _ = ask_and_try(
            session.passphrases,
            lambda passphrase: block.open(passphrase_bytes(passphrase)),
            purpose=stored_purpose(block),
            key=block.place,
        )
        public = tuf_key(private)
    form: Form = "encrypted private key" if block.encrypted else "private key"
    return ShownKey(place=block.place, form=form, public=public, role=block.role, gun=block.gun)


def row(session: Session, key: ShownKey, uses: KeyUses) -> dict[str, object]:
    """Return what documents say of a key of a file. Raises: KeyNotAccepted."""
    public = key.public
    stored = _stored(session, public) if public is not None else None
    return {
        "file": key.place,
        "form": key.form,
        "keyid": public.keyid if public is not None else None,
        "notary_keyid": notary_key(public).keyid if public is not None else None,
        "certificate_id": key.certificate_id or None,
        "algorithm": str(algorithm_of_tuf_key(public)) if public is not None else None,
        "role": shown(key.role),
        "gun": shown(key.gun),
        "name": shown(key.name),
        "uri": key.uri or (stored.uri if stored is not None else "") or None,
        "in_store": stored.described if stored is not None else None,
        "collections": uses.of(public) if public is not None else {},
        "last_signed": uses.last(public) if public is not None else None,
    }


def lines(row: dict[str, object]) -> Iterator[str]:
    """Return the lines for people about one key."""
    yield f"{row['file']}: {row['form']}"
    if row["keyid"] is None:
        yield "  its id is known once it is decrypted: --decrypt asks for the passphrase"
    words = {
        "keyid": "key id (TUF 1.0)",
        "notary_keyid": "key id (Notary v1)",
        "certificate_id": "id of the certificate (Notary v1)",
        "algorithm": "algorithm",
        "role": "role, as the file says",
        "gun": "collection, as the file says",
        "name": "name",
        "uri": "its private key lives at",
        "in_store": "in the key store here",
        "last_signed": "last signed here",
    }
    yield from (f"  {text}: {row[member]}" for member, text in words.items() if row[member])
    used = row["collections"]
    if isinstance(used, dict):
        told = ((" and ".join(map(shown, roles)), gun) for gun, roles in used.items())
        yield from (f"  {roles} key of {gun}, as far as is known here" for roles, gun in told)


def _stored(session: Session, public: Key) -> KeyInfo | None:
    fingerprint = key_fingerprint(public)
    return next((info for info in session.keystore.list() if key_fingerprint(info.public) == fingerprint), None)
