"""Every command with `--json` has a JSON Schema, every schema belongs to something, and they say what they mean to say.

What commands print is held against them wherever tests run a command with `--json` (`tests.support.json_documents`).
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any, Final, get_args, get_type_hints

import pytest

from keys.key_info import PURPOSES
from tests.support.json_documents import FAILURE, check_printed, documented_commands, schema_for
from tests.support.json_schema import _CHECKED, _NOTES, DIALECT, SCHEMAS, faults, referred, schema
from trustcli.commands.key.key_show import Form
from trustcli.commands.migrate.command import Moved
from trustcli.commands.support.many import State
from trustcli.console.exit_codes import INTERRUPTED
from trustcli.console.output import INTERRUPTION, failure_document, internal_document
from trustcli.doctor.findings import Severity
from trustcli.publish.plan import Behind, KeyPlace
from trustcli.state.pins import HOW
from trustdata.compromise import Since, Threat
from trustdata.editing.difference import Kind, TagChange
from trustdata.errors import NoTrustData
from trustdata.explanation import SignerState, StepState
from trustdata.wire.format_names import FORMAT_NAMES


def place_type() -> Any:
    return get_type_hints(KeyPlace)["place"]


def tag_change_type() -> Any:
    return get_type_hints(vars(TagChange)["kind"].fget)["return"]


OTHERS: Final = {
    "common",
    FAILURE,
    "api-collection",
    "api-collections",
    "api-events",
    "api-whoami",
    "distributed-policy",
    "policy",
    "problem",
    "server-check",
    "server-collections-list",
    "server-events",
    "trust-lock",
}
"""Schemas of what is no command of `trust`."""
WHOLE: Final = {"distributed-policy.json", "policy.json", "trust-lock.json"}
"""Of files that are refused whole for what is not known."""
FILES: Final = sorted(path.name for path in SCHEMAS.iterdir())


def rules(rule: Any) -> Iterator[dict[str, Any]]:
    """Every schema within a schema, itself first."""
    if not isinstance(rule, dict):
        return
    yield rule
    for name in ("items", "additionalProperties"):
        yield from rules(rule.get(name))
    for name in ("properties", "$defs"):
        for below in rule.get(name, {}).values():
            yield from rules(below)
    for below in rule.get("anyOf", ()):
        yield from rules(below)


def test_every_command_has_one_and_every_one_is_used() -> None:
    assert {f"{name}.json" for name in OTHERS | set(documented_commands().values())} == set(FILES)


def test_the_reference_names_every_one() -> None:
    text = (SCHEMAS.parent / "stability.md").read_text(encoding="utf-8")
    assert [name for name in FILES if f"(schemas/{name})" not in text] == []
    for words, name in documented_commands().items():
        assert f"| `trust {' '.join(words)}` | [{name}](schemas/{name}.json) |" in text


@pytest.mark.parametrize("name", FILES)
def test_it_is_a_schema_that_is_checked_whole(name: str) -> None:
    top = schema(name)
    assert top["$schema"] == DIALECT
    assert top["title"]
    assert top["description"]
    for rule in rules(top):
        assert set(rule) <= _CHECKED | _NOTES
        assert set(rule.get("required", ())) <= set(rule.get("properties", {}))
        assert "type" in rule or not rule.keys() & {"properties", "required", "items", "additionalProperties"}
        if "pattern" in rule:
            re.compile(rule["pattern"])
        if "$ref" in rule:
            assert isinstance(referred(rule["$ref"], name)[0], dict)


@pytest.mark.parametrize("name", [name for name in FILES if name not in WHOLE])
def test_readers_pass_over_what_they_do_not_know(name: str) -> None:
    """Only in files that are refused whole does nothing else stand."""
    assert [rule for rule in rules(schema(name)) if rule.get("additionalProperties") is False] == []


def test_every_definition_is_used() -> None:
    used = {
        (file, rule["$ref"].rpartition("/")[2])
        for name in FILES
        for rule in rules(schema(name))
        if "$ref" in rule
        for file in [rule["$ref"].partition("#")[0] or name]
    }
    defined = {(name, definition) for name in FILES for definition in schema(name).get("$defs", ())}
    assert defined == used


def test_the_lists_of_values_are_those_of_the_program() -> None:
    common = schema("common.json")["$defs"]
    assert common["format"]["enum"] == list(FORMAT_NAMES)
    assert sorted(common["purpose"]["enum"]) == sorted(PURPOSES)
    assert schema("pins.json")["$defs"]["result"]["properties"]["pins"]["items"]["properties"]["how"]["enum"] == [*HOW]


@pytest.mark.parametrize(
    ("name", "member", "kinds"),
    [
        ("common", "state", [State]),
        ("common", "place", [place_type()]),
        ("common", "change", [Kind, tag_change_type()]),
        ("common", "behind", [Behind]),
        ("doctor", "severity", [Severity]),
        ("doctor-containerd", "severity", [Severity]),
        ("explain", "state", [StepState]),
        ("explain", "stand", [SignerState]),
        ("key-compromised", "since", [Since]),
        ("key-compromised", "threat", [Threat]),
        ("key-show", "form", [Form]),
        ("migrate-from-notary", "done", [Moved]),
    ],
)
def test_a_list_of_values_is_that_of_the_code(name: str, member: str, kinds: list[Any]) -> None:
    found = {
        frozenset(each["enum"])
        for rule in rules(schema(f"{name}.json"))
        for within in (rule.get("properties", {}), rule.get("$defs", {}))
        if member in within
        for each in rules(within[member])
        if "enum" in each
    }
    assert found == {frozenset(get_args(kind)) for kind in kinds}


@pytest.mark.parametrize(
    ("command", "name"),
    [
        ("verify app:1 --json", "verify"),
        ("--server https://s.example --json key list", "key-list"),
        ("key load x --json", "key-import"),
        ("doctor --json", "doctor"),
        ("doctor registry.example.com/app --json", "doctor"),
        ("doctor containerd --json", "doctor-containerd"),
        ("migrate from-notary https://n.example --json", "migrate-from-notary"),
        ("--json", "failure"),
        ("veryfi --json", "failure"),
        ("key --json", "failure"),
        ("--json --server", "failure"),
    ],
)
def test_a_command_line_s_schema(command: str, name: str) -> None:
    assert schema_for(command.split()) == name


@pytest.mark.parametrize("name", sorted({*documented_commands().values(), FAILURE}))
def test_every_command_may_fail_with_the_same_document(name: str) -> None:
    errors = (failure_document(NoTrustData(gun="r.example/app")), internal_document("a fault"), dict(INTERRUPTION))
    for error in errors:
        document = {"error": error, "exit": error["exit"]}
        assert faults(document, name) == []
        assert faults({**document, "more": 1}, name) != []
        assert faults({**document, "error": {**error, "more": 1}}, name) != []
        assert faults({**document, "error": {**error, "exit": 9}}, name) != []
        for member in error:
            assert faults({**document, "error": {k: v for k, v in error.items() if k != member}}, name) != []
    assert INTERRUPTION["exit"] == INTERRUPTED


PIN: Final = {"gun": "r.example/app", "pin": "sha256:" + "ab" * 32, "named": None, "exit": 0}


@pytest.mark.parametrize(
    "change",
    [
        {"more": 1},
        {"gun": None},
        {"pin": "sha256:ab"},
        {"pin": "md5:" + "ab" * 32},
        {"named": 7},
        {"exit": 9},
        {"exit": False},
        {"exit": "0"},
        {"exit": None},
    ],
)
def test_what_a_schema_does_not_say_is_found(change: dict[str, object]) -> None:
    assert faults(PIN, "pin") == []
    assert faults(PIN | change, "pin") != []
    for member in PIN:
        assert faults({k: v for k, v in PIN.items() if k != member}, "pin") != []


def test_a_document_is_held_against_the_exit_status() -> None:
    printed = f'{{"gun": "a/b", "pin": "key:{"ab" * 32}", "named": null, "exit": 0}}'
    assert check_printed(["pin", "--json"], 0, printed) is not None
    with pytest.raises(AssertionError, match="ended with 4"):
        check_printed(["pin", "--json"], 4, printed)
    with pytest.raises(AssertionError, match=r"pin\.json does not say"):
        check_printed(["pin", "--json"], 0, printed.replace("named", "nmaed"))


def test_an_unknown_keyword_is_no_schema_of_ours(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tests.support.json_schema.schema", lambda _: {"oneOf": []})
    with pytest.raises(ValueError, match="does not know"):
        faults({}, "any")
