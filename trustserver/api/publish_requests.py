"""Uploads as they come in, in either format: read within their bounds, judged, counted and logged."""

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
from trustserver.repository.publish import Publishing, PublishResult

LARGE_JUDGEMENT: Final = 2 * 1024 * 1024
"""Bytes to parse. Beyond, uploads are judged one at a time: parsed, a byte takes about twelve."""

_log = logging.getLogger(__name__)
_CONFLICT: Final = 409
Judge: TypeAlias = Callable[[Mapping[RoleName, bytes], datetime], PublishResult]
"""What is done with the files of an upload, at this instant; in a worker thread."""


class PublishRequests:
    """One for all requests of an event loop: they share memory, and the turn of large uploads."""

    def __init__(
        self, publishing: Publishing, metrics: Metrics, *, clock: Callable[[], datetime], seconds: float
    ) -> None:
        """`seconds`: what the body of an upload may take."""
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
    ) -> PublishResult:
        """Read and publish one upload of a caller who may. Raises: as Upload.read and Publishing.publish."""

        def judge(files: Mapping[RoleName, bytes], at: datetime) -> PublishResult:
            return self._publishing.publish(gun, files, at=at, served_format=served_format)

        return await self.accept(scope, receive, gun=gun, subject=subject, parts=parts, judge=judge)

    async def accept(
        self, scope: Scope, receive: Receive, *, gun: GUN, subject: Subject, parts: PartRules, judge: Judge
    ) -> PublishResult:
        """Read one upload of a caller who may, and let it be judged and stored. Raises: as Upload.read and `judge`."""
        began = time.perf_counter()
        outcome = "internal"
        try:
            with Upload(self._memory, parts) as upload:
                files = parts.files_to_publish(await upload.read(scope, receive, seconds=self._seconds))
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
