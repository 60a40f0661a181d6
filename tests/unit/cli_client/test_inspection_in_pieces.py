"""`trust inspect` never holds the whole of what it prints, and prints nothing of what it cannot print whole."""

from __future__ import annotations

import io
import json
import tracemalloc
from collections.abc import Callable, Iterator

import pytest

from trustcli.commands.support.inspect_view import json_entry, json_view, pretty_view
from trustcli.console.output import Output
from trustdata.inspection import Inspection, KeyHolder, SignedTag

_TAGS = 20_000
_View = Callable[[Inspection], Iterator[str]]
_BOTH = pytest.mark.parametrize(
    "view",
    [lambda found: json_view([json_entry("app", found), json_entry("app", found)]), lambda f: pretty_view("app", f)],
    ids=["json", "pretty"],
)


def _inspection(tags: int = _TAGS, *, name: str = "v{}") -> Inspection:
    return Inspection(
        tags=tuple(
            SignedTag(tag=name.format(n), digest=f"{n:064x}", length=1, signers=("alice",) * (n % 2), releasers=())
            for n in range(tags)
        ),
        signers=(),
        root=KeyHolder(name="Root", keyids=("ab",)),
        repository=KeyHolder(name="Repository", keyids=("cd",)),
    )


@_BOTH
def test_a_piece_has_a_part_of_the_tags(view: _View) -> None:
    pieces = list(view(_inspection()))
    digests = [piece.count("0" * 40) for piece in pieces]
    assert sum(digests) >= _TAGS
    assert max(digests) <= _TAGS / 5


@_BOTH
def test_pieces_that_were_written_are_not_kept(view: _View) -> None:
    """Sorting by name takes one key for each tag, which is gone when the first piece is there."""
    inspection = _inspection()
    whole = sum(map(len, view(inspection)))
    pieces = view(inspection)
    next(pieces)
    tracemalloc.start()
    try:
        written = sum(map(len, pieces))
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert written > whole / 2
    assert peak < whole / 3


@pytest.mark.parametrize("tags", [0, 1, 499, 500, 501, 1000, 1001])
def test_where_pieces_meet_nothing_is_lost(tags: int) -> None:
    entry = json.loads("".join(json_view([json_entry("app", _inspection(tags, name="<{}>"))])))[0]
    assert [tag["SignedTag"] for tag in entry["SignedTags"]] == [f"<{n}>" for n in range(tags)]
    assert [tag["Signers"] for tag in entry["SignedTags"]] == [["Repo Admin"], ["alice"]] * (tags // 2) + [
        ["Repo Admin"]
    ] * (tags % 2)
    lines = "".join(pretty_view("app", _inspection(tags))).splitlines()
    rows = [line for line in lines if "0" * 40 in line]
    assert [row.split()[0] for row in rows] == [f"v{n}" for n in range(tags)]
    assert len({row.index("0" * 40) for row in rows}) <= 1


def _printed(encoding: str, pieces: Iterator[str]) -> bytes:
    raw = io.BytesIO()
    stdout = io.TextIOWrapper(raw, encoding=encoding, write_through=True)
    try:
        Output(stdout=stdout, stderr=io.StringIO(), as_json=True).pieces(pieces)
    except UnicodeEncodeError:
        assert encoding != "utf-8"
    return raw.getvalue()


def test_an_encoding_that_lacks_a_character_gets_nothing_instead_of_a_part() -> None:
    last_is_odd = _with_last(_inspection(), "€")
    whole = json_view([json_entry("app", last_is_odd)])
    assert _printed("latin-1", whole) == b""
    assert "€".encode() in _printed("utf-8", json_view([json_entry("app", last_is_odd)]))


def test_a_name_that_is_no_text_is_written_as_json_can() -> None:
    entries: list[dict[str, object]] = [json_entry("app", _inspection(1)), {"Name": "app\udcff", "error": {}}]
    assert json.loads(_printed("utf-8", json_view(entries)))[1]["Name"] == "app\udcff"


def _with_last(inspection: Inspection, tag: str) -> Inspection:
    """The same with another name for the last tag."""
    *tags, last = inspection.tags
    odd = SignedTag(tag=tag, digest=last.digest, length=1, signers=(), releasers=())
    return Inspection(tags=(*tags, odd), signers=(), root=inspection.root, repository=inspection.repository)
