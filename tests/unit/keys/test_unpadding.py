"""Which of the two it was, a wrong passphrase or a damaged file, from what the decryption leaves behind."""

from __future__ import annotations

import pytest

from keys.errors import KeyFileMalformed, PassphraseWrong
from keys.unpadding import unpad


def der(length: int) -> bytes:
    """A SEQUENCE with an INTEGER first, of so many bytes, whose length is written as DER wants it."""
    inner = length - (2 if length < 130 else 3 if length < 259 else 4)
    head = bytes([inner]) if inner < 128 else (b"\x81" + bytes([inner]) if inner < 256 else b"\x82" + inner.to_bytes(2))
    return b"\x30" + head + (b"\x02\x01\x01" + b"\xaa" * inner)[:inner]


def padded(content: bytes, block_bytes: int = 16) -> bytes:
    size = block_bytes - len(content) % block_bytes
    return content + bytes([size]) * size


LENGTHS = [5, 14, 15, 16, 48, 49, 127, 128, 129, 131, 132, 258, 260, 261, 1217]


@pytest.mark.parametrize("block_bytes", [8, 16])
@pytest.mark.parametrize("length", LENGTHS)
def test_a_key_comes_back_without_its_padding(length: int, block_bytes: int) -> None:
    assert unpad(padded(der(length), block_bytes), block_bytes=block_bytes, place="p") == der(length)


def test_so_does_the_form_of_notary_that_is_no_der() -> None:
    assert unpad(padded(b"x" * 96), block_bytes=16, place="p") == b"x" * 96


@pytest.mark.parametrize("length", LENGTHS)
def test_what_begins_as_a_key_and_ends_otherwise_was_altered(length: int) -> None:
    whole = padded(der(length))
    size = whole[-1]
    other_end = bytes([(size + 1) % 256])
    cases = [
        whole[:-1] + b"\0",
        whole[:-1] + other_end,
        whole[:-1] + b"\xff",
        padded(der(length) + b"more"),
        padded(der(length)[:-1]),
    ]
    if size > 1:
        cases.append(whole[:-size] + b"\xee" * (size - 1) + whole[-1:])
    for case in cases:
        with pytest.raises(KeyFileMalformed, match="the passphrase opens only a part of it") as caught:
            unpad(case, block_bytes=16, place="p")
        assert caught.value.place == "p"


def test_the_shortest_beginning_of_a_key_counts() -> None:
    with pytest.raises(KeyFileMalformed):
        unpad(bytes.fromhex("30020201") + b"\xee" * 12, block_bytes=16, place="p")


@pytest.mark.parametrize(
    ("content", "or_altered"),
    [
        (b"x" * 15 + b"\0", False),
        (b"x" * 15 + b"\x02", False),
        (b"x" * 32 + b"\x11" * 16, False),
        (b"\x30" * 15 + b"\xff", False),
        (bytes.fromhex("31050201") + b"x" * 11 + b"\xee", False),
        (bytes.fromhex("30050202") + b"x" * 11 + b"\xee", False),
        (b"x" * 15 + b"\x01", True),
        (b"\x10" * 16, True),
        (padded(b"x" * 95), True),
        (padded(b"x" * 97), True),
        (bytes.fromhex("31050201") + b"x" * 11 + b"\x01", True),
    ],
)
def test_what_does_not_begin_as_a_key_is_the_work_of_a_wrong_passphrase(content: bytes, *, or_altered: bool) -> None:
    with pytest.raises(PassphraseWrong) as caught:
        unpad(content, block_bytes=16, place="p")
    assert (caught.value.key, caught.value.or_altered) == ("p", or_altered)
