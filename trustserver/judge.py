"""The process that judges large uploads. The server starts it, and it reads the stored collections itself."""

from __future__ import annotations

import gc
import json
import logging
import os
import sys
from pathlib import Path
from typing import IO, Final

from trustdata.errors import TrustError
from trustserver.process.heap import give_large_blocks_back
from trustserver.process.helper_process import OUT_OF_MEMORY, FrameBroken, limit_memory, serve_frames
from trustserver.process.logs import start_logging
from trustserver.repository.judge_apart import answer_question, read_question
from trustserver.repository.parsed_cache import ParsedCache
from trustserver.settings import Settings
from trustserver.storage.opening import existing_store

PARSED_BYTES: Final = 2 * 1024 * 1024
"""The size of this process's own cache of stored collections."""
GARBAGE_THRESHOLD: Final = 100_000
"""How many objects may be made, minus those freed, before garbage is looked for in the middle of a judgement."""

_log = logging.getLogger(__name__)


def main() -> None:
    """Answer questions about uploads until the server ends. The argument is the order of `process.judge_process`."""
    order = json.loads(sys.argv[1])
    start_logging(order["log_level"])
    limit_memory(order["memory"])
    give_large_blocks_back()
    try:
        store = existing_store(Settings(data=Path(order["data"]), database=order["database"]))
    except TrustError as error:
        _log.error("no large upload can be judged", extra={"reason": str(error)})
        sys.exit(2)
    parsed = ParsedCache(store, limit=PARSED_BYTES)

    def answer(questions: IO[bytes]) -> bytes | None:
        gc.collect()  # the last upload has its answer, and nothing of it is to stay while the next one comes
        try:
            upload = read_question(questions)
            return None if upload is None else answer_question(parsed, upload)
        except MemoryError:
            os._exit(OUT_OF_MEMORY)

    gc.freeze()  # modules and their like live as long as the process: no collection need look at them
    gc.set_threshold(GARBAGE_THRESHOLD, 20, 20)
    try:
        serve_frames(answer)
    except (FrameBroken, OSError):
        sys.exit(0)  # the server has ended
