"""Frozen values with typed keyword fields, for modules that every start of `trust verify` imports.

A frozen dataclass with slots compiles its methods when its class is created. Forty of them took about a sixth of the
start-up time (docs/adr/0039). A record looks the same to a type checker and behaves the same, but all records share
their methods. Use dataclasses where the start-up time does not matter.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, Never, TypeVar, cast, dataclass_transform

_Class = TypeVar("_Class")
_Value = TypeVar("_Value")
_FIELDS: Final = "__record_fields__"
_DEFAULTS: Final = "__record_defaults__"
_SETTERS: Final = "__record_setters__"


@dataclass_transform(kw_only_default=True, frozen_default=True)
def record(cls: type[_Class]) -> type[_Class]:
    """Make a class a frozen value: one field for each annotation, given by keyword, with the class's value as default.

    Two values are equal if they have the same class and all fields are equal. The fields are stored in slots. A
    ClassVar is no field. A default is shared by all instances, so it must be immutable.
    """
    names = field_names(cls)
    namespace = {name: value for name, value in cls.__dict__.items() if name not in {"__dict__", "__weakref__", *names}}
    defaults = {name: cls.__dict__[name] for name in names if name in cls.__dict__}
    namespace |= {"__slots__": names, _FIELDS: names, _DEFAULTS: defaults, "__match_args__": ()}
    new_class = type(cls.__name__, cls.__bases__, {**_METHODS, **namespace})  # slots can only be given to a new class
    # What the slots are set by, looked up once: hooks that stay make a dozen records for each answer.
    setattr(new_class, _SETTERS, tuple((name, new_class.__dict__[name].__set__) for name in names))
    return cast("type[_Class]", new_class)


def replace(value: _Value, **changes: object) -> _Value:
    """Return a copy of a record with other values for some fields. Raises: TypeError for an unknown field."""
    return type(value)(**{**values_of(value), **changes})


def values_of(value: object) -> dict[str, Any]:
    """Return the fields of a record by name, in the order of the class."""
    return {name: getattr(value, name) for name in getattr(value, _FIELDS)}


def is_record(value: object) -> bool:
    """Return whether this is a record."""
    return hasattr(type(value), _FIELDS)


def field_names(cls: type) -> tuple[str, ...]:
    """Return the names of the annotated fields of a class, without ClassVars. The annotations are not evaluated."""
    # `inspect.get_annotations` would do the same for 10 ms of import.
    annotated: Mapping[str, object] = cls.__dict__.get("__annotations__", {})  # noqa: RUF063
    return tuple(name for name, annotation in annotated.items() if not str(annotation).startswith("ClassVar"))


class _Methods:
    """The methods that every record class gets."""

    __slots__ = ()

    def __init__(self, **values: object) -> None:
        cls = type(self)
        given = {**getattr(cls, _DEFAULTS), **values}
        setters = getattr(cls, _SETTERS)
        try:
            for name, set_field in setters:
                set_field(self, given[name])
        except KeyError:
            raise TypeError(f"{cls.__name__} needs {name!r}") from None
        if len(given) > len(setters):
            unknown = next(name for name in values if name not in getattr(cls, _FIELDS))
            raise TypeError(f"{cls.__name__} has no field {unknown!r}")

    def __setattr__(self, name: str, _: object) -> Never:
        raise AttributeError(f"{type(self).__name__}.{name} is frozen")

    def __delattr__(self, name: str) -> Never:
        raise AttributeError(f"{type(self).__name__}.{name} is frozen")

    def __eq__(self, other: object) -> bool:
        if type(self) is not type(other):
            return NotImplemented
        names = getattr(self, _FIELDS)
        return [getattr(self, name) for name in names] == [getattr(other, name) for name in names]

    def __hash__(self) -> int:
        return hash(tuple([getattr(self, name) for name in getattr(self, _FIELDS)]))

    def __repr__(self) -> str:
        fields = ", ".join(f"{name}={value!r}" for name, value in values_of(self).items())
        return f"{type(self).__name__}({fields})"

    def __reduce__(self) -> tuple[object, ...]:
        return _rebuilt, (type(self), values_of(self))


def _rebuilt(cls: type[_Value], values: Mapping[str, object]) -> _Value:
    return cls(**values)


_METHODS: Final = {name: method for name, method in vars(_Methods).items() if callable(method) or name == "__hash__"}
