"""One rule of a policy, and how rules that count together add up to one."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Final, Literal, TypeAlias

from keys.record import record, replace
from trustdata.collection_patterns import pattern_matches, specificity
from trustdata.errors import DIFFERENT_SERVERS, PolicyRefused
from trustdata.gun import GUN
from trustdata.lifetimes import MaxLife
from trustdata.policy.exemption import Exemption, joined
from trustdata.policy.requirement import Requirement
from trustdata.policy.tag_patterns import matches_tag
from trustdata.verification.trust_pinning import Pin, SourcedPin

Mode: TypeAlias = Literal["allow", "audit", "enforce", "deny"]
MODES: Final[tuple[Mode, ...]] = ("allow", "audit", "enforce", "deny")
"""From the most lenient to the strictest."""


@record
class Rule:
    """One rule of a policy, or what several that count together say. `source`: the file and the rule, for messages.

    `match`, `tags`, `digests`: what it is about; of the last two, empty means any. `mode`: `enforce` verifies, `audit`
    verifies and lets refused images run, `allow` verifies nothing, `deny` refuses. `exemption`: of `audit` and `allow`.
    `requirements`: each must be met. `pins`: they go before those of the user. `server`: the URL of the trust server,
    "" for that of the settings. `max_life`: how long timestamp and snapshot may be valid from now on; None for what
    else is set, or for the limits of the format. `max_staleness`: how old verified trust data may be while the server
    is away; None: no older data is used. `second`: a second trust domain, the rule of another collection that must
    allow the same digest; its `match` names that collection. `seconds`: the same of a rule that counts for one image.
    """

    source: str
    match: str
    requirements: tuple[Requirement, ...]
    pins: tuple[Pin, ...] = ()
    tags: tuple[str, ...] = ()
    digests: tuple[str, ...] = ()
    mode: Mode = "enforce"
    exemption: Exemption | None = None
    server: str = ""
    max_life: MaxLife | None = None
    max_staleness: timedelta | None = None
    second: Rule | None = None
    seconds: tuple[Rule, ...] = ()
    pin_sources: tuple[SourcedPin, ...] = ()

    def matches(self, gun: GUN, tag: str | None = None, digest: str | None = None) -> bool:
        """Return whether the rule is about an image. A rule with tags is not about one whose tag is not known."""
        return (
            pattern_matches(self.match, gun)
            and (not self.tags or (tag is not None and any(matches_tag(pattern, tag) for pattern in self.tags)))
            and (not self.digests or digest in self.digests)
        )

    @property
    def rank(self) -> tuple[tuple[bool, int], bool, bool]:
        """The key by which a more specific rule comes after a less specific one: name, then digests, then tags."""
        return specificity(self.match), bool(self.digests), bool(self.tags)

    def mode_at(self, at: datetime) -> Mode:
        """Return the mode that counts at this time: an exemption that has run out, or not begun, is none."""
        return self.mode if self.exemption is None or self.exemption.counts(at) else "enforce"

    def sourced_pins(self) -> list[SourcedPin]:
        """Return the rule's pins, with the rule as their source."""
        if self.pin_sources:
            return list(self.pin_sources)
        of_pattern = self.match.endswith("*")
        return [SourcedPin(pin=pin, source=self.source, of_pattern=of_pattern) for pin in self.pins]

    def with_second(self, second: Rule) -> Rule:
        """Return the rule with a second trust domain."""
        return replace(self, second=second)

    def renamed(self, source: str) -> Rule:
        """Return the rule with another text as its source, and that of its requirements."""
        requirements = tuple(replace(requirement, source=source) for requirement in self.requirements)
        return replace(self, source=source, requirements=requirements)

    def for_name(self, gun: GUN) -> Rule:
        """Return the rule for one name that it matches: the second collection is that of this name."""
        if self.second is None:
            return self
        name = carried(self.match, self.second.match, gun)
        # The pins stay those of the pattern: they do not say that there is a collection of this name.
        second = replace(self.second, match=name, pin_sources=tuple(self.second.sourced_pins()))
        return replace(self, second=None, seconds=(second,))


def carried(pattern: str, other: str, gun: GUN) -> GUN:
    """Return what `other` makes of a name that `pattern` matches: what stands for one `*` stands for the other's."""
    return GUN(other[:-1] + gun.removeprefix(pattern[:-1])) if other.endswith("/*") else GUN(other)


def added_up(rules: Sequence[Rule], gun: GUN, at: datetime) -> Rule:
    """Return one rule that allows only what each of these allows. `rules`: at least one; all match the name.

    The strictest mode counts, and every requirement and pin. Of several limits the shortest counts; a rule without
    `max_staleness` allows none.

    Raises: PolicyRefused if they name different servers.
    """
    named = [rule.for_name(gun) for rule in rules]
    mode = max((rule.mode_at(at) for rule in named), key=MODES.index)
    source = " and ".join(rule.source for rule in named)
    servers = {rule.server for rule in named if rule.server}
    if len(servers) > 1:
        raise PolicyRefused(name=gun, rule=source, reason=f"{DIFFERENT_SERVERS}: {', '.join(sorted(servers))}")
    lives = [rule.max_life for rule in named if rule.max_life is not None]
    stale = [rule.max_staleness for rule in named]
    exempting = [rule.exemption for rule in named if rule.exemption is not None and rule.mode_at(at) == rule.mode]
    exemption = joined(exempting) if mode in {"allow", "audit"} else None
    if len(named) == 1:
        (rule,) = named
        is_same = rule.mode == mode and rule.exemption == exemption
        return rule if is_same else replace(rule, mode=mode, exemption=exemption)
    return Rule(
        source=source,
        match=max((rule.match for rule in named), key=specificity),
        tags=(),
        mode=mode,
        exemption=exemption,
        requirements=tuple(requirement for rule in named for requirement in rule.requirements),
        pins=tuple(dict.fromkeys(pin for rule in named for pin in rule.pins)),
        pin_sources=tuple(pinned for rule in named for pinned in rule.sourced_pins()),
        server=next(iter(servers), ""),
        max_life=min(lives, key=lambda life: (life.timestamp, life.snapshot)) if lives else None,
        max_staleness=min(each for each in stale if each is not None) if None not in stale else None,
        seconds=tuple(second for rule in named for second in rule.seconds),
    )
