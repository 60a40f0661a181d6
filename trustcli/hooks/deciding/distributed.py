"""Tighten the policy of this machine by the one that is distributed: an artifact whose digest was verified before.

The last good copy counts while nobody can be asked, and while a newer one cannot be fetched or read, until the trust
data expires by which it was verified; then everything is refused. What verification refuses is never covered by it: an
owner who revokes the tag wants that.
"""

from __future__ import annotations

import copy
import hashlib
import logging
import threading
import time
from collections.abc import Callable
from datetime import datetime
from typing import TYPE_CHECKING, Final

from keys.record import record, replace
from keys.rfc3339 import to_rfc3339
from trustcli.client.policy_file import parse_distributed
from trustcli.errors import PolicyNotObtained, VerdictTooLate, VerifierBusy
from trustcli.hooks.deciding.once import OnceReader, is_away
from trustcli.registry.reference import ImageReference
from trustcli.state.kept_policy import KeptPolicy, KeptPolicyFile, UnkeptPolicyFile
from trustdata.counting import counted
from trustdata.errors import NotTrusted, TrustError
from trustdata.judgement import Question

if TYPE_CHECKING:
    from datetime import timedelta
    from pathlib import Path

    from trustcli.hooks.deciding.ports import TrustDataReader
    from trustcli.session import Session
    from trustdata.policy import Distributed, Policy

_RETRY_SECONDS: Final = 10.0
"""How long after a fetch that failed the registry is not asked again."""
_log = logging.getLogger(__name__)


@record
class Obtained:
    """A distributed policy that counts now. `kept.fresh_until`: until when, whoever is away.

    `hindrance`: why it is an older copy, or one that nobody could confirm now; None if it is the newest. `since`: since
    when nobody could confirm that it is the newest; None if that is so now.
    """

    policy: Policy
    kept: KeptPolicy
    hindrance: TrustError | None = None
    since: datetime | None = None

    def __str__(self) -> str:
        until = to_rfc3339(self.kept.fresh_until)
        return f"{self.kept.digest}, {counted(len(self.policy.rules), 'rule')}, in force until {until} at most"


class DistributedPolicy:
    """The distributed part of one policy file. Safe for threads if its reader is.

    `reader`: says which digest is signed. `fetch`: returns the file in the artifact with a digest; raises TrustError.
    It is called by one thread at a time. `file`: where the last good copy is kept. `at`: the clock (UTC). `warn`: is
    told each time that something begins to be wrong. `ticks`: seconds that no clock setting changes.
    """

    def __init__(
        self,
        of: Distributed,
        reader: TrustDataReader,
        fetch: Callable[[str], bytes],
        file: KeptPolicyFile,
        *,
        at: Callable[[], datetime],
        warn: Callable[[str], None],
        ticks: Callable[[], float] = time.monotonic,
    ) -> None:
        self._of = of
        self._reader = reader
        self._fetch = fetch
        self._file = file
        self._at = at
        self._warn = warn
        self._ticks = ticks
        self._fetching = threading.Lock()
        self._good: Obtained | None = None
        self._failed: tuple[str, float, TrustError] | None = None
        self._told = ""

    def current(self) -> Obtained:
        """Return the policy that counts now. Raises: PolicyNotObtained."""
        of = self._of
        question = Question(gun=of.name, tag=of.tag, digest=None, policy=of.terms.requirements)
        reading = self._reader.judge(of.name, of.terms, [question])
        (judgement,) = reading.judgements
        evidence, digest = judgement.evidence, judgement.digest
        if judgement.refusal is not None or evidence is None or digest is None:
            refusal = judgement.refusal or NotTrusted()
            if not _is_silence(refusal):
                raise PolicyNotObtained(name=str(of), reason=str(refusal)) from refusal
            return self._last_good(refusal)
        verified = reading.refreshed or self._at()
        good = self._known()
        if good is None or good.kept.digest != digest:
            try:
                good = self._fetched(digest, verified, evidence.fresh_until, meanwhile=good)
            except TrustError as failure:
                return self._last_good(failure)
        if good.kept.digest == digest and good.kept.fresh_until != evidence.fresh_until:
            good = self._keep(replace(good.kept, verified=verified, fresh_until=evidence.fresh_until), good.policy)
        if reading.away is not None:
            return self._unconfirmed(good, reading.away)
        self._told = ""
        return replace(good, since=verified) if reading.stale else good

    def _fetched(self, digest: str, verified: datetime, until: datetime, *, meanwhile: Obtained | None) -> Obtained:
        """Fetch and read a policy. `meanwhile`: the copy before it, for those who ask while another thread does.

        Raises: TrustError.
        """
        if meanwhile is not None and not meanwhile.kept.counts(self._at()):
            meanwhile = None
        if not self._fetching.acquire(blocking=meanwhile is None):
            return meanwhile or self._last_good(VerifierBusy(waiting=1))
        try:
            if self._good is not None and self._good.kept.digest == digest:
                return self._good  # another thread has just fetched it
            failed = self._failed
            if failed is not None and failed[0] == digest and self._ticks() - failed[1] < _RETRY_SECONDS:
                raise copy.copy(failed[2])
            try:
                raw = self._fetch(digest)
                policy = parse_distributed(raw, source=f"{self._of}@{digest}")
            except TrustError as failure:
                self._failed = digest, self._ticks(), copy.copy(failure)
                raise
            _log.info("the distributed policy %s is %s now", self._of, digest)
            kept = KeptPolicy(digest=digest, text=raw.decode(), verified=verified, fresh_until=until)
            return self._keep(kept, policy)
        finally:
            self._fetching.release()

    def _keep(self, kept: KeptPolicy, policy: Policy) -> Obtained:
        self._good = Obtained(policy=policy, kept=kept)
        try:
            self._file.keep(kept)
        except TrustError as failure:
            self._warn(f"the distributed policy {self._of} is lost when this process ends: {failure}")
        return self._good

    def _known(self) -> Obtained | None:
        """Return the last good copy, also if it is too old; None if there is none."""
        if self._good is None:
            try:
                kept = self._file.load()
                if kept is not None:
                    policy = parse_distributed(kept.text.encode(), source=f"{self._of}@{kept.digest}")
                    self._good = Obtained(policy=policy, kept=kept)
            except TrustError as damage:
                self._tell(f"the kept copy of the distributed policy {self._of} does not count: {damage}")
        return self._good

    def _last_good(self, hindrance: TrustError) -> Obtained:
        """Return the last good copy while it counts. Raises: PolicyNotObtained."""
        good = self._known()
        if good is None or not good.kept.counts(self._at()):
            older = "there is no older copy"
            if good is not None:
                older = f"the copy that was verified on {to_rfc3339(good.kept.verified)} counted until "
                older += to_rfc3339(good.kept.fresh_until)
            raise PolicyNotObtained(name=str(self._of), reason=f"{hindrance}; {older}") from hindrance
        return self._unconfirmed(good, hindrance)

    def _unconfirmed(self, good: Obtained, hindrance: TrustError) -> Obtained:
        """Return a copy that counts although nobody says now that it is the newest, and warn."""
        until = to_rfc3339(good.kept.fresh_until)
        copy = f"the older copy {good.kept.digest} counts, until {until} at most"
        self._tell(f"of the distributed policy {self._of}, {copy}, since the newest cannot be had: {hindrance}")
        return replace(good, hindrance=hindrance, since=good.kept.verified)

    def _tell(self, text: str) -> None:
        if text != self._told:
            self._told = text
            self._warn(text)


