"""`record`: what a frozen, keyword-only dataclass with slots promises, without its price."""

from __future__ import annotations

import copy
import pickle
from typing import ClassVar

import pytest

from keys.record import field_names, is_record, record, replace, values_of


@record
class Point:
    """A record with a default, a class variable, a property and a method."""

    kind: ClassVar[str] = "point"
    x: int
    y: int = 2

    @property
    def sum(self) -> int:
        return self.x + self.y

    def moved(self, by: int) -> Point:
        return replace(self, x=self.x + by)


@record
class Named:
    """The same fields as Point, another class."""

    x: int
    y: int = 2

    def __repr__(self) -> str:
        return "named"


def test_fields_are_given_by_keyword_and_have_defaults() -> None:
    assert (Point(x=1).x, Point(x=1).y, Point(x=1, y=5).y) == (1, 2, 5)
    assert Point(x=1).sum == 3
    assert Point.kind == "point"
    assert Point.__doc__ == "A record with a default, a class variable, a property and a method."
    assert Point.__qualname__ == "Point"


@pytest.mark.parametrize(
    ("arguments", "keywords", "said"),
    [((), {}, "needs 'x'"), ((), {"x": 1, "z": 2}, "no field 'z'"), ((1,), {}, "positional")],
)
def test_what_does_not_fit_the_fields_is_refused(
    arguments: tuple[int, ...], keywords: dict[str, int], said: str
) -> None:
    with pytest.raises(TypeError, match=said):
        Point(*arguments, **keywords)


def test_a_record_is_frozen_and_has_no_other_attributes() -> None:
    point = Point(x=1)
    with pytest.raises(AttributeError, match=r"Point\.x is frozen"):
        setattr(point, "x", 2)  # noqa: B010 - a type checker refuses the plain form
    with pytest.raises(AttributeError, match=r"Point\.z is frozen"):
        setattr(point, "z", 2)  # noqa: B010
    with pytest.raises(AttributeError, match=r"Point\.x is frozen"):
        delattr(point, "x")
    assert not hasattr(point, "__dict__")
    assert point == Point(x=1)


def test_records_are_equal_by_class_and_fields() -> None:
    assert Point(x=1) == Point(x=1, y=2)
    assert Point(x=1) != Point(x=2)
    different: tuple[object, ...] = (Named(x=1), (1, 2))
    assert all(Point(x=1) != other for other in different)
    assert len({Point(x=1), Point(x=1, y=2), Point(x=3)}) == 2


def test_copies() -> None:
    assert Point(x=1).moved(2) == Point(x=3)
    assert values_of(Point(x=1)) == {"x": 1, "y": 2}
    assert (is_record(Point(x=1)), is_record(Point), is_record("x")) == (True, False, False)
    for copied in (pickle.loads(pickle.dumps(Point(x=1))), copy.copy(Point(x=1)), copy.deepcopy(Point(x=1))):
        assert copied == Point(x=1)
    with pytest.raises(TypeError, match="no field 'z'"):
        replace(Point(x=1), z=3)


def test_what_it_looks_like() -> None:
    assert repr(Point(x=1)) == "Point(x=1, y=2)"
    assert repr(Named(x=1)) == "named"


def test_a_record_made_here_has_its_own_fields_only() -> None:
    @record
    class Size:
        unit: ClassVar[str] = "byte"
        width: int
        height: int = 3
        title: str

        def area(self) -> int:
            return self.width * self.height

    assert field_names(Size) == ("width", "height", "title")
    assert vars(Size)["__slots__"] == ("width", "height", "title")
    assert Size.__match_args__ == ()
    size = Size(title="t", width=2)
    assert values_of(size) == {"width": 2, "height": 3, "title": "t"}
    assert list(values_of(size)) == ["width", "height", "title"]
    assert (size.area(), size.unit) == (6, "byte")
    assert not hasattr(size, "__dict__")
    with pytest.raises(TypeError, match="Size needs 'title'"):
        Size(width=1)  # type: ignore[call-arg]
    assert replace(size, title="u", width=5).area() == 15
    assert size.__reduce__()[1] == (Size, values_of(size))


def test_a_record_without_fields() -> None:
    @record
    class Nothing:
        """A record that says nothing but its class."""

    assert Nothing() == Nothing()
    assert (field_names(Nothing), values_of(Nothing()), repr(Nothing())) == ((), {}, "Nothing()")


def test_a_record_is_compared_by_all_of_its_fields() -> None:
    assert Point(x=1, y=1) != Point(x=1, y=2)
    assert Point(x=1, y=1) != Point(x=2, y=1)
    assert Point(x=1, y=1).__eq__(Named(x=1, y=1)) is NotImplemented
    assert hash(Point(x=1, y=2)) == hash((1, 2))
