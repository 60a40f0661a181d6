"""The decision about one image, as commands and hooks tell it: may it run, as which digest, by which rule, and why."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Literal, TypeAlias

from keys.record import record

if TYPE_CHECKING:
    from trustdata.errors import TrustError
    from trustdata.gun import GUN
    from trustdata.judgement import Evidence, Judgement

Mode: TypeAlias = Literal["enforce", "audit", "allow", "deny"]


@record
class Decision:
    """Whether an image may run. Only `allowed` decides; everything else says why.

    `image`: the name as it was asked for. `trust_name`: the collection that was judged; another one than that of the
    image where the policy has an alias. `digest`: `sha256:HEX`, what may run; None together with `allowed`: whatever
    the registry serves, since the rule verifies nothing (`allow`) or only watches (`audit`); whoever learns the digest
    then asks again with it, since a rule may be about this digest. `mode`: of the rule.
    `rule`: the file and the rule; empty where no policy counts. `reason`: one sentence for people. `refusal`: why
    verification refused; under `audit` it is told and does not decide. `warnings`: sentences for people. `refreshed`:
    when the server last confirmed the trust data (UTC); None where none was needed or had. `stale`: the server was
    away, and the rule allows data of this age. `exemption`: until when a rule verifies nothing or only watches, and
    why; "" where it does neither. `by_digest`: it is a refusal by a rule or list that names this very digest, which no
    other signed image outweighs that lists it. `by_allow_list`: the settings of this machine allow it, before any
    policy. `judgement`: of verification itself, for `trust explain`; None where nothing was verified, or another
    process has.
    """

    image: str
    trust_name: GUN
    allowed: bool
    digest: str | None
    mode: Mode
    rule: str
    reason: str
    refusal: TrustError | None = None
    evidence: Evidence | None = None
    warnings: tuple[str, ...] = ()
    refreshed: datetime | None = None
    stale: bool = False
    exemption: str = ""
    by_digest: bool = False
    by_allow_list: bool = False
    judgement: Judgement | None = None

    @property
    def verified(self) -> bool:
        """Whether the image is allowed because of what was verified, and not because a rule exempts it."""
        return self.allowed and self.evidence is not None

    @classmethod
    def refused(
        cls, image: str, trust_name: GUN, refusal: TrustError, *, mode: Mode = "enforce", rule: str = ""
    ) -> Decision:
        """Return the decision that an image may not run."""
        return cls(
            image=image,
            trust_name=trust_name,
            allowed=False,
            digest=None,
            mode=mode,
            rule=rule,
            reason=str(refusal),
            refusal=refusal,
        )


@record
class SignedTags:
    """The tags of a name that may run, each with its digest (`sha256:HEX`).

    `refusal`: why there are none. `any_content`: the rule allows whatever the registry serves, tags that are not signed
    included.
    """

    trust_name: GUN
    tags: dict[str, str]
    refusal: TrustError | None = None
    any_content: bool = False
    refreshed: datetime | None = None
