"""Decide who sent a request and whether they may do what it asks.

The authorizer in this file lets everybody do everything; the one that checks tokens is in token_authorizer.py.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

from trustdata.gun import GUN


@dataclass(frozen=True, slots=True, kw_only=True)
class Subject:
    """Who sent a request. `name` is what logs and tombstones show."""

    name: str
    authenticated: bool


class Action(StrEnum):
    """What a request does to a collection."""

    READ = "read"
    PUBLISH = "publish to"
    MANAGE_KEYS = "ask for new keys of"
    DELETE = "delete"


class Authorizer(Protocol):
    """Decides from the headers of a request whether it is allowed. Its methods must not block.

    `reads_are_open`: whether everybody may read every collection, so that reads need not ask the authorizer.
    """

    reads_are_open: bool

    def authorize(self, headers: Iterable[tuple[bytes, bytes]], action: Action, gun: GUN) -> Subject:
        """Return who sent the request, if they may do this to the collection. Raises: Forbidden."""

    def authorize_catalog(self, headers: Iterable[tuple[bytes, bytes]]) -> Subject:
        """Return who sent the request, if they may learn the names of all collections. Raises: Forbidden.

        For `GET /v2/_trust/changefeed`.
        """

    def authorize_ping(self, headers: Iterable[tuple[bytes, bytes]]) -> Subject:
        """Return who sent a `GET /v2/`, with which clients find out whether they need a token.

        Raises: Forbidden if they need one; its challenge says where to get it.
        """


class OpenAuthorizer:
    """Lets everybody do everything. Used on loopback addresses, or with --insecure-open."""

    reads_are_open = True

    def authorize(self, headers: Iterable[tuple[bytes, bytes]], action: Action, gun: GUN) -> Subject:
        del headers, action, gun
        return Subject(name="anonymous", authenticated=False)

    def authorize_catalog(self, headers: Iterable[tuple[bytes, bytes]]) -> Subject:
        del headers
        return Subject(name="anonymous", authenticated=False)

    def authorize_ping(self, headers: Iterable[tuple[bytes, bytes]]) -> Subject:
        del headers
        return Subject(name="anonymous", authenticated=False)
