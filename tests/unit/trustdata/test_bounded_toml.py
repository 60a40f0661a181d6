"""TOML of others: what takes much memory or time to parse is refused before it is parsed."""

from __future__ import annotations

import re
import tomllib
from typing import Any

import pytest

from trustdata.bounded_toml import MAX_KEY_PARTS, MAX_VALUES, loads


@pytest.fixture
def no_parser(monkeypatch: pytest.MonkeyPatch) -> None:
    def parsed(_: str) -> dict[str, Any]:
        pytest.fail("it was parsed")

    monkeypatch.setattr(tomllib, "loads", parsed)


@pytest.mark.usefixtures("no_parser")
@pytest.mark.parametrize(
    "text",
    [
        "a." * (MAX_KEY_PARTS + 1) + "b=1",
        "[" + "a." * (MAX_KEY_PARTS + 1) + "b]",
        '"a" . ' * (MAX_KEY_PARTS + 1) + "b=1",
        "a.b=1\n" * (MAX_VALUES // 2 + 1),
        "a=[" + "[]," * MAX_VALUES + "]",
        "a=[" + "{}," * MAX_VALUES + "]",
        "[a]\n" * (MAX_VALUES + 1),
        # structure that a careless reader would take for a string
        'a=["""\n""",' + "[]," * MAX_VALUES + '"x"]',
        'a=["""x""",' + "[]," * MAX_VALUES + '"x"]',
        'a=["""x"""",' + "[]," * MAX_VALUES + '"x"]',
        'a=["""x""""",' + "[]," * MAX_VALUES + '"x"]',
        "a=['''\n''''," + "[]," * MAX_VALUES + "'x']",
        'a=["\\"",' + "[]," * MAX_VALUES + '"x"]',
        "a=['\\'," + "[]," * MAX_VALUES + "'x']",
        '"' * (4 * MAX_VALUES + 1),
        "#\n" * (4 * MAX_VALUES + 1),
    ],
    ids=str.__len__,
)
def test_what_costs_much_is_refused_before_it_is_parsed(text: str) -> None:
    with pytest.raises(ValueError, match="more than"):
        loads(text)


@pytest.mark.usefixtures("no_parser")
@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"\xef\xbb\xbfa = 1", "begins with a byte order mark; save it as UTF-8 without one"),
        ("\ufeffa = 1", "begins with a byte order mark"),
        ("a = 1".encode("utf-16"), "is in UTF-16; save it as UTF-8"),
        ("\ufeffa = 1".encode("utf-16-be"), "is in UTF-16"),
        (b"a = 1\nb = '\xe4'", "is not UTF-8 (at line 2)"),
    ],
)
def test_what_is_no_text_in_utf_8_is_told_as_what_it_is(content: str | bytes, said: str) -> None:
    with pytest.raises(ValueError, match=re.escape(said)):
        loads(content)


def test_bytes_are_read_as_the_text_that_they_are() -> None:
    assert loads("a = 'ä'".encode()) == loads("a = 'ä'") == {"a": "ä"}


@pytest.mark.parametrize(
    "text",
    [
        'a = "' + "." * 1000 + '"',
        'a = """' + ".\n" * 1000 + '"""',
        "a = '''" + "[,\n" * 1000 + "'''''",
        "# " + "." * 1000,
        'a."b.c".\'d.e\' = [1, 2]  # "',
        "",
    ],
)
def test_what_stands_in_strings_and_comments_does_not_count(text: str) -> None:
    assert loads(text) == tomllib.loads(text)
