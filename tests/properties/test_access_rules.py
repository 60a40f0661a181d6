"""Laws of access rules: what one more rule can do, and that their order means nothing."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from trustdata.collection_patterns import matching_patterns, pattern_matches
from trustdata.gun import GUN
from trustdata.roles import RoleName
from trustserver.auth.authorizer import ANONYMOUS, Subject, SubjectKind
from trustserver.auth.rights import EVERY_RIGHT, Right
from trustserver.auth.rules import AccessRules, Decision, Rule

SUBJECTS = [ANONYMOUS, *(Subject(name=name, kind=kind) for kind in list(SubjectKind)[1:4] for name in ("a", "b"))]
TERMS = ["*", "authenticated", *map(str, SUBJECTS), "token:*", "user:*"]
NAMES = [GUN(name) for name in ("r.io/a", "r.io/a/b", "r.io/a/b/c", "r.io/b", "s.io/a", "R.io/a", "a/b")]
PATTERNS = ["*", "r.io/*", "r.io/a/*", "r.io/a", "r.io/a/b", "s.io/*"]
ROLES = [RoleName("targets"), RoleName("targets/ci")]


def some(values: list[str]) -> st.SearchStrategy[frozenset[str]]:
    return st.frozensets(st.sampled_from(values), min_size=1, max_size=3)


DENIES = st.builds(
    Rule,
    number=st.just(1),
    subjects=some(TERMS),
    names=some(PATTERNS),
    rights=st.one_of(st.frozensets(st.sampled_from(Right), min_size=1, max_size=3), st.just(EVERY_RIGHT)),
    denies=st.just(value=True),
)
ALLOWS = st.builds(
    Rule,
    number=st.just(1),
    subjects=some(TERMS),
    names=some(PATTERNS),
    rights=st.frozensets(st.sampled_from(Right), min_size=1, max_size=3),
    roles=st.frozensets(st.sampled_from(ROLES), max_size=2),
)
RULES = st.lists(st.one_of(ALLOWS, DENIES), max_size=6).map(tuple)
ASKED = st.tuples(st.sampled_from(SUBJECTS), st.sampled_from(Right), st.sampled_from(NAMES))


def decided(rules: tuple[Rule, ...], asked: tuple[Subject, Right, GUN]) -> Decision:
    return AccessRules(rules=rules).decide(*asked)


def at_most(less: Decision, more: Decision) -> bool:
    """Whether one decision allows nothing that the other does not."""
    if not less.allowed:
        return True
    return more.allowed and (more.roles is None or (less.roles is not None and less.roles <= more.roles))


@given(RULES, DENIES, ASKED)
def test_one_more_deny_never_allows_more(
    rules: tuple[Rule, ...], deny: Rule, asked: tuple[Subject, Right, GUN]
) -> None:
    assert at_most(decided((*rules, deny), asked), decided(rules, asked))
    everywhere = (AccessRules(rules=found).everybody_reads for found in ((*rules, deny), rules))
    assert next(everywhere) <= next(everywhere)


@given(RULES, ALLOWS, ASKED)
def test_one_more_allow_never_takes_anything_away(
    rules: tuple[Rule, ...], allow: Rule, asked: tuple[Subject, Right, GUN]
) -> None:
    assert at_most(decided(rules, asked), decided((*rules, allow), asked))


@given(st.permutations(range(6)), RULES, ASKED)
def test_the_order_of_rules_means_nothing(
    order: list[int], rules: tuple[Rule, ...], asked: tuple[Subject, Right, GUN]
) -> None:
    moved = tuple(rules[place] for place in order if place < len(rules))
    before, after = decided(rules, asked), decided(moved, asked)
    assert (before.allowed, before.roles) == (after.allowed, after.roles)


@given(RULES, ASKED)
def test_a_right_on_every_name_is_one_on_each(rules: tuple[Rule, ...], asked: tuple[Subject, Right, GUN]) -> None:
    subject, right, name = asked
    if AccessRules(rules=rules).decide_everywhere(subject, right).allowed:
        assert AccessRules(rules=rules).decide(subject, right, name).allowed


@given(st.sampled_from(NAMES), st.sampled_from(PATTERNS))
def test_the_patterns_of_a_name_are_those_that_match_it(name: GUN, pattern: str) -> None:
    assert (pattern in matching_patterns(name)) == pattern_matches(pattern, name)
