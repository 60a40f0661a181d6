"""Server-held private keys: where new ones are made, and how those that are stored are opened (ADR 0105).

A key is sealed in the database; or a token has wrapped it, and what is sealed is of use to that token only.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from typing import Final, Protocol

from keys.algorithms import Algorithm, PrivateKey, PublicKey, generate, public_key_of
from keys.errors import (
    KeyAmbiguous,
    KeyNotOnToken,
    KeysError,
    KeySupportMissing,
    PassphraseMissing,
    PassphraseUnreadable,
    SignatureNotVerified,
    SigningFailed,
    TokenError,
    TokenPinLastTry,
    TokenPinLocked,
    TokenPinWrong,
)
from keys.material import read_private_der, tuf_key
from trustdata.gun import GUN
from trustdata.model import Key
from trustdata.roles import RoleName
from trustserver.errors import ServerKeysUnavailable
from trustserver.repository.offered_keys import sealed_record
from trustserver.storage.ports import KeyRecord, KeySealer, KeyState

_OF_TOKENS: Final = (
    KeyAmbiguous,
    KeyNotOnToken,
    KeySupportMissing,
    PassphraseMissing,
    PassphraseUnreadable,
    SignatureNotVerified,
    TokenError,
    TokenPinLastTry,
    TokenPinLocked,
    TokenPinWrong,
)
"""What fails outside of the database: it may work again in a minute, and says nothing against a stored key."""

_log = logging.getLogger(__name__)


class MadeKey(Protocol):
    """A private key that a place has made, in the form in which it is kept outside."""

    @property
    def public(self) -> PublicKey:
        """Its public half."""

    @property
    def wrapped(self) -> bytes:
        """The private half, of use to the place only."""


class KeyPlace(Protocol):
    """A token that makes keys and signs with them (`keys.pkcs11.wrapped_keys.TokenWrapping`)."""

    failure: KeysError | None

    @property
    def place(self) -> str:
        """Which one it is (KeyRecord.place); empty while that is not known."""

    @property
    def described(self) -> str:
        """The place, for messages."""

    def prepare(self, *, may_make: bool) -> None:
        """Find out which one it is, and that it can sign. Raises: KeysError."""

    def make(self) -> MadeKey:
        """Make a key, and prove it by a signature. Raises: KeysError."""

    def open(self, wrapped: bytes, public: PublicKey) -> PrivateKey:
        """Return a key as a private key that signs there."""


class ServerKeys:
    """Makes and opens server-held keys. May be called from several threads.

    `makes_elsewhere`: whether new keys are made at the first of the places, and not sealed in the database.
    """

    def __init__(self, sealer: KeySealer, *, places: Sequence[KeyPlace] = (), makes_elsewhere: bool = False) -> None:
        self.makes_elsewhere = makes_elsewhere
        self._sealer = sealer
        self._places = tuple(places)
        self._told = ""

    @property
    def new_place(self) -> str:
        """Where new keys live (KeyRecord.place)."""
        return self._places[0].place if self.makes_elsewhere else ""

    def make(self, gun: GUN, role: RoleName, state: KeyState, at: datetime) -> KeyRecord:
        """Make a key for a role of a collection, where new keys are made. Raises: ServerKeysUnavailable."""
        if not self.makes_elsewhere:
            private = generate(Algorithm.ECDSA_P256)
            return sealed_record(private, self._sealer, gun=gun, role=role, state=state, at=at)
        place = self._places[0]
        with self.in_use():
            if not place.place:
                place.prepare(may_make=False)
            made = place.make()
        public = tuf_key(made.public)
        return KeyRecord(
            gun=gun,
            role=role,
            keyid=public.keyid,
            public=json.dumps(public.to_dict(), sort_keys=True, separators=(",", ":")),
            sealed=self._sealer.seal(made.wrapped, gun=gun, role=role, keyid=public.keyid, place=place.place),
            state=state,
            created=at.replace(microsecond=0),
            place=place.place,
            seal=self._sealer.mark,
        )

    def open(self, key: KeyRecord) -> PrivateKey:
        """Return the private key of a record. Raises: KeyFileMalformed, ServerKeysUnavailable."""
        opened = self._sealer.open(key.sealed, gun=key.gun, role=key.role, keyid=key.keyid, place=key.place)
        if not key.place:
            return read_private_der(opened, place=f"the sealed {key.role} key {key.keyid}")
        place = next((each for each in self._places if each.place == key.place), None)
        if place is None:
            raise ServerKeysUnavailable(fault="no-such-place")
        return place.open(opened, public_key_of(Key.from_dict(key.keyid, json.loads(key.public))))

    @contextmanager
    def in_use(self) -> Iterator[None]:
        """Tell what fails outside of the database from all else. Raises: ServerKeysUnavailable, what the block does."""
        try:
            yield
        except KeysError as error:
            of_holder = isinstance(error, SigningFailed) and isinstance(error.__cause__, KeysError)
            cause = error.__cause__ if of_holder else error
            if not isinstance(cause, _OF_TOKENS):
                raise
            self._tell(cause)
            raise ServerKeysUnavailable(fault=cause.code) from error

    def look(self) -> None:
        """Try each place, so that one that fails is known before a role must be signed, and one that is back, too."""
        for place in self._places:
            try:
                if place.place:
                    place.make()
                else:
                    place.prepare(may_make=False)
            except KeysError as error:
                place.failure = error
                self._tell(error)
        if self._told and not self.warnings():
            self._told = ""
            _log.info("the server's keys can be used again")

    def warnings(self) -> list[str]:
        """Return which places fail, for people: by code only, since anybody may read it."""
        return [
            f"keys of this server cannot be used: {place.failure.code}"
            for place in self._places
            if place.failure is not None
        ]

    def _tell(self, error: KeysError) -> None:
        """Write once into the log what fails, and not again for each collection."""
        if error.code != self._told:
            self._told = error.code
            _log.error("the server's keys cannot be used", extra={"code": error.code, "reason": str(error)})
