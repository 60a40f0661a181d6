"""Read a collection as its owner does: every role that is reachable, and what must not be signed again (docs/adr/0041).

A role that does not verify stops nothing here: it is left out and named, and only what needs it is refused.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress

from trustcli.client.updater import Updater
from trustdata.editing.owner_roles import OwnerDecisions, OwnerRoles, emptied, file_reference
from trustdata.editing.unseen import Unseen
from trustdata.envelope import Envelope
from trustdata.errors import (
    MalformedMetadata,
    NotTrusted,
    ThresholdNotMet,
    TooLarge,
    TrustError,
)
from trustdata.gun import GUN
from trustdata.roles import RELEASES, ROOT, TARGETS, RoleName, is_delegated
from trustdata.verification.delegations import delegations_of
from trustdata.verification.target_lookup import releasing_roles
from trustdata.verification.vouching import KnownFiles, find_unvouched


class OwnerReading:
    """One reading of a refreshed collection, for an owner who has made `decisions`.

    `verified_before`: returns which file of the role of a stored one was verified here last.
    """

    def __init__(
        self,
        gun: GUN,
        updater: Updater,
        decisions: OwnerDecisions,
        verified_before: Callable[[Envelope], Envelope | None],
    ) -> None:
        self._gun = gun
        self._verified_before = verified_before
        self._updater = updater
        self._decisions = decisions
        self._known = KnownFiles(memory=updater.memory, lock=updater.lock, chain=updater.roots())
        self._files: dict[RoleName, Envelope] = updater.roles()
        self._faults: dict[RoleName, TrustError] = {}
        self._unvouched: dict[RoleName, TrustError] = {}
        self._emptied: dict[RoleName, Envelope] = {}

    def read(self) -> OwnerRoles:
        """Return every published role that is reachable by delegation from `targets`.

        Raises: RemoteUnreachable, RemoteRefused, RemoteMisbehaved; MalformedMetadata if `targets` delegates to more
        roles than a snapshot can list.
        """
        self._weigh(self._files[ROOT], None, delegator=ROOT)
        self._weigh(self._files[TARGETS], None, delegator=ROOT)
        queue: list[RoleName] = [TARGETS]
        while queue:
            delegator = queue.pop(0)
            queue += [role for role in delegations_of(self._files[delegator].targets) if self._load(role, delegator)]
        return OwnerRoles(
            self._files,
            faults=self._faults,
            unvouched=self._unvouched,
            emptied=self._emptied,
            undelegated=self._undelegated(),
            known=self._verified_before,
            look=self._look,
        )

    def _look(self, unseen: Sequence[Unseen]) -> None:
        if self._decisions.look is not None:
            self._decisions.look(self._gun, unseen)

    def _undelegated(self) -> dict[RoleName, Envelope]:
        """Return the stored releases if nobody delegates to them any more: the first signer would bring them back."""
        if RELEASES not in self._updater.listed() or RELEASES in {*self._files, *self._faults}:
            return {}
        with suppress(NotTrusted, MalformedMetadata, TooLarge):  # clients could not read it either
            return {RELEASES: self._updater.load_unverified(RELEASES)}
        return {}

    def _load(self, role: RoleName, delegator: RoleName) -> bool:
        """Load one role, and return whether it is now verified, so that its own delegations count."""
        if role in self._files or role in self._faults:
            return False
        file: Envelope | None = None
        fault: TrustError | None = None
        try:
            if not self._updater.published(role):
                return False
            try:
                file = self._updater.load(role, delegator)
            except ThresholdNotMet as error:
                fault = error
                file = self._updater.load_unverified(role)
        except (NotTrusted, MalformedMetadata, TooLarge) as error:
            fault = error
        if fault is not None:
            self._faults[role] = fault
        if file is not None:
            self._files[role] = file
            self._weigh(file, fault, delegator=delegator)
        elif fault is not None:
            self._unvouched[role] = fault  # there is no file that anybody could vouch for
        return fault is None

    def _weigh(self, file: Envelope, fault: TrustError | None, *, delegator: RoleName) -> None:
        role = file.role
        error = find_unvouched(
            file,
            fault=fault,
            delegator=self._unvouched.get(delegator),
            known=self._known,
            beneath=self._beneath(role),
            at=self._updater.at,
        )
        if error is None or self._accepted(file, fault):
            return
        if role in self._decisions.start_empty and is_delegated(role):
            self._emptied[role] = file
            self._files[role] = emptied(file)
            return
        self._unvouched[role] = error
        if fault is not None:
            del self._files[role]

    def _accepted(self, file: Envelope, fault: TrustError | None) -> bool:
        """Return whether the owner has accepted exactly this file. An unsigned file may then be expired, too."""
        name = file_reference(file)
        return name in self._decisions.accept_unsigned or (fault is None and name in self._decisions.accept_expired)

    def _beneath(self, role: RoleName) -> Envelope | None:
        """Return `targets` if it releases what this role does not list: beneath the releases in Notary v1."""
        targets = self._files[TARGETS]
        return targets if role == RELEASES and releasing_roles(targets.targets) == (RELEASES, TARGETS) else None
