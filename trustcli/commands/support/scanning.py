"""Judge containers that run, for `trust scan`: signed, unsigned, revoked, denied, or not to be judged."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Final, Literal, TypeAlias

from trustcli.client.collection import Collection
from trustcli.commands.support.judging import verify
from trustcli.errors import ContentUnknown
from trustcli.hooks.deciding.decision import Decision
from trustcli.registry.reference import parse_reference
from trustcli.registry.running import Running
from trustcli.session import Session
from trustdata.digest import hex_of
from trustdata.envelope import Envelope
from trustdata.errors import DigestDenied, NoTrustData, NotSigned, NotTrusted, PolicyRefused, TrustError, shown
from trustdata.gun import GUN
from trustdata.model import Delegator
from trustdata.policy import Policy
from trustdata.roles import RELEASES, ROOT, TARGETS, RoleName, is_delegated
from trustdata.verification import checks
from trustdata.verification.target_lookup import read_target

State: TypeAlias = Literal["signed", "exempt", "unsigned", "revoked", "denied", "refused", "not trusted", "unknown"]
OLDER_VERSIONS: Final = 20
"""How many older versions of a role are looked at, to tell what was revoked from what was never signed."""
OLDER_BYTES: Final = 16 * 1024 * 1024
"""Bytes of all older files of one collection that are looked at."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Scanned:
    """One container. `digest`: of what it runs, "" if that is not known. `revoked`: the version and tag of before."""

    container: str
    image: str
    name: str
    digest: str
    state: State
    tags: tuple[str, ...] = ()
    revoked: str = ""
    failure: TrustError | None = None

    @property
    def why(self) -> str:
        """The reason of what is not signed, or the tags of what is."""
        if self.failure is not None:
            return "; ".join(filter(None, (str(self.failure), self.revoked)))
        return ", ".join(self.tags)


def scan(
    session: Session, running: Sequence[Running], *, policy: Policy | None, max_age: timedelta | None
) -> list[Scanned]:
    """Judge each container, in order. What several run is judged once. Raises: as `judging.verify`."""
    names = list(dict.fromkeys(name for each in running for name in each.contents))
    collections: list[Collection] = []
    decided = verify(session, names, policy=policy, max_age=max_age, watch=collections.append)
    decisions = dict(zip(names, decided, strict=True))
    history = _History(collections) if max_age is None else None
    return [_scanned(each, decisions, history) for each in running]


def _scanned(each: Running, decisions: Mapping[str, Decision], history: _History | None) -> Scanned:
    if not each.contents:
        failure = ContentUnknown(container=each.container, image=each.image, reason=each.unknown)
        return Scanned(container=each.container, image=each.image, name="", digest="", state="unknown", failure=failure)
    # Several digests are of one image: one that is denied stops it, and else one that is signed vouches for it.
    worst_first = sorted(each.contents, key=lambda name: _rank(decisions[name]))
    name = worst_first[0]
    decision = decisions[name]
    reference = parse_reference(name)
    evidence = decision.evidence
    revoked = ""
    state = _state(decision)
    if state == "unsigned" and history is not None:
        revoked = history.of(decision.trust_name, str(reference.digest))
        state = "revoked" if revoked else state
    return Scanned(
        container=each.container,
        image=each.image,
        name=str(reference.gun),
        digest=str(reference.digest),
        state=state,
        tags=evidence.tags if evidence is not None else (),
        revoked=revoked,
        failure=None if decision.allowed else decision.refusal,
    )


def _rank(decision: Decision) -> int:
    if isinstance(decision.refusal, DigestDenied) and not decision.allowed:
        return 0
    return 1 if decision.allowed else 2


def _state(decision: Decision) -> State:
    if decision.allowed:
        return "signed" if decision.verified else "exempt"
    match decision.refusal:
        case DigestDenied():
            return "denied"
        case NotSigned() | NoTrustData():
            return "unsigned"
        case PolicyRefused():
            return "refused"
        case NotTrusted():
            return "not trusted"
    return "unknown"


@dataclass(slots=True)
class _History:
    """Older versions of the roles that release tags, as the trust server shows them.

    They say only what holders of keys that count now have signed at some time. A server may leave them out: then what
    was revoked is called unsigned. Nothing is allowed by them.
    """

    collections: Sequence[Collection]
    _found: dict[GUN, Mapping[str, str]] = field(default_factory=dict)

    def of(self, gun: GUN, digest: str) -> str:
        """Return in words where a digest (`sha256:HEX`) was signed once, "" if that is not known."""
        if gun not in self._found:
            self._found[gun] = dict(self._signed_once(gun))
        return self._found[gun].get(hex_of(digest), "")

    def _signed_once(self, gun: GUN) -> Iterator[tuple[str, str]]:
        """Yield digests (hex) with where they were signed, the oldest first."""
        collection = next((each for each in reversed(self.collections) if each.gun == gun), None)
        updater = collection.last_updater if collection is not None else None
        if collection is None or updater is None or not updater.complete:
            return
        found: list[tuple[str, str]] = []
        for role in (TARGETS, RELEASES):
            with suppress(TrustError):  # what was read before it says nothing wrong
                updater.load_published([role] if is_delegated(role) else [])
                for each in _older(collection, updater.roles(), role):
                    found.append(each)  # noqa: PERF402 - what came before a failure stays
        yield from reversed(found)


def _older(collection: Collection, roles: Mapping[RoleName, Envelope], role: RoleName) -> Iterator[tuple[str, str]]:
    """Yield what older versions of a role list, the newest first. Raises: TrustError, where it ends."""
    if role not in roles:
        return
    delegator: Delegator = roles[ROOT].root if role == TARGETS else roles[TARGETS].targets
    newest, left = roles[role].version, OLDER_BYTES
    for version in range(newest - 1, max(newest - 1 - OLDER_VERSIONS, 0), -1):
        filename, limit = collection.wire.filename(role, version=version), collection.wire.size_limit(role)
        raw = collection.server.fetch(collection.gun, filename, limit=min(left, limit)) if left > 0 else None
        if raw is None:
            return
        left -= len(raw)
        file = collection.wire.parse(role, raw)
        checks.check_signatures(delegator, "its delegator", file)
        for tag, entry in file.targets.targets.items():
            with suppress(TrustError):
                target = read_target(role, tag, entry)
                for digest in (target.digest, *target.children):
                    yield digest, f"it was signed as {shown(tag)} in {role} {file.version}"
