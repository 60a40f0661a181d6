"""`trust` with a clock that is DAYS ahead (or, negative, behind): what expires until then has expired."""

from __future__ import annotations

import os
from datetime import datetime, timedelta, tzinfo
from pathlib import Path

from tests.support.trust_program import TrustUser

_TOP = Path(__file__).resolve().parents[2]


class LateUser(TrustUser):
    """The same person at the same machine, `days` later."""

    module = "tests.journeys.late_client"

    def __init__(self, person: TrustUser, days: float) -> None:
        super().__init__(person.folder, "", environ={**person.environ, "DAYS": str(days), "PYTHONPATH": str(_TOP)})


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
