"""What was verified of one collection, to answer questions from without asking anybody."""

from __future__ import annotations

import copy
from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Final

from keys.record import record
from trustdata.envelope import Envelope
from trustdata.errors import MetadataExpired, TrustError
from trustdata.gun import GUN
from trustdata.judgement import Judgement, Question, judge, needed_roles, refused
from trustdata.roles import RELEASES, ROOT, SNAPSHOT, TARGETS, TIMESTAMP, RoleName
from trustdata.verification.checks import check_not_expired
from trustdata.verification.trust_pinning import Lapse

_TOP_LEVEL: Final = (ROOT, TIMESTAMP, SNAPSHOT, TARGETS)


@record
class VerifiedRoles:
    """The verified roles of one collection.

    `faults`: why delegations do not verify. `wanted`: the delegations that were looked for; one that is
    neither among the roles nor the faults was never published. `refreshed`: when the server was asked for it (UTC).
    `lapse`: when what is pinned is held no more.
    """

    gun: GUN
    roles: Mapping[RoleName, Envelope]
    faults: Mapping[RoleName, TrustError]
    wanted: frozenset[RoleName]
    refreshed: datetime
    lapse: Lapse | None = None

    @property
    def size(self) -> int:
        """Bytes of all files."""
        return sum(len(envelope.raw) for envelope in self.roles.values())

    def same_files(self, other: VerifiedRoles) -> bool:
        """Return whether both were read from the same files, so that they answer every question alike."""
        return (
            self._hashes() == other._hashes()
            and set(self.faults) == set(other.faults)
            and self.first_end() == other.first_end()
        )

    def first_end(self) -> datetime:
        """Return the earliest time at which something of it counts no more."""
        lapses = [self.lapse.after] if self.lapse is not None else []
        return min([envelope.expires for envelope in self.roles.values()] + lapses)

    def needed(self, question: Question) -> tuple[RoleName, ...]:
        """Return the delegations that a question is judged by."""
        return needed_roles(question, self.roles[TARGETS])

    def judge(self, question: Question, at: datetime) -> Judgement:
        """Judge a question as of `at` (UTC); what has expired meanwhile counts no more.

        As in `Collection.judge`: the role of a signer that does not verify decides nothing, since others may be enough.
        """
        try:
            roles, faults = self.valid(self.needed(question), at)
        except TrustError as refusal:
            return refused(question, refusal)
        return judge(question, roles, faults)

    def valid(
        self, delegated: Iterable[RoleName], at: datetime
    ) -> tuple[dict[RoleName, Envelope], dict[RoleName, TrustError]]:
        """Return the top-level roles and these delegations as of `at`, and why some signers' roles do not count.

        Raises: MetadataExpired (a top-level role, or releases), RootNotCertified (a CA no longer vouches for the root),
        and why releases do not verify.
        """
        if self.lapse is not None and at > self.lapse.after:
            raise copy.copy(self.lapse.refusal)
        valid: dict[RoleName, Envelope] = {}
        faults: dict[RoleName, TrustError] = {}
        for role in (*_TOP_LEVEL, *delegated):
            fault = self.faults.get(role) or self._expired(role, at)
            if fault is None:
                valid |= {role: self.roles[role]} if role in self.roles else {}
            elif role in _TOP_LEVEL or role == RELEASES:
                raise copy.copy(fault)  # one that is raised again and again would keep each of its ways
            else:
                faults[role] = fault
        return valid, faults

    def _expired(self, role: RoleName, at: datetime) -> MetadataExpired | None:
        try:
            if role in self.roles:
                check_not_expired(self.roles[role], at)
        except MetadataExpired as expired:
            return expired
        return None

    def _hashes(self) -> dict[RoleName, str]:
        return {role: envelope.sha256 for role, envelope in self.roles.items()}
