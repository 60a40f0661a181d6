"""Every error of the four packages can be copied and sent to another process, and stays what it was."""

from __future__ import annotations

import copy
import importlib
import pickle
import pkgutil
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from types import ModuleType
from typing import Any, Final

import pytest

import keys
import trustcli
import trustdata
import trustserver
from keys.error_record import ErrorRecord

PACKAGES: Final = (keys, trustdata, trustcli, trustserver)
NO_MODULES: Final = ("trustserver.storage.migrations.env",)
"""What only runs inside of another program."""

SAMPLES: Final[dict[str, object]] = {
    "str": "\x1b[2J" + "long, and foreign " * 100,
    "int": 7,
    "int | None": 7,
    "float": 2.5,
    "bool": True,
    "datetime": datetime(2026, 11, 1, 12, 0, 0, 123456, tzinfo=UTC),
    "tuple[str, ...]": ("a" * 500, "b\n"),
    "Mapping[str, object]": {"at": datetime(2026, 11, 1, tzinfo=UTC), "name\n": ["x" * 500]},
    "Mapping[str, int]": {"root": 1},
    "Mapping[str, str]": {"v\n1": "sha256:" + "a" * 500},
}
"""A value of each type that a field has: longer than what is shown, or shown in another form."""


def modules(package: ModuleType) -> Iterator[str]:
    for found in pkgutil.walk_packages(package.__path__, f"{package.__name__}."):
        if found.name not in NO_MODULES:
            yield found.name


def subclasses(kind: type) -> Iterator[type]:
    each: type
    for each in kind.__subclasses__():
        yield each
        yield from subclasses(each)


def all_errors() -> list[type[ErrorRecord]]:
    for package in PACKAGES:
        for name in modules(package):
            importlib.import_module(name)
    roots = {package.__name__ for package in PACKAGES}
    found = {
        kind
        for kind in subclasses(ErrorRecord)
        if kind.__module__.partition(".")[0] in roots and "<locals>" not in kind.__qualname__
    }
    return sorted(found, key=lambda kind: (kind.__module__, kind.__qualname__))


ERRORS: Final = all_errors()
WAYS: Final[dict[str, Callable[[Any], Any]]] = {
    "pickle": lambda error: pickle.loads(pickle.dumps(error)),
    "copy": copy.copy,
    "deepcopy": copy.deepcopy,
}


def typed_fields(kind: type) -> dict[str, str]:
    found: dict[str, str] = {}
    for ancestor in reversed(kind.__mro__):
        found |= {name: str(text) for name, text in ancestor.__dict__.get("__annotations__", {}).items()}  # noqa: RUF063
    return {name: text for name, text in found.items() if not text.startswith("ClassVar")}


def fields(error: ErrorRecord) -> dict[str, object]:
    return {name: getattr(error, name) for name in typed_fields(type(error))}


def test_there_are_errors_of_every_package() -> None:
    assert {kind.__module__.partition(".")[0] for kind in ERRORS} == {package.__name__ for package in PACKAGES}


@pytest.mark.parametrize("kind", ERRORS, ids=lambda kind: kind.__name__)
def test_it_comes_back_with_every_field_as_it_was(kind: type[ErrorRecord]) -> None:
    error = kind(**{name: SAMPLES[text] for name, text in typed_fields(kind).items()})
    error.add_note("seen on the way")
    for way, send in WAYS.items():
        again = send(error)
        assert type(again) is kind, way
        assert fields(again) == fields(error), way
        assert (str(again), again.code, again.details()) == (str(error), error.code, error.details()), way
        assert again.__notes__ == ["seen on the way"], way


@pytest.mark.parametrize("kind", ERRORS, ids=lambda kind: kind.__name__)
def test_what_was_not_given_keeps_its_default(kind: type[ErrorRecord]) -> None:
    given = {name: SAMPLES[text] for name, text in typed_fields(kind).items() if not hasattr(kind, name)}
    error = kind(**given)
    for way, send in WAYS.items():
        assert fields(send(error)) == fields(error), way
