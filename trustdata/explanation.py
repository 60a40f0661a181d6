"""Why a verdict is what it is, as plain values for people and for JSON: the chain of reasons.

Names of tags, roles, signers and places are foreign text and stand here as they may be shown: escaped and cut.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Final, Literal, TypeAlias

from trustdata.errors import TrustError
from trustdata.policy import Requirement

StepState: TypeAlias = Literal["verified", "refused", "not published", "not reached"]
Stand: TypeAlias = Literal["agrees", "lists another digest", "does not list it", "has published nothing", "unreadable"]

BEFORE: Final = "the command line and settings"
"""Where it broke, if there was nothing to verify: a name, a setting, a pin file, the server."""
RELEASE: Final = "the release"
SIGNERS: Final = "the signers asked for"
PINS: Final = "the pins"


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerUsed:
    """The trust server, and who named it."""

    url: str
    source: str


@dataclass(frozen=True, slots=True, kw_only=True)
class PinStanding:
    """A pin that counted, and the version of the verified root that holds it; None: no root of the chain does."""

    pin: str
    source: str
    held_by: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class MemoryStanding:
    """Rollback memory as it was before: `root_of_trust` is a fingerprint, `void` the roles whose memory a newer root's
    keys have voided.
    """

    root_of_trust: str
    refreshed: datetime | None
    versions: Mapping[str, int]
    void: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class LockStanding:
    """The lock file's entry. `pins`: whether it was the pin, for want of any other knowledge of the name."""

    source: str
    root_version: int
    root: str
    versions: Mapping[str, int]
    pins: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class RootStep:
    """One verified root. `signed`: its own keys that signed it; `vouched`: those of the root before it, if any.

    `current`: the last of the chain, whose keys count.
    """

    version: int
    sha256: str
    threshold: int
    keys: tuple[str, ...]
    signed: tuple[str, ...]
    vouched: tuple[str, ...]
    expires: datetime
    current: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class RoleStep:
    """One role below root. `version` and what follows is of the file that was verified, if any was; with the state
    `refused` it is what was known before, or the one that is refused for its age.

    `delegator` names the keys. `issued_about`: TUF writes no time of signing; this is what the expiry means if the role
    has its usual lifetime, None if it cannot have. `at_least`: the version below which it would have been refused.
    """

    role: str
    delegator: str
    state: StepState
    threshold: int | None = None
    keys: tuple[str, ...] = ()
    version: int | None = None
    sha256: str | None = None
    signed: tuple[str, ...] = ()
    expires: datetime | None = None
    issued_about: datetime | None = None
    at_least: int | None = None
    at_least_source: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Release:
    """What the releasing role says of the tag. `platform`: the digest that was asked for, if it is an index's child."""

    tag: str
    role: str
    digest: str
    size: int
    children: tuple[str, ...]
    platform: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class SignerStanding:
    """What one signer says of the tag. `digest`: what he lists. `reason`: why his role is unreadable."""

    name: str
    keys: tuple[str, ...]
    required: bool
    stand: Stand
    digest: str | None = None
    reason: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class RegistryAnswer:
    """What the registry gave for the tag just now: a digest (`sha256:HEX`), or why there is none. Never evidence."""

    registry: str
    digest: str | None = None
    reason: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class RegistryStanding:
    """`diverges`: the registry's tag points elsewhere than the signature; None where there is nothing to compare."""

    registry: str
    digest: str | None
    reason: str
    diverges: bool | None


@dataclass(frozen=True, slots=True, kw_only=True)
class VerdictChange:
    """Something that would change the answer. `at`: when, where it has a date (UTC)."""

    what: str
    at: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Explanation:
    """`trusted`, `digest` and `refusal` are the verdict's. `broke_at`: the step that refused, None if all held."""

    name: str
    trusted: bool
    digest: str | None
    refusal: TrustError | None
    broke_at: str | None
    at: datetime
    offline: bool
    server: ServerUsed | None
    pins: tuple[PinStanding, ...]
    memory: MemoryStanding | None
    lock: LockStanding | None
    demands: tuple[Requirement, ...]
    roots: tuple[RootStep, ...]
    roles: tuple[RoleStep, ...]
    release: Release | None
    signers: tuple[SignerStanding, ...]
    registry: RegistryStanding | None
    changes: tuple[VerdictChange, ...]
