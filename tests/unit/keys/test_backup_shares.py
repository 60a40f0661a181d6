"""Shares of a backup: every set that is large enough opens it; whatever is wrong with one is told, and of which."""

from __future__ import annotations

import re
import sys
from collections.abc import Sequence
from itertools import combinations

import pytest

from keys.backup import share_text, slip39
from keys.backup.archive import MOST_SHARES, SharedSeal
from keys.backup.errors import (
    ShareForeign,
    ShareMalformed,
    SharesTooFew,
    SharesUnsupported,
    SharesWrong,
    ShareTwice,
)
from keys.backup.opening import key_from_shares
from keys.backup.share_text import MAX_SHARE_FILE, read_share_text
from keys.backup.slip39 import check_split
from tests.support.backups import Made, shared


@pytest.fixture(scope="module")
def made() -> Made:
    return shared(3, 5)


def opened(made: Made, texts: Sequence[bytes]) -> bytes:
    backup = made.read
    assert isinstance(backup.seal, SharedSeal)
    read = [read_share_text(text, place=f"file {n}") for n, text in enumerate(texts, 1)]
    return key_from_shares(backup, backup.seal, read)


def words_of(made: Made, number: int) -> list[str]:
    return list(made.shares[number - 1].words)


def test_every_combination_opens_it_in_any_order(made: Made) -> None:
    for size in (3, 4, 5):
        for chosen in combinations((5, 1, 4, 2, 3), size):
            assert opened(made, [made.text(number) for number in chosen]) == made.key


def test_the_most_shares_that_there_are() -> None:
    made = shared(MOST_SHARES, MOST_SHARES)
    assert opened(made, [made.text(number) for number in range(1, MOST_SHARES + 1)]) == made.key


def test_the_backup_says_how_many_and_holds_none_of_their_words(made: Made) -> None:
    assert made.read.seal == SharedSeal(threshold=3, count=5, set_number=made.shares[0].set_number)
    text = made.data.decode()
    assert not [share for share in made.shares if " ".join(share.words[4:8]) in text]


def test_the_text_says_what_it_is_and_what_to_do_with_it(made: Made) -> None:
    text = made.text(3).decode()
    for said in (
        "SHARE 3 OF 5 ",
        f"Backup:  {made.read.name}",
        "Made:    2026-11-30T03:04:05Z by ann@laptop",
        "any 3 of the 5 shares",
        f" 1 {words_of(made, 3)[0]}",
        f"33 {words_of(made, 3)[32]}\n",
        "trust key restore FILE --share THIS",
    ):
        assert said in text
    assert max(map(len, text.splitlines())) <= 100


def test_words_alone_do_as_well_with_numbers_or_without(made: Made) -> None:
    typed = [
        " ".join(words_of(made, 1)).encode(),
        "\n".join(words_of(made, 2)).upper().encode(),
        b"\xef\xbb\xbf" + "".join(f"{n}. {word}\r\n" for n, word in enumerate(words_of(made, 3), 1)).encode(),
    ]
    assert opened(made, typed) == made.key


def test_too_few_are_told_with_those_that_were_given(made: Made) -> None:
    with pytest.raises(SharesTooFew, match="opened with 3 of its 5 shares, and only share 2 and 4 was given") as caught:
        opened(made, [made.text(4), made.text(2)])
    assert caught.value.given == ("2", "4")
    with pytest.raises(SharesTooFew, match="and none was given"):
        opened(made, [])


def test_one_that_is_given_twice_is_told_with_both_files(made: Made) -> None:
    with pytest.raises(ShareTwice, match=r"^share 2 was given twice: in file 1 and in file 3$"):
        opened(made, [made.text(2), made.text(1), made.text(2)])


def test_one_of_another_backup_is_told_by_what_it_says_or_by_its_words(made: Made) -> None:
    other = shared(3, 5)
    while other.shares[0].set_number == made.shares[0].set_number:
        other = shared(3, 5)
    with pytest.raises(ShareForeign, match=r"^share 4 in file 2 is none of keys\.backup: it says that it is of the"):
        opened(made, [made.text(1), other.text(4), made.text(3)])
    with pytest.raises(ShareForeign, match=r"^share 4 in file 2 .*its words begin otherwise"):
        opened(made, [made.text(1), " ".join(words_of(other, 4)).encode(), made.text(3)])


def test_one_of_another_set_that_begins_alike_is_told(made: Made, monkeypatch: pytest.MonkeyPatch) -> None:
    library = pytest.importorskip("shamir_mnemonic.shamir", reason="shamir-mnemonic is not installed")
    number = made.shares[0].set_number
    monkeypatch.setattr(library, "_random_identifier", lambda: number)
    alike, smaller = shared(3, 5), shared(2, 5)
    forged = [" ".join(words_of(alike, n)).encode() for n in range(1, 6)]
    with pytest.raises(ShareForeign, match="it is no share of 3 of 5"):
        opened(made, [made.text(1), made.text(2), " ".join(words_of(smaller, 3)).encode()])
    with pytest.raises(ShareForeign, match=r"share 6 in .* it is no share of 3 of 5"):
        opened(made, [" ".join(words_of(shared(3, 6), 6)).encode()])
    with pytest.raises(SharesWrong, match=r"^the shares 1, 2, 3 do not open keys\.backup") as caught:
        opened(made, [made.text(1), made.text(2), forged[2]])
    assert caught.value.numbers == ("1", "2", "3")
    with pytest.raises(SharesWrong) as caught:
        opened(made, [made.text(1), made.text(2), made.text(3), forged[4]])
    assert caught.value.numbers == ("1", "2", "5")


