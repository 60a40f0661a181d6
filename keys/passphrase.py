"""Who is asked for a passphrase, and in what order.

For a purpose: `TRUST_<P>_PASSPHRASE`, `..._FILE`, `..._FD`, then Docker's variable if it has one, then the
prompt. `root` keys have ROOT, `targets` and `signer` keys REPOSITORY, `recovery` keys RECOVERY; the
passphrase that `trust key passwd` sets is NEW. An empty variable
counts as not set: that is how CI systems hand on a secret that does not exist.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Final, Protocol

from keys.errors import PassphraseMissing, PassphraseUnreadable, PassphraseWrong

ATTEMPTS: Final = 3
"""How often a person is asked for one passphrase."""

_OWN: Final = {
    "root": "TRUST_ROOT_PASSPHRASE",
    "targets": "TRUST_REPOSITORY_PASSPHRASE",
    "snapshot": "TRUST_REPOSITORY_PASSPHRASE",
    "signer": "TRUST_REPOSITORY_PASSPHRASE",
    "recovery": "TRUST_RECOVERY_PASSPHRASE",
    "new": "TRUST_NEW_PASSPHRASE",
    "server": "TRUST_SIGNER_PASSPHRASE",
}
_DOCKER: Final = {
    "root": "DOCKER_CONTENT_TRUST_ROOT_PASSPHRASE",
    "targets": "DOCKER_CONTENT_TRUST_REPOSITORY_PASSPHRASE",
    "snapshot": "DOCKER_CONTENT_TRUST_REPOSITORY_PASSPHRASE",
    "signer": "DOCKER_CONTENT_TRUST_REPOSITORY_PASSPHRASE",
}
PASSPHRASE_VARIABLES: Final = frozenset(
    {f"{name}{suffix}" for name in _OWN.values() for suffix in ("", "_FILE", "_FD")} | set(_DOCKER.values())
)
"""Every variable that is or leads to a passphrase: to be taken out of the environment of programs that we start."""

_MOST_BYTES: Final = 4096


class PassphraseProvider(Protocol):
    """Gives the passphrase of a key."""

    def passphrase(self, *, purpose: str, key: str, new: bool = False, wrong_before: bool = False) -> str:
        """The passphrase, never empty. `key` is how messages call the key; `new` asks for one that is yet to be chosen;
        `wrong_before` says that the last answer for this key did not open it.

        Raises: PassphraseMissing (nobody could be asked; names what was looked at), PassphraseUnreadable,
        PassphraseWrong (`wrong_before`, and asking again would give the same).
        """


class PassphrasePrompt(Protocol):
    """Asks a person."""

    def __call__(self, *, purpose: str, key: str, new: bool, wrong_before: bool) -> str:
        """The answer; a new passphrase is asked for twice. Raises: PassphraseMissing if the person gives none."""


class EnvironmentPassphrases:
    """Looks into the environment, then asks; without a prompt it never waits for anybody."""

    def __init__(self, environ: Mapping[str, str], prompt: PassphrasePrompt | None) -> None:
        self._environ = environ
        self._prompt = prompt
        self._read_descriptors: dict[str, str] = {}

    def passphrase(self, *, purpose: str, key: str, new: bool = False, wrong_before: bool = False) -> str:
        """See `PassphraseProvider.passphrase`. A file descriptor is read to its end once, and its answer remembered."""
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
                content = file.read(_MOST_BYTES + 1)
        except (OSError, ValueError) as error:
            raise PassphraseUnreadable(key=key, source=source, reason=_reason(error)) from error
        return _first_and_only(content, source, key)

    def _from_descriptor(self, name: str, number: str, key: str) -> str:
        source = f"{name} ({ascii(number)[1:-1]})"
        if number not in self._read_descriptors:
            if not (number.isascii() and number.isdigit()):
                raise PassphraseUnreadable(key=key, source=source, reason="not the number of a file descriptor")
            try:
                content = _read_to_end(int(number))
            except (OSError, OverflowError) as error:
                raise PassphraseUnreadable(key=key, source=source, reason=_reason(error)) from error
            self._read_descriptors[number] = _first_and_only(content, source, key)
        return self._read_descriptors[number]


def variables(purpose: str) -> tuple[str, ...]:
    """The variables that are looked at for a purpose, in this order."""
    own = _OWN[purpose]
    docker = (_DOCKER[purpose],) if purpose in _DOCKER else ()
    return (own, f"{own}_FILE", f"{own}_FD", *docker)


def _read_to_end(descriptor: int) -> bytes:
    content = b""
    while len(content) <= _MOST_BYTES:
        part = os.read(descriptor, _MOST_BYTES + 1)
        if not part:
            break
        content += part
    return content


def _first_and_only(content: bytes, source: str, key: str) -> str:
    """Drop the line end that editors and `echo` add; decode as the environment is, so that all sources agree."""
    line = content.removesuffix(b"\n").removesuffix(b"\r")
    if not line:
        raise PassphraseUnreadable(key=key, source=source, reason="it is empty")
    if len(line) > _MOST_BYTES:
        raise PassphraseUnreadable(key=key, source=source, reason=f"it has more than {_MOST_BYTES} bytes")
    return line.decode("utf-8", "surrogateescape")


def _reason(error: Exception) -> str:
    return getattr(error, "strerror", None) or type(error).__name__
