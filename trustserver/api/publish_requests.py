"""Handle the uploads of both formats: read them within the limits, have them checked and stored, count and log them."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Final, TypeAlias

from keys.errors import KeysError
from trustdata.errors import TrustError
from trustdata.gun import GUN
from trustdata.roles import RoleName
from trustserver.api.gun_path import Receive, Scope
from trustserver.api.metrics import Metrics
from trustserver.api.problems import status_of
from trustserver.api.upload import PartRules, Upload, UploadMemory
from trustserver.auth.authorizer import Subject
from trustserver.errors import DiskFull
from trustserver.repository.formats import ServedFormat
from trustserver.repository.publish import PublishedVersions, Publishing

LARGE_JUDGEMENT: Final = 2 * 1024 * 1024
"""Bytes to parse from which on uploads are checked one at a time, since a parsed byte takes about twelve in memory."""

_log = logging.getLogger(__name__)
_CONFLICT: Final = 409
Judge: TypeAlias = Callable[[Mapping[RoleName, bytes], datetime], PublishedVersions]
"""A function that checks and stores the files of an upload. It gets the files and the time, in a worker thread."""


class PublishRequests:
    """Handles all uploads of an event loop. They share a limit of memory; large ones are checked one at a time."""

    def __init__(
        self, publishing: Publishing, metrics: Metrics, *, clock: Callable[[], datetime], seconds: float
    ) -> None:
        """Make a handler of uploads. `seconds`: how long the body of an upload may take to arrive."""
        self._publishing = publishing
        self._metrics = metrics
        self._clock = clock
        self._seconds = seconds
        self._memory = UploadMemory()
        self._large = asyncio.Lock()

    async def publish(
        self,
        scope: Scope,
        receive: Receive,
        *,
        gun: GUN,
        subject: Subject,
        served_format: ServedFormat,
        parts: PartRules,
    ) -> PublishedVersions:
        """Read and publish one upload. The caller has checked that `subject` may publish.

        Raises: BadRequest, EncodingRefused, InvalidName, RequestTooSlow, TooLarge (the request); MalformedMetadata,
        NotTrusted, PublishRefused or one of its subclasses (the files); NotStored, KeysError (the server).
        """

        def judge(files: Mapping[RoleName, bytes], at: datetime) -> PublishedVersions:
            return self._publishing.publish(gun, files, at=at, served_format=served_format)

        return await self.accept(scope, receive, gun=gun, subject=subject, parts=parts, judge=judge)

    async def accept(
        self, scope: Scope, receive: Receive, *, gun: GUN, subject: Subject, parts: PartRules, judge: Judge
    ) -> PublishedVersions:
        """Read one upload, and check and store it with `judge`. The caller has checked that `subject` may do so.

        Raises: BadRequest, EncodingRefused, InvalidName, RequestTooSlow, TooLarge, MalformedMetadata, NotStored, and
        the errors of `judge`.
        """
        began = time.perf_counter()
        outcome = "internal"
        try:
            with Upload(self._memory, parts) as upload:
                sent = await upload.read(scope, receive, seconds=self._seconds)
                files = await asyncio.to_thread(parts.files_to_publish, sent)  # it may parse them
                size = await asyncio.to_thread(self._publishing.size, gun, files)
                async with self._large if size > LARGE_JUDGEMENT else contextlib.nullcontext():
                    published = await asyncio.to_thread(judge, files, self._clock())
            outcome = "stored"
        except (TrustError, KeysError) as error:
            outcome = error.code
            if status_of(error) == _CONFLICT:
                self._metrics.conflicts.inc()
            _log.log(
                logging.ERROR if isinstance(error, KeysError | DiskFull) else logging.INFO,
                "publish refused",
                extra={"gun": gun, "subject": subject.name, "code": outcome, "reason": str(error)},
            )
            raise
        finally:
            self._metrics.publishes.labels(outcome).inc()
        _log.info(
            "published",
            extra={
                "gun": gun,
                "subject": subject.name,
                "revision": published.revision,
                "roles": " ".join(files),
                "milliseconds": round((time.perf_counter() - began) * 1000, 1),
            },
        )
        return published