def test_more_shares_than_needed_that_give_another_key_are_told(made: Made, monkeypatch: pytest.MonkeyPatch) -> None:
    combine, asked = slip39.combine, list[int]()

    def other_at_last(shares: Sequence[slip39.Share]) -> bytes | None:
        asked.append(len(shares))
        return combine(shares) if len(asked) == 1 else bytes(32)

    monkeypatch.setattr("keys.backup.opening.combine", other_at_last)
    with pytest.raises(SharesWrong, match="1, 2, 4"):
        opened(made, [made.text(number) for number in (1, 2, 3, 4)])
    assert asked == [3, 3]


def test_a_wrong_word_and_swapped_words_are_told_with_the_share(made: Made) -> None:
    words = words_of(made, 2)
    at = next(n for n in range(4, 31) if words[n] != words[n + 1])
    other = next(word for word in words_of(made, 1) if word != words[at])
    for damaged in ([*words[:at], other, *words[at + 1 :]], [*words[:at], words[at + 1], words[at], *words[at + 2 :]]):
        text = made.text(2).decode()
        for n in (at, at + 1):
            text = re.sub(rf"(?<![0-9]){n + 1} {words[n]}\b", f"{n + 1} {damaged[n]}", text)
        with pytest.raises(ShareMalformed, match=r"^share 2 in file 1 cannot be used: its checksum is wrong"):
            opened(made, [text.encode()])


def test_a_word_that_is_none_is_told_with_its_place(made: Made) -> None:
    words = words_of(made, 1)
    with pytest.raises(ShareMalformed, match=r"^the share in file 1 cannot be used: word 4, 'acdemic', is none of the"):
        opened(made, [" ".join([*words[:3], "acdemic", *words[4:]]).encode()])


def test_missing_words_are_told(made: Made) -> None:
    words = words_of(made, 1)
    with pytest.raises(ShareMalformed, match="it has 32 words where 33 are wanted"):
        opened(made, [" ".join(words[:-1]).encode()])
    lines = [f"{n} {word}" for n, word in enumerate(words, 1)]
    with pytest.raises(ShareMalformed, match="word 6 should come where word 7 stands"):
        opened(made, ["\n".join(lines[:5] + lines[6:]).encode()])


def test_a_title_of_another_share_is_told(made: Made) -> None:
    with pytest.raises(ShareMalformed, match=r"^share 4 in file 1 cannot be used: its words are those of share 2"):
        opened(made, [made.text(2).replace(b"SHARE 2 OF", b"SHARE 4 OF")])


@pytest.mark.parametrize("data", [b"", b"holiday pictures, 2026", b"\xff\xfe\x00", b"SHARE 1 OF 3"])
def test_what_is_no_share_is_told(data: bytes) -> None:
    with pytest.raises(ShareMalformed, match="it does not hold the words of a share"):
        read_share_text(data, place="x")


def test_what_is_too_large_is_not_looked_at() -> None:
    with pytest.raises(ShareMalformed, match="larger than"):
        read_share_text(b"a" * (MAX_SHARE_FILE + 1), place="x")


def test_a_share_of_another_kind_of_secret_is_told() -> None:
    library = pytest.importorskip("shamir_mnemonic", reason="shamir-mnemonic is not installed")
    (short,) = library.generate_mnemonics(1, [(2, 2)], bytes(16))
    with pytest.raises(ShareMalformed, match="it has 20 words where 33 are wanted"):
        read_share_text(short[0].encode(), place="x")
    groups = library.generate_mnemonics(1, [(2, 2), (2, 2)], bytes(32))
    with pytest.raises(ShareMalformed, match="it is a share of another kind of secret"):
        read_share_text(groups[1][0].encode(), place="x")


@pytest.mark.parametrize(
    ("threshold", "count", "reason"),
    [
        (2, 3, ""),
        (2, 2, ""),
        (16, 16, ""),
        (1, 3, "a single share that opens it is a passphrase"),
        (0, 3, "a single share that opens it is a passphrase"),
        (4, 3, "no 4 of 3 shares"),
        (2, 17, "at most 16 shares"),
    ],
)
def test_how_a_key_can_be_split(threshold: int, count: int, reason: str) -> None:
    found = check_split(threshold, count)
    assert reason in found
    assert bool(found) == bool(reason)


def test_a_code_to_scan_holds_the_words(made: Made) -> None:
    segno = pytest.importorskip("segno", reason="segno is not installed")
    share_text.require_qr_library()
    text = made.text(1, qr=True).decode()
    blocks = [line for line in text.splitlines() if set(line) & set("█▀▄")]
    rows = [[block in upper for block in line] for line in blocks for upper in ("█▀", "█▄")]
    wanted = segno.make_qr(" ".join(words_of(made, 1)).upper(), error="m").matrix
    found = [row[4:-4] for row in rows][: len(wanted)]
    assert [[bool(module) for module in row] for row in wanted] == found
    assert opened(made, [made.text(1, qr=True), made.text(2, qr=True), made.text(3)]) == made.key
    assert len(text.encode()) < MAX_SHARE_FILE


def test_a_library_that_is_not_installed_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "shamir_mnemonic", None)
    monkeypatch.setitem(sys.modules, "segno", None)
    with pytest.raises(
        SharesUnsupported, match=r"^shares need the library shamir-mnemonic, which is not installed$"
    ) as no:
        slip39.require_library()
    assert no.value.command == "pip install 'content-trust[shares]'"
    with pytest.raises(SharesUnsupported, match=r"^QR codes need the library segno, which is not installed$"):
        share_text.require_qr_library()
