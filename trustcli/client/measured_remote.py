"""Limit what one verification reads of a server in all: bytes, values, time. Each single file has limits of its own.

Before a file is verified nobody knows who has made it. A chain of 256 roots, or a snapshot that lists 4 096
delegations, may be anybody's, and each file of it as large as one may be (docs/adr/0054).
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from typing import Final

from trustcli.client.ports import MetadataRemote
from trustcli.errors import RemoteUnreachable
from trustdata.errors import TooLarge
from trustdata.gun import GUN
from trustdata.json_bounds import most_values

MAX_BYTES: Final = 64 * 1024 * 1024
"""Bytes of all files that one verification reads. A server stores up to 39 MiB of one collection."""
MAX_VALUES: Final = 6_000_000
"""Values of all files that one verification reads: 64 MiB of tags have 5 500 000 in TUF 1.0."""
MAX_ROOT_BYTES: Final = 16 * 1024 * 1024
"""Bytes of all roots that one verification reads. Those of a collection that was rotated 256 times have about 1 MB."""
MAX_ROOT_VALUES: Final = 1_000_000
"""Values of all roots that one verification reads. They stay in memory, each as the one that the next follows."""
MAX_SECONDS: Final = 600.0
"""How long the requests of one verification may take together."""
_ROOT: Final = re.compile(r"([0-9]+\.)?root\.json")


class MeasuredRemote:
    """A `MetadataRemote` for one verification, over another one."""

    def __init__(self, remote: MetadataRemote, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._remote = remote
        self._clock = clock
        self._seconds = MAX_SECONDS
        self._bytes, self._values = MAX_BYTES, MAX_VALUES
        self._root_bytes, self._root_values = MAX_ROOT_BYTES, MAX_ROOT_VALUES

    @property
    def name(self) -> str:
        """The name of the remote for messages."""
        return self._remote.name

    def fetch(self, gun: GUN, filename: str, *, limit: int) -> bytes | None:
        """Return the file's bytes, as the remote does. Raises also: TooLarge, RemoteUnreachable beyond the limits."""
        is_root = _ROOT.fullmatch(filename) is not None
        left = min(self._bytes, self._root_bytes) if is_root else self._bytes
        began = self._clock()
        try:
            raw = self._remote.fetch(gun, filename, limit=min(limit, left))
        except TooLarge as error:
            if left >= limit:
                raise
            raise self._too_much(is_root) from error
        finally:
            self._seconds -= self._clock() - began
        if raw is not None:
            self._count(len(raw), most_values(raw), is_root=is_root)
        if self._seconds < 0:
            reason = f"the files of one collection took longer than {MAX_SECONDS:g} seconds"
            raise RemoteUnreachable(remote=self.name, reason=reason)
        return raw

    def _count(self, size: int, values: int, *, is_root: bool) -> None:
        self._bytes -= size
        self._values -= values
        if is_root:
            self._root_bytes -= size
            self._root_values -= values
        if self._values < 0 or self._root_values < 0:
            limit = MAX_ROOT_VALUES if self._root_values < 0 else MAX_VALUES
            raise TooLarge(what=self._everything(is_root), limit=limit, unit="values")
        if self._bytes < 0 or self._root_bytes < 0:
            raise self._too_much(is_root)

    def _too_much(self, is_root: bool) -> TooLarge:  # noqa: FBT001
        return TooLarge(what=self._everything(is_root), limit=MAX_ROOT_BYTES if is_root else MAX_BYTES)

    def _everything(self, is_root: bool) -> str:  # noqa: FBT001
        return f"everything of {'root' if is_root else 'one collection'} from {self.name}"
