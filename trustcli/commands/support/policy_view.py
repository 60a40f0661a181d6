"""Show what a policy says of an image: the rules that count, why, and what they require."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta

from trustcli.client.policy_file import tag_meant
from trustcli.registry.reference import parse_reference
from trustdata.duration import typed_duration
from trustdata.errors import PolicyRefused, TrustError
from trustdata.gun import GUN
from trustdata.policy import Policy, Requirement, Rule
from trustdata.policy.rule import added_up


@dataclass(frozen=True, slots=True, kw_only=True)
class RuleForImage:
    """What a policy says of one image.

    `trust_name`: the collection. `counting`: the rules that count. `rule`: what they add up to. `matching`: how many
    match, with those that do not count. `further`: how many of those that count are distributed; they come last.
    `refusal`: why no image of this name may run, or why the name is none.
    """

    image: str
    trust_name: GUN
    counting: tuple[Rule, ...] = ()
    matching: int = 0
    further: int = 0
    rule: Rule | None = None
    aliased: bool = False
    refusal: TrustError | None = None


def rule_for_image(policy: Policy, image: str, at: datetime) -> RuleForImage:
    """Return what a policy says of an image as it is written; nothing is verified."""
    try:
        reference = parse_reference(image)
    except TrustError as error:
        return RuleForImage(image=image, trust_name=GUN(""), refusal=error)
    trust_name, tag = policy.trust_name(reference.gun), tag_meant(reference)
    counting = policy.counting(trust_name, tag=tag, digest=reference.digest, at=at)
    of_file = policy.tightened(None).counting(trust_name, tag=tag, digest=reference.digest, at=at)
    rule, refusal = None, None
    try:
        rule = added_up(counting, trust_name, at) if counting else None
        policy.rule_for(trust_name, tag=tag, digest=reference.digest, at=at)
    except PolicyRefused as error:
        refusal = error
    return RuleForImage(
        image=image,
        trust_name=trust_name,
        counting=counting,
        matching=sum(
            each.matches(trust_name, tag, reference.digest)
            for part in (policy, policy.further)
            if part is not None
            for each in part.about(trust_name)
        ),
        further=len(counting) - len(of_file),
        rule=rule,
        aliased=trust_name != reference.gun,
        refusal=refusal,
    )


def why(found: RuleForImage) -> str:
    """Return in words why these rules count."""
    if found.matching == len(found.counting) == 1:
        return "the only rule that matches"
    if len(found.counting) == 1:
        return f"the most specific of {found.matching} that match"
    of_file = [rule.rank for rule in found.counting[: len(found.counting) - found.further]]
    reasons = []
    if len(set(of_file)) < len(of_file):
        reasons.append("equally specific rules all count")
    if len(set(of_file)) > 1:
        reasons.append("an exemption that has run out, or not begun, hides no rule")
    if found.further:
        reasons.append("distributed rules count beside the file's")
    return f"all of them must hold: {', and '.join(reasons)}"


def lines(found: RuleForImage) -> Iterator[str]:
    """Return the lines for people."""
    yield found.image
    if found.aliased:
        yield f"  alias of     {found.trust_name}, whose pins, memory and server count"
    for each in found.counting:
        yield f"  rule         {each.source}"
    rule = found.rule
    if rule is None:
        return
    yield f"  why          {why(found)}"
    yield f"  mode         {rule.mode}" + (f", {rule.exemption}" if rule.exemption else "")
    if rule.mode in {"allow", "deny"}:
        return
    for requirement in rule.requirements:
        yield f"  requires     {_requirement(requirement)}"
    for pinned in rule.sourced_pins():
        yield f"  pin          {pinned.pin}"
    if rule.server:
        yield f"  server       {rule.server}"
    if rule.max_life is not None:
        yield f"  max_life     {typed_duration(rule.max_life.timestamp)}"
    stale = f"data of at most {typed_duration(rule.max_staleness)}" if rule.max_staleness else "refused"
    yield f"  server away  {stale}"
    for second in rule.seconds:
        yield f"  second       {second.match}: {'; '.join(map(_requirement, second.requirements))}"


def _requirement(requirement: Requirement) -> str:
    signed = f"signed by {requirement}" if requirement.signers else ""
    released = "released" if requirement.released else "released or not"
    if requirement.releases_only:
        released += " by targets/releases, where there are signers"
    return f"{signed}, {released}" if signed else released


def document(found: RuleForImage) -> dict[str, object]:
    """Return what `--json` has of one image, without its refusal, which the caller adds."""
    rule = found.rule
    row: dict[str, object] = {
        "image": found.image,
        "trust_name": str(found.trust_name),
        "rules": [each.source for each in found.counting],
        "mode": rule.mode if rule else None,
    }
    if rule is None:
        return row
    return row | {
        "why": why(found),
        "exemption": str(rule.exemption) if rule.exemption else None,
        "requires": [_requires(each) for each in rule.requirements],
        "pins": [str(pinned.pin) for pinned in rule.sourced_pins()],
        "server": rule.server or None,
        "max_life": _seconds(rule.max_life.timestamp) if rule.max_life else None,
        "max_staleness": _seconds(rule.max_staleness),
        "second": [
            {
                "name": second.match,
                "requires": [_requires(each) for each in second.requirements],
                "pins": [str(pinned.pin) for pinned in second.sourced_pins()],
            }
            for second in rule.seconds
        ],
    }


def _requires(requirement: Requirement) -> dict[str, object]:
    return {
        "signers": list(requirement.signers),
        "threshold": requirement.threshold,
        "released": requirement.released,
    }


def _seconds(span: timedelta | None) -> int | None:
    return None if span is None else int(span.total_seconds())
