"""Ask a registry what `sign` asks, with the client that `sign` uses, and keep the record of it."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass, replace
from typing import Final

from trustcli.errors import ImageNotFound
from trustcli.http.messages import Origin, Response, parse_url
from trustcli.http.record import Authentication, Exchange, Record
from trustcli.registry.client import PULL, Registry
from trustcli.registry.reference import ImageReference
from trustcli.session import Session
from trustdata import bounded_json
from trustdata.errors import (
    InvalidName,
    TrustError,
)
from trustdata.gun import Tag, parse_tag

ACTIONS: Final = (PULL, "push")
"""The actions for which a token is asked at /v2/."""
_LIMIT: Final = 256 * 1024  # bytes of an answer

Outcome = Response | TrustError
"""The result of a request."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Visit:
    """The requests to one registry and their results.

    `failure`: why no manifest could be read; None if one could. `tags`: the list of tags, only asked for if the tag
    that was tried does not exist. `ping`: /v2/ with a token for ACTIONS, not asked for if the registry did not answer
    or a challenge could not be met. `may_be_plain`: whether plain http is allowed with this registry.
    """

    reference: ImageReference
    origins: tuple[Origin, Origin]
    may_be_plain: bool
    record: Record
    failure: TrustError | None
    tags: Outcome | None = None
    ping: Outcome | None = None

    @property
    def answered(self) -> Exchange | None:
        """The first exchange that the registry itself answered."""
        return next((e for e in self._exchanges if e.response is not None), None)

    @property
    def last(self) -> Exchange | None:
        """The last exchange with the registry itself."""
        return self._exchanges[-1] if self._exchanges else None

    @property
    def authentications(self) -> list[Authentication]:
        """How challenges were met, in order: its own, and those of registries to which it has redirected."""
        return self.record.authentications

    @property
    def shut_out(self) -> Authentication | None:
        """The first challenge that could not be met."""
        return next((a for a in self.authentications if a.failure is not None), None)

    @property
    def _exchanges(self) -> list[Exchange]:
        return [e for e in self.record.exchanges if e.origin in self.origins]


def visit(session: Session, reference: ImageReference, tag: Tag) -> Visit:
    """Ask for a manifest, then at /v2/ for what the credentials may do. `tag`: one that the repository probably has."""
    host = reference.registry_host
    secure, plain = (parse_url(f"{scheme}://{host}", kind="registry")[0] for scheme in ("https", "http"))
    record = Record()
    with contextlib.closing(session.registry(record)) as registry:
        seen = Visit(
            reference=reference,
            origins=(secure, plain),
            may_be_plain=registry.may_be_plain(secure, host),
            record=record,
            failure=_resolve(registry, reference, tag),
        )
        if isinstance(seen.failure, ImageNotFound):
            tags = _get(registry, reference, f"/v2/{reference.repository}/tags/list?n=1", PULL)
            listed = first_tag(tags)
            failure = seen.failure if listed is None else _resolve(registry, reference, listed)
            seen = replace(seen, tags=tags, failure=failure)
        # Asking again after a login failed may lock the account.
        if seen.answered is not None and seen.shut_out is None:
            seen = replace(seen, ping=_get(registry, reference, "/v2/", ",".join(ACTIONS)))
    return seen


def _resolve(registry: Registry, reference: ImageReference, tag: Tag) -> TrustError | None:
    try:
        registry.resolve(replace(reference, tag=tag, digest=None))
    except TrustError as failure:
        return failure
    return None


def _get(registry: Registry, reference: ImageReference, target: str, actions: str) -> Outcome:
    try:
        return registry.get(reference, target, limit=_LIMIT, actions=actions)
    except TrustError as failure:
        return failure


def first_tag(tags: Outcome) -> Tag | None:
    """Return the first tag of a list of tags; None if there is no list, or nothing in it."""
    if not isinstance(tags, Response) or not tags.ok:
        return None
    try:
        return parse_tag(bounded_json.loads(tags.body)["tags"][0])
    except (ValueError, LookupError, TypeError, RecursionError, InvalidName):
        return None
