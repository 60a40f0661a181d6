"""Rules on who may do what: how they are read, strictly, and what follows from them."""

from __future__ import annotations

import os
import re
import textwrap
from pathlib import Path

import pytest

from tests.support.cli_runner import CliRunner
from tests.support.refusal import refused
from trustdata.errors import FileNewer, InvalidName
from trustdata.gun import GUN, parse_notary_gun
from trustdata.roles import RELEASES, RoleName
from trustserver.__main__ import app
from trustserver.auth.authorizer import ANONYMOUS, Subject, SubjectKind
from trustserver.auth.rights import EVERY_RIGHT, Right
from trustserver.auth.rules import AccessRules, own_rule, parse_rules, parse_subject
from trustserver.errors import StartRefused

APP = GUN("registry.example.com/team/app")
OTHER = GUN("registry.example.com/other")
FILE = "access.toml"
REFERENCE = Path(__file__).parents[3] / "docs/reference/access.md"
CI = frozenset({RoleName("targets/ci")})
RELEASING = frozenset({RELEASES})


def rules(*tables: str, groups: str = "") -> AccessRules:
    head = f"[groups]\n{groups}\n" if groups else ""
    return parse_rules("version = 1\n" + head + "\n".join(f"[[rule]]\n{table}\n" for table in tables), path=FILE)


def rule(verb: str, rights: str, subjects: str = "token:ci", names: str = "registry.example.com/team/*") -> str:
    def listed(text: str) -> str:
        return str(text.split())

    return f"subjects = {listed(subjects)}\nnames = {listed(names)}\n{verb} = {listed(rights)}"


def subject(text: str) -> Subject:
    return parse_subject(text)


def may(found: AccessRules, who: str, right: Right, name: str = APP) -> bool:
    return found.decide(subject(who), right, parse_notary_gun(name)).allowed


# --- what is read


