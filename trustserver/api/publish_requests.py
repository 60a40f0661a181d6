"""Handle the uploads of both formats: read them within the limits, have them checked and stored, count and log them."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import logging
import time
from collections.abc import AsyncIterator, Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime
from typing import Final, ParamSpec, TypeAlias, TypeVar

from keys.errors import KeysError
from trustdata.errors import TrustError
from trustdata.gun import GUN
from trustdata.roles import RoleName
from trustserver.api.actors import actor_of
from trustserver.api.fair_queue import FairQueue
from trustserver.api.gun_path import Receive, Scope
from trustserver.api.metrics import Metrics
from trustserver.api.problems import status_of
from trustserver.api.publish_rates import PublishRate
from trustserver.api.refused_uploads import RefusedUploads
from trustserver.api.upload import PartRules, Upload, announced_size, discard
from trustserver.api.upload_room import UploadPlace, UploadRoom
from trustserver.auth.authorizer import Subject, known_name, stored_name
from trustserver.errors import DiskFull, Overloaded
from trustserver.repository.formats import ServedFormat
from trustserver.repository.judging import LARGE_UPLOAD, size_of
from trustserver.repository.publish import Permit, PublishedVersions, Publishing

JUDGES: Final = 4
"""How many uploads are checked at one time."""
LARGE_JUDGEMENT: Final = 2 * 1024 * 1024
"""Bytes to parse, stored files included, from which on uploads are checked one at a time, since a parsed byte takes
about twelve in memory. So are all uploads from LARGE_UPLOAD on, which one process checks."""

P = ParamSpec("P")
T = TypeVar("T")
_log = logging.getLogger(__name__)
_CONFLICT: Final = 409
_FAULTS: Final = range(400, 500)
"""The statuses of refusals that are the sender's fault, but for a conflict."""
Judge: TypeAlias = Callable[[Mapping[RoleName, bytes], datetime], PublishedVersions]
"""A function that checks and stores the files of an upload. It gets the files and the time, in a worker thread."""


@dataclass(frozen=True, slots=True, kw_only=True)
class UploadLimits:
    """The limits of uploads that are settings.

    `seconds`: how long the body may take to arrive. `rate`: its least rate in bytes per second. `per_collection`,
    `per_user`: how many may be stored in a minute. 0: no limit, except for `seconds`.
    """

    seconds: float
    rate: int = 0
    per_collection: int = 0
    per_user: int = 0


