"""The Notary v1 HTTP API: /v2/ and /_notary_server/, for unmodified docker and notary clients. Bare ASGI.

What is in the view was answered before (fast_read.py). There are no conditional requests, no compression and no
redirects here: these clients know none of them.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping
from typing import Final

import orjson

from trustdata.errors import CollectionExists, NoTrustData
from trustdata.gun import GUN
from trustdata.wire.notary import NOTARY
from trustserver.api.changefeed import parse_feed_query
from trustserver.api.gun_path import App, Receive, Scope, Send, raw_path
from trustserver.api.notary_errors import Access, send_notary_error
from trustserver.api.notary_parts import NotaryParts
from trustserver.api.notary_routes import Ask, Route, is_notary_path, route
from trustserver.api.renewal_on_read import RenewalOnRead
from trustserver.api.sending import send_body
from trustserver.api.services import Services
from trustserver.auth.authorizer import Action, Subject
from trustserver.errors import GoneCollection, NotThere
from trustserver.repository.formats import SERVED_NOTARY
from trustserver.repository.notary_reads import NotaryReads
from trustserver.repository.online_roles import shown_key
from trustserver.responses.cache import Answer, View, plain_answer
from trustserver.responses.notary_paths import NotaryFile, notary_path
from trustserver.storage.ports import KeyRecord

_JSON: Final = b"application/json; charset=utf-8"
_ANYBODY: Final = Subject(name="anonymous", authenticated=False)
_ACTIONS: Final[Mapping[Ask, Action]] = {
    Ask.FILE: Action.READ,
    Ask.CHANGES: Action.READ,
    Ask.KEY: Action.PUBLISH,
    Ask.UPLOAD: Action.PUBLISH,
    Ask.NEW_KEY: Action.MANAGE_KEYS,
    Ask.DELETE: Action.DELETE,
}
_OF_TOKENS: Final[Mapping[Action, tuple[str, ...]]] = {
    Action.READ: ("pull",),
    Action.PUBLISH: ("push", "pull"),
    Action.MANAGE_KEYS: ("*",),
    Action.DELETE: ("*",),
}

_log = logging.getLogger(__name__)


class NotaryApi:
    """ASGI."""

    def __init__(
        self,
        *,
        services: Services,
        view: View,
        retrieval: NotaryReads,
        renewal: RenewalOnRead,
        otherwise: App,
    ) -> None:
        self._services = services
        self._authorizer = services.authorizer
        self._view = view
        self._retrieval = retrieval
        self._renewal = renewal
        self._otherwise = otherwise
        self._parts = NotaryParts()
        self.answered: dict[int, int] = {}
        """Reads of files by status, beside those that the view has answered."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or not is_notary_path(path := raw_path(scope)):
            await self._otherwise(scope, receive, send)
            return
        asked: Route | None = None
        try:
            asked = route(scope["method"], path)
            answer = await self._answer(asked, self._authorized(scope, asked), scope, receive)
        except Exception as error:  # noqa: BLE001 - whatever it is, these clients read one form of it
            access = () if asked is None else _access(asked)
            await send_notary_error(send, error, head=scope["method"] == "HEAD", access=access)
            return
        await send(answer.start)
        await send_body(send, answer.body)

    def _authorized(self, scope: Scope, asked: Route) -> Subject:
        """Who asks. Raises: Forbidden."""
        headers = scope["headers"]
        match asked.ask:
            case Ask.HEALTH:
                return _ANYBODY
            case Ask.PING:
                return self._authorizer.authorize_ping(headers)
            case Ask.ALL_CHANGES:
                return self._authorizer.authorize_catalog(headers)
            case _:
                return self._authorizer.authorize(headers, _ACTIONS[asked.ask], asked.gun)

    async def _answer(self, asked: Route, subject: Subject, scope: Scope, receive: Receive) -> Answer:
        answer = _DONE
        match asked.ask:
            case Ask.FILE:
                answer = await self._read(asked.gun, asked.file)
            case Ask.UPLOAD:
                await self._services.requests.publish(
                    scope, receive, gun=asked.gun, subject=subject, form=SERVED_NOTARY, parts=self._parts
                )
            case Ask.DELETE:
                await self._delete(asked.gun, subject)
            case Ask.KEY:
                answer = _json(_key_body(await self._key(asked)))
            case Ask.NEW_KEY:
                answer = _json(_key_body(await self._new_key(asked, subject)))
            case Ask.CHANGES | Ask.ALL_CHANGES:
                query = parse_feed_query(scope["query_string"])
                gun = asked.gun if asked.ask is Ask.CHANGES else None
                answer = _json(await asyncio.to_thread(query.read, self._services.store, gun))
            case Ask.PING | Ask.HEALTH:
                answer = _json(b"{}")
        return answer

    async def _read(self, gun: GUN, name: NotaryFile) -> Answer:
        try:
            answer = await self._renewed(gun, name)
        except NoTrustData:
            self._count(404)
            raise
        self._count(answer.status)
        return answer

    async def _renewed(self, gun: GUN, name: NotaryFile) -> Answer:
        answer = await self._found(gun, name)
        if self._renewal.is_due(answer):
            await self._renewal.renew(gun, notary_path(gun, name), answer)
            answer = await self._found(gun, name)
        return answer

    async def _found(self, gun: GUN, name: NotaryFile) -> Answer:
        kept = self._view.get(notary_path(gun, name))
        return kept if kept is not None else await asyncio.to_thread(self._retrieval.answer, gun, name)

    def _count(self, status: int) -> None:
        self.answered[status] = self.answered.get(status, 0) + 1

    async def _delete(self, gun: GUN, subject: Subject) -> None:
        """What is not there is deleted already; what is in another format is not deleted from here."""
        try:
            revision = await asyncio.to_thread(
                self._services.publishing.delete,
                gun,
                subject=subject.name,
                at=self._services.clock(),
                form=SERVED_NOTARY,
            )
        except (NoTrustData, GoneCollection):
            return
        self._services.metrics.deletions.inc()
        _log.warning("collection deleted", extra={"gun": gun, "subject": subject.name, "revision": revision})

    async def _key(self, asked: Route) -> KeyRecord:
        try:
            return await asyncio.to_thread(
                self._services.online.key, asked.gun, asked.role, self._services.clock(), wire=NOTARY
            )
        except CollectionExists as error:  # in another format: for these clients it is not there
            raise NoTrustData(gun=asked.gun) from error

    async def _new_key(self, asked: Route, subject: Subject) -> KeyRecord:
        gun, role = asked.gun, asked.role
        try:
            made = await asyncio.to_thread(
                self._services.online.new_key, gun, role, self._services.clock(), wire=NOTARY
            )
        except (NotThere, CollectionExists):  # nothing to rotate: the key for the first publish, if there can be one
            made = await self._key(asked)
        _log.info("key made", extra={"gun": gun, "subject": subject.name, "role": role, "keyid": made.keyid})
        return made


def _key_body(key: KeyRecord) -> bytes:
    shown = shown_key(key, NOTARY)
    public = {"public": shown.keyval["public"], "private": None}
    return orjson.dumps({"keytype": shown.keytype, "keyval": public})


def _access(asked: Route) -> list[Access]:
    if asked.ask in {Ask.PING, Ask.ALL_CHANGES}:
        return [Access(kind="registry", name="catalog", action="*")]
    action = _ACTIONS.get(asked.ask)
    return [Access(kind="repository", name=asked.gun, action=each) for each in _OF_TOKENS[action]] if action else []


def _json(body: bytes) -> Answer:
    return plain_answer(200, [(b"content-type", _JSON), *_plain_headers(body)], body)


def _plain_headers(body: bytes) -> list[tuple[bytes, bytes]]:
    return [(b"content-length", str(len(body)).encode()), (b"x-content-type-options", b"nosniff")]


_DONE: Final = plain_answer(200, _plain_headers(b""), b"")
