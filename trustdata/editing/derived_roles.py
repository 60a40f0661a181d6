"""Snapshot and timestamp follow from the other roles: the server computes them, nobody writes them by hand."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta

from trustdata.envelope import Envelope
from trustdata.expiry import expires_at
from trustdata.model import MetaFile, Snapshot, Timestamp


def _meta(envelope: Envelope) -> MetaFile:
    return MetaFile(envelope.version, len(envelope.raw), {"sha256": envelope.sha256})


def next_snapshot(
    *, previous: Envelope | None, changed: Iterable[Envelope], at: datetime, lifetime: timedelta
) -> Snapshot:
    """The successor of `previous`, in which the `changed` roles (targets and delegations) have their new versions.

    Nothing is ever dropped (specification 5.5.5): a role that is no longer delegated stays listed. `changed` may be
    empty: a renewal.
    """
    meta = dict(previous.snapshot.meta) if previous else {}
    meta |= {f"{envelope.role}.json": _meta(envelope) for envelope in changed}
    version = previous.version + 1 if previous else 1
    return Snapshot(version, expires=expires_at(at, lifetime), meta=meta)


def next_timestamp(*, previous: Envelope | None, snapshot: Envelope, at: datetime, lifetime: timedelta) -> Timestamp:
    """The successor of `previous`, which names `snapshot`."""
    version = previous.version + 1 if previous else 1
    return Timestamp(version, expires=expires_at(at, lifetime), snapshot_meta=_meta(snapshot))
