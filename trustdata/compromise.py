"""What a stolen key can do in one collection, and what it may have done there already.

    powers     the roles that name it, and whether it meets their threshold alone
    exposures  what its thief can make each client believe
    claims     the tags that it has signed, or can have released, with those who vouch for them besides
    altered    what stands beside a digest, and what was denied, where the thief may have changed it
    changes    what differs from what this machine has verified last

Metadata carries no time of signing, so nothing here says when the thief began: whatever the key has signed is claimed.
A tag that was released once is signed again by whoever signs the releases next, so only the files of signers vouch for
a tag, and `targets` where it lists the tags itself; the signature on `targets/releases` says nothing of single tags.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import cached_property
from typing import Final, Literal, TypeAlias

from keys.algorithms import accepted_fingerprints
from trustdata.denied import DenyList, deny_list
from trustdata.editing.altered_entries import AlteredEntry, size_and_platforms, usable, without_platforms
from trustdata.editing.difference import Difference, difference
from trustdata.editing.owner_roles import OwnerRoles
from trustdata.editing.repository_editor import Contents
from trustdata.envelope import Envelope
from trustdata.errors import ThresholdNotMet, TrustError, shown
from trustdata.model import NotaryTargets, TargetFile, Targets
from trustdata.roles import ONLINE, RELEASES, ROOT, SNAPSHOT, TARGETS, TIMESTAMP, RoleName, signer_name
from trustdata.sought_key import SoughtKey
from trustdata.verification import checks
from trustdata.verification.delegations import as_delegator, delegations_of, every_delegation, keys_of, may_list
from trustdata.verification.target_lookup import releasing_roles

REPOSITORY: Final = "repository"
"""Who vouches for what `targets` lists itself."""
_TOP: Final = (ROOT, TARGETS, SNAPSHOT, TIMESTAMP)

Threat: TypeAlias = Literal["owns-collection", "any-tag", "as-signer", "old-states", "withholds", "with-others"]
"""What a thief can do: replace every key; release any image; sign as a signer; show old states, or make all forget new
ones, as fresh; keep a state fresh that it likes; nothing without the holders of other keys.
"""
Since: TypeAlias = Literal["as-verified-here", "new", "moved", "not-known-here"]
"""How a tag differs from what this machine has verified last."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Power:
    """A role that names the key. `delegator`: the role that names it there. `keys`: how many public keys may sign.

    `signed`: whether the signature of the key is on the newest file, whose version is `version` (None: no file).
    """

    role: RoleName
    delegator: RoleName
    threshold: int
    keys: int
    signed: bool
    version: int | None

    @property
    def alone(self) -> bool:
        """Whether the key meets the threshold alone."""
        return self.threshold <= 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Exposure:
    """What the thief can make a client believe from now on."""

    client: str
    threat: Threat
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    """A tag as a digest (hex) that the key has signed, or can have released.

    `signed_in`: the roles that list it so with the key's signature. `released`: whether clients find it so. `others`:
    those who vouch for it without this key: names of signers, or `repository`. `clients`: who accepts it today.
    `since`: compared with what was verified here last; `before`: the digest at that time, if it was another.
    """

    tag: str
    digest: str
    signed_in: tuple[RoleName, ...]
    released: bool
    others: tuple[str, ...]
    clients: tuple[str, ...]
    since: Since
    before: str = ""

    @property
    def alone(self) -> bool:
        """Whether nobody else vouches for it."""
        return not self.others


@dataclass(frozen=True, slots=True, kw_only=True)
class Compromise:
    """What a key means in one collection. Without `powers` nothing there names it.

    `unproven`: the files with the key's signature that name keys of other roles, and that this machine has not verified
    before: the thief may have put keys there. `changes`: None if nothing was verified here before. `altered`: entries
    of releasing roles that nobody without the key says so. `undenied`: what was denied when it was verified here, and
    is not any more, with the reasons.
    """

    powers: tuple[Power, ...]
    exposures: tuple[Exposure, ...]
    claims: tuple[Claim, ...]
    unproven: tuple[Envelope, ...]
    changes: Difference | None
    altered: tuple[AlteredEntry, ...] = ()
    undenied: Mapping[str, str] = field(default_factory=dict)

    @property
    def holders(self) -> tuple[str, ...]:
        """Whose key it is: `root`, `repository`, `server`, names of signers."""
        names = {ROOT: "root", TARGETS: REPOSITORY, SNAPSHOT: "server", TIMESTAMP: "server"}
        found = dict.fromkeys(names.get(p.role, shown(signer_name(p.role))) for p in self.powers if p.role != RELEASES)
        return tuple(found)


