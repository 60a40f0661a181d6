"""The view of `trust audit` as CSV: one table, a tag, a key's right, an oddity or a failure in each line.

Its cells are those of `console/csv_cells.py`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Final

from trustcli.commands.support.audit_view import AuditedCollection, release_of
from trustcli.console.csv_cells import csv_text
from trustcli.publish.plan_view import as_time
from trustdata.audit import Audit

HEADER: Final = (
    "record",  # tag, unreleased, key, odd, failed
    "collection",
    "name",  # the tag, the key id, the code of an oddity or failure
    "digest",
    "size",
    "platforms",
    "signers",
    "role",  # that releases the tag, or that the key may sign
    "version",
    "keys",  # of the release: those that signed it
    "signed_about",
    "expires",
    "holders",
    "threshold",
    "has_signed",
    "kept",
    "recovery",
    "kind",
    "text",
)
_ROWS: Final = 500


def lines(audited: Iterable[AuditedCollection]) -> Iterator[str]:
    """Return the table in pieces, with its header."""
    yield csv_text([HEADER])
    piece: list[Sequence[str]] = []
    for each in audited:
        for row in _rows(each):
            piece.append([row.get(column, "") for column in HEADER])
            if len(piece) == _ROWS:
                yield csv_text(piece)
                piece = []
    yield csv_text(piece)


def _rows(each: AuditedCollection) -> Iterator[dict[str, str]]:
    if each.failure is not None:
        yield {"record": "failed", "collection": each.gun, "name": each.failure.code, "text": str(each.failure)}
    if each.audit is not None:
        for row in (*_tags(each.audit), *_keys(each, each.audit), *_odd(each.audit)):
            yield {"collection": each.gun, **row}


def _tags(found: Audit) -> Iterator[dict[str, str]]:
    for tag in found.tags:
        release = release_of(tag, found)
        yield {
            "record": "tag",
            "name": tag.tag,
            "digest": f"sha256:{tag.digest}",
            "size": str(tag.length),
            "platforms": " ".join(f"sha256:{digest}" for digest in tag.platforms),
            "signers": " ".join(tag.signers),
            "role": tag.released_by,
            "version": str(release.version) if release else "",
            "keys": " ".join(release.signed) if release else "",
            "signed_about": as_time(release.signed_about) or "" if release else "",
            "expires": as_time(release.expires) or "" if release else "",
        }
    for unreleased in found.unreleased:
        yield {
            "record": "unreleased",
            "name": unreleased.tag,
            "digest": f"sha256:{unreleased.digest}",
            "signers": unreleased.signer,
            "text": f"released is sha256:{unreleased.released}" if unreleased.released else "not released",
        }


def _keys(each: AuditedCollection, found: Audit) -> Iterator[dict[str, str]]:
    for key in found.keys:
        for right in key.rights:
            yield {
                "record": "key",
                "name": key.keyid,
                "role": right.role,
                "expires": as_time(right.expires) or "",
                "holders": " ".join(key.holders),
                "threshold": f"{right.threshold} of {right.keys}",
                "has_signed": "yes" if right.signed else "no",
                "kept": each.keeping.place(key),
                "recovery": each.keeping.is_recovery(key),
                "kind": key.kind,
                "text": f"paths: {' '.join(right.paths)}" if right.paths else key.refusal,
            }


def _odd(found: Audit) -> Iterator[dict[str, str]]:
    for odd in found.odd:
        yield {"record": "odd", "name": odd.code, "role": odd.about, "text": odd.text}
