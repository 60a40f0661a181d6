"""What stands in a collection, for those who must answer for it: who may sign what, who has signed it, what is odd.

No private key is needed. Names of tags, roles and signers are foreign text, so they are escaped and cut here. Metadata
has no signing times: what is said about them is computed from the expiry, which the signer chose (docs/adr/0069).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

from keys.algorithms import bare_keyid, key_fingerprint
from keys.errors import KeyNotAccepted
from trustdata.counting import counted
from trustdata.denied import deny_list
from trustdata.due import SOON, late_online_roles
from trustdata.editing.denying import released_although_denied
from trustdata.editing.owner_roles import OwnerRoles
from trustdata.envelope import Envelope
from trustdata.errors import NotTrusted, ThresholdNotMet, TrustError, shown
from trustdata.lifetimes import Lifetimes
from trustdata.model import Key, NotarySnapshot, Targets, UnusableTarget
from trustdata.roles import ONLINE, RELEASES, ROOT, SNAPSHOT, TARGETS, TIMESTAMP, RoleName, signer_name
from trustdata.verification import checks
from trustdata.verification.delegations import as_delegator, delegations_of, every_delegation, keys_of
from trustdata.verification.target_lookup import Target, signers_of_target, unusable_targets

ROOT_HOLDER: Final = "root"
REPOSITORY_HOLDER: Final = "repository"
SERVER_HOLDER: Final = "server"
_FIRST_MOMENT: Final = datetime.min.replace(tzinfo=UTC)


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditedRole:
    """One role and its newest file.

    `delegator`: the role that names its keys, `threshold` of which must sign. `keys`, `signed`: ids of its keys, and of
    those whose signatures on the file count. `version`, `expires`, `sha256`: None without a file. `signed_about`: the
    expiry less the usual lifetime, None if that is not in the past. `paths`: of a delegation. `tags`: the number of
    tags that it lists. `fault`: why clients refuse it.
    """

    role: str
    delegator: str
    threshold: int
    keys: tuple[str, ...]
    signed: tuple[str, ...] = ()
    version: int | None = None
    sha256: str | None = None
    expires: datetime | None = None
    signed_about: datetime | None = None
    paths: tuple[str, ...] = ()
    tags: int = 0
    fault: TrustError | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Right:
    """A role that a key may sign: `threshold` of `keys` keys must. `signed`: it has signed the newest file."""

    role: str
    threshold: int
    keys: int
    paths: tuple[str, ...]
    signed: bool
    expires: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditedKey:
    """One key, whatever ids it has.

    `keyid`: of the bare key. `keyids`: those under which documents name it; a certificate has its own (Notary v1).
    `fingerprint`: None for a key of a kind that counts for nothing, and `refusal` says why. `holders`: signers by name,
    `root`, `repository`, `server`; `snapshot` where an owner may hold that key (Notary v1). `spare`: a root key, where
    root has more keys than it needs.
    """

    keyid: str
    keyids: tuple[str, ...]
    fingerprint: str | None
    kind: str
    refusal: str
    holders: tuple[str, ...]
    rights: tuple[Right, ...]
    spare: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditedTag:
    """A released tag. `digest`, `platforms`: 64 hex digits; `length`: of the manifest, in bytes.

    `signers`: those whose own roles list the same digest. `released_by`: the role that lists the tag for clients.
    """

    tag: str
    digest: str
    length: int
    platforms: tuple[str, ...]
    signers: tuple[str, ...]
    released_by: str


@dataclass(frozen=True, slots=True, kw_only=True)
class UnreleasedTag:
    """A tag that a signer lists and that is not released, or as another digest (`released`, else None)."""

    tag: str
    digest: str
    signer: str
    released: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Oddity:
    """Something that an auditor should look at. `code`: for programs. `about`: the role, tag or key id."""

    code: str
    about: str
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Audit:
    """One collection. `tags`, `unreleased`: sorted by tag. `roles`: root first. `keys`: in the order of `roles`."""

    root_version: int
    root_sha256: str
    tags: tuple[AuditedTag, ...]
    unreleased: tuple[UnreleasedTag, ...]
    roles: tuple[AuditedRole, ...]
    keys: tuple[AuditedKey, ...]
    odd: tuple[Oddity, ...]

    def narrowed(self, *, signer: str | None = None, keyid: str | None = None) -> Audit:
        """Return only what concerns a signer (`root`, `repository` and `server` are some too) or keys of an id.

        `keyid`: an id or its first digits. What is odd about anything else is left out.
        """
        keys = tuple(key for key in self.keys if _concerns(key, signer, keyid))
        mine = {right.role for key in keys for right in key.rights if right.signed}
        holders = {holder for key in keys for holder in key.holders}
        may = {right.role for key in keys for right in key.rights}
        tags = tuple(
            tag for tag in self.tags if holders.intersection(tag.signers) or (not signer and tag.released_by in mine)
        )
        about = {key.keyid for key in keys} | may | {tag.tag for tag in tags}
        return Audit(
            root_version=self.root_version,
            root_sha256=self.root_sha256,
            tags=tags,
            unreleased=tuple(tag for tag in self.unreleased if tag.signer in holders),
            roles=tuple(role for role in self.roles if role.role in may),
            keys=keys,
            odd=tuple(oddity for oddity in self.odd if oddity.about in about),
        )


def _concerns(key: AuditedKey, signer: str | None, keyid: str | None) -> bool:
    if signer is not None and signer not in key.holders:
        return False
    return keyid is None or any(each.startswith(keyid) for each in (key.keyid, *key.keyids))


def audit(roles: OwnerRoles, lifetimes: Lifetimes, *, at: datetime) -> Audit:
    """Return what stands in a collection. `roles`: as its owner reads them. Raises no TrustError for a faulty role."""
    return _Auditor(roles, lifetimes, at).run()


class _Auditor:
    def __init__(self, roles: OwnerRoles, lifetimes: Lifetimes, at: datetime) -> None:
        self._roles = roles
        self._files = roles.stored()
        self._sound = roles.sound()
        self._lifetimes = lifetimes
        self._at = at
        self._odd: list[Oddity] = []

    def run(self) -> Audit:
        root = self._files[ROOT]
        audited = tuple(self._audited_roles())
        tags = self._tags()
        unreleased = self._unreleased({tag.tag: tag.digest for tag in tags})
        keys = self._keys(audited)
        self._odd_roles(audited)
        self._odd_tags(unreleased)
        self._odd_denied()
        self._odd_keys(keys)
        return Audit(
            root_version=root.version,
            root_sha256=root.sha256,
            tags=tags,
            unreleased=unreleased,
            roles=audited,
            keys=keys,
            odd=tuple(self._odd),
        )

    # --- roles

    def _audited_roles(self) -> Iterator[AuditedRole]:
        for delegator_name, role in every_delegation(self._sound):
            delegator = as_delegator(self._files[delegator_name])
            delegated = delegator.get_delegated_role(role)
            file = self._files.get(role)
            signed: tuple[str, ...] = ()
            if file is not None:
                try:
                    signed = checks.check_signatures(delegator, delegator_name, file)
                except ThresholdNotMet as error:
                    signed = error.signed
            yield AuditedRole(
                role=shown(role),
                delegator=shown(delegator_name),
                threshold=delegated.threshold,
                keys=tuple(delegated.keyids),
                signed=signed,
                version=file.version if file else None,
                sha256=file.sha256 if file else None,
                expires=file.expires if file else None,
                signed_about=self._signed_about(role, file) if file else None,
                paths=tuple(map(shown, getattr(delegated, "paths", None) or ())),
                tags=len(file.targets.targets) if file and isinstance(file.content, Targets) else 0,
                fault=self._roles.faults.get(role),
            )

    def _signed_about(self, role: RoleName, file: Envelope) -> datetime | None:
        lifetime = self._lifetimes.of(role)
        if file.expires < _FIRST_MOMENT + lifetime:
            return None
        signed = file.expires - lifetime
        return signed if signed <= self._at else None

    # --- tags

    def _signer_roles(self) -> list[RoleName]:
        return [role for role in delegations_of(self._files[TARGETS].targets) if role != RELEASES]

    def _tags(self) -> tuple[AuditedTag, ...]:
        signer_roles = self._signer_roles()
        names: dict[tuple[RoleName, ...], tuple[str, ...]] = {}
        found: list[AuditedTag] = []
        try:
            for target in self._roles.each_released():
                signers = signers_of_target(target, self._sound, signer_roles)
                if signers not in names:
                    names[signers] = tuple(shown(signer_name(role)) for role in signers)
                found.append(_audited_tag(target, names[signers]))
        except NotTrusted as conflict:  # clients trust no tag of the collection then
            self._tell("conflict", str(getattr(conflict, "target", TARGETS)), f"clients refuse every tag: {conflict}")
            return ()
        return tuple(found)

    def _unreleased(self, released: Mapping[str, str]) -> tuple[UnreleasedTag, ...]:
        found = []
        for role in self._signer_roles():
            if role not in self._sound:
                continue
            for tag, listed in self._sound[role].targets.targets.items():
                digest = "" if isinstance(listed, UnusableTarget) else listed.hashes.get("sha256", "")
                if digest and released.get(shown(tag)) != digest:
                    found.append(
                        UnreleasedTag(
                            tag=shown(tag),
                            digest=shown(digest),
                            signer=shown(signer_name(role)),
                            released=released.get(shown(tag)),
                        )
                    )
        return tuple(sorted(found, key=lambda each: (each.tag, each.signer)))

    # --- keys

    def _keys(self, audited: Iterable[AuditedRole]) -> tuple[AuditedKey, ...]:
        rights: dict[str, dict[Right, RoleName]] = {}
        ids: dict[str, dict[str, Key]] = {}
        for (delegator_name, role), row in zip(every_delegation(self._sound), audited, strict=True):
            known = keys_of(as_delegator(self._files[delegator_name]))
            for keyid in row.keys:
                if keyid not in known:  # Notary v1 allows an id without a key
                    self._tell("key-missing", row.role, f"{row.role} names key {shown(keyid)}, which is not there")
                    continue
                one = _identity(known[keyid])
                ids.setdefault(one, {}).setdefault(keyid, known[keyid])
                right = Right(
                    role=row.role,
                    threshold=row.threshold,
                    keys=len(row.keys),
                    paths=row.paths,
                    signed=keyid in row.signed,
                    expires=row.expires,
                )
                rights.setdefault(one, {})[right] = role
        spare = self._spare()
        holders = self._holder_names()
        return tuple(
            _audited_key(ids[one], rights[one], holders, spare=spare and ROOT in rights[one].values()) for one in ids
        )

    def _holder_names(self) -> dict[RoleName, str]:
        """Return who holds the keys of the top-level roles. In Notary v1 the snapshot key may be an owner's."""
        snapshot = self._files.get(SNAPSHOT)
        of_owner = snapshot is not None and isinstance(snapshot.content, NotarySnapshot)
        return {
            ROOT: ROOT_HOLDER,
            TARGETS: REPOSITORY_HOLDER,
            TIMESTAMP: SERVER_HOLDER,
            SNAPSHOT: str(SNAPSHOT) if of_owner else SERVER_HOLDER,
        }

    def _spare(self) -> bool:
        """Return whether root has more keys than it needs."""
        role = self._files[ROOT].root.roles[ROOT]
        return len(role.keyids) > role.threshold

    # --- what is odd

    def _tell(self, code: str, about: str, text: str) -> None:
        self._odd.append(Oddity(code=code, about=about, text=text))

    def _odd_roles(self, audited: Iterable[AuditedRole]) -> None:
        late = set(late_online_roles(self._files, self._lifetimes, at=self._at))
        for row in {row.role: row for row in audited}.values():
            if row.fault is not None:
                self._tell("role-refused", row.role, f"clients refuse {row.role}: {row.fault}")
            elif row.version is None:
                self._tell("never-signed", row.role, f"nobody has signed {row.role} yet")
            if row.expires is not None:
                self._odd_expiry(row, row.expires, late=row.role in late)
        for role in self._roles.unvouched.keys() - self._roles.faults.keys():
            self._tell("unvouched", shown(role), f"nobody vouches for {shown(role)}: {self._roles.unvouched[role]}")
        if self._roles.releases_unreadable():
            self._tell("no-tag-visible", RELEASES, f"clients see no tag, since they refuse {RELEASES}")
        if not self._spare():
            needed = self._files[ROOT].root.roles[ROOT].threshold
            self._tell(
                "no-spare-root-key", ROOT, f"root needs {needed} of {counted(needed, 'key')}: the loss of one is final"
            )

    def _odd_expiry(self, row: AuditedRole, expires: datetime, *, late: bool) -> None:
        if expires <= self._at:
            self._tell("expired", row.role, f"{row.role} version {row.version} expired on {expires:%Y-%m-%d}")
        elif late:
            self._tell("server-late", row.role, f"the server should have signed {row.role} again by now")
        elif row.role not in ONLINE and expires <= self._at + SOON:
            self._tell("expires-soon", row.role, f"{row.role} expires on {expires:%Y-%m-%d}")

    def _odd_tags(self, unreleased: Iterable[UnreleasedTag]) -> None:
        for tag in unreleased:
            if tag.released is None:
                self._tell("not-released", tag.tag, f"{tag.signer} signed {tag.tag}, which is not released")
            else:
                text = f"{tag.signer} signed {tag.tag} as sha256:{tag.digest}; released is sha256:{tag.released}"
                self._tell("other-digest", tag.tag, text)
        for error in unusable_targets(self._sound) if TARGETS in self._sound else ():
            self._tell("unusable", shown(error.target), f"{shown(error.target)} is no tag of any image: {error}")

    def _odd_denied(self) -> None:
        """Tell what is denied, and which tags are signed all the same."""
        denied = deny_list("", self._files[TARGETS].targets)
        for digest, reason in denied.reasons().items():
            self._tell("denied", digest, f"{digest} is denied{f': {shown(reason)}' if reason else ''}")
        with suppress(NotTrusted):  # told as a conflict
            for target in released_although_denied(denied, self._roles.each_released() if denied else ()):
                tag = shown(target.tag)
                self._tell("signed-denied", tag, f"{tag} is signed as sha256:{target.digest}, and denied")

    def _odd_keys(self, keys: Iterable[AuditedKey]) -> None:
        for key in keys:
            if key.refusal:
                self._tell("weak-key", key.keyid, f"key {key.keyid} counts for nothing: {key.refusal}")
            if len(key.holders) > 1:
                who = ", ".join(key.holders)
                self._tell("one-key-for-several", key.keyid, f"key {key.keyid} is one key of several: {who}")


