"""The log of a run: what it asks, reads, verifies, decides and signs, for whoever looks for a fault (docs/adr/0077).

Modules log with `logging.getLogger(__name__)`, below `trustcli`: `info` for steps and decisions, `debug` for each
request and each look into the cache. Never what is secret: no header, no body, no query of a URL, no passphrase.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from trustcli.console.output import Output

_OURS: Final = "trustcli"


class _Lines(logging.Handler):
    """Writes each record as a line on standard error, where everything foreign is escaped."""

    def __init__(self, output: Output) -> None:
        super().__init__()
        self._output = output

    def emit(self, record: logging.LogRecord) -> None:
        self._output.notice(f"{record.levelname.lower()}: {record.getMessage()}")


def start_log(level: str, output: Output) -> None:
    """Write the log from `level` on to standard error; nothing if it is empty. It ends what was started before."""
    ours = logging.getLogger(_OURS)
    for handler in [handler for handler in ours.handlers if isinstance(handler, _Lines)]:
        ours.removeHandler(handler)
        ours.setLevel(logging.NOTSET)
    if level:
        ours.addHandler(_Lines(output))
        ours.setLevel(level.upper())
