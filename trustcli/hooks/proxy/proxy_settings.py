"""Define what the operator of a proxy chooses."""

from __future__ import annotations

from keys.record import record


@record
class ProxySettings:
    """What an operator chooses. `registry`: as it stands in names of images.

    `allow_push`: pass pushes through. `referrers`: hand out what is about signed content, though nobody has signed
    that. `redirect_blobs`: send clients to where upstream has its blobs, with 307, instead of handing them on.
    """

    registry: str
    allow_push: bool = False
    referrers: bool = False
    redirect_blobs: bool = False