class PublishRequests:
    """Handles all uploads of an event loop. They share memory and threads; large ones are checked one at a time."""

    def __init__(
        self,
        publishing: Publishing,
        metrics: Metrics,
        *,
        clock: Callable[[], datetime],
        uptime: Callable[[], float],
        limits: UploadLimits,
    ) -> None:
        self._publishing = publishing
        self._metrics = metrics
        self._clock = clock
        self._seconds = limits.seconds
        self._room = UploadRoom(rate=limits.rate)
        self._by_collection = PublishRate(
            limits.per_collection, what="publishes of this collection in a minute", clock=clock
        )
        self._by_user = PublishRate(limits.per_user, what="publishes by you in a minute", clock=clock)
        self._refused = RefusedUploads(uptime)
        self._judging = FairQueue(JUDGES, what="uploads")
        self._large = FairQueue(1, what="large uploads")
        # Threads of their own, so that slow uploads keep no read waiting.
        self._threads = ThreadPoolExecutor(JUDGES, thread_name_prefix="judge")

    def close(self) -> None:
        """End the threads that check uploads, once they have nothing to do."""
        self._threads.shutdown(wait=False)

    async def publish(
        self,
        scope: Scope,
        receive: Receive,
        *,
        gun: GUN,
        subject: Subject,
        served_format: ServedFormat,
        parts: PartRules,
        permit: Permit,
        address: str | None = None,
    ) -> PublishedVersions:
        """Read and publish one upload. The caller has checked that `subject` may publish. `address`: the client's.

        `permit` is asked again before it is stored.

        Raises: BadRequest, EncodingRefused, InvalidName, RequestTooSlow, TooLarge (the request); MalformedMetadata,
        NotTrusted, PublishRefused or one of its subclasses (the files); NotStored, KeysError (the server).
        """

        def judge(files: Mapping[RoleName, bytes], at: datetime) -> PublishedVersions:
            return self._publishing.publish(
                gun,
                files,
                at=at,
                served_format=served_format,
                subject=known_name(subject),
                permit=permit,
                by=actor_of(scope, subject),
            )

        return await self.accept(scope, receive, gun=gun, subject=subject, parts=parts, judge=judge, address=address)

    async def accept(
        self,
        scope: Scope,
        receive: Receive,
        *,
        gun: GUN,
        subject: Subject,
        parts: PartRules,
        judge: Judge,
        address: str | None = None,
    ) -> PublishedVersions:
        """Read one upload, and check and store it with `judge`. The caller has checked that `subject` may do so.

        Raises: BadRequest, EncodingRefused, InvalidName, RequestTooSlow, TooLarge, MalformedMetadata, NotStored, and
        the errors of `judge`.
        """
        began = time.perf_counter()
        owner = _owner(subject, address, gun)
        outcome = "internal"
        size = announced_size(scope, parts)
        try:
            try:
                self._by_collection.check(gun)
                self._by_user.check(owner)
                wait = self._refused.wait(owner, size)
            except Overloaded:
                # A client that is still sending would get a connection reset instead of the response.
                await discard(scope, receive, parts, seconds=self._seconds)
                raise
            with self._refused.count(owner, size, is_fault=_is_fault) as counted:
                if wait:
                    await asyncio.sleep(wait)
                with self._room.enter(owner) as place:
                    try:
                        upload = await Upload(place, parts).read(scope, receive, seconds=self._seconds)
                    finally:
                        counted.arrived = place.arrived
                    files = await self._in_thread(parts.files_to_publish, upload)  # it may parse them
                    async with self._turn(place, gun, files):
                        published = await self._in_thread(judge, files, self._clock())
            self._by_collection.count(gun)
            self._by_user.count(owner)
            outcome = "stored"
        except (TrustError, KeysError) as error:
            outcome = error.code
            if status_of(error) == _CONFLICT:
                self._metrics.conflicts.inc()
            _log.log(
                logging.ERROR if isinstance(error, KeysError | DiskFull) else logging.INFO,
                "publish refused",
                extra={"gun": gun, "subject": stored_name(subject), "code": outcome, "reason": str(error)},
            )
            raise
        finally:
            self._metrics.publishes.labels(outcome).inc()
        _log.info(
            "published",
            extra={
                "gun": gun,
                "subject": stored_name(subject),
                "revision": published.revision,
                "roles": " ".join(files),
                "milliseconds": round((time.perf_counter() - began) * 1000, 1),
            },
        )
        return published

    @contextlib.asynccontextmanager
    async def _turn(self, place: UploadPlace, gun: GUN, files: Mapping[RoleName, bytes]) -> AsyncIterator[None]:
        """Wait until the upload may be checked: when it is its owner's turn. Raises: Overloaded, NotStored."""
        # Looking closer at a large one would take as long as judging a small one.
        goes_alone = size_of(files) >= LARGE_UPLOAD or (
            await self._in_thread(self._publishing.size, gun, files) > LARGE_JUDGEMENT
        )
        async with contextlib.AsyncExitStack() as turn:
            async with place.waiting():
                if goes_alone:
                    await turn.enter_async_context(self._large.place(place.owner))
                await turn.enter_async_context(self._judging.place(place.owner))
            yield

    async def _in_thread(self, work: Callable[P, T], *arguments: P.args, **named: P.kwargs) -> T:
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._threads, functools.partial(work, *arguments, **named))


def _is_fault(error: Exception) -> bool:
    """Return whether an upload was refused for what its sender has sent."""
    return status_of(error) in _FAULTS and status_of(error) != _CONFLICT


def _owner(subject: Subject, address: str | None, gun: GUN) -> str:
    """Return under what an upload's share of memory and time is counted: its sender if known, else its collection."""
    if subject.authenticated:
        return f"subject {subject}"
    return f"address {address}" if address else f"name {gun}"
