"""The `Decider` of a hook that stays: its own memory, its files read again when they change, metrics, an end in order.

What cannot be used refuses: a policy that is broken now does not leave the one before it in force, since nobody would
notice that a rule which was just written does not count.
"""

from __future__ import annotations

import contextlib
import copy
import fcntl
import logging
import os
import threading
from collections.abc import Callable, Iterator, Mapping
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Final

from keys.durable_file import make_private_folder
from keys.record import record, replace
from keys.rfc3339 import to_rfc3339
from trustcli.errors import SettingsUnusable
from trustcli.guarded_files import check_guarded
from trustcli.hooks.deciding.allow_list import allowed_by_list, allows_all
from trustcli.hooks.deciding.decider import PolicyDecider, collection_read
from trustcli.hooks.deciding.decision import Decision, SignedTags
from trustcli.hooks.deciding.deny_lists import current_denials
from trustcli.hooks.deciding.distributed import DistributedPolicy, Obtained, distributed_policy
from trustcli.hooks.resident.at_once import AtOnceReader, MustWait
from trustcli.hooks.resident.clocks import Clocks, seconds_since_boot
from trustcli.hooks.resident.configuration import Configuration, SessionCollections, Source, load_configuration
from trustcli.hooks.resident.limits import ResidentLimits
from trustcli.hooks.resident.metrics import ResidentMetrics
from trustcli.hooks.resident.open_files import allow_open_files
from trustcli.hooks.resident.reader import ResidentReader
from trustcli.session import wall_clock
from trustdata.errors import TrustError
from trustdata.gun import GUN

if TYPE_CHECKING:
    from trustcli.config.verifier_settings import AllowedImage
    from trustcli.hooks.deciding.ports import Decider, TrustDataReader
    from trustcli.registry.reference import ImageReference
    from trustdata.policy import Policy, Rule
    from trustdata.verification.rollback_memory import Memory

_RETRY_SECONDS: Final = 1.0
"""How often settings that cannot be used are read again."""
_LOCK: Final = "in-use.lock"
_log = logging.getLogger(__name__)


@record
class _Generation:
    """What was made of one configuration: who decides, by the hash of what decides (the first is the hook's own).

    `further`: the distributed part of the policy, if it has one. `at_once`: decides as the hook's own, from memory
    alone; None where that is never enough.
    """

    configuration: Configuration
    deciders: Mapping[str, Decider]
    further: DistributedPolicy | None
    at_once: PolicyDecider | None

    @property
    def own(self) -> Decider:
        return self.deciders[self.configuration.contexts[0]]

    def reads(self, reference: ImageReference) -> tuple[GUN, Rule | None]:
        """Return the collection that is read for a name, and by which rule of the file. Raises: PolicyRefused."""
        policy = self.configuration.policy
        return collection_read(None if isinstance(policy, TrustError) else policy, reference, at=wall_clock())


