"""Read the list of a trust server's collections, page by page. It is not signed: the server says so, nobody else."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping
from typing import Any, Final
from urllib.parse import quote

from trustcli.client.collection_requests import CATALOG_SCOPE
from trustcli.client.problem_details import doubtful_absence, failure
from trustcli.client.server_link import ServerLink, page_instead
from trustcli.errors import RemoteMisbehaved, RemoteRefused
from trustcli.http.messages import Response
from trustdata import bounded_json

PAGE_ROWS: Final = 1000
MAX_PAGES: Final = 10_000
"""The highest number of pages that are read: ten million names."""
_MAX_PAGE_BYTES: Final = 4 * 1024 * 1024
_TEXTS: Final = ("gun", "format", "status")
_NUMBERS: Final = ("revision", "tags", "bytes")
_OPTIONAL: Final = ("published_at", "published_by", "expires", "expires_role", "owner_expires", "owner_expires_role")


def listed_collections(link: ServerLink) -> Iterator[Mapping[str, Any]]:
    """Yield a row for each name that the server has, sorted by name, as GET /api/v1/collections describes them.

    Raises: RemoteRefused (it may be a server of another kind), RemoteUnreachable, RemoteMisbehaved, TooLarge.
    """
    after = ""
    for _ in range(MAX_PAGES):
        target = f"/api/v1/collections?limit={PAGE_ROWS}&after={quote(after, safe='')}"
        answer = link.ask("GET", target, scope=CATALOG_SCOPE, limit=_MAX_PAGE_BYTES)
        if answer.absent and doubtful_absence(answer, remote=link.name) is None:
            raise RemoteRefused(remote=link.name, status=answer.status, reason="it does not list its collections")
        if not answer.ok:
            raise failure(answer, remote=link.name, tried=link.tried)
        rows, following = _page(answer, link.name, after)
        yield from rows
        if following is None:
            return
        after = following
    raise RemoteMisbehaved(remote=link.name, reason="its list of collections has no end")


def _page(answer: Response, remote: str, after: str) -> tuple[list[dict[str, Any]], str | None]:
    try:
        page = bounded_json.loads(answer.body)
        rows = [_row(row) for row in page["collections"]]
        following = page["next"]
    except (ValueError, LookupError, TypeError, RecursionError) as error:
        page = page_instead(answer, what="the list of collections", remote=remote)
        raise page or RemoteMisbehaved(remote=remote, reason="its list of collections cannot be read") from error
    names = [after, *(row["gun"] for row in rows)]
    ascending = all(before < name for before, name in itertools.pairwise(names))
    if not ascending or (following is not None and (not rows or following != rows[-1]["gun"])):
        raise RemoteMisbehaved(remote=remote, reason="its list of collections is in no order, or repeats itself")
    return rows, following


def _row(row: Any) -> dict[str, Any]:
    """Return the members of a row that are known here. Raises: KeyError, TypeError."""
    found = {name: row[name] for name in (*_TEXTS, *_NUMBERS)}
    found |= {name: row.get(name) for name in _OPTIONAL}
    deleted = row.get("deleted")
    texts = [found[name] for name in _TEXTS] + [found[name] for name in _OPTIONAL if found[name] is not None]
    if deleted is not None:
        found["deleted"] = {name: deleted[name] for name in ("at", "by", "root")}
        texts += found["deleted"].values()
    else:
        found["deleted"] = None
    numbers = [found[name] for name in _NUMBERS]
    if not all(isinstance(text, str) for text in texts) or not all(type(number) is int for number in numbers):
        raise TypeError("a member of another type")
    return found
