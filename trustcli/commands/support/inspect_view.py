"""The two views of `docker trust inspect`, byte for byte, for `trust inspect`.

The JSON view and the view for people (`--pretty`) must be what scripts for Docker's command expect. Both are made in
pieces: the text about 100 000 tags has 22 MB, and is never held as a whole.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import chain, islice
from typing import Any, Final

from trustdata.inspection import Inspection, KeyHolder, SignedTag

_SHORT_KEY: Final = 12  # digits, as docker shows them
_LEAST_WIDTH: Final = 10  # of a column, its padding included: docker's table writer
_PADDING: Final = 3
_text: Final = json.encoder.encode_basestring
_NO_TAGS: Final = '"SignedTags": []'
_SIGNED_TAG: Final = """            {
                "SignedTag": %s,
                "Digest": %s,
                "Signers": [
                    %s
                ]
            }"""
_NEXT_SIGNER: Final = ",\n                    "
_DIGITS: Final = re.compile(r"(\d+)")
_ROWS: Final = 500
"""Rows of a piece: enough that writing it costs nothing beside making it, and some 100 KB."""


def natural(text: str) -> tuple[int | str, ...]:
    """Return a sort key: runs of digits by their value, the rest as text (`v2` before `v10`)."""
    # Three elements for each run, and no tuple of its own: as many keys are alive as there are tags.
    runs = ((0, int(part), part) if part.isdecimal() else (1, 0, part) for part in _DIGITS.split(text) if part)
    return tuple(chain.from_iterable(runs))


class _TagEntries(Sequence[dict[str, object]]):
    """The elements of `SignedTags`. Each is made when it is written."""

    def __init__(self, tags: Iterable[SignedTag]) -> None:
        self._tags = sorted(tags, key=lambda tag: natural(tag.tag))

    def __len__(self) -> int:
        return len(self._tags)

    def __getitem__(self, index: Any) -> Any:
        tag = self._tags[index]
        return {"SignedTag": tag.tag, "Digest": tag.digest, "Signers": tag.signers or ("Repo Admin",)}


def json_entry(name: str, inspection: Inspection, *, with_two_digests: bool = False) -> dict[str, object]:
    """Return one element of the JSON array: signers sorted downwards, the root key before the repository key.

    `with_two_digests`: also name the tags that have two digests, if there are any; docker's output does not have this.
    """
    more: dict[str, object] = {}
    if with_two_digests and inspection.two_digests:
        more["TwoDigests"] = [
            {"SignedTag": tag.tag, "Digest": tag.released, "TargetsDigest": tag.in_targets}
            for tag in sorted(inspection.two_digests, key=lambda tag: natural(tag.tag))
        ]
    return {
        "Name": name,
        "SignedTags": _TagEntries(inspection.tags),
        "Signers": [_holder(s) for s in sorted(inspection.signers, key=lambda s: s.name, reverse=True)],
        "AdministrativeKeys": [_holder(inspection.root), _holder(inspection.repository)],
        **more,
    }


def _holder(holder: KeyHolder) -> dict[str, object]:
    return {"Name": holder.name, "Keys": [{"ID": keyid} for keyid in sorted(holder.keyids)]}


def json_view(entries: Sequence[dict[str, Any]]) -> Iterator[str]:
    """Yield the JSON array of all images, with four spaces of indentation and Go's escaping of `<`, `>` and `&`."""
    if not entries:
        yield "[]\n"
        return
    # json.dumps with indent is slow, since it runs in Python: `_signed_tags` writes the tags, of which there are many.
    few = [{**entry, "SignedTags": []} if "SignedTags" in entry else entry for entry in entries]
    between = _go_escaped(json.dumps(few, indent=4, ensure_ascii=False)).split(_NO_TAGS)
    # A name from the command line may be no text. It is escaped too, so that no piece fails when others are written.
    first, *rest = (text.encode("utf-8", "backslashreplace").decode() for text in between)
    yield first
    for tags, text in zip((entry["SignedTags"] for entry in entries if "SignedTags" in entry), rest, strict=True):
        yield from map(_go_escaped, _signed_tags(tags))
        yield text
    yield "\n"


def _go_escaped(text: str) -> str:
    for character in "<>&\u2028\u2029":
        text = text.replace(character, f"\\u{ord(character):04x}")
    return text


def _signed_tags(tags: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    """Yield the member `SignedTags` as `json.dumps` with `indent=4` would write it."""
    if not tags:
        yield _NO_TAGS
        return
    rows = (
        _SIGNED_TAG % (_text(tag["SignedTag"]), _text(tag["Digest"]), _NEXT_SIGNER.join(map(_text, tag["Signers"])))
        for tag in tags
    )
    yield '"SignedTags": [\n'
    yield from _joined(rows, ",\n")
    yield "\n        ]"


def _joined(rows: Iterator[str], separator: str) -> Iterator[str]:
    """Yield the rows with separators between them, many in each piece."""
    before = ""
    while some := list(islice(rows, _ROWS)):
        yield before + separator.join(some)
        before = separator


def pretty_view(name: str, inspection: Inspection) -> Iterator[str]:
    """Yield the text for people about one image; unlike in JSON, the repository key is before the root key."""
    if inspection.tags:
        tags = sorted(inspection.tags, key=lambda tag: natural(tag.tag))
        signers = {some: ", ".join(sorted(some, key=natural)) or "(Repo Admin)" for some in {t.signers for t in tags}}
        yield f"\nSignatures for {name}\n\n"
        yield from _table(
            ("SIGNED TAG", "DIGEST", "SIGNERS"), lambda: ((t.tag, t.digest, signers[t.signers]) for t in tags)
        )
    else:
        yield f"\nNo signatures for {name}\n\n"
    if inspection.signers:
        holders = sorted(inspection.signers, key=lambda signer: natural(signer.name))
        keys = [(s.name, ", ".join(keyid[:_SHORT_KEY] for keyid in sorted(s.keyids))) for s in holders]
        yield f"\nList of signers and their keys for {name}\n\n"
        yield from _table(("SIGNER", "KEYS"), lambda: iter(keys))
    repository = ", ".join(sorted(inspection.repository.keyids))
    root = ", ".join(sorted(inspection.root.keyids))
    yield f"\nAdministrative keys for {name}\n\n  Repository Key:\t{repository}\n  Root Key:\t{root}\n"


def _table(head: tuple[str, ...], rows: Callable[[], Iterator[tuple[str, ...]]]) -> Iterator[str]:
    """Yield a table. `rows`: makes them anew, once to measure them and once to write them."""
    widths = list(map(len, head[:-1]))
    for row in rows():
        widths = [max(width, len(cell)) for width, cell in zip(widths, row[:-1], strict=True)]
    widths = [max(_LEAST_WIDTH, _PADDING + width) for width in widths]
    lines = (
        "".join([*(cell.ljust(width) for cell, width in zip(row[:-1], widths, strict=True)), row[-1]])
        for row in chain([head], rows())
    )
    yield from _joined(lines, "\n")
    yield "\n"
