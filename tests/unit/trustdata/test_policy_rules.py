"""Which rules count, and what they add up to: names, digests, tags, modes, exemptions, aliases, a second collection."""

from __future__ import annotations

import json
import tomllib
from datetime import UTC, datetime, timedelta

import pytest

from tests.support.json_schema import faults
from trustdata.errors import PolicyMalformed, PolicyRefused
from trustdata.gun import GUN, parse_gun
from trustdata.policy import Exemption, Policy, Rule, read_distributed, read_policy
from trustdata.policy.exemption import joined
from trustdata.policy.review import review, review_distributed

NOW = datetime(2026, 12, 1, 12, tzinfo=UTC)
APP = parse_gun("registry.example.com/team/app")
D = "sha256:" + "d" * 64
E = "sha256:" + "e" * 64
PIN = "sha256:" + "a" * 64
OTHER = "key:" + "b" * 64


def policy(text: str) -> Policy:
    """The policy; what can be read is as the schema says."""
    read = read_policy(tomllib.loads(text), source="p")
    assert schema_faults(text) == []
    return read


def schema_faults(text: str) -> list[str]:
    """What is wrong with the document by its schema, in which dates and times are text."""
    return faults(json.loads(json.dumps(tomllib.loads(text), default=lambda moment: moment.isoformat())), "policy")


def rules(*bodies: str) -> Policy:
    return policy("".join(f'[[rule]]\nmatch = "{APP}"\n{body}\n' for body in bodies))


def signers_of(rule: Rule) -> set[str]:
    return {name for each in rule.requirements for name in each.signers}


def exempt(mode: str, until: str = "2027-01-01", more: str = "") -> str:
    return f'mode = "{mode}"\nreason = "because"\nuntil = {until}\n{more}'


# --- specificity


@pytest.mark.parametrize(
    ("tag", "digest", "signer"),
    [
        (None, None, "plain"),
        ("1.0", None, "tagged"),
        ("2.0", None, "plain"),
        ("1.0", D, "of-digest"),
        (None, D, "of-digest"),
        ("rc-1", D, "of-both"),
        ("rc-1", E, "plain"),
    ],
)
def test_digests_before_tags_before_neither(tag: str | None, digest: str | None, signer: str) -> None:
    found = rules(
        'signers = ["plain"]',
        'signers = ["tagged"]\ntags = ["1.*", "one"]',
        f'signers = ["of-digest"]\ndigests = ["{D}"]',
        f'signers = ["of-both"]\ndigests = ["{D}"]\ntags = ["rc-?"]',
    )
    assert signers_of(found.rule_for(APP, tag=tag, digest=digest, at=NOW)) == {signer}


def test_the_name_decides_before_digest_and_tag() -> None:
    found = policy(
        f'[[rule]]\nmatch = "*"\ntags = ["*"]\ndigests = ["{D}"]\nmode = "deny"\n'
        '[[rule]]\nmatch = "registry.example.com/team/*"'
    )
    assert found.rule_for(APP, tag="1.0", digest=D, at=NOW).mode == "enforce"
    with pytest.raises(PolicyRefused, match="denies"):
        found.rule_for(parse_gun("other.example.com/x"), tag="1.0", digest=D, at=NOW)


# --- equally specific rules


def test_equally_specific_rules_add_up() -> None:
    first = f'signers = ["alice"]\npins = ["{PIN}"]\nmax_staleness = "2d"\nmax_life = "50d"\nserver = "https://s"'
    second = f'signers = ["bob"]\npins = ["{PIN}", "{OTHER}"]\nmax_staleness = "1h"\nmax_life = "40d"'
    for found in (rules(first, second), rules(second, first)):
        rule = found.rule_for(APP, at=NOW)
        assert signers_of(rule) == {"alice", "bob"}
        assert {str(pin.pin) for pin in rule.sourced_pins()} == {PIN, OTHER}
        assert {str(pin) for pin in rule.pins} == {PIN, OTHER}
        assert rule.max_staleness == timedelta(hours=1)
        assert rule.max_life is not None
        assert rule.max_life.snapshot == timedelta(days=40)
        assert rule.server == "https://s"
        assert " and " in rule.source
    assert len({each.source for each in rule.requirements}) == 2


