"""The trust policy: rules by name of the image that say what is required before it may run.

This module reads a parsed TOML document; it does not open files. A rule:

    [[rule]]
    match = "registry.example.com/team/*"   # a name, a prefix followed by /*, or "*" for every name
    action = "verify"                       # or "deny"
    signers = ["alice", "bob"]              # the signers that must have signed the same digest
    threshold = 1                           # how many of them; by default all
    pins = ["sha256:..."]                   # the root of trust; these pins go before those of the user
    max_life = "400d"                       # how long timestamp and snapshot may be valid from now on

Only the most specific matching rule counts. An image that no rule matches is refused.

To add an attribute of what is required, read it in `_read_rule`, store it in `Requirement` and check it there; no other
file names one. Pins and `max_life` are no such attributes: they are used before anything is verified.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final, Literal

from keys.algorithms import key_fingerprint
from keys.document_version import DocumentKind
from keys.record import record, replace
from trustdata.collection_patterns import PATTERN_RULE, is_pattern, pattern_matches, specificity
from trustdata.document_version import refuse_newer
from trustdata.envelope import Envelope
from trustdata.errors import InvalidName, PolicyMalformed, PolicyRefused, shown
from trustdata.gun import GUN
from trustdata.lifetimes import MaxLife
from trustdata.model import UnusableTarget
from trustdata.roles import TARGETS, RoleName, signer_name, signer_role
from trustdata.verification import checks
from trustdata.verification.delegations import delegations_of
from trustdata.verification.target_lookup import Target, read_target
from trustdata.verification.trust_pinning import Pin, SourcedPin, parse_pin

KIND: Final = DocumentKind(what="a policy")
Action = Literal["verify", "deny"]
_MEMBERS: Final = {"match", "action", "signers", "threshold", "pins", "max_life"}


@record
class Requirement:
    """A requirement on a released tag: at least `threshold` of `signers` must have signed the same digest.

    `signers` empty: nothing more than the release is required. `source`: the option or rule, for messages.
    """

    source: str
    signers: tuple[str, ...]
    threshold: int

    def __str__(self) -> str:
        return f"{self.threshold} of {', '.join(self.signers) or 'nobody in particular'}"

    def roles(self) -> tuple[RoleName, ...]:
        """Return the delegations that must be loaded to check the requirement."""
        return tuple(map(signer_role, self.signers))

    def escaped(self, limit: int) -> Requirement:
        """Return a copy that is safe to print: foreign text escaped, the source cut to `limit` characters."""
        return replace(self, source=shown(self.source, limit), signers=tuple(map(shown, self.signers)))

    def check(
        self,
        gun: GUN,
        target: Target,
        agreeing: Sequence[RoleName],
        roles: Mapping[RoleName, Envelope],
        *,
        requested: str | None,
    ) -> None:
        """Check that enough of the signers have signed a released target.

        `agreeing`: the signers' roles that list its digest. `requested`: a digest (`sha256:HEX`), for messages.

        Raises: PolicyRefused.
        """
        required = self.roles()
        if _distinct([role for role in required if role in agreeing], roles) < self.threshold:
            missing = [role for role in required if role not in agreeing]
            raise PolicyRefused(
                name=f"{gun}:{target.tag}",
                rule=self.source,
                reason="; ".join(_why_missing(gun, role, target, roles, requested) for role in missing)
                or "several of the signers have one and the same key",
            )


@record
class Rule:
    """One rule of a policy. `source`: the file and the pattern, for messages.

    `max_life`: how long timestamp and snapshot may be valid from now on; None for what else is set, or for the limits
    of the format.
    """

    source: str
    match: str
    action: Action
    requirement: Requirement
    pins: tuple[Pin, ...]
    max_life: MaxLife | None = None

    def matches(self, gun: GUN) -> bool:
        """Return whether the rule matches the name."""
        return pattern_matches(self.match, gun)

    def sourced_pins(self) -> list[SourcedPin]:
        """Return the rule's pins, with the rule as their source."""
        of_pattern = self.match.endswith("*")
        return [SourcedPin(pin=pin, source=self.source, of_pattern=of_pattern) for pin in self.pins]


@record
class Policy:
    """The rules of a policy, in the order of the file. `source`: the file, for messages."""

    source: str
    rules: tuple[Rule, ...]

    def rule_for(self, gun: GUN) -> Rule:
        """Return the most specific rule: a whole name before a prefix, a longer prefix before a shorter one.

        Raises: PolicyRefused if no rule matches, or if the rule denies the name.
        """
        matching = [rule for rule in self.rules if rule.matches(gun)]
        if not matching:
            raise PolicyRefused(name=gun, rule=self.source, reason="no rule matches this name")
        rule = max(matching, key=lambda rule: specificity(rule.match))
        if rule.action == "deny":
            raise PolicyRefused(name=gun, rule=rule.source, reason="the rule denies it")
        return rule


