"""Where sentences go that a command prints: to the caller's function, or to Python's logging."""

from __future__ import annotations

import io
import logging
from collections.abc import Callable, Iterable
from typing import Final

from trustcli.console.failure_table import Failure, row_for
from trustcli.console.output import Output, one_line

LOGGER: Final = "trustcli.api"
_WARNING: Final = "warning: "

# Without a handler, Python prints warnings of a library on standard error: here those of all modules.
logging.getLogger("trustcli").addHandler(logging.NullHandler())


class Notices(Output):
    """An output that prints nothing: progress and warnings go to `tell`, and what else a command prints is returned.

    `tell` None: to the logger `trustcli.api`, progress as INFO, warnings as WARNING.
    """

    def __init__(self, tell: Callable[[str], None] | None) -> None:
        super().__init__(stdout=io.StringIO(), stderr=io.StringIO(), as_json=False)
        self._tell = tell or _log

    def notice(self, text: str) -> None:
        """Tell a line of progress or a warning."""
        self._tell(one_line(text))

    def failure(self, error: Failure, *, subject: str = "") -> int:
        """Return the exit status; the error itself reaches the caller."""
        del subject
        return row_for(error).status

    def result(self, text: str) -> None:
        """Tell nothing: results are returned."""

    def raw(self, text: str) -> None:
        """Tell nothing: results are returned."""

    def pieces(self, pieces: Iterable[str]) -> None:
        """Tell nothing: results are returned."""


def _log(text: str) -> None:
    level = logging.WARNING if text.startswith(_WARNING) else logging.INFO
    logging.getLogger(LOGGER).log(level, "%s", text.removeprefix(_WARNING))
