"""Have large uploads judged by another process, which reads the stored state itself (docs/adr/0056).

The question is a header in JSON and the files of the upload, each in a frame. The answer is in JSON too: of each file
what the server must know to store it, so that it parses none of them, and the revision that was judged against; or the
error. `JudgeApart` asks, `answer_question` answers.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import IO, Final, Protocol, TypeAlias, cast

from keys.errors import KeysError
from trustdata.envelope import Envelope
from trustdata.errors import TrustError
from trustdata.gun import GUN
from trustdata.roles import ONLINE, ROOT, SNAPSHOT, RoleName
from trustdata.verification.candidate_set import Candidate
from trustdata.wire.plain_targets import FORMS, PlainPart
from trustserver.errors import RevisionMoved
from trustserver.process.helper_process import FrameBroken, read_frame
from trustserver.repository.changes import Members
from trustserver.repository.collection_import import ImportedCollection, VerifiedImport, verify_import
from trustserver.repository.error_text import error_from_json, error_to_json
from trustserver.repository.formats import SERVED_NOTARY, ServedFormat, find_format
from trustserver.repository.judging import (
    LARGE_UPLOAD,
    Judged,
    Judging,
    UploadedFiles,
    judge,
    not_judged,
    parse_upload,
    size_of,
)
from trustserver.repository.parsed_cache import ParsedCache, ParsedCollection
from trustserver.repository.stored_envelope import StoredEnvelope, known_plain, listed_tags
from trustserver.storage.ports import StoredFile

_PUBLISH: Final = "publish"
_IMPORT: Final = "import"
_Plain: TypeAlias = tuple[int, int, int, bool]
"""Where the plain targets of a file begin and end, how many they are, and whether all are known to be tags."""
_Facts: TypeAlias = tuple[int, str, str, int | None, _Plain | None]
"""Version, expiry (ISO 8601), hash and number of tags of a file, and its plain targets, if they are plain."""


class Asked(Protocol):
    """Something that answers a question of several frames with one."""

    def ask(self, frames: list[bytes]) -> bytes:
        """Return the answer. Raises: NotStored if there is none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Verdict:
    """An upload is accepted at this revision. `changed`: the roles in the order of Candidate.

    `changes`: as in Judged.
    """

    revision: int
    changed: tuple[RoleName, ...]
    envelopes: Mapping[RoleName, Envelope]
    changes: Members

    def judged(self, stored: ParsedCollection) -> Judged:
        """Return the state that was judged. Nothing of the upload is parsed."""
        roles = {role: envelope for role, envelope in stored.envelopes.items() if role not in ONLINE}
        roles |= {role: envelope for role, envelope in self.envelopes.items() if role != SNAPSHOT}
        candidate = Candidate(roles=roles, changed=self.changed, snapshot=self.envelopes.get(SNAPSHOT))
        return Judged(candidate=candidate, changes=self.changes)


class JudgeApart:
    """The Judge that asks another process."""

    def __init__(self, helper: Asked) -> None:
        self._helper = helper

    def judging(self, upload: UploadedFiles) -> Judging:
        """Return the function that asks, and asks again only if the collection has moved on.

        It raises the errors of `judge`, NotStored (no answer), and RevisionMoved if it has moved once more.
        """
        verdict: _Verdict | None = None

        def against(stored: ParsedCollection) -> Judged:
            nonlocal verdict
            revision = stored.state.revision
            if verdict is None or verdict.revision != revision:
                verdict = self._ask(upload)
            if verdict.revision != revision:
                raise RevisionMoved(gun=upload.gun, base=revision)
            return verdict.judged(stored)

        return against

    def verify(self, gun: GUN, imported: ImportedCollection, at: datetime) -> VerifiedImport:
        """Do what `verify_import` does; what is smaller than LARGE_UPLOAD is verified in this process.

        Raises: NotStored, and the errors of `verify_import`.
        """
        files = imported.files
        if size_of(files) + sum(map(len, imported.roots)) < LARGE_UPLOAD:
            return verify_import(gun, imported, at)
        question = {"kind": _IMPORT, "gun": gun, "at": at.isoformat(), "roots": len(imported.roots), "roles": [*files]}
        answer = self._answer(question, [*imported.roots, *files.values()])
        roots = [
            _lazy(ROOT, raw, facts, SERVED_NOTARY)
            for raw, facts in zip(imported.roots, cast("Sequence[_Facts]", answer["roots"]), strict=True)
        ]
        facts_of = cast("Mapping[str, _Facts]", answer["facts"])
        current = {role: _lazy(role, files[role], facts_of[role], SERVED_NOTARY) for role in files}
        return roots, {ROOT: roots[-1], **current}

    def _ask(self, upload: UploadedFiles) -> _Verdict:
        wire = upload.served_format.wire
        roles = [*upload.files]
        question = {
            "kind": _PUBLISH,
            "gun": upload.gun,
            "at": upload.at.isoformat(),
            "format": wire.name,
            "roles": roles,
        }
        answer = self._answer(question, [*upload.files.values()])
        facts = cast("Mapping[str, _Facts]", answer["facts"])
        return _Verdict(
            revision=cast("int", answer["revision"]),
            changed=tuple(RoleName(role) for role in cast("Sequence[str]", answer["changed"])),
            envelopes={role: _lazy(role, raw, facts[role], upload.served_format) for role, raw in upload.files.items()},
            changes=cast("Members", answer["changes"]),
        )

    def _answer(self, question: Mapping[str, object], files: Sequence[bytes]) -> Mapping[str, object]:
        """Return the answer. Raises: NotStored if there is none, or else the error that it tells."""
        answer = cast("Mapping[str, object]", json.loads(self._helper.ask([json.dumps(question).encode(), *files])))
        if "error" in answer:
            raise error_from_json(answer["error"])
        return answer


