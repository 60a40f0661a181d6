"""Answer the API server: `POST /validate` and `POST /mutate` with an AdmissionReview, and the operator's pages.

Whatever goes wrong after the review is known to be one is answered with a refusal, and not with an error of HTTP: an
operator may have set `failurePolicy: Ignore`, under which an error lets the object pass.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from typing import TYPE_CHECKING, Final

from trustcli.console.internal_error import internal_error
from trustcli.errors import ReviewMalformed
from trustcli.hooks.kubernetes.answer import BAD_REQUEST, answer_to, refusal_of
from trustcli.hooks.kubernetes.judging import Manner, Verdict, judge
from trustcli.hooks.kubernetes.review import MAX_REVIEW, Review, SentRequest, read_review, read_sent
from trustcli.hooks.kubernetes.time_limit import LimitedTime, seconds_for
from trustcli.hooks.serving.held_bytes import HeldRequests, NoRoom
from trustcli.hooks.serving.limits import Limits
from trustcli.hooks.serving.messages import Request, Response, plain
from trustdata.errors import PolicyRefused, TooLarge, TrustError, shown
from trustdata.hosts import address_group

if TYPE_CHECKING:
    from trustcli.hooks.deciding.decision import Decision
    from trustcli.hooks.kubernetes.callers import Callers
    from trustcli.hooks.kubernetes.judging import Asked
    from trustcli.hooks.kubernetes.measures import Measures
    from trustcli.hooks.serving.operator_pages import OperatorPages

_log = logging.getLogger(__name__)
LIMITS: Final = Limits(connections=512, per_address=512, body_grace=2.0, slowest_body=256 * 1024)
"""All connections may come from one address: that of the API server, or of the proxy that it sends by. An API server is
near, and has the whole review when it begins to send.
"""
_JSON: Final = (b"content-type", b"application/json")
_LARGE: Final = 256 * 1024
"""Bytes from which on a review needs one of a few places, so that many large ones take no more memory than these."""
_LARGE_AT_ONCE: Final = 4
_ROOM: Final = 8 * MAX_REVIEW
"""Bytes of large reviews that are being read. They count as they come, so that a slow client holds little."""
_ROOM_OF_ONE: Final = 4 * MAX_REVIEW
"""How many of these bytes one network of addresses may have: an API server needs no more, and others leave it some."""
_PARSED_AT_ONCE: Final = 8
"""How many reviews are parsed, small ones too: each takes ten times its bytes, until its images are known."""


class _Busy(Exception):
    """There is no place for another review. Its text says what has them all."""


class AdmissionWebhook:
    """The handler of the webhook's server. Thread-safe.

    `templates`, `require_digests`: see `Manner`. `callers`: who may post; None: whoever reaches it.
    """

    def __init__(
        self,
        deciding: LimitedTime,
        *,
        pages: OperatorPages,
        measures: Measures,
        templates: bool = False,
        require_digests: bool = False,
        callers: Callers | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._deciding = deciding
        self._pages = pages
        self._measures = measures
        self._callers = callers
        self._clock = clock
        self._manners = {
            "/validate": Manner(mutate=False, require_digests=require_digests),
            "/mutate": Manner(mutate=True, templates=templates),
        }
        self._room = HeldRequests(_ROOM, of_one=_ROOM_OF_ONE, clock=clock)
        self._large = threading.BoundedSemaphore(_LARGE_AT_ONCE)
        self._parsed = threading.BoundedSemaphore(_PARSED_AT_ONCE)

    def __call__(self, request: Request) -> Response:
        page = self._pages.answer(request)
        if page is not None:
            return page
        if request.path not in self._manners:
            return plain(404, f"nothing is here: {' and '.join(self._manners)} take reviews")
        if request.method != "POST":
            return plain(405, "a review is sent by POST", (b"allow", b"POST"))
        turned_away = self._callers.refusal(request) if self._callers is not None else None
        if turned_away is not None:
            self._measures.count_stranger()
            return turned_away
        began = self._clock()
        response, outcome = self._reviewed(request, began + seconds_for(request.query))
        self._measures.count(request.path, outcome, self._clock() - began)
        return response

    def _reviewed(self, request: Request, deadline: float) -> tuple[Response, str]:
        """Return the answer to a review, and how it is counted. `deadline`: by the clock."""
        try:
            with ExitStack() as places:
                return self._read_and_judged(request, deadline, places)
        except NoRoom:
            return plain(503, "too many large reviews are being read; send this one again", close=True), "failed"
        except _Busy as busy:
            return plain(503, f"{busy} are being read; send this one again", close=True), "failed"

    def _take(self, pool: threading.Semaphore, what: str, deadline: float, places: ExitStack) -> None:
        """Take a place, which `places` gives back. Raises: _Busy if there is none in time."""
        if not pool.acquire(timeout=max(0.0, deadline - self._clock())):
            raise _Busy(what)
        places.callback(pool.release)

    def _read_and_judged(self, request: Request, deadline: float, places: ExitStack) -> tuple[Response, str]:
        """Return as `_reviewed`. `places`: given back once the objects of the review were looked through."""
        try:
            declared, admit = request.body.length, None
            if declared is None or declared > _LARGE:
                group = address_group(request.client)
                admit = places.enter_context(self._room.taking(group, free=_LARGE, deadline=deadline))
            raw = request.body.read(MAX_REVIEW, admit=admit)
            if len(raw) > _LARGE:
                self._take(self._large, f"{_LARGE_AT_ONCE} large reviews", deadline, places)
            self._take(self._parsed, f"{_PARSED_AT_ONCE} reviews", deadline, places)
            sent = read_sent(raw)
            del raw
        except TooLarge as error:
            return plain(413, str(error), close=True), "malformed"
        except ReviewMalformed as error:
            return plain(BAD_REQUEST, str(error)), "malformed"
        try:
            return self._judged(sent, request.path, deadline, places)
        except ReviewMalformed as error:
            return _answer(refusal_of(sent.uid, error, code=BAD_REQUEST)), "malformed"
        except TrustError as error:
            return _answer(refusal_of(sent.uid, error)), "refused"
        except Exception as error:  # noqa: BLE001 - every error is a refusal
            _log.exception("a review was refused for a fault of this program")
            refusal = PolicyRefused(name="this object", rule="the webhook", reason=internal_error(error))
            return _answer(refusal_of(sent.uid, refusal)), "failed"

    def _judged(self, sent: SentRequest, path: str, deadline: float, places: ExitStack) -> tuple[Response, str]:
        review = read_review(sent)

        def decide(questions: Sequence[Asked]) -> Mapping[Asked, Decision | TrustError]:
            # Reviews that wait for a trust server do so without the objects: those take ten times the bytes sent.
            for members in (sent.members, review.object, review.old_object):
                members.clear()
            places.close()
            left = max(0.0, deadline - self._clock())
            return self._deciding.decide(questions, namespace=review.namespace, seconds=left)

        verdict = judge(review, self._manners[path], decide=decide, namespaces=self._deciding.namespaces)
        self._measures.count_images(verdict)
        _tell(review, verdict)
        return _answer(answer_to(verdict)), "allowed" if verdict.allowed else "refused"


def _answer(body: bytes) -> Response:
    return Response(status=200, headers=[_JSON], body=body)


def _tell(review: Review, verdict: Verdict) -> None:
    """Write refusals, and what only a rule in audit mode let pass, to the log."""
    for image in verdict.images:
        error = image.refusal or image.watched
        if error is not None:
            what = "refused" if image.refusal else "would be refused"
            where = f"{review.operation} of {review.kind} in {shown(review.namespace) or 'no namespace'}"
            _log.warning("%s: %s, %s %s: %s", what, where, image.place.holder, shown(image.place.image, 300), error)
