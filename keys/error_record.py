"""Base class of errors with typed fields, declared like a dataclass but cheaper to import.

A dataclass compiles its methods when its class is created (0.3 ms each). `trust verify` imports sixty error classes and
raises at most one of them (docs/adr/0003).
"""

from __future__ import annotations

from types import TracebackType
from typing import ClassVar, dataclass_transform


@dataclass_transform(kw_only_default=True, eq_default=False)
class ErrorRecord(Exception):
    """An exception with typed fields, given by keyword. A field with a value in its class has that default.

    `code` is the stable name of the error in JSON output. A subclass writes its message in `__str__`.

    Raises TypeError if a field is unknown or missing.
    """

    code: ClassVar[str] = "error"
    about = ""
    """The name that was at hand where the error was caught, for advice alone: no field, and no part of the message."""

    def __init__(self, **values: object) -> None:
        names = _fields(type(self))
        for name in values:
            if name not in names:
                raise TypeError(f"{type(self).__name__} has no field {name!r}")
        for name in names:
            if name not in values and not hasattr(type(self), name):
                raise TypeError(f"{type(self).__name__} needs {name!r}")
        super().__init__()
        self.__dict__.update(values)

    def details(self) -> dict[str, object]:
        """Return the fields of the error by name, ready for JSON."""
        return {name: getattr(self, name) for name in _fields(type(self))}

    def __reduce__(self) -> tuple[object, ...]:
        # From the fields themselves: `details` may shorten them, write them as text, or leave some out. What is no
        # field (the notes of an exception) goes along as state.
        names = _fields(type(self))
        values = {name: value for name, value in self.__dict__.items() if name in names}
        state = {name: value for name, value in self.__dict__.items() if name not in names}
        return _rebuild, (type(self), values), state or None


def _rebuild(kind: type[ErrorRecord], values: dict[str, object]) -> ErrorRecord:
    return kind(**values)


def _fields(kind: type[ErrorRecord]) -> tuple[str, ...]:
    """Return the names of the annotated fields of a class and its base classes. The annotations are not evaluated."""
    names: dict[str, None] = {}
    for ancestor in reversed(kind.__mro__):
        # `inspect.get_annotations` would do the same for 10 ms of import.
        for name, annotation in ancestor.__dict__.get("__annotations__", {}).items():  # noqa: RUF063
            if not str(annotation).startswith("ClassVar"):
                names[name] = None
    return tuple(names)


class about:  # noqa: N801 - read as a word of a sentence: with about(name)
    """Let every error that passes know which name it is about, unless it knows already."""

    def __init__(self, name: str) -> None:
        self._name = name

    def __enter__(self) -> None:
        """Do nothing yet."""

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Note the name in an error of ours, and let it pass."""
        del kind, trace
        if isinstance(error, ErrorRecord):
            error.about = error.about or self._name
