"""The rules that every key store shares: which key a reference denotes, which new key fits, and their order."""

from __future__ import annotations

from dataclasses import replace

import pytest

from keys.algorithms import Algorithm, generate
from keys.errors import KeyAmbiguous, KeyExists, KeyNameTaken, KeyNotFound
from keys.key_info import KeyInfo
from keys.store import MIN_PREFIX, check_new, find, in_order, is_keyid

FIRST, SECOND, THIRD = (KeyInfo.of(generate(Algorithm.ED25519), purpose="signer") for _ in range(3))


def numbered(info: KeyInfo, start: str, *, name: str = "", retired: bool = False) -> KeyInfo:
    """The same key under an id that begins in this way."""
    return replace(info, keyid=start.ljust(64, "0"), name=name, retired=retired)


def test_a_key_id_is_64_small_hexadecimal_digits() -> None:
    assert is_keyid("0123456789abcdef" * 4)
    for text in ("", "a" * 63, "a" * 65, "A" * 64, "g" * 64, f"{'a' * 64}\n", "٣" * 64):
        assert not is_keyid(text)


def test_what_denotes_no_key_is_shown_in_part_and_in_ascii() -> None:
    for reference, shown in (("none", "'none'"), ("é" + "a" * 80, r"'\xe9" + "a" * 79 + "'"), ("", "''")):
        with pytest.raises(KeyNotFound) as caught:
            find([FIRST], reference)
        assert caught.value.details() == {"key": shown, "named": True}


def test_from_four_digits_on_an_id_is_found() -> None:
    key, other = numbered(FIRST, "abcd1"), numbered(SECOND, "abce1")
    assert MIN_PREFIX == 4
    assert find([key, other], "abcd") == key
    assert find([key, other], key.keyid) == key
    for reference in ("abc", "abcd2", "ABCD", "bcd1"):
        with pytest.raises(KeyNotFound):
            find([key, other], reference)


def test_what_denotes_several_keys_names_them_in_their_order() -> None:
    one, other = numbered(FIRST, "abcd1"), numbered(SECOND, "abcd2", name="alice")
    for keys in ([one, other], [other, one]):
        with pytest.raises(KeyAmbiguous) as caught:
            find(keys, "abcd")
        assert caught.value.key == "'abcd'"
        assert caught.value.candidates == tuple(key.described for key in keys)
    long = "a" * 81
    named = [numbered(FIRST, "1", name=long), numbered(SECOND, "2", name=long)]
    with pytest.raises(KeyAmbiguous) as caught:
        find(named, long)
    assert caught.value.key == "'" + "a" * 80 + "'"


def test_an_id_goes_before_a_name_and_a_name_before_digits() -> None:
    by_id = numbered(FIRST, "abcd")
    by_name = numbered(SECOND, "1", name=by_id.keyid)
    by_digits = numbered(THIRD, "2", name="abcd")
    assert find([by_name, by_id], by_id.keyid) == by_id
    assert find([by_id, by_digits], "abcd") == by_digits


def test_a_key_that_is_used_goes_before_retired_ones_of_its_name() -> None:
    retired = [numbered(key, start, name="alice", retired=True) for key, start in ((FIRST, "1"), (SECOND, "2"))]
    used = numbered(THIRD, "3", name="alice")
    assert find([*retired, used], "alice") == used
    assert find(retired[:1], "alice") == retired[0]
    with pytest.raises(KeyAmbiguous):
        find(retired, "alice")


def test_a_key_comes_once_and_a_name_once_among_those_that_are_used() -> None:
    alice = numbered(FIRST, "1", name="alice")
    for new in (alice, replace(alice, name="bob"), replace(alice, retired=True), numbered(SECOND, "2", name="alice")):
        with pytest.raises(KeyExists) as caught:
            check_new([THIRD, alice], new)
        assert caught.value.key == alice.described
    check_new([alice], numbered(SECOND, "2", name="bob"))
    check_new([alice], numbered(SECOND, "2", name="alice", retired=True))
    check_new([replace(alice, retired=True)], numbered(SECOND, "2", name="alice"))
    check_new([numbered(FIRST, "1")], numbered(SECOND, "2"))


def test_a_name_that_is_taken_is_told_in_ascii_with_its_key() -> None:
    known = numbered(FIRST, "abcd", name="j\u00f8rgen")
    with pytest.raises(KeyNameTaken) as caught:
        check_new([known], numbered(SECOND, "bcde", name="j\u00f8rgen"))
    assert (caught.value.key, caught.value.name) == (known.described, r"j\xf8rgen")


def test_keys_are_listed_by_purpose_name_and_id() -> None:
    root = replace(numbered(FIRST, "9", name="z"), purpose="root")
    signers = [
        numbered(FIRST, "3"),
        numbered(FIRST, "4"),
        numbered(FIRST, "2", name="alice"),
        numbered(FIRST, "1", name="bob"),
    ]
    assert in_order(reversed([root, *signers])) == (root, *signers)