def examine(roles: OwnerRoles, key: SoughtKey, *, known: Mapping[RoleName, Envelope], at: datetime) -> Compromise:
    """Return what the key means here. `roles`: as the owner reads them. `known`: the files verified here last."""
    return _Examiner(roles, key, known, at).run()


class _Examiner:
    def __init__(self, roles: OwnerRoles, key: SoughtKey, known: Mapping[RoleName, Envelope], at: datetime) -> None:
        self._roles = roles
        self._files = roles.stored()
        self._sound = roles.sound()
        self._key = key
        self._known = known
        self._at = at
        self._notary = isinstance(self._files[TARGETS].content, NotaryTargets)

    def run(self) -> Compromise:
        powers = tuple(self._powers())
        if not powers:
            return Compromise(powers=(), exposures=(), claims=(), unproven=(), changes=None)
        changes = difference(self._known, _changed(self._known, self._files)) if self._known else None
        return Compromise(
            powers=powers,
            exposures=tuple(exposures(powers, self._clients())),
            claims=tuple(self._claims(powers)),
            unproven=tuple(self._unproven(powers)),
            changes=changes,
            altered=tuple(self._altered(powers)),
            undenied=self._undenied(powers),
        )

    # --- what it may sign

    def _powers(self) -> Iterator[Power]:
        for name, role in every_delegation(self._sound):
            delegator = as_delegator(self._files[name])
            delegated = delegator.get_delegated_role(role)
            keys = {keyid: key for keyid, key in keys_of(delegator).items() if keyid in delegated.keyids}
            accused = self._key.among(keys)
            if accused:
                yield Power(
                    role=role,
                    delegator=name,
                    threshold=delegated.threshold,
                    keys=len(accepted_fingerprints(keys.values())),
                    signed=not accused.isdisjoint(self._signed(name, role)),
                    version=self._files[role].version if role in self._files else None,
                )

    def _signed(self, delegator: RoleName, role: RoleName) -> tuple[str, ...]:
        """Return the ids of the keys whose signatures on the role's file count."""
        if role not in self._files:
            return ()
        try:
            return checks.check_signatures(as_delegator(self._files[delegator]), delegator, self._files[role])
        except ThresholdNotMet as error:
            return error.signed

    # --- what was signed

    def _clients(self) -> tuple[str, ...]:
        return ("trust", "docker", "notary") if self._notary else ("trust", "python-tuf")

    def _claims(self, powers: Sequence[Power]) -> Iterator[Claim]:
        """Yield what the key has signed, and what it can have released, since nobody else vouches for it."""
        signed = [power.role for power in powers if power.signed and self._lists(power.role)]
        released = self._released()
        releasing = releasing_roles(self._files[TARGETS].targets)
        can_release = any(power.alone and power.role in releasing for power in powers)
        entries: dict[tuple[str, str], list[RoleName]] = {}
        for role in signed:
            for tag, entry in self._files[role].targets.targets.items():
                target = usable(role, tag, entry)
                if target is not None and (role == TARGETS or may_list(self._files[TARGETS].targets, role, tag)):
                    entries.setdefault((tag, target.digest), []).append(role)
        if can_release:
            for tag, digest in released.items():
                entries.setdefault((tag, digest), [])
        for (tag, digest), roles in sorted(entries.items()):
            others = self._vouchers(tag, digest)
            if roles or not others:
                since, before = self._since(tag, digest)
                yield Claim(
                    tag=tag,
                    digest=digest,
                    signed_in=tuple(roles),
                    released=released.get(tag) == digest,
                    others=others,
                    clients=self._accepting(tag, digest, released),
                    since=since,
                    before=before,
                )

    def _lists(self, role: RoleName) -> bool:
        """Return whether the role is one whose tags somebody may count: `targets`, or what it delegates to."""
        return role == TARGETS or role in delegations_of(self._files[TARGETS].targets)

    def _released(self) -> dict[str, str]:
        try:
            return {target.tag: target.digest for target in self._roles.each_released()}
        except TrustError:
            return {}  # the roles contradict each other: clients find no tag

    def _vouchers(self, tag: str, digest: str) -> tuple[str, ...]:
        """Return who lists the tag so in a file that has enough signatures without this key."""
        roles = (role for role, _ in self._vouched(tag, digest))
        return tuple(REPOSITORY if role == TARGETS else shown(signer_name(role)) for role in roles)

    def _vouched(self, tag: str, digest: str) -> list[tuple[RoleName, TargetFile]]:
        """Return the entries of the tag with this digest in files that have enough signatures without this key."""
        targets = self._files[TARGETS].targets
        found = []
        for role in self._signed_by_others:
            entry = self._files[role].targets.targets.get(tag)
            target = usable(role, tag, entry) if entry is not None else None
            if entry is None or target is None or target.digest != digest:
                continue
            if role == TARGETS or may_list(targets, role, tag):
                found.append((role, entry))
        return found

    @cached_property
    def _signed_by_others(self) -> tuple[RoleName, ...]:
        """The roles whose files have enough signatures without this key; the releases say nothing of single tags."""
        found = []
        for role in (TARGETS, *delegations_of(self._files[TARGETS].targets)):
            if role == RELEASES or role not in self._sound:
                continue
            name = ROOT if role == TARGETS else TARGETS
            delegator = as_delegator(self._files[name])
            accused = self._key.among(keys_of(delegator))
            if len(set(self._signed(name, role)) - accused) >= delegator.get_delegated_role(role).threshold:
                found.append(role)
        return tuple(found)

    def _accepting(self, tag: str, digest: str, released: Mapping[str, str]) -> tuple[str, ...]:
        """Return the clients that run this digest under this tag today, without a policy of their own.

        `notary` looks in `targets` first and then in every delegation, whether it releases or not.
        """
        top = [self._files[role] for role in _TOP if role in self._files]
        if any(file.expires <= self._at for file in top):
            return ()
        found = []
        releasing = [role for role in releasing_roles(self._files[TARGETS].targets) if role in self._sound]
        fresh = all(self._sound[role].expires > self._at for role in releasing)
        if released.get(tag) == digest and fresh:
            found += [client for client in self._clients() if client != "notary"]
        if self._notary and self._first_in_walk(tag) == digest:
            found.append("notary")
        return tuple(found)

    def _first_in_walk(self, tag: str) -> str:
        targets = self._files[TARGETS].targets
        for role in (TARGETS, *delegations_of(targets)):
            file = self._sound.get(role)
            if file is None or file.expires <= self._at or (role != TARGETS and not may_list(targets, role, tag)):
                continue
            entry = file.targets.targets.get(tag)
            if entry is not None:
                target = usable(role, tag, entry)
                return target.digest if target is not None else ""
        return ""

    def _since(self, tag: str, digest: str) -> tuple[Since, str]:
        if TARGETS not in self._known:
            return "not-known-here", ""
        for role in releasing_roles(self._known[TARGETS].targets):
            entry = self._known[role].targets.targets.get(tag) if role in self._known else None
            target = usable(role, tag, entry) if entry is not None else None
            if target is not None:
                return ("as-verified-here", "") if target.digest == digest else ("moved", target.digest)
            if role not in self._known:
                return "not-known-here", ""
        return "new", ""

    # --- what else the thief may have changed

    def _altered(self, powers: Sequence[Power]) -> Iterator[AlteredEntry]:
        """Yield the entries whose size or platforms nobody else says so: a digest that stays vouches for these, too.

        What somebody signed without this key counts; else what was verified here.
        """
        may_write = {power.role for power in powers if power.signed or power.alone}
        for role in releasing_roles(self._files[TARGETS].targets):
            if role not in may_write or role not in self._files:
                continue
            for tag, entry in self._files[role].targets.targets.items():
                stands = usable(role, tag, entry)
                if stands is None:
                    continue
                vouched = [each for _, each in self._vouched(tag, stands.digest)]
                known = self._known_entries(tag, stands.digest)
                right = [size_and_platforms(tag, each) for each in vouched or known]
                if size_and_platforms(tag, entry) in right:
                    continue
                proven = next((each for each in (*known, *vouched) if size_and_platforms(tag, each) in right), None)
                if proven is not None:
                    yield AlteredEntry(role=role, tag=tag, entry=proven, proven=True)
                elif stands.children:
                    yield AlteredEntry(role=role, tag=tag, entry=without_platforms(entry, self._denied), proven=False)

    def _known_entries(self, tag: str, digest: str) -> list[TargetFile]:
        """Return the entries with this digest in the releasing roles that were verified here."""
        releasing = releasing_roles(self._known[TARGETS].targets) if TARGETS in self._known else ()
        found = []
        for role in releasing:
            entry = self._known[role].targets.targets.get(tag) if role in self._known else None
            target = usable(role, tag, entry) if entry is not None else None
            if entry is not None and target is not None and target.digest == digest:
                found.append(entry)
        return found

    @cached_property
    def _denied(self) -> DenyList:
        return deny_list("", self._files[TARGETS].targets)

    def _undenied(self, powers: Sequence[Power]) -> dict[str, str]:
        may_write = any(power.role == TARGETS and (power.signed or power.alone) for power in powers)
        if not may_write or TARGETS not in self._known:
            return {}
        before = deny_list("", self._known[TARGETS].targets)
        return {digest: reason for digest, reason in before.reasons().items() if digest not in self._denied}

    # --- what may hold keys of the thief

    def _unproven(self, powers: Sequence[Power]) -> Iterator[Envelope]:
        for power in powers:
            names_keys = power.role in (ROOT, TARGETS)
            if not names_keys or not power.signed:
                continue
            file = self._files[power.role]
            known = self._known.get(power.role)
            if power.role == TARGETS and not delegations_of(file.targets):
                continue
            if known is None or _named(known) != _named(file):
                yield file


