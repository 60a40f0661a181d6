"""PKCS#11 libraries in this process: their tokens, one logged-in session on each token, and one lock over all of it.

python-pkcs11 starts a library without telling it that there are threads, and lets other threads run while the library
works: two calls at once end in errors or in a crash. So `library_at` holds a lock, and every call is made under it.

A login belongs to the process and not to a thread. After a fork the child starts the library anew and knows no session
of its parent's.
"""

from __future__ import annotations

import os
import ssl
import threading
from collections import OrderedDict
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext, suppress
from functools import cache
from typing import TYPE_CHECKING, Final

from keys.errors import (
    KeySupportMissing,
    TokenAmbiguous,
    TokenDeclined,
    TokenGone,
    TokenMissing,
    TokenModuleUnusable,
    TokenPinLocked,
)
from keys.passphrase import PassphraseProvider
from keys.pkcs11.pin import Pin, pin_for, refused
from keys.pkcs11.pkcs11_uri import Pkcs11Uri
from keys.pkcs11.token_facts import PIN_COUNT_LOW, PIN_FINAL_TRY, TokenFacts
from keys.pkcs11.token_objects import TokenObject
from keys.pkcs11.turns import turn
from keys.pkcs11.wrapped_objects import HeldKey, WrappingKey

if TYPE_CHECKING:
    import pkcs11
    from pkcs11._pkcs11 import lib as RawLibrary  # noqa: N812 - it is a class

_LOGINS_AGAIN: Final = 2
"""How often a login is begun again that ended in a general error, as SoftHSM's does where several processes begin."""
_INITIALISED: Final = 0x400
_GONE: Final = (
    "DeviceError",
    "DeviceRemoved",
    "GeneralError",
    "KeyHandleInvalid",
    "NoSuchToken",
    "ObjectHandleInvalid",
    "SessionClosed",
    "SessionHandleInvalid",
    "SlotIDInvalid",
    "TokenNotPresent",
    "TokenNotRecognised",
    "UserNotLoggedIn",
)
"""What libraries say of a token that was removed meanwhile. By name: the Python library is imported when used."""


class TokenSession:
    """A session on a token, logged in if the token wants that. `pin`: for keys that want it at each signature."""

    def __init__(self, raw: pkcs11.Session, facts: TokenFacts, pin: Pin | None) -> None:
        self.raw = raw
        self.facts = facts
        self.pin = pin
        self.handles: dict[str, TokenObject] = {}
        """Private keys by URI, which were looked for once."""
        self.wrapping: dict[str, WrappingKey] = {}
        """Secret keys by URI, which wrap others."""
        self.held: OrderedDict[bytes, HeldKey] = OrderedDict()
        """Private keys that were unwrapped in this session, by the hash of what they were wrapped as."""


