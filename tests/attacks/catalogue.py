"""Attacks on a collection, by name: what the attacker does, and what a client must answer.

The attacker owns the network and the server, and, where the name says so, keys. `regular` is a client that has seen the
good state, `newcomer` one that has the pin only; None: there is nothing that it could notice.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from tests.attacks import moves
from tests.attacks.moves import set_member
from tests.simulator import keyring
from tests.simulator.scene import EVIL, Scene
from trustdata.errors import (
    ContentMismatch,
    DelegationOutOfScope,
    MalformedMetadata,
    MetadataExpired,
    MetadataMissing,
    NotSigned,
    ReleaseConflict,
    RootNotPinned,
    ThresholdNotMet,
    TooLarge,
    TrustDataWithheld,
    TrustError,
    VersionMismatch,
    VersionRollback,
)
from trustdata.roles import RELEASES, ROOT, SNAPSHOT, TARGETS, TIMESTAMP, RoleName

ALICE: Final = RoleName("targets/alice")

Refusal = type[TrustError]
Move = Callable[[Scene], object]


@dataclass(frozen=True, kw_only=True)
class Attack:
    """`role`: what the refusal must name, where it names a role."""

    name: str
    move: Move
    regular: Refusal | None
    newcomer: Refusal | None
    role: str = ""

    def __str__(self) -> str:
        return self.name


def _both(name: str, move: Move, refusal: Refusal, role: str = "") -> Attack:
    return Attack(name=name, move=move, regular=refusal, newcomer=refusal, role=role)


def _rollback(name: str, move: Move, role: str, newcomer: Refusal | None = None) -> Attack:
    return Attack(name=name, move=move, regular=VersionRollback, newcomer=newcomer, role=role)


ROLLBACKS: Final = (
    _rollback("replay-timestamp", lambda s: moves.replay(s, TIMESTAMP), TIMESTAMP),
    _rollback("replay-everything", moves.replay_all, TIMESTAMP),
    _rollback("online-keys-name-old-snapshot", moves.name_old_snapshot, SNAPSHOT),
    _rollback("online-keys-list-old-targets", lambda s: moves.list_old(s, TARGETS), TARGETS),
    _rollback("online-keys-list-old-releases", lambda s: moves.list_old(s, RELEASES), RELEASES),
    _rollback("snapshot-drops-targets", lambda s: s.forger.list_in_snapshot(TARGETS, None), TARGETS, MetadataMissing),
    _rollback(
        "snapshot-drops-releases", lambda s: s.forger.list_in_snapshot(RELEASES, None), RELEASES, MetadataMissing
    ),
    _rollback("snapshot-drops-a-signer", lambda s: s.forger.list_in_snapshot(ALICE, None), ALICE),
)

MIXES: Final = (
    _both("old-snapshot-in-place-of-the-new", lambda s: moves.swap(s, SNAPSHOT), ContentMismatch, SNAPSHOT),
    _both("old-targets-in-place-of-the-new", lambda s: moves.swap(s, TARGETS), ContentMismatch, TARGETS),
    _both("old-releases-in-place-of-the-new", lambda s: moves.swap(s, RELEASES), ContentMismatch, RELEASES),
    Attack(
        name="old-snapshot-where-no-hash-is-listed",
        move=lambda s: moves.swap_without_hashes(s, SNAPSHOT),
        regular=VersionRollback,
        newcomer=VersionMismatch,
    ),
    _both(
        "old-targets-where-no-hash-is-listed",
        lambda s: moves.swap_without_hashes(s, TARGETS),
        VersionMismatch,
        TARGETS,
    ),
    _both(
        "old-releases-where-no-hash-is-listed",
        lambda s: moves.swap_without_hashes(s, RELEASES),
        VersionMismatch,
        RELEASES,
    ),
)


def _of_each(name: str, move: Callable[[Scene, RoleName], object], **refusals: Refusal) -> tuple[Attack, ...]:
    roles = {"root": ROOT, "timestamp": TIMESTAMP, "snapshot": SNAPSHOT, "targets": TARGETS, "releases": RELEASES}
    return tuple(
        _both(f"{name}-{short}", lambda s, r=roles[short]: move(s, r), refusal, roles[short])  # type: ignore[misc]
        for short, refusal in refusals.items()
    )


FREEZES: Final = _of_each(
    "expired",
    moves.expire,
    root=MetadataExpired,
    timestamp=MetadataExpired,
    snapshot=MetadataExpired,
    targets=MetadataExpired,
    releases=MetadataExpired,
)

BYTES: Final = (
    *_of_each(
        "tampered",
        lambda s, r: moves.tamper(s, r, fitting=False),
        timestamp=ThresholdNotMet,
        snapshot=ContentMismatch,
        targets=ContentMismatch,
        releases=ContentMismatch,
    ),
    *_of_each(
        "tampered-with-fitting-hashes",
        lambda s, r: moves.tamper(s, r, fitting=True),
        root=ThresholdNotMet,
        timestamp=ThresholdNotMet,
        snapshot=ThresholdNotMet,
        targets=ThresholdNotMet,
        releases=ThresholdNotMet,
    ),
    *_of_each(
        "truncated",
        moves.truncate,
        timestamp=MalformedMetadata,
        snapshot=ContentMismatch,
        targets=ContentMismatch,
        releases=ContentMismatch,
    ),
    *_of_each("longer-than-listed", moves.lengthen, snapshot=TooLarge, targets=TooLarge, releases=TooLarge),
    *_of_each(
        "endless",
        moves.endless,
        root=TooLarge,
        timestamp=TooLarge,
        snapshot=TooLarge,
        targets=TooLarge,
        releases=TooLarge,
    ),
)

ABSENCES: Final = (
    _both("everything-withheld", moves.withhold_all, TrustDataWithheld),
    _both("timestamp-withheld", lambda s: moves.withhold(s, TIMESTAMP), TrustDataWithheld),
    *_of_each(
        "file-withheld",
        moves.withhold,
        snapshot=MetadataMissing,
        targets=MetadataMissing,
        releases=MetadataMissing,
    ),
)

SIGNATURES: Final = (
    *_of_each(
        "unsigned",
        moves.sign_with,
        root=ThresholdNotMet,
        timestamp=ThresholdNotMet,
        snapshot=ThresholdNotMet,
        targets=ThresholdNotMet,
        releases=ThresholdNotMet,
    ),
    *_of_each(
        "signed-by-a-stranger",
        lambda s, r: moves.sign_with(s, r, "mallory"),
        root=ThresholdNotMet,
        timestamp=ThresholdNotMet,
        snapshot=ThresholdNotMet,
        targets=ThresholdNotMet,
        releases=ThresholdNotMet,
    ),
    *_of_each(
        "signed-by-a-key-of-another-role",
        lambda s, r: moves.sign_with(s, r, "bob" if r != RELEASES else "snapshot"),
        root=ThresholdNotMet,
        timestamp=ThresholdNotMet,
        snapshot=ThresholdNotMet,
        targets=ThresholdNotMet,
        releases=ThresholdNotMet,
    ),
    _both("targets-signed-by-a-replaced-key", moves.removed_targets_key, ThresholdNotMet, TARGETS),
    _both("releases-signed-by-a-removed-signer", moves.removed_signer, ThresholdNotMet, RELEASES),
    _both("root-signed-by-a-removed-root-key", moves.removed_root_key, ThresholdNotMet, ROOT),
    _both("one-signature-of-two", moves.one_signature_of_two, ThresholdNotMet, TARGETS),
    _both(
        "one-key-two-ids-newline",
        lambda s: moves.one_key_under_two_ids(s, keyring.signer("targets"), moves.with_newline),
        ThresholdNotMet,
        TARGETS,
    ),
    _both(
        "one-key-two-ids-key-type",
        lambda s: moves.one_key_under_two_ids(s, keyring.signer("targets"), moves.of_other_type),
        ThresholdNotMet,
        TARGETS,
    ),
    _both(
        "one-key-two-ids-capitals",
        lambda s: moves.one_key_under_two_ids(s, keyring.ed25519_signer("targets"), moves.in_capitals),
        ThresholdNotMet,
        TARGETS,
    ),
    _both(
        "one-key-two-ids-gaps",
        lambda s: moves.one_key_under_two_ids(s, keyring.ed25519_signer("targets"), moves.with_gaps),
        ThresholdNotMet,
        TARGETS,
    ),
)

ROOTS: Final = (
    _both("root-skips-a-version", lambda s: moves.root_with_version(s, 2), VersionMismatch, ROOT),
    _both("root-repeats-its-version", lambda s: moves.root_with_version(s, 0), VersionMismatch, ROOT),
    _both("root-signed-by-new-keys-only", lambda s: moves.take_over_root(s, "mallory"), ThresholdNotMet, ROOT),
    _both("root-signed-by-old-keys-only", lambda s: moves.take_over_root(s, "root"), ThresholdNotMet, ROOT),
    Attack(name="another-collection", move=moves.another_collection, regular=ThresholdNotMet, newcomer=RootNotPinned),
)


def _tag_in_targets(scene: Scene) -> None:
    set_member(scene, TARGETS, lambda d: d["targets"].update({"1.0": {"hashes": {"sha256": EVIL}, "length": 1}}))


def _releases_for_other_tags(scene: Scene) -> None:
    set_member(scene, TARGETS, lambda d: d["delegations"]["roles"][0].update(paths=["v*"]))


def _only_sha512(scene: Scene) -> None:
    set_member(scene, RELEASES, lambda d: d["targets"]["1.0"].update(hashes={"sha512": EVIL * 2}))


def _unknown_hash_of_targets(scene: Scene) -> None:
    _next_listed(scene, TARGETS, {"md5": "ab" * 16})


def _next_listed(scene: Scene, role: RoleName, hashes: dict[str, str]) -> None:
    set_member(scene, role, lambda _: None)

    def change(snapshot: dict[str, dict[str, dict[str, object]]]) -> None:
        snapshot["meta"][f"{role}.json"]["hashes"] = hashes

    set_member(scene, SNAPSHOT, change)


def _releases_not_delegated(scene: Scene) -> None:
    set_member(scene, TARGETS, lambda d: d.pop("delegations"))


LOOKUPS: Final = (
    _both("tag-in-targets-and-releases", _tag_in_targets, ReleaseConflict),
    _both("releases-beyond-its-paths", _releases_for_other_tags, DelegationOutOfScope, RELEASES),
    _both("tag-without-sha256", _only_sha512, ContentMismatch, RELEASES),
    _both("targets-listed-with-an-unknown-hash", _unknown_hash_of_targets, ContentMismatch, TARGETS),
    _both("releases-no-longer-delegated", _releases_not_delegated, NotSigned),
)

ATTACKS: Final = (*ROLLBACKS, *MIXES, *FREEZES, *BYTES, *ABSENCES, *SIGNATURES, *ROOTS, *LOOKUPS)
