"""What an error of ours carries, and that it survives a process boundary."""

from __future__ import annotations

import pickle
from typing import Any

import pytest

from keys.errors import KeyAmbiguous, KeyExists, KeyNotFound


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
