"""The judge of large uploads without its process: questions and answers are written and read, in this one."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterable

from trustserver.process.helper import write_frame
from trustserver.repository.judge_apart import answer_question, read_question
from trustserver.repository.parsed_cache import ParsedCache
from trustserver.storage.ports import MetadataStore


class AskedHere:
    """Answers what the process would. `asked`: how often. `before`, `after`: called around each judgement."""

    def __init__(
        self,
        store: MetadataStore,
        *,
        before: Callable[[], object] = lambda: None,
        after: Callable[[], object] = lambda: None,
    ) -> None:
        self.asked = 0
        self._before = before
        self._after = after
        self._parsed = ParsedCache(store)

    def ask(self, frames: Iterable[bytes]) -> bytes:
        self.asked += 1
        self._before()
        sent = io.BytesIO()
        for frame in frames:
            write_frame(sent, frame)
        sent.seek(0)
        question = read_question(sent)
        assert question is not None
        assert sent.read() == b""
        answer = answer_question(self._parsed, question)
        self._after()
        return answer
