"""A line of bash that is not finished: its words, and what bash keeps of the last one."""

from __future__ import annotations

import pytest

from trustcli.completion.shell_line import typed_line

BREAKS = " \t\n\"'@><=;|&(:"


@pytest.mark.parametrize(
    ("line", "words", "kept"),
    [
        ("trust", (), 0),
        ("trust ", ("",), 0),
        ("trust ver", ("ver",), 0),
        ("  trust  verify\tapp", ("verify", "app"), 0),
        ("trust verify r:5000/app", ("verify", "r:5000/app"), 2),
        ("trust verify r:5000/app:", ("verify", "r:5000/app:"), 11),
        ("trust verify r:5000/app:1 ", ("verify", "r:5000/app:1", ""), 0),
        ("trust pins --as=t", ("pins", "--as=t"), 5),
        ("trust verify 'r:5000/a", ("verify", "r:5000/a"), 0),
        ('trust verify "r:5000/a" ', ("verify", "r:5000/a", ""), 0),
        ('trust verify "a b\\"c\\d', ("verify", 'a b"c\\d'), 0),
        ("trust --home=/my\\ home/x", ("--home=/my home/x",), 7),
        ("trust verify r:'5", ("verify", "r:5"), 2),
        ("trust verify 'a\\b", ("verify", "a\\b"), 0),
        ("trust verify '' ", ("verify", "", ""), 0),
        ("trust verify a\\", ("verify", "a"), 0),
    ],
)
def test_words(line: str, words: tuple[str, ...], kept: int) -> None:
    found = typed_line(line, BREAKS)
    assert (found.words, found.kept) == (words, kept)


def test_other_word_breaks() -> None:
    """Many people take the colon out of COMP_WORDBREAKS."""
    assert typed_line("trust verify r:1", " \t\n").kept == 0
