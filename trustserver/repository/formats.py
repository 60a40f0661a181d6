"""What the server does differently for collections in TUF 1.0 and in Notary v1.

How the files themselves differ is in trustdata/wire.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Final, TypeAlias

from trustdata.gun import GUN
from trustdata.wire import WireFormat
from trustdata.wire.notary import NOTARY
from trustdata.wire.tuf import TUF
from trustserver.responses import notary, tuf
from trustserver.responses.notary_paths import notary_path
from trustserver.responses.ready import ReadyResponse
from trustserver.responses.tuf_paths import path_of
from trustserver.storage.ports import StoredFile


@dataclass(frozen=True, slots=True, kw_only=True)
class NewFiles:
    """The files that one change has written, from which the new responses are made.

    `root_version`: the newest version of root. `renew_at`: when an online role must be signed again.
    """

    gun: GUN
    written: Iterable[StoredFile]
    root_version: int
    renew_at: datetime


Answers: TypeAlias = list[tuple[bytes, ReadyResponse]]


@dataclass(frozen=True, slots=True, kw_only=True)
class ServedFormat:
    """What the server does for collections in one format.

    `in_feed`: its collections are in the change feed, older timestamps stay readable, and a deleted name may be used
    again at once, because Notary v1's clients need all three. `second_opinion`: python-tuf's own parser checks uploads
    too. `answers`: makes the responses, by path, that replace those in the response cache after a change.
    """

    wire: WireFormat
    in_feed: bool
    second_opinion: bool
    answers: Callable[[NewFiles], Answers]


def _tuf_answers(new: NewFiles) -> Answers:
    found: Answers = []
    for file in new.written:
        name = tuf.kept_name(file)
        found.append((path_of(new.gun, name), tuf.answer_under(new.gun, name, file, renew_at=new.renew_at)))
    following = tuf.following_root(new.root_version)
    return [*found, (path_of(new.gun, following), tuf.missing(new.gun, following))]


def _notary_answers(new: NewFiles) -> Answers:
    return [
        (notary_path(new.gun, name), notary.answer_under(new.gun, name, file, renew_at=new.renew_at))
        for file in new.written
        for name in notary.names_of(file)
    ]


SERVED_TUF: Final = ServedFormat(wire=TUF, in_feed=False, second_opinion=True, answers=_tuf_answers)
SERVED_NOTARY: Final = ServedFormat(wire=NOTARY, in_feed=True, second_opinion=False, answers=_notary_answers)
_BY_NAME: Final[Mapping[str, ServedFormat]] = {each.wire.name: each for each in (SERVED_TUF, SERVED_NOTARY)}


def find_format(name: str) -> ServedFormat | None:
    """Return the format with this name; None if this version of the server does not know it."""
    return _BY_NAME.get(name)
