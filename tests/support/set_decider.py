"""A `Decider` that says what a test has set: signed tags with what their indexes list, and the mode of the rule."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Final

from keys.record import replace
from trustcli.hooks.deciding.decision import Decision, Mode, SignedTags
from trustcli.registry.reference import ImageReference
from trustdata.errors import NotSigned, PolicyRefused, TrustError
from trustdata.gun import GUN
from trustdata.judgement import Evidence

_EVIDENCE: Final = Evidence(
    versions={}, released_by="targets", tags=("1",), signers=(), fresh_until=datetime(2027, 1, 1, tzinfo=UTC)
)


@dataclass(kw_only=True)
class SetDecider:
    """`signed`: digest by tag. `open_tags`: of which a rule of mode `mode` lets everything pass; None: of all, if the
    mode is not `enforce`. `denied`: digests that a rule denies. `refusal`: of everything. `asked`: each question, in
    order.
    """

    signed: dict[str, str] = field(default_factory=dict)
    mode: Mode = "enforce"
    open_tags: frozenset[str] | None = None
    denied: set[str] = field(default_factory=set)
    refusal: TrustError | None = None
    asked: list[str] = field(default_factory=list)

    def decide(self, reference: ImageReference, digest: str | None = None) -> Decision:
        self.asked.append(str(reference) + (f" is {digest}" if digest else ""))
        known = reference.digest or digest
        if self.refusal is not None:
            return Decision.refused(reference.given, reference.gun, self.refusal)
        if known in self.denied:
            denied = PolicyRefused(name=reference.gun, rule="policy.toml: rule 3", reason="the rule denies it")
            return replace(Decision.refused(reference.given, reference.gun, denied), by_digest=True)
        found = self.signed.get(reference.tag) if reference.tag else known if known in self.signed.values() else None
        if found is not None and known in {None, found}:
            return Decision(
                image=reference.given,
                trust_name=reference.gun,
                allowed=True,
                digest=found,
                mode="enforce",
                rule="policy.toml: rule 1",
                reason="signed",
                evidence=_EVIDENCE,
            )
        refusal = NotSigned(gun=reference.gun, tag=reference.tag or str(known))
        is_open = self.mode in {"allow", "audit"} and (self.open_tags is None or reference.tag in self.open_tags)
        if not is_open:
            return Decision.refused(reference.given, reference.gun, refusal)
        return Decision(
            image=reference.given,
            trust_name=reference.gun,
            allowed=True,
            digest=known,
            mode=self.mode,
            rule="policy.toml: rule 2",
            reason="only watched",
            refusal=refusal,
            warnings=(f"{reference} would be refused",),
        )

    def named_digests(self, gun: GUN) -> frozenset[str]:
        del gun
        return frozenset(self.denied)

    def signed_tags(self, gun: GUN) -> SignedTags:
        self.asked.append(f"tags of {gun}")
        if self.refusal is not None:
            return SignedTags(trust_name=gun, tags={}, refusal=self.refusal)
        return SignedTags(
            trust_name=gun, tags=dict(self.signed), any_content=self.mode != "enforce" and self.open_tags is None
        )