def test_a_rule_without_staleness_allows_none() -> None:
    assert rules('max_staleness = "2d"', "").rule_for(APP, at=NOW).max_staleness is None
    assert rules("", "").rule_for(APP, at=NOW).max_life is None


@pytest.mark.parametrize(
    ("modes", "counts"),
    [
        (("allow", "audit"), "audit"),
        (("audit", "enforce"), "enforce"),
        (("allow", "enforce"), "enforce"),
        (("allow", "allow"), "allow"),
    ],
)
def test_the_strictest_mode_counts(modes: tuple[str, str], counts: str) -> None:
    bodies = [exempt(mode) if mode in {"allow", "audit"} else f'mode = "{mode}"' for mode in modes]
    for ordered in (bodies, bodies[::-1]):
        rule = rules(*ordered).rule_for(APP, at=NOW)
        assert rule.mode == counts
        assert (rule.exemption is None) == (counts == "enforce")


def test_deny_wins() -> None:
    with pytest.raises(PolicyRefused, match="denies"):
        rules('mode = "deny"', exempt("allow"), "").rule_for(APP, at=NOW)


def test_two_servers_are_a_refusal() -> None:
    found = rules('server = "https://a"', 'server = "https://b"')
    with pytest.raises(PolicyRefused, match="different servers: https://a, https://b"):
        found.rule_for(APP, at=NOW)


def test_pins_of_a_pattern_stay_those_of_a_pattern() -> None:
    above = f'match = "registry.example.com/team/*"\npins = ["{OTHER}"]'
    one = policy(f"[[rule]]\n{above}").rule_for(APP, at=NOW)
    two = policy(f'[[rule]]\n{above}\n[[rule]]\n{above}\nsigners = ["alice"]').rule_for(APP, at=NOW)
    assert [pin.of_pattern for rule in (one, two) for pin in rule.sourced_pins()] == [True, True, True]


# --- exemptions


@pytest.mark.parametrize(
    ("until", "counts"),
    [
        ("2026-12-01", True),
        ("2026-11-30", False),
        ("2026-12-01T12:00:00Z", False),
        ("2026-12-01T14:00:00+01:00", True),
        ('"2026-12-01T12:00:01Z"', True),
        ('"2026-12-01"', True),
    ],
)
def test_when_an_exemption_ends(until: str, *, counts: bool) -> None:
    assert rules(exempt("allow", until)).rule_for(APP, at=NOW).mode == ("allow" if counts else "enforce")


def test_an_exemption_that_has_not_begun() -> None:
    found = rules(exempt("audit", more="since = 2026-12-02"))
    assert found.rule_for(APP, at=NOW).mode == "enforce"
    assert found.rule_for(APP, at=NOW + timedelta(days=1)).mode == "audit"


def test_what_has_run_out_hides_no_other_rule() -> None:
    """Else an exempted digest would be judged by less than its name, once it is exempted no more."""
    audited = exempt("audit", "2026-11-01", 'signers = ["bob"]')
    found = policy(
        f'[[rule]]\nmatch = "{APP}"\ndigests = ["{D}"]\n{exempt("allow", "2026-11-01")}\n'
        f'[[rule]]\nmatch = "{APP}"\ntags = ["*"]\n{audited}\n'
        f'[[rule]]\nmatch = "{APP}"\nsigners = ["alice"]\n'
        '[[rule]]\nmatch = "*"\nsigners = ["nobody"]\n'
    )
    rule = found.rule_for(APP, tag="1.0", digest=D, at=NOW)
    assert (rule.mode, signers_of(rule)) == ("enforce", {"alice", "bob"})
    before = found.rule_for(APP, tag="1.0", digest=D, at=NOW - timedelta(days=60))
    assert (before.mode, signers_of(before)) == ("allow", set())