def _audited_tag(target: Target, signers: tuple[str, ...]) -> AuditedTag:
    return AuditedTag(
        tag=shown(target.tag),
        digest=target.digest,
        length=target.length,
        platforms=target.children,
        signers=signers,
        released_by=target.role,
    )


def _audited_key(
    named: Mapping[str, Key], rights: Mapping[Right, RoleName], holders: Mapping[RoleName, str], *, spare: bool
) -> AuditedKey:
    first = next(iter(named.values()))
    fingerprint, refusal = None, ""
    try:
        fingerprint = key_fingerprint(first)
    except KeyNotAccepted as error:
        refusal = error.reason
    return AuditedKey(
        keyid=shown(bare_keyid(first)),
        keyids=tuple(map(shown, named)),
        fingerprint=fingerprint,
        kind=shown(first.scheme if first.scheme.startswith(first.keytype) else f"{first.keytype} {first.scheme}"),
        refusal=refusal,
        holders=_holders(list(rights.values()), holders),
        rights=tuple(rights),
        spare=spare,
    )


def _holders(roles: Iterable[RoleName], names: Mapping[RoleName, str]) -> tuple[str, ...]:
    """Return who has a key, by the roles that name it: of the releases it is one only if no other role tells more."""
    found = dict.fromkeys(names.get(role, shown(signer_name(role))) for role in roles if role != RELEASES)
    return tuple(found) or (signer_name(RELEASES),)


def _identity(key: Key) -> str:
    """Return what tells keys apart: the fingerprint, since one key may have several ids."""
    try:
        return key_fingerprint(key)
    except KeyNotAccepted:
        return f"id {key.keyid}"
