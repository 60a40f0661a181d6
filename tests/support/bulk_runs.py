"""Journals of bulk runs, in a folder that only its owner may use."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from trustcli.publish.bulk.journal import Journal, RunOf
from trustdata.gun import GUN

AT: Final = datetime(2026, 12, 1, tzinfo=UTC)


def journal_in(folder: Path, names: Iterable[GUN]) -> Journal:
    """Begin a journal."""
    folder.chmod(0o700)
    place = folder / "bulk"
    place.mkdir(mode=0o700, exist_ok=True)
    return Journal.opened(place, RunOf.of("key rotate root", {}, names, at=AT))
