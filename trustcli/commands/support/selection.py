"""Which collections a command is about: those that are named, or those that are known here and fit.

A collection is known here by a pin, or by a pinned pattern and because it was seen here (`names.known_names`). No
server is asked what else there is: its list proves nothing, and owners change the collections that they know here.

A pattern that fits no known collection is mistyped: wrong usage, as a name that nobody has is. Where everything is
meant, or what a key or a signer is in, to find nothing is an answer: nothing to do.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Final, TypeAlias

import typer

from trustcli.commands.support.aliases import agree_to_aliases
from trustcli.commands.support.name_lists import collection_names, named_collections
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
Everywhere: TypeAlias = Annotated[bool, typer.Option("--all", help="Every collection that is known here.")]

NONE_KNOWN: Final = "no collection is known here by a pin"
"""Why a command that is for every known collection has nothing to do."""


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
    everywhere: bool = False,
    yes: bool = False,
) -> Selection:
    """Return the collections that names, `--names`, `--glob` or `--all-with` mean: one kind of them, or the last two.

    `everywhere`: all that are known here, or that a `--glob` fits. `yes`: an alias may mean another collection. Raises:
    UsageError, InvalidName, KeysError, SettingsUnusable, MemoryDamaged, FileNewer.
    """
    if not globs and not all_with and not everywhere:
        guns = named_collections(session, names, names_file)
        agree_to_aliases(session, guns, yes=yes)
        return Selection(guns=guns, typed=True)
    if names or names_file is not None:
        raise UsageError("--glob and --all-with choose the collections: name none beside them")
    guns = _fitting(globs, known_names(session)) if globs else known_names(session)
    key = named_key(session, all_with) if all_with else None
    if key is not None:
        guns = where(session, guns, lambda roles: bool(key.roles(roles)))
    if not guns:
        what = f"no collection that is known here names the key {shown(all_with)}" if all_with else NONE_KNOWN
        session.output.notice(f"{what}: nothing to do")
    return Selection(guns=guns, typed=False, key=key)


def chosen_collections(
    session: Session,
    names: Sequence[str] | None,
    file: Path | None = None,
    *,
    globs: Sequence[str] | None = None,
    everywhere: bool = False,
) -> list[GUN]:
    """Return the collections of names, `--names` and `--glob` together, or of `--all`: each once, whatever its alias.

    Raises: UsageError, InvalidName, SettingsUnusable, MemoryDamaged, FileNewer.
    """
    named = bool(names) or file is not None
    if everywhere and (named or globs):
        raise UsageError("--all is for all collections: name none beside it")
    if not everywhere and not named and not globs:
        raise UsageError("name the collections: NAME..., --names FILE, --glob PATTERN, or --all that are known here")
    guns = collection_names(names, file) if named else []
    guns += known_names(session) if everywhere else _fitting(globs, known_names(session)) if globs else []
    first: dict[GUN, GUN] = {}
    for gun in guns:
        first.setdefault(session.real_name(gun), gun)
    return list(first.values())


def _fitting(globs: Sequence[str], known: Sequence[GUN]) -> list[GUN]:
    """Return the known collections that one of the patterns fits, in their order.

    Raises: UsageError (a pattern that is none, or that fits no known collection).
    """
    for pattern in globs:
        if not is_pattern(pattern):
            raise UsageError(f"--glob {shown(pattern)} is no pattern: it {PATTERN_RULE}{meant_pattern(pattern)}")
        if not any(pattern_matches(pattern, gun) for gun in known):
            raise UsageError(f"--glob {shown(pattern)} matches no collection that is known here ({len(known)} are)")
    return [gun for gun in known if any(pattern_matches(pattern, gun) for pattern in globs)]


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