def test_reasons_are_joined_and_the_first_end_counts() -> None:
    one = Exemption(reason="one", until=NOW + timedelta(days=9))
    other = Exemption(reason="other", until=NOW + timedelta(days=3), break_glass=True)
    both = joined([one, other])
    assert str(both) == "break glass, until 2026-12-04T12:00:00Z: one; other"
    assert joined([]) is None
    assert joined([one]) is one


# --- a second collection, and aliases


def test_the_second_collection_is_that_of_the_name() -> None:
    found = policy(
        '[[rule]]\nmatch = "registry.example.com/*"\nmax_staleness = "1d"\n'
        f'second = {{name = "vendor.example.com/x/*", signers = ["carol"], pins = ["{OTHER}"], server = "https://v"}}'
    )
    (second,) = found.rule_for(APP, at=NOW).seconds
    assert (second.match, signers_of(second), second.server) == (
        "vendor.example.com/x/team/app",
        {"carol"},
        "https://v",
    )
    assert second.max_staleness == timedelta(days=1)
    assert [pin.of_pattern for pin in second.sourced_pins()] == [True]
    whole = rules('second = {name = "vendor.example.com/app"}').rule_for(APP, at=NOW)
    assert [each.match for each in whole.seconds] == ["vendor.example.com/app"]


def test_every_second_collection_must_agree() -> None:
    found = rules('second = {name = "v.example/a"}', 'second = {name = "w.example/a"}').rule_for(APP, at=NOW)
    assert [each.match for each in found.seconds] == ["v.example/a", "w.example/a"]


def test_an_alias() -> None:
    found = policy(
        '[[alias]]\nname = "m.example/hub/*"\ntrust = "docker.io/*"\n'
        '[[alias]]\nname = "m.example/app"\ntrust = "registry.example.com/team/app"'
    )
    names = {
        "m.example/hub/library/a": "docker.io/library/a",
        "m.example/app": APP,
        "m.example/other": "m.example/other",
    }
    assert {name: found.trust_name(parse_gun(name)) for name in names} == names


