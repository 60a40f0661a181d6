"""The public description of a private key: id, algorithm, purpose, name. Reading it needs no passphrase."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final, Literal, get_args

from securesystemslib.exceptions import FormatError
from securesystemslib.signer import SSlibKey
from securesystemslib.signer._utils import compute_default_keyid

from keys.algorithms import Algorithm, algorithm_of_tuf_key
from keys.errors import KeyFileMalformed, KeyNotAccepted
from keys.keyid import short_keyid
from keys.material import AnyKey, tuf_key
from keys.rfc3339 import from_rfc3339, to_rfc3339

Purpose = Literal["root", "targets", "snapshot", "signer", "recovery"]
"""What a key is used for. `snapshot` occurs only in Notary v1, where the owner may hold that key."""
PURPOSES: Final[tuple[Purpose, ...]] = get_args(Purpose)

_MEMBERS: Final = {"keyid", "algorithm", "purpose", "name", "gun", "created", "public"}
_MAX_TEXT: Final = 512  # characters of a name or a collection


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyInfo:
    """The public key of a private key, and what the private key is used for.

    `keyid`: the default TUF id of `public`. `name`: chosen by the holder, may be "". `gun`: the only collection that
    the key signs, "" if it may sign several. `created`: UTC in whole seconds, None if unknown. `retired`: the key stays
    in the store, but new signatures do not use it. `uri`: where the private key lives, "" if it is in the store itself.
    """

    keyid: str
    algorithm: Algorithm
    purpose: Purpose
    public: SSlibKey
    name: str = ""
    gun: str = ""
    created: datetime | None = None
    retired: bool = False
    uri: str = ""

    @classmethod
    def of(
        cls,
        key: AnyKey,
        *,
        purpose: Purpose,
        name: str = "",
        gun: str = "",
        created: datetime | None = None,
        uri: str = "",
    ) -> KeyInfo:
        """Describe a key, of which the private or the public half is given. Raises: KeyNotAccepted."""
        public = tuf_key(key)
        rounded = None if created is None else created.astimezone(UTC).replace(microsecond=0)
        return cls(
            keyid=public.keyid,
            algorithm=algorithm_of_tuf_key(public),
            purpose=purpose,
            public=public,
            name=name,
            gun=gun,
            created=rounded,
            uri=uri,
        )

    @property
    def described(self) -> str:
        """The name of the key in messages, such as `signer key alice (0123456789ab)`."""
        named = f" {ascii(self.name)[1:-1]}" if self.name else ""
        return f"{self.purpose} key{named} ({short_keyid(self.keyid)})"

    def to_dict(self) -> dict[str, object]:
        """Return the JSON members, without `retired` and `uri`, which are stored beside them."""
        created = None if self.created is None else to_rfc3339(self.created)
        return {
            "keyid": self.keyid,
            "algorithm": str(self.algorithm),
            "purpose": self.purpose,
            "name": self.name,
            "gun": self.gun,
            "created": created,
            "public": self.public.to_dict(),
        }

    @classmethod
    def from_dict(cls, members: Mapping[str, Any], *, retired: bool, place: str, uri: str = "") -> KeyInfo:
        """Read the members that `to_dict` gives; compute the key id again and check the algorithm.

        `place`: the name of the source in error messages. Raises: KeyFileMalformed, KeyNotAccepted.
        """
        if set(members) != _MEMBERS:
            raise KeyFileMalformed(place=place, reason="its description does not have the members that it should")
        texts = {m: members[m] for m in ("keyid", "algorithm", "purpose", "name", "gun")}
        if not all(isinstance(t, str) and len(t) <= _MAX_TEXT for t in texts.values()):
            raise KeyFileMalformed(place=place, reason="its description has a member that is not a short text")
        if texts["purpose"] not in PURPOSES:
            raise KeyFileMalformed(place=place, reason="its purpose is unknown")
        public = _public(members["public"], place=place)
        if public.keyid != texts["keyid"]:
            raise KeyFileMalformed(place=place, reason="its key id does not match its public key")
        try:
            algorithm = algorithm_of_tuf_key(public)
        except KeyNotAccepted as error:
            raise KeyNotAccepted(key=f"{short_keyid(public.keyid)} in {place}", reason=error.reason) from error
        if texts["algorithm"] != algorithm:
            raise KeyFileMalformed(place=place, reason="its algorithm does not match its public key")
        return cls(
            keyid=public.keyid,
            algorithm=algorithm,
            purpose=texts["purpose"],
            public=public,
            name=texts["name"],
            gun=texts["gun"],
            created=_time(members["created"], place=place),
            retired=retired,
            uri=uri,
        )


def _public(members: object, *, place: str) -> SSlibKey:
    expected = {"keytype", "scheme", "keyval"}
    if not isinstance(members, dict) or set(members) != expected or not isinstance(members["keyval"], dict):
        raise KeyFileMalformed(place=place, reason="its public key is no TUF key object")
    if set(members["keyval"]) != {"public"}:
        raise KeyFileMalformed(place=place, reason="its public key is no TUF key object")
    try:
        keyid = compute_default_keyid(members["keytype"], members["scheme"], members["keyval"])
        public = SSlibKey(keyid, members["keytype"], members["scheme"], members["keyval"])
    except (FormatError, ValueError, TypeError) as error:
        raise KeyFileMalformed(place=place, reason="its public key is no TUF key object") from error
    return public


def _time(text: object, *, place: str) -> datetime | None:
    if text is None:
        return None
    try:
        return from_rfc3339(str(text))
    except ValueError as error:
        raise KeyFileMalformed(place=place, reason="its time of creation cannot be read") from error
