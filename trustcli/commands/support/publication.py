"""Check that what was published can be read back: the server's receipt alone is no proof."""

from __future__ import annotations

from trustcli.errors import RemoteMisbehaved


def check_visible(visible: bool, *, server: str, what: str) -> None:
    """Refuse if the published result was not found by the refresh after it.

    `what` names it. Raises: RemoteMisbehaved.
    """
    if not visible:
        raise RemoteMisbehaved(remote=server, reason=f"it said that {what} was published, but it is not")
