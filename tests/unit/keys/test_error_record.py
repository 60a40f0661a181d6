"""What an error of ours carries, and that it survives a process boundary."""

from __future__ import annotations

import pickle
from typing import Any

import pytest

from keys.error_record import about
from keys.errors import KeyAmbiguous, KeyExists, KeyNotFound, PassphraseMissing


def test_fields_by_name_and_no_others() -> None:
    foreign: dict[str, Any] = {"key": "a", "colour": "red"}
    nothing: dict[str, Any] = {}
    with pytest.raises(TypeError, match="KeyNotFound has no field 'colour'"):
        KeyNotFound(**foreign)
    with pytest.raises(TypeError, match="KeyNotFound needs 'key'"):
        KeyNotFound(**nothing)


def test_a_field_with_a_default_may_be_left_out() -> None:
    assert KeyExists(key="a").details() == {"key": "a", "place": "the key store"}
    assert str(KeyExists(key="a", place="there")) != str(KeyExists(key="a"))


def test_it_comes_back_whole_from_another_process() -> None:
    error = KeyAmbiguous(key="ab", candidates=("abc", "abd"))
    again = pickle.loads(pickle.dumps(error))
    assert type(again) is KeyAmbiguous
    assert again.details() == error.details()
    assert str(again) == str(error)


def test_notes_come_back_too() -> None:
    error = KeyNotFound(key="ab")
    error.add_note("while signing")
    assert pickle.loads(pickle.dumps(error)).__notes__ == ["while signing"]
    assert error.__reduce__()[2] == {"__notes__": ["while signing"]}
    assert KeyNotFound(key="ab").__reduce__()[2] is None


def test_a_key_that_is_not_there_is_named_with_the_place_where_it_was_looked_for() -> None:
    assert str(KeyNotFound(key="ab")) == "no private key ab in the key store"


def test_the_innermost_name_is_the_one_that_an_error_is_about() -> None:
    with pytest.raises(KeyNotFound) as caught, about("outer"), about("inner"):
        raise KeyNotFound(key="ab")
    assert caught.value.about == "inner"
    with pytest.raises(ValueError, match=r"^x$"), about("outer"):
        raise ValueError("x")


def test_several_names_stand_in_a_row() -> None:
    assert str(KeyAmbiguous(key="ab", candidates=("abc", "abd"))).endswith(" abc, abd")
    assert str(PassphraseMissing(key="ab", sources=("A", "B"))).endswith(" A, B")


def test_where_no_variable_is_read_none_is_named() -> None:
    assert str(PassphraseMissing(key="ab", sources=())).endswith("the passphrase of ab is missing")
