"""The interfaces of a decision: who decides, and where verified trust data comes from."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Protocol

from keys.record import record

if TYPE_CHECKING:
    from trustcli.hooks.deciding.decision import Decision, SignedTags
    from trustcli.registry.reference import ImageReference
    from trustdata.denied import DenyList
    from trustdata.errors import TrustError
    from trustdata.gun import GUN
    from trustdata.judgement import Judgement, Question
    from trustdata.policy import Rule
    from trustdata.verification.target_lookup import Target


class Decider(Protocol):
    """Decides about images. No method raises a TrustError: what cannot be judged is a refusal."""

    def decide(self, reference: ImageReference, digest: str | None = None) -> Decision:
        """Decide about a name. `digest` (`sha256:HEX`): what the registry serves under it, if that is known."""

    def signed_tags(self, gun: GUN) -> SignedTags:
        """Return the tags of a name that may run, by the same rules."""

    def named_digests(self, gun: GUN) -> frozenset[str]:
        """Return the digests of a name that rules or deny lists are about: there is nothing special about others."""


@record
class Reading:
    """Verified trust data of one collection, read for some questions.

    `judgements`: one for each question, in their order. `refreshed`: when the server last confirmed the data (UTC);
    None if it never did. `stale`: the server is away; the data is older, within the rule's bound. `away`: what says so.
    """

    judgements: tuple[Judgement, ...]
    refreshed: datetime | None = None
    stale: bool = False
    away: TrustError | None = None


@record
class ReleasedTags:
    """All released tags of a collection, verified; `refusal` instead if it cannot be read.

    Where the rule says that signers alone decide, all that they list (`trustdata.judgement.candidates`).
    """

    targets: tuple[Target, ...]
    refusal: TrustError | None = None
    refreshed: datetime | None = None
    stale: bool = False


@record
class DenyListRead:
    """What one collection denies, verified; `refusal` instead if it cannot be read. The rest is as in `Reading`."""

    denied: DenyList | None = None
    refusal: TrustError | None = None
    refreshed: datetime | None = None
    stale: bool = False


class TrustDataReader(Protocol):
    """Reads and verifies collections: once for each question (a process that ends), or kept in memory (resident).

    `rule`: what the policy says of this name: its pins, server, `max_life` and `max_staleness` hold for the reading;
    None without a policy. No method raises a TrustError. Safe to be called from several threads if it is resident.
    """

    def judge(self, gun: GUN, rule: Rule | None, questions: Sequence[Question]) -> Reading:
        """Judge questions about one collection; an unknown tag or digest earns one refresh."""

    def released(self, gun: GUN, rule: Rule | None) -> ReleasedTags:
        """Return all released tags."""

    def denied(self, gun: GUN, rule: Rule | None) -> DenyListRead:
        """Return what a collection denies."""
