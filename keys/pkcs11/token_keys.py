"""Keys at `pkcs11:` URIs: opened, looked up and made on a token, and signing there."""

from __future__ import annotations

import secrets
from typing import Final

from keys.algorithms import Algorithm, PrivateKey, PublicKey
from keys.errors import KeyUriMalformed, TokenKeyUnfit
from keys.key_info import Purpose
from keys.passphrase import PassphraseProvider
from keys.pkcs11 import token_objects
from keys.pkcs11.library import Library, TokenSession, library_at
from keys.pkcs11.pkcs11_uri import Pkcs11Uri, read_pkcs11_uri
from keys.pkcs11.signatures import signature
from keys.record import replace
from keys.remote_key import Method, remote_key
from keys.uris.kinds import FoundKey
from keys.uris.uri import shown_uri

_NEW_ID_BYTES: Final = 8


class TokenKeys:
    """The kind `pkcs11` of key URIs (`keys.uris.kinds.KeyKind`)."""

    def check(self, uri: str) -> None:
        """Check that the URI can be read, and names a key. Raises: KeyUriMalformed."""
        _key_uri(uri)

    def find(self, uri: str, passphrases: PassphraseProvider, purpose: Purpose) -> FoundKey:
        """Log in, and return the key's public half and the URI by which exactly it is found again.

        Raises: KeyUriMalformed, KeyNotOnToken, KeyAmbiguous, TokenKeyUnfit, and as `Library.session`.
        """
        del purpose  # the PIN is the token's
        wanted = _key_uri(uri)
        with library_at(wanted.module) as library:
            session = library.session(wanted, passphrases)
            with library.translated(session.facts):
                key = token_objects.private_object(session.raw, wanted, session.facts)
                public = token_objects.public_half(session.raw, key, session.facts)
                exact = token_objects.exact_uri(key, wanted, session.facts)
        return FoundKey(public=public, uri=exact.text)

    def open(self, uri: str, public: PublicKey, passphrases: PassphraseProvider, purpose: Purpose) -> PrivateKey:
        """Log in, find the key, and return it as a private key that signs on the token.

        Raises: as `find`; TokenKeyUnfit if the key is of another kind than `public`.
        """
        del purpose
        wanted = _key_uri(uri)
        with library_at(wanted.module) as library:
            _handle(library, library.session(wanted, passphrases), wanted, public)
        return remote_key(public, _TokenKey(wanted, public, passphrases))

    def make(
        self, uri: str, algorithm: Algorithm, name: str, passphrases: PassphraseProvider, purpose: Purpose
    ) -> FoundKey:
        """Make a key on the token, which it never leaves. What the URI leaves open: object `name`, a random id.

        Raises: KeyUriMalformed, KeyExists, TokenKeyUnfit, and as `Library.session`.
        """
        del purpose
        wanted = read_pkcs11_uri(uri)
        wanted = replace(
            wanted,
            object=wanted.object if wanted.object is not None else name,
            id=wanted.id if wanted.id is not None else secrets.token_bytes(_NEW_ID_BYTES),
        )
        with library_at(wanted.module) as library:
            logged_in = library.session(wanted, passphrases)
            writing, facts = library.writing_session(wanted)
            with library.translated(facts):
                try:
                    key = token_objects.make_key(writing, algorithm, wanted, facts)
                    public = token_objects.public_half(writing, key, facts)
                    exact = token_objects.exact_uri(key, wanted, facts)
                finally:
                    writing.close()
            logged_in.handles.clear()
        return FoundKey(public=public, uri=exact.text)


class _TokenKey:
    """A key on a token that signs (`keys.remote_key.Holder`)."""

    def __init__(self, uri: Pkcs11Uri, public: PublicKey, passphrases: PassphraseProvider) -> None:
        self._uri = uri
        self._public = public
        self._passphrases = passphrases

    @property
    def described(self) -> str:
        """The key in messages."""
        return f"{self._uri.described_key} on token {self._uri.described_token}"

    def sign(self, payload: bytes, method: Method) -> bytes:
        """Sign on the token. After a fork, or when the token was away meanwhile, it is logged in anew.

        Raises: as `TokenKeys.open`.
        """
        with library_at(self._uri.module) as library:
            session = library.session(self._uri, self._passphrases)
            key = _handle(library, session, self._uri, self._public)
            with library.translated(session.facts):
                pin = session.pin.text if session.pin and token_objects.wants_pin_each_time(key) else None
                return signature(key, payload, method, pin)


def _handle(library: Library, session: TokenSession, uri: Pkcs11Uri, public: PublicKey) -> token_objects.TokenObject:
    """Return the private key of the URI, looked for once in each session.

    Raises: KeyNotOnToken, KeyAmbiguous, TokenKeyUnfit, TokenGone, TokenDeclined.
    """
    if uri.text not in session.handles:
        with library.translated(session.facts):
            key = token_objects.private_object(session.raw, uri, session.facts)
            if not token_objects.fits_public(key, public):
                reason = f"{uri.described_key} is of another kind than the public key that is recorded for it"
                raise TokenKeyUnfit(token=session.facts.described, reason=reason)
            session.handles[uri.text] = key
    return session.handles[uri.text]


def _key_uri(text: str) -> Pkcs11Uri:
    uri = read_pkcs11_uri(text)
    if not uri.names_key:
        reason = "it names no key on the token: object=NAME or id=%NN"
        raise KeyUriMalformed(uri=shown_uri(text), reason=reason)
    return uri
