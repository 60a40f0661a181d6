"""Read files of Notary v1 collections from the store, and put the responses into the response cache."""

from __future__ import annotations

from trustdata.errors import NoTrustData
from trustdata.gun import GUN
from trustdata.roles import TIMESTAMP
from trustdata.wire.notary import NOTARY
from trustserver.responses.notary import answer_under
from trustserver.responses.notary_paths import NotaryFile, notary_path
from trustserver.responses.ready import ReadyResponse
from trustserver.responses.response_cache import ResponseCache
from trustserver.storage.ports import MetadataStore, StoredFile


class NotaryReads:
    """Makes the response for a file. Call it from a worker thread: it waits for the database."""

    def __init__(self, store: MetadataStore, cache: ResponseCache) -> None:
        self._store = store
        self._cache = cache

    def answer(self, gun: GUN, name: NotaryFile) -> ReadyResponse:
        """Return the response for one file. It is not renewed here, even if it is due.

        Raises: NoTrustData if the file is not stored; NotStored.
        """
        ticket = self._cache.ticket(gun)
        if name.is_current and name.role == TIMESTAMP:
            file, renew_at = self._store.current_timestamp(gun, wire=NOTARY.name) or (None, None)
        else:
            file, renew_at = self._file(gun, name), None
        if file is None:
            raise NoTrustData(gun=gun)
        answer = answer_under(gun, name, file, renew_at=renew_at)
        self._cache.offer(gun, notary_path(gun, name), answer, ticket=ticket)
        return answer

    def _file(self, gun: GUN, name: NotaryFile) -> StoredFile | None:
        if name.sha256:
            return self._store.file_by_hash(gun, name.role, name.sha256, wire=NOTARY.name)
        if name.version is not None:
            return self._store.file(gun, name.role, name.version, wire=NOTARY.name)
        return self._store.current(gun, name.role, wire=NOTARY.name)
