"""Take a stolen key out of a collection, and revoke what nobody has chosen to keep: one edit.

The parts are those of `repository_editor`, one after the other, each on the result of the one before; a role that
several of them change gets one new version.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from copy import copy
from dataclasses import dataclass, field, replace
from typing import Final, cast

from trustdata.denied import DENIED_MEMBER, MAX_DENIED, denied_member, deny_list
from trustdata.editing import repository_editor
from trustdata.editing.altered_entries import AlteredEntry
from trustdata.editing.repository_editor import Contents, EditTerms
from trustdata.envelope import Envelope
from trustdata.errors import NotTrusted, PublishRefused
from trustdata.model import Content, DelegatedRole, Delegations, Key, Targets
from trustdata.roles import RELEASES, ROOT, TARGETS, RoleName
from trustdata.verification.checks import check_signatures
from trustdata.verification.delegations import role_keys
from trustdata.verification.target_lookup import releasing_roles


@dataclass(frozen=True, slots=True, kw_only=True)
class Replacements:
    """The new keys, encoded as in the format; None or empty for roles that do not name the key. `online`: by role."""

    root: Key | None = None
    targets: Key | None = None
    online: Mapping[RoleName, Key]


@dataclass(frozen=True, slots=True, kw_only=True)
class Corrections:
    """What the thief may have written beside the tags that clients find (docs/adr/0119).

    `beneath`: tags in a releasing role that lie beneath another digest; they go. `altered`: entries that become what
    they were. `denied`: digests with reasons, which are denied again.
    """

    beneath: Collection[tuple[RoleName, str]] = ()
    altered: Sequence[AlteredEntry] = ()
    denied: Mapping[str, str] = field(default_factory=dict)


NOTHING_TO_CORRECT: Final = Corrections()


class KeyRemoval:
    """One edit, step by step. `keyids`: the ids of the key in any file of the collection."""

    def __init__(self, roles: Mapping[RoleName, Envelope], keyids: Iterable[str], terms: EditTerms) -> None:
        self._before = roles
        self._keyids = frozenset(keyids)
        self._terms = terms
        self._changed: Contents = {}
        self.removed_signers: list[RoleName] = []
        """The signers that are removed, since no other key of theirs verifies what they have signed last."""

    def contents(
        self, new: Replacements, revoked: Iterable[str], corrections: Corrections = NOTHING_TO_CORRECT
    ) -> Contents:
        """Return the contents without the key and the tags. Raises: PublishRefused (a key is named by no `new`)."""
        root = self._before[ROOT].root
        in_root = [keyid for keyid in root.roles[ROOT].keyids if keyid in self._keyids]
        if in_root and new.root is not None:
            self._changed |= repository_editor.replace_root_keys(
                self._now(), remove=in_root, add=[new.root], terms=self._terms
            )
        if new.online:
            self._changed |= repository_editor.replace_online_keys(self._now(), new.online, terms=self._terms)
        if self._keyids.intersection(root.roles[TARGETS].keyids) and new.targets is not None:
            self._changed |= repository_editor.replace_targets_key(self._now(), new.targets, terms=self._terms)
        self._leave_delegations()
        self._revoke(sorted(revoked))
        self._correct(corrections)
        self._check_gone()
        return self._changed

    def _now(self) -> dict[RoleName, Envelope]:
        """Return the files with the contents so far, each at the version before: the next step makes it one more."""
        return {**self._before, **{role: self._over(role, content) for role, content in self._changed.items()}}

    def _over(self, role: RoleName, content: Content) -> Envelope:
        before = self._before[role]
        so_far = copy(content)
        so_far.version = before.version
        return replace(before, content=so_far)

    # --- delegations

    def _leave_delegations(self) -> None:
        """Take the key out of what `targets` delegates: a signer without another key that holds is removed."""
        now = self._now()
        delegations = now[TARGETS].targets.delegations
        named = dict(delegations.roles or {}) if delegations else {}
        if delegations is None or not any(self._keyids.intersection(role.keyids) for role in named.values()):
            return
        repository = role_keys(now[ROOT].root, TARGETS)
        kept: dict[str, DelegatedRole] = {}
        for name, role in named.items():
            without = _with_keys(role, [keyid for keyid in role.keyids if keyid not in self._keyids])
            if name == RELEASES or self._holds(RoleName(name), without, delegations):
                kept[name] = without
            else:
                self.removed_signers.append(RoleName(name))
        used = {keyid for name, role in kept.items() if name != RELEASES for keyid in role.keyids} | set(repository)
        if RELEASES in kept:
            lost = {keyid for role in self.removed_signers for keyid in named[role].keyids} - used
            remaining = [keyid for keyid in kept[RELEASES].keyids if keyid not in lost]
            kept[RELEASES] = _with_keys(kept[RELEASES], dict.fromkeys([*repository, *remaining]))
            used |= set(kept[RELEASES].keyids)
            _check_enough(kept[RELEASES])
        keys = {**delegations.keys, **repository}
        renewed = repository_editor.renew(now, [TARGETS, *({RELEASES} & now.keys())], terms=self._terms)
        targets = cast("Targets", renewed[TARGETS])
        targets.delegations = Delegations({keyid: key for keyid, key in keys.items() if keyid in used}, kept)
        self._changed |= renewed

    def _holds(self, name: RoleName, role: DelegatedRole, delegations: Delegations) -> bool:
        """Return whether enough keys are left, and they verify the signer's last file."""
        if name not in self._before:
            return len(role.keyids) >= role.threshold
        as_it_would_be = Targets(1, delegations=Delegations(dict(delegations.keys), {name: role}))
        try:
            check_signatures(as_it_would_be, TARGETS, self._before[name])
        except NotTrusted:
            return False
        return True

    # --- tags

    def _revoke(self, tags: list[str]) -> None:
        """Take tags out of every role that releases tags, whatever lies beneath in Notary v1."""
        now = self._now()
        releasing = [role for role in releasing_roles(now[TARGETS].targets) if role in now]
        self._changed |= repository_editor.remove_tags(now, tags, from_roles=releasing, terms=self._terms)

    def _correct(self, corrections: Corrections) -> None:
        """Put right what the thief may have written into the roles that are signed again."""
        for role, tag in corrections.beneath:
            content = self._changed.get(role)
            if isinstance(content, Targets):
                content.targets.pop(tag, None)
        for altered in corrections.altered:
            content = self._changed.get(altered.role)
            if isinstance(content, Targets) and altered.tag in content.targets:
                content.targets[altered.tag] = altered.entry
        self._deny_again(corrections.denied)

    def _deny_again(self, reasons: Mapping[str, str]) -> None:
        """Deny what was denied; what the thief has denied stays if there is room for it. Not in Notary v1."""
        content = self._changed.get(TARGETS)
        if not reasons or not isinstance(content, Targets) or not self._terms.wire.keeps_members:
            return
        before = deny_list("", content)
        room = MAX_DENIED - len(reasons)
        after = {**dict(list(before.reasons().items())[: max(room, 0)]), **reasons}
        content.unrecognized_fields[DENIED_MEMBER] = denied_member(after, before)

    def _check_gone(self) -> None:
        """Check that no file names the key any more: a replacement that is missing must not go unnoticed."""
        now = self._now()
        delegations = now[TARGETS].targets.delegations
        for delegator, named in ((ROOT, now[ROOT].root.roles), (TARGETS, (delegations and delegations.roles) or {})):
            for name, role in named.items():
                if self._keyids.intersection(role.keyids):
                    raise PublishRefused(role=delegator, reason=f"{name} would still name the key")


def _check_enough(releases: DelegatedRole) -> None:
    if len(releases.keyids) < releases.threshold:
        reason = f"{releases.threshold} keys are needed, {len(releases.keyids)} would be left"
        raise PublishRefused(role=RELEASES, reason=reason)


def _with_keys(role: DelegatedRole, keyids: Iterable[str]) -> DelegatedRole:
    return DelegatedRole(
        role.name,
        list(keyids),
        role.threshold,
        role.terminating,
        role.paths,
        role.path_hash_prefixes,
        dict(role.unrecognized_fields),
    )
