"""Read the file of webhooks, and say which events a hook wants."""

from __future__ import annotations

import re
import ssl
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

from keys.document_version import DocumentKind
from keys.file_access import exposed_secret, read_at_most, unguarded
from trustdata.collection_patterns import PATTERN_RULE, is_pattern, meant_pattern, pattern_matches
from trustdata.document_version import refuse_newer
from trustdata.gun import GUN
from trustserver.errors import StartRefused
from trustserver.guarded_files import read_guarded_toml
from trustserver.storage.events import EventKind

KIND: Final = DocumentKind(what="a file of webhooks")
REVOKED: Final = "revoked"
"""Tags were removed."""
ROTATED: Final = "rotated"
"""Keys of a collection that was there before are others."""
TOPICS: Final = frozenset({*map(str, EventKind), REVOKED, ROTATED})
_MAX_FILE: Final = 1024 * 1024  # bytes
MAX_HOOKS: Final = 16
SHORTEST_SECRET: Final = 16
"""Characters of a secret."""
_LONGEST_SECRET: Final = 4096
_NAME: Final = re.compile(r"[a-z0-9][a-z0-9-]{0,39}")
_MEMBERS: Final = frozenset({"name", "url", "events", "names", "secret_file", "cacert", "allow_local", "people"})
_PRINTABLE: Final = re.compile(r"[!-~]+")
_FROM_START: Final = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Hook:
    """A receiver of events. `name`: under which the database remembers what it has had.

    `host`, `port`, `path`: where it is; without `tls` on this machine only. `topics`: kinds of events, `revoked` and
    `rotated`. `names`: patterns of collections. `cacert`: certificates that its own is checked with; None for the
    system's. `allow_local`: it may be on this machine or its link. `people`: it is told who made a change.
    `secret_file`: where the secret is from.
    """

    name: str
    host: str
    port: int
    path: str
    tls: bool
    secret: bytes = field(repr=False)
    topics: frozenset[str] = TOPICS
    names: tuple[str, ...] = ("*",)
    cacert: Path | None = None
    allow_local: bool = False
    people: bool = False
    secret_file: Path | None = field(default=None, compare=False)

    def wants(self, event: Mapping[str, Any]) -> bool:
        """Return whether the hook is told of an event. One that is about no name is for hooks that want all names."""
        gun = event.get("gun")
        about = "*" in self.names if gun is None else any(pattern_matches(each, GUN(gun)) for each in self.names)
        return about and not self.topics.isdisjoint(topics_of(event))


def topics_of(event: Mapping[str, Any]) -> set[str]:
    """Return what an event is about: its kind, and whether tags were revoked or keys rotated."""
    topics = {str(event["kind"])}
    if event.get("tags", {}).get("removed"):
        topics.add(REVOKED)
    if "keys" in event and event.get("revision", 0) > _FROM_START:
        topics.add(ROTATED)
    return topics


def read_hooks(path: Path) -> tuple[Hook, ...]:
    """Read a file of webhooks and their secrets. Raises: StartRefused, which names the file and what is wrong."""
    content = read_guarded_toml(path, limit=_MAX_FILE)
    refuse_newer(KIND, content, path=str(path))
    tables = content.get("webhook", [])
    if not KIND.is_known(content) or set(content) - {KIND.member, "webhook"} or not isinstance(tables, list):
        raise StartRefused(what=str(path), reason="must have tables [[webhook]], and at most a version beside them")
    if len(tables) > MAX_HOOKS:
        raise StartRefused(what=str(path), reason=f"has more than {MAX_HOOKS} webhooks")
    hooks = tuple(_hook(table, f"{path}, webhook {number}", path) for number, table in enumerate(tables, start=1))
    names = [hook.name for hook in hooks]
    if len(set(names)) < len(names):
        raise StartRefused(what=str(path), reason="has two webhooks of one name")
    return hooks


