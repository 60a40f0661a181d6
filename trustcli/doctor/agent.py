"""Check whether this machine's agent is asked: nothing depends on it, so nothing else says that it is not."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from trustcli.doctor.findings import Finding, Severity
from trustcli.hooks.agent.place import VARIABLE, socket_to_ask
from trustcli.hooks.agent.probe import probe_agent
from trustcli.hooks.deciding.context import context_hash
from trustcli.session import Session

_SECONDS: Final = 2.0


def check_agent(session: Session, *, policy: Path | None, with_allow_list: bool, who: str) -> Iterator[Finding]:
    """Return the finding about the agent; none where there is none and nothing names one.

    `policy`, `with_allow_list`: by what `who` decides, in whose words the finding is. Raises: FileExposed.
    """
    path = socket_to_ask(session.environ, session.settings.agent)
    is_named = bool(session.environ.get(VARIABLE) or session.settings.agent)
    if path is None or not (is_named or os.path.lexists(path)):
        return
    try:
        context = context_hash(session.settings, policy=policy, with_allow_list=with_allow_list)
    except OSError:
        return  # another check says which file cannot be read
    use = probe_agent(path, context, seconds=_SECONDS)
    text = f"the agent {use.why}" + ("" if use.is_used else f": {who} verifies by itself, each time")
    severity: Severity = "ok" if use.is_used else "note"
    yield Finding(check="agent", severity=severity, text=text, remedy=use.remedy or None, place=path)
