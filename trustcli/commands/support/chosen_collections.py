"""Which collections a command is for: those that are named, those of a pattern, or all that are known here.

A pattern is compared with the names that this machine knows by a pin or has seen under a pinned pattern: which others
there are only a server could say, and what it lists proves nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, TypeAlias

import typer

from trustcli.commands.support.name_lists import collection_names
from trustcli.commands.support.names import known_names
from trustcli.errors import UsageError
from trustcli.session import Session
from trustdata.collection_patterns import PATTERN_RULE, is_pattern, meant_pattern, pattern_matches
from trustdata.errors import shown
from trustdata.gun import GUN

Everywhere: TypeAlias = Annotated[bool, typer.Option("--all", help="Every collection that is known here.")]


def chosen_collections(
    session: Session,
    names: Sequence[str] | None,
    file: Path | None = None,
    *,
    globs: Sequence[str] | None = None,
    everywhere: bool = False,
) -> list[GUN]:
    """Return the collections, each once, also if it is named by an alias and by its real name.

    Raises: UsageError (none is chosen, a pattern that is none or matches nothing), InvalidName; as `known_names`.
    """
    named = bool(names) or file is not None
    if everywhere and (named or globs):
        raise UsageError("--all is for all collections: name none beside it")
    if not everywhere and not named and not globs:
        raise UsageError("name the collections: NAME..., --names FILE, --glob PATTERN, or --all that are known here")
    guns = collection_names(names, file) if named else []
    known = known_names(session) if everywhere or globs else []
    guns += known if everywhere else [gun for pattern in globs or () for gun in _matching(pattern, known)]
    first: dict[GUN, GUN] = {}
    for gun in guns:
        first.setdefault(session.real_name(gun), gun)
    return list(first.values())


def _matching(pattern: str, known: Sequence[GUN]) -> list[GUN]:
    if not is_pattern(pattern):
        raise UsageError(f"--glob {shown(pattern)} is no pattern: it {PATTERN_RULE}{meant_pattern(pattern)}")
    found = [gun for gun in known if pattern_matches(pattern, gun)]
    if not found:
        raise UsageError(f"--glob {shown(pattern)} matches no collection that is known here ({len(known)} are)")
    return found
