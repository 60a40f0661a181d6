"""Have large uploads judged by another process, which reads the stored state itself (docs/adr/0056).

The question is a header in JSON and the files of the upload, each in a frame. The answer is in JSON too: the revision
that was judged against, and of each file what the server must know to store it, so that it parses none of them; or the
error. `JudgeApart` asks, `answer_question` answers.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import IO, Protocol, TypeAlias, cast

from keys.errors import KeysError
from trustdata.envelope import Envelope
from trustdata.errors import TrustError
from trustdata.gun import GUN
from trustdata.roles import ONLINE, SNAPSHOT, RoleName
from trustdata.verification.candidate_set import Candidate
from trustserver.errors import RevisionMoved
from trustserver.process.helper import FrameBroken, read_frame
from trustserver.repository.error_text import error_from_json, error_to_json
from trustserver.repository.formats import ServedFormat, find_format
from trustserver.repository.judging import Judging, UploadedFiles, judge, parse_upload
from trustserver.repository.parsed_cache import ParsedCache, ParsedCollection
from trustserver.repository.stored_envelope import StoredEnvelope
from trustserver.storage.ports import StoredFile

_Facts: TypeAlias = tuple[int, str, str]
"""Version, expiry (ISO 8601) and hash of a file."""


class Asked(Protocol):
    """Something that answers a question of several frames with one."""

    def ask(self, frames: list[bytes]) -> bytes:
        """Return the answer. Raises: NotStored if there is none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Verdict:
    """An upload is accepted at this revision. `changed`: the roles in the order of Candidate."""

    revision: int
    changed: tuple[RoleName, ...]
    envelopes: Mapping[RoleName, Envelope]

    def candidate(self, stored: ParsedCollection) -> Candidate:
        """Return the state that was judged. Nothing of the upload is parsed."""
        roles = {role: envelope for role, envelope in stored.envelopes.items() if role not in ONLINE}
        roles |= {role: envelope for role, envelope in self.envelopes.items() if role != SNAPSHOT}
        return Candidate(roles=roles, changed=self.changed, snapshot=self.envelopes.get(SNAPSHOT))


class JudgeApart:
    """The Judge that asks another process."""

    def __init__(self, helper: Asked) -> None:
        self._helper = helper

    def judging(self, upload: UploadedFiles) -> Judging:
        """Return the function that asks, and asks again only if the collection has moved on."""
        verdict: _Verdict | None = None

        def against(stored: ParsedCollection) -> Candidate:
            nonlocal verdict
            revision = stored.state.revision
            if verdict is None or verdict.revision != revision:
                verdict = self._ask(upload)
            if verdict.revision != revision:
                raise RevisionMoved(gun=upload.gun, base=revision)
            return verdict.candidate(stored)

        return against

    def _ask(self, upload: UploadedFiles) -> _Verdict:
        header = {
            "gun": upload.gun,
            "format": upload.served_format.wire.name,
            "at": upload.at.isoformat(),
            "roles": list(upload.files),
        }
        answer = json.loads(self._helper.ask([json.dumps(header).encode(), *upload.files.values()]))
        if "error" in answer:
            raise error_from_json(answer["error"])
        facts = cast("Mapping[str, _Facts]", answer["facts"])
        return _Verdict(
            revision=answer["revision"],
            changed=tuple(RoleName(role) for role in answer["changed"]),
            envelopes={role: _lazy(role, raw, facts[role], upload.served_format) for role, raw in upload.files.items()},
        )


def _lazy(role: RoleName, raw: bytes, facts: _Facts, served_format: ServedFormat) -> Envelope:
    version, expires, sha256 = facts
    file = StoredFile(role=role, version=version, raw=raw, sha256=sha256, expires=datetime.fromisoformat(expires))
    return StoredEnvelope(file, served_format.wire)


# -- in the process that judges -----------------------------------------------------------------------------


def read_question(questions: IO[bytes]) -> UploadedFiles | None:
    """Read one question; None at the end. Raises: FrameBroken, OSError."""
    header = read_frame(questions)
    if header is None:
        return None
    question = json.loads(header)
    files = {}
    for role in question["roles"]:
        raw = read_frame(questions)
        if raw is None:
            raise FrameBroken
        files[RoleName(role)] = raw
    served_format = find_format(question["format"])
    if served_format is None:
        raise FrameBroken
    at = datetime.fromisoformat(question["at"])
    return UploadedFiles(gun=GUN(question["gun"]), files=files, at=at, served_format=served_format)


def answer_question(parsed: ParsedCache, upload: UploadedFiles) -> bytes:
    """Judge an upload against the newest stored state, and return the answer. Raises: MemoryError."""
    try:
        uploads = parse_upload(upload)
        stored = parsed.load(upload.gun)
        candidate = judge(stored, uploads, upload)
    except (TrustError, KeysError) as error:
        return json.dumps({"error": error_to_json(error)}).encode()
    facts = {role: (each.version, each.expires.isoformat(), each.sha256) for role, each in uploads.items()}
    answer = {"revision": stored.state.revision, "changed": candidate.changed, "facts": facts}
    return json.dumps(answer).encode()
