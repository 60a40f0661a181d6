"""Write an error as JSON values and read it again, for two processes of the server.

Only the classes of this program's own errors can be read. Unlike a pickle, the text names no code: what an upload has
put into a message stays text.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime
from types import MappingProxyType, ModuleType
from typing import Final, cast

import keys.errors
import trustdata.errors
import trustserver.errors
from keys.error_record import ErrorRecord
from keys.errors import KeysError
from trustdata.errors import NotStored, TrustError

_LONGEST: Final = 4096
"""Characters of a text that are kept. Of foreign text, messages and documents show fewer."""
_MOST: Final = 1000
"""Elements of a list or mapping that are kept."""


def _classes(modules: Iterable[ModuleType]) -> Mapping[str, type[ErrorRecord]]:
    found = {
        name: kind
        for module in modules
        for name, kind in vars(module).items()
        if isinstance(kind, type) and issubclass(kind, TrustError | KeysError)
    }
    return MappingProxyType(found)


_BY_NAME: Final = _classes((keys.errors, trustdata.errors, trustserver.errors))


def error_to_json(error: ErrorRecord) -> list[object]:
    """Return the name of an error's class and its fields. Long texts are cut."""
    fields = {name: _write(value) for name, value in vars(error).items() if not name.startswith("__")}
    return [type(error).__name__, fields]


def error_from_json(document: object) -> ErrorRecord:
    """Return the error that `error_to_json` has written. Another class or other fields make it a NotStored."""
    try:
        name, fields = cast("tuple[str, Mapping[str, object]]", document)
        return _BY_NAME[name](**{field: _read(value) for field, value in fields.items()})
    except (KeyError, TypeError, ValueError, AttributeError):
        return NotStored(reason="a process of the server gave an answer that cannot be read")


def _write(value: object) -> object:
    if value is None or isinstance(value, bool | int | float):
        return value
    if isinstance(value, datetime):
        return {"time": value.isoformat()}
    if isinstance(value, Mapping):
        return {"map": [[str(name)[:_LONGEST], _write(each)] for name, each in list(value.items())[:_MOST]]}
    if isinstance(value, tuple | list):
        return {"list": [_write(each) for each in value[:_MOST]]}
    return str(value)[:_LONGEST]


def _read(value: object) -> object:
    if not isinstance(value, Mapping):
        return value
    ((kind, content),) = value.items()
    if kind == "time":
        return datetime.fromisoformat(content)
    if kind == "map":
        return {name: _read(each) for name, each in content}
    if kind == "list":
        return tuple(_read(each) for each in content)
    raise ValueError(kind)
