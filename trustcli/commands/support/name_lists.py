"""Names from the command line and from files: one name a line (`--names FILE`, `--images FILE`; `-` is standard input).

Blank lines and comments (`#`) are passed over. Line ends of Windows, a byte order mark and UTF-16 are read. A list
without a name is wrong usage: it never means all.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

from trustcli.commands.support.aliases import refuse_alias
from trustcli.commands.support.option_file import place_of, read_option_file
from trustcli.errors import BadLine, UsageError
from trustcli.registry.reference import ImageReference, parse_reference
from trustcli.session import Session
from trustdata.errors import InvalidName, shown
from trustdata.gun import GUN

MAX_LIST: Final = 16 * 1024 * 1024
"""Largest accepted size of a list in bytes."""
_COMMENT: Final = re.compile(r"(?:^|\s)#.*")


def collection_names(names: Sequence[str] | None, file: Path | None = None) -> list[GUN]:
    """Return the collections that are named, each once, in order; a tag or digest is refused.

    `file`: the value of `--names`. Raises: UsageError (no name, or a line of the file that is none), InvalidName.
    """
    return list(dict.fromkeys(map(_collection, _given(names, file, option="--names", what="NAME"))))


def named_collections(session: Session, names: Sequence[str] | None, file: Path | None = None) -> list[GUN]:
    """Return the collections that are named, each once, also if it is named by an alias and by its real name.

    Raises: as `collection_names` and `CollectionNames.named`.
    """
    first: dict[GUN, GUN] = {}
    for gun in collection_names(names, file):
        first.setdefault(session.real_name(gun), gun)
    return list(first.values())


def real_names(session: Session, guns: Sequence[GUN]) -> list[GUN]:
    """Return the names, none of which may be an alias: what is done under it would be done to the real collection.

    Raises: InvalidName; as `CollectionNames.named`.
    """
    for gun in guns:
        refuse_alias(session, gun)
    return list(guns)


def image_references(
    images: Sequence[str] | None, file: Path | None = None, *, option: str = "--images"
) -> list[ImageReference]:
    """Return the images that are named, in order. `file`: the value of `option`. Raises: UsageError, InvalidName."""
    return list(_given(images, file, option=option, what="IMAGE"))


def image_names(images: Sequence[str], file: Path | None) -> list[str]:
    """Return the images as they were written, for a command that judges each of them by itself.

    Raises: UsageError (no image, or a line of the file that is none).
    """
    if file is None:
        if not images:
            raise UsageError("IMAGE... is missing, or --images FILE")
        return list(images)
    return [*images, *(reference.given for reference in _listed(file, "--images", collections=False))]


def _collection(reference: ImageReference) -> GUN:
    if reference.tag or reference.digest:
        raise UsageError(f"a collection is named without tag or digest: {reference.gun}")
    return reference.gun


def _given(names: Sequence[str] | None, file: Path | None, *, option: str, what: str) -> Iterator[ImageReference]:
    if not names and file is None:
        raise UsageError(f"{what}... is missing, or {option} FILE")
    yield from map(parse_reference, names or ())
    if file is not None:
        yield from _listed(file, option, collections=option == "--names")


def _listed(file: Path, option: str, *, collections: bool) -> list[ImageReference]:
    """Return what the lines name. Raises: UsageError, which has each bad line and what is wrong with it."""
    place = place_of(file)
    references: list[ImageReference] = []
    bad: list[BadLine] = []
    for number, line in enumerate(_text(file, option).splitlines(), 1):
        name = _COMMENT.sub("", line).strip()
        if not name:
            continue
        try:
            reference = parse_reference(name)
            if collections:
                _collection(reference)
        except (InvalidName, UsageError) as error:
            bad.append(BadLine(line=number, text=shown(name, 300), reason=str(error)))
        else:
            references.append(reference)
    if len(bad) == 1:
        raise UsageError(f"{option}: {place}, {bad[0]}", lines=(bad[0],))
    if bad:
        what = "collections" if collections else "images"
        raise UsageError(f"{option}: {place} has {len(bad)} lines that name no {what}", lines=tuple(bad))
    if not references:
        raise UsageError(f"{option}: {place} holds no name")
    return references


def _text(file: Path, option: str) -> str:
    """Return the content as text. Raises: UsageError."""
    try:
        return _decoded(read_option_file(file, option, limit=MAX_LIST))
    except UnicodeDecodeError as error:
        raise UsageError(f"{option}: {place_of(file)} is not text in UTF-8 or UTF-16") from error


def _decoded(content: bytes) -> str:
    """Return text in UTF-8 or UTF-16, with or without a byte order mark. Raises: UnicodeDecodeError."""
    if content.startswith((b"\xff\xfe", b"\xfe\xff")):
        return content.decode("utf-16")
    if content[1:2] == b"\0":  # names are ASCII: every other byte is zero
        return content.decode("utf-16-le")
    if content[:1] == b"\0":
        return content.decode("utf-16-be")
    return content.decode("utf-8-sig")
