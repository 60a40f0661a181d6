"""The two formats as this server treats them: what differs beyond the files themselves, which trustdata.wire tells."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Final, TypeAlias

from trustdata.gun import GUN
from trustdata.roles import ROOT, TIMESTAMP
from trustdata.wire import WireFormat
from trustdata.wire.notary import NOTARY
from trustdata.wire.tuf import TUF
from trustserver.responses import notary as notary_answers
from trustserver.responses import tuf as answers
from trustserver.responses.cache import Answer
from trustserver.responses.notary_paths import NotaryFile, notary_path
from trustserver.responses.tuf_paths import FileName, path_of
from trustserver.storage.ports import StoredFile


@dataclass(frozen=True, slots=True, kw_only=True)
class NewFiles:
    """What was published, for readers: the `written` files, the root's version then, and the next renewal."""

    gun: GUN
    written: Iterable[StoredFile]
    root_version: int
    renew_at: datetime


Answers: TypeAlias = list[tuple[bytes, Answer]]


@dataclass(frozen=True, slots=True, kw_only=True)
class ServedFormat:
    """`answers`: what readers are told of a publication, by raw path.

    `in_feed`: the change feed has its collections, older timestamps stay readable, and a deletion frees the name: what
    Notary v1's clients rely on. `second_opinion`: python-tuf's own parser can judge its files, too.
    """

    wire: WireFormat
    in_feed: bool
    second_opinion: bool
    answers: Callable[[NewFiles], Answers]


def _tuf_answers(new: NewFiles) -> Answers:
    found: Answers = []
    for file in new.written:
        if file.role == TIMESTAMP:
            name = FileName(role=TIMESTAMP, version=None)
            answer = answers.newest(file.raw, file.sha256, renew_at=new.renew_at)
        else:
            name = FileName(role=file.role, version=file.version)
            answer = answers.versioned(file.raw, file.sha256)
        found.append((path_of(new.gun, name), answer))
    following = FileName(role=ROOT, version=new.root_version + 1)
    return [*found, (path_of(new.gun, following), answers.missing(new.gun, following))]


def _notary_answers(new: NewFiles) -> Answers:
    """Under the bare name, and under the hash, by which clients ask for all but the timestamp."""
    found: Answers = []
    for file in new.written:
        bare = notary_path(new.gun, NotaryFile(role=file.role))
        if file.role == TIMESTAMP:
            found.append((bare, notary_answers.current(file, renew_at=new.renew_at)))
            continue
        hashed = notary_path(new.gun, NotaryFile(role=file.role, sha256=file.sha256))
        found += [(bare, notary_answers.current(file)), (hashed, notary_answers.consistent(file))]
    return found


SERVED_TUF: Final = ServedFormat(wire=TUF, in_feed=False, second_opinion=True, answers=_tuf_answers)
SERVED_NOTARY: Final = ServedFormat(wire=NOTARY, in_feed=True, second_opinion=False, answers=_notary_answers)
_BY_NAME: Final[Mapping[str, ServedFormat]] = {each.wire.name: each for each in (SERVED_TUF, SERVED_NOTARY)}


def find_format(name: str) -> ServedFormat | None:
    """The format that storage names; None for one that this version does not know."""
    return _BY_NAME.get(name)
