"""A policy that is distributed: what the local file says of it, what it may say itself, and that it only adds."""

from __future__ import annotations

import json
import tomllib
from datetime import UTC, datetime, timedelta

import pytest

from tests.support.json_schema import faults
from trustdata.errors import FileNewer, PolicyMalformed, PolicyRefused
from trustdata.gun import parse_gun
from trustdata.policy import Policy, Rule, read_distributed, read_policy

NOW = datetime(2026, 12, 1, 12, tzinfo=UTC)
APP = parse_gun("registry.example.com/team/app")
PIN = "key:" + "a" * 64
D = "sha256:" + "d" * 64
LOCAL = f'[distributed]\nname = "registry.example.com/policy"\ntag = "nodes"\npins = ["{PIN}"]\n'


def local(text: str) -> Policy:
    document = tomllib.loads(text)
    read = read_policy(document, source="p")
    assert faults(json.loads(json.dumps(document, default=lambda moment: moment.isoformat())), "policy") == []
    return read


def distributed(text: str) -> Policy:
    read = read_distributed(tomllib.loads(text), source="d")
    assert schema_faults(text) == []
    return read


def schema_faults(text: str) -> list[str]:
    """What is wrong with what is distributed by its schema, in which dates are text."""
    document = json.loads(json.dumps(tomllib.loads(text), default=lambda moment: moment.isoformat()))
    return faults(document, "distributed-policy")


def rule_for(mine: str, theirs: str, tag: str | None = "1.0", digest: str | None = None) -> Rule:
    tightened = local(f'[[rule]]\nmatch = "{APP}"\n{mine}').tightened(distributed(f"[[rule]]\n{theirs}"))
    return tightened.rule_for(APP, tag=tag, digest=digest, at=NOW)


# --- the table in the local file


def test_the_table_names_the_artifact_and_by_what_it_is_judged() -> None:
    found = local(
        LOCAL + 'signers = ["secops", "ops"]\nthreshold = 1\nserver = "https://trust.example.com"'
    ).distributed
    assert found is not None
    assert str(found) == "registry.example.com/policy:nodes"
    (requirement,) = found.terms.requirements
    assert (requirement.signers, requirement.threshold) == (("secops", "ops"), 1)
    assert [str(pinned.pin) for pinned in found.terms.sourced_pins()] == [PIN]
    assert (found.terms.server, found.terms.max_staleness) == ("https://trust.example.com", timedelta.max)
    assert local("").distributed is None


@pytest.mark.parametrize(
    ("text", "path"),
    [
        ("distributed = 1", "distributed"),
        (LOCAL + "match = 1", "distributed.match"),
        (LOCAL.replace("policy", "*"), "distributed.name"),
        (LOCAL.replace('"nodes"', "1"), "distributed.tag"),
        (LOCAL.replace("nodes", ".x"), "distributed.tag"),
        (LOCAL.replace(f'"{PIN}"', ""), "distributed.pins"),
        (LOCAL + "threshold = 1", "distributed.threshold"),
    ],
)
def test_a_table_that_is_not_understood_is_malformed(text: str, path: str) -> None:
    with pytest.raises(PolicyMalformed) as refusal:
        read_policy(tomllib.loads(text), source="p")
    assert refusal.value.path == path


# --- what is distributed


@pytest.mark.parametrize(
    ("text", "path"),
    [
        (f'[[alias]]\nname = "a.example.com/x"\ntrust = "{APP}"', "alias"),
        (LOCAL, "distributed"),
        ("rule = 1", "rule"),
        ("version = 0", "version"),
        ('[[rule]]\nmatch = "*"\nmode = "allow"\nreason = "x"\nuntil = 2027-01-01', "rule[0].reason"),
        ('[[rule]]\nmatch = "*"\nmode = "audit"', "rule[0].mode"),
        *(
            (f'[[rule]]\nmatch = "*"\n{member}', f"rule[0].{member.partition(' ')[0]}")
            for member in (
                f'pins = ["{PIN}"]',
                'server = "https://trust.example.com"',
                'max_life = "9999d"',
                f'second = {{name = "{APP}"}}',
                'reason = "x"',
            )
        ),
    ],
)
def test_it_exempts_nothing_and_names_nobody_to_ask_or_believe(text: str, path: str) -> None:
    with pytest.raises(PolicyMalformed) as refusal:
        distributed(text)
    assert (refusal.value.source, refusal.value.path) == ("d", path)
    assert schema_faults(text) != []


def test_a_newer_form_is_refused() -> None:
    with pytest.raises(FileNewer):
        distributed("version = 2")


def test_all_that_it_may_say() -> None:
    members = f"""tags = ["1.*"]
digests = ["{D}"]
signers = ["alice", "bob"]
threshold = 2
released = false
max_staleness = "1d"
"""
    for first in ('mode = "enforce"', 'mode = "deny"', 'action = "verify"', 'action = "deny"', ""):
        (rule,) = distributed(f'version = 1\n[[rule]]\nmatch = "*"\n{members}{first}').rules
        assert (rule.tags, rule.digests, rule.requirements[0].threshold) == (("1.*",), (D,), 2)
    with pytest.raises(PolicyMalformed, match="older form"):
        distributed('[[rule]]\nmatch = "*"\nmode = "deny"\naction = "deny"')
    assert schema_faults('[[rule]]\nmatch = "*"\nmode = "deny"\naction = "deny"') != []


# --- both together


def test_requirements_of_both_count() -> None:
    rule = rule_for('signers = ["alice"]', 'match = "*"\nsigners = ["secops"]')
    assert [each.signers for each in rule.requirements] == [("alice",), ("secops",)]
    assert "rule *" in rule.source


def test_a_name_without_a_rule_of_the_file_is_refused_whatever_is_distributed() -> None:
    tightened = local("").tightened(distributed('[[rule]]\nmatch = "*"'))
    with pytest.raises(PolicyRefused, match="no rule matches"):
        tightened.rule_for(APP, at=NOW)


def test_a_name_of_which_nothing_is_distributed_is_as_before() -> None:
    assert len(rule_for("", 'match = "elsewhere.example.com/*"\nmode = "deny"').requirements) == 1


@pytest.mark.parametrize("mode", ["", 'mode = "audit"\nreason = "x"\nuntil = 2027-01-01'])
def test_it_denies_and_enforces_whatever_the_file_exempts(mode: str) -> None:
    with pytest.raises(PolicyRefused, match="denies"):
        rule_for(mode, f'match = "*"\ndigests = ["{D}"]\nmode = "deny"', digest=D)
    assert rule_for(mode, 'match = "*"').mode == "enforce"


@pytest.mark.parametrize(
    ("mine", "theirs", "bound"),
    [
        ("", 'max_staleness = "9d"', None),
        ('max_staleness = "1d"', "", timedelta(days=1)),
        ('max_staleness = "1d"', 'max_staleness = "1h"', timedelta(hours=1)),
        ('max_staleness = "1d"', 'max_staleness = "9d"', timedelta(days=1)),
    ],
)
def test_the_shorter_staleness_counts(mine: str, theirs: str, bound: timedelta | None) -> None:
    assert rule_for(mine, f'match = "*"\n{theirs}').max_staleness == bound