BASE = rule("allow", "push")
MISTAKES = {
    "no version": ("", "must begin with version = 1"),
    "other version": ('version = "1"', "must begin with version = 1"),
    "no toml": ("version = 1\nrule", "is not TOML"),
    "unknown key": ("version = 1\nrules = []", "has unknown keys: rules"),
    "no tables": ("version = 1\nrule = [1]", "rule must be tables"),
    "unknown key of a rule": (f"version = 1\n[[rule]]\n{BASE}\nname = 'x'", "rule 1: has unknown keys: name"),
    "both": (f"version = 1\n[[rule]]\n{BASE}\ndeny = ['pull']", "rule 1: must have either allow or deny"),
    "neither": ("version = 1\n[[rule]]\nsubjects = ['*']\nnames = ['*']", "rule 1: must have either allow or deny"),
    "unknown right": (
        f"version = 1\n[[rule]]\n{BASE}\n[[rule]]\n{rule('deny', 'read')}",
        "rule 2: there is no right read; there are pull, push,",
    ),
    "no subjects": ("version = 1\n[[rule]]\nnames = ['*']\nallow = ['pull']", "rule 1: subjects must be a list"),
    "empty subjects": (
        "version = 1\n[[rule]]\nsubjects = []\nnames = ['*']\nallow = ['pull']",
        "rule 1: subjects must be a list of texts, and not an empty one",
    ),
    "unknown kind": (f"version = 1\n[[rule]]\n{rule('allow', 'pull', 'robot:ci')}", "rule 1: robot:ci is no subject"),
    "bare name": (f"version = 1\n[[rule]]\n{rule('allow', 'pull', 'ci')}", "rule 1: ci is no subject"),
    "unknown group": (f"version = 1\n[[rule]]\n{rule('allow', 'pull', 'group:a')}", "rule 1: there is no group:a"),
    "group of groups": ("version = 1\n[groups]\na = ['group:b']", "group a: group:b is no subject"),
    "empty group": ("version = 1\n[groups]\na = []", "group a: it must be a list of texts"),
    "name of a group": ("version = 1\n[groups]\n'a b' = ['user:x']", "group a b: its name must be"),
    "no host": (f"version = 1\n[[rule]]\n{rule('allow', 'pull', names='team/*')}", "rule 1: team/* matches no"),
    "capitals": (f"version = 1\n[[rule]]\n{rule('allow', 'pull', names='R.example.com/a')}", "matches no collection"),
    "port 443": (f"version = 1\n[[rule]]\n{rule('allow', 'pull', names='r.example.com:443/a')}", "matches no collect"),
    "star inside": (f"version = 1\n[[rule]]\n{rule('allow', 'pull', names='r.example.com/*/a')}", "matches no coll"),
    "half a part": (f"version = 1\n[[rule]]\n{rule('allow', 'pull', names='r.example.com/a*')}", "matches no coll"),
    "role of the server": (f"version = 1\n[[rule]]\n{BASE}\nroles = ['snapshot']", "snapshot is the server's own"),
    "no role": (f"version = 1\n[[rule]]\n{BASE}\nroles = ['']", "rule 1: '' is no valid role"),
    "roles of a deny": (
        f"version = 1\n[[rule]]\n{rule('deny', 'push')}\nroles = ['targets']",
        "rule 1: roles say what an allow of push is for",
    ),
    "roles without push": (f"version = 1\n[[rule]]\n{rule('allow', 'pull')}\nroles = ['targets']", "beside them"),
    "roles and init": (f"version = 1\n[[rule]]\n{rule('allow', 'push init')}\nroles = ['targets']", "beside them"),
    "empty roles": (f"version = 1\n[[rule]]\n{BASE}\nroles = []", "rule 1: roles must be a list"),
    "too many": ("version = 1\n" + f"[[rule]]\n{BASE}\n" * 1001, "has 1001 rules, and 1000 are the most"),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_mistake_is_refused_with_its_place(mistake: str) -> None:
    text, said = MISTAKES[mistake]
    with pytest.raises(StartRefused) as caught:
        parse_rules(text, path=FILE)
    assert str(caught.value).startswith(f"{FILE}: ")
    assert said in str(caught.value)


def test_a_newer_file_is_not_read() -> None:
    with refused(FileNewer, path=FILE, what="a file of access rules", version=2, known=1):
        parse_rules("version = 2\nwhatever = 1", path=FILE)


def test_what_looks_like_a_mistake_is_a_warning() -> None:
    twice = rules(BASE, rule("allow", "pull"), BASE, groups="idle = ['user:bob']")
    assert twice.warnings == ("rule 3 says the same as rule 1", "no rule is about the group idle")
    assert rules(BASE).warnings == ()


@pytest.mark.parametrize("text", ["", "ci", "token:", "token:*", "group:a", "*", "authenticated", "user:a\nb", "x:y"])
def test_what_is_no_single_subject(text: str) -> None:
    with pytest.raises(InvalidName, match="must be anonymous, or one of"):
        parse_subject(text)


def test_every_kind_can_be_named() -> None:
    for kind in SubjectKind:
        name = "a.b" if kind in {SubjectKind.API_TOKEN, SubjectKind.PASSWORD} else "a:b"
        named = ANONYMOUS if kind is SubjectKind.ANONYMOUS else Subject(name=name, kind=kind)
        assert parse_subject(str(named)) == named


@pytest.mark.parametrize("text", ["user:a*", "token:a b", "token:a/*", "user:a:b"])
def test_who_cannot_be_is_refused_since_a_deny_would_be_about_nobody(text: str) -> None:
    with pytest.raises(StartRefused, match=f"rule 1: {re.escape(text)} is nobody: a {text[:4]}.* must be 1 to 64"):
        parse_rules(f'version = 1\n[[rule]]\nsubjects = ["{text}"]\nnames = ["*"]\ndeny = ["push"]\n', path=FILE)


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        ("R.example.com/team/*", "r.example.com/team/*"),
        ("r.example.com/team/a*", "r.example.com/team/*"),
        ("r.example.com:443/team/app", "r.example.com/team/app"),
        ("https://r.example.com/team/app:1.0", "r.example.com/team/app"),
        ("r.example.com:5000*", "r.example.com:5000/*"),
        ("alpine", "docker.io/library/alpine"),
        ("docker.io/alpine", "docker.io/library/alpine"),
        ("index.docker.io/corp/*", "docker.io/corp/*"),
        ("r.example.com", "r.example.com/*"),
        ("team/*", "docker.io/team/*"),
        ("r.example.com/*/app", ""),
        ("**", ""),
        ("", ""),
    ],
)
def test_a_name_in_another_form_is_told_in_its_own(text: str, meant: str) -> None:
    """Never as every name: that is said on purpose."""
    with pytest.raises(StartRefused, match="matches no collection") as caught:
        rules(f'subjects = ["*"]\nnames = ["{text}"]\nallow = ["pull"]')
    assert caught.value.reason.partition("; did you mean ")[2] == (f"{meant}?" if meant else "")


