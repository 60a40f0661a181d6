"""The explanation of a verdict as plain values: every step of the verification and its result.

The field names of these classes are the members of the JSON output of `trust explain` (docs/adr/0018). Names of tags,
roles, signers and files are foreign text, so they are escaped and cut here.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Final, Literal, TypeAlias

from trustdata.errors import TrustError, shown
from trustdata.forecast import ClientAnswer
from trustdata.policy import Requirement

RoleFate: TypeAlias = Literal["valid", "expired", "renewed by the server"]
StepState: TypeAlias = Literal["verified", "refused", "does not verify", "not published", "not reached"]
SignerState: TypeAlias = Literal[
    "agrees", "lists another digest", "does not list it", "has published nothing", "unreadable"
]

BEFORE: Final = "the command line and settings"
"""The value of `broke_at` if the verification did not begin: a name, a setting or a file of settings is at fault."""
REQUEST: Final = "the request to the trust server"
"""The value of `broke_at` if nothing that could be verified came: no connection, a refusal, an answer that
does not come from a trust server, or no data of this name."""
STORED: Final = "the data stored on this machine"
"""The value of `broke_at` if rollback memory cannot be used, or the stored files are no base for `--offline`."""
RELEASE: Final = "the release"
SIGNERS: Final = "the signers asked for"
DENIED: Final = "the denied digests"
PINS: Final = "the pins"


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerUsed:
    """The trust server. `source`: the setting that names it."""

    url: str
    source: str


@dataclass(frozen=True, slots=True, kw_only=True)
class PinReport:
    """A pin that was compared. `held_by`: the version of the verified root that matches it; None: no root matches."""

    pin: str
    source: str
    held_by: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class MemoryReport:
    """The rollback memory before the verification.

    `root_of_trust`: a fingerprint. `void`: the roles whose entry does not count, because a newer root has replaced the
    online keys.
    """

    root_of_trust: str
    refreshed: datetime | None
    versions: Mapping[str, int]
    void: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class LockReport:
    """The entry of the lock file. `pins`: whether it was used as the pin, because there was no other pin."""

    source: str
    root_version: int
    root: str
    versions: Mapping[str, int]
    pins: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class RootStep:
    """One verified root.

    `signed`: the ids of its own keys that signed it. `vouched`: those of the root before it, if any. `current`: whether
    it is the last root of the chain, whose keys are valid. `named`: whether it names this collection and no other.
    """

    version: int
    sha256: str
    threshold: int
    keys: tuple[str, ...]
    signed: tuple[str, ...]
    vouched: tuple[str, ...]
    expires: datetime
    current: bool
    named: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class RoleStep:
    """One role below root.

    `delegator`: the role that names its keys. `version`, `sha256`, `signed`, `expires`: of the verified file, None if
    there is none; in the state `refused`, of the file that was known before or that has expired. `issued_about`: the
    time of signing, computed from the expiry and the usual lifetime, because TUF records none; None if that is
    impossible. `at_least`: the lowest version that is accepted.
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
    """The entry of the tag in the releasing role. `platform`: the requested digest, if it is a manifest of an index."""

    tag: str
    role: str
    digest: str
    size: int
    children: tuple[str, ...]
    platform: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class SignerReport:
    """The entry of the tag in a signer's role. `digest`: the listed one. `reason`: why the role is unreadable."""

    name: str
    keys: tuple[str, ...]
    required: bool
    stand: SignerState
    digest: str | None = None
    reason: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class RegistryAnswer:
    """The current digest of the tag in the registry (`sha256:HEX`), or the reason why there is none.

    It is shown for comparison and never changes the verdict.
    """

    registry: str
    digest: str | None = None
    reason: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class RegistryReport:
    """The comparison with the registry. `diverges`: whether its digest is not the signed one; None: unknown."""

    registry: str
    digest: str | None
    reason: str
    diverges: bool | None

    @classmethod
    def of(cls, answer: RegistryAnswer | None, release: Release | None, *, longest: int) -> RegistryReport | None:
        """Return the comparison of an answer with the release; None without an answer. `longest`: of the reason."""
        if answer is None:
            return None
        diverges = None
        if answer.digest is not None and release is not None:
            diverges = answer.digest != release.digest and answer.digest not in release.children
        registry, reason = shown(answer.registry), shown(answer.reason, longest)
        return cls(registry=registry, digest=answer.digest, reason=reason, diverges=diverges)


@dataclass(frozen=True, slots=True, kw_only=True)
class DenyListReport:
    """A list of denied digests that was looked at. `denied_by`: its collection; `digests`: how many it has."""

    denied_by: str
    digests: int


@dataclass(frozen=True, slots=True, kw_only=True)
class VerdictChange:
    """An event that would change the verdict. `at`: its time (UTC), if it is known."""

    what: str
    at: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class PolicyReport:
    """What the policy says of the image. `rule`: the file and the rule that counts. `mode`: of the rule.

    `exemption`: until when the rule verifies nothing (`allow`) or only watches (`audit`), and why; "" if it does
    neither. `verified`: whether the image may run because of what was verified. `trust_name`: the collection; another
    name than that of the image if the policy has an alias. `warnings`: sentences.
    """

    rule: str
    mode: str
    exemption: str
    verified: bool
    trust_name: str
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class RoleForecast:
    """What has become of the file of one role at the time that is simulated."""

    role: str
    version: int
    expires: datetime
    fate: RoleFate


@dataclass(frozen=True, slots=True, kw_only=True)
class Simulation:
    """What an explanation of another time than now rests on.

    `read_at`: when the trust data was read; the explanation's `at` is the other time. `server_renews`: the roles that
    the server signs again by itself; `server_asked`: whether it has said so. `breaks_at`, `breaks_role`: from when on
    the image is refused if no owner acts, and because of which role; None if it is refused now, or at no time.
    `without`: why it would be refused if the server, too, signed nothing from now on; "" if it would not.
    """

    read_at: datetime
    server_renews: tuple[str, ...]
    server_asked: bool
    breaks_at: datetime | None
    breaks_role: str | None
    without: str
    roles: tuple[RoleForecast, ...]
    clients: tuple[ClientAnswer, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Explanation:
    """The explanation of one verdict. `real_name`: of the collection; another than `name` if that is an alias.

    `trusted`, `digest`, `refusal`: of the verdict; under a rule that only watches, an image with a refusal may run.
    `demands`: the requirements of options and policy. `broke_at`: the step that refused, None if none did. `policy`:
    None without one. `simulation`: None if the verdict is that of now.
    """

    name: str
    real_name: str
    trusted: bool
    digest: str | None
    refusal: TrustError | None
    broke_at: str | None
    at: datetime
    offline: bool
    server: ServerUsed | None
    pins: tuple[PinReport, ...]
    memory: MemoryReport | None
    lock: LockReport | None
    demands: tuple[Requirement, ...]
    roots: tuple[RootStep, ...]
    roles: tuple[RoleStep, ...]
    release: Release | None
    signers: tuple[SignerReport, ...]
    registry: RegistryReport | None
    changes: tuple[VerdictChange, ...]
    policy: PolicyReport | None = None
    simulation: Simulation | None = None
    denied: tuple[DenyListReport, ...] = ()
