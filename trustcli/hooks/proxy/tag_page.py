"""Cut a list of tags into pages.

Source: OCI distribution specification 1.1, "Listing Tags": in lexical order, at most `n`, those after `last`.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final
from urllib.parse import quote

from trustcli.hooks.proxy.answers import document
from trustcli.hooks.proxy.routes import query_values
from trustcli.hooks.serving.messages import Response

MAX_PAGE: Final = 10_000
"""Tags of one page, whatever a client asks for."""


def tag_page(repository: str, tags: Iterable[str], query: str) -> Response:
    """Return the page that a query asks for, with a link to the next one. Raises: ValueError (the query)."""
    ordered = sorted(tags)
    for last in query_values(query, "last")[:1]:
        ordered = [tag for tag in ordered if tag > last]
    size = _size(query)
    page, more = ordered[:size], len(ordered) > size
    headers = []
    if more and page:
        link = f'</v2/{repository}/tags/list?n={size}&last={quote(page[-1], safe="")}>; rel="next"'
        headers.append((b"link", link.encode()))
    return document({"name": repository, "tags": page}, "application/json", *headers)


def _size(query: str) -> int:
    for given in query_values(query, "n")[:1]:
        if not (given.isascii() and given.isdigit() and len(given) < 10):
            raise ValueError("n is no number")
        return min(int(given), MAX_PAGE)
    return MAX_PAGE
