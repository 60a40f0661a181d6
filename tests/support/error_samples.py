"""Every error of the four packages, the fields that it has, and a value for each."""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Iterator
from datetime import UTC, datetime
from types import ModuleType
from typing import Final

import keys
import trustcli
import trustdata
import trustserver
from keys.error_record import ErrorRecord
from trustcli.api import Signed
from trustcli.errors import BadLine

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
    "Mapping[str, Failure]": {},  # errors are equal to themselves alone
    "tuple[BadLine, ...]": (BadLine(line=3, text="a b", reason="no name"),),
    "tuple[Signed, ...]": (Signed(image="app:1", name="app:1@sha256:aa", tag="1", digest="sha256:aa", published=True),),
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


def typed_fields(kind: type) -> dict[str, str]:
    found: dict[str, str] = {}
    for ancestor in reversed(kind.__mro__):
        found |= {name: str(text) for name, text in ancestor.__dict__.get("__annotations__", {}).items()}  # noqa: RUF063
    return {name: text for name, text in found.items() if not text.startswith("ClassVar")}


ERRORS: Final = all_errors()