class ResidentDecider:
    """Decides about images from memory. Safe for threads; no method raises a TrustError.

    `load`: reads the configuration. Raises: SettingsUnusable, FileNewer, FileExposed.
    """

    def __init__(
        self,
        load: Callable[[], Configuration],
        *,
        clocks: Clocks,
        limits: ResidentLimits,
        metrics: ResidentMetrics,
    ) -> None:
        self._load = load
        self._clocks = clocks
        self.metrics = metrics
        self._lock = threading.Lock()
        self._failure: TrustError | None = None
        self._read_at = float("-inf")
        configuration = load()
        self._reader = ResidentReader(
            SessionCollections(configuration.session), clocks=clocks, observer=metrics, limits=limits
        )
        self._generation = self._made(configuration)
        metrics.holdings = self._reader.holdings
        metrics.distributed = self._distributed

    def start(self) -> None:
        """Begin to refresh in the background."""
        self._reader.start()

    def stop(self, *, wait: float = 0.0) -> None:
        """Ask no server any more. `wait`: seconds in which what was begun may end."""
        self._reader.stop(wait=wait)
        self._generation.configuration.session.close()

    # --- Decider

    def decide(self, reference: ImageReference, digest: str | None = None) -> Decision:
        """Decide about a name, as `Decider.decide` promises."""
        decision = self._decide(reference, digest)
        self.metrics.decided(decision)
        return decision

    def decide_at_once(self, reference: ImageReference, digest: str | None = None) -> Decision | None:
        """Decide as `decide` does; None if that would ask a server, or wait for another thread that is asking."""
        try:
            at_once = self._current().at_once
            decision = None if at_once is None else at_once.decide(reference, digest)
        except (MustWait, TrustError):  # what is wrong with the files, `decide` says
            return None
        if decision is not None:
            self.metrics.decided(decision)
        return decision

    def signed_tags(self, gun: GUN) -> SignedTags:
        """Return the tags that may run, as `Decider.signed_tags` promises."""
        try:
            return self._current().own.signed_tags(gun)
        except TrustError as refusal:
            return SignedTags(trust_name=gun, tags={}, refusal=refusal)

    def named_digests(self, gun: GUN) -> frozenset[str]:
        """Return the digests that rules are about, as `Decider.named_digests` promises."""
        try:
            return self._current().own.named_digests(gun)
        except TrustError:
            return frozenset()

    def server_of(self, reference: ImageReference) -> str:
        """Return the URL of the trust server that a decision about a name may need; its registry if none is known."""
        try:
            generation = self._current()
            gun, rule = generation.reads(reference)
            return SessionCollections(generation.configuration.session).server(gun, rule) or reference.host
        except TrustError:
            return reference.host

    def decides_as(self, context: str) -> bool:
        """Return whether something here decides as a process with this hash of what decides."""
        try:
            return context in self._current().deciders
        except TrustError:
            return False

    def decide_as(self, context: str, reference: ImageReference, digest: str | None = None) -> Decision | None:
        """Decide as a process with this hash of what decides would; None if nothing here decides like that."""
        try:
            decider = self._current().deciders.get(context)
        except TrustError:
            return None
        if decider is None:
            return None
        decision = decider.decide(reference, digest)
        self.metrics.decided(decision)
        return decision

    def remembered(self, gun: GUN) -> dict[GUN, Memory]:
        """Return the rollback memory of a collection, of those that must agree with it, and of the policy's own.

        What cannot be read is not there.
        """
        found: dict[GUN, Memory] = {}
        with contextlib.suppress(TrustError):
            configuration = self._current().configuration
            policy, source = configuration.policy, SessionCollections(configuration.session)
            names = [gun]
            if policy is not None and not isinstance(policy, TrustError):
                rules = policy.about(gun)
                names += [GUN(second.match) for rule in rules for second in rule.for_name(gun).seconds]
                names += [policy.distributed.name] if policy.distributed is not None else []
                names += [of.name for of in policy.denying]
            for name in dict.fromkeys(names):
                with contextlib.suppress(TrustError):
                    if (kept := source.remembered(name)) is not None:
                        found[kept[0]] = kept[1]
        return found

    def why_not_ready(self) -> str:
        """Return why everything is refused now, in a sentence; "" if it is not."""
        try:
            generation = self._current()
            if generation.further is not None:
                generation.further.current()
        except TrustError as failure:
            return str(failure)
        policy = generation.configuration.policy
        if isinstance(policy, TrustError):
            return str(policy)
        try:
            current_denials(policy.denying if policy is not None else (), self._reader)
        except TrustError as failure:
            return str(failure)
        return ""

    def _decide(self, reference: ImageReference, digest: str | None) -> Decision:
        try:
            return self._current().own.decide(reference, digest)
        except TrustError as refusal:
            return Decision.refused(reference.given, reference.gun, refusal)

    def _distributed(self) -> Obtained | TrustError | None:
        """Return the distributed part of the policy, or why it cannot be had; None if all of it is local."""
        try:
            further = self._current().further
        except TrustError:
            return None  # that the configuration cannot be used is another metric
        try:
            return None if further is None else further.current()
        except TrustError as failure:
            return failure

    # --- the configuration

    def _current(self) -> _Generation:
        """Return what counts now. Raises: TrustError (the files cannot be used)."""
        with self._lock:
            if self._failure is None and self._generation.configuration.is_current:
                return self._generation
            now = self._clocks.ticks()
            if self._failure is not None and now - self._read_at < _RETRY_SECONDS:
                raise copy.copy(self._failure)
            self._read_at = now
            try:
                self._take(self._load())
            except TrustError as failure:
                self._failure = copy.copy(failure)
                self.metrics.configured(failure)
                _log.warning("everything is refused: %s", str(failure))  # a record of the log can stay, too
                raise copy.copy(failure) from failure
            return self._generation

    def _take(self, new: Configuration) -> None:
        before = self._generation.configuration
        if self._failure is not None or not new.same_but_policy(before):
            self._reader.use(SessionCollections(new.session))
            before.session.close()
        else:
            new.session.close()  # collections that are open go on as they are
        self._failure = None
        self._generation = self._made(new)

    def _made(self, configuration: Configuration) -> _Generation:
        policy, (own, by_policy, by_pins) = configuration.policy, configuration.contexts
        allow = configuration.session.settings.verifier.allow
        wall = self._clocks.wall
        further: DistributedPolicy | None = None
        at_once: PolicyDecider | None = None
        deciders: dict[str, Decider] = {by_pins: PolicyDecider(None, (), self._reader, at=wall)}
        if isinstance(policy, TrustError):
            deciders[own] = _Refusing(policy, allow)
            self.metrics.configured(policy)
            _log.warning("everything but the allow list is refused: %s", policy)
        elif policy is not None and policy.distributed is not None:
            further = distributed_policy(
                policy.distributed, configuration.session, self._reader, at=wall, ticks=self._clocks.ticks
            )
            deciders[by_policy] = TightenedDecider(policy, (), further, self._reader, at=wall)
            deciders[own] = TightenedDecider(policy, allow, further, self._reader, at=wall)
            self.metrics.configured(None)
        else:
            deciders[by_policy] = PolicyDecider(policy, (), self._reader, at=wall)
            deciders[own] = PolicyDecider(policy, allow, self._reader, at=wall)
            at_once = PolicyDecider(policy, allow, AtOnceReader(self._reader), at=wall)
            self.metrics.configured(None)
        return _Generation(configuration=configuration, deciders=deciders, further=further, at_once=at_once)


