"""The PIN of a token: where it comes from, what is said before it is used, and that it is tried once.

A token locks after a few wrong PINs, for good or until its security officer unlocks it. So a PIN that was wrong is
never given to the token again in this process, whoever asks for it, and one that nobody types just now is not used if
it could be the last one.
"""

from __future__ import annotations

import hashlib
import secrets
from typing import Final

from keys.errors import PassphraseUnreadable, PassphraseWrong, TokenPinLastTry, TokenPinLocked, TokenPinWrong
from keys.passphrase import PassphraseProvider, forms_of, passphrase_bytes, secret_in_file, warn_user
from keys.pkcs11.token_facts import (
    LOGIN_REQUIRED,
    PIN_COUNT_LOW,
    PIN_FINAL_TRY,
    PIN_LOCKED,
    PIN_PAD,
    PIN_SET,
    TokenFacts,
)
from keys.record import record

_SALT: Final = secrets.token_bytes(16)
_wrong: Final[set[tuple[str, bytes]]] = set()
"""Serial numbers, and digests of PINs that they refused in this process."""


@record
class Pin:
    """How to log in. `text`: the PIN; None if it is typed on the device. `source`: where it came from, for messages."""

    text: str | None
    source: str


def pin_for(facts: TokenFacts, pin_file: str | None, passphrases: PassphraseProvider) -> Pin | None:
    """Return the PIN of a token, or None if it wants none. What its flags say is told before anybody is asked.

    `pin_file`: of the URI's `pin-source`.

    Raises: TokenPinLocked, TokenPinLastTry, TokenPinWrong (this PIN was refused before), PassphraseMissing,
    PassphraseUnreadable.
    """
    if not facts.has(LOGIN_REQUIRED):
        return None
    if facts.has(PIN_LOCKED):
        raise TokenPinLocked(token=facts.described)
    if not facts.has(PIN_SET):
        raise TokenPinLocked(token=facts.described, unset=True)
    last = facts.has(PIN_FINAL_TRY)
    if last:
        warn_user(passphrases, f"{facts.described} locks after one more wrong PIN")
    elif facts.has(PIN_COUNT_LOW):
        warn_user(passphrases, f"{facts.described} was given a wrong PIN since the last right one")
    if facts.has(PIN_PAD):
        warn_user(passphrases, f"the PIN of {facts.described} is typed on the device")
        return Pin(text=None, source="that was typed on the device")
    pin = _given(facts, pin_file, passphrases, last=last)
    if pin.text is not None and not pin.text.isprintable():
        reason = "a PIN has no control characters, and is UTF-8"
        raise PassphraseUnreadable(key=facts.described, source=f"the PIN {pin.source}", reason=reason)
    if _trace(facts, pin) in _wrong:
        raise TokenPinWrong(token=facts.described, source=pin.source)
    return pin


def _given(facts: TokenFacts, pin_file: str | None, passphrases: PassphraseProvider, *, last: bool) -> Pin:
    if pin_file is not None:
        source = f"in {ascii(pin_file)[1:-1]}"
        if last:
            raise TokenPinLastTry(token=facts.described, source=source)
        found = secret_in_file(pin_file, source=f"pin-source ({ascii(pin_file)[1:-1]})", key=facts.described)
        return Pin(text=forms_of(found)[-1], source=source)
    try:
        # Before the last try, only a person may answer: what lies in a variable is perhaps what was wrong before.
        found = passphrases.passphrase(purpose="token", key=facts.described, retry=last)
    except PassphraseWrong as error:
        raise TokenPinLastTry(token=facts.described, source="of the environment") from error
    return Pin(text=forms_of(found)[-1], source="that was given")


def refused(before: TokenFacts, pin: Pin, after: TokenFacts | None) -> TokenPinWrong:
    """Note that the token refused a PIN, and return the error. `after`: what the token says of itself now."""
    _wrong.add(_trace(before, pin))
    left: int | None = None
    if after is not None:
        left = 0 if after.has(PIN_LOCKED) else 1 if after.has(PIN_FINAL_TRY) else None
    return TokenPinWrong(token=before.described, source=pin.source, left=left)


def _trace(facts: TokenFacts, pin: Pin) -> tuple[str, bytes]:
    """Return by what a refused PIN is known again. One typed on the device never is."""
    typed = secrets.token_bytes(16) if pin.text is None else passphrase_bytes(pin.text)
    return facts.serial, hashlib.sha256(_SALT + typed).digest()