def _lazy(role: RoleName, raw: bytes, facts: _Facts, served_format: ServedFormat) -> Envelope:
    version, expires, sha256, tags, place = facts
    until = datetime.fromisoformat(expires)
    file = StoredFile(role=role, version=version, raw=raw, sha256=sha256, expires=until, tags=tags)
    plain = None
    if place is not None:
        start, stop, count, tags_seen = place
        plain = PlainPart(raw, start, stop, count, FORMS[served_format.wire.name], tags_seen)
    return StoredEnvelope(file, served_format.wire, plain=plain)


# -- in the process that judges -----------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class ImportQuestion:
    """A collection from another server that is to be verified."""

    gun: GUN
    at: datetime
    imported: ImportedCollection


Question: TypeAlias = UploadedFiles | ImportQuestion


def read_question(questions: IO[bytes]) -> Question | None:
    """Read one question; None at the end. Raises: FrameBroken, OSError."""
    header = read_frame(questions)
    if header is None:
        return None
    question = json.loads(header)
    gun, at = GUN(question["gun"]), datetime.fromisoformat(question["at"])
    if question["kind"] == _IMPORT:
        roots = [_file(questions) for _ in range(question["roots"])]
        files = {RoleName(role): _file(questions) for role in question["roles"]}
        return ImportQuestion(gun=gun, at=at, imported=ImportedCollection(roots=roots, files=files))
    served_format = find_format(question["format"])
    if served_format is None:
        raise FrameBroken
    files = {RoleName(role): _file(questions) for role in question["roles"]}
    return UploadedFiles(gun=gun, files=files, at=at, served_format=served_format)


def _file(questions: IO[bytes]) -> bytes:
    raw = read_frame(questions)
    if raw is None:
        raise FrameBroken
    return raw


def answer_question(parsed: ParsedCache, question: Question) -> bytes:
    """Judge an upload against the newest stored state, or verify an import; return the answer. Raises: MemoryError."""
    try:
        answer = _verify(question) if isinstance(question, ImportQuestion) else _judge(parsed, question)
    except (TrustError, KeysError) as error:
        return answer_error(error)
    except MemoryError:
        raise
    except Exception as error:  # noqa: BLE001 - whatever an upload makes fail, the next one is judged
        return answer_error(not_judged(error))
    return json.dumps(answer).encode()


def answer_error(error: TrustError | KeysError) -> bytes:
    """Return the answer that tells an error."""
    return json.dumps({"error": error_to_json(error)}).encode()


def _judge(parsed: ParsedCache, upload: UploadedFiles) -> dict[str, object]:
    uploads = parse_upload(upload)
    stored = parsed.load(upload.gun)
    judged = judge(stored, uploads, upload)
    facts = {role: _facts(envelope) for role, envelope in uploads.items()}
    return {
        "revision": stored.state.revision,
        "changed": judged.candidate.changed,
        "facts": facts,
        "changes": judged.changes,
    }


def _verify(question: ImportQuestion) -> dict[str, object]:
    roots, current = verify_import(question.gun, question.imported, question.at)
    facts = {role: _facts(envelope) for role, envelope in current.items() if role != ROOT}
    return {"roots": [_facts(root) for root in roots], "facts": facts}


def _facts(envelope: Envelope) -> _Facts:
    plain = known_plain(envelope)
    place = None if plain is None else (plain.start, plain.stop, plain.count, plain.known_tags)
    return envelope.version, envelope.expires.isoformat(), envelope.sha256, listed_tags(envelope), place
