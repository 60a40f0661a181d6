"""`trust-server check`: run all checks on the database and report; with --accept-restore, accept a restored one."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path
from types import MappingProxyType
from typing import Final

import orjson

from trustdata.counting import counted
from trustdata.errors import shown
from trustdata.gun import GUN
from trustdata.roles import RoleName
from trustserver.admin.audit import BACKUP, Audit, AuditFinding, outdated_finding
from trustserver.admin.check_progress import CheckProgress
from trustserver.admin.client_state import ClientState, read_client_state
from trustserver.admin.event_audit import audit_events
from trustserver.admin.operator import operator
from trustserver.admin.restore import Accepted, highest_versions, open_restore
from trustserver.errors import StartRefused
from trustserver.repository.server_keys import ServerKeys
from trustserver.settings import Settings
from trustserver.storage import database
from trustserver.storage.events import EventKind, NewEvent
from trustserver.storage.file_audit import audit_files
from trustserver.storage.opening import database_mark, exclusive_use, existing_store, open_sealer
from trustserver.storage.ports import KeySealer, MetadataStore, Status, Summary
from trustserver.storage.published_log import LogEntry, PublishedLogFile, find_outdated, merge_stored
from trustserver.storage.token_opening import open_tokens

_BATCH: Final = 200
"""How many collections are read at one time."""
_BY_ITS_OWNER: Final = "its owner brings that back: docs/guides/restored-backup.md"


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """The result of `trust-server check`.

    `accepted`: the collections whose online roles were issued anew. `names`, `sealed_keys`: how many were checked.
    `skipped`: names that an interrupted check had found sound, and that have not changed since.
    """

    findings: Sequence[AuditFinding]
    accepted: Sequence[Accepted]
    names: int
    sealed_keys: int
    skipped: int = 0

    @property
    def wrong(self) -> int:
        return sum(finding.wrong for finding in self.findings)

    def lines(self) -> Iterator[str]:
        """Yield the lines of the report for people."""
        for finding in self.findings:
            prefix = f"{finding.gun}: " if finding.gun else ""
            yield f"{'' if finding.wrong else 'note: '}{prefix}{shown(finding.message, 600)}"
            yield f"  next: {finding.remedy}"
        if self.accepted:
            issued = sum(not each.failed for each in self.accepted)
            yield f"accepted as it is: snapshot and timestamp of {counted(issued, 'collection')} issued anew"
        if self.skipped:
            yield f"found sound before the check was interrupted, and unchanged: {counted(self.skipped, 'name')}"
        verdict = f"{self.wrong} wrong" if self.wrong else "sound"
        yield f"{counted(self.names, 'name')}, {counted(self.sealed_keys, 'sealed key')}: {verdict}"

    def document(self) -> str:
        """Return the report as JSON."""
        content = {
            "sound": not self.wrong,
            "names": self.names,
            "sealed_keys": self.sealed_keys,
            "skipped": self.skipped,
            "findings": [asdict(finding) for finding in self.findings],
            "accepted": [
                {"gun": each.gun, "versions": each.versions, "lost": each.lost, "failed": each.failed}
                for each in self.accepted
            ],
        }
        return orjson.dumps(content, option=orjson.OPT_INDENT_2).decode()


def check_database(
    settings: Settings,
    *,
    against: Iterable[Path],
    accept: bool,
    at: datetime,
    resume: Path | None = None,
    environ: Mapping[str, str] = MappingProxyType({}),
) -> Report:
    """Check everything that is stored. With `accept`, first accept a restored database: issue the online roles anew.

    `against`: files in which clients keep what they have seen. `resume`: the file of an interrupted check, or where
    this one shall note what it has done. `environ`: with the PIN of a token that keys live in.

    Raises: StartRefused (a file or the database cannot be read), ServerRunning (with `accept`), NotStored; with
    `accept` also KeysError (of a token).
    """
    remembered = [each for path in against for each in read_client_state(path)]
    store = existing_store(settings)
    try:
        accepted: list[Accepted] = []
        if accept:
            with exclusive_use(settings, at=at, listen="trust-server check --accept-restore"):
                accepted = _accept(settings, store, remembered, at, environ)
        sealer = open_sealer(settings, store) if store.seal_mark() else None
        with CheckProgress(resume, mark=sealer.mark if sealer else "", at=at) as progress:
            walk = _Walk(store, Audit(store, sealer, at), progress)
            findings = [*_of_the_database(settings, store, sealer), *walk.findings(remembered)]
            progress.finish()
        findings += [_unissued(each) for each in accepted if each.failed]
        if not remembered:  # otherwise the comparison with the clients' files reports the same
            findings += [_lost(each) for each in accepted if each.lost]
        return Report(
            findings=findings,
            accepted=accepted,
            names=walk.names,
            sealed_keys=walk.sealed_keys,
            skipped=walk.skipped,
        )
    finally:
        store.close()


def _accept(
    settings: Settings,
    store: MetadataStore,
    remembered: Iterable[ClientState],
    at: datetime,
    environ: Mapping[str, str],
) -> list[Accepted]:
    sealer = open_sealer(settings, store)
    keys = ServerKeys(sealer, places=open_tokens(settings, environ, sealer))
    published_log = PublishedLogFile(settings.witness_file, mark=database_mark(settings, sealer))
    published = [(gun, entry.versions) for gun, entry in (published_log.load() or {}).items()]
    seen = highest_versions([*published, *((each.gun, each.versions) for each in remembered)])
    accepted = list(open_restore(store, sealer, at, keys=keys).accept(seen))
    try:
        published_log.rewrite(_stored_entries(store))
    except OSError as error:
        raise StartRefused(what=str(settings.witness_file), reason=f"cannot be written: {error.strerror}") from error
    finally:
        published_log.close()
    details = {"collections": sum(not each.failed for each in accepted)}
    store.record(NewEvent(kind=EventKind.RESTORED, at=at, by=operator(), details=details))
    return accepted


def _stored_entries(store: MetadataStore) -> dict[GUN, LogEntry]:
    """Return the entries of the published log that the database has, with the version of each role."""
    return {
        gun: LogEntry(revision=entry.revision, versions=_versions(store, gun), deleted=entry.deleted)
        for gun, entry in merge_stored({}, store.collections()).items()
    }


def _versions(store: MetadataStore, gun: GUN) -> Mapping[RoleName, int]:
    return {role: file.version for role, file in store.load(gun).files.items()}


def _of_the_database(settings: Settings, store: MetadataStore, sealer: KeySealer | None) -> Iterator[AuditFinding]:
    """Yield what is wrong with the database as a whole, and with its files."""
    engine = database.open_engine(settings.database_url)
    try:
        verdict = database.quick_check(engine)
        if verdict != "ok":
            yield AuditFinding(gun="", code="database", message=f"database: {verdict}", remedy=BACKUP)
        for fault in audit_files(engine):
            code = "file-changed" if fault.changed else "orphaned-file"
            yield AuditFinding(gun=fault.gun, code=code, message=fault.message, remedy=BACKUP)
    finally:
        engine.dispose()
    yield from audit_events(store)
    # The log is read before the database: a publish in between can only make the database newer than the log.
    mark = database_mark(settings, sealer) if sealer else ""
    published = PublishedLogFile(settings.witness_file, mark=mark).load() if sealer else None
    yield from map(outdated_finding, find_outdated(published or {}, store.collections()))


class _Walk:
    """Checks all names in the order of the alphabet, some hundred at a time, and counts what it has checked."""

    def __init__(self, store: MetadataStore, audit: Audit, progress: CheckProgress) -> None:
        self._store = store
        self._audit = audit
        self._progress = progress
        self.names = 0
        self.sealed_keys = 0
        self.skipped = 0

    def findings(self, remembered: Iterable[ClientState]) -> Iterator[AuditFinding]:
        """Yield the findings of every name. `remembered`: what clients remember. Raises: NotStored, StartRefused."""
        known: dict[GUN, list[ClientState]] = {}
        for each in remembered:
            known.setdefault(each.gun, []).append(each)
        after = ""
        while summaries := self._store.collections(after=after, limit=_BATCH):
            after = summaries[-1].gun
            self.names += len(summaries)
            yield from self._batch(summaries, known)
        for state in self._store.load_many(sorted(known)):  # no name of the database
            yield from self._audit.collection(state, known[state.gun])
        waiting = self._store.waiting_keys()
        self.sealed_keys += len(waiting)
        yield from self._audit.sealed_keys(waiting)

    def _batch(self, summaries: Sequence[Summary], known: dict[GUN, list[ClientState]]) -> Iterator[AuditFinding]:
        """Yield the findings of some names, and take these out of `known`."""
        guns = [each.gun for each in summaries if not self._progress.is_sound(each.gun, each.revision)]
        self.skipped += len(summaries) - len(guns)
        for each in summaries:
            if each.gun in known and each.gun not in guns:
                guns.append(each.gun)
                self.skipped -= 1
        for state in self._store.load_many(guns):
            self.sealed_keys += len(state.keys) if state.status is Status.LIVE else 0
            findings = list(self._audit.collection(state, known.pop(state.gun, ())))
            if not findings:
                self._progress.note(state.gun, state.revision)
            yield from findings


def _unissued(accepted: Accepted) -> AuditFinding:
    message = f"its snapshot and timestamp could not be issued: {accepted.failed}"
    return AuditFinding(gun=accepted.gun, code="online-key", message=message, remedy=BACKUP)


def _lost(accepted: Accepted) -> AuditFinding:
    versions = ", ".join(f"{role} {version}" for role, version in sorted(accepted.lost.items()))
    message = f"was published and is not here: {versions}"
    return AuditFinding(gun=accepted.gun, code="lost", message=message, remedy=_BY_ITS_OWNER)
