"""Keys at `file:` URIs: a key file on a stick or a mounted secret, which is read each time and never copied."""

from __future__ import annotations

from pathlib import Path

from keys import recovery_file
from keys.algorithms import Algorithm, PrivateKey, PublicKey
from keys.errors import KeyFileMalformed, KeyUriMalformed
from keys.key_info import Purpose
from keys.passphrase import PassphraseProvider
from keys.uris.kinds import FoundKey
from keys.uris.uri import FILE, absolute_path, shown_uri, split_uri


class FileKeys:
    """The kind `file` of key URIs (`keys.uris.kinds.KeyKind`): PEM or a sealed key, with its own passphrase."""

    def check(self, uri: str) -> None:
        """Check that the URI names an absolute path. Raises: KeyUriMalformed."""
        _path(uri)

    def find(self, uri: str, passphrases: PassphraseProvider, purpose: Purpose) -> FoundKey:
        """Open the file, and return its public key. Raises: as `keys.recovery_file.read`."""
        private = recovery_file.read(_path(uri), passphrases, purpose=purpose)
        return FoundKey(public=private.public_key(), uri=uri)

    def open(self, uri: str, public: PublicKey, passphrases: PassphraseProvider, purpose: Purpose) -> PrivateKey:
        """Open the file. Raises: as `find`; KeyFileMalformed if it holds another key now."""
        path = _path(uri)
        private = recovery_file.read(path, passphrases, purpose=purpose)
        if private.public_key() != public:
            raise KeyFileMalformed(place=str(path), reason="it holds another key than the one that is recorded for it")
        return private

    def make(
        self, uri: str, algorithm: Algorithm, name: str, passphrases: PassphraseProvider, purpose: Purpose
    ) -> FoundKey:
        """Refuse to make a key: a file is made by `trust key generate` and `trust key export`."""
        del algorithm, name, passphrases, purpose
        reason = "no key is made in a file here; trust key generate and trust key export make one"
        raise KeyUriMalformed(uri=shown_uri(uri), reason=reason)


def _path(uri: str) -> Path:
    _, rest = split_uri(uri)
    if "?" in rest or "#" in rest:
        raise KeyUriMalformed(uri=shown_uri(uri), reason="? and # in a path are written as %3F and %23")
    return Path(absolute_path(rest, uri=uri, what=f"what follows {FILE}:"))
