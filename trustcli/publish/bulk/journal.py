"""The journal of a bulk run: which works have ended, and which new keys the others were about to put in place.

`TRUST_HOME/bulk/RUN.journal` has one JSON document a line. The first says which run it is; each further line adds
something:

    {"format": "content-trust-bulk-1", "what": "signer rotate", "terms": "<sha256>", "begun": "2026-01-02T03:04:05Z",
     "names": ["registry.example.com/team/app"]}
    {"share": "root", "key": "<fingerprint>"}
    {"begin": "registry.example.com/team/app", "made": {"alice": "<fingerprint>"}, "before": ["<fingerprint>"]}
    {"end": "registry.example.com/team/app", "state": "done"}

The same command goes on with it for a day, and removes it when every name has ended well. Nothing in it is secret, and
nothing is believed that it says about a collection: fingerprints are looked up in the key store, and what was done is
read in verified metadata. A line that kill -9 has cut off counts as not written: what follows it was never done.
"""

from __future__ import annotations

import errno
import fcntl
import hashlib
import json
import os
import secrets
import threading
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final, Literal, TypeAlias

from keys.document_version import DocumentKind
from keys.durable_file import make_private_folder, sync_folder, write_durably
from keys.rfc3339 import from_rfc3339, to_rfc3339
from trustcli.errors import BulkRunning, MemoryUnwritable, SettingsUnusable
from trustcli.guarded_files import check_guarded, read_guarded
from trustcli.publish.bulk.work import Begun
from trustdata import bounded_json
from trustdata.document_version import refuse_newer
from trustdata.errors import InvalidName
from trustdata.gun import GUN, parse_gun

State: TypeAlias = Literal["done", "nothing to do", "failed"]

RESUMED_FOR: Final = timedelta(days=1)
"""How long the same command goes on with a run; later it is meant anew, and the journal is removed."""
KIND: Final = DocumentKind(what="a journal of a run over many collections", name="content-trust-bulk-")
_MAX_JOURNAL: Final = 64 * 1024 * 1024  # bytes
_SUFFIX: Final = ".journal"
_GONE_ON: Final = "is damaged; remove it if no run over many collections is to be gone on with"


@dataclass(frozen=True, slots=True, kw_only=True)
class RunOf:
    """Which run it is. `what`: the command without names. `terms`: the hash of its options. `begun`: UTC."""

    what: str
    terms: str
    begun: datetime
    names: frozenset[GUN]

    @classmethod
    def of(cls, what: str, terms: Mapping[str, object], names: Iterable[GUN], *, at: datetime) -> RunOf:
        """Return the run of a command that begins now. `terms`: its options, as JSON values."""
        digest = hashlib.sha256(json.dumps(terms, sort_keys=True).encode()).hexdigest()
        begun = at.astimezone(UTC).replace(microsecond=0)
        return cls(what=what, terms=digest, begun=begun, names=frozenset(names))

    def goes_on_with(self, earlier: RunOf) -> bool:
        """Return whether this command goes on with an earlier run: the same, of the last day, with these names."""
        same = (self.what, self.terms) == (earlier.what, earlier.terms) and self.names <= earlier.names
        return same and abs(self.begun - earlier.begun) <= RESUMED_FOR  # the clock may have been set back

    def is_over(self, at: datetime) -> bool:
        """Return whether no command goes on with this run any more."""
        return at - self.begun > RESUMED_FOR


@dataclass(slots=True)
class _Written:
    """What a journal says."""

    run: RunOf
    shared: dict[str, str] = field(default_factory=dict)
    begun: dict[GUN, Begun] = field(default_factory=dict)
    ended: dict[GUN, State] = field(default_factory=dict)

    def lines(self) -> Iterable[Mapping[str, object]]:
        yield {
            KIND.member: KIND.stated,
            "what": self.run.what,
            "terms": self.run.terms,
            "begun": to_rfc3339(self.run.begun),
            "names": sorted(self.run.names),
        }
        yield from (_share_line(slot, key) for slot, key in self.shared.items())
        yield from (_begin_line(gun, begun) for gun, begun in self.begun.items())
        yield from (_end_line(gun, state) for gun, state in self.ended.items())

    def take(self, line: Mapping[str, object]) -> None:
        """Add what a line says. Raises: KeyError, TypeError, ValueError, InvalidName."""
        if "share" in line:
            self.shared[_text(line["share"])] = _text(line["key"])
        elif "begin" in line:
            made, before = line["made"], line["before"]
            if not isinstance(made, dict) or not isinstance(before, list):
                raise TypeError
            keys = {_text(slot): _text(key) for slot, key in made.items()}
            self.begun[parse_gun(_text(line["begin"]))] = Begun(made=keys, before=tuple(map(_text, before)))
        else:
            self.ended[parse_gun(_text(line["end"]))] = _state(line["state"])


