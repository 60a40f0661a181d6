"""Errors of the `keys` package, sorted by who must act.

KeysError
├── KeyNotFound          the key store has no such key: its holder must provide it
│   ├── KeyNotAuthorised     no key in the store may sign this
│   └── KeyFileMissing       the file that should hold the key, and which the user named, is not there
├── KeyAmbiguous         several keys match: the caller must name one
├── KeyExists            a key with this name or id exists already
├── KeyFileMalformed     the file holds no key that can be read
│   └── KeyIsPrivate         it holds a private key where a public one is wanted
├── KeyFileNewer         a sealed key of a newer version than this program knows
├── KeyNotAccepted       the algorithm or size is too weak or unknown
│   └── KeyNotCounted        a kind that others take: it may be named, and its signatures count for nothing
├── KeyFileUnreadable    a file with a key, which the user named, cannot be read
├── KeyFileUnwritable    a file for a key, which the user named, cannot be written
├── KeyFileExposed       mode or owner of a file with a private key, which the user named, let other users read it
│   └── KeyStoreInsecure     the same of the key store's folder, or of a file in it
├── KeyStoreUnreadable   the operating system refused to read the key store
├── KeyStoreUnwritable   the operating system refused to write to the key store
├── PassphraseMissing    no variable gives a passphrase, and no prompt is possible
├── PassphraseUnreadable the file or file descriptor of a passphrase cannot be read
├── PassphraseWrong      the passphrase does not open the key
└── SigningFailed        the device or service behind a key failed
"""

from __future__ import annotations

from typing import ClassVar

from keys.document_version import newer_sentence
from keys.error_record import ErrorRecord


class KeysError(ErrorRecord):
    """Base class of the errors of the `keys` package. Messages never hold secrets."""

    code: ClassVar[str] = "key-error"


class KeyNotFound(KeysError):
    """The key store has no key with this id, name or purpose. `named`: by its id or name, which somebody gave.

    `store_is_empty`: it has no key at all; it only chooses the words.
    """

    code: ClassVar[str] = "key-not-found"
    key: str
    named: bool = False
    store_is_empty: bool = False

    def details(self) -> dict[str, object]:
        """Return the fields without `store_is_empty`, which the sentence says."""
        return {name: value for name, value in super().details().items() if name != "store_is_empty"}

    def __str__(self) -> str:
        empty = ", which holds no private key at all" if self.store_is_empty else ""
        return f"no private key {self.key} in the key store{empty}"


class KeyNotAuthorised(KeyNotFound):
    """No key in the store is allowed to sign a role. `key`: the role, and who can sign it."""

    code: ClassVar[str] = "key-not-authorised"


class KeyFileMissing(KeyNotFound):
    """The file that should hold a key is not there; the key store was not asked. `key`: the path."""

    def __str__(self) -> str:
        return f"{self.key} does not exist"


class KeyAmbiguous(KeysError):
    """Several keys match the given id, name or purpose."""

    code: ClassVar[str] = "key-ambiguous"
    key: str
    candidates: tuple[str, ...]

    def __str__(self) -> str:
        return f"{self.key} fits several keys: {', '.join(self.candidates)}"


class KeyExists(KeysError):
    """The key is in the key store already, or the file to be written is there. `key`: which; `place`: the file."""

    code: ClassVar[str] = "key-exists"
    key: str
    place: str = "the key store"

    def __str__(self) -> str:
        if self.place == KeyExists.place:
            return f"{self.key} is in the key store already"
        return f"{self.key} exists already: {self.place}"


class KeyNameTaken(KeyExists):
    """Another key of the key store has the name. `key`: that other key."""

    name: str

    def __str__(self) -> str:
        return f"the name {self.name} is that of another key in the key store, {self.key}"


class KeyFileMalformed(KeysError):
    """A file that should hold a key does not. `place` is its path or a description of the source.

    `command`: the one that makes a key file of it, if there is one.
    """

    code: ClassVar[str] = "key-file-malformed"
    place: str
    reason: str
    command: str = ""

    def __str__(self) -> str:
        return f"{self.place} is not a key file that can be read: {self.reason}"


class KeyIsPrivate(KeyFileMalformed):
    """A file that should hold a public key holds a private one, which its holder should have sent to nobody."""

    code: ClassVar[str] = "key-is-private"
    reason: str = "it holds a private key where a public key is wanted"

    def __str__(self) -> str:
        return f"{self.place} holds a private key, and a public key is wanted: a private key is given to nobody"


