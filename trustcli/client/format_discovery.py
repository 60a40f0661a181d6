"""Find the wire format of a collection: recorded here, cached here, or offered by its server (docs/adr/0024).

Notary's format is imported only when it is needed, since `trust verify` must start fast.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

from trustcli.client.ports import MetadataCache
from trustcli.client.server_link import ServerLink
from trustcli.client.tuf_remote import TufRemote
from trustdata.errors import FormatChanged
from trustdata.gun import GUN
from trustdata.limits import MAX_ROOT
from trustdata.roles import ROOT
from trustdata.wire import WireFormat
from trustdata.wire.format_names import FORMAT_NAMES, NOTARY_V1
from trustdata.wire.tuf import TUF


def recorded_format(
    gun: GUN, *, requested: WireFormat | None, recorded: Iterable[tuple[str, str]]
) -> WireFormat | None:
    """Return the requested or recorded format; None if there is neither.

    `recorded`: the format names in pin and lock file, each with its file. Raises: FormatChanged if two of all these
    differ.
    """
    known = [*recorded, *([(requested.name, "this command")] if requested else [])]
    for name, source in known[1:]:
        if name != known[0][0]:
            raise FormatChanged(gun=gun, pinned=known[0][0], pin_source=known[0][1], offered=name, offered_by=source)
    return _wire_by_name(known[0][0]) if known else None


def cached_format(cache_for: Callable[[str], MetadataCache]) -> WireFormat | None:
    """Return the format in which this machine has cached a root; None if it has none.

    `cache_for`: returns the cache of a format, by the format's name.
    """
    return next((_wire_by_name(name) for name in FORMAT_NAMES if cache_for(name).roots()), None)


def offered_format(link: ServerLink, gun: GUN) -> WireFormat:
    """Ask the server for TUF 1.0, then for Notary v1; return TUF 1.0 if it has neither.

    Raises: RemoteUnreachable, RemoteRefused, RemoteMisbehaved, TooLarge.
    """
    if _has_tuf(link, gun) or not _has_notary(link, gun):
        return TUF
    return _wire_by_name(NOTARY_V1)


def other_format_offered(link: ServerLink, gun: GUN, wire: WireFormat) -> str | None:
    """Return the name of the other format than this one, if the server has the collection in it.

    Raises: RemoteUnreachable, RemoteRefused, RemoteMisbehaved, TooLarge.
    """
    if wire.name == TUF.name:
        return NOTARY_V1 if _has_notary(link, gun) else None
    return TUF.name if _has_tuf(link, gun) else None


def _has_tuf(link: ServerLink, gun: GUN) -> bool:
    return TufRemote(link).fetch(gun, TUF.filename(ROOT, version=1), limit=MAX_ROOT) is not None


def _has_notary(link: ServerLink, gun: GUN) -> bool:
    from trustcli.client.notary_remote import NotaryRemote

    return NotaryRemote(link).has(gun)


def _wire_by_name(name: str) -> WireFormat:
    if name == TUF.name:
        return TUF
    from trustdata.wire.formats import wire_named

    return wire_named(name)


def source_of_format(requested: WireFormat | None, recorded: Iterable[tuple[str, str]]) -> str:
    """Return what says which format a collection has, for the log."""
    source = next((source for _, source in recorded), "")
    return f"{source} says" if source else "this command says" if requested else "it was before on this machine"
