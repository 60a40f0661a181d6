"""From a verdict that has fallen to the chain of its reasons.

The verdict is not found here. It is that of `judgement.judge` (or whatever refused before it); what is told is how far
verification got, on what each step rests, and what would change the answer.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

from trustdata.envelope import Envelope
from trustdata.errors import MetadataExpired, NotSigned, PolicyRefused, TagMismatch, TrustError, shown
from trustdata.expiry import TUF_LIFETIMES
from trustdata.explanation import (
    BEFORE,
    PINS,
    RELEASE,
    SIGNERS,
    Explanation,
    LockStanding,
    MemoryStanding,
    PinStanding,
    RegistryAnswer,
    RegistryStanding,
    Release,
    RoleStep,
    RootStep,
    ServerUsed,
    SignerStanding,
    Stand,
    StepState,
    VerdictChange,
)
from trustdata.judgement import Evidence, Judgement, Question, needed_roles
from trustdata.model import Delegator
from trustdata.policy import Requirement
from trustdata.roles import ONLINE, RELEASES, ROOT, SNAPSHOT, TARGETS, TIMESTAMP, RoleName, is_delegated, signer_name
from trustdata.verification import checks
from trustdata.verification.lock_entry import SourcedLock
from trustdata.verification.minimum_versions import MinimumVersion, lowest_accepted
from trustdata.verification.rollback_memory import Memory, OnlineKeys
from trustdata.verification.target_lookup import Target, find_released, read_target
from trustdata.verification.trust_pinning import SourcedPin, chain_holds
from trustdata.verification.trusted_set import TrustedSet

_PIN_CODES: Final = frozenset(
    {"unpinned", "root-not-pinned", "pins-disagree", "lock-disagrees", "format-changed", "lock-damaged"}
)
_LONG: Final = 400
_FIRST_MOMENT: Final = datetime.min.replace(tzinfo=UTC)


@dataclass(frozen=True, slots=True, kw_only=True)
class Walk:
    """How far one refresh got: `trusted` as it was left, None if there was no first root; pins, memory and lock as they
    counted. `unreadable`: the roles of signers that are published and cannot be had, and why.
    """

    trusted: TrustedSet | None
    pins: Sequence[SourcedPin] = ()
    memory: Memory | None = None
    lock: SourcedLock | None = None
    unreadable: Mapping[RoleName, TrustError] | None = None


def explain(
    judgement: Judgement,
    *,
    walk: Walk | None,
    at: datetime,
    offline: bool = False,
    server: ServerUsed | None = None,
    registry: RegistryAnswer | None = None,
) -> Explanation:
    """The reasons of a verdict that has fallen. `walk`: None where nothing was begun. Raises no TrustError."""
    told = _Telling(judgement, walk or Walk(trusted=None), at)
    release = told.release()
    standing = _registry(registry, release)
    return Explanation(
        name=str(judgement.question.gun),
        trusted=judgement.allowed,
        digest=judgement.digest,
        refusal=judgement.refusal,
        broke_at=told.broke_at,
        at=at,
        offline=offline,
        server=server,
        pins=told.pins(),
        memory=told.memory(),
        lock=told.lock(),
        demands=told.demands(),
        roots=told.roots(),
        roles=told.steps(),
        release=release,
        signers=told.signers(),
        registry=standing,
        changes=told.changes(standing),
    )


class _Telling:
    def __init__(self, judgement: Judgement, walk: Walk, at: datetime) -> None:
        self._judgement = judgement
        self._question = judgement.question
        self._walk = walk
        self._at = at
        self._roles = _verified(walk.trusted)
        self._floors = self._lowest()
        self._delegated = _delegated(self._roles)
        self._needed = _needed(self._question, self._roles)
        self._refused_role = str(getattr(judgement.refusal, "role", ""))
        self.broke_at = self._broken()

    def _lowest(self) -> Mapping[RoleName, MinimumVersion]:
        if self._walk.trusted is None:
            return {}
        return lowest_accepted(memory=self._walk.memory, lock=self._walk.lock, chain=self._walk.trusted.roots)

    # --- where trust begins

    def pins(self) -> tuple[PinStanding, ...]:
        chain = self._walk.trusted.roots if self._walk.trusted else []

        def held(pin: SourcedPin) -> int | None:
            if not chain or not chain_holds(pin.pin, chain):
                return None
            return next((root.version for root in chain if root.sha256 == pin.pin.digest), chain[0].version)

        return tuple(
            PinStanding(pin=str(pin.pin), source=shown(pin.source, _LONG), held_by=held(pin)) for pin in self._walk.pins
        )

    def memory(self) -> MemoryStanding | None:
        memory = self._walk.memory
        if memory is None:
            return None
        void: tuple[str, ...] = ()
        if self._walk.trusted is not None:
            kept = memory.minimum_versions(OnlineKeys.of(self._walk.trusted.root.root))
            void = tuple(shown(role) for role in memory.roles if role not in kept)
        return MemoryStanding(
            root_of_trust=f"sha256:{memory.root_of_trust}",
            refreshed=memory.refreshed,
            versions={shown(role): seen.version for role, seen in memory.roles.items()},
            void=void,
        )

    def lock(self) -> LockStanding | None:
        lock = self._walk.lock
        if lock is None:
            return None
        return LockStanding(
            source=shown(lock.source, _LONG),
            root_version=lock.entry.root_version,
            root=str(lock.entry.root),
            versions={shown(role): version for role, version in lock.entry.minimum.items()},
            pins=not self._walk.pins,
        )

    def demands(self) -> tuple[Requirement, ...]:
        named = [
            Requirement(source="--signer", signers=(shown(n),), threshold=1) for n in self._question.required_signers
        ]
        policy = self._question.policy
        if policy is not None:
            named.append(policy.escaped(_LONG))
        return tuple(named)

    # --- what was verified

    def roots(self) -> tuple[RootStep, ...]:
        chain = self._walk.trusted.roots if self._walk.trusted else []
        return tuple(
            RootStep(
                version=root.version,
                sha256=root.sha256,
                threshold=root.root.roles[ROOT].threshold,
                keys=tuple(root.root.roles[ROOT].keyids),
                signed=_signed(root.root, ROOT, root),
                vouched=_signed(chain[index - 1].root, ROOT, root) if index else (),
                expires=root.expires,
                current=root is chain[-1],
            )
            for index, root in enumerate(chain)
        )

    def steps(self) -> tuple[RoleStep, ...]:
        wanted: list[tuple[RoleName, RoleName]] = [(TIMESTAMP, ROOT), (SNAPSHOT, ROOT), (TARGETS, ROOT)]
        wanted += [(role, TARGETS) for role in self._needed]
        refused = self._refused_role
        if refused and is_delegated(refused) and refused not in self._needed:
            wanted.append((RoleName(refused), TARGETS))
        return tuple(self._step(role, delegator) for role, delegator in wanted)

    def _step(self, role: RoleName, delegator: RoleName) -> RoleStep:
        envelope = self._roles.get(role)
        floor = self._floors.get(role)
        by = self._delegator(delegator)
        keys, threshold = self._keys(role, delegator)
        state: StepState = "verified" if envelope is not None else "not reached"
        if envelope is None and is_delegated(role) and not self._published(role):
            state = "not published"
        if self._refused_role == role:
            state = "refused"
        expires = envelope.expires if envelope is not None else None
        return RoleStep(
            role=shown(role),
            delegator=shown(delegator),
            state=state,
            threshold=threshold,
            keys=keys,
            version=envelope.version if envelope is not None else None,
            sha256=envelope.sha256 if envelope is not None else None,
            signed=_signed(by, delegator, envelope) if envelope is not None and by is not None else (),
            expires=expires,
            issued_about=self._issued(role, expires),
            at_least=floor.version if floor else None,
            at_least_source=shown(floor.source, _LONG) if floor else "",
        )

    def _published(self, role: RoleName) -> bool:
        return SNAPSHOT in self._roles and f"{role}.json" in self._roles[SNAPSHOT].snapshot.meta

    def _issued(self, role: RoleName, expires: datetime | None) -> datetime | None:
        if expires is None:
            return None
        lifetime = TUF_LIFETIMES.of(role)
        if expires < _FIRST_MOMENT + lifetime:  # signed before the calendar begins: a lie, or a mistake
            return None
        issued = expires - lifetime
        return issued if issued <= self._at else None

    def _delegator(self, name: RoleName) -> Delegator | None:
        envelope = self._roles.get(name)
        if envelope is None:
            return None
        return envelope.root if name == ROOT else envelope.targets

    def _keys(self, role: RoleName, delegator: RoleName) -> tuple[tuple[str, ...], int | None]:
        by = self._delegator(delegator)
        if by is None or not checks.is_delegator_of(by, role):
            return (), None
        given = by.get_delegated_role(role)
        return tuple(given.keyids), given.threshold

    # --- what it says

    def _target(self) -> Target | None:
        """The released target that the verdict is about."""
        evidence = self._judgement.evidence
        tag = evidence.tags[0] if evidence else self._question.tag
        if tag is None or TARGETS not in self._roles:
            return None
        with suppress(TrustError):
            return find_released(tag, self._roles)
        return None

    def release(self) -> Release | None:
        target = self._target()
        if target is None:
            return None
        asked = self._question.digest.removeprefix("sha256:") if self._question.digest else None
        return Release(
            tag=shown(target.tag),
            role=shown(target.role),
            digest=f"sha256:{target.digest}",
            size=target.length,
            children=tuple(f"sha256:{child}" for child in target.children),
            platform=f"sha256:{asked}" if asked in target.children else None,
        )

    def signers(self) -> tuple[SignerStanding, ...]:
        if TARGETS not in self._roles:
            return ()
        named = {name for demand in self.demands() for name in demand.signers}
        signers = [role for role in self._delegated if role != RELEASES]
        return tuple(self._signer(role, required=shown(signer_name(role)) in named) for role in signers)

    def _signer(self, role: RoleName, *, required: bool) -> SignerStanding:
        keys, _ = self._keys(role, TARGETS)
        name = shown(signer_name(role))

        def stands(stand: Stand, digest: str | None = None, reason: str = "") -> SignerStanding:
            return SignerStanding(name=name, keys=keys, required=required, stand=stand, digest=digest, reason=reason)

        unreadable = (self._walk.unreadable or {}).get(role)
        if unreadable is not None:
            return stands("unreadable", reason=str(unreadable))
        if role not in self._roles:
            return stands("has published nothing")
        target = self._target()
        tag = target.tag if target is not None else self._question.tag
        listed = self._roles[role].targets.targets.get(tag) if tag is not None else None
        if listed is None or tag is None:
            return stands("does not list it")
        if not checks.may_list(self._roles[TARGETS].targets, role, tag):
            return stands("unreadable", reason=f"{shown(tag)} lies outside the paths delegated to {name}")
        try:
            his = read_target(role, tag, listed)
        except TrustError as error:
            return stands("unreadable", reason=str(error))
        agrees = target is not None and his.digest == target.digest
        return stands("agrees" if agrees else "lists another digest", digest=f"sha256:{his.digest}")

    # --- what would change it

    def changes(self, registry: RegistryStanding | None) -> tuple[VerdictChange, ...]:
        evidence, trusted = self._judgement.evidence, self._walk.trusted
        if evidence is not None and trusted is not None:
            found = self._while_trusted(evidence, trusted.root)
        else:
            found = self._to_be_trusted()
        if registry is not None and registry.diverges and self._judgement.allowed:
            found.append(
                VerdictChange(
                    what=f"the tag is signed as {registry.digest}, which {registry.registry} gives to whoever pulls it"
                )
            )
        return tuple(found)

    def _while_trusted(self, evidence: Evidence, root: Envelope) -> list[VerdictChange]:
        role, first = min(
            ((RoleName(role), self._roles[RoleName(role)]) for role in evidence.versions),
            key=lambda pair: pair[1].expires,
        )
        renewed = "the server has issued a newer one" if role in ONLINE else f"{self._holders(role)} have signed again"
        expiry = f"{shown(role)} version {first.version} expires: refused from then on, unless {renewed}"
        releasing = RoleName(evidence.released_by)
        tag = f"{shown(evidence.tags[0])} is released again or revoked: {self._holders(releasing)} can"
        newer = f"root version {root.version + 1} replaces or removes keys: {self._holders(ROOT)} can"
        found = [VerdictChange(what=expiry, at=first.expires), VerdictChange(what=tag), VerdictChange(what=newer)]
        names = dict.fromkeys(name for demand in self.demands() for name in demand.signers)
        found += [VerdictChange(what=f"{name}, who is asked for, signs something else or is removed") for name in names]
        return found

    def _to_be_trusted(self) -> list[VerdictChange]:
        refusal = self._judgement.refusal
        tag = shown(self._question.tag or "")
        if isinstance(refusal, MetadataExpired):
            role = RoleName(refusal.role)
            by = "the server, by itself" if role in ONLINE else self._holders(role)
            return [VerdictChange(what=f"{shown(role)} version {refusal.version + 1}, signed by {by}")]
        if isinstance(refusal, NotSigned) and self._question.tag and TARGETS in self._roles:
            releasing = RELEASES if RELEASES in self._delegated else TARGETS
            return [VerdictChange(what=f"{tag} is signed: {self._holders(releasing)} can")]
        if isinstance(refusal, PolicyRefused):
            missing = [s.name for s in self.signers() if s.required and s.stand != "agrees"]
            return [VerdictChange(what=f"{name} signs {tag or 'it'} with the released digest") for name in missing]
        if isinstance(refusal, TagMismatch):
            return [
                VerdictChange(
                    what=f"{shown(refusal.asked)} is signed as {tag}, or the reference names {refusal.signed}"
                )
            ]
        return []

    def _holders(self, role: RoleName) -> str:
        keys, threshold = self._keys(role, TARGETS if role in self._delegated else ROOT)
        if not keys or threshold is None:
            return "the holders of its keys"
        return f"{threshold} of the keys {', '.join(key[:12] for key in keys)}"

    # --- where it broke

    def _broken(self) -> str | None:
        """The step that refused: what the error says of itself, else the first step that was not reached."""
        refusal = self._judgement.refusal
        if refusal is None:
            return None
        if not self._question.gun or (isinstance(refusal, PolicyRefused) and TARGETS not in self._roles):
            return BEFORE
        if refusal.code in _PIN_CODES:
            return PINS
        if isinstance(refusal, NotSigned | TagMismatch | PolicyRefused):
            return SIGNERS if isinstance(refusal, PolicyRefused) else RELEASE
        if self._refused_role:
            return shown(self._refused_role)
        steps = (ROOT, TIMESTAMP, SNAPSHOT, TARGETS, *self._needed)
        missing = next((role for role in steps if role not in self._roles), RELEASE)
        return BEFORE if missing == ROOT else shown(missing)


def _verified(trusted: TrustedSet | None) -> dict[RoleName, Envelope]:
    """What was verified, as far as verification got."""
    if trusted is None:
        return {}
    found = {ROOT: trusted.root, **trusted.delegated}
    if trusted.timestamp is not None:
        found[TIMESTAMP] = trusted.timestamp
    if trusted.snapshot is not None:
        found[SNAPSHOT] = trusted.snapshot
    return found


def _signed(delegator: Delegator, name: str, envelope: Envelope) -> tuple[str, ...]:
    """The keys whose signatures hold; it was verified, so there are some."""
    signed: tuple[str, ...] = ()
    with suppress(TrustError):
        signed = checks.check_signatures(delegator, name, envelope)
    return signed


def _delegated(roles: Mapping[RoleName, Envelope]) -> tuple[RoleName, ...]:
    """What targets delegates to; nothing, where it is not there or its delegations were what was refused."""
    found: tuple[RoleName, ...] = ()
    with suppress(TrustError):
        found = checks.delegations_of(roles[TARGETS].targets) if TARGETS in roles else ()
    return found


def _needed(question: Question, roles: Mapping[RoleName, Envelope]) -> tuple[RoleName, ...]:
    found: tuple[RoleName, ...] = ()
    with suppress(TrustError):
        found = needed_roles(question, roles[TARGETS]) if TARGETS in roles else ()
    return found


def _registry(answer: RegistryAnswer | None, release: Release | None) -> RegistryStanding | None:
    if answer is None:
        return None
    diverges = None
    if answer.digest is not None and release is not None:
        diverges = answer.digest != release.digest and answer.digest not in release.children
    return RegistryStanding(
        registry=shown(answer.registry), digest=answer.digest, reason=shown(answer.reason, _LONG), diverges=diverges
    )
