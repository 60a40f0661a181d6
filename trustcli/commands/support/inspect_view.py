"""The two views of `docker trust inspect`, byte for byte, for `trust inspect`.

The JSON view and the view for people (`--pretty`) must be what scripts for Docker's command expect.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any, Final

from trustdata.inspection import Inspection, KeyHolder

_SHORT_KEY: Final = 12
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


def natural(text: str) -> list[tuple[int, int, str]]:
    """Return a sort key: runs of digits by their value, the rest as text (`v2` before `v10`)."""
    parts = _DIGITS.split(text)
    return [(0, int(part), part) if part.isdecimal() else (1, 0, part) for part in parts if part]


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
        "SignedTags": [
            {"SignedTag": tag.tag, "Digest": tag.digest, "Signers": list(tag.signers) or ["Repo Admin"]}
            for tag in sorted(inspection.tags, key=lambda tag: natural(tag.tag))
        ],
        "Signers": [_holder(s) for s in sorted(inspection.signers, key=lambda s: s.name, reverse=True)],
        "AdministrativeKeys": [_holder(inspection.root), _holder(inspection.repository)],
        **more,
    }


def _holder(holder: KeyHolder) -> dict[str, object]:
    return {"Name": holder.name, "Keys": [{"ID": keyid} for keyid in sorted(holder.keyids)]}


def json_view(entries: Sequence[dict[str, Any]]) -> str:
    """Return the JSON array of all images, with four spaces of indentation and Go's escaping of `<`, `>` and `&`."""
    if not entries:
        return "[]\n"
    # json.dumps with indent is slow, since it runs in Python: `_signed_tags` writes the tags, of which there are many.
    tags = [_signed_tags(entry["SignedTags"]) for entry in entries if "SignedTags" in entry]
    few = [{**entry, "SignedTags": []} if "SignedTags" in entry else entry for entry in entries]
    pieces = json.dumps(few, indent=4, ensure_ascii=False).split(_NO_TAGS)
    text = pieces[0] + "".join(map("".join, zip(tags, pieces[1:], strict=True)))
    for character in "<>&\u2028\u2029":
        text = text.replace(character, f"\\u{ord(character):04x}")
    return text + "\n"


def _signed_tags(tags: Sequence[Mapping[str, Any]]) -> str:
    """Return the member `SignedTags` as `json.dumps` with `indent=4` would write it."""
    if not tags:
        return _NO_TAGS
    rows = [
        _SIGNED_TAG % (_text(tag["SignedTag"]), _text(tag["Digest"]), _NEXT_SIGNER.join(map(_text, tag["Signers"])))
        for tag in tags
    ]
    return '"SignedTags": [\n' + ",\n".join(rows) + "\n        ]"


def pretty_view(name: str, inspection: Inspection) -> str:
    """Return the text for people about one image; unlike in JSON, the repository key is before the root key."""
    if inspection.tags:
        tags = sorted(inspection.tags, key=lambda tag: natural(tag.tag))
        rows = [(t.tag, t.digest, ", ".join(sorted(t.signers, key=natural)) or "(Repo Admin)") for t in tags]
        text = f"\nSignatures for {name}\n\n" + _table(("SIGNED TAG", "DIGEST", "SIGNERS"), rows)
    else:
        text = f"\nNo signatures for {name}\n\n"
    if inspection.signers:
        signers = sorted(inspection.signers, key=lambda signer: natural(signer.name))
        keys = [(s.name, ", ".join(keyid[:_SHORT_KEY] for keyid in sorted(s.keyids))) for s in signers]
        text += f"\nList of signers and their keys for {name}\n\n" + _table(("SIGNER", "KEYS"), keys)
    repository = ", ".join(sorted(inspection.repository.keyids))
    root = ", ".join(sorted(inspection.root.keyids))
    return f"{text}\nAdministrative keys for {name}\n\n  Repository Key:\t{repository}\n  Root Key:\t{root}\n"


def _table(head: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> str:
    widths = [
        max(_LEAST_WIDTH, _PADDING + max(len(row[column]) for row in (head, *rows))) for column in range(len(head) - 1)
    ]
    lines = [
        "".join([*(cell.ljust(width) for cell, width in zip(row[:-1], widths, strict=True)), row[-1]])
        for row in (head, *rows)
    ]
    return "\n".join(lines) + "\n"
