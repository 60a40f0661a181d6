"""Open a backup with its shares, and prove every key of it in a store that is in memory alone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from securesystemslib.exceptions import UnverifiedSignatureError, VerificationError

from keys import sealed_file
from keys.algorithms import PrivateKey
from keys.backup.archive import Backup, SharedSeal
from keys.backup.errors import BackupNotProven, ShareForeign, SharesTooFew, SharesWrong, ShareTwice
from keys.backup.share_text import ReadShare
from keys.backup.slip39 import Share, combine
from keys.errors import SigningFailed
from keys.key_info import KeyInfo
from keys.scrypt_cost import ScryptCost
from keys.signers import FileSigner

_IN_MEMORY: Final = ScryptCost(n=2, r=1, p=1)
"""What is sealed and opened again within one process protects nothing."""
_SCRATCH: Final = "scratch"


class ScratchStore:
    """A key store in memory, in which keys are sealed as on disk; what is restored into it is gone with it."""

    def __init__(self) -> None:
        self._files: dict[str, bytes] = {}

    def add(self, private: PrivateKey, info: KeyInfo) -> None:
        """Store a key. Raises: KeyFileMalformed, if `info` describes another one."""
        self._files[info.keyid] = sealed_file.seal(private, _SCRATCH, info=info, cost=_IN_MEMORY)

    def signer(self, keyid: str) -> FileSigner:
        """Open a key, as a command would that signs with it."""
        data = self._files[keyid]
        return FileSigner(
            sealed_file.unseal(data, _SCRATCH, place=_SCRATCH), sealed_file.read_info(data, place=_SCRATCH)
        )


def prove(backup: Backup, opened: Mapping[str, PrivateKey]) -> None:
    """Restore every key of a backup into a scratch store, and check a signature of each with its public key.

    Raises: BackupNotProven.
    """
    store = ScratchStore()
    payload = f"content-trust: this key of the backup {backup.name} can sign\n".encode()
    for info in backup.infos:
        store.add(opened[info.keyid], info)
    for info in backup.infos:
        try:
            info.public.verify_signature(store.signer(info.keyid).sign(payload), payload)
        except (SigningFailed, UnverifiedSignatureError, VerificationError) as error:
            reason = "does not sign as its public key says"
            raise BackupNotProven(place=backup.place, key=info.described, reason=reason) from error


def key_from_shares(backup: Backup, seal: SharedSeal, shares: Sequence[ReadShare]) -> bytes:
    """Return the key of a backup. More shares than are needed are all tried.

    Raises: ShareForeign, ShareTwice, SharesTooFew, SharesWrong, SharesUnsupported.
    """
    seen: dict[int, ReadShare] = {}
    for read in shares:
        _check_of_set(read, backup, seal)
        number = read.share.number
        if number in seen:
            raise ShareTwice(place=read.place, number=number, first=seen[number].place)
        seen[number] = read
    if len(seen) < seal.threshold:
        given = tuple(str(number) for number in sorted(seen))
        raise SharesTooFew(place=backup.place, threshold=seal.threshold, count=seal.count, given=given)
    first, *others = _exact_sets([read.share for read in seen.values()], seal.threshold)
    key = _combined(backup, first)
    for other in others:
        if _combined(backup, other) != key:
            raise _wrong(backup, other)
    return key


def _check_of_set(read: ReadShare, backup: Backup, seal: SharedSeal) -> None:
    """Raise ShareForeign if a share is of another backup, or of another set."""
    share = read.share
    if read.backup and read.backup != backup.name:
        reason = f"it says that it is of the backup {read.backup}, and this one is {backup.name}"
    elif share.set_number != seal.set_number:
        reason = "its words begin otherwise than those of this set"
    elif share.threshold != seal.threshold or share.number > seal.count:
        reason = f"it is no share of {seal.threshold} of {seal.count}"
    else:
        return
    raise ShareForeign(place=read.place, number=share.number, backup=backup.place, reason=reason)


def _exact_sets(shares: Sequence[Share], threshold: int) -> list[Sequence[Share]]:
    """Return sets of exactly as many shares as are needed, such that each share is in one at least."""
    needed, more = shares[:threshold], shares[threshold:]
    return [needed, *([*needed[:-1], share] for share in more)]


def _combined(backup: Backup, shares: Sequence[Share]) -> bytes:
    key = combine(shares)
    if key is None:
        raise _wrong(backup, shares)
    return key


def _wrong(backup: Backup, shares: Sequence[Share]) -> SharesWrong:
    return SharesWrong(place=backup.place, numbers=tuple(str(share.number) for share in shares))
