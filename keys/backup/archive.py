"""The file of a backup: private keys, sealed together with what they are, in one JSON document.

    {"format":    "content-trust-backup-1",
     "backup":    32 hex digits that name this backup,
     "created":   RFC 3339,
     "by":        who made it, where,
     "seal":      {"name": "passphrase", "kdf": {...scrypt...}, "nonce": BASE64, "key": BASE64 of AES-256-GCM(the key)}
                  or {"name": "slip-39", "threshold": 2, "count": 3, "set": the number that SLIP-39 gives its shares},
     "cipher":    {"name": "aes-256-gcm", "nonce": BASE64 of 12 bytes},
     "keys":      [{"info": the members of KeyInfo.to_dict, "retired": false}, ...],
     "elsewhere": [{"info": ..., "retired": false, "uri": where the private key lives}, ...],
     "sealed":    BASE64 of AES-256-GCM({"keys": {KEYID: BASE64 of PKCS#8 DER}})}

The content is sealed under a random key of 32 bytes, with everything else in the document authenticated; that key is
sealed under a passphrase, or split into shares that are written elsewhere. So a wrong passphrase, a wrong set of shares
and an altered file are told apart (docs/adr/0101).
"""

from __future__ import annotations

import base64
import json
import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.scrypt import Scrypt

from keys.algorithms import PrivateKey
from keys.backup.errors import BackupAltered, BackupMalformed, BackupNewer, BackupPassphraseWrong
from keys.document_version import DocumentKind
from keys.errors import KeyFileMalformed, KeyNotAccepted, PassphraseMissing
from keys.foreign_files import BACKUP
from keys.json_members import unique_members
from keys.key_info import KeyInfo
from keys.material import read_private_der, tuf_key, write_private_der
from keys.passphrase import passphrase_bytes
from keys.rfc3339 import from_rfc3339, to_rfc3339
from keys.scrypt_cost import PRODUCTION_COST, ScryptCost

KIND: Final = DocumentKind(what="a backup of keys", name=BACKUP)
MAX_ARCHIVE: Final = 16 * 1024 * 1024
MAX_KEYS: Final = 4096
MOST_SHARES: Final = 16
KEY_BYTES: Final = 32
_MAX_BY: Final = 512
_MAX_URI: Final = 4096
_ID_BYTES: Final = 16
_SALT_BYTES: Final = 16
_NONCE_BYTES: Final = 12
_TAG_BYTES: Final = 16
_MEMBERS: Final = {"format", "backup", "created", "by", "seal", "cipher", "keys", "elsewhere", "sealed"}


@dataclass(frozen=True, slots=True, kw_only=True)
class PassphraseSeal:
    """The key of a backup, sealed under a passphrase. `members`: as in the document."""

    cost: ScryptCost
    salt: bytes
    nonce: bytes
    key: bytes
    members: Mapping[str, object]


@dataclass(frozen=True, slots=True, kw_only=True)
class SharedSeal:
    """The key of a backup, split into `count` shares of which `threshold` open it.

    `set_number`: what SLIP-39 writes into each share of the set.
    """

    threshold: int
    count: int
    set_number: int

    @property
    def members(self) -> Mapping[str, object]:
        """What the document says of it."""
        return {"name": "slip-39", "threshold": self.threshold, "count": self.count, "set": self.set_number}


@dataclass(frozen=True, slots=True, kw_only=True)
class Elsewhere:
    """A key whose private part cannot be backed up, because it lives elsewhere. `uri`: where."""

    info: KeyInfo
    uri: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Backup:
    """What a backup says of itself. It is not authenticated until it is opened with `open_archive`.

    `place`: the name of the file in messages.
    """

    place: str
    name: str
    created: datetime
    by: str
    seal: PassphraseSeal | SharedSeal
    infos: tuple[KeyInfo, ...]
    elsewhere: tuple[Elsewhere, ...]
    header: Mapping[str, object]
    nonce: bytes
    sealed: bytes


def new_name() -> str:
    """Return the random name of a new backup, by which its shares are told from those of others."""
    return os.urandom(_ID_BYTES).hex()


def new_key() -> bytes:
    """Return the random key of a new backup."""
    return os.urandom(KEY_BYTES)


def seal_key(key: bytes, passphrase: str, *, name: str, cost: ScryptCost = PRODUCTION_COST) -> PassphraseSeal:
    """Seal the key of the backup `name` under a passphrase. Raises: PassphraseMissing for an empty passphrase."""
    if not passphrase:
        raise PassphraseMissing(key="the backup", sources=())
    salt, nonce = os.urandom(_SALT_BYTES), os.urandom(_NONCE_BYTES)
    kdf = {"name": "scrypt", "n": cost.n, "r": cost.r, "p": cost.p, "salt": _encode(salt)}
    sealed = AESGCM(_derive(passphrase, salt, cost)).encrypt(nonce, key, _canonical({"backup": name, "kdf": kdf}))
    members = {"name": "passphrase", "kdf": kdf, "nonce": _encode(nonce), "key": _encode(sealed)}
    return PassphraseSeal(cost=cost, salt=salt, nonce=nonce, key=sealed, members=members)