def test_roles_that_trust_makes_for_nobody_are_told() -> None:
    odd = rules(f"{BASE}\nroles = ['ci', 'targets/*', 'targets/ci', 'targets/releases', 'targets', 'root']")
    assert odd.warnings == (
        "rule 1: ci is the name of one role, and of none that trust makes; the role of a signer ci is targets/ci",
        "rule 1: targets/* is the name of one role, and of none that trust makes",
    )


# --- what follows


def test_no_rule_is_a_refusal() -> None:
    decision = rules(BASE).decide(subject("token:ci"), Right.DELETE, APP)
    assert (decision.allowed, decision.rule, decision.why) == (False, None, "no rule allows delete")
    assert not any(may(AccessRules(), who, right) for who in ("anonymous", "user:a") for right in Right)


def test_a_deny_wins_wherever_it_stands() -> None:
    for order in (1, -1):
        found = rules(*[rule("allow", "*"), rule("deny", "delete", "*", "*")][::order])
        assert may(found, "token:ci", Right.PUSH)
        decision = found.decide(subject("token:ci"), Right.DELETE, APP)
        assert (decision.allowed, decision.why) == (False, f"rule {decision.rule} denies delete")


@pytest.mark.parametrize(
    ("term", "meant", "not_meant"),
    [
        ("anonymous", ["anonymous"], ["token:anonymous", "user:a"]),
        ("token:ci", ["token:ci"], ["user:ci", "registry-token:ci", "token:CI", "anonymous"]),
        ("token:*", ["token:ci", "token:x"], ["user:ci", "anonymous"]),
        ("authenticated", ["token:ci", "user:a", "ci:x", "certificate:x", "registry-token:x"], ["anonymous"]),
        ("*", ["anonymous", "token:ci"], []),
        ("group:team", ["user:bob", "token:ci", "token:x"], ["user:alice", "anonymous"]),
    ],
)
def test_whom_a_rule_is_about(term: str, meant: list[str], not_meant: list[str]) -> None:
    found = rules(rule("allow", "pull", f"{term}"), groups="team = ['user:bob', 'token:*']")
    assert all(may(found, who, Right.PULL) for who in meant)
    assert not any(may(found, who, Right.PULL) for who in not_meant)


def test_a_pattern_means_everything_below_and_a_name_itself() -> None:
    below, itself = rules(BASE), rules(rule("allow", "push", names=APP))
    for name, by_pattern, by_name in (
        (APP, True, True),
        (f"{APP}/sub", True, False),
        ("registry.example.com/team", False, False),
        ("registry.example.com/teams/app", False, False),
        (OTHER, False, False),
    ):
        assert (may(below, "token:ci", Right.PUSH, name), may(itself, "token:ci", Right.PUSH, name)) == (
            by_pattern,
            by_name,
        )


TRICKS = [
    "Registry.example.com/team/app",
    "registry.example.com:443/team/app",
    "registry.example.com:0443/team/app",
    "registry.example.com./team/app",
    "registry.example.com/Team/app",
    "registry.example.com/team%2Fapp",
    "registry.example.com/\uff54eam/app",
    "team/app",
    "registry.example.com/team/app ",
]


@pytest.mark.parametrize("name", TRICKS)
def test_no_spelling_gets_around_a_deny(name: str) -> None:
    found = rules(rule("allow", "pull push", names="*"), rule("deny", "push"))
    assert not may(found, "token:ci", Right.PUSH, name)
    assert may(found, "token:ci", Right.PULL, name)  # what no rule denies is allowed by * alone
    assert not may(rules(rule("allow", "push")), "token:ci", Right.PUSH, name)


@pytest.mark.parametrize(
    "host", ["127.1:5000", "0177.0.0.1:5000", "[0::1]:5000", "[::ffff:7f00:1]:5000", "127.0.0.1:05000"]
)
def test_no_spelling_of_an_address_gets_around_a_deny(host: str) -> None:
    found = rules(rule("allow", "pull push", names="*"), rule("deny", "push", names="127.0.0.1:5000/*"))
    assert may(found, "token:ci", Right.PUSH, "[::1]:5000/team/app"), "another address is another host"
    assert not may(found, "token:ci", Right.PUSH, "127.0.0.1:5000/team/app")
    assert not may(found, "token:ci", Right.PUSH, f"{host}/team/app")


