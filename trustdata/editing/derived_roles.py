"""Snapshot and timestamp follow from the other roles: the server computes them, nobody writes them by hand."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta

from trustdata.envelope import Envelope
from trustdata.expiry import expires_at
from trustdata.model import Snapshot, Timestamp
from trustdata.roles import ROOT
from trustdata.wire import WireFormat


def next_snapshot(
    *,
    previous: Envelope | None,
    changed: Iterable[Envelope],
    at: datetime,
    lifetime: timedelta,
    wire: WireFormat,
    least: int = 1,
) -> Snapshot:
    """The successor of `previous`, in which the `changed` roles have their new versions: targets, delegations, and
    root where the format's snapshots list it.

    Nothing is ever dropped (specification 5.5.5): a role that is no longer delegated stays listed. `changed` may be
    empty: a renewal. `least`: the lowest version that it may have.
    """
    meta = dict(previous.snapshot.meta) if previous else {}
    listed = (envelope for envelope in changed if envelope.role != ROOT or wire.snapshot_lists_root)
    meta |= {f"{envelope.role}.json": wire.meta(envelope) for envelope in listed}
    version = max(previous.version + 1 if previous else 1, least)
    return Snapshot(version, expires=expires_at(at, lifetime), meta=meta)


def next_timestamp(
    *,
    previous: Envelope | None,
    snapshot: Envelope,
    at: datetime,
    lifetime: timedelta,
    wire: WireFormat,
    least: int = 1,
) -> Timestamp:
    """The successor of `previous`, which names `snapshot`. `least`: the lowest version that it may have."""
    version = max(previous.version + 1 if previous else 1, least)
    return Timestamp(version, expires=expires_at(at, lifetime), snapshot_meta=wire.meta(snapshot))
