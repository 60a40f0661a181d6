"""Find the passphrase of a key: in environment variables first, then with a prompt.

The order for a purpose P: `TRUST_<P>_PASSPHRASE`, `TRUST_<P>_PASSPHRASE_FILE`, `TRUST_<P>_PASSPHRASE_FD`, Docker's
variable if there is one, the prompt. P is ROOT for `root` keys, REPOSITORY for `targets`, `snapshot` and `signer` keys,
RECOVERY for `recovery` keys, NEW for the passphrase that `trust key passwd` sets, BACKUP for that of a backup of keys,
and SIGNER for `server` keys: those that a notary-signer had, in its dump. The PIN of a hardware `token` is
TRUST_TOKEN_PIN, TRUST_TOKEN_PIN_FILE or TRUST_TOKEN_PIN_FD. An empty variable counts as not set, because CI systems
pass a secret that does not exist as an empty variable.

Editors and shells leave a byte order mark, UTF-16 or a newline in a passphrase. A key is tried with the passphrase as
it is, and then as it was meant; a new key gets it as it was meant.
"""

from __future__ import annotations

import codecs
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Final, Literal, Protocol, TypeVar, runtime_checkable

from keys.errors import PassphraseMissing, PassphraseUnreadable, PassphraseWrong
from keys.file_access import changeable_secret, read_at_most

PassphrasePurpose = Literal["root", "targets", "snapshot", "signer", "recovery", "new", "backup", "server", "token"]
"""What a passphrase opens: a key of that purpose (`keys.key_info.Purpose`), or see above for the others."""

SHORTEST_NEW: Final = 8
"""How many characters a new passphrase should have at least, as with docker."""
ATTEMPTS: Final = 3
"""How many passphrases are tried on one key before PassphraseWrong is final."""

_VARIABLES: Final[dict[PassphrasePurpose, str]] = {
    "root": "TRUST_ROOT_PASSPHRASE",
    "targets": "TRUST_REPOSITORY_PASSPHRASE",
    "snapshot": "TRUST_REPOSITORY_PASSPHRASE",
    "signer": "TRUST_REPOSITORY_PASSPHRASE",
    "recovery": "TRUST_RECOVERY_PASSPHRASE",
    "new": "TRUST_NEW_PASSPHRASE",
    "backup": "TRUST_BACKUP_PASSPHRASE",
    "server": "TRUST_SIGNER_PASSPHRASE",
    "token": "TRUST_TOKEN_PIN",
}
_DOCKER_VARIABLES: Final[dict[PassphrasePurpose, str]] = {
    "root": "DOCKER_CONTENT_TRUST_ROOT_PASSPHRASE",
    "targets": "DOCKER_CONTENT_TRUST_REPOSITORY_PASSPHRASE",
    "snapshot": "DOCKER_CONTENT_TRUST_REPOSITORY_PASSPHRASE",
    "signer": "DOCKER_CONTENT_TRUST_REPOSITORY_PASSPHRASE",
}
_MAX_BYTES: Final = 4096
_UTF_16: Final = ((codecs.BOM_UTF16_LE, "utf-16-le", 1), (codecs.BOM_UTF16_BE, "utf-16-be", 0))
"""Byte order mark, encoding, and the place of the high byte in each pair: of ASCII it is zero."""

_Opened = TypeVar("_Opened")


class PassphraseProvider(Protocol):
    """A source of passphrases."""

    def passphrase(self, *, purpose: PassphrasePurpose, key: str, new: bool = False, retry: bool = False) -> str:
        """Return the passphrase of a key; it is never empty.

        `key`: the name of the key in messages. `new`: the user must choose a new passphrase. `retry`: the last
        passphrase that was returned for this key did not open it.

        Raises: PassphraseMissing (no variable gives one and no prompt is possible; it names the variables),
        PassphraseUnreadable, PassphraseWrong (`retry` is set, and the source would give the same again).
        """


@runtime_checkable
class Warns(Protocol):
    """A source of passphrases that can also tell its user something before it asks."""

    def warn(self, text: str) -> None:
        """Tell the user."""


def warn_user(passphrases: PassphraseProvider, text: str) -> None:
    """Tell the user something through the source of passphrases, if it can."""
    if isinstance(passphrases, Warns):
        passphrases.warn(text)


class PassphrasePrompt(Protocol):
    """A prompt that asks the user for a passphrase."""

    def __call__(self, *, purpose: PassphrasePurpose, key: str, new: bool, retry: bool) -> str:
        """Return what the user typed, perhaps empty; ask twice for a new passphrase.

        Raises: PassphraseMissing if nobody can be asked, or no new passphrase is agreed on.
        """