class KeyFileNewer(KeysError):
    """A sealed key is of a newer version than this program knows: it is neither opened nor changed."""

    code: ClassVar[str] = "key-file-newer"
    place: str
    version: int
    known: int

    def __str__(self) -> str:
        return newer_sentence(self.place, "a sealed key", self.version, self.known)


class KeyNotAccepted(KeysError):
    """The key's algorithm or size is not accepted."""

    code: ClassVar[str] = "key-not-accepted"
    key: str
    reason: str

    def __str__(self) -> str:
        return f"key {self.key} is not accepted: {self.reason}"


class KeyEncryptionUnknown(KeyNotAccepted):
    """The file is encrypted in a way that is not read here, and that OpenSSL can turn into another."""

    reason: str = "its encryption is not supported"


class KeyNotCounted(KeyNotAccepted):
    """The key is of a kind that `docker` and `notary` take, and that is not accepted here.

    A collection of Notary v1 may name it; its signatures count for nothing.
    """

    code: ClassVar[str] = "key-not-counted"


class KeyFileUnreadable(KeysError):
    """A file with a key, outside of the key store, cannot be read. `place`: its path."""

    code: ClassVar[str] = "key-file-unreadable"
    place: str
    reason: str

    def __str__(self) -> str:
        return f"{self.place} cannot be read: {self.reason}"


class KeyFileUnwritable(KeysError):
    """A file for a key, outside of the key store, cannot be written. `place`: its path, or that of its folder."""

    code: ClassVar[str] = "key-file-unwritable"
    place: str
    reason: str

    def __str__(self) -> str:
        return f"{self.place} cannot be written: {self.reason}"


class KeyFileExposed(KeysError):
    """A file or folder lets other users read private keys. `mode`, `wanted`: POSIX modes, octal text.

    `owner`: the id of the other user to whom it belongs; None if the mode is what is wrong. `platform`: the setting
    of a container platform that puts it right, if one has mounted it.
    """

    code: ClassVar[str] = "key-file-exposed"
    path: str
    mode: str
    wanted: str
    owner: int | None = None
    platform: str = ""

    def __str__(self) -> str:
        if self.platform:
            return f"{self.path} has mode {self.mode}, which lets others read private keys; {self.platform}"
        if self.owner is not None:
            who = f"user {self.owner}, who may read private keys"
            return f"{self.path} belongs to {who}; run this as that user, or make it your own"
        return f"{self.path} has mode {self.mode}, which lets others read private keys; chmod {self.wanted} {self.path}"


class KeyStoreInsecure(KeyFileExposed):
    """The folder of the key store, or a file in it, lets other users read private keys."""

    code: ClassVar[str] = "key-store-insecure"


class KeyStoreUnreadable(KeysError):
    """The folder of the key store, or a file in it, cannot be read. `path`: the folder."""

    code: ClassVar[str] = "key-store-unreadable"
    path: str
    reason: str

    def __str__(self) -> str:
        return f"the key store {self.path} cannot be read: {self.reason}"


class KeyStoreUnwritable(KeysError):
    """The folder of the key store, or a file in it, cannot be written. `path`: the folder."""

    code: ClassVar[str] = "key-store-unwritable"
    path: str
    reason: str

    def __str__(self) -> str:
        return f"the key store {self.path} cannot be written: {self.reason}"


class PassphraseMissing(KeysError):
    """A passphrase is needed, but no source gives one. `sources` names the environment variables that were read."""

    code: ClassVar[str] = "passphrase-missing"
    key: str
    sources: tuple[str, ...]

    def __str__(self) -> str:
        set_one = f"; set one of {', '.join(self.sources)}" if self.sources else ""
        return f"the passphrase of {self.key} is missing{set_one}"


class PassphraseUnreadable(KeysError):
    """A source of a passphrase cannot be read. `source`: the variable and the file or descriptor, never the content."""

    code: ClassVar[str] = "passphrase-unreadable"
    key: str
    source: str
    reason: str

    def __str__(self) -> str:
        return f"the passphrase of {self.key} cannot be read from {self.source}: {self.reason}"


class PassphraseWrong(KeysError):
    """The passphrase does not open the key. `or_altered`: the same is seen if the file was altered since."""

    code: ClassVar[str] = "passphrase-wrong"
    key: str
    or_altered: bool = False

    def __str__(self) -> str:
        doubt = ", or the file was altered" if self.or_altered else ""
        return f"the passphrase does not open {self.key}{doubt}"


class SigningFailed(KeysError):
    """The device, service or library that signs with a key failed."""

    code: ClassVar[str] = "signing-failed"
    key: str
    reason: str

    def __str__(self) -> str:
        return f"key {self.key} could not sign: {self.reason}"
