"""The client's state machine itself: its order, and what it says before anything was loaded."""

from __future__ import annotations

import pytest

from tests.simulator.attacks.moves import expire
from tests.simulator.client import Client
from tests.simulator.scene import good_collection
from trustcli.client.local_state import Known
from trustcli.client.updater import Updater
from trustdata.errors import MalformedMetadata, MetadataExpired, MetadataMissing, ThresholdNotMet
from trustdata.roles import RELEASES, ROOT, SNAPSHOT, TARGETS, TIMESTAMP, RoleName
from trustdata.verification.trusted_set import TrustedSet
from trustdata.wire.tuf import TUF


def _loaded(*, until: str = "") -> tuple[TrustedSet, dict[RoleName, bytes]]:
    """A trusted set with the good collection up to, not including, a step."""
    server = good_collection().server
    raw = {role: envelope.raw for role, envelope in server.stored.items()}
    trusted = TrustedSet(gun=server.gun, root=raw[ROOT], wire=TUF, at=server.at)
    for role, step in (
        (TIMESTAMP, trusted.update_timestamp),
        (SNAPSHOT, trusted.update_snapshot),
        (TARGETS, trusted.update_targets),
    ):
        if role == until:
            break
        step(raw[role])
    return trusted, raw


def test_steps_out_of_order_are_programming_errors() -> None:
    trusted, raw = _loaded(until=TIMESTAMP)
    with pytest.raises(RuntimeError, match="timestamp comes before"):
        trusted.update_snapshot(raw[SNAPSHOT])
    trusted.update_timestamp(raw[TIMESTAMP])
    with pytest.raises(RuntimeError, match="roots come before"):
        trusted.update_root(raw[ROOT])
    with pytest.raises(RuntimeError, match="snapshot comes before"):
        trusted.update_targets(raw[TARGETS])
    trusted.update_snapshot(raw[SNAPSHOT])
    with pytest.raises(RuntimeError, match="timestamp comes before"):
        trusted.update_timestamp(raw[TIMESTAMP])
    with pytest.raises(RuntimeError, match="must be loaded before"):
        trusted.update_targets(raw[RELEASES], RELEASES, TARGETS)
    trusted.update_targets(raw[TARGETS])
    with pytest.raises(RuntimeError, match="snapshot comes before"):
        trusted.update_snapshot(raw[SNAPSHOT])
    assert trusted.update_targets(raw[RELEASES], RELEASES, TARGETS).version == 3
    assert trusted.is_verified_for(RELEASES, TARGETS)
    assert not trusted.is_verified_for(RELEASES, ROOT)


def test_what_is_vouched_for_grows() -> None:
    trusted, raw = _loaded(until=TIMESTAMP)
    assert trusted.versions() == {ROOT: 2}
    trusted.update_timestamp(raw[TIMESTAMP])
    assert trusted.versions() == {ROOT: 2, TIMESTAMP: 7}
    trusted.update_snapshot(raw[SNAPSHOT])
    assert trusted.versions() == {ROOT: 2, TIMESTAMP: 7, SNAPSHOT: 7, TARGETS: 4, RELEASES: 3, "targets/alice": 1}


def test_a_first_root_must_be_signed_by_itself() -> None:
    server = good_collection().server
    with pytest.raises(ThresholdNotMet):
        TrustedSet(gun=server.gun, root=TUF.serialize(server.stored[ROOT].content, {}), wire=TUF, at=server.at)
    with pytest.raises(MalformedMetadata):
        TrustedSet(gun=server.gun, root=server.stored[TARGETS].raw, wire=TUF, at=server.at)


def test_replaced_keys_are_seen_from_a_known_version_only() -> None:
    trusted, _ = _loaded(until=TIMESTAMP)
    assert not trusted.replaced_online_keys(2)
    assert not trusted.replaced_online_keys(1)


def test_an_expired_timestamp_stays_as_a_baseline_and_carries_nothing() -> None:
    scene = good_collection()
    expire(scene, TIMESTAMP)
    trusted, raw = _loaded(until=TIMESTAMP)
    with pytest.raises(MetadataExpired):
        trusted.update_timestamp(scene.server.files["timestamp.json"])
    assert trusted.timestamp is not None
    with pytest.raises(MetadataExpired):
        trusted.update_snapshot(raw[SNAPSHOT])


def test_a_role_that_the_snapshot_does_not_list() -> None:
    trusted, _ = _loaded()
    with pytest.raises(MetadataMissing):
        trusted.role_meta(RoleName("targets/nobody"))


def test_an_updater_answers_after_its_refresh() -> None:
    scene = good_collection()
    updater = Updater(
        gun=scene.server.gun,
        wire=TUF,
        remote=scene.server,
        known=Known(cache=Client(scene.server).cache),
        at=scene.server.at,
    )
    with pytest.raises(RuntimeError, match="refresh first"):
        updater.roles()
