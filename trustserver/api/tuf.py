"""Answer /tuf/GUN/metadata/FILE where the response cache could not. ASGI; the store is read in a worker thread."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, MutableMapping
from dataclasses import replace
from functools import partial
from typing import Any

from trustdata.errors import TrustError
from trustdata.gun import GUN
from trustserver.api.client_address import sender_of
from trustserver.api.gun_path import TUF_PREFIX, App, Receive, Scope, Send, raw_path, split_metadata_path
from trustserver.api.problems import send_problem
from trustserver.api.renewal_on_read import RenewalOnRead
from trustserver.api.sending import send_body
from trustserver.api.shared_reads import SharedReads
from trustserver.auth.authorizer import Action, Authorizer
from trustserver.errors import BadRequest
from trustserver.repository.tuf_reads import TufRetrieval
from trustserver.responses.conditional_get import asked, select
from trustserver.responses.gzip import pack
from trustserver.responses.in_flight import BodiesInFlight
from trustserver.responses.ready import ReadyResponse
from trustserver.responses.response_cache import ResponseCache
from trustserver.responses.tuf_paths import FileName, parse_filename, path_of


class TufReads:
    """Answers reads of TUF metadata (ASGI). `answered` counts them by status."""

    def __init__(
        self,
        *,
        cache: ResponseCache,
        bodies: BodiesInFlight,
        retrieval: TufRetrieval,
        renewal: RenewalOnRead,
        authorizer: Authorizer,
        address_of: Callable[[Scope], str | None],
        otherwise: App,
    ) -> None:
        self._cache = cache
        self._bodies = bodies
        self._shared = SharedReads(cache)
        self._retrieval = retrieval
        self._renewal = renewal
        self._authorizer = authorizer
        self._address_of = address_of
        self._otherwise = otherwise
        self._packing: tuple[bytes, asyncio.Task[ReadyResponse]] | None = None
        self.answered: dict[int, int] = {}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or not (path := raw_path(scope)).startswith(TUF_PREFIX):
            await self._otherwise(scope, receive, send)
            return
        head = scope["method"] == "HEAD"
        try:
            place, answer = await self._answer(scope, path)
        except TrustError as error:
            await send_problem(send, error, head=head)
            return
        chosen = select(answer, *asked(scope["headers"])) or await self._packed(place, answer)
        chosen = self._bodies.form_for(chosen, answer)
        self._count(chosen.status)
        await send(chosen.start)
        if head:
            await send(_no_body())
            return
        sending = send_body(send, chosen, self._bodies)
        del answer, chosen  # a body must be able to go while it is sent
        await sending

    async def _answer(self, scope: Scope, path: str) -> tuple[bytes, ReadyResponse]:
        """Return the response and its path in the cache."""
        if scope["method"] not in {"GET", "HEAD"}:
            raise BadRequest(place=f"method {scope['method']}", reason="trust data is read with GET and HEAD only")
        gun, filename = split_metadata_path(path)
        await self._authorizer.authorize(sender_of(scope), Action.READ, gun)
        name = parse_filename(filename)
        answer = await self._found(gun, name)
        place = path_of(gun, name)
        if self._renewal.is_due(answer):
            await self._renewal.renew(gun, place, answer)
            answer = await self._found(gun, name)
        return place, answer

    async def read(self, path: bytes) -> ReadyResponse | None:
        """Return the response under a raw path if everybody may read; None if it is refused or must be renewed."""
        try:
            gun, filename = split_metadata_path(path.decode("ascii"))
            answer = await self._found(gun, parse_filename(filename))
        except (TrustError, UnicodeDecodeError):
            return None  # asked again, the application says why
        return None if self._renewal.is_due(answer) else answer

    async def _found(self, gun: GUN, name: FileName) -> ReadyResponse:
        kept = self._cache.get(path_of(gun, name))
        if kept is not None:
            return kept
        return await self._shared.read(gun, path_of(gun, name), partial(self._retrieval.answer, gun, name))

    async def _packed(self, place: bytes, answer: ReadyResponse) -> ReadyResponse:
        """Return the gzip form, made once, or the plain response where compressing does not pay.

        One file at a time is compressed, so that compressing cannot fill the worker threads; a client that asks for
        another file meanwhile gets the plain form. So do all clients if the cache has no room for the gzip form.
        """
        if self._packing is None:
            task = asyncio.create_task(self._pack(place, answer))
            self._packing = (place, task)
        elif self._packing[0] != place:
            return answer
        return await asyncio.shield(self._packing[1])

    async def _pack(self, place: bytes, answer: ReadyResponse) -> ReadyResponse:
        try:
            if not self._cache.exchange(place, answer, answer):
                return answer  # not kept: to pack it for one reader alone does not pay
            made = await asyncio.to_thread(pack, answer)
            if not self._cache.exchange(place, answer, made):
                self._cache.exchange(place, answer, replace(answer, packable=False))
            return made.packed or answer
        finally:
            self._packing = None

    def _count(self, status: int) -> None:
        self.answered[status] = self.answered.get(status, 0) + 1


def _no_body() -> MutableMapping[str, Any]:
    return {"type": "http.response.body", "body": b""}
