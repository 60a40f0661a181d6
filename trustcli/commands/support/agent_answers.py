"""Take what this machine's agent says of images, for `trust verify`."""

from __future__ import annotations

import os
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Final

from trustcli.hooks.agent.place import socket_to_ask
from trustcli.hooks.deciding.decision import Decision
from trustcli.registry.reference import parse_reference
from trustdata.errors import TrustError

if TYPE_CHECKING:
    from trustcli.session import Session

OLDEST: Final = 60.0
"""Seconds since the trust server confirmed what an answer rests on, at most."""
_SECONDS: Final = 2.0
"""For all questions together. What the agent has not answered by then is verified here."""


def decisions_of_agent(session: Session, images: Sequence[str], *, policy: Path | None) -> dict[int, Decision]:
    """Return the agent's decisions that may be taken, by the place of the image; empty if there is no such agent.

    Only what is allowed, verified, not older than OLDEST, and by no older versions than this user has seen is taken;
    everything else is verified here. `policy`: the
    policy file of this run. Raises: FileExposed, SettingsUnusable.
    """
    path = socket_to_ask(session.environ, session.settings.agent)
    if path is None or not os.path.lexists(path):
        return {}
    from trustcli.hooks.agent.client import Asked, ask_agent  # where there is no agent: start-up time
    from trustcli.hooks.agent.memory import AgentMemory
    from trustcli.hooks.agent.own_memory import has_seen_newer
    from trustcli.hooks.deciding.context import context_hash

    try:
        context = context_hash(session.settings, policy=policy, with_allow_list=False)
    except OSError:
        return {}  # whoever reads the file for itself says what is wrong with it
    found: dict[int, Decision] = {}
    questions = [Asked(image=image, digest=None) for image in images]
    memory = AgentMemory(session.settings.memory_folder)
    answers = ask_agent(path, context, questions, seconds=_SECONDS, memory=memory)
    with suppress(TrustError):  # what the agent remembers cannot be stored here: the rest is verified here
        for index, (image, yes) in enumerate(zip(images, answers, strict=True)):
            if yes is None or yes.runs is None or yes.stale or yes.mode != "enforce":
                continue
            if yes.age is None or yes.age > OLDEST:
                continue
            reference = parse_reference(image)
            if not yes.evidence or reference.digest not in {None, yes.runs}:
                continue
            if has_seen_newer(session.settings.memory_folder, yes):
                continue
            found[index] = Decision(
                image=image,
                trust_name=reference.gun,
                allowed=True,
                digest=yes.runs,
                mode="enforce",
                rule=yes.rule,
                reason=yes.reason,
                warnings=yes.warnings,
            )
    return found
