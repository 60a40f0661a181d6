"""A validator of JSON Schema (2020-12) for the keywords that our schemas use; any other keyword is an error.

Readers of our documents pass over members that they do not know, so the schemas do not forbid them. What the programs
print is looked at more strictly: an object with `properties` and without `additionalProperties` has no other members.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any, Final

SCHEMAS: Final = Path(__file__).resolve().parents[2] / "docs" / "reference" / "schemas"
DIALECT: Final = "https://json-schema.org/draft/2020-12/schema"

_TYPES: Final[dict[str, Any]] = {
    "object": lambda value: isinstance(value, Mapping),
    "array": lambda value: isinstance(value, list),
    "string": lambda value: isinstance(value, str),
    "integer": lambda value: type(value) is int,
    "number": lambda value: type(value) in {int, float},
    "boolean": lambda value: type(value) is bool,
    "null": lambda value: value is None,
}
_NOTES: Final = {"$schema", "$defs", "title", "description"}
_CHECKED: Final = {
    *("$ref", "anyOf", "type", "const", "enum", "pattern", "minimum", "items", "uniqueItems"),
    *("properties", "required", "additionalProperties"),
}


@cache
def schema(name: str) -> dict[str, Any]:
    """The schema in `docs/reference/schemas/NAME`."""
    read: dict[str, Any] = json.loads((SCHEMAS / name).read_text(encoding="utf-8"))
    return read


def faults(document: object, name: str) -> list[str]:
    """What is wrong with a document, by the schema of this name: `PLACE: WHAT`. Empty if nothing is."""
    return list(_faults(document, schema(f"{name}.json"), f"{name}.json", "$"))


def referred(reference: str, file: str) -> tuple[Any, str]:
    """The schema that a `$ref` in a file names, and the file that it stands in."""
    named, _, pointer = reference.partition("#")
    file = named or file
    found: Any = schema(file)
    for step in pointer.split("/")[1:]:
        found = found[step]
    return found, file


def _faults(value: Any, rule: Any, file: str, place: str) -> Iterator[str]:
    if rule is True:
        return
    unknown = set(rule) - _NOTES - _CHECKED
    if unknown:
        raise ValueError(f"{file}: this validator does not know {sorted(unknown)}")
    if "$ref" in rule:
        found, there = referred(rule["$ref"], file)
        yield from _faults(value, found, there, place)
    if "anyOf" in rule:
        tried = [list(_faults(value, each, file, place)) for each in rule["anyOf"]]
        if all(tried):  # what is wrong by the alternative that fits best
            yield from min(
                tried, key=lambda found: (sum(fault.startswith(f"{place}: ") for fault in found), len(found))
            )
    yield from _plain_faults(value, rule, place)
    if isinstance(value, list):
        yield from _element_faults(value, rule, file, place)
    if isinstance(value, Mapping):
        yield from _member_faults(value, rule, file, place)


def _plain_faults(value: Any, rule: Mapping[str, Any], place: str) -> Iterator[str]:
    types = rule.get("type", [])
    types = [types] if isinstance(types, str) else types
    if types and not any(_TYPES[each](value) for each in types):
        yield f"{place}: {value!r:.80} is no {' or '.join(types)}"
    if "const" in rule and not _same(value, rule["const"]):
        yield f"{place}: {value!r:.80} is not {rule['const']!r}"
    if "enum" in rule and not any(_same(value, each) for each in rule["enum"]):
        yield f"{place}: {value!r:.80} is none of {rule['enum']}"
    if isinstance(value, str) and "pattern" in rule and not re.search(rule["pattern"], value):
        yield f"{place}: {value!r:.80} does not match {rule['pattern']}"
    if type(value) in {int, float} and value < rule.get("minimum", value):
        yield f"{place}: {value} is below {rule['minimum']}"


def _same(value: object, other: object) -> bool:
    """1 and true are equal in Python, not in JSON."""
    return type(value) is type(other) and value == other


def _element_faults(value: list[Any], rule: Mapping[str, Any], file: str, place: str) -> Iterator[str]:
    for index, element in enumerate(value):
        yield from _faults(element, rule.get("items", True), file, f"{place}[{index}]")
    if rule.get("uniqueItems") and any(each in value[:index] for index, each in enumerate(value)):
        yield f"{place}: has one element twice"


def _member_faults(value: Mapping[str, Any], rule: Mapping[str, Any], file: str, place: str) -> Iterator[str]:
    properties = rule.get("properties", {})
    yield from (f"{place}: lacks {name}" for name in rule.get("required", ()) if name not in value)
    others = rule.get("additionalProperties", "properties" not in rule)
    for name, member in value.items():
        if name in properties:
            yield from _faults(member, properties[name], file, f"{place}.{name}")
        elif others is False:
            yield f"{place}: has a member {name!r:.80} that the schema does not name"
        else:
            yield from _faults(member, others, file, f"{place}.{name}")
