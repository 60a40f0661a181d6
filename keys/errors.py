"""What can be wrong with a key, sorted by who must act.

KeysError
├── KeyNotFound          no such key here: the holder must bring it
├── KeyAmbiguous         several keys fit: the caller must say which
├── KeyExists            a key of that name or id is here already
├── KeyFileMalformed     the file is not a key that we can read
├── KeyNotAccepted       the algorithm or size is too weak or unknown
├── KeyStoreInsecure     the file modes let others read it
├── KeyStoreUnwritable   the disk refused
├── PassphraseMissing    nobody could be asked
├── PassphraseUnreadable the file or descriptor that should hold it does not give it
├── PassphraseWrong      names the key
└── SigningFailed        the device or service behind a key refused
"""

from __future__ import annotations

from typing import ClassVar

from keys.error_record import ErrorRecord


class KeysError(ErrorRecord):
    """Root of everything that the `keys` package refuses. Messages never hold secrets."""

    code: ClassVar[str] = "key-error"


class KeyNotFound(KeysError):
    """No key with this id, name or purpose in the store."""

    code: ClassVar[str] = "key-not-found"
    key: str

    def __str__(self) -> str:
        return f"no private key {self.key} in the key store"


class KeyNotAuthorised(KeyNotFound):
    """None of the keys in the store has been let in for this. `key` says for what, and who can."""

    code: ClassVar[str] = "key-not-authorised"


class KeyAmbiguous(KeysError):
    """Several keys fit what was asked for."""

    code: ClassVar[str] = "key-ambiguous"
    key: str
    candidates: tuple[str, ...]

    def __str__(self) -> str:
        return f"{self.key} fits several keys: {', '.join(self.candidates)}"


class KeyExists(KeysError):
    """The key, another key of the same name, or the file that should become one, is there already."""

    code: ClassVar[str] = "key-exists"
    key: str
    place: str = "the key store"

    def __str__(self) -> str:
        return f"{self.key} exists already: {self.place}"


class KeyFileMalformed(KeysError):
    """A file that should hold a key does not. `place` is a path or a description of the source."""

    code: ClassVar[str] = "key-file-malformed"
    place: str
    reason: str

    def __str__(self) -> str:
        return f"{self.place} is not a key file that can be read: {self.reason}"


class KeyNotAccepted(KeysError):
    """The key's algorithm or size is not accepted."""

    code: ClassVar[str] = "key-not-accepted"
    key: str
    reason: str

    def __str__(self) -> str:
        return f"key {self.key} is not accepted: {self.reason}"


class KeyStoreInsecure(KeysError):
    """File or folder modes let others read private keys (POSIX mode bits, octal text)."""

    code: ClassVar[str] = "key-store-insecure"
    path: str
    mode: str
    wanted: str

    def __str__(self) -> str:
        return f"{self.path} has mode {self.mode}, which lets others read private keys; chmod {self.wanted} {self.path}"


class KeyStoreUnwritable(KeysError):
    """The key store's folder could not be read or written."""

    code: ClassVar[str] = "key-store-unwritable"
    path: str
    reason: str

    def __str__(self) -> str:
        return f"the key store {self.path} cannot be used: {self.reason}"


class PassphraseMissing(KeysError):
    """A passphrase is needed and there is nobody to ask. `sources` names what was looked at."""

    code: ClassVar[str] = "passphrase-missing"
    key: str
    sources: tuple[str, ...]

    def __str__(self) -> str:
        set_one = f"; set one of {', '.join(self.sources)}" if self.sources else ""
        return f"the passphrase of {self.key} is missing{set_one}"


class PassphraseUnreadable(KeysError):
    """A passphrase source is named but cannot be read. `source` is the variable and what it names, never a content."""

    code: ClassVar[str] = "passphrase-unreadable"
    key: str
    source: str
    reason: str

    def __str__(self) -> str:
        return f"the passphrase of {self.key} cannot be read from {self.source}: {self.reason}"


class PassphraseWrong(KeysError):
    """The passphrase does not open this key, or the sealed file was altered."""

    code: ClassVar[str] = "passphrase-wrong"
    key: str

    def __str__(self) -> str:
        return f"the passphrase does not open {self.key}"


class SigningFailed(KeysError):
    """The signer behind a key failed."""

    code: ClassVar[str] = "signing-failed"
    key: str
    reason: str

    def __str__(self) -> str:
        return f"key {self.key} could not sign: {self.reason}"
