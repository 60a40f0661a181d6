"""Find the signed image that a digest belongs to, where the index does not know it: after a restart, in a new replica.

A wrong no would be an outage. So before a digest is refused the signed images of its repository are read, the newest
first, with the credentials of the caller who asked, until one names it.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Hashable, Iterator
from contextlib import contextmanager
from typing import Final

from trustcli.hooks.proxy.callers import caller_mark
from trustcli.hooks.proxy.manifest_children import Named
from trustcli.hooks.proxy.manifest_reading import ImageNotServed
from trustcli.hooks.proxy.reachability import ReachabilityIndex
from trustcli.hooks.proxy.tag_order import newest_first
from trustcli.hooks.proxy.turns import Turns
from trustcli.hooks.proxy.upstream import Caller, Upstream, UpstreamSays
from trustdata.errors import ContentMismatch, TooLarge

_log = logging.getLogger(__name__)
MAX_FETCHES: Final = 1000
"""Manifests that are fetched for one request."""
SECONDS: Final = 30.0
"""How long one request searches, and how long another waits for it."""
_ABSENT_SECONDS: Final = 60.0
_MOST_ABSENT: Final = 10_000
_MOST_WHOLE: Final = 100_000


class SearchUnfinished(Exception):
    """Not all signed images were looked at within the bounds of one request; the next request goes on."""


class SignedSearch:
    """Reads signed images of a repository into the index, once for all who wait. Safe for threads."""

    def __init__(
        self,
        index: ReachabilityIndex,
        upstream: Upstream,
        *,
        fetches: int = MAX_FETCHES,
        seconds: float = SECONDS,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Search nothing yet. `fetches`, `seconds`: the bounds of one request. `clock`: monotonic seconds."""
        self._index = index
        self._upstream = upstream
        self._fetches = fetches
        self._seconds = seconds
        self._clock = clock
        self._turns = Turns()
        self._absent: dict[tuple[bytes, str, str], float] = {}
        """Manifests that upstream does not have, or of which it has other bytes, until when that is believed.

        By caller, since a registry may say so only because this one must not see them.
        """
        self._lock = threading.Lock()
        self._whole: dict[tuple[str, bool], set[str]] = {}
        """Signed images of which the index knows all that they name, by repository and by what was looked for."""
        self._generation: Hashable = None
        """The generation of the index to which `_whole` belongs."""

    @contextmanager
    def turn(self, repository: str) -> Iterator[None]:
        """Let one request at a time search a repository. Raises: SearchUnfinished after a while."""
        with self._turns.of(repository, seconds=self._seconds) as has_come:
            if not has_come:
                raise SearchUnfinished
            yield

    def finds(
        self,
        repository: str,
        digest: str,
        tags: dict[str, str],
        caller: Caller,
        *,
        is_blob: bool,
        is_closed: Callable[[str], bool] = lambda _: False,
    ) -> str | None:
        """Read signed images that are not known yet until one names the digest; return what is signed, or None.

        `tags`: the signed tags and their digests. `is_closed`: whether what a manifest names is not looked at. To be
        called in a `turn`. Raises: SearchUnfinished, UpstreamSays (a no to this caller, or a failure),
        RemoteUnreachable, RemoteMisbehaved, SettingsUnusable.
        """
        fetched, end = 0, self._clock() + self._seconds
        whole = self._whole_in(repository, is_blob=is_blob)
        for root in dict.fromkeys(tags[tag] for tag in newest_first(tag for tag in tags if tags[tag] not in whole)):
            waiting, seen, is_whole = [root], {root}, True
            while waiting:
                manifest = waiting.pop()
                inside = self._index.manifests_in(repository, manifest, indexes_only=not is_blob)
                is_whole = is_whole and inside is not None
                if inside is None and not self._is_absent(caller, repository, manifest):
                    if fetched >= self._fetches or self._clock() >= end:
                        raise SearchUnfinished
                    fetched += 1
                    named = self._fetched(repository, manifest, caller)
                    if named is not None and digest in (*named.manifests, *(named.blobs if is_blob else ())):
                        return root
                    inside = [] if named is None else [*(named.manifests if is_blob else named.indexes)]
                further = [child for child in inside or () if child not in seen]
                is_open = [child for child in further if not is_closed(child)]
                is_whole = is_whole and len(is_open) == len(further)
                waiting += is_open
                seen.update(further)
            if is_whole:
                whole.add(root)
        return None

    def _whole_in(self, repository: str, *, is_blob: bool) -> set[str]:
        """Return the signed images in which there is nothing to search: what the index says of them was asked before.

        Whoever asks for digests that nothing names would have all of them walked through each time.
        """
        generation = self._index.generation
        with self._lock:
            if generation != self._generation or sum(map(len, self._whole.values())) > _MOST_WHOLE:
                self._whole = {}
                self._generation = generation
            return self._whole.setdefault((repository, is_blob), set())

    def _fetched(self, repository: str, digest: str, caller: Caller) -> Named | None:
        """Return what a manifest names, and store it; None if upstream does not have it for this caller."""
        try:
            named = self._upstream.manifest(repository, digest, caller, digest=digest).named
        except UpstreamSays as told:
            if not told.absent:
                raise
        except (ContentMismatch, ImageNotServed, TooLarge) as error:
            _log.warning("%s is passed over: %s", digest, error)
        else:
            self._index.add(repository, digest, named)
            return named
        if len(self._absent) >= _MOST_ABSENT:
            self._absent.clear()
        self._absent[caller_mark(caller.authorization), repository, digest] = self._clock() + _ABSENT_SECONDS
        return None

    def _is_absent(self, caller: Caller, repository: str, digest: str) -> bool:
        place = caller_mark(caller.authorization), repository, digest
        return self._absent.get(place, 0.0) > self._clock()
