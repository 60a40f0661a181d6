"""Explain a verdict: how far the verification got, why each step passed or failed, and what would change the verdict.

The verdict itself comes from `judgement.judge`, or from the error that was raised before it; nothing here can change it
(docs/adr/0018).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

from keys.keyid import short_keyid
from trustdata.denied import deny_list
from trustdata.digest import hex_of
from trustdata.envelope import Envelope
from trustdata.errors import (
    CollectionDeleted,
    DigestDenied,
    LivesTooLong,
    MetadataExpired,
    NoTrustData,
    NotSigned,
    PolicyRefused,
    RootNotNamed,
    TagMismatch,
    TooLarge,
    TrustDataWithheld,
    TrustError,
    shown,
)
from trustdata.explanation import (
    BEFORE,
    DENIED,
    PINS,
    RELEASE,
    REQUEST,
    SIGNERS,
    STORED,
    DenyListReport,
    Explanation,
    LockReport,
    MemoryReport,
    PinReport,
    RegistryAnswer,
    RegistryReport,
    Release,
    RoleStep,
    RootStep,
    ServerUsed,
    SignerReport,
    SignerState,
    StepState,
    VerdictChange,
)
from trustdata.judgement import Evidence, Judgement, Question, needed_roles
from trustdata.model import Delegator
from trustdata.policy import Requirement
from trustdata.roles import ONLINE, RELEASES, ROOT, SNAPSHOT, TARGETS, TIMESTAMP, RoleName, is_delegated, signer_name
from trustdata.verification import checks
from trustdata.verification.delegations import as_delegator, delegations_of, may_list
from trustdata.verification.lock_entry import SourcedLock
from trustdata.verification.minimum_versions import MinimumVersion, lowest_accepted
from trustdata.verification.rollback_memory import Memory, OnlineKeys
from trustdata.verification.target_lookup import Target, find_released, listed_by_signers, read_target
from trustdata.verification.trust_pinning import Lapse, SourcedPin, chain_holds
from trustdata.verification.trusted_set import TrustedSet

_PIN_CODES: Final = frozenset(
    {
        "unpinned",
        "root-not-pinned",
        "root-not-named",
        "root-not-certified",
        "pins-disagree",
        "lock-disagrees",
        "format-changed",
        "lock-damaged",
    }
)
_STORED_CODES: Final = frozenset({"memory-damaged", "memory-unreadable", "memory-unwritable", "offline-too-old"})
_MAX_TEXT: Final = 400  # characters
_FIRST_MOMENT: Final = datetime.min.replace(tzinfo=UTC)


@dataclass(frozen=True, slots=True, kw_only=True)
class VerificationState:
    """The state of the verification when the verdict was given.

    `trusted`: the verified files, None if there was no first root. `pins`, `memory`, `lock`: those that were used.
    `unreadable`: published roles of signers that could not be loaded, with the errors. `lapse`: of the pins, if any.
    """

    trusted: TrustedSet | None
    pins: Sequence[SourcedPin] = ()
    memory: Memory | None = None
    lock: SourcedLock | None = None
    unreadable: Mapping[RoleName, TrustError] | None = None
    lapse: Lapse | None = None


def explain(
    judgement: Judgement,
    *,
    state: VerificationState | None,
    at: datetime,
    offline: bool = False,
    server: ServerUsed | None = None,
    registry: RegistryAnswer | None = None,
    real_name: str = "",
    unanswered: bool = False,
) -> Explanation:
    """Return the explanation of a verdict. Raises no TrustError.

    `state`: None if the verification did not begin. `real_name`: of the collection, if the question names an alias.
    `unanswered`: the refusal is that of a request to the trust server, which brought nothing that could be verified.
    """
    explainer = _Explainer(judgement, state, at, unanswered=unanswered)
    release = explainer.release()
    comparison = RegistryReport.of(registry, release, longest=_MAX_TEXT)
    return Explanation(
        name=str(judgement.question.gun),
        real_name=str(real_name or judgement.question.gun),
        trusted=judgement.allowed,
        digest=judgement.digest,
        refusal=judgement.refusal,
        broke_at=explainer.broke_at,
        at=at,
        offline=offline,
        server=server,
        pins=explainer.pins(),
        memory=explainer.memory(),
        lock=explainer.lock(),
        demands=explainer.demands(),
        roots=explainer.roots(),
        roles=explainer.steps(),
        release=release,
        signers=explainer.signers(),
        registry=comparison,
        changes=explainer.changes(comparison),
        denied=explainer.denied(),
    )


class _Explainer:
    def __init__(
        self, judgement: Judgement, state: VerificationState | None, at: datetime, *, unanswered: bool
    ) -> None:
        self._judgement = judgement
        self._question = judgement.question
        self._begun = state is not None
        self._state = state or VerificationState(trusted=None)
        self._unanswered = unanswered
        self._at = at
        self._roles = _verified(self._state.trusted)
        self._minimums = self._lowest_accepted()
        self._delegated = _delegated(self._roles)
        self._needed = _needed(self._question, self._roles)
        self._refused_role = str(getattr(judgement.refusal, "role", ""))
        self.broke_at = self._refusing_step()

    def _lowest_accepted(self) -> Mapping[RoleName, MinimumVersion]:
        if self._state.trusted is None:
            return {}
        return lowest_accepted(memory=self._state.memory, lock=self._state.lock, chain=self._state.trusted.roots)

    # --- pins, memory, lock file, requirements

    def pins(self) -> tuple[PinReport, ...]:
        chain = self._state.trusted.roots if self._state.trusted else []

        def held(pin: SourcedPin) -> int | None:
            if not chain or not chain_holds(pin.pin, chain, self._at):
                return None
            by_key = chain[-1 if pin.pin.kind == "ca" else 0].version
            return next((root.version for root in chain if root.sha256 == pin.pin.digest), by_key)

        return tuple(
            PinReport(pin=str(pin.pin), source=shown(pin.source, _MAX_TEXT), held_by=held(pin))
            for pin in self._state.pins
        )

    def memory(self) -> MemoryReport | None:
        memory = self._state.memory
        if memory is None:
            return None
        void: tuple[str, ...] = ()
        if self._state.trusted is not None:
            kept = memory.minimum_versions(OnlineKeys.of_newest(root.root for root in self._state.trusted.roots))
            void = tuple(shown(role) for role in memory.roles if role not in kept)
        return MemoryReport(
            root_of_trust=f"sha256:{memory.root_of_trust}",
            refreshed=memory.refreshed,
            versions={shown(role): seen.version for role, seen in memory.roles.items()},
            void=void,
        )

    def lock(self) -> LockReport | None:
        lock = self._state.lock
        if lock is None:
            return None
        return LockReport(
            source=shown(lock.source, _MAX_TEXT),
            root_version=lock.entry.root_version,
            root=str(lock.entry.root),
            versions={shown(role): version for role, version in lock.entry.minimum.items()},
            pins=not self._state.pins,
        )

    def demands(self) -> tuple[Requirement, ...]:
        named = [
            Requirement(source="--signer", signers=(shown(n),), threshold=1) for n in self._question.required_signers
        ]
        return (*named, *(requirement.escaped(_MAX_TEXT) for requirement in self._question.policy))

    # --- roots and roles

    def roots(self) -> tuple[RootStep, ...]:
        trusted = self._state.trusted
        chain = trusted.roots if trusted else []
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
                named=trusted is not None and trusted.names_collection(root),
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
        envelope, minimum = self._roles.get(role), self._minimums.get(role)
        delegator_content = self._delegator(delegator)
        keys, threshold = self._keys(role, delegator)
        state: StepState = "verified" if envelope is not None else "not reached"
        if envelope is None and is_delegated(role) and not self._published(role):
            state = "not published"
        if self._refused_role == role:
            state = "refused"
        elif role in (self._state.unreadable or {}):
            state = "does not verify"  # and others were enough, or the verdict has another reason
        expires = envelope.expires if envelope is not None else None
        return RoleStep(
            role=shown(role),
            delegator=shown(delegator),
            state=state,
            threshold=threshold,
            keys=keys,
            version=envelope.version if envelope is not None else None,
            sha256=envelope.sha256 if envelope is not None else None,
            signed=_signed(delegator_content, delegator, envelope)
            if envelope is not None and delegator_content is not None
            else (),
            expires=expires,
            issued_about=self._issued(role, expires),
            at_least=minimum.version if minimum else None,
            at_least_source=shown(minimum.source, _MAX_TEXT) if minimum else "",
        )

    def _published(self, role: RoleName) -> bool:
        return SNAPSHOT in self._roles and f"{role}.json" in self._roles[SNAPSHOT].snapshot.meta

    def _issued(self, role: RoleName, expires: datetime | None) -> datetime | None:
        if expires is None or self._state.trusted is None:
            return None
        lifetime = self._state.trusted.lifetimes.of(role)
        if expires < _FIRST_MOMENT + lifetime:  # no datetime can hold an earlier time of signing
            return None
        issued = expires - lifetime
        return issued if issued <= self._at else None

    def _delegator(self, name: RoleName) -> Delegator | None:
        return as_delegator(self._roles[name]) if name in self._roles else None

    def _keys(self, role: RoleName, delegator: RoleName) -> tuple[tuple[str, ...], int | None]:
        delegator_content = self._delegator(delegator)
        if delegator_content is None or not checks.is_delegator_of(delegator_content, role):
            return (), None
        delegated = delegator_content.get_delegated_role(role)
        return tuple(delegated.keyids), delegated.threshold

    def denied(self) -> tuple[DenyListReport, ...]:
        named = [deny_list(self._question.gun, self._roles[TARGETS].targets)] if TARGETS in self._roles else []
        lists = (each for each in (*named, *self._question.denied) if each)
        return tuple(DenyListReport(denied_by=shown(each.by), digests=len(each)) for each in lists)

    # --- release and signers

    def _target(self) -> Target | None:
        """Return the target that the verdict is about, or None: the released one, or what required signers list."""
        evidence = self._judgement.evidence
        tag = evidence.tags[0] if evidence else self._question.tag
        if tag is None or TARGETS not in self._roles:
            return None
        with suppress(TrustError):
            return find_released(tag, self._roles) if self._question.needs_release else self._signed(tag)
        return None

    def _signed(self, tag: str) -> Target | None:
        """Return what required signers list: as the verdict says, else the last digest. Raises: ContentMismatch."""
        signers = [role for requirement in self._question.policy for role in requirement.roles()]
        listed = listed_by_signers(dict.fromkeys(signers), self._roles, tag)
        digest = self._judgement.digest
        allowed = [target for target in listed if digest is not None and target.has_manifest(hex_of(digest))]
        return next(iter([*allowed, *reversed(listed)]), None)

    def release(self) -> Release | None:
        target = self._target()
        if target is None:
            return None
        asked = hex_of(self._question.digest) if self._question.digest else None
        return Release(
            tag=shown(target.tag),
            role=shown(target.role),
            digest=f"sha256:{target.digest}",
            size=target.length,
            children=tuple(f"sha256:{child}" for child in target.children),
            platform=f"sha256:{asked}" if asked in target.children else None,
        )

    def signers(self) -> tuple[SignerReport, ...]:
        if TARGETS not in self._roles:
            return ()
        named = {name for demand in self.demands() for name in demand.signers}
        signers = [role for role in self._delegated if role != RELEASES]
        return tuple(self._signer(role, required=shown(signer_name(role)) in named) for role in signers)

    def _signer(self, role: RoleName, *, required: bool) -> SignerReport:
        keys, _ = self._keys(role, TARGETS)
        name = shown(signer_name(role))

        def report(stand: SignerState, digest: str | None = None, reason: str = "") -> SignerReport:
            return SignerReport(name=name, keys=keys, required=required, stand=stand, digest=digest, reason=reason)

        unreadable = (self._state.unreadable or {}).get(role)
        if unreadable is not None:
            return report("unreadable", reason=str(unreadable))
        if role not in self._roles:
            return report("has published nothing")
        target = self._target()
        tag = target.tag if target is not None else self._question.tag
        listed = self._roles[role].targets.targets.get(tag) if tag is not None else None
        if listed is None or tag is None:
            return report("does not list it")
        if not may_list(self._roles[TARGETS].targets, role, tag):
            return report("unreadable", reason=f"{shown(tag)} lies outside the paths delegated to {name}")
        try:
            entry = read_target(role, tag, listed)
        except TrustError as error:
            return report("unreadable", reason=str(error))
        agrees = target is not None and entry.digest == target.digest
        return report("agrees" if agrees else "lists another digest", digest=f"sha256:{entry.digest}")

    # --- what would change the verdict

    def changes(self, registry: RegistryReport | None) -> tuple[VerdictChange, ...]:
        evidence, trusted = self._judgement.evidence, self._state.trusted
        if evidence is not None and trusted is not None:
            found = self._changes_while_trusted(evidence, trusted.root)
        else:
            found = self._changes_to_be_trusted()
        if registry is not None and registry.diverges and self._judgement.allowed:
            found.append(
                VerdictChange(
                    what=f"the tag is signed as {registry.digest}, which {registry.registry} gives to whoever pulls it"
                )
            )
        return tuple(found)

    def _changes_while_trusted(self, evidence: Evidence, root: Envelope) -> list[VerdictChange]:
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
        if (lapse := self._state.lapse) is not None:
            found.append(VerdictChange(what="a certificate ends by which a pinned CA vouches", at=lapse.after))
        names = dict.fromkeys(name for demand in self.demands() for name in demand.signers)
        found += [VerdictChange(what=f"{name}, who is asked for, signs something else or is removed") for name in names]
        return found

    def _changes_to_be_trusted(self) -> list[VerdictChange]:
        refusal = self._judgement.refusal
        tag = shown(self._question.tag or "")
        changes: list[str] = []
        match refusal:
            case MetadataExpired():
                role = RoleName(refusal.role)
                by = "the server, by itself" if role in ONLINE else self._holders(role)
                changes = [f"{shown(role)} version {refusal.version + 1}, signed by {by}"]
            case LivesTooLong():
                changes = [
                    f"{shown(refusal.role)} version {refusal.version + 1}, signed by a server whose clock is right",
                    f"the clock here is set right, if it is not {self._at:%Y-%m-%d %H:%M} UTC now",
                    "max_life in policy or trust.toml allows it, for a repository of others",
                ]
            case RootNotNamed():
                changes = [f"a new root names the collection: {self._holders(ROOT)} can"]
            case NotSigned() if self._question.tag and TARGETS in self._roles:
                releasing = RELEASES if RELEASES in self._delegated else TARGETS
                changes = [f"{tag} is signed: {self._holders(releasing)} can"]
            case PolicyRefused():
                missing = [s.name for s in self.signers() if s.required and s.stand != "agrees"]
                changes = [f"{name} signs {tag or 'it'} with the released digest" for name in missing]
            case DigestDenied():
                changes = [f"{shown(refusal.denied_by)} denies {shown(refusal.denied)} no longer"]
            case TagMismatch():
                changes = [f"{shown(refusal.asked)} is signed as {tag}, or the reference names {refusal.signed}"]
        return [VerdictChange(what=change) for change in changes]

    def _holders(self, role: RoleName) -> str:
        keys, threshold = self._keys(role, TARGETS if role in self._delegated else ROOT)
        if not keys or threshold is None:
            return "the holders of its keys"
        return f"{threshold} of the keys {', '.join(short_keyid(key) for key in keys)}"

    # --- the step that refused

    def _refusing_step(self) -> str | None:
        """Return the step that refused: the one that the error names, else the first step that was not reached."""
        refusal = self._judgement.refusal
        if refusal is None:
            return None
        if not self._question.gun or (isinstance(refusal, PolicyRefused) and TARGETS not in self._roles):
            return BEFORE
        if self._unanswered or isinstance(refusal, NoTrustData | TrustDataWithheld | CollectionDeleted):
            return REQUEST
        return _step_of(refusal) or shown(self._refused_role) or self._first_missing(refusal)

    def _first_missing(self, refusal: TrustError) -> str:
        steps = (ROOT, TIMESTAMP, SNAPSHOT, TARGETS, *self._needed)
        missing = next((role for role in steps if role not in self._roles), RELEASE)
        begun = self._begun or isinstance(refusal, TooLarge)  # a root that is too large may end the look for the format
        return shown(missing) if begun else BEFORE


def _step_of(refusal: TrustError) -> str:
    """Return the step that an error alone names by its kind, or ""."""
    if refusal.code in _PIN_CODES:
        return PINS
    if refusal.code in _STORED_CODES:
        return STORED
    if isinstance(refusal, DigestDenied | PolicyRefused):
        return DENIED if isinstance(refusal, DigestDenied) else SIGNERS
    return RELEASE if isinstance(refusal, NotSigned | TagMismatch) else ""


def _verified(trusted: TrustedSet | None) -> dict[RoleName, Envelope]:
    """Return the verified files by role."""
    if trusted is None:
        return {}
    found = {ROOT: trusted.root, **trusted.delegated}
    if trusted.timestamp is not None:
        found[TIMESTAMP] = trusted.timestamp
    if trusted.snapshot is not None:
        found[SNAPSHOT] = trusted.snapshot
    return found


def _signed(delegator: Delegator, name: str, envelope: Envelope) -> tuple[str, ...]:
    """Return the ids of the keys whose signatures on a verified file are valid."""
    signed: tuple[str, ...] = ()
    with suppress(TrustError):
        signed = checks.check_signatures(delegator, name, envelope)
    return signed


def _delegated(roles: Mapping[RoleName, Envelope]) -> tuple[RoleName, ...]:
    """Return the delegations of targets; none if targets was not verified or its delegations were refused."""
    found: tuple[RoleName, ...] = ()
    with suppress(TrustError):
        found = delegations_of(roles[TARGETS].targets) if TARGETS in roles else ()
    return found


def _needed(question: Question, roles: Mapping[RoleName, Envelope]) -> tuple[RoleName, ...]:
    found: tuple[RoleName, ...] = ()
    with suppress(TrustError):
        found = needed_roles(question, roles[TARGETS]) if TARGETS in roles else ()
    return found
