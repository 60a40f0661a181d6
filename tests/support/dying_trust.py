"""`trust` that is killed (SIGKILL) before the call of a test's choice: see `tests/journeys/dying_client`."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from tests.support.trust_program import TrustUser, no_secret_in

REPOSITORY: Final = Path(__file__).parents[2]
FEW: Final = 6
"""How many moments are tried where not every one is."""


@dataclass(frozen=True, kw_only=True)
class Ended:
    """`status` is negative for a signal; `calls` counts those at which it could have been killed."""

    status: int
    calls: int
    stdout: str
    stderr: str


class DyingTrust:
    """`trust` that can be killed at a moment of the test's choice."""

    def __init__(self) -> None:
        command = [sys.executable, "-m", "tests.journeys.dying_client"]
        self._process = subprocess.Popen(
            command, cwd=REPOSITORY, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )

    def run(self, user: TrustUser, *arguments: str, die_before: int | None = None) -> Ended:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        order: dict[str, Any] = {"argv": arguments, "cwd": str(user.folder), "environ": user.environ}
        self._process.stdin.write(json.dumps({**order, "die_before": die_before}) + "\n")
        self._process.stdin.flush()
        ended = Ended(**json.loads(self._process.stdout.readline()))
        no_secret_in(ended.stdout + ended.stderr)
        return ended

    def done(self, user: TrustUser, *arguments: str) -> Ended:
        """Run to the end, with success."""
        ended = self.run(user, *arguments)
        assert ended.status == 0, ended
        return ended

    def killed(self, user: TrustUser, *arguments: str, die_before: int, at_latest: int = 0) -> None:
        """Run until it is killed. With `at_latest` it may also end before, after so many calls, with success: threads
        take turns in another way each time, and save each other a call.
        """
        ended = self.run(user, *arguments, die_before=die_before)
        if at_latest and ended.status == 0:
            assert at_latest <= ended.calls < die_before, ended
        else:
            assert ended.status == -signal.SIGKILL, ended

    def close(self) -> None:
        self._process.communicate()  # the end of its input is its end


def moments(calls: int, few: int | None) -> list[int]:
    """Which calls to die before: every one, or a few spread evenly, the first and the last among them."""
    assert calls > FEW
    if few is None:
        return list(range(1, calls + 1))
    return sorted({1 + step * (calls - 1) // (few - 1) for step in range(few)})