def test_admin_is_every_right_that_is_not_denied() -> None:
    found = rules(rule("allow", "admin"), rule("deny", "delete"))
    assert {right for right in Right if may(found, "token:ci", right)} == EVERY_RIGHT - {Right.DELETE}
    without = rules(rule("allow", "admin"), rule("allow", "pull"), rule("deny", "admin"))
    assert {right for right in Right if may(without, "token:ci", right)} == {Right.PULL}


def test_bound_roles_add_up_until_an_allow_has_none() -> None:
    ci = BASE + "\nroles = ['targets/ci']"
    more = BASE + "\nroles = ['targets/releases']"
    assert rules(ci).decide(subject("token:ci"), Right.PUSH, APP).roles == CI
    assert rules(ci, more).decide(subject("token:ci"), Right.PUSH, APP).roles == CI | RELEASING
    assert rules(ci, more, BASE).decide(subject("token:ci"), Right.PUSH, APP).roles is None


def test_what_a_subject_brings_along_is_one_more_allow() -> None:
    own = own_rule(["push"], ["registry.example.com/team/*"], what="the token itself")
    assert rules().decide(subject("token:ci"), Right.PUSH, APP, own=own).why == "the token itself allows it"
    assert not rules(rule("deny", "push", "*")).decide(subject("token:ci"), Right.PUSH, APP, own=own).allowed
    assert rules(rule("allow", "pull")).decide(subject("token:ci"), Right.PULL, APP, own=own).allowed


def test_who_has_only_its_own_rights_gets_none_from_rules_and_is_bound_by_them() -> None:
    own = own_rule(["push"], [APP], what="a token")
    found = rules(rule("allow", "delete push") + "", rule("deny", "rotate"))
    assert not found.decide(subject("token:ci"), Right.DELETE, APP, own=own, only_own=True).allowed
    bound = rules(BASE + "\nroles = ['targets/ci']")
    assert bound.decide(subject("token:ci"), Right.PUSH, APP, own=own, only_own=True).roles == CI
    assert found.decide(subject("token:ci"), Right.PUSH, APP, own=own, only_own=True).roles is None


def test_everybody_reads_only_if_no_rule_keeps_anybody_from_it() -> None:
    opened = rule("allow", "pull", "anonymous", "*")
    assert rules(opened).everybody_reads
    assert rules(opened, rule("deny", "push", "*")).everybody_reads
    assert not rules(rule("allow", "pull", "anonymous")).everybody_reads
    assert not rules(rule("allow", "pull", "authenticated", "*")).everybody_reads
    for right in ("pull", "admin", "*"):
        assert not rules(opened, rule("deny", right)).everybody_reads


def test_every_name_is_allowed_by_a_star_alone_and_denied_by_any_deny() -> None:
    listing = rule("allow", "audit", names="*")
    assert rules(listing).decide_everywhere(subject("token:ci"), Right.AUDIT).allowed
    assert not rules(rule("allow", "audit")).decide_everywhere(subject("token:ci"), Right.AUDIT).allowed
    assert not rules(listing, rule("deny", "audit")).decide_everywhere(subject("token:ci"), Right.AUDIT).allowed


# --- the commands


def told(*arguments: str) -> str:
    result = CliRunner().invoke(app, ["access", *arguments])
    if result.exception is not None:
        raise result.exception
    assert result.stderr == ""
    return result.stdout


def warned(*arguments: str) -> list[str]:
    result = CliRunner().invoke(app, ["access", "explain", *arguments])
    if result.exception is not None:
        raise result.exception
    return result.stderr.splitlines()


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / FILE
    path.write_text(
        "version = 1\n[groups]\nsecurity = ['user:bob', 'token:ci']\n"
        f"[[rule]]\n{rule('allow', 'pull', 'anonymous', '*')}\n[[rule]]\n{BASE}\nroles = ['targets/ci']\n"
        f"[[rule]]\n{rule('allow', 'pull rotate', 'group:security', '*')}\n"
        f"[[rule]]\n{rule('deny', 'rotate', 'token:*', '*')}\n[[rule]]\n{BASE}\nroles = ['targets/ci']\n"
    )
    path.chmod(0o600)
    return path


