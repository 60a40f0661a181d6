"""Fetch and keep the public keys of an issuer of workload tokens, which changes them when it likes.

Source: OpenID Connect Discovery 1.0, sections 3 and 4. A key that is not known may be new: then they are fetched again,
but not more often than once in RETRY_SECONDS, so that tokens with invented keys cause no traffic. What the issuer
answers replaces what is known only if there are keys in it.
"""

from __future__ import annotations

import logging
import warnings
from datetime import datetime, timedelta
from threading import Lock
from typing import Any, Final, Protocol
from urllib.parse import urlsplit

import orjson
from joserfc.errors import JoseError
from joserfc.jwk import ECKey, Key, KeySet, RSAKey

from trustserver.auth.accepted_keys import usable
from trustserver.auth.workloads import Issuer
from trustserver.errors import StartRefused, TokenRefused
from trustserver.guarded_files import read_guarded_bytes
from trustserver.process.outgoing import Unfetched, fetch, is_fetchable

RETRY: Final = timedelta(seconds=60)
FRESH: Final = timedelta(hours=1)
"""After this time the keys are asked for again, so that one that the issuer has withdrawn does not count for ever."""
KEPT: Final = timedelta(hours=24)
"""For how long keys count if the issuer does not answer."""
MAX_DOCUMENT: Final = 64 * 1024
"""The largest document that is read, in bytes."""
MAX_KEYS: Final = 64
_DISCOVERY: Final = "/.well-known/openid-configuration"

_log = logging.getLogger(__name__)


class Get(Protocol):
    """Returns the document of at most `limit` bytes at a URL of this issuer. Raises: Unfetched."""

    def __call__(self, url: str, *, issuer: Issuer, limit: int) -> bytes: ...


def get(url: str, *, issuer: Issuer, limit: int) -> bytes:
    """Return a document of an issuer. Raises: Unfetched."""
    return fetch(url, limit=limit, authorities=issuer.ca)


class IssuerKeys:
    """The keys of one issuer. `find` waits for the issuer's answer: call it in a thread that nobody else needs."""

    def __init__(self, issuer: Issuer, *, get: Get = get) -> None:
        self._issuer = issuer
        self._get = get
        self._keys: dict[str, Key] = {}
        self._fetched: datetime | None = None
        self._asked: datetime | None = None
        self._lock = Lock()

    def find(self, kid: str, at: datetime) -> Key:
        """Return the key with this id. Raises: TokenRefused if the issuer has none, or does not say."""
        with self._lock:
            reason = "they could not be had a moment ago"
            if self._must_ask(kid, at):
                self._asked = at
                try:
                    self._keys, self._fetched = self._read(), at
                except Unfetched as error:
                    reason = str(error)
                    extra = {"issuer": self._issuer.url, "reason": reason}
                    _log.warning("the keys of an issuer of workload tokens cannot be had", extra=extra)
            if self._fetched is None or at - self._fetched >= KEPT:
                raise TokenRefused(reason=f"the keys of the issuer {self._issuer.name} are not known: {reason}")
            key = self._keys.get(kid)
            if key is None:
                raise TokenRefused(reason=f"it is signed with a key that the issuer {self._issuer.name} does not have")
            return key

    def _must_ask(self, kid: str, at: datetime) -> bool:
        if self._asked is not None and timedelta(0) <= at - self._asked < RETRY:
            return False
        return self._fetched is None or kid not in self._keys or not timedelta(0) <= at - self._fetched < FRESH

    def _read(self) -> dict[str, Key]:
        """Read the keys from where they are. Raises: Unfetched."""
        if self._issuer.jwks_file is not None:
            try:
                return _parsed(read_guarded_bytes(self._issuer.jwks_file, limit=MAX_DOCUMENT))
            except StartRefused as error:  # which names a path, and anybody is told the reason of Unfetched
                _log.error("the file of an issuer's keys does not count", extra={"reason": str(error)})
                raise Unfetched("the file with them cannot be used") from error
        url = self._issuer.jwks_url or self._discovered()
        return _parsed(self._get(url, issuer=self._issuer, limit=MAX_DOCUMENT))

    def _discovered(self) -> str:
        """Return where the issuer says that its keys are. That must be at its own place. Raises: Unfetched."""
        raw = self._get(self._issuer.url.rstrip("/") + _DISCOVERY, issuer=self._issuer, limit=MAX_DOCUMENT)
        document = _object(raw)
        if document.get("issuer") != self._issuer.url:
            raise Unfetched("its discovery document belongs to another issuer")
        url = document.get("jwks_uri")
        if not isinstance(url, str) or not is_fetchable(url) or not _same_origin(url, self._issuer.url):
            raise Unfetched("its discovery document names keys at another place (give that place as jwks_url)")
        return url


def _same_origin(one: str, other: str) -> bool:
    a, b = urlsplit(one), urlsplit(other)
    default = {"https": 443, "http": 80}.get
    return (a.scheme, a.hostname, a.port or default(a.scheme)) == (b.scheme, b.hostname, b.port or default(b.scheme))


def _object(raw: bytes) -> dict[str, Any]:
    try:
        document = orjson.loads(raw)
    except ValueError as error:
        raise Unfetched("it answers with something that is not JSON") from error
    if not isinstance(document, dict):
        raise Unfetched("it answers with something that is not a JSON object")
    return document


def _parsed(raw: bytes) -> dict[str, Key]:
    """Return the keys of a JWK set by id. Keys that cannot sign tokens here are passed over. Raises: Unfetched."""
    if len(raw) > MAX_DOCUMENT:
        raise Unfetched(f"its keys take more than {MAX_DOCUMENT} bytes")
    entries = _object(raw).get("keys")
    if not isinstance(entries, list) or len(entries) > MAX_KEYS:
        raise Unfetched("it answers with something that is not a JWK set (RFC 7517)")
    found: dict[str, Key] = {}
    for entry in entries:
        key = _usable_key(entry)
        if key is not None and key.kid:
            found.setdefault(key.kid, key)
    if not found:
        raise Unfetched("there is no key among its keys that can sign tokens here")
    return found


def _usable_key(entry: object) -> Key | None:
    if not isinstance(entry, dict) or entry.get("use", "sig") != "sig":
        return None
    try:
        with warnings.catch_warnings():  # joserfc warns of weak keys; those are refused anyway
            warnings.simplefilter("ignore")
            key = next(iter(KeySet.import_key_set({"keys": [entry]})))
        if not isinstance(key, RSAKey | ECKey) or key.is_private:
            return None
        usable(key.public_key)
    except (JoseError, ValueError, TypeError, KeyError, AttributeError, RecursionError):
        return None
    return key
