"""Errors of backups. All of them end as a key file does that cannot be used.

BackupError              a backup, or a share of its key, cannot be used
├── BackupMalformed      the file is no backup that can be read
├── BackupNewer          a backup of a newer version than this program knows
├── BackupAltered        it was opened, and its content is not what was sealed
├── BackupNotProven      a key that was read back from it does not sign as its public key says
├── BackupSealedOtherwise shares were given for a backup that a passphrase opens
├── KeyNotInBackup       it does not hold the key that was asked for
├── SharesUnsupported    the library of shares, or that of QR codes, is not installed
├── ShareMalformed       a share is damaged, or is none
├── ShareForeign         a share of another backup
├── ShareTwice           one share was given twice
├── SharesTooFew         fewer shares than are needed
└── SharesWrong          each share is whole, but together they open nothing
BackupPassphraseWrong    (a PassphraseWrong) the passphrase does not open the backup
"""

from __future__ import annotations

from typing import ClassVar

from keys.document_version import newer_sentence
from keys.errors import KeyFileMalformed, PassphraseWrong


class BackupError(KeyFileMalformed):
    """A backup, or a share of its key, cannot be used. `place`: the file. `command`: what to do next."""

    code: ClassVar[str] = "backup-error"

    def __str__(self) -> str:
        return f"{self.place}: {self.reason}"


class BackupMalformed(BackupError):
    """The file is no backup that can be read."""

    code: ClassVar[str] = "backup-malformed"

    def __str__(self) -> str:
        return f"{self.place} is no backup that can be read: {self.reason}"


class BackupNewer(BackupError):
    """A backup of a newer version than this program knows: it is neither opened nor changed."""

    code: ClassVar[str] = "backup-newer"
    version: int
    known: int
    reason: str = "its version is newer than this program knows"
    command: str = "use the version of trust that wrote it, or a newer one"

    def __str__(self) -> str:
        return newer_sentence(self.place, "a backup of keys", self.version, self.known)


class BackupAltered(BackupError):
    """Its key is right, and its content is not what was sealed with it: the file was damaged or changed since."""

    code: ClassVar[str] = "backup-altered"
    reason: str = "its content was damaged or changed after it was sealed"
    command: str = "take another copy of this backup"


class BackupNotProven(BackupError):
    """A key that was read back from a backup does not sign as its public key says. `key`: which."""

    code: ClassVar[str] = "backup-not-proven"
    key: str

    def __str__(self) -> str:
        return f"{self.place} is no proof against loss: {self.key}, read back from it, {self.reason}"


class BackupSealedOtherwise(BackupError):
    """Shares were given for a backup that a passphrase opens."""

    code: ClassVar[str] = "backup-sealed-otherwise"
    reason: str = "it has no shares, but is opened with a passphrase"
    command: str = "leave --share out"


class KeyNotInBackup(BackupError):
    """The backup does not hold the key that was asked for. `key`: what was asked for."""

    code: ClassVar[str] = "key-not-in-backup"
    key: str
    reason: str = "it holds no such key"

    def __str__(self) -> str:
        return f"{self.place} holds no key {self.key}"


class SharesUnsupported(BackupError):
    """What is asked for needs a library that is not installed. `place`: what needs it; `library`: its name."""

    code: ClassVar[str] = "shares-unsupported"
    library: str
    reason: str = "a library is missing"

    def __str__(self) -> str:
        return f"{self.place} need the library {self.library}, which is not installed"


class ShareMalformed(BackupError):
    """A share is damaged, or is none. `number`: which share it says that it is, 0 if it does not say."""

    code: ClassVar[str] = "share-malformed"
    number: int

    def __str__(self) -> str:
        return f"{_share(self.number)} in {self.place} cannot be used: {self.reason}"


class ShareForeign(BackupError):
    """A share of another backup, or of another set. `backup`: the file that it does not belong to."""

    code: ClassVar[str] = "share-foreign"
    number: int
    backup: str
    reason: str = "it belongs to another backup"

    def __str__(self) -> str:
        return f"{_share(self.number)} in {self.place} does not belong to {self.backup}: {self.reason}"


class ShareTwice(BackupError):
    """One share was given twice. `place`: the second file, `first`: the first one."""

    code: ClassVar[str] = "share-twice"
    number: int
    first: str
    reason: str = "it was given twice"

    def __str__(self) -> str:
        return f"{_share(self.number)} was given twice: in {self.first} and in {self.place}"


class SharesTooFew(BackupError):
    """Fewer shares than are needed. `place`: the backup. `given`: the numbers of those that were given."""

    code: ClassVar[str] = "shares-too-few"
    threshold: int
    count: int
    given: tuple[str, ...]
    reason: str = "too few shares"

    def __str__(self) -> str:
        had = f"only share {' and '.join(self.given)}" if self.given else "none"
        return f"{self.place} is opened with {self.threshold} of its {self.count} shares, and {had} was given"


class SharesWrong(BackupError):
    """Each share is whole and of this set, but together they give no key, or another. `numbers`: those that were used.

    `place`: the backup. At least one of them was not made with the others.
    """

    code: ClassVar[str] = "shares-wrong"
    numbers: tuple[str, ...]
    reason: str = "the shares do not belong together"
    command: str = "try it with other shares of this backup: at least one of these is not what was handed out"

    def __str__(self) -> str:
        return (
            f"the shares {', '.join(self.numbers)} do not open {self.place}: at least one was not made with the others"
        )


class BackupPassphraseWrong(PassphraseWrong):
    """The passphrase does not open the backup. `key`: which backup."""

    code: ClassVar[str] = "backup-passphrase-wrong"


def _share(number: int) -> str:
    return f"share {number}" if number else "the share"