class EnvironmentPassphrases:
    """A `PassphraseProvider` that reads the environment and then prompts. Without a prompt it never waits for input."""

    def __init__(self, environ: Mapping[str, str], prompt: PassphrasePrompt | None) -> None:
        self._environ = environ
        self._prompt = prompt
        self._passphrase_by_descriptor: dict[str, str] = {}

    def passphrase(self, *, purpose: PassphrasePurpose, key: str, new: bool = False, retry: bool = False) -> str:
        """Return the passphrase of a key; it is never empty.

        A file descriptor is read to its end once, and the result is kept.

        Raises: PassphraseMissing, PassphraseUnreadable, PassphraseWrong.
        """
        found = self._from_environment(purpose, key)
        if found is not None:
            if retry:
                raise PassphraseWrong(key=key)
            return forms_of(found)[-1] if new else found
        if self._prompt is None:
            raise PassphraseMissing(key=key, sources=variables_for(purpose))
        answer = self._prompt(purpose=purpose, key=key, new=new, retry=retry)
        if not answer:
            raise PassphraseMissing(key=key, sources=variables_for(purpose))
        return answer

    def _from_environment(self, purpose: PassphrasePurpose, key: str) -> str | None:
        for name in variables_for(purpose):
            value = self._environ.get(name)
            if not value:
                continue
            if name.endswith("_FILE"):
                return secret_in_file(value, source=f"{name} ({ascii(value)[1:-1]})", key=key)
            if name.endswith("_FD"):
                return self._from_descriptor(name, value, key)
            return value
        return None

    def _from_descriptor(self, name: str, number: str, key: str) -> str:
        source = f"{name} ({ascii(number)[1:-1]})"
        if number not in self._passphrase_by_descriptor:
            if not (number.isascii() and number.isdigit()):
                raise PassphraseUnreadable(key=key, source=source, reason="not the number of a file descriptor")
            try:
                content = read_at_most(int(number), _MAX_BYTES)
            except (OSError, OverflowError) as error:
                raise PassphraseUnreadable(key=key, source=source, reason=_reason(error)) from error
            self._passphrase_by_descriptor[number] = _decode_content(content, source, key)
        return self._passphrase_by_descriptor[number]


def secret_in_file(path: str, *, source: str, key: str) -> str:
    """Return the passphrase or PIN in a file. `source`: the file and who names it. Raises: PassphraseUnreadable."""
    try:
        with open(path, "rb") as file:  # noqa: PTH123 - the path stays as the user wrote it
            # Others may read it, but not change it: container platforms mount secrets with mode 0444. The key file
            # that it opens is private (docs/adr/0048).
            exposed = changeable_secret(Path(path), file.fileno())
            content = read_at_most(file.fileno(), _MAX_BYTES)
    except (OSError, ValueError) as error:
        raise PassphraseUnreadable(key=key, source=source, reason=_reason(error)) from error
    if exposed is not None:
        raise PassphraseUnreadable(key=key, source=source, reason=f"{exposed}; {exposed.remedy}")
    return _decode_content(content, source, key)


def ask_and_try(
    passphrases: PassphraseProvider, attempt: Callable[[str], _Opened], *, purpose: PassphrasePurpose, key: str
) -> tuple[_Opened, str]:
    """Ask for the passphrase of a key and try it; ask again if it is wrong. Return what was opened, and the passphrase.

    `attempt`: opens the key, and raises PassphraseWrong. `key`: the name of the key in messages. A user is asked
    `ATTEMPTS` times; a passphrase from the environment is tried once.

    Raises: PassphraseMissing, PassphraseUnreadable, PassphraseWrong, and the other errors of `attempt`.
    """
    tried = 0
    while True:
        passphrase = passphrases.passphrase(purpose=purpose, key=key, retry=tried > 0)
        for form in forms_of(passphrase):
            try:
                return attempt(form), form
            except PassphraseWrong as error:
                wrong = error
        tried += 1
        if tried == ATTEMPTS:
            raise wrong


def forms_of(passphrase: str) -> tuple[str, ...]:
    """Return a passphrase as it is, and, if it looks as if a program had added to it, as it was meant.

    As it was meant: without byte order mark, in UTF-8 and not UTF-16, without one line end.
    """
    raw = passphrase_bytes(passphrase)
    meant = passphrase
    for mark, encoding, high in _UTF_16:
        if raw.startswith(mark) or not any(raw[high::2]):
            with suppress(UnicodeDecodeError):  # then it is something else
                # Of an odd number of bytes, the last is half of a line end that was taken off.
                meant = raw[: len(raw) // 2 * 2].decode(encoding)
    meant = meant.removeprefix("\ufeff").removesuffix("\n").removesuffix("\r")
    return (passphrase, meant) if meant not in {passphrase, ""} else (passphrase,)


def passphrase_bytes(passphrase: str) -> bytes:
    """Encode a passphrase as it was typed or stored: bytes that are not UTF-8 come back as they were.

    Every source decodes with surrogateescape, as Python decodes the environment.
    """
    return passphrase.encode(errors="surrogateescape")


def variables_for(purpose: PassphrasePurpose) -> tuple[str, ...]:
    """Return the environment variables that are read for a purpose, in order."""
    own = _VARIABLES[purpose]
    docker = (_DOCKER_VARIABLES[purpose],) if purpose in _DOCKER_VARIABLES else ()
    return (own, f"{own}_FILE", f"{own}_FD", *docker)


def _decode_content(content: bytes, source: str, key: str) -> str:
    """Return the passphrase in a file's content: without one line end, which editors and `echo` add.

    It is decoded like `os.environ` (surrogateescape), so that every source gives the same passphrase.

    Raises: PassphraseUnreadable if nothing is left, or too much.
    """
    line = content.removesuffix(b"\n").removesuffix(b"\r")
    if not line:
        raise PassphraseUnreadable(key=key, source=source, reason="it is empty")
    if len(line) > _MAX_BYTES:
        raise PassphraseUnreadable(key=key, source=source, reason=f"it has more than {_MAX_BYTES} bytes")
    return line.decode(errors="surrogateescape")


def _reason(error: Exception) -> str:
    return getattr(error, "strerror", None) or type(error).__name__
