"""Read a policy from a parsed TOML document: everything that is not understood is malformed, and named by its place."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, date, datetime, time, timedelta
from types import MappingProxyType
from typing import Final, NoReturn

from keys.document_version import DocumentKind
from keys.record import record, replace
from keys.rfc3339 import from_rfc3339
from trustdata.collection_patterns import (
    NARROW_PATTERN_RULE,
    PATTERN_RULE,
    WHOLE_NAME_RULE,
    is_pattern,
    meant_pattern,
)
from trustdata.digest import is_digest
from trustdata.document_version import refuse_newer
from trustdata.duration import parse_duration
from trustdata.errors import InvalidName, PolicyMalformed, shown
from trustdata.gun import GUN, parse_tag
from trustdata.hosts import has_one_spelling
from trustdata.lifetimes import MaxLife
from trustdata.policy.aliases import Alias, fault_of
from trustdata.policy.authorities import read_authorities
from trustdata.policy.denying import MAX_DENY_LISTS, DenyingCollection
from trustdata.policy.distributed import Distributed
from trustdata.policy.exemption import MAX_BREAK_GLASS, Exemption
from trustdata.policy.requirement import Requirement
from trustdata.policy.rule import MODES, Mode, Rule
from trustdata.policy.selection import Policy
from trustdata.policy.tag_patterns import TAG_PATTERN_RULE, is_tag_pattern
from trustdata.roles import signer_role
from trustdata.suggestion import did_you_mean
from trustdata.verification.trust_pinning import AuthorityPin, Pin, parse_policy_pin

KIND: Final = DocumentKind(what="a policy")
_A_TIME: Final = "must be a date or a time with its zone, such as 2027-06-30T12:00:00Z"
MAX_ALIASES: Final = 1000
"""Each is compared with every other one when the policy is read."""
_TERMS: Final = frozenset({"pins", "server", "signers", "threshold", "released", "max_life"})
_EXEMPTION: Final = frozenset({"reason", "until", "since", "break_glass"})


@record
class _Form:
    """What a table may have. `what`: the table in words. `elsewhere`: why some members do not stand in it."""

    what: str
    members: frozenset[str]
    elsewhere: Mapping[str, str]

    def fault(self, member: str) -> str:
        """Return why a member must not stand in the table."""
        known = sorted(self.members)
        why = self.elsewhere.get(member) or did_you_mean(member, known) or f"; it may have {', '.join(known)}"
        return f"is no member of {self.what}{why}"


_ABOVE: Final = {KIND.member: "; it stands above the first table"}
_RULE: Final = _Form(
    what="a rule",
    members=frozenset({"match", "tags", "digests", "mode", "action", "max_staleness", "second"}) | _TERMS | _EXEMPTION,
    elsewhere=_ABOVE,
)
_SECOND: Final = _Form(what="second", members=frozenset({"name"}) | _TERMS, elsewhere={})
_ALIAS: Final = _Form(what="an alias", members=frozenset({"name", "trust"}), elsewhere=_ABOVE)
_DISTRIBUTED: Final = _Form(what="[distributed]", members=frozenset({"name", "tag"}) | _TERMS, elsewhere=_ABOVE)
_DENY_LIST: Final = _Form(
    what="a deny list",
    members=frozenset({"name", "pins", "server", "max_life", "max_staleness"}),
    elsewhere=_ABOVE | {"digests": ": its collection signs them (trust deny)"},
)
_FURTHER_MEMBERS: Final = frozenset(
    {"match", "tags", "digests", "mode", "action", "signers", "threshold", "released", "max_staleness"}
)
_FURTHER: Final = _Form(
    what="a distributed rule",
    members=_FURTHER_MEMBERS,
    elsewhere=_ABOVE
    | dict.fromkeys(_RULE.members - _FURTHER_MEMBERS, ": it exempts nothing, and names nobody to ask or to believe"),
)
_LOCAL_FILE: Final = _Form(
    what="a policy", members=frozenset({KIND.member, "rule", "alias", "distributed", "deny_list", "ca"}), elsewhere={}
)
_DISTRIBUTED_FILE: Final = _Form(
    what="a distributed policy",
    members=frozenset({KIND.member, "rule"}),
    elsewhere=dict.fromkeys(("alias", "distributed", "deny_list", "ca"), ": it only adds rules"),
)
_RELEASES_ONLY: Final = "releases"
_ACTIONS: Final[Mapping[object, object]] = {"verify": "enforce", "deny": "deny"}


def read_policy(document: Mapping[str, object], *, source: str) -> Policy:
    """Read a policy from a parsed TOML document. Raises: FileNewer; PolicyMalformed, which names the member."""
    _check_top(document, _LOCAL_FILE, source)
    rules, aliases = _tables(document, "rule", source), _tables(document, "alias", source)
    authorities = read_authorities(_tables(document, "ca", source), source)
    read = [_Table(rule, f"rule[{index}]", source, _RULE, authorities).rule() for index, rule in enumerate(rules)]
    distributed = None
    if "distributed" in document:
        if isinstance(document["distributed"], list):
            reason = "must be one table, in single brackets: [distributed]"
            raise PolicyMalformed(source=source, path="distributed", reason=reason)
        table = _Table(document["distributed"], "distributed", source, _DISTRIBUTED, authorities)
        distributed = table.distributed()
    return Policy.of(
        source=source,
        rules=_distinct_sources(read),
        aliases=_read_aliases(aliases, source),
        distributed=distributed,
        denying=_read_deny_lists(_tables(document, "deny_list", source), source, authorities),
        authorities=tuple(authorities.values()),
    )


def read_distributed(document: Mapping[str, object], *, source: str) -> Policy:
    """Read a policy that was distributed: rules that only tighten what the file on this machine allows.

    Raises: FileNewer; PolicyMalformed, which names the member.
    """
    _check_top(document, _DISTRIBUTED_FILE, source)
    rules = _tables(document, "rule", source)
    read = [_Table(rule, f"rule[{index}]", source, _FURTHER).further() for index, rule in enumerate(rules)]
    return Policy.of(source=source, rules=_distinct_sources(read))


def _check_top(document: Mapping[str, object], form: _Form, source: str) -> None:
    """Check the version of a file, and that it has no other members than it may have."""
    refuse_newer(KIND, document, path=source)
    if not KIND.is_known(document):
        raise PolicyMalformed(source=source, path=KIND.member, reason="must be a whole number from 1 on")
    for member in document:
        if member not in form.members:
            raise PolicyMalformed(source=source, path=member, reason=form.fault(member))


def _tables(document: Mapping[str, object], member: str, source: str) -> list[object]:
    value = document.get(member, [])
    if not isinstance(value, list):
        reason = f"must stand in double brackets: [[{member}]]"
        raise PolicyMalformed(source=source, path=member, reason=reason)
    return value


def _distinct_sources(rules: Sequence[Rule]) -> list[Rule]:
    """Return the rules; several with the same text as their source get their place, so that messages tell them apart.

    Requirements are told apart by their source, too.
    """
    count: dict[str, int] = {}
    for rule in rules:
        count[rule.source] = count.get(rule.source, 0) + 1
    return [
        rule.renamed(f"{rule.source} (rule[{index}])") if count[rule.source] > 1 else rule
        for index, rule in enumerate(rules)
    ]


def _read_aliases(aliases: list[object], source: str) -> list[Alias]:
    if len(aliases) > MAX_ALIASES:
        raise PolicyMalformed(source=source, path="alias", reason=f"holds more than {MAX_ALIASES} aliases")
    read = [_Table(alias, f"alias[{index}]", source, _ALIAS).alias() for index, alias in enumerate(aliases)]
    fault = fault_of(read)
    if fault is not None:
        index, member, reason = fault
        raise PolicyMalformed(source=source, path=f"alias[{index}].{member}", reason=reason)
    return read


def _read_deny_lists(
    tables: list[object], source: str, authorities: Mapping[str, AuthorityPin]
) -> list[DenyingCollection]:
    if len(tables) > MAX_DENY_LISTS:
        raise PolicyMalformed(source=source, path="deny_list", reason=f"holds more than {MAX_DENY_LISTS} lists")
    forms = [_Table(each, f"deny_list[{n}]", source, _DENY_LIST, authorities) for n, each in enumerate(tables)]
    read = [table.denying() for table in forms]
    names = [str(each) for each in read]
    for index, name in enumerate(names):
        if name in names[:index]:
            raise PolicyMalformed(source=source, path=f"deny_list[{index}].name", reason=f"names {name} a second time")
    return read


class _Table:
    """One table of the document. `path`: its place in it. `authorities`: those that its pins may name.

    Its methods read members; each raises PolicyMalformed.
    """

    def __init__(
        self,
        value: object,
        path: str,
        source: str,
        form: _Form,
        authorities: Mapping[str, AuthorityPin] = MappingProxyType({}),
    ) -> None:
        self._path = path
        self._source = source
        self._authorities = authorities
        if not isinstance(value, dict):
            self._refuse("", "must be a table")
        self._values: dict[str, object] = value
        for member in self._values:
            if member not in form.members:
                self._refuse(member, form.fault(member))

    def _refuse(self, member: str, reason: str, cause: Exception | None = None) -> NoReturn:
        path = f"{self._path}.{member}" if member else self._path
        raise PolicyMalformed(source=self._source, path=path, reason=reason) from cause

    # --- rules

    def rule(self) -> Rule:
        match = self._pattern("match")
        tags = self._each("tags", is_tag_pattern, TAG_PATTERN_RULE)
        digests = self._each("digests", is_digest, "must be sha256: and 64 lower-case hexadecimal digits")
        mode = self._mode()
        label = f"{self._source}, rule {match}" + _selectors(tags, digests)
        rule = Rule(
            source=label,
            match=match,
            tags=tags,
            digests=digests,
            mode=mode,
            exemption=self._exemption(mode),
            requirements=(self._requirement(label),),
            pins=self._pins(),
            server=self._server(),
            max_life=self._max_life(),
            max_staleness=self._max_staleness(),
        )
        return rule if "second" not in self._values else rule.with_second(self._second(label, match))

    def further(self) -> Rule:
        """Read a rule of a distributed policy. Without `max_staleness` it leaves that to the file's own rules."""
        if self._values.get("mode", "enforce") not in ("enforce", "deny"):
            self._refuse("mode", "must be enforce or deny: what is distributed exempts nothing")
        rule = self.rule()
        return replace(rule, max_staleness=rule.max_staleness or timedelta.max)

    def distributed(self) -> Distributed:
        """Read where further rules come from."""
        name, tag = self._pattern("name", WHOLE_NAME_RULE), self._values.get("tag")
        if not isinstance(tag, str):
            self._refuse("tag", "is missing" if tag is None else "must be a text")
        try:
            named = parse_tag(tag)
        except InvalidName as error:
            self._refuse("tag", str(error), error)
        source = f"{self._source}, distributed {name}:{named}"
        terms = Rule(
            source=source,
            match=name,
            requirements=(self._requirement(source),),
            pins=self._own_pins(),
            server=self._server(),
            max_life=self._max_life(),
            max_staleness=timedelta.max,
        )
        return Distributed(name=GUN(name), tag=named, terms=terms)

    def denying(self) -> DenyingCollection:
        """Read a collection whose list of denied digests counts."""
        name = self._pattern("name", WHOLE_NAME_RULE)
        terms = Rule(
            source=f"{self._source}, deny list {name}",
            match=name,
            requirements=(),
            pins=self._own_pins(),
            server=self._server(),
            max_life=self._max_life(),
            max_staleness=self._max_staleness() or timedelta.max,
        )
        return DenyingCollection(name=GUN(name), terms=terms)

    def _second(self, label: str, match: str) -> Rule:
        """Read the terms of the second collection, as a rule of its own; its name is the rule's `match`."""
        place = f"{self._path}.second"
        table = _Table(self._values["second"], place, self._source, _SECOND, self._authorities)
        name = table._pattern("name", NARROW_PATTERN_RULE)
        if match == "*" or name.endswith("/*") != match.endswith("/*"):
            table._refuse("name", "must be a whole name where match is one, and end in /* where match does")
        source = f"{label}, second {name}"
        return Rule(
            source=source,
            match=name,
            requirements=(table._requirement(source),),
            pins=table._pins(),
            server=table._server(),
            max_life=table._max_life(),
            max_staleness=self._max_staleness(),
        )

    def alias(self) -> Alias:
        name, trust = self._pattern("name", NARROW_PATTERN_RULE), self._pattern("trust", NARROW_PATTERN_RULE)
        if name.endswith("/*") != trust.endswith("/*"):
            self._refuse("trust", "and name must both be whole names, or both end in /*")
        return Alias(name=name, trust=trust)

    # --- members

    def _pattern(self, member: str, rule: str = PATTERN_RULE) -> str:
        """Return a name, or a pattern of names. `rule`: what it must be, in words."""
        value = self._values.get(member)
        if value is None:
            self._refuse(member, f"is missing; it {rule}")
        if not isinstance(value, str):
            self._refuse(member, rule)
        is_too_wide = value == "*" if rule == NARROW_PATTERN_RULE else value.endswith("*") and rule == WHOLE_NAME_RULE
        if is_too_wide or not is_pattern(value):
            meant = meant_pattern(value)
            if meant.endswith("*?") and rule == WHOLE_NAME_RULE:
                meant = ""
            if member == "match" and ("@" in value or ":" in value.partition("/")[2].rpartition("/")[2]):
                meant = f"; tags and digests have members of their own{meant}"
            self._refuse(member, f"is '{shown(value, 60)}', but {rule}{meant}")
        if not has_one_spelling(value.partition("/")[0]):
            self._refuse(member, "must have its host in its plainest spelling (127.0.0.1, no port that begins with 0)")
        return value

    def _mode(self) -> Mode:
        if {"mode", "action"} <= set(self._values):
            self._refuse("mode", "stands beside action, which is its older form; leave one of them out")
        if self._values.get("action", "verify") not in ("verify", "deny"):
            self._refuse("action", "must be verify or deny")
        named = _ACTIONS.get(self._values.get("action"), self._values.get("mode", "enforce"))
        if named not in MODES:
            meant = did_you_mean(named, MODES) if isinstance(named, str) else ""
            self._refuse("mode", f"must be {', '.join(MODES[:-1])} or {MODES[-1]}{meant}")
        return MODES[MODES.index(named)]

    def _exemption(self, mode: Mode) -> Exemption | None:
        given = _EXEMPTION & set(self._values)
        if mode not in {"allow", "audit"}:
            if given:
                self._refuse(min(given), "belongs to a rule whose mode is allow or audit")
            return None
        reason = self._values.get("reason")
        if not isinstance(reason, str) or not reason.strip():
            self._refuse("reason", f"must say why the rule's mode is {mode}")
        until = self._time("until")
        if until is None:
            self._refuse("until", f"must say when {mode} ends, such as 2027-06-30")
        since, break_glass = self._time("since"), self._flag("break_glass", default=False)
        if since is not None and since >= until:
            self._refuse("since", "must be before until")
        if break_glass and mode != "allow":
            self._refuse("break_glass", "belongs to a rule whose mode is allow")
        if break_glass and since is None:
            self._refuse("since", "must say when the exemption began, as break_glass is true")
        if break_glass and since is not None and until - since > MAX_BREAK_GLASS:
            self._refuse("until", f"must be at most {MAX_BREAK_GLASS.days} days after since, as break_glass is true")
        return Exemption(reason=reason, until=until, since=since, break_glass=break_glass)

    def _requirement(self, source: str) -> Requirement:
        signers = self._texts("signers")
        for index, name in enumerate(signers):
            try:
                signer_role(name)
            except InvalidName as error:
                self._refuse(f"signers[{index}]", str(error), error)
        releases_only = self._values.get("released") == _RELEASES_ONLY
        released = releases_only or self._flag("released", default=True)
        threshold = self._values.get("threshold", len(signers))
        if "threshold" in self._values and not signers:
            self._refuse("threshold", "says how many of signers must have signed, and none are named")
        if type(threshold) is not int or not (min(1, len(signers)) <= threshold <= len(signers)):
            self._refuse("threshold", f"must be a whole number from 1 to {len(signers)}, the number of signers")
        if not released and not signers:
            self._refuse("released", "is false, so signers must say who decides")
        if not released and 2 * threshold <= len(signers):
            self._refuse("threshold", "must be more than half of the signers, as released is false")
        return Requirement(
            source=source, signers=signers, threshold=threshold, released=released, releases_only=releases_only
        )

    def _pins(self) -> tuple[Pin, ...]:
        return tuple(self._pin(index, text) for index, text in enumerate(self._texts("pins")))

    def _own_pins(self) -> tuple[Pin, ...]:
        """Return the pins of a collection that is not pinned anywhere else."""
        pins = self._pins()
        if not pins:
            self._refuse("pins", "is missing; it says where trust in this collection begins")
        return pins

    def _pin(self, index: int, text: str) -> Pin:
        kind, _, name = text.partition(":")
        if kind == "ca" and name in self._authorities:
            return self._authorities[name]
        if kind == "ca":
            meant = did_you_mean(name, self._authorities)
            self._refuse(f"pins[{index}]", f"names '{shown(name, 60)}', and no [[ca]] has this name{meant}")
        try:
            return parse_policy_pin(text)
        except InvalidName as error:
            self._refuse(f"pins[{index}]", str(error), error)

    def _server(self) -> str:
        url = self._values.get("server", "")
        if not isinstance(url, str) or ("server" in self._values and not url.startswith(("https://", "http://"))):
            self._refuse("server", "must be an https:// or http:// URL")
        return url

    def _max_life(self) -> MaxLife | None:
        if "max_life" not in self._values:
            return None
        try:
            return MaxLife.parse(self._values["max_life"])
        except ValueError as error:
            self._refuse("max_life", str(error), error)

    def _max_staleness(self) -> timedelta | None:
        if "max_staleness" not in self._values:
            return None
        value = self._values["max_staleness"]
        try:
            span = parse_duration(value) if isinstance(value, str) else None
        except ValueError as error:
            self._refuse("max_staleness", str(error), error)
        if span is None:
            self._refuse("max_staleness", 'must be a time in quotes, such as "24h"')
        if not span:
            self._refuse("max_staleness", "must be longer than nothing; leave it out where no older data may count")
        return span

    def _time(self, member: str) -> datetime | None:
        """Read a time with its zone; a date alone is its last moment where something ends, in UTC."""
        value = self._values.get(member)
        if isinstance(value, str):
            try:
                value = date.fromisoformat(value) if "T" not in value else from_rfc3339(value)
            except ValueError as error:
                self._refuse(member, _A_TIME, error)
        if isinstance(value, datetime):
            if value.tzinfo is None:
                self._refuse(member, "must have its zone, such as 2027-06-30T12:00:00Z")
            return value.astimezone(UTC)
        if isinstance(value, date):
            start = datetime.combine(value, time(), tzinfo=UTC)
            return start + timedelta(days=1) if member == "until" and value < date.max else start
        if value is not None:
            self._refuse(member, _A_TIME)
        return None

    def _flag(self, member: str, *, default: bool) -> bool:
        value = self._values.get(member, default)
        if not isinstance(value, bool):
            more = f', or "{_RELEASES_ONLY}"' if member == "released" else ""
            self._refuse(member, f"must be true or false{more}")
        return value

    def _each(self, member: str, is_valid: Callable[[str], bool], reason: str) -> tuple[str, ...]:
        found = self._texts(member)
        if member in self._values and not found:
            self._refuse(member, "is empty; leave it out where any will do")
        for index, text in enumerate(found):
            if not is_valid(text):
                self._refuse(f"{member}[{index}]", f"is '{shown(text, 60)}', but {reason}")
        return found

    def _texts(self, member: str) -> tuple[str, ...]:
        value = self._values.get(member, [])
        if isinstance(value, str):
            self._refuse(member, f'must be a list: {member} = ["{shown(value)}"]')
        if not isinstance(value, Sequence) or not all(isinstance(v, str) for v in value):
            self._refuse(member, "must be a list of texts")
        seen: set[str] = set()
        for index, text in enumerate(value):
            if text in seen:
                self._refuse(f"{member}[{index}]", f"names '{shown(text)}' a second time")
            seen.add(text)
        return tuple(value)


def _selectors(tags: tuple[str, ...], digests: tuple[str, ...]) -> str:
    """Return what a rule is about beside names, for messages."""
    shown = [f"tags {', '.join(tags)}"] if tags else []
    shown += [f"digests {', '.join(digest[:19] for digest in digests)}"] if digests else []
    return f" ({'; '.join(shown)})" if shown else ""
