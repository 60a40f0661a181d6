"""Compute the next snapshot and timestamp from the other roles, as the server does after each change."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta

from trustdata.envelope import Envelope
from trustdata.lifetimes import expires_at
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
    """Return the next snapshot after `previous`, with the new versions of the `changed` roles.

    `changed`: targets, delegations, and root if the snapshots of the format list it; empty for a renewal. `least`: the
    lowest version that the snapshot may have. A role that is no longer delegated stays listed, because a snapshot drops
    nothing (TUF specification 1.0, section 5.5.5).
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
    """Return the next timestamp after `previous`, for `snapshot`. `least`: the lowest version that it may have."""
    version = max(previous.version + 1 if previous else 1, least)
    return Timestamp(version, expires=expires_at(at, lifetime), snapshot_meta=wire.meta(snapshot))
