"""Which collections a bulk command is about: those that are named, or those that are known here and fit.

A collection is known here by a pin, or by a pinned pattern and because it was seen here (`names.known_names`). No
server is asked what else there is: an owner changes what this machine knows as his.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, TypeAlias

import typer

from trustcli.commands.support.aliases import agree_to_aliases
from trustcli.commands.support.name_lists import named_collections
from trustcli.commands.support.named_key import NamedKey, named_key
from trustcli.commands.support.names import known_names
from trustcli.console.progress import bar
from trustcli.errors import UsageError
from trustcli.session import Session
from trustdata.collection_patterns import PATTERN_RULE, is_pattern, meant_pattern, pattern_matches
from trustdata.editing.owner_roles import OwnerRoles
from trustdata.errors import TrustError, shown
from trustdata.gun import GUN

Globs: TypeAlias = Annotated[
    list[str] | None,
    typer.Option("--glob", metavar="PATTERN", help="Every collection known here whose name fits: HOST/TEAM/*, or '*'."),
]
AllWith: TypeAlias = Annotated[
    str, typer.Option("--all-with", metavar="KEY", help="Every collection known here that names this key.")
]


@dataclass(frozen=True, slots=True, kw_only=True)
class Selection:
    """The collections of a command.

    `typed`: whether each was named, so that one that cannot be done holds back all. `key`: of `--all-with`.
    """

    guns: Sequence[GUN]
    typed: bool
    key: NamedKey | None = None


def select(
    session: Session,
    names: Sequence[str] | None,
    names_file: Path | None,
    *,
    globs: Sequence[str] | None = None,
    all_with: str = "",
    yes: bool = False,
) -> Selection:
    """Return the collections that names, `--names`, `--glob` or `--all-with` mean: one kind of them, or the last two.

    `yes`: an alias may mean another collection. Raises: UsageError, InvalidName, KeysError, SettingsUnusable,
    MemoryDamaged, FileNewer.
    """
    if not globs and not all_with:
        guns = named_collections(session, names, names_file)
        agree_to_aliases(session, guns, yes=yes)
        return Selection(guns=guns, typed=True)
    if names or names_file is not None:
        raise UsageError("--glob and --all-with choose the collections: name none beside them")
    for pattern in globs or ():
        if not is_pattern(pattern):
            raise UsageError(f"--glob {shown(pattern)} {PATTERN_RULE}{meant_pattern(pattern)}")
    guns = [gun for gun in known_names(session) if not globs or any(pattern_matches(p, gun) for p in globs)]
    key = named_key(session, all_with) if all_with else None
    if key is not None:
        guns = where(session, guns, lambda roles: bool(key.roles(roles)))
    if not guns:
        what = f"names the key {shown(all_with)}" if all_with else "has such a name"
        session.output.notice(f"no collection that is known here {what}: nothing to do")
    return Selection(guns=guns, typed=False, key=key)


def where(session: Session, guns: Sequence[GUN], fits: Callable[[OwnerRoles], bool]) -> list[GUN]:
    """Return the collections that fit, as their servers have them now.

    One that cannot be read is among them: what is to be done in it fails, and says why.
    """
    found = []
    for number, gun in enumerate(guns):
        session.output.progress(bar("looking", number, of=len(guns)))
        try:
            if fits(session.collection(gun, keep=False).owner_roles()):
                found.append(gun)
        except TrustError:
            found.append(gun)
    session.output.progress("")
    return found
