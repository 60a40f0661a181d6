"""`trust` with a clock that is DAYS ahead (or, negative, behind): what expires until then has expired."""

from __future__ import annotations

import os
import subprocess
import sys
from datetime import datetime, timedelta, tzinfo
from pathlib import Path

from tests.peers.trust_program import TrustUser

_TOP = Path(__file__).resolve().parents[2]


class LateUser(TrustUser):
    """The same person at the same machine, `days` later."""

    def __init__(self, person: TrustUser, days: float) -> None:
        super().__init__(person.folder, "", environ={**person.environ, "DAYS": str(days), "PYTHONPATH": str(_TOP)})

    def start(self, *arguments: str, **environ: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [sys.executable, "-m", "tests.journeys.late_client", *arguments],
            cwd=self.folder,
            env={**self.environ, **environ},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )


def _main() -> None:
    from trustcli import session
    from trustcli.__main__ import main

    ahead = timedelta(days=float(os.environ["DAYS"]))

    class Later(datetime):
        @classmethod
        def now(cls, tz: tzinfo | None = None) -> datetime:  # type: ignore[override]
            return datetime.now(tz) + ahead

    session.datetime = Later  # type: ignore[attr-defined]
    main()


if __name__ == "__main__":
    _main()
