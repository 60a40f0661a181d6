"""Certification authorities in a policy: how they are written, who may name them, and what their owner is told."""

from __future__ import annotations

import tomllib
from dataclasses import replace
from datetime import UTC, datetime

import pytest

from tests.support.issuers import CA, Issuer, days, pem_of
from tests.support.json_schema import faults
from trustdata.errors import PolicyMalformed
from trustdata.gun import parse_gun
from trustdata.policy import Policy, read_distributed, read_policy
from trustdata.policy.authorities import MAX_BUNDLES
from trustdata.policy.review import review
from trustdata.verification.trust_pinning import AuthorityPin

NOW = datetime(2026, 12, 1, 12, tzinfo=UTC)
APP = parse_gun("registry.example.com/team/app")
TOP, OTHER = Issuer.root(), Issuer.root("Another CA")


def ca(name: str, *issuers: Issuer) -> str:
    return f'[[ca]]\nname = "{name}"\ncertificates = """\n{"".join(each.pem for each in issuers)}"""\n'


CORP = ca("corp", TOP, OTHER)
PINNED = 'pins = ["ca:corp"]\n'
RULE = f'[[rule]]\nmatch = "{APP}"\n'


def policy(text: str) -> Policy:
    read = read_policy(tomllib.loads(text), source="p")
    assert faults(tomllib.loads(text), "policy") == []
    return read


def test_every_pin_of_a_policy_may_name_one() -> None:
    found = policy(
        RULE
        + 'pins = ["ca:corp", "ca:a.b_c-9"]\n'
        + f'[rule.second]\nname = "vendor.example.com/app"\n{PINNED}'
        + f'[distributed]\nname = "registry.example.com/policies/nodes"\ntag = "now"\n{PINNED}'
        + f'[[deny_list]]\nname = "registry.example.com/security/denied"\n{PINNED}'
        + CORP
        + ca("a.b_c-9", OTHER)
    )
    corp, other = found.authorities
    assert corp == AuthorityPin.of("corp", [TOP.der, OTHER.der])
    (rule,) = found.rules
    assert rule.pins == (corp, other)
    assert [str(pinned.pin) for pinned in rule.sourced_pins()] == ["ca:corp", "ca:a.b_c-9"]
    assert rule.second is not None
    assert found.distributed is not None
    assert rule.second.pins == found.distributed.terms.pins == found.denying[0].terms.pins == (corp,)
    assert review(found, NOW) == ()
    assert policy(RULE).authorities == ()


@pytest.mark.parametrize(
    ("text", "path", "said"),
    [
        (RULE + PINNED, "rule[0].pins[0]", "names 'corp', and no [[ca]] has this name"),
        (RULE + 'pins = ["ca:crop"]\n' + CORP, "rule[0].pins[0]", "has this name; did you mean 'corp'?"),
        (RULE + 'pins = ["ca:corp", "ca:corp"]\n' + CORP, "rule[0].pins[1]", "a second time"),
        (RULE + f'pins = ["ca:{"0" * 64}"]\n' + CORP, "rule[0].pins[0]", "no [[ca]] has this name"),
        (CORP + CORP, "ca[1].name", "names corp a second time"),
        (ca("Corp", TOP), "ca[0].name", "must be at most 64 of a-z 0-9 . _ -"),
        (ca("", TOP), "ca[0].name", "must be at most 64"),
        (ca("c" * 65, TOP), "ca[0].name", "must be at most 64"),
        (ca("corp\\n", TOP), "ca[0].name", "must be at most 64"),
        ("[[ca]]\nname = 1", "ca[0].name", "must be at most 64"),
        ('[[ca]]\nname = "corp"', "ca[0].certificates", "must be the certificates of the CA in PEM, as one text"),
        ('[[ca]]\nname = "corp"\ncertificates = [""]', "ca[0].certificates", "as one text"),
        (
            '[[ca]]\nname = "corp"\ncertificate = ""',
            "ca[0].certificate",
            "no member of a CA; did you mean 'certificates'?",
        ),
        ('[[ca]]\nname = "corp"\npath = ""', "ca[0].path", "is no member of a CA; it may have certificates, name"),
        (ca("corp"), "ca[0].certificates", "the text holds no certificate in PEM"),
        (
            f'[[ca]]\nname = "corp"\ncertificates = """{pem_of(TOP.issue(APP, TOP.key))}"""',
            "ca[0].certificates",
            "certificate 1 is not the certificate of a CA (basicConstraints)",
        ),
        (ca("corp", TOP, TOP), "ca[0].certificates", "certificate 2 is there a second time"),
        ("ca = 1", "ca", "must stand in double brackets: [[ca]]"),
        ("ca = [1]", "ca[0]", "must be a table"),
        ("".join(ca(f"c{number}", TOP) for number in range(MAX_BUNDLES + 1)), "ca", "holds more than 64 tables"),
    ],
)
def test_a_mistake_is_named_by_its_place(text: str, path: str, said: str) -> None:
    with pytest.raises(PolicyMalformed) as caught:
        read_policy(tomllib.loads(text), source="p")
    assert caught.value.path == path
    assert said in caught.value.reason


def test_what_is_distributed_names_nobody_to_believe() -> None:
    for text, path in ((CORP, "ca"), (RULE + PINNED, "rule[0].pins")):
        with pytest.raises(PolicyMalformed) as caught:
            read_distributed(tomllib.loads(text), source="d")
        assert caught.value.path == path


def test_their_owner_is_told_what_ends_and_what_nobody_names() -> None:
    soon, past = NOW + days(29), NOW - days(1)
    ends = [Issuer.root(f"CA {end:%d}", replace(CA, end=end)) for end in (soon, past, NOW + days(31))]
    found = review(policy(RULE + PINNED + ca("corp", *ends) + ca("spare", TOP)), NOW)
    assert [(note.kind, note.rule) for note in found] == [
        ("ca-ends", "p, ca:corp"),
        ("ca-ends", "p, ca:corp"),
        ("ca-unused", "p, ca:spare"),
    ]
    assert found[0].text.startswith("certificate 1 ends within 30 days, at 2026-12-30 12:00 UTC")
    assert found[1].text.startswith("certificate 2 has ended, at 2026-11-30 12:00 UTC")
