"""Errors of the `keys` package, sorted by who must act.

KeysError
├── KeyNotFound          the key store has no such key: its holder must provide it
│   ├── KeyNotAuthorised     no key in the store may sign this
│   ├── KeyUnknown           a text names no key: none of the store, no file, no digits of an id
│   ├── KeyFileMissing       the file that should hold the key, and which the user named, is not there
│   └── KeyNotOnToken        the token has no such key
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
├── KeyElsewhere         the private key is not in the store: it is used where it is, and cannot be taken out
├── KeyUriMalformed      a key URI that cannot be read
│   └── KeySchemeUnknown     a key URI of a kind that this program does not know
├── KeySupportMissing    a kind of key URI whose library is not installed
├── TokenError           a hardware token, or its library, failed
│   ├── TokenModuleUnusable  the PKCS#11 library cannot be loaded
│   ├── TokenMissing         no such token is there
│   ├── TokenAmbiguous       several tokens fit: the URI must name the serial number
│   ├── TokenGone            the token was removed, or answers no more
│   ├── TokenKeyUnfit        the key on the token is of a kind or with rights that cannot be used
│   └── TokenDeclined         the token refused what was asked of it
├── TokenPinWrong        the PIN is not that of the token
├── TokenPinLocked       the token takes no PIN any more
├── TokenPinLastTry      one try is left, and it is kept for a person
├── KeyCommandFailed     the command of the user that signs failed
├── PassphraseMissing    no variable gives a passphrase, and no prompt is possible
├── PassphraseUnreadable the file or file descriptor of a passphrase cannot be read
├── PassphraseWrong      the passphrase does not open the key
└── SigningFailed        the device or service behind a key failed
    └── SignatureNotVerified what it gave is no signature of this key
"""

from __future__ import annotations

from typing import ClassVar, Final

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


class KeyUnknown(KeyNotFound):
    """A key is named of which the public half would do, and there is none. `digits`: those of an id would do, too."""

    code: ClassVar[str] = "key-unknown"
    digits: bool = True

    def __str__(self) -> str:
        places = f"no key of the store and no file is called {self.key}"
        return f"{places}, and it is not 12 or more digits of a key id" if self.digits else places


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
        return f"another key in the key store has the name {self.name}, {self.key}"


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
        what = "PIN" if any(map(_is_of_pins, self.sources)) else "passphrase"
        return f"the {what} of {self.key} is missing{set_one}"


class PassphraseUnreadable(KeysError):
    """A source of a passphrase cannot be read. `source`: the variable and the file or descriptor, never the content."""

    code: ClassVar[str] = "passphrase-unreadable"
    key: str
    source: str
    reason: str

    def __str__(self) -> str:
        what = "PIN" if _is_of_pins(self.source) else "passphrase"
        return f"the {what} of {self.key} cannot be read from {self.source}: {self.reason}"


def _is_of_pins(source: str) -> bool:
    return source.startswith(("TRUST_TOKEN_PIN", "pin-source"))


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


class SignatureNotVerified(SigningFailed):
    """What a device, service or command gave as a signature does not verify with the public key: it is not used."""

    code: ClassVar[str] = "signature-not-verified"
    reason: str = "what it gave is no signature of this key"


class KeyElsewhere(KeysError):
    """The private key is not in the key store, but where `uri` says: it is used there, and is not read."""

    code: ClassVar[str] = "key-elsewhere"
    key: str
    uri: str

    def __str__(self) -> str:
        return f"the private part of {self.key} is not in the key store: it is at {self.uri}, and stays there"


class KeyUriMalformed(KeysError):
    """A key URI that cannot be read. `uri`: without what may be secret in it. `form`: how it would be right."""

    code: ClassVar[str] = "key-uri-malformed"
    uri: str
    reason: str
    form: str = ""

    def __str__(self) -> str:
        return f"{self.uri} is no key URI that can be used: {self.reason}"


class KeySchemeUnknown(KeyUriMalformed):
    """A key URI of a kind that this program does not know. `known`: the kinds that it knows."""

    code: ClassVar[str] = "key-scheme-unknown"
    known: tuple[str, ...]


