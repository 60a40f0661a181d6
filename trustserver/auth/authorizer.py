"""Who asks, and whether they may. The authorizer here lets everybody in; the one that wants tokens is token_auth.py."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

from trustdata.gun import GUN


@dataclass(frozen=True, slots=True, kw_only=True)
class Subject:
    """Who asks, as logs and tombstones name them."""

    name: str
    authenticated: bool


class Action(StrEnum):
    """What one can do to a collection."""

    READ = "read"
    PUBLISH = "publish to"
    MANAGE_KEYS = "ask for new keys of"
    DELETE = "delete"


class Authorizer(Protocol):
    """Decides from the request's headers. Must not block.

    `reads_are_open`: whether everybody may read every collection, so that reads need not ask.
    """

    reads_are_open: bool

    def authorize(self, headers: Iterable[tuple[bytes, bytes]], action: Action, gun: GUN) -> Subject:
        """Who asks. Raises: Forbidden."""

    def authorize_catalog(self, headers: Iterable[tuple[bytes, bytes]]) -> Subject:
        """Who asks for what names every collection (`GET /v2/_trust/changefeed`). Raises: Forbidden."""

    def authorize_ping(self, headers: Iterable[tuple[bytes, bytes]]) -> Subject:
        """Who asks whether to authenticate at all (`GET /v2/`). Raises: Forbidden: yes, and how."""


class OpenAuthorizer:
    """Everybody may do everything: for loopback addresses, or for those who said --insecure-open."""

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