class Library:
    """One PKCS#11 library. All methods are called with the lock held (`library_at`)."""

    def __init__(self, path: str, raw: RawLibrary) -> None:
        self.raw = raw
        self._path = path
        self._sessions: dict[str, TokenSession] = {}
        """By the serial number of the token."""
        self._by_uri: dict[str, TokenSession] = {}
        """The same by key URI: a signature does not look for its token again."""
        self._stale = False

    def token(self, uri: Pkcs11Uri) -> tuple[pkcs11.Token, TokenFacts]:
        """Return the one token that the URI means. Raises: TokenMissing, TokenAmbiguous, TokenModuleUnusable."""
        if self._stale:
            self._start_again()
        found = self._tokens()
        fitting = [each for each in found if each[1].fits(uri)]
        if not fitting and not self._sessions:
            # A library sees only the tokens that were there when it was started.
            with turn(self._path):
                self._start_again()
                found = self._tokens()
            fitting = [each for each in found if each[1].fits(uri)]
        if not fitting:
            present = tuple(facts.described for _, facts in found)
            raise TokenMissing(token=uri.described_token, present=present)
        if len(fitting) > 1:
            raise TokenAmbiguous(
                token=uri.described_token, candidates=tuple(sorted(facts.described for _, facts in fitting))
            )
        return fitting[0]

    def session(self, uri: Pkcs11Uri, passphrases: PassphraseProvider) -> TokenSession:
        """Return the session on the token of the URI; log in, if that was not done yet in this process.

        Raises: TokenMissing, TokenAmbiguous, TokenGone, TokenDeclined, TokenPinWrong, TokenPinLocked, TokenPinLastTry,
        TokenModuleUnusable, PassphraseMissing, PassphraseUnreadable.
        """
        if uri.text in self._by_uri:
            return self._by_uri[uri.text]
        token, facts = self.token(uri)
        if facts.serial not in self._sessions:
            pin = pin_for(facts, uri.pin_file, passphrases)
            with self.translated(facts):
                raw = self._logged_in(token, facts, uri, pin)
            self._sessions[facts.serial] = TokenSession(raw, facts, pin)
        self._by_uri[uri.text] = self._sessions[facts.serial]
        return self._by_uri[uri.text]

    def writing_session(self, uri: Pkcs11Uri) -> tuple[pkcs11.Session, TokenFacts]:
        """Return another session on the token, which may write, to be closed. It is logged in if the process is.

        Raises: TokenMissing, TokenAmbiguous, TokenGone, TokenDeclined, TokenModuleUnusable.
        """
        token, facts = self.token(uri)
        with self.translated(facts):
            return token.open(rw=True), facts

    @contextmanager
    def translated(self, facts: TokenFacts) -> Iterator[None]:
        """Turn errors of the library into ours, and forget all sessions if the token is gone.

        Raises: TokenGone, TokenDeclined.
        """
        from pkcs11.exceptions import PKCS11Error

        try:
            yield
        except PKCS11Error as error:
            name, text = type(error).__name__, str(error)
            if name in _GONE:
                self._forget_sessions()
                self._stale = True
                reason = f"it was removed, or answers no more ({name})"
                raise TokenGone(token=facts.described, reason=reason) from error
            raise TokenDeclined(token=facts.described, reason=f"{name}: {text}" if text else name) from error

    def _logged_in(
        self, token: pkcs11.Token, facts: TokenFacts, uri: Pkcs11Uri, pin: Pin | None, *, again: int = _LOGINS_AGAIN
    ) -> pkcs11.Session:
        """Open a session, logged in. `again`: how often that may be begun again. Raises: as `session`; PKCS11Error."""
        from pkcs11 import exceptions

        if pin is None:
            return token.open()
        try:
            with turn(self._path) if pin.text is not None else nullcontext():
                return token.open(user_pin=_PROTECTED() if pin.text is None else pin.text)
        except exceptions.UserAlreadyLoggedIn:  # an attempt that failed behind the login
            return token.open()
        except (exceptions.PinIncorrect, exceptions.PinLenRange, exceptions.PinInvalid) as error:
            raise refused(facts, pin, self._facts_now(uri)) from error
        except exceptions.PinLocked as error:
            raise TokenPinLocked(token=facts.described) from error
        except (exceptions.GeneralError, exceptions.FunctionFailed):
            # The PIN was not judged. It is given again only if the token says that it counts nothing against it.
            if not again or self._sessions or pin.text is None:
                raise
            with turn(self._path):
                self._start_again()
            token, now = self.token(uri)
            if now.has(PIN_COUNT_LOW) or now.has(PIN_FINAL_TRY):
                raise
        return self._logged_in(token, facts, uri, pin, again=again - 1)

    def _facts_now(self, uri: Pkcs11Uri) -> TokenFacts | None:
        """Return what the token says of itself after a refusal; None if it cannot be asked."""
        fitting = [facts for _, facts in self._tokens() if facts.fits(uri)]
        return fitting[0] if len(fitting) == 1 else None

    def _tokens(self) -> list[tuple[pkcs11.Token, TokenFacts]]:
        from pkcs11.exceptions import PKCS11Error

        try:
            slots = self.raw.get_slots(token_present=True)
        except PKCS11Error as error:
            self._stale = True
            raise TokenModuleUnusable(token=self._path, reason=_said(error)) from error
        found = []
        for slot in slots:
            with suppress(PKCS11Error):  # a token that was removed just now is none
                token = slot.get_token()
                if int(token.flags) & _INITIALISED:
                    found.append((token, TokenFacts.of(token)))
        return found

    def _forget_sessions(self) -> None:
        self._sessions.clear()
        self._by_uri.clear()

    def _start_again(self) -> None:
        """Start the library anew, which ends all its sessions. Raises: TokenModuleUnusable."""
        from pkcs11.exceptions import PKCS11Error

        self._forget_sessions()
        try:
            self.raw.reinitialize()
        except PKCS11Error as error:
            raise TokenModuleUnusable(token=self._path, reason=_said(error)) from error
        self._stale = False


_lock = threading.RLock()
_libraries: dict[str, Library] = {}
_of_parents: Final[list[dict[str, Library]]] = []
"""What processes before this one had open. It is kept, since to let go of it would end it for them, too."""


@contextmanager
def library_at(path: str) -> Iterator[Library]:
    """Hold the lock over all libraries, and load this one at the first call in this process.

    Raises: KeySupportMissing (python-pkcs11 is not installed), TokenModuleUnusable.
    """
    with _lock:
        try:
            if path not in _libraries:
                _libraries[path] = Library(path, _loaded(path))
            yield _libraries[path]
        finally:
            _forget_errors_of_openssl()


def _loaded(path: str) -> RawLibrary:
    try:
        from pkcs11._pkcs11 import lib
        from pkcs11.exceptions import PKCS11Error
    except ImportError as error:
        raise KeySupportMissing(scheme="pkcs11", library="python-pkcs11", extra="content-trust[pkcs11]") from error
    try:
        return lib(path)
    except PKCS11Error as error:
        # In a child, some libraries believe that they are started still: those are ended here, and started anew.
        inherited = next((each[path].raw for each in reversed(_of_parents) if path in each), None)
        if inherited is None:
            raise TokenModuleUnusable(token=path, reason=_said(error)) from error
    try:
        with suppress(PKCS11Error):
            inherited.finalize()
        inherited.initialize()
    except PKCS11Error as error:
        raise TokenModuleUnusable(token=path, reason=_said(error)) from error
    return inherited


def _forget_errors_of_openssl() -> None:
    """Empty the queue of errors that OpenSSL has for this thread; Python's TLS and most libraries of tokens share it.

    SoftHSM looks for an engine at its start, and leaves "no such engine" there: the next read of a TLS connection
    of the thread took that for its own failure. The one call of `ssl` that empties it is this one, where it fails.
    """
    with suppress(ssl.SSLError):
        _no_ciphers().set_ciphers("NONE")


@cache
def _no_ciphers() -> ssl.SSLContext:
    return ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)


def _said(error: Exception) -> str:
    return ascii(str(error) or type(error).__name__)[1:-1][:300]


def _PROTECTED() -> object:  # noqa: N802 - stands for a constant of a library that is imported when used
    from pkcs11 import PROTECTED_AUTH

    return PROTECTED_AUTH


def _begin_in_child() -> None:
    """Forget in a new process what its parent had open, and a lock that a thread of its parent may hold."""
    global _lock, _libraries
    _of_parents.append(_libraries)
    _lock, _libraries = threading.RLock(), {}


os.register_at_fork(after_in_child=_begin_in_child)