def key_from_passphrase(backup: Backup, seal: PassphraseSeal, passphrase: str) -> bytes:
    """Open the key of a backup. Raises: BackupPassphraseWrong, also if what seals the key was altered."""
    authenticated = _canonical({"backup": backup.name, "kdf": seal.members["kdf"]})
    try:
        return AESGCM(_derive(passphrase, seal.salt, seal.cost)).decrypt(seal.nonce, seal.key, authenticated)
    except InvalidTag as error:
        raise BackupPassphraseWrong(key=f"the backup {backup.place}", or_altered=True) from error


def write_archive(
    keys: Iterable[tuple[KeyInfo, PrivateKey]],
    key: bytes,
    *,
    seal: PassphraseSeal | SharedSeal,
    name: str,
    created: datetime,
    by: str,
    elsewhere: Iterable[Elsewhere] = (),
) -> bytes:
    """Return the file of a backup. `key`: the one that `seal` is of. `elsewhere`: keys that are only listed.

    Raises: BackupMalformed, if it would be larger than what is read again, or has no key.
    """
    opened = list(keys)
    nonce = os.urandom(_NONCE_BYTES)
    header: dict[str, object] = {
        "format": KIND.stated,
        "backup": name,
        "created": to_rfc3339(created),
        "by": by[:_MAX_BY],
        "seal": dict(seal.members),
        "cipher": {"name": "aes-256-gcm", "nonce": _encode(nonce)},
        "keys": [{"info": info.to_dict(), "retired": info.retired} for info, _ in opened],
        "elsewhere": [
            {"info": each.info.to_dict(), "retired": each.info.retired, "uri": each.uri} for each in elsewhere
        ],
    }
    content = {"keys": {info.keyid: _encode(write_private_der(private)) for info, private in opened}}
    sealed = AESGCM(key).encrypt(nonce, _canonical(content), _canonical(header))
    data = json.dumps({**header, "sealed": _encode(sealed)}, indent=1).encode() + b"\n"
    read_archive(data, place="the new backup")  # what cannot be read again is never written
    return data


def read_archive(data: bytes, *, place: str) -> Backup:
    """Read what a backup says of itself; nothing of it is opened. Raises: BackupMalformed, BackupNewer."""
    members = _document(data, place=place)
    seal = _seal(members["seal"], place=place)
    cipher = _object(members["cipher"], {"name", "nonce"}, place=place, what="cipher")
    if cipher["name"] != "aes-256-gcm":
        raise BackupMalformed(place=place, reason="sealed by an unknown method")
    infos = tuple(
        _info(_object(each, {"info", "retired"}, place=place, what="a key"), place=place)
        for each in _list(members["keys"], place=place)
    )
    elsewhere = tuple(_elsewhere(each, place=place) for each in _list(members["elsewhere"], place=place))
    keyids = [info.keyid for info in (*infos, *(each.info for each in elsewhere))]
    if not infos:
        raise BackupMalformed(place=place, reason="it holds no key")
    if len(set(keyids)) != len(keyids):
        raise BackupMalformed(place=place, reason="it names a key twice")
    return Backup(
        place=place,
        name=_hex(members["backup"], place=place),
        created=_time(members["created"], place=place),
        by=_text(members["by"], _MAX_BY, place=place, what="by"),
        seal=seal,
        infos=infos,
        elsewhere=elsewhere,
        header={name: value for name, value in members.items() if name != "sealed"},
        nonce=_decode(cipher["nonce"], length=_NONCE_BYTES, place=place, what="nonce"),
        sealed=_decode(members["sealed"], length=None, place=place, what="sealed"),
    )


def open_archive(backup: Backup, key: bytes) -> dict[str, PrivateKey]:
    """Return the private keys of a backup by key id: of each of `backup.infos`, and no other.

    Raises: BackupAltered, if the content is not what was sealed with this key; BackupMalformed.
    """
    try:
        content = AESGCM(key).decrypt(backup.nonce, backup.sealed, _canonical(backup.header))
    except InvalidTag as error:
        raise BackupAltered(place=backup.place) from error
    try:
        ders = json.loads(content)["keys"]
        opened = {keyid: read_private_der(base64.b64decode(der), place=backup.place) for keyid, der in ders.items()}
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError, KeyFileMalformed, KeyNotAccepted) as error:
        raise BackupMalformed(place=backup.place, reason="no private keys are sealed in it") from error
    if {keyid: tuf_key(private).keyid for keyid, private in opened.items()} != {i.keyid: i.keyid for i in backup.infos}:
        raise BackupMalformed(place=backup.place, reason="what is sealed in it are not the keys that it names")
    return opened


def _document(data: bytes, *, place: str) -> dict[str, Any]:
    if len(data) > MAX_ARCHIVE:
        raise BackupMalformed(place=place, reason=f"larger than {MAX_ARCHIVE} bytes")
    try:
        document = json.loads(data, object_pairs_hook=unique_members)
    except (ValueError, RecursionError) as error:
        raise BackupMalformed(place=place, reason="not the JSON of a backup") from error
    if (version := KIND.newer(document)) is not None:
        raise BackupNewer(place=place, version=version, known=KIND.known)
    if not KIND.is_known(document):
        raise BackupMalformed(place=place, reason=f"not a backup of format {KIND.stated}")
    return _object(document, _MEMBERS, place=place, what="the document")