def _hook(table: object, place: str, file: Path) -> Hook:
    if not isinstance(table, dict):
        raise StartRefused(what=place, reason="must be a table")
    if unknown := sorted(set(table) - _MEMBERS):
        raise StartRefused(what=place, reason=f"has members that do not exist: {', '.join(unknown)}")
    name = table.get("name")
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        raise StartRefused(what=place, reason="needs a name: up to 40 lower-case letters, digits and hyphens")
    flags = {flag: table.get(flag, False) for flag in ("allow_local", "people")}
    if wrong := [flag for flag, value in flags.items() if not isinstance(value, bool)]:
        raise StartRefused(what=place, reason=f"{wrong[0]} must be true or false")
    topics = _texts(table, "events", place) or sorted(TOPICS)
    if unknown := sorted(set(topics) - TOPICS):
        raise StartRefused(what=place, reason=f"events: {unknown[0]} is not one of {', '.join(sorted(TOPICS))}")
    patterns = _texts(table, "names", place) or ["*"]
    if wrong := [pattern for pattern in patterns if not is_pattern(pattern)]:
        raise StartRefused(what=place, reason=f"names: {wrong[0]} {PATTERN_RULE}{meant_pattern(wrong[0])}")
    secret_file = table.get("secret_file")
    if not isinstance(secret_file, str) or not secret_file:
        raise StartRefused(what=place, reason="needs a secret_file, with which what is sent is signed")
    return Hook(
        name=name,
        **_address(table.get("url"), place, local=flags["allow_local"]),
        secret=_secret(file.parent / secret_file),
        secret_file=file.parent / secret_file,
        topics=frozenset(topics),
        names=tuple(patterns),
        cacert=_authorities(table.get("cacert"), place, file),
        **flags,
    )


def _authorities(cacert: object, place: str, file: Path) -> Path | None:
    """Return the file with the certificates of those who may certify a receiver; None: the system's."""
    if cacert is None:
        return None
    if not isinstance(cacert, str):
        raise StartRefused(what=place, reason="cacert must be the path of a file")
    authorities = file.parent / cacert
    try:
        exposed = unguarded(authorities)
        ssl.create_default_context(cafile=authorities)
    except OSError as error:
        raise StartRefused(what=str(authorities), reason="has no certificates that can be read") from error
    if exposed is not None:
        raise StartRefused(what=exposed.path, reason=exposed.refusal)
    return authorities


def _texts(table: Mapping[str, Any], member: str, place: str) -> list[str]:
    values = table.get(member, [])
    if not isinstance(values, list) or not all(isinstance(value, str) for value in values):
        raise StartRefused(what=place, reason=f"{member} must be a list of texts")
    return values


def _address(url: object, place: str, *, local: bool) -> dict[str, Any]:
    """Return the parts of a URL. Raises: StartRefused."""
    refusal = StartRefused(what=place, reason="url must be like https://hooks.example.com/trust")
    if not isinstance(url, str) or not _PRINTABLE.fullmatch(url):
        raise refusal
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError as error:
        raise refusal from error
    if parts.scheme not in {"https", "http"} or not parts.hostname or parts.username is not None or parts.fragment:
        raise refusal
    if parts.scheme == "http" and not local:
        raise StartRefused(
            what=place,
            reason="url must begin with https://; http:// is for a receiver on this machine, with allow_local = true",
        )
    path = parts.path or "/"
    return {
        "host": parts.hostname,
        "port": port or (443 if parts.scheme == "https" else 80),
        "path": f"{path}?{parts.query}" if parts.query else path,
        "tls": parts.scheme == "https",
    }


def _secret(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            exposed = exposed_secret(path, file.fileno(), group_may_read=True)
            secret = read_at_most(file.fileno(), _LONGEST_SECRET).strip(b"\r\n")
    except OSError as error:
        raise StartRefused(what=str(path), reason=f"the secret cannot be read: {error.strerror}") from error
    if exposed is not None:
        raise StartRefused(what=exposed.path, reason=exposed.refusal)
    if not SHORTEST_SECRET <= len(secret) <= _LONGEST_SECRET:
        raise StartRefused(
            what=str(path),
            reason=f"a secret has {SHORTEST_SECRET} to {_LONGEST_SECRET} characters; make one: "
            f"(umask 077; head -c 32 /dev/urandom | base64 > {path})",
        )
    return secret
