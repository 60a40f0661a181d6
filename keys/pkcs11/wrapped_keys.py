"""Many private keys that one token signs with: it wraps them with a key of its own, and they are kept outside.

A token has room for hundreds or thousands of keys, and looks through all of them for one. So it keeps one, which wraps
the others. Outside of the token a private key is ciphertext; it is unwrapped in the token before it signs there.
"""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from keys.algorithms import PrivateKey, PublicKey
from keys.errors import KeyNotOnToken, KeysError, KeyUriMalformed
from keys.passphrase import PassphraseProvider
from keys.pkcs11 import wrapped_objects
from keys.pkcs11.library import Library, TokenSession, library_at
from keys.pkcs11.pkcs11_uri import Pkcs11Uri, read_pkcs11_uri
from keys.pkcs11.signatures import signature
from keys.pkcs11.token_objects import exact_uri
from keys.record import record, replace
from keys.remote_key import Method, remote_key
from keys.uris.proof import proven
from keys.uris.uri import shown_uri

HELD: Final = 1024
"""How many unwrapped keys are on the token at one time; the one that signed least recently is taken off first."""
_NEW_ID_BYTES: Final = 8


@record
class WrappedKey:
    """A private key outside of the token. `wrapped`: encrypted there. `public`: its public half."""

    public: PublicKey
    wrapped: bytes


class TokenWrapping:
    """A token that makes wrapped keys and signs with them. May be used from several threads.

    `failure`: why the last use of the token failed; None if it succeeded.
    """

    def __init__(self, uri: str, passphrases: PassphraseProvider) -> None:
        """Read the URI of the wrapping key; nothing is opened. Raises: KeyUriMalformed, KeySchemeUnknown."""
        self._uri = read_pkcs11_uri(uri)
        if not self._uri.names_key:
            reason = "it does not name the key of the token that wraps the others: object=NAME or id=%NN"
            raise KeyUriMalformed(uri=shown_uri(uri), reason=reason)
        self._passphrases = passphrases
        self._exact: Pkcs11Uri | None = None
        self.failure: KeysError | None = None

    @property
    def place(self) -> str:
        """Which token and which key of it, without how it is reached; empty before `prepare`."""
        if self._exact is None:
            return ""
        named = self._exact.object if self._exact.id is None else None
        return replace(self._exact, module="", pin_file=None, token=None, object=named).text.partition("?")[0]

    def prepare(self, *, may_make: bool) -> None:
        """Log in, find the wrapping key, and prove that the token can do what is needed, by a key for nothing.

        `may_make`: a wrapping key is made if there is none. Raises: as `make`; KeyNotOnToken, KeyAmbiguous.
        """
        with library_at(self._uri.module) as library:
            session = library.session(self._uri, self._passphrases)
            with library.translated(session.facts):
                self._exact = self._found(library, session, may_make=may_make)
        self.make()

    def make(self) -> WrappedKey:
        """Make a key on the token, wrap it, and prove by a signature that it can be unwrapped.

        Raises: SignatureNotVerified, TokenKeyUnfit, KeyNotOnToken, KeyAmbiguous (of the wrapping key), TokenDeclined,
        and as `keys.pkcs11.library.Library.session`.
        """
        with self._noting_failure(), library_at(self._uri.module) as library:
            session, uri = self._session(library)
            with library.translated(session.facts):
                public, wrapped = wrapped_objects.make_wrapped(session.raw, session.wrapping[uri], session.facts)
        private = self.open(wrapped, public)
        proven(private, public)  # the private key itself refuses a signature that does not verify
        return WrappedKey(public=public, wrapped=wrapped)

    def open(self, wrapped: bytes, public: PublicKey) -> PrivateKey:
        """Return a wrapped key as a private key that signs on the token, each signature verified with `public`."""
        return remote_key(public, _Held(self, wrapped))

    def sign(self, wrapped: bytes, payload: bytes, method: Method) -> bytes:
        """Unwrap a key on the token, if that was not done yet in this session, and sign with it.

        Raises: TokenDeclined (it was not wrapped with this key, among others), and as `make`.
        """
        with self._noting_failure(), library_at(self._uri.module) as library:
            session, uri = self._session(library)
            with library.translated(session.facts):
                return signature(_held(session, uri, wrapped), payload, method, None)

    @contextmanager
    def _noting_failure(self) -> Iterator[None]:
        try:
            yield
        except KeysError as error:
            self.failure = error
            raise
        self.failure = None

    @property
    def described(self) -> str:
        """The wrapping key, for messages."""
        uri = self._exact or self._uri
        return f"{uri.described_key} on token {uri.described_token}"

    def _session(self, library: Library) -> tuple[TokenSession, str]:
        """Return the session on the token, which knows the wrapping key by the URI that is returned, too."""
        uri = self._exact or self._uri
        session = library.session(uri, self._passphrases)
        if uri.text not in session.wrapping:
            with library.translated(session.facts):
                session.wrapping[uri.text] = wrapped_objects.wrapping_key(session.raw, uri, session.facts)
        return session, uri.text

    def _found(self, library: Library, session: TokenSession, *, may_make: bool) -> Pkcs11Uri:
        try:
            key = wrapped_objects.wrapping_key(session.raw, self._uri, session.facts)
        except KeyNotOnToken:
            if not may_make:
                raise
            new = replace(self._uri, id=self._uri.id or secrets.token_bytes(_NEW_ID_BYTES))
            writing, facts = library.writing_session(new)
            with library.translated(facts):
                try:
                    wrapped_objects.make_wrapping_key(writing, new)
                finally:
                    writing.close()
            key = wrapped_objects.wrapping_key(session.raw, new, session.facts)
        return exact_uri(key, self._uri, session.facts)


class _Held:
    """A wrapped key that signs (`keys.remote_key.Holder`)."""

    def __init__(self, token: TokenWrapping, wrapped: bytes) -> None:
        self._token = token
        self._wrapped = wrapped

    @property
    def described(self) -> str:
        """The key in messages."""
        return f"a key that is wrapped with the {self._token.described}"

    def sign(self, payload: bytes, method: Method) -> bytes:
        """Sign on the token. Raises: as `TokenWrapping.sign`."""
        return self._token.sign(self._wrapped, payload, method)


def _held(session: TokenSession, wrapping_uri: str, wrapped: bytes) -> wrapped_objects.HeldKey:
    """Return a key that is unwrapped, for which the one that was used least recently may have to leave the token."""
    wrapping = session.wrapping[wrapping_uri]
    # Keys of the session may go on signing in the memory of a library whose token was removed, as SoftHSM's do.
    wrapped_objects.still_there(wrapping)
    name = hashlib.sha256(wrapping_uri.encode() + b"\0" + wrapped).digest()
    if name not in session.held:
        session.held[name] = wrapped_objects.unwrapped(wrapping, wrapped)
        while len(session.held) > HELD:
            session.held.popitem(last=False)[1].destroy()
    session.held.move_to_end(name)
    return session.held[name]