ALIAS = '[[alias]]\nname = "%s"\ntrust = "%s"\n'
MALFORMED = [
    ("[[alias]]", "alias[0].name"),
    ("alias = 3", "alias"),
    ("alias = [3]", "alias[0]"),
    (ALIAS % ("*", "b.example/*"), "alias[0].name"),
    (ALIAS % ("a.example/x", "*"), "alias[0].trust"),
    ('[[rule]]\nmatch = "*"\naction = "deny"\nmode = "deny"', "rule[0].mode"),
    ('[[rule]]\nmatch = "*"\nmode = 3', "rule[0].mode"),
    ('[[rule]]\nmatch = "*"\naction = ["deny"]', "rule[0].action"),
    ('[[rule]]\nmatch = "*"\ntags = ["1", "[ab]"]', "rule[0].tags[1]"),
    ('[[rule]]\nmatch = "*"\ndigests = ["d"]', "rule[0].digests[0]"),
    ('[[rule]]\nmatch = "*"\nmode = "allow"', "rule[0].reason"),
    ('[[rule]]\nmatch = "*"\nmode = "audit"\nreason = " "', "rule[0].reason"),
    ('[[rule]]\nmatch = "*"\nmode = "audit"\nreason = "x"', "rule[0].until"),
    ('[[rule]]\nmatch = "*"\nmode = "audit"\nreason = "x"\nuntil = 2026-01-01T00:00:00', "rule[0].until"),
    ('[[rule]]\nmatch = "*"\nmode = "audit"\nreason = "x"\nuntil = "soon"', "rule[0].until"),
    ('[[rule]]\nmatch = "*"\nmode = "audit"\nreason = "x"\nuntil = 3', "rule[0].until"),
    ('[[rule]]\nmatch = "*"\nreason = "x"', "rule[0].reason"),
    ('[[rule]]\nmatch = "*"\nmode = "deny"\nuntil = 2026-01-01', "rule[0].until"),
    ('[[rule]]\nmatch = "*"\n' + exempt("allow", more="break_glass = 1"), "rule[0].break_glass"),
    ('[[rule]]\nmatch = "*"\n' + exempt("audit", more="break_glass = true"), "rule[0].break_glass"),
    ('[[rule]]\nmatch = "*"\n' + exempt("allow", more="break_glass = true"), "rule[0].since"),
    ('[[rule]]\nmatch = "*"\nreleased = "x"', "rule[0].released"),
    ('[[rule]]\nmatch = "*"\nserver = ""', "rule[0].server"),
    ('[[rule]]\nmatch = "*"\nserver = 3', "rule[0].server"),
    ('[[rule]]\nmatch = "*"\nserver = "s.example"', "rule[0].server"),
    ('[[rule]]\nmatch = "*"\nmax_staleness = "0d"', "rule[0].max_staleness"),
    ('[[rule]]\nmatch = "*"\nmax_staleness = "long"', "rule[0].max_staleness"),
    ('[[rule]]\nmatch = "*"\nmax_staleness = 3', "rule[0].max_staleness"),
    ('[[rule]]\nmatch = "*"\npins = ["crt:%s"]' % ("a" * 64), "rule[0].pins[0]"),
    ('[[rule]]\nmatch = "a.example/x"\nsecond = {name = "*"}', "rule[0].second.name"),
    ('[[rule]]\nmatch = "a.example/x"\nsecond = {name = "b.example/x", mode = "audit"}', "rule[0].second.mode"),
    ('[[rule]]\nmatch = "a.example/x"\nsecond = "b.example/x"', "rule[0].second"),
    ('[[rule]]\nmatch = "a.example/x"\nsecond = {name = "b.example/x", signers = ["A"]}', "rule[0].second.signers[0]"),
]
BEYOND_A_SCHEMA = [
    (ALIAS % ("a.example/x", "b.example/*"), "alias[0].trust"),
    (ALIAS % ("a.example/*", "a.example/y/*"), "alias[0].trust"),
    (ALIAS % ("a.example/x", "a.example/x"), "alias[0].trust"),
    (ALIAS % ("a.example/x", "b.example/x") + ALIAS % ("a.example/*", "c.example/*"), "alias[1].name"),
    (ALIAS % ("a.example/x", "b.example/x") + ALIAS % ("b.example/x", "c.example/x"), "alias[0].trust"),
    (ALIAS % ("a.example/x", "b.example/x") + ALIAS % ("b.example/*", "c.example/*"), "alias[0].trust"),
    ("".join(ALIAS % (f"a.example/x{n}", f"b.example/x{n}") for n in range(1001)), "alias"),
    ('[[rule]]\nmatch = "*"\ntags = []', "rule[0].tags"),
    ('[[rule]]\nmatch = "*"\n' + exempt("allow", more="since = 2027-02-01"), "rule[0].since"),
    (
        '[[rule]]\nmatch = "*"\n'
        + exempt("allow", "2026-12-08T00:00:01Z", "break_glass = true\nsince = 2026-12-01T00:00:00Z"),
        "rule[0].until",
    ),
    ('[[rule]]\nmatch = "*"\nreleased = false', "rule[0].released"),
    ('[[rule]]\nmatch = "*"\nreleased = false\nsigners = ["a", "b"]\nthreshold = 1', "rule[0].threshold"),
    ('[[rule]]\nmatch = "*"\nsecond = {name = "a.example/*"}', "rule[0].second.name"),
    ('[[rule]]\nmatch = "a.example/*"\nsecond = {name = "b.example/x"}', "rule[0].second.name"),
]
"""Members that do not go together."""


@pytest.mark.parametrize(("text", "path"), [*MALFORMED, *BEYOND_A_SCHEMA])
def test_what_is_malformed_is_named_by_its_place(text: str, path: str) -> None:
    with pytest.raises(PolicyMalformed) as caught:
        policy(text)
    assert caught.value.path == path


