"""Every error of the four packages can be copied and sent to another process, and stays what it was."""

from __future__ import annotations

import copy
import pickle
from collections.abc import Callable
from typing import Any, Final

import pytest

from keys.error_record import ErrorRecord
from tests.support.error_samples import ERRORS, PACKAGES, SAMPLES, typed_fields

WAYS: Final[dict[str, Callable[[Any], Any]]] = {
    "pickle": lambda error: pickle.loads(pickle.dumps(error)),
    "copy": copy.copy,
    "deepcopy": copy.deepcopy,
}


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
