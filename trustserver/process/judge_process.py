"""Start the process that judges large uploads (trustserver/judge.py), with its bounds of time and memory."""

from __future__ import annotations

import json
from typing import Final

from trustserver.process.helper_process import Helper, python_command
from trustserver.settings import Settings

JUDGE_SECONDS: Final = 30.0
"""Seconds that judging one large upload may take: fifty times what the largest takes on a machine at rest."""
JUDGE_MEMORY: Final = 640 * 1024 * 1024
"""Bytes of data of the process that judges large uploads. The worst upload within the limits takes it to 320 MB, and
what is reserved and not touched counts, too: orjson reserves 28 times the size of a file."""


def open_judge(settings: Settings, *, seconds: float = JUDGE_SECONDS, memory: int = JUDGE_MEMORY) -> Helper:
    """Return the process that judges large uploads, which starts with the first of them.

    `seconds`: the time for one upload. `memory`: bytes of data that the process may have, its interpreter included.
    """
    order = {
        "data": str(settings.data),
        "database": settings.database,
        "log_level": settings.log_level,
        "memory": memory,
    }
    command = python_command("trustserver.judge", json.dumps(order))
    return Helper(command, what="judging a large upload", seconds=seconds)