RULE = '[[rule]]\nmatch = "*"\n'
AT = '[[rule]]\nmatch = "%s"'
FROM = '[distributed]\nname = "%s"\n'
DENY = '[[deny_list]]\nname = "%s"\n'
PINNED = f'pins = ["sha256:{"0" * 64}"]\n'
SENTENCES = [
    (RULE + "macth = 1", "rule[0].macth", "is no member of a rule; did you mean 'match'?"),
    (RULE + "what = 1", "rule[0].what", "is no member of a rule; it may have action, break_glass, "),
    (RULE + "version = 1", "rule[0].version", "is no member of a rule; it stands above the first table"),
    ('[[rules]]\nmatch = "*"', "rules", "is no member of a policy; did you mean 'rule'?"),
    ('[rule]\nmatch = "*"', "rule", "must stand in double brackets: [[rule]]"),
    ("[[distributed]]", "distributed", "must be one table, in single brackets: [distributed]"),
    ("distributed = 3", "distributed", "must be a table"),
    ("[[rule]]", "rule[0].match", "is missing; it must be a name with its host"),
    (AT % "alpine", "rule[0].match", '"*"; did you mean docker.io/library/alpine?'),
    (AT % "a.example/x:1", "rule[0].match", "is 'a.example/x:1', but must be a name with its host"),
    (AT % "a.example/x:1", "rule[0].match", "; tags and digests have members of their own; did you mean a.example/x?"),
    (AT % "a.example/x@sha256:1", "rule[0].match", "tags and digests have members of their own"),
    (AT % "a.example", "rule[0].match", "; did you mean a.example/*?"),
    (FROM % "a.example", "distributed.name", "(docker.io/library/alpine, without :443)"),
    (FROM % "a.example/*", "distributed.name", "is 'a.example/*', but must be a name with its host"),
    (FROM % "a.example/x:1", "distributed.name", "; did you mean a.example/x?"),
    (FROM % "a.example/x", "distributed.tag", "is missing"),
    (FROM % "a.example/x" + 'tag = ":1"', "distributed.tag", "':1' is no valid tag"),
    (FROM % "a.example/x" + 'tag = "1"', "distributed.pins", "is missing; it says where trust"),
    (DENY % "a.example/x", "deny_list[0].pins", "is missing; it says where trust"),
    (2 * (DENY % "a.example/x" + PINNED), "deny_list[1].name", "names a.example/x a second time"),
    ("".join(DENY % f"a.example/{n}" + PINNED for n in range(17)), "deny_list", "holds more than 16 lists"),
    (RULE + 'mode = "enforced"', "rule[0].mode", "must be allow, audit, enforce or deny; did you mean 'enforce'?"),
    (RULE + "threshold = 2", "rule[0].threshold", "none are named"),
    (RULE + 'signers = ["a"]\nthreshold = 2', "rule[0].threshold", "from 1 to 1, the number of signers"),
    (RULE + 'tags = "1.0"', "rule[0].tags", 'must be a list: tags = ["1.0"]'),
    (RULE + "tags = [1]", "rule[0].tags", "must be a list of texts"),
    (RULE + 'tags = ["1", "2", "1"]', "rule[0].tags[2]", "names '1' a second time"),
    (RULE + 'tags = ["1/2"]', "rule[0].tags[0]", "is '1/2', but must be a tag"),
    (RULE + "max_staleness = 3", "rule[0].max_staleness", 'must be a time in quotes, such as "24h"'),
    (RULE + 'max_staleness = "0h"', "rule[0].max_staleness", "must be longer than nothing"),
    (
        RULE + 'max_staleness = "1234567h"',
        "rule[0].max_staleness",
        "'1234567h' is too long: a number may have 6 digits",
    ),
    (RULE + exempt("allow", more="break_glass = true"), "rule[0].since", "must say when the exemption began"),
]
"""Mistakes, the place that is named, and a part of what is said of it."""


@pytest.mark.parametrize(("text", "path", "said"), SENTENCES)
def test_a_mistake_is_told_with_what_was_meant(text: str, path: str, said: str) -> None:
    with pytest.raises(PolicyMalformed) as caught:
        policy(text)
    assert (caught.value.path, said in caught.value.reason) == (path, True)