class KeySupportMissing(KeysError):
    """A kind of key URI needs a library that is not installed. `extra`: what to install."""

    code: ClassVar[str] = "key-support-missing"
    scheme: str
    library: str
    extra: str

    def __str__(self) -> str:
        return f"keys of the kind {self.scheme}: need the library {self.library}, which is not installed"


ANY_TOKEN: Final = "any"  # noqa: S105 - in the place of a token that a URI does not name


class TokenError(KeysError):
    """A hardware token, or its library, failed. `token`: its label and serial number, or what was asked for."""

    code: ClassVar[str] = "token-error"
    token: str
    reason: str

    def __str__(self) -> str:
        return f"{self.token}: {self.reason}"


class TokenModuleUnusable(TokenError):
    """The PKCS#11 library cannot be loaded or started. `token`: its path."""

    code: ClassVar[str] = "token-module-unusable"

    def __str__(self) -> str:
        return f"the PKCS#11 module {self.token} cannot be used: {self.reason}"


class TokenMissing(TokenError):
    """No token that fits the URI is there. `present`: those that are."""

    code: ClassVar[str] = "token-missing"
    reason: str = "no such token is there"
    present: tuple[str, ...] = ()

    def __str__(self) -> str:
        if self.token == ANY_TOKEN and not self.present:
            return "there is no token at all"
        there = f"there are: {', '.join(self.present)}" if self.present else "there is none at all"
        return f"there is no token {self.token}; {there}"


class TokenAmbiguous(TokenError):
    """Several tokens fit the URI. `candidates`: their labels and serial numbers."""

    code: ClassVar[str] = "token-ambiguous"
    reason: str = "several tokens fit"
    candidates: tuple[str, ...]

    def __str__(self) -> str:
        several = "the key URI names no token, and there are several"
        what = several if self.token == ANY_TOKEN else f"{self.token} fits several tokens"
        return f"{what}: {', '.join(self.candidates)}"


class TokenGone(TokenError):
    """The token was removed while it was in use, or answers no more."""

    code: ClassVar[str] = "token-gone"


class TokenKeyUnfit(TokenError):
    """The key on the token is of a kind, or has rights, with which it cannot sign here."""

    code: ClassVar[str] = "token-key-unfit"


class TokenDeclined(TokenError):
    """The token refused what was asked of it."""

    code: ClassVar[str] = "token-declined"


class KeyNotOnToken(KeyNotFound):
    """The token has no key that fits the URI. `key`: what was looked for; `token`: where."""

    code: ClassVar[str] = "key-not-on-token"
    token: str

    def __str__(self) -> str:
        return f"there is no {self.key} on {self.token}"


class TokenPinWrong(KeysError):
    """The PIN is not that of the token. It was tried once. `left`: how many tries are left, None if that is not known.

    `source`: where the PIN came from.
    """

    code: ClassVar[str] = "token-pin-wrong"
    token: str
    source: str
    left: int | None = None

    def __str__(self) -> str:
        known = {None: "how many tries are left is not known", 0: "no try is left", 1: "one try is left"}
        left = known.get(self.left) or f"{self.left} tries are left"
        return f"the PIN {self.source} is not that of {self.token}; it was tried once, and {left}"


class TokenPinLocked(KeysError):
    """The token takes no PIN any more, after too many wrong ones; or none was ever set (`unset`)."""

    code: ClassVar[str] = "token-pin-locked"
    token: str
    unset: bool = False

    def __str__(self) -> str:
        if self.unset:
            return f"{self.token} has no PIN yet: nobody can use its keys"
        return f"{self.token} is locked: too many wrong PINs were given"


class TokenPinLastTry(KeysError):
    """The token takes one more wrong PIN before it locks, and the PIN at hand was typed by nobody just now."""

    code: ClassVar[str] = "token-pin-last-try"
    token: str
    source: str

    def __str__(self) -> str:
        return f"{self.token} locks after one more wrong PIN: the one {self.source} is not tried"


class KeyCommandFailed(KeysError):
    """The command of an `exec:` URI failed, or did not answer as it should. `command`: the program."""

    code: ClassVar[str] = "key-command-failed"
    command: str
    reason: str

    def __str__(self) -> str:
        return f"the command {self.command}, which signs with the key: {self.reason}"
