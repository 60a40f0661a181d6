"""Split the key of a backup into SLIP-39 shares of 33 words, and put it together again.

The library checks what it is handed: each share has a checksum of its own, and a set has a digest. SLIP-39's own
passphrase is not used, since a wrong one gives another key without any error. The library is an extra, and imported
when shares are used.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from keys.backup.archive import KEY_BYTES, MOST_SHARES, SharedSeal
from keys.backup.errors import ShareMalformed, SharesUnsupported
from keys.extras import how_to_install

WORDS: Final = 33
"""How many words a share of 32 bytes has."""
_LIBRARY: Final = "shamir-mnemonic"
EXTRA: Final = "shares"


@dataclass(frozen=True, slots=True, kw_only=True)
class Share:
    """One share, whose checksum is right. `number`: from 1 on. `words`: in lower case."""

    number: int
    threshold: int
    set_number: int
    words: tuple[str, ...]


def check_split(threshold: int, count: int) -> str:
    """Return why a key cannot be split so; "" if it can."""
    if threshold < 2:
        return "a single share that opens it is a passphrase: leave --shares out"
    if threshold > count:
        return f"no {threshold} of {count} shares can be handed in"
    if count > MOST_SHARES:
        return f"there are at most {MOST_SHARES} shares"
    return ""


def require_library() -> None:
    """Raise SharesUnsupported if the library is not installed."""
    _library()


def split(key: bytes, *, threshold: int, count: int) -> tuple[SharedSeal, tuple[Share, ...]]:
    """Split the key of a backup; the shares are secret. Raises: SharesUnsupported."""
    library = _library()
    # Neither passphrase nor stretching: what is split is random already.
    (texts,) = library.generate_mnemonics(1, [(threshold, count)], key, iteration_exponent=0)
    shares = tuple(read_share(text.split(), place="a new share", number=0) for text in texts)
    return SharedSeal(threshold=threshold, count=count, set_number=shares[0].set_number), shares


def read_share(words: Sequence[str], *, place: str, number: int) -> Share:
    """Read a share. `number`: which one it says that it is, 0 if it does not say; `place`: the name of its file.

    Raises: ShareMalformed, which says what is wrong with it; SharesUnsupported.
    """
    library = _library()
    lower = tuple(word.lower() for word in words)
    known = set(library.wordlist.WORDLIST)
    for position, word in enumerate(lower, 1):
        if word not in known:
            reason = f"word {position}, {word[:20]!a}, is not one of the words that shares are made of"
            raise ShareMalformed(place=place, number=number, reason=reason)
    if len(lower) != WORDS:
        raise ShareMalformed(place=place, number=number, reason=f"it has {len(lower)} words where {WORDS} are wanted")
    try:
        read = library.Share.from_mnemonic(" ".join(lower))
    except library.MnemonicError as error:
        reason = "its checksum is wrong: a word is another one than was handed out, or two are swapped"
        raise ShareMalformed(place=place, number=number, reason=reason) from error
    if (read.group_threshold, read.group_count, len(read.value)) != (1, 1, KEY_BYTES):
        raise ShareMalformed(place=place, number=number, reason="it is a share of another kind of secret")
    if number not in {0, read.index + 1}:
        reason = f"its words belong to share {read.index + 1}"
        raise ShareMalformed(place=place, number=number, reason=reason)
    return Share(number=read.index + 1, threshold=read.member_threshold, set_number=read.identifier, words=lower)


def combine(shares: Sequence[Share]) -> bytes | None:
    """Return the key that exactly as many shares as are needed give; None if they do not belong together.

    Raises: SharesUnsupported.
    """
    library = _library()
    try:
        key: bytes = library.combine_mnemonics([" ".join(share.words) for share in shares])
    except library.MnemonicError:
        return None
    return key


def _library() -> Any:
    """Import the library, which has no types."""
    try:
        import shamir_mnemonic
    except ImportError as error:
        raise SharesUnsupported(place="shares", library=_LIBRARY, command=how_to_install(EXTRA)) from error
    return shamir_mnemonic
