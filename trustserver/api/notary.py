"""The HTTP API of Notary v1 for unmodified docker and notary clients: /v2/ and /_notary_server/.

Most reads do not come here: fast_read.py answers them from the response cache. Conditional requests, compression and
redirects are not implemented, because these clients use none of them. The API: docs/reference/notary-api.md.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping
from functools import partial
from typing import Final

import orjson

from trustdata.errors import CollectionExists, NoTrustData, TrustError
from trustdata.gun import GUN
from trustdata.wire.notary import NOTARY
from trustserver.api.actors import actor_of
from trustserver.api.changefeed import parse_feed_query
from trustserver.api.client_address import sender_of
from trustserver.api.fair_queue import FairQueue
from trustserver.api.gun_path import App, Receive, Scope, Send, raw_path
from trustserver.api.notary_errors import Access, send_notary_error
from trustserver.api.notary_parts import NotaryParts
from trustserver.api.notary_routes import Operation, Route, is_notary_path, match_route
from trustserver.api.permits import permit_for, still_allowed
from trustserver.api.renewal_on_read import RenewalOnRead
from trustserver.api.sending import send_body
from trustserver.api.services import Services
from trustserver.api.shared_reads import SharedReads
from trustserver.auth.authorizer import ANONYMOUS, Action, Subject, stored_name
from trustserver.errors import GoneCollection, NotThere
from trustserver.repository.formats import SERVED_NOTARY
from trustserver.repository.notary_reads import NotaryReads
from trustserver.repository.online_roles import encoded_key
from trustserver.responses.in_flight import BodiesInFlight
from trustserver.responses.notary_paths import NotaryFile, notary_path
from trustserver.responses.ready import NOSNIFF, ReadyResponse, plain_response
from trustserver.responses.response_cache import ResponseCache
from trustserver.storage.events import Actor
from trustserver.storage.ports import KeyRecord, KeyState

_FEED_READS: Final = 2
"""How many reads of the change feed are answered at one time: each may be ten thousand records."""
_JSON: Final = b"application/json; charset=utf-8"
_ACTIONS: Final[Mapping[Operation, Action]] = {
    Operation.FILE: Action.READ,
    Operation.CHANGES: Action.READ,
    Operation.KEY: Action.PUBLISH,
    Operation.UPLOAD: Action.PUBLISH,
    Operation.NEW_KEY: Action.MANAGE_KEYS,
    Operation.DELETE: Action.DELETE,
}
_TOKEN_ACTIONS: Final[Mapping[Action, tuple[str, ...]]] = {
    Action.READ: ("pull",),
    Action.PUBLISH: ("push", "pull"),
    Action.MANAGE_KEYS: ("*",),
    Action.DELETE: ("*",),
}

_log = logging.getLogger(__name__)


class NotaryApi:
    """The ASGI application for Notary v1. Requests with other paths go to the application `otherwise`."""

    def __init__(
        self,
        *,
        services: Services,
        cache: ResponseCache,
        bodies: BodiesInFlight,
        retrieval: NotaryReads,
        renewal: RenewalOnRead,
        otherwise: App,
    ) -> None:
        self._services = services
        self._authorizer = services.authorizer
        self._cache = cache
        self._bodies = bodies
        self._shared = SharedReads(cache)
        self._retrieval = retrieval
        self._renewal = renewal
        self._otherwise = otherwise
        self._parts = NotaryParts()
        self._feeds = FairQueue(_FEED_READS, what="reads of the change feed")
        self.answered: dict[int, int] = {}
        """The number of reads of files by status, without those that the response cache has answered."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or not is_notary_path(path := raw_path(scope)):
            await self._otherwise(scope, receive, send)
            return
        route: Route | None = None
        try:
            route = match_route(scope["method"], path)
            answer = await self._answer(route, await self._authorized(scope, route), scope, receive)
        except Exception as error:  # noqa: BLE001 - these clients can read errors in one form only, even a bug's
            access = () if route is None else _access(route)
            await send_notary_error(send, error, head=scope["method"] == "HEAD", access=access)
            return
        await send(answer.start)
        sending = send_body(send, answer, self._bodies)
        del answer  # a body must be able to go while it is sent
        await sending

    async def _authorized(self, scope: Scope, route: Route) -> Subject:
        """Return who sent the request, if they may do what it asks. Raises: Forbidden."""
        match route.operation:
            case Operation.HEALTH:
                return ANONYMOUS
            case Operation.PING:
                return await self._authorizer.authorize_ping(sender_of(scope))
            case Operation.ALL_CHANGES:
                return await self._authorizer.authorize_catalog(sender_of(scope))
            case _:
                return await self._authorizer.authorize(sender_of(scope), _ACTIONS[route.operation], route.gun)

    async def _answer(self, route: Route, subject: Subject, scope: Scope, receive: Receive) -> ReadyResponse:
        answer = _DONE
        match route.operation:
            case Operation.FILE:
                answer = await self._read(route.gun, route.file)
            case Operation.UPLOAD:
                await self._services.requests.publish(
                    scope,
                    receive,
                    gun=route.gun,
                    subject=subject,
                    served_format=SERVED_NOTARY,
                    parts=self._parts,
                    permit=permit_for(self._authorizer, subject, Action.PUBLISH, route.gun),
                    address=self._services.address_of(scope),
                )
            case Operation.DELETE:
                await self._delete(route.gun, subject, actor_of(scope, subject))
            case Operation.KEY:
                answer = _json(_key_body(await self._key(route, subject, actor_of(scope, subject))))
            case Operation.NEW_KEY:
                answer = _json(_key_body(await self._new_key(route, subject, actor_of(scope, subject))))
            case Operation.CHANGES | Operation.ALL_CHANGES:
                query = parse_feed_query(scope["query_string"])
                gun = route.gun if route.operation is Operation.CHANGES else None
                async with self._feeds.place(self._services.address_of(scope) or subject.name):
                    answer = _json(await asyncio.to_thread(query.read, self._services.store, gun))
            case Operation.PING | Operation.HEALTH:
                answer = _json(b"{}")
        return answer

    async def read(self, path: bytes) -> ReadyResponse | None:
        """Return the file under a raw path if everybody may read; None if it is none, is refused or must be renewed."""
        try:
            route = match_route("GET", path.decode("ascii"))
            if route.operation is not Operation.FILE:
                return None
            answer = await self._lookup(route.gun, route.file)
        except (TrustError, UnicodeDecodeError):
            return None  # asked again, the application says why
        return None if self._renewal.is_due(answer) else answer

    async def _read(self, gun: GUN, name: NotaryFile) -> ReadyResponse:
        try:
            answer = await self._renewed(gun, name)
        except NoTrustData:
            self._count(404)
            raise
        self._count(answer.status)
        return answer

    async def _renewed(self, gun: GUN, name: NotaryFile) -> ReadyResponse:
        answer = await self._lookup(gun, name)
        if self._renewal.is_due(answer):
            await self._renewal.renew(gun, notary_path(gun, name), answer)
            answer = await self._lookup(gun, name)
        return answer

    async def _lookup(self, gun: GUN, name: NotaryFile) -> ReadyResponse:
        kept = self._cache.get(notary_path(gun, name))
        if kept is not None:
            return kept
        return await self._shared.read(gun, notary_path(gun, name), partial(self._retrieval.answer, gun, name))

    def _count(self, status: int) -> None:
        self.answered[status] = self.answered.get(status, 0) + 1

    async def _delete(self, gun: GUN, subject: Subject, by: Actor) -> None:
        """Delete a collection in Notary v1. If there is none, this succeeds too, as in Notary.

        Raises: CollectionExists (the collection is in another format), NotStored.
        """
        try:
            revision = await asyncio.to_thread(
                self._services.publishing.delete,
                gun,
                subject=stored_name(subject),
                at=self._services.clock(),
                served_format=SERVED_NOTARY,
                permit=still_allowed(self._authorizer, subject, Action.DELETE, gun),
                by=by,
            )
        except (NoTrustData, GoneCollection):
            return
        self._services.metrics.deletions.inc()
        _log.warning("collection deleted", extra={"gun": gun, "subject": stored_name(subject), "revision": revision})

    async def _key(self, route: Route, subject: Subject, by: Actor) -> KeyRecord:
        permit = still_allowed(self._authorizer, subject, Action.PUBLISH, route.gun)
        at = self._services.clock()
        try:
            record = await asyncio.to_thread(
                self._services.online.key, route.gun, route.role, at, wire=NOTARY, permit=permit, by=by
            )
        except CollectionExists as error:  # a collection in another format does not exist for these clients
            raise NoTrustData(gun=route.gun) from error
        permit_for(self._authorizer, subject, Action.PUBLISH, route.gun)((), record.state is KeyState.OFFERED)
        return record

    async def _new_key(self, route: Route, subject: Subject, by: Actor) -> KeyRecord:
        gun, role = route.gun, route.role
        permit = still_allowed(self._authorizer, subject, Action.MANAGE_KEYS, gun)
        try:
            record = await asyncio.to_thread(
                self._services.online.new_key, gun, role, self._services.clock(), wire=NOTARY, permit=permit, by=by
            )
        except NotThere:  # nothing is published yet: another key for the first publish
            self._authorizer.check_change(subject, Action.MANAGE_KEYS, gun, begins=True)
            record = await asyncio.to_thread(
                self._services.online.other_offer, gun, role, self._services.clock(), wire=NOTARY, by=by
            )
        except CollectionExists as error:  # a collection in another format does not exist for these clients
            raise NoTrustData(gun=gun) from error
        _log.info("key made", extra={"gun": gun, "subject": stored_name(subject), "role": role, "keyid": record.keyid})
        return record


def _key_body(key: KeyRecord) -> bytes:
    encoded = encoded_key(key, NOTARY)
    public = {"public": encoded.keyval["public"], "private": None}
    return orjson.dumps({"keytype": encoded.keytype, "keyval": public})


def _access(route: Route) -> list[Access]:
    if route.operation in {Operation.PING, Operation.ALL_CHANGES}:
        return [Access(kind="registry", name="catalog", action="*")]
    action = _ACTIONS.get(route.operation)
    return [Access(kind="repository", name=route.gun, action=each) for each in _TOKEN_ACTIONS[action]] if action else []


def _json(body: bytes) -> ReadyResponse:
    return plain_response(200, [(b"content-type", _JSON), *_plain_headers(body)], body)


def _plain_headers(body: bytes) -> list[tuple[bytes, bytes]]:
    return [(b"content-length", str(len(body)).encode()), NOSNIFF]


_DONE: Final = plain_response(200, _plain_headers(b""), b"")
