"""Decide by rules who may do what to which collections. Pure: no file, no clock, no database.

The rules are a TOML document (docs/reference/access.md):

    version = 1

    [groups]
    security = ["user:bob", "certificate:carol"]

    [[rule]]
    subjects = ["token:ci"]
    names = ["registry.example.com/team/*"]
    allow = ["pull", "push"]
    roles = ["targets/ci", "targets/releases"]

Whatever a rule denies is refused, whatever no rule allows is refused, and the order of rules means nothing.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import Any, Final

from keys.document_version import DocumentKind
from trustdata import bounded_toml
from trustdata.collection_patterns import PATTERN_RULE, is_pattern, matching_patterns, meant_pattern
from trustdata.document_version import refuse_newer
from trustdata.errors import InvalidName, shown
from trustdata.gun import GUN
from trustdata.hosts import has_one_spelling
from trustdata.roles import ONLINE, RELEASES, TOP_LEVEL, RoleName, parse_role, signer_name, signer_role
from trustserver.auth.authorizer import ANONYMOUS, Subject, SubjectKind
from trustserver.auth.certificates import Certificates, read_certificates
from trustserver.auth.credential_names import NAME_RULE, is_credential_name
from trustserver.auth.rights import EVERY_RIGHT, Right
from trustserver.auth.workloads import Workloads, read_workloads
from trustserver.errors import StartRefused

KIND: Final = DocumentKind(what="a file of access rules")
MAX_RULES: Final = 1000
"""How many rules a file may have: all of them are looked at for one decision, in less than half a millisecond."""
MAX_SUBJECTS: Final = 4096
"""For how many subjects it is remembered which rules are about them."""
EVERYBODY: Final = "*"
AUTHENTICATED: Final = "authenticated"
EVERY_NAME: Final = "*"
_GROUP: Final = "group:"
_GROUP_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}", re.ASCII)
_NAMED_HERE: Final = frozenset({SubjectKind.API_TOKEN, SubjectKind.PASSWORD})
"""The kinds of subjects to whom this server gives their names."""
_RULE_KEYS: Final = frozenset({"subjects", "names", "allow", "deny", "roles"})
_WITH_ROLES: Final = frozenset({Right.PULL, Right.PUSH})
"""The rights of a rule with roles: each other one changes more than the roles that are named."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """One rule. `number`: its place in the file, from 1 on; 0 for one that stands elsewhere, which `label` says.

    `subjects`: without groups, and not looked at in what a subject brings along. `roles`: the only roles that may be
    changed by the right to push; empty: all.
    """

    number: int
    subjects: frozenset[str]
    names: frozenset[str]
    rights: frozenset[Right]
    denies: bool = False
    roles: frozenset[RoleName] = frozenset()
    label: str = ""

    def __str__(self) -> str:
        return self.label or f"rule {self.number}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """Whether something is allowed. `rule`: the number of the rule that decided; None: none allows it.

    `why`: in words. `roles`: the only roles that may be changed; None: all.
    """

    allowed: bool
    rule: int | None
    why: str
    roles: frozenset[RoleName] | None = None

    @property
    def in_words(self) -> str:
        """Why it is so, and for which roles alone."""
        return (
            self.why if self.roles is None else f"{self.why}, for changes of {' and '.join(sorted(self.roles))} alone"
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class AccessRules:
    """All rules of a server. `warnings`: what is no mistake for certain, but looks like one.

    `workloads`: which CI jobs and service accounts are the subjects `ci:NAME`. `certificates`: which client
    certificates are the subjects `certificate:NAME`. `sha256`: of their file, in hex; empty if they are from none.
    """

    rules: tuple[Rule, ...] = ()
    groups: Mapping[str, frozenset[str]] = field(default_factory=dict)
    workloads: Workloads = field(default_factory=Workloads)
    certificates: Certificates = field(default_factory=Certificates)
    warnings: tuple[str, ...] = ()
    sha256: str = ""
    _by_subject: dict[str, tuple[Rule, ...]] = field(default_factory=dict, compare=False, repr=False)

    def decide(
        self, subject: Subject, right: Right, name: GUN, *, own: Rule | None = None, only_own: bool = False
    ) -> Decision:
        """Return whether a subject has a right on a name, and why.

        `own`: what the subject brings along, such as the rights of its token. `only_own`: it has no other rights, and
        rules only take some of them away.
        """
        return self._decide(subject, right, _Place.of(name), own, only_own=only_own)

    def decide_everywhere(
        self, subject: Subject, right: Right, *, own: Rule | None = None, only_own: bool = False
    ) -> Decision:
        """Return whether a subject has a right on every name, whatever names there are."""
        return self._decide(subject, right, _EVERYWHERE, own, only_own=only_own)

    def decide_on(
        self, name: GUN | None, subject: Subject, right: Right, *, own: Rule | None = None, only_own: bool = False
    ) -> Decision:
        """Return whether a subject has a right on a name, or, if it is None, on every name."""
        if name is None:
            return self.decide_everywhere(subject, right, own=own, only_own=only_own)
        return self.decide(subject, right, name, own=own, only_own=only_own)

    @property
    def everybody_reads(self) -> bool:
        """Whether anonymous clients may read every collection, and no rule keeps anybody from reading any."""
        if any(rule.denies and not rule.rights.isdisjoint(_READING) for rule in self.rules):
            return False
        return self.decide_everywhere(ANONYMOUS, Right.PULL).allowed

    def somebody_anonymous_may(self, rights: Iterable[Right]) -> Rule | None:
        """Return the first rule that lets anonymous clients do one of these anywhere; None if there is none."""
        wanted = {*rights, Right.ADMIN}
        about = self._about(ANONYMOUS)
        return next((rule for rule in about if not rule.denies and not rule.rights.isdisjoint(wanted)), None)

    def groups_of(self, subject: Subject) -> list[str]:
        """Return the groups that a subject is in, sorted."""
        terms = _terms(subject)
        return sorted(name for name, members in self.groups.items() if not members.isdisjoint(terms))

    def _decide(self, subject: Subject, right: Right, place: _Place, own: Rule | None, *, only_own: bool) -> Decision:
        about = self._about(subject)
        denies = [rule for rule in about if rule.denies and place.may_be_meant(rule.names)]
        for rule in denies:
            if right in rule.rights:
                return Decision(allowed=False, rule=rule.number, why=f"{rule} denies {right}")
        counted = {right} if any(Right.ADMIN in rule.rights for rule in denies) else {right, Right.ADMIN}
        own_allows = [own] if own is not None and _allows(own, counted, place) else []
        by_rules = [rule for rule in about if not rule.denies and _allows(rule, counted, place)]
        allows = own_allows if only_own else [*own_allows, *by_rules]
        if not allows:
            who = "the token does not allow" if only_own else "no rule allows"
            return Decision(allowed=False, rule=None, why=f"{who} {right}")
        binding = by_rules if only_own and by_rules else allows
        roles = _bound(binding) if right is Right.PUSH else None
        first = binding[0] if roles is not None else allows[0]
        return Decision(allowed=True, rule=first.number, why=f"{first} allows it", roles=roles)

    def _about(self, subject: Subject) -> tuple[Rule, ...]:
        """Return the rules that are about a subject."""
        known = self._by_subject.get(str(subject))
        if known is None:
            terms = _terms(subject)
            known = tuple(rule for rule in self.rules if not rule.subjects.isdisjoint(terms))
            if len(self._by_subject) >= MAX_SUBJECTS:
                self._by_subject.clear()
            self._by_subject[str(subject)] = known
        return known


_READING: Final = frozenset({Right.PULL, Right.ADMIN})


@dataclass(frozen=True, slots=True, kw_only=True)
class _Place:
    """What rules are asked about. `patterns`: those that match it. `is_normal`: see `may_be_meant`."""

    patterns: frozenset[str]
    is_normal: bool = True

    @classmethod
    def of(cls, name: GUN) -> _Place:
        is_normal = is_pattern(name) and name != EVERY_NAME and has_one_spelling(name.partition("/")[0])
        return cls(
            patterns=matching_patterns(name) if is_normal else frozenset({EVERY_NAME, name}), is_normal=is_normal
        )

    def may_be_meant(self, names: frozenset[str]) -> bool:
        """Return whether a rule that denies something is about this.

        Notary v1 knows names that are not in normal form: with capitals, or without a host; and a host can be written
        in several ways. Whoever reads them may take them for the normal ones, so each deny is about all of them, too.
        """
        return not self.is_normal or not names.isdisjoint(self.patterns)


_EVERYWHERE: Final = _Place(patterns=frozenset({EVERY_NAME}), is_normal=False)
"""Every name: it is allowed by rules for `*` alone, and denied by each rule that denies it for any name."""


def _allows(rule: Rule, rights: set[Right], place: _Place) -> bool:
    return not rule.rights.isdisjoint(rights) and not rule.names.isdisjoint(place.patterns)


def _bound(allows: Sequence[Rule]) -> frozenset[RoleName] | None:
    """Return the only roles that some rules together let be changed; None: all."""
    if not all(rule.roles for rule in allows):
        return None
    return frozenset().union(*(rule.roles for rule in allows))


def _terms(subject: Subject) -> set[str]:
    """Return all by which rules can mean a subject, besides groups."""
    own = {str(subject), EVERYBODY}
    return own | {AUTHENTICATED, f"{subject.kind}:*"} if subject.authenticated else own


def parse_rules(text: str, *, path: str) -> AccessRules:
    """Read rules, strictly. `path`: the file, for messages.

    Raises: StartRefused with the number of the rule that is wrong; FileNewer.
    """
    try:
        document = bounded_toml.loads(text)
    except (ValueError, RecursionError) as error:
        raise StartRefused(what=path, reason=f"is not TOML: {shown(str(error), 300)}") from error
    refuse_newer(KIND, document, path=path)
    reader = _Reader(path)
    if "version" not in document or not KIND.is_known(document):
        raise reader.wrong("", "must begin with version = 1")
    reader.only(document, {"version", "groups", "rule", "issuer", "workload", "certificate"}, "")
    groups = reader.groups(document.get("groups", {}))
    tables = document.get("rule", [])
    if not isinstance(tables, list) or not all(isinstance(table, dict) for table in tables):
        raise reader.wrong("", "rule must be tables: [[rule]]")
    if len(tables) > MAX_RULES:
        raise reader.wrong("", f"has {len(tables)} rules, and {MAX_RULES} are the most")
    rules = tuple(reader.rule(table, number, groups) for number, table in enumerate(tables, 1))
    used = {text for table in tables for text in table["subjects"]}
    unused = [f"no rule is about the group {name}" for name in groups if f"{_GROUP}{name}" not in used]
    workloads = read_workloads(document, file=Path(path))
    certificates = read_certificates(document, file=Path(path))
    known = {SubjectKind.WORKLOAD: set(workloads.workloads), SubjectKind.CERTIFICATE: set(certificates.named)}
    return AccessRules(
        rules=rules,
        groups=groups,
        workloads=workloads,
        certificates=certificates,
        warnings=(*_repeated(rules), *unused, *_nobodies(rules, known), *_odd_roles_of(rules)),
        sha256=sha256(text.encode()).hexdigest(),
    )


def own_rule(rights: Iterable[str], names: Iterable[str], roles: Iterable[str] = (), *, what: str) -> Rule:
    """Make the rule that a subject brings along. `what`: what says so, such as its token. Raises: StartRefused."""
    reader = _Reader(what)
    found = reader.rights(list(rights), "", "rights")
    patterns, bound = reader.names(list(names), ""), reader.roles(list(roles), "") if roles else frozenset()
    reader.check_roles(bound, found, "")
    return Rule(number=0, subjects=frozenset(), names=patterns, rights=found, roles=bound, label=what)


def parse_subject(text: str) -> Subject:
    """Read the name that rules have for one subject, such as `token:ci`. Raises: InvalidName."""
    if text == str(ANONYMOUS):
        return ANONYMOUS
    kind, colon, name = text.partition(":")
    known = {each.value for each in SubjectKind if each is not SubjectKind.ANONYMOUS}
    if not colon or kind not in known or not name or name == "*" or shown(name, 300) != name:
        kinds = ", ".join(f"{each}:NAME" for each in sorted(known))
        raise InvalidName(kind="subject", name=text, reason=f"must be anonymous, or one of {kinds}")
    # Nobody can ever have such a name: a rule that denies something to it would deny it to nobody.
    if kind in _NAMED_HERE and not is_credential_name(name):
        raise InvalidName(kind=kind, name=name, reason=NAME_RULE)
    return Subject(name=name, kind=SubjectKind(kind))


def _repeated(rules: Sequence[Rule]) -> Iterator[str]:
    """Yield a warning for each rule that says the same as one before."""
    before: dict[object, int] = {}
    for rule in rules:
        content = (rule.subjects, rule.names, rule.rights, rule.denies, rule.roles)
        if content in before:
            yield f"rule {rule.number} says the same as rule {before[content]}"
        before.setdefault(content, rule.number)


_TABLES: Final = {SubjectKind.WORKLOAD: "workload", SubjectKind.CERTIFICATE: "certificate"}
"""The kinds of subjects whose names are given by tables of the file."""


def _nobodies(rules: Sequence[Rule], known: Mapping[SubjectKind, set[str]]) -> Iterator[str]:
    """Yield a warning for each subject of a rule that a table of the file should name, and does not."""
    for text in sorted({text for rule in rules for text in rule.subjects}):
        kind, _, name = text.partition(":")
        table = _TABLES.get(SubjectKind(kind)) if kind in set(SubjectKind) else None
        if table is not None and name not in {"*", *known[SubjectKind(kind)]}:
            yield f"no [[{table}]] is {text}"


def odd_roles(roles: Iterable[str], place: str) -> Iterator[str]:
    """Yield a warning for each role that `trust` gives to nobody, as for a signer's name in place of the role."""
    for role in sorted(roles):
        signer = signer_name(role)
        try:
            usual = role in {*TOP_LEVEL, RELEASES} or role == signer_role(signer)
        except InvalidName:
            usual = False
        if not usual:
            meant = f"; the role of a signer {signer} is targets/{signer}" if signer == role else ""
            yield f"{place}: {shown(role)} is the name of one role, and of none that trust makes{meant}"