def test_every_name_is_never_what_was_meant_by_a_whole_one() -> None:
    with pytest.raises(PolicyMalformed) as caught:
        policy(FROM % "a.example")
    assert "did you mean" not in caught.value.reason


@pytest.mark.parametrize("text", [text for text, _ in MALFORMED])
def test_the_schema_says_the_same(text: str) -> None:
    assert schema_faults(text) != []


def test_break_glass_of_seven_days() -> None:
    body = exempt("allow", "2026-12-08T00:00:00Z", "break_glass = true\nsince = 2026-12-01T00:00:00Z")
    exemption = rules(body).rule_for(APP, at=NOW).exemption
    assert str(exemption) == "break glass, until 2026-12-08T00:00:00Z: because"


def test_the_last_day_that_there_is() -> None:
    assert rules(exempt("allow", "9999-12-31")).rule_for(APP, at=NOW).mode == "allow"


# --- what its owner should know


def notes(text: str) -> list[tuple[str, str]]:
    return [(note.kind, note.rule) for note in review(policy(text), NOW)]


def test_a_sound_policy_has_no_notes() -> None:
    assert notes(f'[[rule]]\nmatch = "{APP}"\nsigners = ["alice"]\n[[rule]]\nmatch = "*"\nmode = "deny"') == []


def test_rules_that_never_count() -> None:
    name = f'[[rule]]\nmatch = "{APP}"\n'
    assert notes(f"{name}{exempt('allow')}{name}") == [("never-counts", f"p, rule {APP} (rule[0])")]
    assert notes(f'{name}{name}mode = "deny"') == [("never-counts", f"p, rule {APP} (rule[0])")]
    kept = f'{name}tags = ["1"]\n{exempt("allow")}{name}tags = ["1", "2"]\nmode = "deny"'
    assert notes(kept) == [("never-counts", f"p, rule {APP} (tags 1)")]
    assert notes(f'{name}tags = ["1", "3"]\n{exempt("allow")}{name}tags = ["1", "2"]\nmode = "deny"') == []
    every = f'{name}tags = ["3"]\n{exempt("allow")}{name}tags = ["*"]\nmode = "deny"'
    assert notes(every) == [("never-counts", f"p, rule {APP} (tags 3)")]
    # An allow rule with signers still asks for them.
    assert notes(f"{name}{exempt('allow', more='signers = [' + chr(34) + 'a' + chr(34) + ']')}\n{name}") == []


@pytest.mark.parametrize(
    ("match", "alias", "hidden"),
    [
        ("m.example/x", "m.example/x", True),
        ("m.example/x", "m.example/*", True),
        ("m.example/x/*", "m.example/*", True),
        ("m.example/*", "m.example/x", False),
        ("m.example/*", "m.example/x/*", False),
        ("*", "m.example/*", False),
    ],
)
def test_rules_for_names_that_are_aliases(match: str, alias: str, *, hidden: bool) -> None:
    trust = "t.example/*" if alias.endswith("*") else "t.example/x"
    found = notes(f'[[rule]]\nmatch = "{match}"\n{ALIAS % (alias, trust)}')
    assert found == ([("never-counts", f"p, rule {match}")] if hidden else [])


@pytest.mark.parametrize(
    ("body", "kinds"),
    [
        (exempt("allow"), []),
        (exempt("audit"), ["audit"]),
        (exempt("allow", "2026-11-01"), ["run-out"]),
        (exempt("allow", "2026-12-20"), ["runs-out"]),
        (exempt("audit", more="since = 2026-12-05"), ["not-begun", "audit"]),
        (exempt("allow", "2026-12-05", "since = 2026-12-01\nbreak_glass = true"), ["break-glass", "runs-out"]),
    ],
)
def test_what_is_told_of_exemptions(body: str, kinds: list[str]) -> None:
    found = review(policy(f'[[rule]]\nmatch = "a.example/pause"\n{body}'), NOW)
    assert [note.kind for note in found] == kinds


