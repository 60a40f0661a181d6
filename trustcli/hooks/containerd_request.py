"""Read containerd's request to an image verifier: Go-style arguments, and a descriptor on standard input.

Contract: containerd 2.3.4, plugin `io.containerd.image-verifier.v1.bindir`. Anything that is not understood is refused:
a request read in another way than it was meant could allow another image.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from keys.record import record
from trustcli.errors import HookRequestMalformed
from trustdata.digest import parse_digest
from trustdata.errors import (
    InvalidName,
    MalformedMetadata,
    TooLarge,
)

MEDIA_TYPE: Final = "application/vnd.oci.descriptor.v1+json"
MAX_DESCRIPTOR: Final = 64 * 1024
"""Largest accepted size in bytes; a descriptor has some 150, with annotations some thousand."""
MAX_DESCRIPTOR_VALUES: Final = 10_000
_MAX_PLAIN: Final = 1024
_LARGE: Final = 2**53
_STDIN: Final = "standard input"
_FLAGS: Final = ("name", "digest", "stdin-media-type", "config", "state")
_NEEDED: Final = _FLAGS[:3]


class _Members(list[tuple[str, object]]):
    """The members of an object, in their order, so that one that stands twice is seen."""


@record
class Arguments:
    """The arguments. `name`: containerd's reference, not parsed. `digest`: `sha256:HEX`, what the registry served."""

    name: str
    digest: str
    config: Path | None
    state: Path | None


def parse_arguments(argv: Sequence[str]) -> Arguments:
    """Read the arguments; `-name REF`, `--name REF` and `-name=REF` mean the same.

    Raises: HookRequestMalformed for anything unknown, doubled or missing.
    """
    given: dict[str, str] = {}
    words = iter(argv)
    for word in words:
        name, equals, value = word.partition("=")
        flag = name.removeprefix("-").removeprefix("-")
        if flag not in _FLAGS or name not in {f"-{flag}", f"--{flag}"}:
            raise HookRequestMalformed(place=word, reason=f"is not known; there are -{', -'.join(_FLAGS)}")
        if flag in given:
            raise HookRequestMalformed(place=name, reason="is given twice")
        given[flag] = value if equals else next(words, "")
        if not given[flag]:
            raise HookRequestMalformed(place=name, reason="needs a value")
    for flag in _NEEDED:
        if flag not in given:
            raise HookRequestMalformed(place=f"-{flag}", reason="is missing")
    if given["stdin-media-type"] != MEDIA_TYPE:
        raise HookRequestMalformed(place="-stdin-media-type", reason=f"is not {MEDIA_TYPE}")
    try:
        digest = parse_digest(given["digest"])
    except InvalidName as error:
        raise HookRequestMalformed(place="-digest", reason=error.reason) from error
    config, state = given.get("config"), given.get("state")
    return Arguments(
        name=given["name"],
        digest=digest,
        config=Path(config) if config else None,
        state=Path(state) if state else None,
    )


def check_descriptor(raw: bytes, digest: str) -> None:
    """Check that the descriptor describes exactly the content that the arguments name.

    `raw`: at most MAX_DESCRIPTOR + 1 bytes. Other members than media type, digest and size are annotations, and
    ignored. Raises: HookRequestMalformed.
    """
    if len(raw) > MAX_DESCRIPTOR:
        raise HookRequestMalformed(place=_STDIN, reason=f"holds more than {MAX_DESCRIPTOR} bytes")
    if not raw.strip():
        raise HookRequestMalformed(place=_STDIN, reason="holds no descriptor")
    plain = _plain(raw)
    document = _parsed(raw) if plain is None else plain
    if not isinstance(document, dict):
        raise HookRequestMalformed(place=_STDIN, reason="is no descriptor: it must be an object")
    media_type, size = document.get("mediaType"), document.get("size")
    if not isinstance(media_type, str) or not media_type:
        raise HookRequestMalformed(place=_STDIN, reason="is no descriptor: mediaType must be a text")
    if type(size) is not int or size < 0:
        raise HookRequestMalformed(place=_STDIN, reason="is no descriptor: size must be a number of bytes")
    if document.get("digest") != digest:
        raise HookRequestMalformed(place=_STDIN, reason=f"describes {document.get('digest')}, -digest says {digest}")


def _plain(raw: bytes) -> dict[str, str | int] | None:
    """Return a descriptor of texts and small numbers alone, as containerd writes it; None for every other document.

    Such a one means the same to every reader, and is read without what reads metadata, which takes 10 ms to import.
    """
    if len(raw) > _MAX_PLAIN:
        return None
    try:
        members = json.loads(raw.decode(), object_pairs_hook=_Members)
    except (ValueError, RecursionError):
        return None
    if not isinstance(members, _Members) or len(dict(members)) != len(members):
        return None
    found: dict[str, str | int] = {}
    for name, value in members:
        texts = [name, value] if isinstance(value, str) else [name]
        if not (isinstance(value, str) or (type(value) is int and 0 <= value < _LARGE)) or not _are_clean(texts):
            return None
        found[name] = value
    return found


def _are_clean(texts: list[str]) -> bool:
    """Return whether texts can be written as UTF-8: they hold no half of a character."""
    try:
        "".join(texts).encode()
    except UnicodeEncodeError:
        return False
    return True


def _parsed(raw: bytes) -> object:
    """Return any document, strictly read. Raises: HookRequestMalformed."""
    from trustdata.roles import RoleName
    from trustdata.wire import strict_json

    try:
        return strict_json.parse(RoleName("descriptor"), raw, values=MAX_DESCRIPTOR_VALUES).value
    except MalformedMetadata as error:
        place = f" at {error.path}" if error.path else ""
        raise HookRequestMalformed(place=_STDIN, reason=f"is no descriptor{place}: {error.reason}") from error
    except TooLarge as error:
        raise HookRequestMalformed(place=_STDIN, reason=f"holds more than {error.limit} {error.unit}") from error
