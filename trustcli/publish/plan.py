"""The values of a plan: what a publish would change, which signatures it needs, and what clients would see."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, TypeAlias

from keys.errors import KeysError
from trustdata.editing.difference import Difference, RoleChange
from trustdata.editing.owner_roles import OwnerRoles
from trustdata.editing.unseen import Unseen
from trustdata.envelope import Envelope
from trustdata.errors import TrustError
from trustdata.gun import GUN
from trustdata.roles import RoleName

Failure: TypeAlias = TrustError | KeysError
Behind: TypeAlias = Literal["one", "ten", "all"]


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyPlace:
    """Where a private key is.

    `name`: what it is called there. `new`: it will be made when the plan is carried out, so its id is temporary.
    `holders`: if it is not here, the roles or signers that have it.
    """

    keyid: str
    place: Literal["store", "key-file", "recovery-file", "key-uri", "server", "elsewhere"]
    name: str = ""
    new: bool = False
    holders: tuple[str, ...] = ()

    @property
    def here(self) -> bool:
        """Whether this machine can sign with the key."""
        return self.place in {"store", "key-file", "recovery-file", "key-uri"}


@dataclass(frozen=True, slots=True, kw_only=True)
class SignatureNeed:
    """The signatures that a role's new file needs: `threshold` of `keys`, as the delegator `asked_by` demands.

    `signs`: the keys that will sign.
    """

    role: RoleName
    version: int
    asked_by: str
    threshold: int
    keys: tuple[str, ...]
    signs: tuple[str, ...]

    def met(self, places: Mapping[str, KeyPlace]) -> bool:
        """Return whether enough of the keys can sign from here; `places` says where each key is."""
        return sum(places[keyid].place != "elsewhere" for keyid in self.keys) >= self.threshold


@dataclass(frozen=True, slots=True, kw_only=True)
class ClientUpdate:
    """The result for a client that updates after the publish and knows root `root_from` as its newest.

    `tags`: how many released tags it sees; None if it does not get that far. `refusal`: why it cannot update.
    """

    behind: Behind
    root_from: int
    root_to: int | None
    versions: Mapping[RoleName, int]
    tags: int | None
    refusal: TrustError | None


@dataclass(frozen=True, slots=True, kw_only=True)
class ReleasedChange:
    """A released tag before and after, as clients see it. Digests in hex, None if it is not released.

    `signers_before`, `signers_after`: the signers that list this digest, apart from the repository key.
    """

    tag: str
    before: str | None
    after: str | None
    signers_before: tuple[str, ...]
    signers_after: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class SignedAgain:
    """What of a stored role is signed again as it stands (docs/adr/0122).

    `tags`: with digests in hex, those apart that the edit sets. `unseen`: what the stored file says that was not
    verified here before; None if nothing.
    """

    role: RoleName
    version: int
    sha256: str
    tags: tuple[tuple[str, str], ...]
    unseen: Unseen | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """One publish that was not made.

    `places`: where every key is that the plan names. `issued`: what the server would sign in addition; the dates are
    the server's to choose. `note`: why nothing would change, if nothing would. `left`: what is wrong with roles that
    nobody vouches for, which the publish leaves as they are. `refused_pins`: ids of root certificates; who pins one of
    them alone, and has no root of the collection yet, accepts the one before the publish, and not the one after it.
    `refused_authorities`: names of authorities (CA); who pins one of them refuses the collection after the publish.
    `proposed_denials`: digests (hex) that somebody may want to deny besides; the publish denies none of them.
    `signed_again`: what is signed again as it stands, role by role.
    """

    gun: GUN
    difference: Difference = field(default_factory=Difference)
    signed_again: tuple[SignedAgain, ...] = ()
    issued: tuple[RoleChange, ...] = ()
    needs: tuple[SignatureNeed, ...] = ()
    places: Mapping[str, KeyPlace]
    released: tuple[ReleasedChange, ...] = ()
    clients: tuple[ClientUpdate, ...] = ()
    refused_pins: tuple[str, ...] = ()
    refused_authorities: tuple[str, ...] = ()
    proposed_denials: tuple[str, ...] = ()
    refusal: Failure | None = None
    note: str = ""
    left: tuple[Failure, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Current:
    """A collection as it is: its roles, and the root chain, ascending. Both empty: it does not exist yet."""

    roles: OwnerRoles
    chain: Sequence[Envelope] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Planned:
    """A plan, and the collection as it would be afterwards; None if the edit could not be made."""

    plan: Plan
    after: Current | None = None
