"""Trust data that is in memory and young enough, for callers that cannot wait: it takes no thread of its own."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from trustcli.hooks.deciding.ports import DenyListRead, Reading, ReleasedTags
    from trustcli.hooks.resident.reader import ResidentReader
    from trustdata.gun import GUN
    from trustdata.judgement import Question
    from trustdata.policy import Rule


class MustWait(Exception):
    """What is asked for needs a trust server, or a refresh that is going on."""


class AtOnceReader:
    """A `TrustDataReader` whose methods raise MustWait where the resident reader would ask somebody, or wait."""

    def __init__(self, reader: ResidentReader) -> None:
        self._reader = reader

    def judge(self, gun: GUN, rule: Rule | None, questions: Sequence[Question]) -> Reading:
        """Judge questions, as `TrustDataReader.judge` promises. Raises: MustWait."""
        reading = self._reader.judged_at_once(gun, rule, questions)
        if reading is None:
            raise MustWait
        return reading

    def released(self, gun: GUN, rule: Rule | None) -> ReleasedTags:
        """Raise MustWait: only lists of tags need it."""
        del gun, rule
        raise MustWait

    def denied(self, gun: GUN, rule: Rule | None) -> DenyListRead:
        """Return what a collection denies, as `TrustDataReader.denied` promises. Raises: MustWait."""
        read = self._reader.denied_at_once(gun, rule)
        if read is None:
            raise MustWait
        return read