class TightenedDecider:
    """A `Decider` by a policy of which a part is distributed: each decision is by the part that counts then.

    The allow list counts also while that part cannot be had.
    """

    def __init__(
        self,
        policy: Policy,
        allow: tuple[AllowedImage, ...],
        further: DistributedPolicy,
        reader: TrustDataReader,
        *,
        at: Callable[[], datetime],
    ) -> None:
        self._policy = policy
        self._allow = allow
        self._further = further
        self._reader = reader
        self._at = at

    def decide(self, reference: ImageReference, digest: str | None = None) -> Decision:
        """Decide about a name, as `Decider.decide` promises."""
        if allowed_by_list(self._allow, reference, digest) is not None:
            return PolicyDecider(self._policy, self._allow, self._reader, at=self._at).decide(reference, digest)
        try:
            found = self._further.current()
        except TrustError as refusal:
            return Decision.refused(reference.given, reference.gun, refusal)
        decision = self._decider(found).decide(reference, digest)
        return decision if found.since is None else _by_older(decision, found.since)

    def signed_tags(self, gun: GUN) -> SignedTags:
        """Return the tags that may run, as `Decider.signed_tags` promises."""
        try:
            found = self._further.current()
        except TrustError as refusal:
            return _Refusing(refusal, self._allow).signed_tags(gun)
        return self._decider(found).signed_tags(gun)

    def named_digests(self, gun: GUN) -> frozenset[str]:
        """Return the digests that rules are about, as `Decider.named_digests` promises."""
        try:
            return self._decider(self._further.current()).named_digests(gun)
        except TrustError:
            return frozenset()

    def _decider(self, found: Obtained) -> PolicyDecider:
        return PolicyDecider(self._policy.tightened(found.policy), self._allow, self._reader, at=self._at)


def _by_older(decision: Decision, since: datetime) -> Decision:
    """Return a decision by a distributed policy of which nobody knows whether it is the newest: it says so."""
    warning = f"the distributed policy is from {to_rfc3339(since)}, and could not be confirmed since"
    refreshed = since if decision.refreshed is None else min(decision.refreshed, since)
    return replace(decision, stale=True, refreshed=refreshed, warnings=(*decision.warnings, warning))


class _Refusing:
    """A `Decider` while the policy cannot be used: what stands under `[verifier] allow` runs, and nothing else."""

    def __init__(self, refusal: TrustError, allow: tuple[AllowedImage, ...]) -> None:
        self._refusal = refusal
        self._allow = allow

    def decide(self, reference: ImageReference, digest: str | None = None) -> Decision:
        """Refuse, but for the allow list."""
        listed = allowed_by_list(self._allow, reference, digest)
        return listed or Decision.refused(reference.given, reference.gun, copy.copy(self._refusal))

    def signed_tags(self, gun: GUN) -> SignedTags:
        """Return none, but for the allow list."""
        if allows_all(self._allow, gun):
            return SignedTags(trust_name=gun, tags={}, any_content=True)
        return SignedTags(trust_name=gun, tags={}, refusal=copy.copy(self._refusal))

    def named_digests(self, gun: GUN) -> frozenset[str]:
        """Return none: nothing is decided by rules."""
        del gun
        return frozenset()


@contextlib.contextmanager
def resident_decider(source: Source, *, limits: ResidentLimits) -> Iterator[ResidentDecider]:
    """Make the decider of a hook that stays, and let it refresh in the background while the block runs.

    Raises: SettingsUnusable (also if another hook uses the state folder), FileNewer, FileExposed.
    """
    allow_open_files()
    with _alone_in(source.state):
        decider = ResidentDecider(
            lambda: load_configuration(source),
            clocks=Clocks(wall=wall_clock, ticks=seconds_since_boot),
            limits=limits,
            metrics=ResidentMetrics(),
        )
        decider.start()
        try:
            yield decider
        finally:
            decider.stop(wait=1.0)


@contextlib.contextmanager
def _alone_in(folder: Path) -> Iterator[None]:
    """Keep other hooks out of the folder: rollback memory in memory would miss what they write.

    Raises: SettingsUnusable, FileExposed.
    """
    lock = folder / _LOCK
    try:
        make_private_folder(folder)
        check_guarded(lock)
        descriptor = os.open(lock, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise SettingsUnusable(place=str(folder), reason=error.strerror or type(error).__name__) from error
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as held:
            reason = "another hook uses this folder; give each one its own --state"
            raise SettingsUnusable(place=str(folder), reason=reason) from held
        yield
    finally:
        os.close(descriptor)
