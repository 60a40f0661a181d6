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
    BackupError,
    ShareForeign,
    ShareMalformed,
    SharesTooFew,
    SharesUnsupported,
    SharesWrong,
    ShareTwice,
)
from keys.backup.opening import key_from_shares
from keys.backup.share_text import MAX_SHARE_FILE, read_share_text, write_share
from keys.backup.slip39 import check_split
from keys.extras import how_to_install
from tests.support.backups import AT, Made, shared


@pytest.fixture(scope="module")
def made() -> Made:
    return shared(3, 5)


def opened(made: Made, texts: Sequence[bytes]) -> bytes:
    backup = made.read
    assert isinstance(backup.seal, SharedSeal)
    read = [read_share_text(text, place=f"file {n}") for n, text in enumerate(texts, 1)]
    return key_from_shares(backup, backup.seal, read)


def told_by(error: BackupError) -> dict[str, object]:
    """Return the fields that programs act on."""
    return {name: value for name, value in error.details().items() if name != "reason"}


def unusable(text: str | bytes, reason: str, number: int = 0) -> None:
    """Demand that a share is refused for this reason, with its file and the number that it says."""
    with pytest.raises(ShareMalformed, match=reason) as caught:
        read_share_text(text if isinstance(text, bytes) else text.encode(), place="/mnt/a share")
    assert told_by(caught.value) == {"place": "/mnt/a share", "command": "", "number": number}


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


PAPER = """\
SHARE 3 OF 5 of a backup of signing keys (content-trust)

Backup:  BACKUP
File:    keys\\x1b[2J.backup
Made:    2026-11-30T03:04:05Z by ann\\n@laptop
Opens:   any 3 of the 5 shares, together with the backup's file.
         Fewer open nothing, and say nothing about the keys.

WORDS

What to do with it
  Keep it where none of the other shares is, and not beside the backup's file.
  Print it, and delete this file; or keep the file on a medium of its own.
  Show it to nobody who does not name the backup above.
What to do when keys are lost
  Bring it to whoever has the backup's file, and type there:
    trust key backup-verify FILE --share THIS --share ANOTHER ...
    trust key restore FILE --share THIS --share ANOTHER ...
  From paper: type the words into a file in this order, with or without their numbers.
  The words are SLIP-39, without a passphrase: other programs can put them together, too.
"""
"""What lies in a safe for years: nobody who reads it then has anything else to go by."""


def test_the_text_says_what_it_is_and_what_to_do_with_it(made: Made) -> None:
    seal, share = made.read.seal, made.shares[2]
    assert isinstance(seal, SharedSeal)
    text = write_share(
        share, seal, backup=made.read.name, file="keys\x1b[2J.backup", created=AT, by="ann\n@laptop"
    ).decode()
    before, after = PAPER.replace("BACKUP", made.read.name).split("WORDS\n")
    assert text.startswith(before)
    assert text.endswith(after)
    words = text[len(before) : -len(after)]
    numbered = [f"{n} {word}" for n, word in enumerate(share.words, 1)]
    assert [" ".join(pair) for pair in re.findall(r"(\d+) (\w+)", words)] == numbered
    assert [len(line.split()) for line in words.splitlines()] == [8] * 8 + [2]
    assert max(map(len, text.splitlines())) <= 100
    assert {line[:2] for line in words.splitlines()} == {"  "}
    assert [line for line in words.splitlines() if line != line.rstrip()] == []


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
    assert told_by(caught.value) == {
        "place": "keys.backup",
        "command": "",
        "threshold": 3,
        "count": 5,
        "given": ("2", "4"),
    }
    with pytest.raises(SharesTooFew, match="and none was given"):
        opened(made, [])


def test_other_programs_for_such_shares_need_not_stretch_anything(made: Made) -> None:
    """What is split is random already, and the tools that people have for this wait for each doubling."""
    library = pytest.importorskip("shamir_mnemonic")
    assert {library.Share.from_mnemonic(" ".join(share.words)).iteration_exponent for share in made.shares} == {0}


def test_a_share_that_does_not_say_its_number_is_the_share() -> None:
    assert (
        str(ShareMalformed(place="a.txt", number=0, reason="no words")) == "the share in a.txt cannot be used: no words"
    )
    assert str(ShareMalformed(place="a.txt", number=3, reason="no words")).startswith("share 3 in a.txt ")


def test_one_that_is_given_twice_is_told_with_both_files(made: Made) -> None:
    with pytest.raises(ShareTwice, match=r"^share 2 was given twice: in file 1 and in file 3$"):
        opened(made, [made.text(2), made.text(1), made.text(2)])


def test_one_of_another_backup_is_told_by_what_it_says_or_by_its_words(made: Made) -> None:
    other = shared(3, 5)
    while other.shares[0].set_number == made.shares[0].set_number:
        other = shared(3, 5)
    with pytest.raises(
        ShareForeign, match=r"^share 4 in file 2 does not belong to keys\.backup: it says that it is of the"
    ):
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


@pytest.mark.parametrize(("title", "number"), [("", 0), ("SHARE 7 OF 9 of a backup\n", 7)])
def test_a_word_that_is_none_is_told_with_its_place(made: Made, title: str, number: int) -> None:
    words = words_of(made, 1)
    lines = [f"{n} {word}" for n, word in enumerate([*words[:3], "acdemic" + "x" * 40, *words[4:]], 1)]
    reason = rf"word 4, 'acdemic{'x' * 13}', is not one of the"
    unusable(title + "\n".join(lines), reason, number)


