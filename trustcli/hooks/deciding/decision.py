"""The decision about one image, as every door tells it: may it run, as which digest, by which rule, and why."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Literal, TypeAlias

from keys.record import record

if TYPE_CHECKING:
    from trustdata.errors import TrustError
    from trustdata.gun import GUN
    from trustdata.judgement import Evidence

Mode: TypeAlias = Literal["enforce", "audit", "allow", "deny"]


@record
class Decision:
    """Whether an image may run. Only `allowed` decides; everything else says why.

    `image`: the name as it was asked for. `trust_name`: the collection that was judged; another one than that of the
    image where the policy has an alias. `digest`: `sha256:HEX`, what may run; None together with `allowed`: whatever
    the registry serves, since the rule verifies nothing (`allow`) or only watches (`audit`). `mode`: of the rule.
    `rule`: the file and the rule; empty where no policy counts. `reason`: one sentence for people. `refusal`: why
    verification refused; under `audit` it is told and does not decide. `warnings`: sentences for people. `refreshed`:
    when the server last confirmed the trust data (UTC); None where none was needed or had. `stale`: the server was
    away, and the rule allows data of this age.
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
