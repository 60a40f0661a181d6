"""The files from which an owner makes the next versions, and which of them must not be signed again (docs/adr/0041)."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Final

from trustdata.editing.unseen import Look, Unseen, find_unseen
from trustdata.envelope import Envelope
from trustdata.errors import NotTrusted, TargetUnusable, TrustError
from trustdata.model import Targets
from trustdata.roles import RELEASES, TARGETS, RoleName
from trustdata.verification.checks import check_signatures
from trustdata.verification.delegations import delegations_of
from trustdata.verification.target_lookup import Target, each_released, find_released

_NO_ERRORS: Final[Mapping[RoleName, TrustError]] = MappingProxyType({})
_NO_FILES: Final[Mapping[RoleName, Envelope]] = MappingProxyType({})


def _none_verified(_: Envelope) -> Envelope | None:
    return None


def _nobody_looks(_: Sequence[Unseen]) -> None:
    """Let everything be signed again that somebody vouches for: so do commands that are about single tags."""


class OwnerRoles(Mapping[RoleName, Envelope]):
    """The files that an edit may read, by role, and what is wrong with others.

    `faults`: why clients refuse a role. `unvouched`: for each role whose content must not be signed again, the error to
    end with. A role with a fault is among the files only if its content may be signed again. `emptied`: the stored
    files of roles that begin empty by decision of the owner; the mapping has them without content. `undelegated`:
    stored files that clients read again as soon as `targets` delegates to their role. `known`: returns the
    file that was verified here last, before these were read, of the role of a stored one; None if none was. `look`: is
    given what was not verified here before, and raises ContentUnseen unless the owner has seen it.
    """

    def __init__(
        self,
        files: Mapping[RoleName, Envelope] = _NO_FILES,
        *,
        faults: Mapping[RoleName, TrustError] = _NO_ERRORS,
        unvouched: Mapping[RoleName, TrustError] = _NO_ERRORS,
        emptied: Mapping[RoleName, Envelope] = _NO_FILES,
        undelegated: Mapping[RoleName, Envelope] = _NO_FILES,
        known: Callable[[Envelope], Envelope | None] = _none_verified,
        look: Callable[[Sequence[Unseen]], None] = _nobody_looks,
    ) -> None:
        self._files = dict(files)
        self.faults = faults
        self.unvouched = unvouched
        self.emptied = emptied
        self.undelegated = undelegated
        self._known = known
        self._look = look

    def __getitem__(self, role: RoleName) -> Envelope:
        return self._files[role]

    def __iter__(self) -> Iterator[RoleName]:
        return iter(self._files)

    def __len__(self) -> int:
        return len(self._files)

    def check_may_sign(self, roles: Iterable[RoleName]) -> None:
        """Check that somebody vouches for the stored content of each of `roles`, and that the owner has seen it.

        Raises: as `check_vouched`; ContentUnseen, if this command looks at what was not verified here before.
        """
        roles = tuple(roles)
        self.check_vouched(roles)
        self.check_seen(roles)

    def check_vouched(self, roles: Iterable[RoleName]) -> None:
        """Check that somebody vouches for the stored content of each of `roles`.

        Raises: NotVouchedFor, ExpiredUnknown, or another error if there is no file that could be signed again.
        """
        for role in roles:
            if role in self.unvouched:
                raise self.unvouched[role]

    def check_seen(self, roles: Iterable[RoleName]) -> None:
        """Check that the owner has seen what these roles list, if this command looks at it. Raises: ContentUnseen."""
        unseen = self.unseen(roles)
        if unseen:
            self._look(unseen)

    def unseen(self, roles: Iterable[RoleName]) -> tuple[Unseen, ...]:
        """Return what the stored files of these roles say that was not verified here before (docs/adr/0122)."""
        files = [self._files[role] for role in roles if role in self._files and role not in self.emptied]
        return tuple(found for file in files if (found := find_unseen(file, self._known(file))) is not None)

    def with_files(self, more: Mapping[RoleName, Envelope]) -> OwnerRoles:
        """Return the same with further files."""
        return OwnerRoles(
            {**self._files, **more},
            faults=self.faults,
            unvouched=self.unvouched,
            emptied=self.emptied,
            undelegated=self.undelegated,
            known=self._known,
            look=self._look,
        )

    def after(self, uploads: Mapping[RoleName, Envelope]) -> OwnerRoles:
        """Return the roles as they are after a publish. An uploaded role has no fault: its upload was judged."""
        read_again = self._read_again(uploads)
        faults = {role: fault for role, fault in self.faults.items() if role not in uploads}
        return OwnerRoles(
            {**self._files, **{role: self.undelegated[role] for role in read_again}, **uploads},
            faults=faults | {role: fault for role, fault in read_again.items() if fault is not None},
            unvouched={role: error for role, error in self.unvouched.items() if role not in uploads},
            emptied={role: file for role, file in self.emptied.items() if role not in uploads},
        )

    def _read_again(self, uploads: Mapping[RoleName, Envelope]) -> dict[RoleName, TrustError | None]:
        """Return the undelegated roles to which the uploaded targets delegate, and why clients refuse them, if so."""
        found: dict[RoleName, TrustError | None] = {}
        delegator = uploads[TARGETS].targets if TARGETS in uploads else None
        for role, file in self.undelegated.items():
            if delegator is None or role in uploads or role not in delegations_of(delegator):
                continue
            found[role] = None
            try:
                check_signatures(delegator, TARGETS, file)
            except NotTrusted as fault:
                found[role] = fault
        return found

    def stored(self) -> dict[RoleName, Envelope]:
        """Return the files as the server has them, those that begin empty included."""
        return {**self._files, **self.emptied}

    def sound(self) -> dict[RoleName, Envelope]:
        """Return the files that clients accept, whether expired or not."""
        return {role: file for role, file in self.stored().items() if role not in self.faults}

    def releases_unreadable(self) -> bool:
        """Return whether `targets` delegates to `targets/releases` and clients refuse that role, so see no tag."""
        return RELEASES in self.faults and RELEASES in delegations_of(self._files[TARGETS].targets)

    def released(self) -> dict[str, Target]:
        """Return what clients answer for each released tag, whether roles have expired or not.

        Raises: ReleaseConflict, DelegationOutOfScope, ContentMismatch.
        """
        return {target.tag: target for target in self.each_released()}

    def each_released(self) -> Iterator[Target]:
        """Yield what `released` returns, sorted by tag, and keep none. Raises, when it gets there: the same."""
        if TARGETS in self._files and not self.releases_unreadable():
            yield from each_released(self.sound())

    def find_released(self, tag: str) -> Target | None:
        """Return what clients answer for one tag, expired or not; None if it is not released, or is unusable.

        Raises: ReleaseConflict, DelegationOutOfScope, ContentMismatch.
        """
        if self.releases_unreadable():
            return None
        try:
            return find_released(tag, self.sound())
        except TargetUnusable:  # its owner may sign it anew
            return None


@dataclass(frozen=True, slots=True, kw_only=True)
class OwnerDecisions:
    """What an owner has decided about roles that nobody vouches for. Nothing is decided by default.

    `accept_unsigned`, `accept_expired`: files, as `file_reference` names them. `start_empty`: delegations. `look`: how
    the owner sees what was not verified here before; None for commands that are about single tags.
    """

    accept_unsigned: frozenset[str] = frozenset()
    accept_expired: frozenset[str] = frozenset()
    start_empty: frozenset[str] = frozenset()
    look: Look | None = None

    def in_plan(self, *, shown: bool) -> OwnerDecisions:
        """Return the decisions for a plan, which asks nobody. `shown`: whether the owner sees the plan."""
        return self if self.look is None else replace(self, look=self.look.in_plan(shown=shown))

    def __bool__(self) -> bool:
        return bool(self.accept_unsigned or self.accept_expired or self.start_empty)


NOTHING_DECIDED: Final = OwnerDecisions()


def file_reference(file: Envelope) -> str:
    """Return the name of exactly one file: `ROLE@sha256:HEX`."""
    return f"{file.role}@sha256:{file.sha256}"


def emptied(file: Envelope) -> Envelope:
    """Return a delegation's file without tags and delegations, at the same version. `raw` stays as it is stored."""
    old = file.targets
    empty = Targets(old.version, old.spec_version, old.expires, {})
    return replace(file, content=empty, signatures={})