class RunLock:
    """One bulk run at a time for each TRUST_HOME: a second one is refused by name. The kernel ends it with the process.

    Raises: BulkRunning, MemoryUnwritable, FileExposed.
    """

    def __init__(self, folder: Path, run: RunOf) -> None:
        place = folder / ".running"
        try:
            make_private_folder(folder)
            check_guarded(place)
            self._descriptor = os.open(place, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
            try:
                self._take(run)
            except BaseException:
                os.close(self._descriptor)
                raise
        except OSError as error:
            raise MemoryUnwritable(path=str(place), reason=error.strerror or type(error).__name__) from error

    def _take(self, run: RunOf) -> None:
        try:
            fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise _running(os.pread(self._descriptor, 4096, 0)) from None
        told = {"what": run.what, "begun": to_rfc3339(run.begun), "process": os.getpid()}
        os.ftruncate(self._descriptor, 0)
        os.pwrite(self._descriptor, json.dumps(told).encode(), 0)

    def release(self) -> None:
        """Let the next run begin."""
        os.close(self._descriptor)


def _running(told: bytes) -> BulkRunning:
    """Return the error about the run that holds the lock; it may not have said yet what it is."""
    try:
        document = bounded_json.loads(told)
        return BulkRunning(
            what=_text(document["what"]), begun=_text(document["begun"]), process=int(document["process"])
        )
    except (ValueError, KeyError, TypeError, RecursionError):
        return BulkRunning(what="another command", begun="this moment", process=0)


class Journal:
    """The journal of one run: a `Record` that is durable. For several threads.

    `found`: how many names had ended well when it was opened.
    """

    def __init__(self, path: Path, written: _Written) -> None:
        self._path = path
        self._written = written
        self._lock = threading.Lock()
        self.found = sum(state != "failed" for state in written.ended.values())

    @property
    def path(self) -> Path:
        """Where the journal is."""
        return self._path

    @property
    def run(self) -> RunOf:
        """Which run it is: the one that is gone on with, or the new one."""
        return self._written.run

    @property
    def since(self) -> datetime:
        """When the run began (UTC, whole seconds), also if it was interrupted since."""
        return self._written.run.begun

    @classmethod
    def opened(cls, folder: Path, run: RunOf) -> Journal:
        """Open the journal that this command goes on with, or begin a new one; who calls holds the `RunLock`.

        Raises: SettingsUnusable (one is damaged), FileNewer, FileExposed, MemoryUnwritable.
        """
        for path in sorted(folder.glob(f"*{_SUFFIX}")):
            written = _read(path)
            if run.goes_on_with(written.run):
                return cls._begun(path, written)
            if written.run.is_over(run.begun):
                with suppress(OSError):
                    os.unlink(path)  # noqa: PTH108 - the crash tests count each call of `os`
        name = f"{run.begun:%Y%m%dT%H%M%SZ}-{secrets.token_hex(4)}{_SUFFIX}"
        return cls._begun(folder / name, _Written(run=run))

    @classmethod
    def _begun(cls, path: Path, written: _Written) -> Journal:
        """Write the journal anew: a line that was cut off must not be continued. Raises: MemoryUnwritable."""
        content = b"".join(map(_line, written.lines()))
        try:
            write_durably(path, content)
        except OSError as error:
            raise MemoryUnwritable(path=str(path), reason=error.strerror or type(error).__name__) from error
        return cls(path, written)

    def begun(self, gun: GUN) -> Begun | None:
        """Return what an interrupted run was about to send for the collection; None if it has not got that far."""
        return self._written.begun.get(gun)

    def begin(self, gun: GUN, begun: Begun) -> None:
        """Write down what is about to be sent. Durable on return. Raises: MemoryUnwritable, FileExposed."""
        with self._lock:
            if self._written.begun.get(gun) != begun:
                self._append(_begin_line(gun, begun))
                self._written.begun[gun] = begun

    def shared(self, slot: str) -> str:
        """Return the fingerprint of a new key of all collections; empty if none was made."""
        return self._written.shared.get(slot, "")

    def share(self, slot: str, fingerprint: str) -> None:
        """Write down a new key of all collections. Durable on return. Raises: MemoryUnwritable, FileExposed."""
        with self._lock:
            if self._written.shared.get(slot) != fingerprint:
                self._append(_share_line(slot, fingerprint))
                self._written.shared[slot] = fingerprint

    def end(self, gun: GUN, state: State) -> None:
        """Write down how a work has ended. Raises: MemoryUnwritable, FileExposed."""
        with self._lock:
            if self._written.ended.get(gun) != state:
                self._append(_end_line(gun, state))
                self._written.ended[gun] = state

    @property
    def unended(self) -> list[GUN]:
        """The names of the run that have not ended well yet, sorted."""
        return sorted(gun for gun in self.run.names if self._written.ended.get(gun, "failed") == "failed")

    def close(self) -> bool:
        """Remove the journal if every name of the run has ended well; return whether it was.

        Raises: MemoryUnwritable. What was done stays done if that fails.
        """
        if self.unended:
            return False
        try:
            os.unlink(self._path)  # noqa: PTH108
            sync_folder(self._path.parent)
        except OSError as error:
            raise MemoryUnwritable(path=str(self._path), reason=error.strerror or type(error).__name__) from error
        return True

    def _append(self, line: Mapping[str, object]) -> None:
        try:
            check_guarded(self._path)
            descriptor = os.open(self._path, os.O_WRONLY | os.O_APPEND | os.O_CLOEXEC)
            try:
                content, size = _line(line), os.fstat(descriptor).st_size
                if os.write(descriptor, content) != len(content):
                    os.ftruncate(descriptor, size)  # what is written next must not continue half a line
                    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
                os.fsync(descriptor)
            finally:
                os.close(descriptor)
        except OSError as error:
            raise MemoryUnwritable(path=str(self._path), reason=error.strerror or type(error).__name__) from error


def _read(path: Path) -> _Written:
    """Return what a journal says. Raises: SettingsUnusable, FileNewer, FileExposed."""
    try:
        raw = read_guarded(path, limit=_MAX_JOURNAL)
    except OSError as error:
        raise SettingsUnusable(place=str(path), reason=error.strerror or type(error).__name__) from error
    head, *rest = raw.split(b"\n")[:-1] or [b""]  # what follows the last line end was cut off
    try:
        first = bounded_json.loads(head)
        refuse_newer(KIND, first, path=str(path))
        if not KIND.is_known(first):
            raise SettingsUnusable(place=str(path), reason=_GONE_ON)
        written = _Written(run=_run(first))
        for line in rest:
            written.take(bounded_json.loads(line))
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError, InvalidName) as error:
        raise SettingsUnusable(place=str(path), reason=_GONE_ON) from error
    return written


def _run(members: Mapping[str, object]) -> RunOf:
    names = members["names"]
    if not isinstance(names, list):
        raise TypeError
    return RunOf(
        what=_text(members["what"]),
        terms=_text(members["terms"]),
        begun=from_rfc3339(_text(members["begun"])),
        names=frozenset(parse_gun(_text(name)) for name in names),
    )


def _share_line(slot: str, fingerprint: str) -> Mapping[str, object]:
    return {"share": slot, "key": fingerprint}


def _begin_line(gun: GUN, begun: Begun) -> Mapping[str, object]:
    return {"begin": gun, "made": dict(begun.made), "before": sorted(begun.before)}


def _end_line(gun: GUN, state: State) -> Mapping[str, object]:
    return {"end": gun, "state": state}


def _line(members: Mapping[str, object]) -> bytes:
    return json.dumps(members).encode() + b"\n"


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise TypeError
    return value


def _state(value: object) -> State:
    for state in ("done", "nothing to do", "failed"):
        if value == state:
            return state
    raise ValueError(value)
