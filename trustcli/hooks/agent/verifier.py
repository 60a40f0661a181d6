"""Let `trust-image-verifier` use a yes of this node's agent, without importing the code that verifies."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Final

_LONGEST: Final = 2.0
_SHARE: Final = 0.25
"""The highest share of the time for a verdict: the rest must be enough to verify without an agent."""


def reason_of_agent(name: str, digest: str, *, config: Path | None, state: Path | None) -> str | None:
    """Return why the content may run, as the agent says it; None if there is no agent, or no yes of it.

    `name`: containerd's reference. `digest`: `sha256:HEX`, what the registry served. `config`, `state`: as the verifier
    got them. Any exception means the same as None.
    """
    from trustcli.config.hook_environment import hook_environment
    from trustcli.config.settings import load_hook_settings
    from trustcli.hooks.agent.place import socket_to_ask

    environ = hook_environment(os.environ, config)
    settings = load_hook_settings(environ, config=config, state=state)
    path = socket_to_ask(environ, settings.agent)
    if path is None or not os.path.lexists(path):
        return None

    from trustcli.hooks.agent.client import Asked, ask_agent
    from trustcli.hooks.agent.memory import AgentMemory
    from trustcli.hooks.agent.own_memory import has_seen_newer
    from trustcli.hooks.deciding.context import context_hash

    context = context_hash(settings, policy=settings.verifier.policy, with_allow_list=True)
    seconds = min(_LONGEST, settings.verifier.timeout * _SHARE)
    memory = AgentMemory(settings.memory_folder)
    (yes,) = ask_agent(path, context, [Asked(image=name, digest=digest)], seconds=seconds, memory=memory)
    if yes is None or yes.runs != digest or not yes.reason.isprintable():
        return None
    if has_seen_newer(settings.memory_folder, yes):
        return None
    for warning in yes.warnings:
        sys.stderr.write(f"warning: {warning.encode('unicode_escape').decode()}\n")
    return yes.reason
