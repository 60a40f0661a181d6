"""Read files of TUF 1.0 collections from the store, and put useful responses into the response cache."""

from __future__ import annotations

from datetime import datetime

from trustdata.errors import NoTrustData
from trustdata.gun import GUN
from trustdata.roles import ROOT, TIMESTAMP
from trustdata.wire.tuf import TUF
from trustserver.repository.online_roles import gone_collection
from trustserver.responses.ready import ReadyResponse
from trustserver.responses.response_cache import ResponseCache
from trustserver.responses.tuf import answer_under, following_root, kept_name, missing, not_found
from trustserver.responses.tuf_paths import FileName, path_of
from trustserver.storage.ports import MetadataStore, Status, StoredFile


class TufRetrieval:
    """Makes the response for a file. Call it from a worker thread: it waits for the database."""

    def __init__(self, store: MetadataStore, cache: ResponseCache) -> None:
        self._store = store
        self._cache = cache

    def answer(self, gun: GUN, name: FileName) -> ReadyResponse:
        """Return the response for one file. It is not renewed here, even if it is due.

        If the file is not there the response is a 404, also for a deleted collection: a TUF client ends its search for
        newer roots on 404 only. Raises: NotStored.
        """
        ticket = self._cache.ticket(gun)
        answer, may_cache = (
            self._newest(gun, name) if name.version is None else self._versioned(gun, name, name.version)
        )
        if may_cache:
            self._cache.offer(gun, path_of(gun, name), answer, ticket=ticket)
        return answer

    def _versioned(self, gun: GUN, name: FileName, version: int) -> tuple[ReadyResponse, bool]:
        # Every client asks for the root after the newest one. So the newest is looked at first: mostly it is enough.
        newest_root = self._store.current(gun, ROOT, wire=TUF.name) if name.role == ROOT else None
        if newest_root is not None and version > newest_root.version:
            return missing(gun, name), name == following_root(newest_root.version)
        if newest_root is not None and version == newest_root.version:
            return self._found(gun, name, newest_root)
        file = self._store.file(gun, name.role, version, wire=TUF.name)
        if file is not None:
            return self._found(gun, name, file)
        return (missing(gun, name) if newest_root is not None else self._absent(gun, name)), False

    def _newest(self, gun: GUN, name: FileName) -> tuple[ReadyResponse, bool]:
        if name.role == TIMESTAMP:
            found = self._store.current_timestamp(gun, wire=TUF.name)
            if found is not None:
                timestamp, renew_at = found
                return self._found(gun, name, timestamp, renew_at)
        elif (file := self._store.current(gun, name.role, wire=TUF.name)) is not None:
            return self._found(gun, name, file)
        return self._absent(gun, name), False

    @staticmethod
    def _found(
        gun: GUN, name: FileName, file: StoredFile, renew_at: datetime | None = None
    ) -> tuple[ReadyResponse, bool]:
        return answer_under(gun, name, file, renew_at=renew_at), name == kept_name(file)

    def _absent(self, gun: GUN, name: FileName) -> ReadyResponse:
        state = self._store.load(gun, only=())
        if state.status is Status.LIVE and state.format == TUF.name:
            return missing(gun, name)
        if state.status is Status.DELETED and state.tombstone is not None:
            return not_found(gone_collection(gun, state.tombstone))
        return not_found(NoTrustData(gun=gun))