def _seal(value: object, *, place: str) -> PassphraseSeal | SharedSeal:
    if isinstance(value, dict) and value.get("name") == "slip-39":
        return _shared(_object(value, {"name", "threshold", "count", "set"}, place=place, what="seal"), place=place)
    members = _object(value, {"name", "kdf", "nonce", "key"}, place=place, what="seal")
    kdf = _object(members["kdf"], {"name", "n", "r", "p", "salt"}, place=place, what="kdf")
    if members["name"] != "passphrase" or kdf["name"] != "scrypt":
        raise BackupMalformed(place=place, reason="sealed by an unknown method")
    n, r, p = (_number(kdf[name], place=place, what=f"{name} of scrypt") for name in ("n", "r", "p"))
    cost = ScryptCost(n=n, r=r, p=p)
    if not cost.acceptable:
        raise BackupMalformed(place=place, reason="the scrypt parameters are out of bounds")
    return PassphraseSeal(
        cost=cost,
        salt=_decode(kdf["salt"], length=_SALT_BYTES, place=place, what="salt"),
        nonce=_decode(members["nonce"], length=_NONCE_BYTES, place=place, what="nonce"),
        key=_decode(members["key"], length=KEY_BYTES + _TAG_BYTES, place=place, what="key"),
        members=members,
    )


def _shared(members: Mapping[str, Any], *, place: str) -> SharedSeal:
    threshold, count, number = (
        _number(members[name], place=place, what=name) for name in ("threshold", "count", "set")
    )
    if not (1 < threshold <= count <= MOST_SHARES and 0 <= number < 1 << 15):
        raise BackupMalformed(place=place, reason="the numbers of its shares are out of bounds")
    return SharedSeal(threshold=threshold, count=count, set_number=number)


def _info(members: Mapping[str, Any], *, place: str) -> KeyInfo:
    if type(members["retired"]) is not bool or not isinstance(members["info"], dict):
        raise BackupMalformed(place=place, reason="a key does not have the members that it should")
    try:
        return KeyInfo.from_dict(members["info"], retired=members["retired"], place=place)
    except (KeyFileMalformed, KeyNotAccepted) as error:
        raise BackupMalformed(place=place, reason=f"a key in it is wrong: {error.reason}") from error


def _elsewhere(value: object, *, place: str) -> Elsewhere:
    members = _object(value, {"info", "retired", "uri"}, place=place, what="a key elsewhere")
    return Elsewhere(
        info=_info(members, place=place), uri=_text(members["uri"], _MAX_URI, place=place, what="uri of a key")
    )


def _object(value: object, members: set[str], *, place: str, what: str) -> dict[str, Any]:
    if not isinstance(value, dict) or set(value) != members:
        raise BackupMalformed(place=place, reason=f"{what} does not have the members that it should")
    return value


def _list(value: object, *, place: str) -> list[Any]:
    if not isinstance(value, list) or len(value) > MAX_KEYS:
        raise BackupMalformed(place=place, reason=f"it has no list of at most {MAX_KEYS} keys")
    return value


def _number(value: object, *, place: str, what: str) -> int:
    if type(value) is not int:
        raise BackupMalformed(place=place, reason=f"{what} is no whole number")
    return value


def _text(value: object, longest: int, *, place: str, what: str) -> str:
    if not isinstance(value, str) or len(value) > longest:
        raise BackupMalformed(place=place, reason=f"{what} is no text of at most {longest} characters")
    return value


def _hex(value: object, *, place: str) -> str:
    text = _text(value, 2 * _ID_BYTES, place=place, what="backup")
    if len(text) != 2 * _ID_BYTES or set(text) - set("0123456789abcdef"):
        raise BackupMalformed(place=place, reason="its name is not 32 hex digits")
    return text


def _time(value: object, *, place: str) -> datetime:
    try:
        return from_rfc3339(str(value))
    except ValueError as error:
        raise BackupMalformed(place=place, reason="its time of creation cannot be read") from error


def _decode(text: Any, *, length: int | None, place: str, what: str) -> bytes:
    try:
        data = base64.b64decode(text, validate=True)
    except (ValueError, TypeError) as error:  # binascii.Error is a ValueError; TypeError: it is no text
        raise BackupMalformed(place=place, reason=f"{what} is not base64") from error
    if length is not None and len(data) != length:
        raise BackupMalformed(place=place, reason=f"{what} has {len(data)} bytes where {length} are wanted")
    return data


def _encode(data: bytes) -> str:
    return base64.b64encode(data).decode()


def _derive(passphrase: str, salt: bytes, cost: ScryptCost) -> bytes:
    return Scrypt(salt=salt, length=KEY_BYTES, n=cost.n, r=cost.r, p=cost.p).derive(passphrase_bytes(passphrase))


def _canonical(value: Mapping[str, object]) -> bytes:
    return json.dumps(value, sort_keys=True, separators=(",", ":")).encode()
