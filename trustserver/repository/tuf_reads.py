"""Reading trust data in TUF 1.0: the answer for a file name, from the store, kept in the view where that helps."""

from __future__ import annotations

from trustdata.errors import NoTrustData
from trustdata.gun import GUN
from trustdata.roles import ROOT, TIMESTAMP
from trustdata.wire.tuf import TUF
from trustserver.repository.online_roles import gone_collection
from trustserver.responses.cache import Answer, View
from trustserver.responses.tuf import missing, newest, not_found, versioned
from trustserver.responses.tuf_paths import FileName, path_of
from trustserver.storage.ports import MetadataStore, Status


class TufRetrieval:
    """Answers for files. Blocks on the store: to be called from a worker thread."""

    def __init__(self, store: MetadataStore, view: View) -> None:
        self._store = store
        self._view = view

    def answer(self, gun: GUN, name: FileName) -> Answer:
        """The answer for one file.

        An answer that is due for renewal is given as it is. Nothing there: an answer with status 404, also for a
        deleted collection, since TUF clients end their search on that status alone. Raises: NotStored.
        """
        ticket = self._view.ticket(gun)
        answer, keep = self._newest(gun, name) if name.version is None else self._versioned(gun, name, name.version)
        if keep:
            self._view.offer(gun, path_of(gun, name), answer, ticket=ticket)
        return answer

    def _versioned(self, gun: GUN, name: FileName, version: int) -> tuple[Answer, bool]:
        file = self._store.file(gun, name.role, version, wire=TUF.name)
        if file is not None:
            return versioned(file.raw, file.sha256), True
        # Every client asks for the root after the newest; any other absent name is not worth a place in the view.
        root = self._store.current(gun, ROOT, wire=TUF.name) if name.role == ROOT else None
        if root is not None:
            return missing(gun, name), version == root.version + 1
        return self._absent(gun, name), False

    def _newest(self, gun: GUN, name: FileName) -> tuple[Answer, bool]:
        file = self._store.current(gun, name.role, wire=TUF.name)
        if file is None:
            return self._absent(gun, name), False
        if name.role != TIMESTAMP:
            return newest(file.raw, file.sha256), False
        return newest(file.raw, file.sha256, renew_at=self._store.renew_at(gun)), True

    def _absent(self, gun: GUN, name: FileName) -> Answer:
        state = self._store.load(gun)
        if state.status is Status.LIVE and state.format == TUF.name:
            return missing(gun, name)
        if state.status is Status.DELETED and state.tombstone is not None:
            return not_found(gone_collection(gun, state.tombstone))
        return not_found(NoTrustData(gun=gun))