def read_policy(document: Mapping[str, object], *, source: str) -> Policy:
    """Read a policy from a parsed TOML document. Raises: FileNewer; PolicyMalformed, which names the member."""
    refuse_newer(KIND, document, path=source)
    if not KIND.is_known(document):
        raise PolicyMalformed(source=source, path=KIND.member, reason="must be a whole number from 1 on")
    rules = document.get("rule", [])
    if set(document) - {KIND.member, "rule"} or not isinstance(rules, list):
        raise PolicyMalformed(source=source, path="", reason="must hold [[rule]] tables and nothing else")
    read = tuple(_read_rule(rule, f"rule[{index}]", source) for index, rule in enumerate(rules))
    matches = [rule.match for rule in read]
    for index, match in enumerate(matches):
        if match in matches[:index]:
            raise PolicyMalformed(source=source, path=f"rule[{index}].match", reason="stands in two rules")
    return Policy(source=source, rules=read)


def _read_rule(rule: object, path: str, source: str) -> Rule:
    if not isinstance(rule, dict) or set(rule) - _MEMBERS:
        raise PolicyMalformed(
            source=source, path=path, reason=f"may have {', '.join(sorted(_MEMBERS))} and nothing else"
        )
    match = rule.get("match")
    if not isinstance(match, str) or not is_pattern(match):
        raise PolicyMalformed(source=source, path=f"{path}.match", reason=PATTERN_RULE)
    action = rule.get("action", "verify")
    if action not in ("verify", "deny"):
        raise PolicyMalformed(source=source, path=f"{path}.action", reason="must be verify or deny")
    signers = _texts(rule.get("signers", []), f"{path}.signers", source)
    threshold = rule.get("threshold", len(signers))
    if type(threshold) is not int or not (min(1, len(signers)) <= threshold <= len(signers)):
        raise PolicyMalformed(source=source, path=f"{path}.threshold", reason=f"must be from 1 to {len(signers)}")
    try:
        for name in signers:
            signer_role(name)
        pins = tuple(parse_pin(pin) for pin in _texts(rule.get("pins", []), f"{path}.pins", source))
    except InvalidName as error:
        raise PolicyMalformed(source=source, path=path, reason=str(error)) from error
    name = f"{source}, rule {match}"
    return Rule(
        source=name,
        match=match,
        action="deny" if action == "deny" else "verify",
        requirement=Requirement(source=name, signers=signers, threshold=threshold),
        pins=pins,
        max_life=_max_life(rule["max_life"], f"{path}.max_life", source) if "max_life" in rule else None,
    )


def _max_life(value: object, path: str, source: str) -> MaxLife:
    try:
        return MaxLife.parse(value)
    except ValueError as error:
        raise PolicyMalformed(source=source, path=path, reason=str(error)) from error


def _texts(value: object, path: str, source: str) -> tuple[str, ...]:
    if not isinstance(value, Sequence) or isinstance(value, str) or not all(isinstance(v, str) for v in value):
        raise PolicyMalformed(source=source, path=path, reason="must be a list of texts")
    if len(set(value)) != len(value):
        raise PolicyMalformed(source=source, path=path, reason="names one twice")
    return tuple(value)


def _distinct(signers: list[RoleName], roles: Mapping[RoleName, Envelope]) -> int:
    """Return how many signers count: one counts if it signed with a key that no earlier signer has used."""
    targets = roles[TARGETS].targets
    used: set[str] = set()
    count = 0
    for role in signers:
        signed = checks.check_signatures(targets, TARGETS, roles[role])
        fingerprints = {key_fingerprint(targets.get_key(keyid)) for keyid in signed}
        count += not fingerprints <= used
        used |= fingerprints
    return count


def _why_missing(
    gun: GUN, role: RoleName, target: Target, roles: Mapping[RoleName, Envelope], requested: str | None
) -> str:
    name = signer_name(role)
    if role not in delegations_of(roles[TARGETS].targets):
        return f"{name} is no signer of {gun}"
    if role in roles and target.tag in roles[role].targets.targets:
        entry = roles[role].targets.targets[target.tag]
        if isinstance(entry, UnusableTarget):
            return f"{name} has signed {target.tag} in a way that no image can be checked by: {entry.reason}"
        listed = read_target(role, target.tag, entry)
        if listed.digest != target.digest:
            return f"{name} has signed {target.tag} as sha256:{listed.digest}, not as sha256:{target.digest}"
        return f"{name} has signed {target.tag}, but not {requested}"
    return f"{name} has not signed {target.tag}"