@pytest.mark.parametrize("match", [str(APP), "registry.example.com/*", "*"])
def test_where_a_digest_alone_asks_for_less(match: str) -> None:
    rule = f'[[rule]]\nmatch = "{match}"\n'
    tagged = f'{rule}tags = ["prod-*"]\nsigners = ["alice"]\n'
    assert [kind for kind, _ in notes(f"{tagged}{rule}")] == ["by-digest"]
    assert notes(tagged) == []
    assert notes(f'{tagged}{rule}signers = ["alice", "bob"]') == []
    assert [kind for kind, _ in notes(f'{tagged}{rule}signers = ["alice", "bob"]\nthreshold = 1')] == ["by-digest"]
    lenient = notes(f'{rule}tags = ["prod-*"]\n{rule}{exempt("audit")}')
    assert [kind for kind, _ in lenient] == ["by-digest", "audit"]


@pytest.mark.parametrize(
    ("tagged", "plain", "told"),
    [
        ('mode = "deny"', "", True),
        ('mode = "deny"', 'signers = ["alice"]', True),
        ('mode = "deny"', exempt("allow"), True),
        ('mode = "deny"', 'mode = "deny"', False),
        ('signers = ["alice"]', 'mode = "deny"', False),
        (exempt("audit", more='signers = ["alice"]\n'), "", False),
        (exempt("allow"), exempt("allow"), False),
        (f'pins = ["{PIN}"]', "", True),
        (f'pins = ["{PIN}"]', f'pins = ["{PIN}", "{OTHER}"]', False),
        ('second = {name = "vendor.example.com/app"}', "", True),
        ('second = {name = "vendor.example.com/app"}', 'second = {name = "vendor.example.com/app"}', False),
        ('released = "releases"', "", True),
        ("", 'released = "releases"', False),
        ("", 'signers = ["alice"]\nreleased = false', True),
        ('signers = ["alice"]\nreleased = false', 'signers = ["alice", "bob"]', False),
        ('signers = ["alice"]', 'signers = ["bob"]', True),
        ('max_life = "9d"', "", False),
    ],
)
def test_whether_a_digest_alone_asks_for_less(tagged: str, plain: str, *, told: bool) -> None:
    found = rules(f'tags = ["1.0"]\n{tagged}', plain)
    assert ("by-digest" in {note.kind for note in review(found, NOW)}) == told


def test_in_what_is_distributed_a_digest_alone_is_judged_without_a_rule_for_tags() -> None:
    denies = f'[[rule]]\nmatch = "{APP}"\ntags = ["1.0"]\nmode = "deny"\n'
    further = read_distributed(tomllib.loads(denies), source="d")
    (note,) = review_distributed(further, NOW)
    assert (note.kind, note.rule) == ("by-digest", f"d, rule {APP} (tags 1.0)")
    assert note.text.endswith("is judged without it")
    own = policy(f'[[rule]]\nmatch = "{APP}"\n')
    assert review(own.tightened(further), NOW) == (note,)
    both = read_distributed(tomllib.loads(denies + f'[[rule]]\nmatch = "{APP}"\n'), source="d")
    assert "asks for less" in review_distributed(both, NOW)[0].text
    assert review_distributed(read_distributed(tomllib.loads(f'[[rule]]\nmatch = "{APP}"\n'), source="d"), NOW) == ()


def test_rules_about_a_name() -> None:
    found = policy('[[rule]]\nmatch = "*"\n[[rule]]\nmatch = "registry.example.com/*"\n[[rule]]\nmatch = "x.example/*"')
    assert [rule.match for rule in found.about(GUN(APP))] == ["registry.example.com/*", "*"]
    assert found.counting(parse_gun("y.example/z"), at=NOW)[0].match == "*"


def test_pins_for_every_name_without_a_server_are_told() -> None:
    pins = f'pins = ["sha256:{"0" * 64}"]\n'
    every = f'[[rule]]\nmatch = "*"\n{pins}'
    assert [kind for kind, _ in notes(every)] == ["any-host"]
    assert notes(f'{every}server = "https://trust.example.com"\n') == []
    assert notes(every.replace('"*"', '"registry.example.com/*"')) == []