def _is_silence(refusal: TrustError) -> bool:
    """Return whether a refusal says only that nobody could be asked in time."""
    return is_away(refusal) or isinstance(refusal, VerdictTooLate | VerifierBusy)


def distributed_policy(
    of: Distributed,
    session: Session,
    reader: TrustDataReader,
    *,
    at: Callable[[], datetime],
    ticks: Callable[[], float] = time.monotonic,
    offline: bool = False,
    only_look: bool = False,
) -> DistributedPolicy:
    """Return the distributed part of a policy, from the registry of its name.

    `offline`: ask no registry. `only_look`: keep nothing, and warn of nothing that the result has anyway.
    """

    def fetch(digest: str) -> bytes:
        from trustcli.registry.policy_artifact import fetch_policy  # most policies are local: start-up time

        named = f"{of}@{digest}"
        if offline:
            raise PolicyNotObtained(name=named, reason="it must be fetched, which --offline forbids")
        return fetch_policy(session.registry(), ImageReference(gun=of.name, tag=None, digest=digest, given=named))

    place = _place(session.settings.memory_folder, of)
    file = KeptPolicyFile(place, read_only=only_look) if session.keeps else UnkeptPolicyFile(place)
    warn = _log.info if only_look else session.output.warn
    return DistributedPolicy(of, reader, fetch, file, at=at, warn=warn, ticks=ticks)


def policy_in_use(
    policy: Policy, session: Session, *, memory_required: bool = False, max_age: timedelta | None = None
) -> Policy:
    """Return the policy by which a process that ends decides, tightened by what is distributed.

    `max_age`: ask nobody. Raises: PolicyNotObtained; SettingsUnusable (its aliases contradict those of `pins.toml`).
    """
    session.names.check(policy)
    if policy.distributed is None:
        return policy
    reader = OnceReader(session, memory_required=memory_required, max_age=max_age)
    found = distributed_policy(
        policy.distributed, session, reader, at=lambda: session.at, offline=max_age is not None
    ).current()
    return policy.tightened(found.policy)


def _place(folder: Path, of: Distributed) -> Path:
    """Return the file of the last good copy: of other pins or signers it is another one, which they have verified."""
    terms = of.terms
    parts = [
        str(of),
        *sorted(pin.identity for pin in terms.pins),
        terms.server,
        *map(repr, terms.requirements),
        str(terms.max_life),
    ]
    name = hashlib.sha256("\n".join(parts).encode()).hexdigest()
    return folder / "policies" / f"{name}.json"
