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
    *, previous: Envelope | None, changed: Iterable[Envelope], at: datetime, lifetime: timedelta, least: int = 1
) -> Snapshot:
    """The successor of `previous`, in which the `changed` roles (targets and delegations) have their new versions.

    Nothing is ever dropped (specification 5.5.5): a role that is no longer delegated stays listed. `changed` may be
    empty: a renewal. `least`: the lowest version that it may have.
    """
    meta = dict(previous.snapshot.meta) if previous else {}
    meta |= {f"{envelope.role}.json": _meta(envelope) for envelope in changed}
    version = max(previous.version + 1 if previous else 1, least)
    return Snapshot(version, expires=expires_at(at, lifetime), meta=meta)


def next_timestamp(
    *, previous: Envelope | None, snapshot: Envelope, at: datetime, lifetime: timedelta, least: int = 1
) -> Timestamp:
    """The successor of `previous`, which names `snapshot`. `least`: the lowest version that it may have."""
    version = max(previous.version + 1 if previous else 1, least)
    return Timestamp(version, expires=expires_at(at, lifetime), snapshot_meta=_meta(snapshot))