def test_a_file_is_checked_and_what_is_odd_is_said(file: Path) -> None:
    assert told("check", str(file)) == (
        f"warning: rule 5 says the same as rule 2\n{file} is in order: 5 rules, 1 group\n"
    )


def test_a_rule_that_no_server_beyond_loopback_takes_is_told(file: Path) -> None:
    file.write_text(f"version = 1\n[[rule]]\n{rule('allow', 'push', '*')}\n")
    assert told("check", str(file)).startswith("warning: rule 1 lets anonymous clients do more than read")


def test_a_file_that_others_may_change_is_refused_and_so_is_what_is_no_text(file: Path) -> None:
    file.chmod(0o622)
    with pytest.raises(StartRefused, match="may be changed by others; run chmod go-w"):
        told("check", str(file))
    file.chmod(0o600)
    for content, said in ((b"\xff", "is not UTF-8"), (b"#" * (1 << 20) + b"\n", "has more than 1048576 bytes")):
        file.write_bytes(content)
        with pytest.raises(StartRefused, match=said):
            told("check", str(file))
    with pytest.raises(StartRefused, match="is not there"):
        told("check", str(file.with_name("none")))
    os.mkfifo(file.with_name("pipe"))
    with pytest.raises(StartRefused, match="is no plain file"):
        told("check", str(file.with_name("pipe")))


def test_each_right_is_explained_by_the_rule_that_decides(file: Path) -> None:
    assert told("explain", "token:ci", APP, "--access", str(file)).splitlines() == [
        f"token:ci on {APP}, in security",
        "pull     allowed  rule 3 allows it",
        "push     allowed  rule 2 allows it, for changes of targets/ci alone",
        "init     refused  no rule allows init",
        "delete   refused  no rule allows delete",
        "rotate   refused  rule 4 denies rotate",
        "audit    refused  no rule allows audit",
        "propose  refused  no rule allows propose",
        "admin    refused  no rule allows admin",
    ]
    with pytest.raises(InvalidName):
        told("explain", "ci", APP, "--access", str(file))


def test_the_reference_shows_a_file_that_is_in_order_and_what_follows_from_it(file: Path) -> None:
    blocks = re.findall(r"(?:^    .*\n|^\n(?=    ))+", REFERENCE.read_text(encoding="utf-8"), re.MULTILINE)
    shown, explained, issuers, certified = (textwrap.dedent(block).strip() for block in blocks)
    file.write_text(shown)
    assert parse_rules(shown, path=FILE).warnings == ()
    tables = parse_rules(f"{shown}\n{issuers}\n{certified}", path=FILE)
    assert set(tables.workloads.workloads) == {"app-release"}
    assert set(tables.certificates.named) == {"carol", "builder"}
    assert told("explain", "token:ci", APP, "--access", str(file)).strip() == explained


def test_of_nobody_it_is_told_that_nobody_has_these_rights(file: Path, tmp_path: Path) -> None:
    data = ("--data", str(tmp_path / "data"))
    for command in (("migrate",), ("access", "token", "add", "gone", "--expires", "1h")):
        assert CliRunner().invoke(app, [*command, *data]).exit_code == 0
    assert CliRunner().invoke(app, ["access", "token", "revoke", "token:gone", *data]).exit_code == 0
    with_rules = ("--access", str(file))
    assert warned("user:alise", APP, *with_rules, *data) == [
        "warning: there is no user:alise, so nobody has these rights (trust-server access user list)"
    ]
    [said] = warned("token:gone", APP, *with_rules, *data)
    assert re.fullmatch(r"warning: token:gone was revoked on \S+, so nobody has these rights", said)
    for who, table in (("ci:app", "workload"), ("certificate:carol", "certificate")):
        assert warned(who, APP, *with_rules, *data) == [
            f"warning: no [[{table}]] of the rules is {who}, so nobody has these rights"
        ]
    assert warned("anonymous", f"{APP}:1.0", *with_rules) == [
        f"warning: {APP}:1.0 is not in normal form: rules for * alone allow something there, and each deny is about it"
    ]
    assert warned("anonymous", APP) == [
        "warning: no rules were looked at: a server that has some needs --access FILE here, too"
    ]
