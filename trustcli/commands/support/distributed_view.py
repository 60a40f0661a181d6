"""Look for the distributed part of a policy, and show it: which it is, until when, or why it cannot be had."""

from __future__ import annotations

from dataclasses import dataclass

from keys.rfc3339 import to_rfc3339
from trustcli.console.exit_codes import DONE
from trustcli.console.output import failure_document
from trustcli.hooks.deciding.distributed import Obtained, distributed_policy
from trustcli.hooks.deciding.once import OnceReader
from trustcli.session import Session
from trustdata.errors import TrustError
from trustdata.policy import Distributed, Policy


@dataclass(frozen=True, slots=True, kw_only=True)
class Look:
    """The policy with its distributed part, as far as that can be had. `of`: None if all of it is local."""

    policy: Policy
    of: Distributed | None
    found: Obtained | None = None
    failure: TrustError | None = None

    def report(self, session: Session) -> int:
        """Print which it is; return the exit status."""
        if self.of is not None:
            session.output.result(f"distributed {self.of}" + (f": {self.found}" if self.found is not None else ""))
        return DONE if self.failure is None else session.output.failure(self.failure)

    def document(self) -> dict[str, object] | None:
        """Return what `--json` has of it; None if all of the policy is local."""
        if self.of is None:
            return None
        row: dict[str, object] = {"name": str(self.of)}
        hindrance = self.failure
        if self.found is not None:
            kept, hindrance = self.found.kept, self.found.hindrance
            row |= {
                "digest": kept.digest,
                "rules": len(self.found.policy.rules),
                "verified": to_rfc3339(kept.verified),
                "fresh_until": to_rfc3339(kept.fresh_until),
            }
        return row if hindrance is None else row | {"error": failure_document(hindrance)}


def look_for_distributed(session: Session, policy: Policy) -> Look:
    """Ask for the distributed part of a policy. What cannot be had is part of the result: no TrustError is raised."""
    of = policy.distributed
    if of is None:
        return Look(policy=policy, of=None)
    try:
        found = distributed_policy(of, session, OnceReader(session), at=lambda: session.at).current()
    except TrustError as failure:
        return Look(policy=policy, of=of, failure=failure)
    return Look(policy=policy.tightened(found.policy), of=of, found=found)