def exposures(powers: Sequence[Power], clients: Sequence[str]) -> Iterator[Exposure]:
    """Yield what the thief can make each client believe, the worst first."""
    alone = {power.role for power in powers if power.alone}
    together = sorted({power.role for power in powers if not power.alone})
    signers = sorted(signer_name(role) for role in alone if role not in (*_TOP, RELEASES))
    told: list[tuple[Threat, str]] = []
    if ROOT in alone:
        told.append(("owns-collection", "follows a root with other keys for every role, and the owner is locked out"))
    if TARGETS in alone or RELEASES in alone:
        told.append(("any-tag", "runs any image under any tag, as soon as the trust server takes the upload"))
    if signers:
        names = ", ".join(map(shown, signers))
        told.append(("as-signer", f"counts it as a signature of {names}, where a policy asks for that signer"))
    if {SNAPSHOT, TIMESTAMP} <= alone:
        told.append(
            (
                "old-states",
                "takes old states for the newest unless it has seen newer ones, and can be made to refuse all",
            )
        )
    elif TIMESTAMP in alone:
        told.append(("withholds", "takes a state for the newest as long as the thief likes"))
    elif SNAPSHOT in alone:
        told.append(("with-others", "accepts nothing else unless the thief has the timestamp key, too"))
    told += [("with-others", f"accepts nothing of {shown(role)} without a further key") for role in together]
    for client in clients:
        yield from (Exposure(client=client, threat=threat, text=text) for threat, text in told)


def _changed(known: Mapping[RoleName, Envelope], now: Mapping[RoleName, Envelope]) -> Contents:
    return {
        role: file.content
        for role, file in now.items()
        if role not in ONLINE and (role not in known or known[role].sha256 != file.sha256)
    }


def _named(file: Envelope) -> list[tuple[object, ...]]:
    """Return what the file says of each role that it names: keys, threshold, and what the role may list, in order."""
    if not isinstance(file.content, Targets):
        root = file.root
        return [(name, frozenset(role.keyids), role.threshold) for name, role in sorted(root.roles.items())]
    targets = file.targets
    named = targets.delegations.roles if targets.delegations else None
    return [
        (name, frozenset(role.keyids), role.threshold, role.paths, role.path_hash_prefixes, role.terminating)
        for name, role in (named or {}).items()
    ]