def _odd_roles_of(rules: Sequence[Rule]) -> Iterator[str]:
    for rule in rules:
        yield from odd_roles(rule.roles, str(rule))


class _Reader:
    """Reads the parts of rules. `path`: the file, for messages. `place`, of its methods: the rule or group."""

    def __init__(self, path: str) -> None:
        self._path = path

    def wrong(self, place: str, reason: str) -> StartRefused:
        return StartRefused(what=self._path, reason=f"{place}: {reason}" if place else reason)

    def only(self, table: Mapping[str, Any], known: Iterable[str], place: str) -> None:
        unknown = sorted(set(table) - set(known))
        if unknown:
            keys = f"has unknown keys: {', '.join(shown(key) for key in unknown)}"
            raise self.wrong(place, f"{keys}; known are {', '.join(sorted(known))}")

    def texts(self, value: object, place: str, what: str) -> list[str]:
        if not isinstance(value, list) or not value or not all(isinstance(each, str) for each in value):
            raise self.wrong(place, f"{what} must be a list of texts, and not an empty one")
        return value

    def groups(self, table: object) -> dict[str, frozenset[str]]:
        if not isinstance(table, dict):
            raise self.wrong("", "groups must be a table: [groups]")
        found = {}
        for name, members in table.items():
            place = f"group {shown(name)}"
            if not _GROUP_NAME.fullmatch(name):
                raise self.wrong(place, "its name must be letters, digits, ., _ and -")
            texts = self.texts(members, place, "it")
            found[name] = frozenset(self._subject(text, place, "a group has") for text in texts)
        return found

    def rule(self, table: Mapping[str, Any], number: int, groups: Mapping[str, frozenset[str]]) -> Rule:
        place = f"rule {number}"
        self.only(table, _RULE_KEYS, place)
        subjects: set[str] = set()
        for text in self.texts(table.get("subjects"), place, "subjects"):
            subjects |= self._members(text, place, groups)
        names = self.names(table.get("names"), place)
        if ("allow" in table) == ("deny" in table):
            raise self.wrong(place, "must have either allow or deny")
        denies = "deny" in table
        rights = self.rights(table["deny" if denies else "allow"], place, "deny" if denies else "allow")
        roles = self.roles(table["roles"], place) if "roles" in table else frozenset()
        if roles and denies:
            raise self.wrong(place, "roles say what an allow of push is for; a deny has none")
        self.check_roles(roles, rights, place)
        return Rule(number=number, subjects=frozenset(subjects), names=names, rights=rights, denies=denies, roles=roles)

    def names(self, value: object, place: str) -> frozenset[str]:
        texts = self.texts(value, place, "names")
        for text in texts:
            if not is_pattern(text):
                raise self.wrong(place, f"{shown(text)} matches no collection: it {PATTERN_RULE}{meant_pattern(text)}")
        return frozenset(texts)

    def rights(self, value: object, place: str, what: str) -> frozenset[Right]:
        texts = self.texts(value, place, what)
        known = {right.value for right in Right}
        for text in texts:
            if text not in known and text != "*":
                raise self.wrong(place, f"there is no right {shown(text)}; there are {', '.join(Right)} and *")
        return EVERY_RIGHT if "*" in texts else frozenset(map(Right, texts))

    def roles(self, value: object, place: str) -> frozenset[RoleName]:
        found = set()
        for text in self.texts(value, place, "roles"):
            if text in ONLINE:
                raise self.wrong(place, f"{text} is the server's own, and no upload changes it")
            try:
                found.add(parse_role(text))
            except InvalidName as error:
                raise self.wrong(place, str(error)) from error
        return frozenset(found)

    def check_roles(self, roles: frozenset[RoleName], rights: frozenset[Right], place: str) -> None:
        """Check that a rule with roles allows to push, and nothing that changes more. Raises: StartRefused."""
        if roles and (Right.PUSH not in rights or not rights <= _WITH_ROLES):
            raise self.wrong(place, "roles say what push is for: beside them stand push and, if need be, pull alone")

    def _members(self, text: str, place: str, groups: Mapping[str, frozenset[str]]) -> frozenset[str]:
        if text.startswith(_GROUP):
            members = groups.get(text.removeprefix(_GROUP))
            if members is None:
                raise self.wrong(place, f"there is no {shown(text)} in [groups]")
            return members
        if text in {EVERYBODY, AUTHENTICATED}:
            return frozenset({text})
        return frozenset({self._subject(text, place, "subjects are *, authenticated, group:NAME,")})

    def _subject(self, text: str, place: str, what: str) -> str:
        kind, _, name = text.partition(":")
        try:
            if name == "*":
                return f"{parse_subject(f'{kind}:x').kind}:*"
            return str(parse_subject(text))
        except InvalidName as error:
            if error.kind != "subject":
                whole = f"; {kind}:* means each of them" if "*" in name else ""
                raise self.wrong(place, f"{shown(text)} is nobody: a {kind} {error.reason}{whole}") from error
            reason = f"{shown(text)} is no subject: {what} anonymous, KIND:NAME or KIND:*, where KIND is one of "
            kinds = sorted(kind.value for kind in SubjectKind if kind is not SubjectKind.ANONYMOUS)
            raise self.wrong(place, reason + ", ".join(kinds)) from error
