"""Keep what the server knows about access up to date while it runs: rules and credentials are looked at every second.

A thread of its own looks, so that no request waits for a disk. What cannot be read changes nothing: the server goes on
with what it knew, and says so.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path
from threading import Event, Lock, Thread
from typing import Final

from trustdata.errors import NotStored, TrustError
from trustserver.auth.access_file import load_rules
from trustserver.auth.client_certificates import ClientCertificates
from trustserver.auth.rules import AccessRules, Rule, own_rule
from trustserver.auth.workloads import Workloads
from trustserver.errors import StartRefused
from trustserver.guarded_files import mark_of
from trustserver.storage.access_port import AccessStore, CountingRules, CredentialKind, StoredCredential
from trustserver.storage.events import SERVER

LOOK_SECONDS: Final = 1.0
"""Seconds between two looks: for so long, and for the time that reading takes, a right that is taken away counts on."""
SETTLED_SECONDS: Final = 0.25
"""Seconds for which a changed file of rules must stay as it is before it is read: half a file may be one without the
rules that deny. At SIGHUP it is read at once."""

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class KnownCredential:
    """A credential, and the rights that it brings along, if any.

    `bound_to`: what its sessions are bound to. Another password moves it, and a better hash of the same one does not.
    """

    stored: StoredCredential
    bound_to: str = field(repr=False)
    own: Rule | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class AccessState:
    """What is known about access at one moment. `has_rules`: whether there is a file of rules.

    `tokens`: by what their secrets are known by. `named`: by kind and name. Both have also those that have ended.
    `unreadable`: kind and name of those that cannot be read, and do not count.
    """

    rules: AccessRules = field(default_factory=AccessRules)
    has_rules: bool = False
    tokens: Mapping[str, KnownCredential] = field(default_factory=dict)
    named: Mapping[tuple[CredentialKind, str], KnownCredential] = field(default_factory=dict)
    unreadable: Sequence[str] = ()

    @property
    def decides(self) -> bool:
        """Whether rules decide. If not, nobody has said who may do what.

        A server with a credential is not open any more, even after its last credential has ended.
        """
        return self.has_rules or bool(self.named) or bool(self.unreadable)


class AccessSource:
    """Reads the file of rules, and the credentials, again when they have changed. `state` is replaced as a whole."""

    def __init__(
        self,
        file: Path | None = None,
        store: AccessStore | None = None,
        *,
        extra: Sequence[Rule] = (),
        certificates: ClientCertificates | None = None,
        check: Callable[[AccessRules], None] = lambda _: None,
        clock: Callable[[], datetime] | None = None,
        seconds: Callable[[], float] = time.monotonic,
    ) -> None:
        """Read all of it for the first time. `check`: raises StartRefused for rules that this server must not have.

        `extra`: rules that settings make, where there is no file. `certificates`: are kept up to date, too. `clock`: of
        a server, which has the store record the rules that it takes; None for whoever only looks. `seconds`: a clock
        that only goes forward.
        Raises: StartRefused, FileNewer, NotStored.
        """
        self._file = file
        self._store = store
        self._check = check
        self._certificates = certificates
        self._clock = clock
        self._seconds = seconds
        self._seen = None if file is None else mark_of(file)
        self._coming: tuple[object, float] | None = None
        """What a changed file of rules looks like, and since when, until it is read."""
        rules = AccessRules(rules=tuple(extra)) if file is None else self._load(file)
        self.state = AccessState(rules=rules, has_rules=file is not None)
        self._changes = -1
        self._bound_to: dict[str, str] = {}
        """What sessions of a password are bound to, by the better hash of it that this process has stored."""
        self._rules_failure = ""
        self._store_failure = ""
        self._record_failure = ""
        self._recorded: str | None = None
        """The hash of the rules that the record names; None if that is not known."""
        self._changed: list[Callable[[], None]] = []
        self._refresh_credentials()
        self._record_rules()
        self._looking = Lock()
        self._wake = Event()
        self._closed = False
        self._thread: Thread | None = None
        self._present: asyncio.Task[None] | None = None
        self._next: asyncio.Task[None] | None = None
        self._warn(self.state.rules)

    def workloads(self) -> Workloads:
        """Return which CI jobs and service accounts are subjects now."""
        return self.state.rules.workloads

    def on_change(self, call: Callable[[], None]) -> None:
        """Have a function called, from the thread that looks, after each change of `state`."""
        self._changed.append(call)

    def start(self) -> None:
        """Begin to look every LOOK_SECONDS, in a thread."""
        self._thread = Thread(target=self._look_on, name="access", daemon=True)
        self._thread.start()

    def look_now(self) -> None:
        """Have the thread look at once, without waiting for it, as at SIGHUP."""
        self._wake.set()

    async def look_before_refusing(self) -> None:
        """Look before somebody is refused whom the operator may have added a moment ago.

        All who ask during one look share the next one, so strangers cause one small read at a time.
        """
        if self._next is None or self._next.done():
            self._next = asyncio.create_task(self._look_after(self._present))
        await asyncio.shield(self._next)  # others may wait for it too, if this client leaves

    async def _look_after(self, present: asyncio.Task[None] | None) -> None:
        if present is not None and not present.done():
            await asyncio.wait([present])
        self._present, self._next = self._next, None  # what is asked from here on needs another look
        await asyncio.to_thread(self._look, asked=False)

    def close(self) -> None:
        """End the thread."""
        self._closed = True
        self._wake.set()
        if self._thread is not None:
            self._thread.join()

    def refresh(self, *, unchanged_too: bool = False) -> None:
        """Look whether anything has changed, and take it. `unchanged_too`: read what looks as before, too."""
        with self._looking:
            self._refresh_rules(unchanged_too=unchanged_too)
            self._record_rules()
            if self._certificates is not None:
                self._certificates.refresh(unchanged_too=unchanged_too)
            try:
                self._refresh_credentials()
                self._store_failure = ""
            except TrustError as error:
                told = "credentials are not read again"
                if self._store_failure != told:
                    _log.error("credentials stay as they were", extra={"reason": str(error)})
                self._store_failure = told

    def upgrade_password(self, user: str, before: str, after: str) -> None:
        """Store a better hash of the same password, from any thread. If that fails, the next login tries it again."""
        if self._store is not None:
            self._bound_to[after] = before  # first of all, since the thread that looks may see the new hash at once
            try:
                self._store.change_secret(CredentialKind.USER, user, before=before, after=after)
            except NotStored as error:
                del self._bound_to[after]
                _log.error("the hash of a password stays as it was", extra={"reason": str(error)})

    def failures(self) -> list[str]:
        """Return which parts are out of date or missing in the record; an empty list if none is.

        Anybody may read this at /readyz, so the reasons, which name files and quote them, stand in the log alone.
        """
        odd = "credentials that cannot be read do not count" if self.state.unreadable else ""
        own = [each for each in (self._rules_failure, self._store_failure, self._record_failure, odd) if each]
        return own if self._certificates is None else [*own, *self._certificates.failures()]

    def _refresh_credentials(self) -> None:
        if self._store is None:
            return
        changes = self._store.changes()
        if changes == self._changes:
            return
        known = [self._known(stored) for stored in self._store.credentials()]
        unreadable = self._store.unreadable()
        self._changes = changes
        if unreadable:
            # All others go on to be known: one row must not keep the ends of all others from being seen.
            _log.error("credentials that cannot be read do not count", extra={"credentials": " ".join(unreadable)})
        tokens = {each.stored.secret: each for each in known if each.stored.kind is CredentialKind.TOKEN}
        named = {(each.stored.kind, each.stored.name): each for each in known}
        self._take(replace(self.state, tokens=tokens, named=named, unreadable=unreadable))

    def _known(self, stored: StoredCredential) -> KnownCredential:
        """Return a credential with its rights. What a newer version of this program has given is no right here."""
        own = None
        if stored.rights:
            try:
                own = own_rule(stored.rights, stored.names, stored.roles, what=f"what the {stored.kind} brings along")
            except StartRefused as error:
                _log.error(
                    "a credential has rights that are not known",
                    extra={"credential": stored.name, "reason": str(error)},
                )
        bound_to = self._bound_to.get(stored.secret, stored.secret)
        return KnownCredential(stored=stored, bound_to=bound_to, own=own)

    def _refresh_rules(self, *, unchanged_too: bool) -> None:
        if self._file is None:
            return
        mark = mark_of(self._file)
        if not unchanged_too and not self._is_settled(mark):
            return
        self._coming = None
        try:
            rules = self._load(self._file)
        except TrustError as error:
            self._seen = mark
            self._rules_failure = "the rules on access are older than their file"
            _log.error("the rules stay as they were: the new file does not count", extra={"reason": str(error)})
            return
        if mark_of(self._file) != mark:
            self._coming = (mark, self._seconds())  # it was changed while it was read: it may be half of each
            return
        # Not after any other failure: the file is then read again at the next look.
        self._seen = mark
        self._rules_failure = ""
        if rules != self.state.rules:
            self._take(replace(self.state, rules=rules))
            self._warn(rules)
            _log.warning("new rules on who may do what", extra={"file": str(self._file), "rules": len(rules.rules)})

    def _is_settled(self, mark: object) -> bool:
        """Return whether a file of rules that looks like this has changed, and nobody is writing it any more."""
        if mark == self._seen:
            self._coming = None
            return False
        if self._coming is None or self._coming[0] != mark:
            self._coming = (mark, self._seconds())
        return self._seconds() - self._coming[1] >= SETTLED_SECONDS

    def _record_rules(self) -> None:
        """Record which rules count, if that is not recorded. They count meanwhile: no right waits for a database."""
        rules = self.state.rules
        if self._store is None or self._clock is None or rules.sha256 == self._recorded:
            return
        counting = CountingRules(sha256=rules.sha256, count=len(rules.rules) if self.state.has_rules else 0)
        try:
            self._store.note_rules(counting, self._clock(), by=SERVER)
        except NotStored as error:
            if not self._record_failure:
                _log.error("it is not recorded yet which rules count", extra={"reason": str(error)})
            self._record_failure = "it is not recorded which rules count"
            return
        self._recorded, self._record_failure = rules.sha256, ""

    def _load(self, file: Path) -> AccessRules:
        rules = load_rules(file)
        self._check(rules)
        return rules

    def _take(self, state: AccessState) -> None:
        self.state = state
        for call in self._changed:
            call()

    def _look_on(self) -> None:
        while not self._closed:
            asked = self._wake.wait(LOOK_SECONDS if self._coming is None else SETTLED_SECONDS)
            if asked:  # else it may be set since: that is for the next look
                self._wake.clear()
            if not self._closed:
                self._look(asked=asked)

    def _look(self, *, asked: bool) -> None:
        """Look once. Whatever happens, the thread goes on: without it nobody's rights would ever end."""
        try:
            self.refresh(unchanged_too=asked)
        except Exception:  # noqa: BLE001 - see above
            self._store_failure = "access is not looked at"
            _log.exception("looking for changes of access failed")

    @staticmethod
    def _warn(rules: AccessRules) -> None:
        for warning in rules.warnings:
            _log.warning("odd in the rules", extra={"reason": warning})
