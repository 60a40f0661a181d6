"""Single changes as lines for people, and what was not verified here before: for plans, questions and errors."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

from keys.keyid import short_keyid
from trustdata.counting import counted
from trustdata.editing.difference import DelegationChange, DeniedChange, KeysChange, TagChange
from trustdata.editing.unseen import Unseen
from trustdata.errors import shown

MOST_LINES: Final = 20
"""How many tags of one kind are shown to people; `--json` has all."""

_MARKS: Final = {"added": "+", "changed": "~", "moved": "~", "rewritten": "~", "removed": "-"}


def cut(found: Sequence[str]) -> Iterator[str]:
    """Yield the first lines, and how many there are besides."""
    yield from found[:MOST_LINES]
    if len(found) > MOST_LINES:
        yield f"and {len(found) - MOST_LINES} more (--json has them all)"


def tag_line(change: TagChange) -> str:
    """Return the change of a tag."""
    steps = dict.fromkeys(digest for digest in (change.before, change.after) if digest is not None)
    digests = " -> ".join(f"sha256:{shown(digest)}" for digest in steps)
    what = " (its size, platforms or custom data)" if change.kind == "rewritten" else ""
    return f"{_MARKS[change.kind]} tag {shown(change.tag)}: {digests}{what}"


def denied_line(change: DeniedChange) -> str:
    """Return the change of a denied digest."""
    reason = change.before if change.after is None else change.after
    return f"{_MARKS[change.kind]} denied {shown(change.digest)}{f': {shown(reason)}' if reason else ''}"


def delegation_line(change: DelegationChange) -> str:
    """Return the change of what a role may list."""
    paths = shown(" ".join(change.paths_after or change.paths_before))
    return f"{_MARKS[change.kind]} delegation {shown(change.role)}: {paths}"


def unseen_title(unseen: Unseen) -> str:
    """Return which file it is, and since when it says more."""
    since = "none was verified here" if unseen.before is None else f"version {unseen.before} was verified here"
    return f"{shown(unseen.role)} {unseen.version} (sha256:{unseen.sha256}; {since})"


def unseen_lines(unseen: Unseen) -> list[str]:
    """Return all that a file says and that was not verified here before."""
    found = unseen.difference
    lines = [f"+ names {shown(role.named)}" for role in found.roles if role.named is not None]
    lines += [line for keys in found.keys for line in _key_lines(keys)]
    lines += map(delegation_line, found.delegations)
    lines += map(tag_line, found.tags)
    lines += map(denied_line, found.denied)
    if unseen.others:
        lines.append("~ the order in which roles are asked, or members that are not ours")
    return lines


def _key_lines(change: KeysChange) -> Iterator[str]:
    name = shown(change.role)
    yield from (f"+ key of {name}: {shown(short_keyid(keyid))}" for keyid in change.added)
    yield from (f"- key of {name}: {shown(short_keyid(keyid))}" for keyid in change.removed)
    if change.threshold_after is not None and change.threshold_before != change.threshold_after:
        yield f"  {change.threshold_after} of {counted(len(change.added) + len(change.kept), 'key')} must sign {name}"
