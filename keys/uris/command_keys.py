"""Keys at `exec:` URIs: a command of the user holds the key and signs with it.

    exec:/usr/local/bin/sign-release?arg=--key&arg=release%202026

The command is started without a shell, once for each request: one JSON document on its standard input, one on its
standard output. Its standard error is the user's, so it may say "touch the device". docs/reference/keys.md has the
protocol:

    {"version": 1, "operation": "public"}
    {"version": 1, "public": PEM}

    {"version": 1, "operation": "sign", "scheme": one of METHODS, "payload": BASE64, "public": PEM}
    {"version": 1, "signature": BASE64; of ECDSA in DER}

or, for either, {"version": 1, "error": "why not"}.
"""

from __future__ import annotations

import base64
import json
import os
import select
import subprocess
import tempfile
import time
from typing import IO, Any, Final, cast

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_public_key

from keys.algorithms import Algorithm, PrivateKey, PublicKey, algorithm_of
from keys.child_environment import without_passphrases
from keys.errors import KeyCommandFailed, KeyUriMalformed
from keys.key_info import Purpose
from keys.passphrase import PassphraseProvider
from keys.remote_key import Method, remote_key
from keys.uris.kinds import FoundKey
from keys.uris.uri import EXEC, absolute_path, decoded, shown_uri, split_uri

VERSION: Final = 1
SECONDS: Final = 120.0
"""How long a command may take: somebody may have to find the device, and to touch it."""
MAX_ANSWER: Final = 64 * 1024
_ARGUMENT: Final = "arg"
_SHOWN: Final = 300


class CommandKeys:
    """The kind `exec` of key URIs (`keys.uris.kinds.KeyKind`). Only tests set `seconds`."""

    def __init__(self, seconds: float = SECONDS) -> None:
        self._seconds = seconds

    def check(self, uri: str) -> None:
        """Check that the URI names a program. Raises: KeyUriMalformed."""
        _words(uri)

    def find(self, uri: str, passphrases: PassphraseProvider, purpose: Purpose) -> FoundKey:
        """Ask the command for the public key. Raises: KeyUriMalformed, KeyCommandFailed, KeyNotAccepted."""
        del passphrases, purpose
        command = _Command(_words(uri), self._seconds)
        return FoundKey(public=command.public(), uri=uri)

    def open(self, uri: str, public: PublicKey, passphrases: PassphraseProvider, purpose: Purpose) -> PrivateKey:
        """Return a private key that the command signs for. It is not started yet. Raises: KeyUriMalformed."""
        del passphrases, purpose
        return remote_key(public, _CommandKey(_Command(_words(uri), self._seconds), public))

    def make(
        self, uri: str, algorithm: Algorithm, name: str, passphrases: PassphraseProvider, purpose: Purpose
    ) -> FoundKey:
        """Refuse to make a key: the protocol has no such request. Raises: KeyUriMalformed."""
        del algorithm, name, passphrases, purpose
        reason = "a command makes no keys; make one behind it, and then: trust key import URI"
        raise KeyUriMalformed(uri=shown_uri(uri), reason=reason)


class _CommandKey:
    """A key behind a command (`keys.remote_key.Holder`)."""

    def __init__(self, command: _Command, public: PublicKey) -> None:
        self._command = command
        self._pem = public.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()

    @property
    def described(self) -> str:
        """The key in messages."""
        return f"behind the command {self._command.name}"

    def sign(self, payload: bytes, method: Method) -> bytes:
        """Have the command sign. Raises: KeyCommandFailed."""
        return self._command.sign(payload, method, self._pem)


