"""Success is said only of what can be read back: the server's word for it is not enough."""

from __future__ import annotations

from trustdata.errors import RemoteMisbehaved


def check_visible(visible: bool, *, server: str, what: str) -> None:
    """After a publish and a refresh: the result is there. `what` names it. Raises: RemoteMisbehaved."""
    if not visible:
        raise RemoteMisbehaved(remote=server, reason=f"it said that {what} was published, but it is not")
