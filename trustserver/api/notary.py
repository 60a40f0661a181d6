"""The Notary v1 HTTP API: /v2/ and /_notary_server/, for unmodified docker and notary clients. Bare ASGI.

What is in the view was answered before (fast_read.py). There are no conditional requests, no compression and no
redirects here: these clients know none of them.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Final

import orjson

from trustdata.errors import NoTrustData
from trustdata.gun import GUN
from trustdata.roles import RoleName
from trustdata.wire.notary import NOTARY
from trustserver.api.auth import Action, Authorizer, Subject
from trustserver.api.changefeed import parse_feed_query
from trustserver.api.gun_path import App, Receive, Scope, Send, raw_path
from trustserver.api.metrics import Metrics
from trustserver.api.notary_errors import Access, send_notary_error
from trustserver.api.notary_parts import NotaryParts
from trustserver.api.notary_routes import Ask, Route, is_notary_path, route
from trustserver.api.publish_requests import PublishRequests
from trustserver.api.renewal_on_read import RenewalOnRead
from trustserver.api.sending import send_body
from trustserver.errors import GoneCollection, NotThere
from trustserver.formats import SERVED_NOTARY
from trustserver.notary_names import NotaryFile, notary_path
from trustserver.notary_retrieval import NotaryRetrieval
from trustserver.online_roles import OnlineRoles, shown_key
from trustserver.publishing import Publishing
from trustserver.storage.ports import KeyRecord, MetadataStore, Status
from trustserver.view import Answer, View

_JSON: Final = b"application/json; charset=utf-8"
_NOTHING: Final = b"{}"
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
        view: View,
        retrieval: NotaryRetrieval,
        renewal: RenewalOnRead,
        store: MetadataStore,
        publishing: Publishing,
        requests: PublishRequests,
        online: OnlineRoles,
        authorizer: Authorizer,
        metrics: Metrics,
        otherwise: App,
        clock: Callable[[], datetime],
    ) -> None:
        self._view = view
        self._retrieval = retrieval
        self._renewal = renewal
        self._store = store
        self._publishing = publishing
        self._requests = requests
        self._online = online
        self._authorizer = authorizer
        self._metrics = metrics
        self._otherwise = otherwise
        self._clock = clock
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
            subject = self._authorized(scope, asked)
            await self._answer(asked, subject, scope, receive, send)
        except Exception as error:  # noqa: BLE001 - whatever it is, these clients read one form of it
            access = () if asked is None else _access(asked)
            await send_notary_error(send, error, head=scope["method"] == "HEAD", access=access)

    def _authorized(self, scope: Scope, asked: Route) -> Subject | None:
        """Who asks; None where nobody is asked who he is. Raises: Forbidden."""
        headers = scope["headers"]
        match asked.ask:
            case Ask.HEALTH:
                return None
            case Ask.PING:
                return self._authorizer.authorize_ping(headers)
            case Ask.ALL_CHANGES:
                return self._authorizer.authorize_catalog(headers)
            case _:
                return self._authorizer.authorize(headers, _ACTIONS[asked.ask], asked.gun)

    async def _answer(self, asked: Route, subject: Subject | None, scope: Scope, receive: Receive, send: Send) -> None:
        match asked.ask, subject:
            case Ask.FILE, _ if asked.file is not None:
                answer = await self._read(asked.gun, asked.file)
                await send(answer.start)
                await send_body(send, answer.body)
            case Ask.UPLOAD, Subject():
                await self._requests.publish(
                    scope, receive, gun=asked.gun, subject=subject, form=SERVED_NOTARY, parts=self._parts
                )
                await _send(send, b"", None)
            case Ask.DELETE, Subject():
                await self._delete(asked.gun, subject)
                await _send(send, b"", None)
            case Ask.KEY, _:
                key = await asyncio.to_thread(self._key, asked.gun, asked.role)
                await _send(send, key)
            case Ask.NEW_KEY, Subject():
                key = await asyncio.to_thread(self._new_key, asked.gun, asked.role, subject)
                await _send(send, key)
            case ((Ask.CHANGES | Ask.ALL_CHANGES), _):
                query = parse_feed_query(scope["query_string"])
                gun = asked.gun if asked.ask is Ask.CHANGES else None
                await _send(send, await asyncio.to_thread(query.read, self._store, gun))
            case _:
                await _send(send, _NOTHING)

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
                self._publishing.delete, gun, subject=subject.name, at=self._clock(), form=SERVED_NOTARY
            )
        except (NoTrustData, GoneCollection):
            return
        self._metrics.deletions.inc()
        _log.warning("collection deleted", extra={"gun": gun, "subject": subject.name, "revision": revision})

    def _key(self, gun: GUN, role: RoleName) -> bytes:
        self._check_format(gun)
        return _key_body(self._online.key(gun, role, self._clock()))

    def _new_key(self, gun: GUN, role: RoleName, subject: Subject) -> bytes:
        self._check_format(gun)
        try:
            made = self._online.new_key(gun, role, self._clock())
        except NotThere:  # there is nothing to rotate: the key for the first publish
            made = self._online.key(gun, role, self._clock())
        _log.info("key made", extra={"gun": gun, "subject": subject.name, "role": role, "keyid": made.keyid})
        return _key_body(made)

    def _check_format(self, gun: GUN) -> None:
        """Raises: NoTrustData: for these clients a collection in another format is not there."""
        state = self._store.load(gun)
        if state.status is Status.LIVE and state.format != NOTARY.name:
            raise NoTrustData(gun=gun)


def _key_body(key: KeyRecord) -> bytes:
    shown = shown_key(key, NOTARY)
    public = {"public": shown.keyval["public"], "private": None}
    return orjson.dumps({"keytype": shown.keytype, "keyval": public})


def _access(asked: Route) -> list[Access]:
    if asked.ask in {Ask.PING, Ask.ALL_CHANGES}:
        return [Access(kind="registry", name="catalog", action="*")]
    action = _ACTIONS.get(asked.ask)
    return [Access(kind="repository", name=asked.gun, action=each) for each in _OF_TOKENS[action]] if action else []


async def _send(send: Send, body: bytes, kind: bytes | None = _JSON) -> None:
    headers = [(b"content-length", str(len(body)).encode()), (b"x-content-type-options", b"nosniff")]
    if kind is not None:
        headers.append((b"content-type", kind))
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": body})