class _Command:
    def __init__(self, words: list[str], seconds: float) -> None:
        self._words = words
        self._seconds = seconds
        self.name = ascii(words[0])[1:-1]

    def public(self) -> PublicKey:
        answer = self._asked({"operation": "public"}, "public")
        try:
            key = load_pem_public_key(answer.encode())
        except (ValueError, UnsupportedAlgorithm) as error:
            raise self._failed("the public key that it answered is none in PEM") from error
        algorithm_of(key, named=f"behind {self.name}")
        return cast("PublicKey", key)

    def sign(self, payload: bytes, method: Method, public: str) -> bytes:
        request = {
            "operation": "sign",
            "scheme": method,
            "payload": base64.b64encode(payload).decode(),
            "public": public,
        }
        try:
            return base64.b64decode(self._asked(request, "signature"), validate=True)
        except ValueError as error:
            raise self._failed("the signature that it answered is not in base64") from error

    def _asked(self, request: dict[str, str], wanted: str) -> str:
        """Return the member of the answer. Raises: KeyCommandFailed."""
        answer = self._run(json.dumps({"version": VERSION, **request}).encode() + b"\n")
        try:
            document: Any = json.loads(answer)
        except (ValueError, RecursionError) as error:
            raise self._failed("its answer is not JSON") from error
        if not isinstance(document, dict) or document.get("version") != VERSION:
            raise self._failed(f'its answer does not say "version": {VERSION}')
        if "error" in document:
            raise self._failed(f"it says {ascii(document['error'])[:_SHOWN]}")
        found = document.get(wanted)
        if not isinstance(found, str):
            raise self._failed(f"its answer has no {wanted}")
        return found

    def _run(self, request: bytes) -> bytes:
        """Run the command and return what it wrote. Raises: KeyCommandFailed."""
        with tempfile.TemporaryFile() as stdin:  # a file: a large request does not wait for a reader
            stdin.write(request)
            stdin.seek(0)
            try:
                process = subprocess.Popen(  # noqa: S603 - the user's own command, without a shell
                    self._words, stdin=stdin, stdout=subprocess.PIPE, env=_environment()
                )
            except OSError as error:
                raise self._failed(f"it cannot be started: {error.strerror or type(error).__name__}") from error
        with process:
            try:
                assert process.stdout is not None  # noqa: S101 - a pipe was asked for
                deadline = _now() + self._seconds
                answer = self._read(process.stdout, deadline)
                status = process.wait(max(0.0, deadline - _now()))
            except subprocess.TimeoutExpired as error:
                raise self._late() from error
            finally:
                process.kill()
        if status:
            how = f"with exit status {status}" if status > 0 else f"by signal {-status}"
            said = self._error_in(answer)
            raise self._failed(f"it ended {how}{said}")
        return answer

    def _read(self, stdout: IO[bytes], deadline: float) -> bytes:
        """Read to the end of the output. Raises: KeyCommandFailed, if that is too long or takes too long."""
        found = b""
        while True:
            left = deadline - _now()
            if left <= 0 or not select.select([stdout], [], [], left)[0]:
                raise self._late()
            piece = os.read(stdout.fileno(), MAX_ANSWER)
            if not piece:
                return found
            found += piece
            if len(found) > MAX_ANSWER:
                raise self._failed(f"it answered more than {MAX_ANSWER} bytes")

    def _late(self) -> KeyCommandFailed:
        return self._failed(f"it did not end within {self._seconds:g} seconds")

    @staticmethod
    def _error_in(answer: bytes) -> str:
        """Return the reason that a command gives which ends with a status, as words that follow; "" if it has none."""
        try:
            document: Any = json.loads(answer)
        except (ValueError, RecursionError):
            return ""
        return (
            f" and says {ascii(document['error'])[:_SHOWN]}"
            if isinstance(document, dict) and "error" in document
            else ""
        )

    def _failed(self, reason: str) -> KeyCommandFailed:
        return KeyCommandFailed(command=self.name, reason=reason)


def _now() -> float:
    return time.monotonic()


def _environment() -> dict[str, str]:
    """Return the environment without secrets that are not the command's: passphrases, PINs, the token for servers."""
    return {name: value for name, value in without_passphrases(os.environ).items() if name != "TRUST_TOKEN"}


def _words(uri: str) -> list[str]:
    """Return the program and its arguments. Raises: KeyUriMalformed."""
    _, rest = split_uri(uri)
    path, _, query = rest.partition("?")
    words = [absolute_path(path, uri=uri, what=f"what follows {EXEC}:")]
    for part in query.split("&") if query else ():
        name, equals, value = part.partition("=")
        if name != _ARGUMENT or not equals:
            reason = f"{part[:40]} is no arg=WORD, of which each is one argument of the command"
            raise KeyUriMalformed(uri=shown_uri(uri), reason=reason)
        words.append(decoded(value, uri=uri))
    return words
