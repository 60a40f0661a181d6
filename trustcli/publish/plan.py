"""A publish that was not made, as values: what it changes, whose signatures it needs, what clients would see."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, TypeAlias

from keys.errors import KeysError
from trustcli.publish.preparation import Roles
from trustdata.editing.difference import Difference, RoleChange
from trustdata.envelope import Envelope
from trustdata.errors import TrustError
from trustdata.gun import GUN
from trustdata.roles import RoleName

Failure: TypeAlias = TrustError | KeysError
Behind: TypeAlias = Literal["one", "ten", "all"]


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyPlace:
    """Where a private key is. `name`: what it is called there. `new`: it is made when the plan is carried out, so the
    id is a stand-in. `holders`: where it is not here, who has it, by role.
    """

    keyid: str
    place: Literal["store", "recovery-file", "server", "elsewhere"]
    name: str = ""
    new: bool = False
    holders: tuple[str, ...] = ()

    @property
    def here(self) -> bool:
        """Whether this machine can sign with it."""
        return self.place in {"store", "recovery-file"}


@dataclass(frozen=True, slots=True, kw_only=True)
class SignatureNeed:
    """`threshold` of `keys` must sign the role's new file, since `asked_by` says so. `signs`: those that will."""

    role: RoleName
    version: int
    asked_by: str
    threshold: int
    keys: tuple[str, ...]
    signs: tuple[str, ...]

    def met(self, places: Mapping[str, KeyPlace]) -> bool:
        """Whether enough of the keys can be had from here."""
        return sum(places[keyid].place != "elsewhere" for keyid in self.keys) >= self.threshold


@dataclass(frozen=True, slots=True, kw_only=True)
class ClientWalk:
    """A client that knows root `root_from` as its newest, and updates after the publish. `tags`: how many released tags
    it then sees; None if it does not get so far. `refusal`: why it does not follow.
    """

    behind: Behind
    root_from: int
    root_to: int | None
    versions: Mapping[RoleName, int]
    tags: int | None
    refusal: TrustError | None


@dataclass(frozen=True, slots=True, kw_only=True)
class ReleasedChange:
    """A released tag, as clients see it. Digests in hex, None where it is not released. `signers`: who stands behind it
    besides the repository key.
    """

    tag: str
    before: str | None
    after: str | None
    signers_before: tuple[str, ...]
    signers_after: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """One publish that was not made. `places` has every key that stands in it. `issued`: what the server would issue
    with it, without dates, which are the server's. `note`: why there is nothing to change, if there is not.
    """

    gun: GUN
    difference: Difference = field(default_factory=Difference)
    issued: tuple[RoleChange, ...] = ()
    needs: tuple[SignatureNeed, ...] = ()
    places: Mapping[str, KeyPlace]
    released: tuple[ReleasedChange, ...] = ()
    clients: tuple[ClientWalk, ...] = ()
    refusal: Failure | None = None
    note: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Current:
    """A collection as it is: verified roles and the root chain, ascending. Empty: it does not exist yet."""

    roles: Roles
    chain: Sequence[Envelope] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Planned:
    """A plan, and the collection as it would be afterwards (None where the edit could not be made)."""

    plan: Plan
    after: Current | None = None
