"""Exchange tokens of CI platforms and Kubernetes for tokens of this server: each once, for a quarter of an hour.

Whoever shows a token is a stranger until its issuer's keys have been asked, so each issuer has a thread of its own and
a bounded queue: one that is slow keeps nobody else waiting.
"""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from threading import Lock
from typing import Final

from trustserver.auth.api_tokens import new_token, token_digest
from trustserver.auth.issuer_keys import IssuerKeys
from trustserver.auth.workload_tokens import VerifiedWorkload, WorkloadVerifier
from trustserver.auth.workloads import Issuer, Workloads
from trustserver.errors import Overloaded, TokenRefused
from trustserver.storage.exchange_port import ExchangedToken, ExchangeStore

LIFETIME: Final = timedelta(minutes=15)
"""How long an exchanged token counts."""
MARGIN: Final = timedelta(seconds=5)
"""For how long a shown token is remembered after it can no longer be shown."""
MAX_KEPT: Final = 100_000
"""How many exchanged tokens are kept at one time."""
MAX_KEPT_OF_ONE: Final = 10_000
"""How many of one workload: its platform may make tokens that live for a year, each of which is kept so long."""
MAX_WAITING: Final = 64
"""How many tokens of one issuer may wait to be verified."""
MAX_WAITING_OF_ONE: Final = 8
"""How many tokens of one client address may wait."""
_NEVER: Final = datetime.min.replace(tzinfo=UTC)

_log = logging.getLogger(__name__)


class Exchanges:
    """Exchanges tokens, and knows those that it has given. All but `close` are for the event loop."""

    def __init__(
        self,
        store: ExchangeStore,
        workloads: Callable[[], Workloads],
        *,
        clock: Callable[[], datetime],
        keys_of: Callable[[Issuer], IssuerKeys] = IssuerKeys,
    ) -> None:
        """Read the tokens that count. `workloads`: returns the present rules. Raises: NotStored."""
        self._store = store
        self._workloads = workloads
        self._clock = clock
        self._keys_of = keys_of
        self._known = {token.secret: token for token in store.exchanged()}
        self._latest = max((token.created for token in self._known.values()), default=_NEVER)
        """The latest time of an exchange: what could not be shown any more then is forgotten since."""
        self._lock = Lock()
        self._of: Workloads | None = None
        self._keys: dict[str, IssuerKeys] = {}
        self._issuers: Mapping[str, Issuer] = {}
        self._threads: dict[str, ThreadPoolExecutor] = {}
        self._waiting: Counter[tuple[str, str]] = Counter()

    def close(self) -> None:
        """End the threads, once they have nothing to do."""
        for thread in self._threads.values():
            thread.shutdown(wait=False)

    def find(self, secret: str) -> ExchangedToken | None:
        """Return the exchanged token that is known by this, if it counts now."""
        token = self._known.get(secret)
        if token is None or self._clock() >= token.expires:
            return None
        workload = self._workloads().workloads.get(token.workload)
        return token if workload is not None and workload.definition == token.definition else None

    async def exchange(self, shown: bytes, *, address: str | None) -> tuple[str, ExchangedToken]:
        """Verify a token, and return one of this server for it and what is known of that.

        Raises: TokenRefused; Overloaded if too many wait, or were given; NotStored.
        """
        verifier = self._verifier()
        issuer, _ = verifier.read(shown, self._clock())
        loop = asyncio.get_running_loop()
        places = {("issuer", issuer.name): MAX_WAITING}
        if address:
            places["address", address] = MAX_WAITING_OF_ONE
        if any(self._waiting[place] >= most for place, most in places.items()):
            raise Overloaded(what="tokens of workloads wait for their check")
        self._waiting.update(places.keys())
        try:
            # Whoever leaves has caused the work all the same, so it counts until it is done.
            work = loop.run_in_executor(self._thread(issuer), self._exchange, verifier, shown)
            work.add_done_callback(lambda _: self._left(places))
        except RuntimeError:
            self._left(places)
            raise
        token, given = await asyncio.shield(work)
        self._known[given.secret] = given
        self._forget_ended(given.created)
        _log.info("token exchanged", extra={"workload": given.workload, "issuer": issuer.name, "client": address})
        return token, given

    def _left(self, places: Iterable[tuple[str, str]]) -> None:
        self._waiting.subtract(list(places))
        self._waiting += Counter()  # drops the places where nobody waits

    def _exchange(self, verifier: WorkloadVerifier, shown: bytes) -> tuple[str, ExchangedToken]:
        at = self._clock()
        verified = verifier.verify(shown, at)
        token = new_token()
        # By the time at which it was verified: what was shown then is not forgotten, however long the issuer took.
        given = _given(token, verified, at.replace(microsecond=0))
        self._refuse_forgotten(verified, given.created)
        if not self._store.exchange(given, most=MAX_KEPT, most_of_one=MAX_KEPT_OF_ONE):
            raise TokenRefused(reason="it was shown before, and each counts once", lasting=True)
        return token, given

    def _refuse_forgotten(self, verified: VerifiedWorkload, at: datetime) -> None:
        """Refuse a token of which it is not known any more whether it was shown: the clock was ahead, and went back.

        Raises: TokenRefused.
        """
        with self._lock:
            if _shown_until(verified) + MARGIN <= self._latest:
                reason = "the clock of this server has been past its end, so that it may have been shown before"
                raise TokenRefused(reason=reason)
            self._latest = max(self._latest, at)

    def _verifier(self) -> WorkloadVerifier:
        """Return the verifier for the present rules. The keys of an issuer that has not changed stay."""
        workloads = self._workloads()
        if workloads is not self._of:
            self._keys = {
                name: self._keys[name] if self._issuers.get(name) == issuer else self._keys_of(issuer)
                for name, issuer in workloads.issuers.items()
            }
            self._issuers, self._of = workloads.issuers, workloads
        return WorkloadVerifier(workloads, self._keys)

    def _thread(self, issuer: Issuer) -> ThreadPoolExecutor:
        if issuer.name not in self._threads:
            self._threads[issuer.name] = ThreadPoolExecutor(max_workers=1, thread_name_prefix="issuer")
        return self._threads[issuer.name]

    def _forget_ended(self, at: datetime) -> None:
        if len(self._known) > MAX_KEPT:
            self._known = {secret: token for secret, token in self._known.items() if at < token.expires}


def _given(token: str, verified: VerifiedWorkload, at: datetime) -> ExchangedToken:
    expires = at + LIFETIME
    return ExchangedToken(
        secret=token_digest(token.encode()) or "",
        workload=verified.name,
        definition=verified.definition,
        shown=verified.token_id,
        created=at,
        expires=expires,
        kept_until=max(expires, _shown_until(verified)) + MARGIN,
    )


def _shown_until(verified: VerifiedWorkload) -> datetime:
    return datetime.fromtimestamp(verified.until, UTC).replace(microsecond=0)