@pytest.mark.parametrize(("title", "number"), [("", 0), ("SHARE 7 OF 9 of a backup\n", 7)])
def test_missing_words_are_told(made: Made, title: str, number: int) -> None:
    lines = [f"{n} {word}" for n, word in enumerate(words_of(made, 1), 1)]
    unusable(title + "\n".join(lines[:-1]), "it has 32 words where 33 are wanted", number)
    unusable(title + "\n".join(lines[:5] + lines[6:]), "word 6 should come where word 7 stands", number)


def test_a_title_of_another_share_is_told(made: Made) -> None:
    with pytest.raises(ShareMalformed, match=r"^share 4 in file 1 cannot be used: its words belong to share 2"):
        opened(made, [made.text(2).replace(b"SHARE 2 OF", b"SHARE 4 OF")])


@pytest.mark.parametrize(
    ("data", "number"), [(b"", 0), (b"holiday pictures, 2026", 0), (b"\xff\xfe\x00", 0), (b"SHARE 1 OF 3", 1)]
)
def test_what_is_no_share_is_told(data: bytes, number: int) -> None:
    unusable(data, "it does not hold the words of a share", number)


def test_what_is_too_large_is_not_looked_at(made: Made) -> None:
    share = made.text(1)
    largest = share + b" " * (MAX_SHARE_FILE - len(share))
    assert read_share_text(largest, place="x").share == made.shares[0]
    unusable(largest + b" ", "larger than 65536 bytes")


@pytest.mark.parametrize(("title", "number"), [("", 0), ("SHARE 7 OF 9 of a backup\n", 7)])
def test_a_share_of_another_kind_of_secret_is_told(title: str, number: int) -> None:
    library = pytest.importorskip("shamir_mnemonic", reason="shamir-mnemonic is not installed")

    def typed(share: str) -> str:
        return title + "\n".join(f"{n} {word}" for n, word in enumerate(share.split(), 1))

    (short,) = library.generate_mnemonics(1, [(2, 2)], bytes(16))
    unusable(typed(short[0]), "it has 20 words where 33 are wanted", number)
    groups = library.generate_mnemonics(1, [(2, 2), (2, 2)], bytes(32))
    unusable(typed(groups[1][0]), "it is a share of another kind of secret", number)


def test_no_share_is_handed_out_that_could_not_be_read_again(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("shamir_mnemonic", reason="shamir-mnemonic is not installed")
    monkeypatch.setattr(slip39, "WORDS", 59)  # as if the library had begun to write longer ones
    with pytest.raises(ShareMalformed, match="has 33 words where 59 are wanted") as caught:
        slip39.split(bytes(32), threshold=2, count=3)
    assert told_by(caught.value) == {"place": "a new share", "command": "", "number": 0}


def test_what_is_random_already_is_not_stretched(made: Made) -> None:
    library = pytest.importorskip("shamir_mnemonic", reason="shamir-mnemonic is not installed")
    read = [library.Share.from_mnemonic(" ".join(share.words)) for share in made.shares]
    assert {share.iteration_exponent for share in read} == {0}


@pytest.mark.parametrize(
    ("threshold", "count", "reason"),
    [
        (2, 3, ""),
        (2, 2, ""),
        (16, 16, ""),
        (1, 3, "a single share that opens it is a passphrase"),
        (0, 3, "a single share that opens it is a passphrase"),
        (4, 3, "no 4 of 3 shares"),
        (2, 17, "there are at most 16 shares"),
    ],
)
def test_how_a_key_can_be_split(threshold: int, count: int, reason: str) -> None:
    found = check_split(threshold, count)
    assert found.startswith(reason)
    assert bool(found) == bool(reason)


def test_a_code_to_scan_holds_the_words(made: Made) -> None:
    segno = pytest.importorskip("segno", reason="segno is not installed")
    share_text.require_qr_library()
    text, plain = made.text(1, qr=True).decode(), made.text(1).decode()
    assert text.startswith(f"{plain}\n")
    assert text.endswith("\n")
    lines = text.removeprefix(f"{plain}\n").removesuffix("\n").split("\n")
    rows = [[block in upper for block in line] for line in lines for upper in ("█▀", "█▄")]
    wanted = segno.make_qr(" ".join(words_of(made, 1)).upper(), error="m").matrix
    side, margin = [False] * 4, [False] * (len(wanted[0]) + 8)
    code = [[*side, *map(bool, row), *side] for row in wanted]
    assert rows == [*[margin] * 4, *code, *[margin] * 5]
    assert set("".join(lines)) == set(" █▀▄")
    assert opened(made, [made.text(1, qr=True), made.text(2, qr=True), made.text(3)]) == made.key
    assert len(text.encode()) < MAX_SHARE_FILE


def test_a_library_that_is_not_installed_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "shamir_mnemonic", None)
    monkeypatch.setitem(sys.modules, "segno", None)
    with pytest.raises(
        SharesUnsupported, match=r"^shares need the library shamir-mnemonic, which is not installed$"
    ) as no:
        slip39.require_library()
    assert told_by(no.value) == {
        "place": "shares",
        "command": how_to_install("shares"),
        "library": "shamir-mnemonic",
    }
    with pytest.raises(SharesUnsupported, match=r"^QR codes need the library segno, which is not installed$") as no:
        share_text.require_qr_library()
    assert told_by(no.value) == {
        "place": "QR codes",
        "command": how_to_install("shares"),
        "library": "segno",
    }
