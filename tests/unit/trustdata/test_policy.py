"""The policy: the most specific rule alone decides, no rule is a refusal, an unreadable file allows nothing."""

from __future__ import annotations

import tomllib
from datetime import UTC, datetime, timedelta

import pytest

from trustdata.errors import PolicyMalformed, PolicyRefused
from trustdata.gun import parse_gun
from trustdata.lifetimes import MaxLife
from trustdata.policy import Policy, read_policy

NOW = datetime(2026, 12, 1, tzinfo=UTC)
PIN = "sha256:" + "a" * 64


def policy(text: str) -> Policy:
    return read_policy(tomllib.loads(text), source="policy.toml")


RULES = """
[[rule]]
match = "*"
action = "deny"
[[rule]]
match = "registry.example.com/*"
[[rule]]
match = "registry.example.com/team/*"
signers = ["alice", "bob"]
[[rule]]
match = "registry.example.com/team/app"
signers = ["alice", "bob", "carol"]
threshold = 2
pins = ["sha256:%s"]
""" % ("a" * 64)


@pytest.mark.parametrize(
    ("name", "match"),
    [
        ("registry.example.com/team/app", "registry.example.com/team/app"),
        ("registry.example.com/team/app/x", "registry.example.com/team/*"),
        ("registry.example.com/team", "registry.example.com/*"),
        ("registry.example.com/teams/app", "registry.example.com/*"),
    ],
)
def test_the_most_specific_rule_decides(name: str, match: str) -> None:
    assert policy(RULES).rule_for(parse_gun(name), at=NOW).match == match


@pytest.mark.parametrize(
    "match", ["docker.io/library/alpine", "docker.io/*", "docker.io/corp/*", "localhost/app", "localhost:5000/*", "*"]
)
def test_names_in_normal_form_can_match(match: str) -> None:
    assert policy(f'[[rule]]\nmatch = "{match}"').rules[0].match == match


def test_what_a_rule_says() -> None:
    rule = policy(RULES).rule_for(parse_gun("registry.example.com/team/app"), at=NOW)
    (requirement,) = rule.requirements
    assert (requirement.signers, requirement.threshold) == (("alice", "bob", "carol"), 2)
    assert [str(pin) for pin in rule.pins] == [PIN]
    assert rule.source == "policy.toml, rule registry.example.com/team/app"


def test_how_long_online_roles_may_live() -> None:
    rules = policy('[[rule]]\nmatch = "a.example.com/*"\nmax_life = "400d"\n[[rule]]\nmatch = "*"').rules
    assert rules[0].max_life == MaxLife(snapshot=timedelta(days=400), timestamp=timedelta(days=400))
    assert rules[1].max_life is None


def test_without_a_threshold_all_signers_are_needed() -> None:
    (requirement,) = policy(RULES).rule_for(parse_gun("registry.example.com/team/other"), at=NOW).requirements
    assert requirement.threshold == 2


def test_a_denied_name_is_refused_by_its_rule() -> None:
    with pytest.raises(PolicyRefused, match=r"rule \*: the rule denies it"):
        policy(RULES).rule_for(parse_gun("other.example.com/app"), at=NOW)


@pytest.mark.parametrize("text", ["", '[[rule]]\nmatch = "registry.example.com/team/app"'])
def test_no_rule_is_a_refusal(text: str) -> None:
    with pytest.raises(PolicyRefused, match="no rule matches"):
        policy(text).rule_for(parse_gun("registry.example.com/other"), at=NOW)


@pytest.mark.parametrize("host", ["registry.example.com:0443", "0x7f000001:5000", "127.1", "[0::1]", "r.example:05000"])
def test_another_spelling_of_a_host_leads_to_no_other_rule(host: str) -> None:
    """The registry of a rule that enforces, under a name for which only the rule for everything else would count."""
    found = policy('[[rule]]\nmatch = "*"\nmode = "audit"\nreason = "a test"\nuntil = 2999-01-01')
    name = parse_gun(f"{host}/team/app")
    assert found.counting(name, at=NOW) == found.about(name) == ()
    with pytest.raises(PolicyRefused, match="plainer spelling"):
        found.rule_for(name, at=NOW)


@pytest.mark.parametrize(
    ("text", "path"),
    [
        ("x = 1", "x"),
        ("rule = 3", "rule"),
        ("rule = [1]", "rule[0]"),
        ('[[rule]]\nmatch = "*"\nmode = "warn"', "rule[0].mode"),
        ("[[rule]]", "rule[0].match"),
        ('[[rule]]\nmatch = "*"\nmax_life = "long"', "rule[0].max_life"),
        ('[[rule]]\nmatch = "*"\nmax_life = 400', "rule[0].max_life"),
        ('[[rule]]\nmatch = "*"\nmax_life = "0d"', "rule[0].max_life"),
        ('[[rule]]\nmatch = "team/secret"', "rule[0].match"),
        ('[[rule]]\nmatch = "team/*"', "rule[0].match"),
        ('[[rule]]\nmatch = "alpine"', "rule[0].match"),
        ('[[rule]]\nmatch = "docker.io/alpine"', "rule[0].match"),
        ('[[rule]]\nmatch = "registry.example.com"', "rule[0].match"),
        ("[[rule]]\nmatch = 3", "rule[0].match"),
        ('[[rule]]\nmatch = "index.docker.io/corp/*"', "rule[0].match"),
        ('[[rule]]\nmatch = "registry.example.com:443/app"', "rule[0].match"),
        ('[[rule]]\nmatch = "A.example/x"', "rule[0].match"),
        ('[[rule]]\nmatch = "a.example:0443/x"', "rule[0].match"),
        ('[[rule]]\nmatch = "127.1/*"', "rule[0].match"),
        ('[[rule]]\nmatch = "a.example/x*"', "rule[0].match"),
        ('[[rule]]\nmatch = "**"', "rule[0].match"),
        ('[[rule]]\nmatch = "*"\naction = "allow"', "rule[0].action"),
        ('[[rule]]\nmatch = "*"\nsigners = "alice"', "rule[0].signers"),
        ('[[rule]]\nmatch = "*"\nsigners = ["alice", "alice"]', "rule[0].signers[1]"),
        ('[[rule]]\nmatch = "*"\nsigners = ["Alice"]', "rule[0].signers[0]"),
        ('[[rule]]\nmatch = "*"\nsigners = ["releases"]', "rule[0].signers[0]"),
        ('[[rule]]\nmatch = "*"\nsigners = ["alice"]\nthreshold = 0', "rule[0].threshold"),
        ('[[rule]]\nmatch = "*"\nsigners = ["alice"]\nthreshold = 2', "rule[0].threshold"),
        ('[[rule]]\nmatch = "*"\nsigners = ["alice"]\nthreshold = true', "rule[0].threshold"),
        ('[[rule]]\nmatch = "*"\nthreshold = 1', "rule[0].threshold"),
        ('[[rule]]\nmatch = "*"\npins = ["sha256:ab"]', "rule[0].pins[0]"),
    ],
)
def test_a_policy_that_cannot_be_read_names_the_place(text: str, path: str) -> None:
    with pytest.raises(PolicyMalformed) as caught:
        policy(text)
    assert caught.value.details()["source"] == "policy.toml"
    assert caught.value.path == path
    assert str(caught.value).startswith("the policy policy.toml cannot be used")
