"""A whole policy: which of its rules count for an image."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from itertools import groupby

from keys.record import record, replace
from trustdata.collection_patterns import matching_patterns
from trustdata.errors import DENIED, NO_RULE, PolicyRefused
from trustdata.gun import GUN
from trustdata.hosts import has_one_spelling
from trustdata.policy.aliases import Alias, alias_for
from trustdata.policy.denying import DenyingCollection
from trustdata.policy.distributed import Distributed
from trustdata.policy.rule import Rule, added_up
from trustdata.verification.trust_pinning import AuthorityPin


@record
class Policy:
    """The rules of a policy, in the order of the file, which decides nothing. `source`: the file, for messages.

    `by_match`: the same rules by their `match`; made by `of`. `distributed`: where further rules come from. `further`:
    those rules, once somebody has got them. `denying`: collections whose lists of denied digests count for every name.
    `authorities`: those that pins may name. `has_digests`: whether a rule of the file is about digests.
    """

    source: str
    rules: tuple[Rule, ...]
    aliases: tuple[Alias, ...]
    by_match: Mapping[str, tuple[Rule, ...]]
    distributed: Distributed | None = None
    further: Policy | None = None
    denying: tuple[DenyingCollection, ...] = ()
    authorities: tuple[AuthorityPin, ...] = ()
    has_digests: bool = True

    @classmethod
    def of(
        cls,
        *,
        source: str,
        rules: Sequence[Rule],
        aliases: Sequence[Alias] = (),
        distributed: Distributed | None = None,
        denying: Sequence[DenyingCollection] = (),
        authorities: Sequence[AuthorityPin] = (),
    ) -> Policy:
        """Return a policy of these rules."""
        by_match: dict[str, list[Rule]] = {}
        for rule in rules:
            by_match.setdefault(rule.match, []).append(rule)
        return cls(
            source=source,
            rules=tuple(rules),
            aliases=tuple(aliases),
            by_match={match: tuple(of_match) for match, of_match in by_match.items()},
            distributed=distributed,
            denying=tuple(denying),
            authorities=tuple(authorities),
            has_digests=any(rule.digests for rule in rules),
        )

    def tightened(self, further: Policy | None) -> Policy:
        """Return the policy with further rules, which only add to what its own rules say of an image.

        `further`: made by `read_distributed`, whose rules exempt nothing, and have neither pins nor servers. None: the
        rules of the file alone.
        """
        return replace(self, further=further)

    def trust_name(self, gun: GUN) -> GUN:
        """Return the name whose collection counts: another one than that of the registry only by an alias."""
        alias = alias_for(self.aliases, gun)
        return gun if alias is None else alias.trust_name(gun)

    def counting(
        self, gun: GUN, *, tag: str | None = None, digest: str | None = None, at: datetime
    ) -> tuple[Rule, ...]:
        """Return the rules that count for an image, the most specific first; none is a refusal.

        The most specific ones count: a whole name before a prefix, a longer prefix before a shorter one; then rules
        with digests before those with tags, and these before others. Of an exemption that has run out, the
        requirements count, and it hides no other rule: what it had excepted is judged again as without it. Beside these
        count, in the same way, the most specific of the further rules: they hide no rule of the file, nor it them.

        `gun`: the trust name. `digest`: `sha256:HEX`, if it is known.
        """
        matching = (rule for rule in self.about(gun) if rule.matches(gun, tag, digest))
        found: list[Rule] = []
        for _, equal in groupby(matching, key=lambda rule: rule.rank):
            group = list(equal)
            found += group
            if any(rule.mode_at(at) == rule.mode for rule in group):
                break
        if found and self.further is not None:
            found += self.further.counting(gun, tag=tag, digest=digest, at=at)
        return tuple(found)

    def about(self, gun: GUN) -> tuple[Rule, ...]:
        """Return every rule of the file that may count for some tag or digest of a name, the most specific first.

        None of a name whose host has a plainer spelling: what leads to a registry under that one would be judged by the
        rules for other names.
        """
        if not _is_plain(gun):
            return ()
        matching = (rule for pattern in matching_patterns(gun) for rule in self.by_match.get(pattern, ()))
        return tuple(sorted(matching, key=lambda rule: rule.rank, reverse=True))

    @property
    def is_about_digests(self) -> bool:
        """Whether a rule is about digests, of the further rules too: if not, a digest changes nothing."""
        return self.has_digests or (self.further is not None and self.further.has_digests)

    def named_digests(self, gun: GUN) -> frozenset[str]:
        """Return the digests of a name (`sha256:HEX`) that a rule is about, of the further rules too."""
        own = frozenset(digest for rule in self.about(gun) for digest in rule.digests)
        return own if self.further is None else own | self.further.named_digests(gun)

    def rule_for(self, gun: GUN, *, tag: str | None = None, digest: str | None = None, at: datetime) -> Rule:
        """Return what the rules say that count for an image, added up to one.

        `gun`: the trust name. `digest`: `sha256:HEX`, if it is known. Raises: PolicyRefused if no rule matches, if one
        denies the image, or if they contradict each other.
        """
        counting = self.counting(gun, tag=tag, digest=digest, at=at)
        if not counting:
            plainer = "its host has a plainer spelling, by which rules know it"
            reason = NO_RULE if _is_plain(gun) else plainer
            raise PolicyRefused(name=gun, rule=self.source, reason=reason)
        rule = added_up(counting, gun, at)
        if rule.mode == "deny":
            raise PolicyRefused(name=gun, rule=rule.source, reason=DENIED)
        return rule


def _is_plain(gun: GUN) -> bool:
    return has_one_spelling(gun.partition("/")[0])
