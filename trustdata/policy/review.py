"""Look a policy over: rules that can never count, exemptions that have run out, and what surprises its owner."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from typing import Final, Literal, TypeAlias

from keys.record import record
from trustdata.collection_patterns import pattern_matches
from trustdata.gun import GUN
from trustdata.policy.aliases import Alias
from trustdata.policy.requirement import Requirement
from trustdata.policy.rule import MODES, Rule
from trustdata.policy.selection import Policy
from trustdata.verification.trust_pinning import AuthorityPin

Kind: TypeAlias = Literal[
    "never-counts",
    "run-out",
    "not-begun",
    "runs-out",
    "audit",
    "break-glass",
    "by-digest",
    "any-host",
    "ca-unused",
    "ca-ends",
]
SOON: Final = timedelta(days=30)
"""How long before its end an exemption, or the certificate of a CA, is told."""
_UNMATCHED_IS_REFUSED: Final = ""
"""Nothing need be said of images that no rule of the file matches."""


@record
class Note:
    """Something that the owner of a policy should know. `rule`: the rule or CA that it is about. `text`: a sentence."""

    kind: Kind
    rule: str
    text: str


def review(policy: Policy, at: datetime) -> tuple[Note, ...]:
    """Return what is to be said about a policy, in the order of its rules and CAs; then about what is distributed."""
    own = tuple(note for rule in policy.rules for note in _notes(policy, rule, at, _UNMATCHED_IS_REFUSED))
    own += tuple(note for authority in policy.authorities for note in _of_authority(policy, authority, at))
    return own if policy.further is None else (*own, *review_distributed(policy.further, at))


def review_distributed(policy: Policy, at: datetime) -> tuple[Note, ...]:
    """Return what is to be said about a policy that is distributed (`read_distributed`), in the order of its rules."""
    return tuple(note for rule in policy.rules for note in _notes(policy, rule, at, "judged without it"))


def _notes(policy: Policy, rule: Rule, at: datetime, unmatched: str) -> Iterator[Note]:
    """Yield what is to be said about one rule. `unmatched`: what becomes of an image that no rule of these matches."""
    alias = next((alias for alias in policy.aliases if _hides(alias, rule)), None)
    if alias is not None:
        reason = f"{alias.name} is an alias of {alias.trust}, whose rules count"
        yield Note(kind="never-counts", rule=rule.source, text=f"never counts: {reason}")
    stricter = next((other for other in policy.by_match[rule.match] if _covers(other, rule, at)), None)
    if stricter is not None:
        reason = f"{stricter.source} is as specific, and its mode is {stricter.mode_at(at)}"
        yield Note(kind="never-counts", rule=rule.source, text=f"never counts: {reason}")
    if rule.match == "*" and rule.pins and not rule.server and rule.mode_at(at) in {"enforce", "audit"}:
        text = "has pins for every name and no server: whichever host an image names is asked for its trust data"
        yield Note(kind="any-host", rule=rule.source, text=text)
    yield from _of_exemption(rule, at)
    if rule.tags and not rule.digests:
        yield from _by_digest(policy, rule, at, unmatched)


def _of_authority(policy: Policy, authority: AuthorityPin, at: datetime) -> Iterator[Note]:
    """Say if no pin names an authority, and which of its certificates end soon, or have ended."""
    from keys.authorities import authority_end  # only policies with a CA read certificates: start-up time

    place = f"{policy.source}, {authority}"
    further = [policy.distributed.terms] if policy.distributed is not None else []
    naming = [*policy.rules, *further, *(denying.terms for denying in policy.denying)]
    naming += [rule.second for rule in policy.rules if rule.second is not None]
    if not any(authority in rule.pins for rule in naming):
        yield Note(kind="ca-unused", rule=place, text="no pin names it")
    for number, certificate in enumerate(authority.certificates, 1):
        end = authority_end(certificate)
        if end - at <= SOON:
            when = "has ended" if end < at else f"ends within {SOON.days} days"
            text = f"certificate {number} {when}, at {end:%Y-%m-%d %H:%M} UTC: what it alone vouches for is refused"
            yield Note(kind="ca-ends", rule=place, text=text)


def _hides(alias: Alias, rule: Rule) -> bool:
    """Return whether every name that the rule matches is another one by the alias."""
    if rule.match.endswith("*"):
        return alias.name.endswith("/*") and rule.match.startswith(alias.name[:-1])
    return pattern_matches(alias.name, GUN(rule.match))


def _covers(other: Rule, rule: Rule, at: datetime) -> bool:
    """Return whether another rule counts wherever this one does, and leaves nothing of it to count."""
    if other is rule or other.rank != rule.rank:
        return False
    same_images = (set(rule.tags) <= set(other.tags) or "*" in other.tags) and set(rule.digests) <= set(other.digests)
    mode, strict = rule.mode_at(at), other.mode_at(at)
    adds_nothing = mode in {"allow", "audit"} and not _demands(rule)
    return same_images and MODES.index(strict) > MODES.index(mode) and (strict == "deny" or adds_nothing)


def _demands(rule: Rule) -> bool:
    """Return whether a rule requires something beside a release."""
    return bool(rule.pins or rule.second or any(each.signers for each in rule.requirements))


def _of_exemption(rule: Rule, at: datetime) -> Iterator[Note]:
    exemption = rule.exemption
    if exemption is None:
        return
    if at >= exemption.until:
        text = f"{rule.mode} has run out ({exemption}); what it named is verified"
        yield Note(kind="run-out", rule=rule.source, text=text)
        return
    if not exemption.counts(at):
        yield Note(kind="not-begun", rule=rule.source, text=f"{rule.mode} has not begun ({exemption})")
    if exemption.break_glass:
        yield Note(kind="break-glass", rule=rule.source, text=f"nothing is verified: {exemption}")
    elif rule.mode == "audit":
        yield Note(kind="audit", rule=rule.source, text=f"only watches, {exemption}: refused images may run")
    if exemption.until - at <= SOON:
        yield Note(kind="runs-out", rule=rule.source, text=f"{rule.mode} runs out within {SOON.days} days: {exemption}")


def _by_digest(policy: Policy, rule: Rule, at: datetime, unmatched: str) -> Iterator[Note]:
    """Say if a rule about tags asks for more than what decides where the digest alone is named."""
    name = GUN(f"{rule.match[:-1]}x/x" if rule.match.endswith("*") else rule.match)
    plain = policy.counting(name, at=at)
    if plain and _asks_less(plain, rule, at):
        judged = f"judged by {' and '.join(other.source for other in plain)}, which asks for less"
    elif not plain and unmatched:
        judged = unmatched
    else:
        return
    text = f"is about tags alone: an image that is named by its digest is {judged}"
    yield Note(kind="by-digest", rule=rule.source, text=text)


def _asks_less(plain: Sequence[Rule], rule: Rule, at: datetime) -> bool:
    """Return whether some rules together let an image run that another rule would not."""
    mode, theirs = rule.mode_at(at), max((other.mode_at(at) for other in plain), key=MODES.index)
    if mode != theirs or mode in {"allow", "deny"}:
        return MODES.index(theirs) < MODES.index(mode)
    asked = [each for other in plain for each in other.requirements]
    seconds = {other.second.match for other in plain if other.second is not None}
    return not (
        all(any(_includes(other, each) for other in asked) for each in rule.requirements)
        and {*rule.pins} <= {pin for other in plain for pin in other.pins}
        and (rule.second is None or rule.second.match in seconds)
    )


def _includes(more: Requirement, asked: Requirement) -> bool:
    """Return whether whatever meets a requirement meets another one, too."""
    others = len({*more.signers} - {*asked.signers})
    return (
        max(more.threshold - others, 0) >= asked.threshold
        and more.released >= asked.released
        and more.releases_only >= asked.releases_only
    )
