"""One thing is not several."""

from __future__ import annotations

import pytest

from trustdata.counting import counted


@pytest.mark.parametrize(
    ("number", "words"),
    [(0, "0 tags are here"), (1, "1 tag is here"), (2, "2 tags are here")],
)
def test_the_noun_has_the_number_of_its_things(number: int, words: str) -> None:
    assert counted(number, "tag is", plural="tags are") + " here" == words
    assert counted(number, "tag") == words.removesuffix(" is here").removesuffix(" are here")
