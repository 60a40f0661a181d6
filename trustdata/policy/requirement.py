"""What a rule requires of a tag: which signers must have signed the same digest, and whether it must be released.

To add an attribute of what is required, read it in `reading`, store it in `Requirement` and check it there; no other
file names one. Pins, server and `max_life` are no such attributes: they are used before anything is verified.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from keys.algorithms import key_fingerprint
from keys.record import record, replace
from trustdata.envelope import Envelope
from trustdata.errors import PolicyRefused, shown
from trustdata.gun import GUN
from trustdata.model import UnusableTarget
from trustdata.roles import RELEASES, TARGETS, RoleName, signer_name, signer_role
from trustdata.verification import checks
from trustdata.verification.delegations import delegations_of
from trustdata.verification.target_lookup import Target, read_target


@record
class Requirement:
    """A requirement on a tag: at least `threshold` of `signers` must have signed the same digest.

    `signers` empty: nothing more than the release is required. `source`: the option or rule, for messages. `released`:
    whether the tag must be released, too. If not, `threshold` is more than half of `signers`: two digests of one tag
    can then never both have enough. `releases_only`: where there are signers, `targets` alone releases nothing.
    """

    source: str
    signers: tuple[str, ...]
    threshold: int
    released: bool = True
    releases_only: bool = False

    def __str__(self) -> str:
        return f"{self.threshold} of {', '.join(self.signers) or 'nobody in particular'}"

    def roles(self) -> tuple[RoleName, ...]:
        """Return the delegations that must be loaded to check the requirement."""
        return tuple(map(signer_role, self.signers))

    def escaped(self, limit: int) -> Requirement:
        """Return a copy that is safe to print: foreign text escaped, the source cut to `limit` characters."""
        return replace(self, source=shown(self.source, limit), signers=tuple(map(shown, self.signers)))

    def check(
        self,
        gun: GUN,
        target: Target,
        agreeing: Sequence[RoleName],
        roles: Mapping[RoleName, Envelope],
        *,
        requested: str | None,
    ) -> None:
        """Check that enough of the signers have signed a target, and that the role that lists it is the one asked for.

        `agreeing`: the signers' roles that list its digest. `requested`: a digest (`sha256:HEX`), for messages.

        Raises: PolicyRefused.
        """
        if self.releases_only and target.role == TARGETS and delegations_of(roles[TARGETS].targets):
            reason = f"only targets lists it, and the rule asks for {RELEASES}"
            raise PolicyRefused(name=f"{gun}:{target.tag}", rule=self.source, reason=reason)
        required = self.roles()
        if _distinct([role for role in required if role in agreeing], roles) < self.threshold:
            missing = [role for role in required if role not in agreeing]
            raise PolicyRefused(
                name=f"{gun}:{target.tag}",
                rule=self.source,
                reason="; ".join(_why_missing(gun, role, target, roles, requested) for role in missing)
                or "several of the signers have one and the same key",
            )


def _distinct(signers: list[RoleName], roles: Mapping[RoleName, Envelope]) -> int:
    """Return how many signers count: one counts if it signed with a key that no earlier signer has used."""
    targets = roles[TARGETS].targets
    used: set[str] = set()
    count = 0
    for role in signers:
        signed = checks.check_signatures(targets, TARGETS, roles[role])
        fingerprints = {key_fingerprint(targets.get_key(keyid)) for keyid in signed}
        count += not fingerprints <= used
        used |= fingerprints
    return count


def _why_missing(
    gun: GUN, role: RoleName, target: Target, roles: Mapping[RoleName, Envelope], requested: str | None
) -> str:
    name = signer_name(role)
    if role not in delegations_of(roles[TARGETS].targets):
        return f"{name} is no signer of {gun}"
    if role in roles and target.tag in roles[role].targets.targets:
        entry = roles[role].targets.targets[target.tag]
        if isinstance(entry, UnusableTarget):
            return f"{name} has signed {target.tag} in a way that no image can be checked by: {entry.reason}"
        listed = read_target(role, target.tag, entry)
        if listed.digest != target.digest:
            return f"{name} has signed {target.tag} as sha256:{listed.digest}, not as sha256:{target.digest}"
        return f"{name} has signed {target.tag}, but not {requested}"
    return f"{name} has not signed {target.tag}"
