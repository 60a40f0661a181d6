"""Read what a manifest is and what it names, once for the same bytes: most pulls are of few images, by many callers.

What is kept are facts about bytes that were hashed, never the bytes: these are fetched for each caller.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from typing import Final

from keys.record import record
from trustcli.errors import ImageNotSupported
from trustcli.hooks.proxy.manifest_children import Named, named_in
from trustcli.registry.manifest import read_manifest

_MOST: Final = 256
"""How many manifests are kept as they were read; with _MOST_BYTES less than 16 MiB."""
_MOST_BYTES: Final = 16 * 1024
"""Bytes of a manifest that is kept. Larger ones are rare, and name so much that they would fill the memory."""
_MOST_TOLD: Final = 100


@record
class Reading:
    """What a manifest is. `media_type`: what its bytes say."""

    media_type: str
    named: Named


class ImageNotServed(Exception):
    """What upstream has is not built like an image, so that clients may read it in different ways."""

    def __init__(self, name: str, reason: str) -> None:
        super().__init__(f"{name} is not handed out: {reason}")


class ManifestReader:
    """Reads manifests, and remembers for the same bytes what they say. Safe for threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._known: OrderedDict[tuple[str, str], Reading] = OrderedDict()

    def read(self, raw: bytes, *, digest: str, told: str, name: str) -> Reading:
        """Return what a manifest says. `digest`: of these bytes. `told`: the type that upstream says.

        `name`: of the image, for errors. Raises: ImageNotServed.
        """
        place = digest, told
        with self._lock:
            known = self._known.get(place)
            if known is not None:
                self._known.move_to_end(place)
                return known
        try:
            read = Reading(media_type=read_manifest(raw, content_type=told, image=name).media_type, named=named_in(raw))
        except ImageNotSupported as unsupported:
            raise ImageNotServed(name, unsupported.reason) from unsupported
        except ValueError as error:
            raise ImageNotServed(name, str(error)) from error
        if len(raw) <= _MOST_BYTES and len(told) <= _MOST_TOLD:
            with self._lock:
                self._known[place] = read
                while len(self._known) > _MOST:
                    self._known.popitem(last=False)
        return read
