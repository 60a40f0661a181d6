"""Find the passphrase of a key: in environment variables first, then with a prompt.

The order for a purpose P: `TRUST_<P>_PASSPHRASE`, `TRUST_<P>_PASSPHRASE_FILE`, `TRUST_<P>_PASSPHRASE_FD`, Docker's
variable if there is one, the prompt. P is ROOT for `root` keys, REPOSITORY for `targets`, `snapshot` and `signer` keys,
RECOVERY for `recovery` keys, and NEW for the passphrase that `trust key passwd` sets. An empty variable counts as not
set, because CI systems pass a secret that does not exist as an empty variable.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Final, Protocol

from keys.errors import PassphraseMissing, PassphraseUnreadable, PassphraseWrong
from keys.file_access import unguarded

ATTEMPTS: Final = 3
"""How many times the prompt asks for one passphrase."""

_VARIABLES: Final = {
    "root": "TRUST_ROOT_PASSPHRASE",
    "targets": "TRUST_REPOSITORY_PASSPHRASE",
    "snapshot": "TRUST_REPOSITORY_PASSPHRASE",
    "signer": "TRUST_REPOSITORY_PASSPHRASE",
    "recovery": "TRUST_RECOVERY_PASSPHRASE",
    "new": "TRUST_NEW_PASSPHRASE",
    "server": "TRUST_SIGNER_PASSPHRASE",
}
_DOCKER_VARIABLES: Final = {
    "root": "DOCKER_CONTENT_TRUST_ROOT_PASSPHRASE",
    "targets": "DOCKER_CONTENT_TRUST_REPOSITORY_PASSPHRASE",
    "snapshot": "DOCKER_CONTENT_TRUST_REPOSITORY_PASSPHRASE",
    "signer": "DOCKER_CONTENT_TRUST_REPOSITORY_PASSPHRASE",
}
PASSPHRASE_VARIABLES: Final = frozenset(
    {f"{name}{suffix}" for name in _VARIABLES.values() for suffix in ("", "_FILE", "_FD")}
    | set(_DOCKER_VARIABLES.values())
)
"""Every variable that holds or names a passphrase. They are removed from the environment of programs that we start."""

_MAX_BYTES: Final = 4096


class PassphraseProvider(Protocol):
    """A source of passphrases."""

    def passphrase(self, *, purpose: str, key: str, new: bool = False, wrong_before: bool = False) -> str:
        """Return the passphrase of a key; it is never empty.

        `key`: the name of the key in messages. `new`: the user must choose a new passphrase. `wrong_before`: the last
        passphrase that was returned for this key did not open it.

        Raises: PassphraseMissing (no variable gives one and no prompt is possible; it names the variables),
        PassphraseUnreadable, PassphraseWrong (`wrong_before` is set, and the source would give the same again).
        """


class PassphrasePrompt(Protocol):
    """A prompt that asks the user for a passphrase."""

    def __call__(self, *, purpose: str, key: str, new: bool, wrong_before: bool) -> str:
        """Return what the user types; ask twice for a new passphrase. Raises: PassphraseMissing if nothing is typed."""


class EnvironmentPassphrases:
    """A `PassphraseProvider` that reads the environment and then prompts. Without a prompt it never waits for input."""

    def __init__(self, environ: Mapping[str, str], prompt: PassphrasePrompt | None) -> None:
        self._environ = environ
        self._prompt = prompt
        self._read_descriptors: dict[str, str] = {}

    def passphrase(self, *, purpose: str, key: str, new: bool = False, wrong_before: bool = False) -> str:
        """Return the passphrase of a key; it is never empty.

        A file descriptor is read to its end once, and the result is kept.

        Raises: PassphraseMissing, PassphraseUnreadable, PassphraseWrong.
        """
        found = self._from_environment(purpose, key)
        if found is not None:
            if wrong_before:
                raise PassphraseWrong(key=key)
            return found
        if self._prompt is None:
            raise PassphraseMissing(key=key, sources=variables(purpose))
        answer = self._prompt(purpose=purpose, key=key, new=new, wrong_before=wrong_before)
        if not answer:
            raise PassphraseMissing(key=key, sources=variables(purpose))
        return answer

    def _from_environment(self, purpose: str, key: str) -> str | None:
        for name in variables(purpose):
            value = self._environ.get(name, "")
            if not value:
                continue
            if name.endswith("_FILE"):
                return self._from_file(name, value, key)
            if name.endswith("_FD"):
                return self._from_descriptor(name, value, key)
            return value
        return None

    def _from_file(self, name: str, path: str, key: str) -> str:
        source = f"{name} ({ascii(path)[1:-1]})"
        try:
            with open(path, "rb") as file:  # noqa: PTH123 - the path stays as the user wrote it
                exposed = unguarded(Path(path), os.fstat(file.fileno()))
                content = file.read(_MAX_BYTES + 1)
        except (OSError, ValueError) as error:
            raise PassphraseUnreadable(key=key, source=source, reason=_reason(error)) from error
        if exposed is not None:
            raise PassphraseUnreadable(key=key, source=source, reason=f"{exposed}; {exposed.remedy}")
        return _decode_content(content, source, key)

    def _from_descriptor(self, name: str, number: str, key: str) -> str:
        source = f"{name} ({ascii(number)[1:-1]})"
        if number not in self._read_descriptors:
            if not (number.isascii() and number.isdigit()):
                raise PassphraseUnreadable(key=key, source=source, reason="not the number of a file descriptor")
            try:
                content = _read_to_end(int(number))
            except (OSError, OverflowError) as error:
                raise PassphraseUnreadable(key=key, source=source, reason=_reason(error)) from error
            self._read_descriptors[number] = _decode_content(content, source, key)
        return self._read_descriptors[number]


def variables(purpose: str) -> tuple[str, ...]:
    """Return the environment variables that are read for a purpose, in order."""
    own = _VARIABLES[purpose]
    docker = (_DOCKER_VARIABLES[purpose],) if purpose in _DOCKER_VARIABLES else ()
    return (own, f"{own}_FILE", f"{own}_FD", *docker)


def _read_to_end(descriptor: int) -> bytes:
    content = b""
    while len(content) <= _MAX_BYTES:
        part = os.read(descriptor, _MAX_BYTES + 1)
        if not part:
            break
        content += part
    return content


def _decode_content(content: bytes, source: str, key: str) -> str:
    """Remove one line end, which editors and `echo` add, and decode the rest in the way the environment is decoded.

    So every source gives the same passphrase. Raises: PassphraseUnreadable.
    """
    line = content.removesuffix(b"\n").removesuffix(b"\r")
    if not line:
        raise PassphraseUnreadable(key=key, source=source, reason="it is empty")
    if len(line) > _MAX_BYTES:
        raise PassphraseUnreadable(key=key, source=source, reason=f"it has more than {_MAX_BYTES} bytes")
    return line.decode("utf-8", "surrogateescape")


def _reason(error: Exception) -> str:
    return getattr(error, "strerror", None) or type(error).__name__
