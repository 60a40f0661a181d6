"""Choose entries of tags by what they stand for: a digest, or that a signer lists them.

Roles may list one tag as different digests, so entries are chosen role by role.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from trustdata.editing.altered_entries import usable
from trustdata.envelope import Envelope
from trustdata.model import Targets
from trustdata.roles import RELEASES, RoleName, signer_name
from trustdata.verification.target_lookup import Target


@dataclass(frozen=True, slots=True, kw_only=True)
class EntryChoice:
    """What is chosen. `digests`: in hex; also indexes that list one of them as a platform.

    `signer`: the role of a signer: whatever it lists, and the same tag with the same digest in any other role.
    """

    digests: frozenset[str] = field(default_factory=frozenset)
    signer: RoleName | None = None

    def __str__(self) -> str:
        if self.signer is not None:
            return f"what {signer_name(self.signer)} has signed"
        return ", ".join(f"sha256:{digest}" for digest in sorted(self.digests))

    def entries(self, roles: Mapping[RoleName, Envelope]) -> dict[RoleName, dict[str, str]]:
        """Return the tags whose entries are chosen, with their digests (hex), by the role that lists them.

        `roles`: the files as the server has them. A role that lists none is left out. The digest of an entry that is no
        image's is "".
        """
        signed = self._signed(roles)
        found: dict[RoleName, dict[str, str]] = {}
        for role, file in roles.items():
            listed = file.content.targets if isinstance(file.content, Targets) else {}
            for tag, entry in listed.items():
                target = usable(role, tag, entry)
                if role == self.signer or self._matches(target, signed):
                    found.setdefault(role, {})[tag] = target.digest if target is not None else ""
        return found

    def is_met(self, target: Target) -> bool:
        """Return whether a released target has one of the digests, alone or as a platform."""
        return any(target.has_manifest(digest) for digest in self.digests)

    def _signed(self, roles: Mapping[RoleName, Envelope]) -> frozenset[tuple[str, str]]:
        """Return the tags of the signer's own role, with the digests under which it lists them."""
        if self.signer is None or self.signer not in roles:
            return frozenset()
        listed = roles[self.signer].targets.targets
        targets = (usable(self.signer, tag, entry) for tag, entry in listed.items())
        return frozenset((target.tag, target.digest) for target in targets if target is not None)

    def _matches(self, target: Target | None, signed: frozenset[tuple[str, str]]) -> bool:
        if target is None:
            return False
        return self.is_met(target) or (target.tag, target.digest) in signed


def listed_by_no_signer(
    files: Mapping[RoleName, Envelope], signers: Iterable[RoleName], released: Iterable[Target]
) -> tuple[str, ...]:
    """Return the tags in `targets/releases` that no signer lists as they are: nothing says who has put them there.

    The holder of the repository key releases so; and so does a signer who takes a tag out of the own role again.
    `files`: those that clients accept. `released`: what clients find.
    """
    listed = {
        (tag, target.digest)
        for role in signers
        if role in files
        for tag, entry in files[role].targets.targets.items()
        if (target := usable(role, tag, entry)) is not None
    }
    return tuple(t.tag for t in released if t.role == RELEASES and (t.tag, t.digest) not in listed)
