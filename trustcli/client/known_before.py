"""What this machine had verified of a collection before it reads it again, for who must see what is new in it.

What is read now takes the place of it in the cache, so it is taken before. A cached file counts by the hash that
rollback memory has of it; a delegation's also by its signatures, where the memory has gone on to a version that was
only listed: what is new since then is all that is asked about, and no cache makes anything known to a verdict.
"""

from __future__ import annotations

from contextlib import suppress

from trustcli.client.ports import MetadataCache
from trustdata.envelope import Envelope
from trustdata.errors import MalformedMetadata, NotTrusted, TooLarge
from trustdata.roles import ONLINE, ROOT, TARGETS, RoleName
from trustdata.verification.checks import check_signatures
from trustdata.verification.rollback_memory import Memory
from trustdata.wire import WireFormat


class KnownBefore:
    """The files that were verified here last, by role. `memory`: None where nothing was."""

    def __init__(self, memory: Memory | None, cache: MetadataCache, wire: WireFormat) -> None:
        seen = memory.roles.items() if memory is not None else ()
        self._sha256 = {role: each.sha256 for role, each in seen if role not in ONLINE}
        self._raw = {role: _raw(cache, role) for role in self._sha256}
        self._wire = wire

    def __call__(self, stored: Envelope) -> Envelope | None:
        """Return the file of the role of a stored one that was verified here last; None if none was, or it is gone."""
        return stored if self._sha256.get(stored.role) == stored.sha256 else self._file(stored.role)

    def _file(self, role: RoleName) -> Envelope | None:
        raw = self._raw.get(role)
        if raw is None:
            return None
        with suppress(MalformedMetadata, NotTrusted, TooLarge):  # a cache proves nothing by itself
            file = self._wire.parse(role, raw)
            if file.sha256 == self._sha256[role]:
                return file
            delegator = self._file(TARGETS) if role not in (ROOT, TARGETS) else None
            if delegator is not None:
                check_signatures(delegator.targets, TARGETS, file)
                return file
        return None


def _raw(cache: MetadataCache, role: RoleName) -> bytes | None:
    return next(iter(cache.roots()[-1:]), None) if role == ROOT else cache.load(role)
