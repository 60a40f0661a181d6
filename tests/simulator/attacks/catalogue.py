"""Attacks on a collection, by name: what the attacker does, and what a client must answer.

The attacker owns the network and the server, and, where the name says so, keys. `regular` is a client that has seen the
good state, `newcomer` one that has the pin only; None: there is nothing that it could notice.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Final

from tests.simulator import keyring
from tests.simulator.attacks import moves
from tests.simulator.attacks.moves import set_member
from tests.simulator.scene import EVIL, Scene
from trustdata.errors import (
    CertificateOfAnotherName,
    ContentMismatch,
    DelegationOutOfScope,
    LivesTooLong,
    MalformedMetadata,
    MetadataExpired,
    MetadataMissing,
    NotSigned,
    ReleaseConflict,
    RootNotPinned,
    TargetUnusable,
    ThresholdNotMet,
    TooLarge,
    TrustDataWithheld,
    TrustError,
    VersionMismatch,
    VersionRollback,
)
from trustdata.roles import RELEASES, ROOT, SNAPSHOT, TARGETS, TIMESTAMP, RoleName
from trustdata.wire import WireFormat
from trustdata.wire.notary import NOTARY
from trustdata.wire.tuf import TUF

ALICE: Final = RoleName("targets/alice")

Refusal = type[TrustError]
Move = Callable[[Scene], object]


@dataclass(frozen=True, kw_only=True)
class Attack:
    """`role`: what the refusal must name, where it names a role. `without_memory`: what a client answers that has lost
    its rollback memory but not its cache, where that is not what `regular` says.
    """

    name: str
    move: Move
    regular: Refusal | None
    newcomer: Refusal | None
    role: str = ""
    without_memory: Refusal | None = None
    wire: WireFormat = TUF

    def __str__(self) -> str:
        return f"{self.name}-{self.wire.name}"


def _both(name: str, move: Move, refusal: Refusal, role: str = "") -> Attack:
    return Attack(name=name, move=move, regular=refusal, newcomer=refusal, role=role, without_memory=refusal)


def _rollback(name: str, move: Move, role: str, newcomer: Refusal | None = None) -> Attack:
    return Attack(
        name=name, move=move, regular=VersionRollback, newcomer=newcomer, role=role, without_memory=VersionRollback
    )


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
        without_memory=VersionRollback,
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

LONG_LIVES: Final = _of_each("signed-for-ten-years", moves.ten_years, timestamp=LivesTooLong, snapshot=LivesTooLong)

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
)

TWO_SPELLINGS: Final = (
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
    Attack(
        name="another-collection",
        move=moves.another_collection,
        regular=RootNotPinned,
        newcomer=RootNotPinned,
        without_memory=RootNotPinned,
    ),
)


def _tag_in_targets(scene: Scene) -> None:
    set_member(scene, TARGETS, moves.set_tag(scene))


def _releases_for_other_tags(scene: Scene) -> None:
    paths = ["v*"] if scene.server.wire is TUF else ["v"]
    set_member(scene, TARGETS, lambda d: d["delegations"]["roles"][0].update(paths=paths))


def _only_sha512(scene: Scene) -> None:
    hashes = {"sha512": scene.server.written_hash(EVIL * 2)}
    set_member(scene, RELEASES, lambda d: d["targets"]["1.0"].update(hashes=hashes))


def _unknown_hash_of_targets(scene: Scene) -> None:
    _next_listed(scene, TARGETS, {"md5": "ab" * 16})


def _next_listed(scene: Scene, role: RoleName, hashes: dict[str, str]) -> None:
    set_member(scene, role, lambda _: None)

    def change(snapshot: dict[str, dict[str, dict[str, object]]]) -> None:
        snapshot["meta"][scene.forger.listed(role)]["hashes"] = hashes

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

OTHER_FORMAT: Final = (
    *_of_each(
        "in-the-other-format",
        moves.in_the_other_format,
        root=MalformedMetadata,
        timestamp=MalformedMetadata,
        snapshot=MalformedMetadata,
        targets=MalformedMetadata,
        releases=MalformedMetadata,
    ),
    Attack(
        name="everything-in-the-other-format",
        move=moves.everything_in_the_other_format,
        regular=MalformedMetadata,
        newcomer=MalformedMetadata,
        without_memory=MalformedMetadata,
    ),
)

IN_BOTH: Final = (
    *ROLLBACKS,
    *MIXES,
    *FREEZES,
    *LONG_LIVES,
    *BYTES,
    *ABSENCES,
    *SIGNATURES,
    *ROOTS,
    *LOOKUPS,
    *OTHER_FORMAT,
)

# --- what Notary v1 answers otherwise, and why


def _notary(name: str, regular: Refusal | None, newcomer: Refusal | None, role: str = "") -> Attack:
    attack = next(attack for attack in IN_BOTH if attack.name == name)
    return replace(attack, regular=regular, newcomer=newcomer, role=role, without_memory=regular, wire=NOTARY)


NOT_IN_NOTARY: Final = {
    "old-snapshot-where-no-hash-is-listed": "its reader refuses an entry without SHA-256",
    "old-targets-where-no-hash-is-listed": "its reader refuses an entry without SHA-256",
    "old-releases-where-no-hash-is-listed": "its reader refuses an entry without SHA-256",
}

IN_NOTARY_OTHERWISE: Final = (
    # A Notary v1 snapshot must list targets: without it the document is malformed, so it is not even a rollback.
    _notary("snapshot-drops-targets", MalformedMetadata, MalformedMetadata, SNAPSHOT),
    # A delegation without a file is docker's own first state: a newcomer finds what targets has.
    replace(_notary("snapshot-drops-releases", VersionRollback, None, RELEASES), without_memory=None),
    # The owner may drop a role that the owner removes; nobody asked for alice's signature here.
    _notary("snapshot-drops-a-signer", None, None),
    # A Notary v1 snapshot has no versions: each file's own is remembered, but not by a client without memory.
    replace(_notary("online-keys-list-old-targets", VersionRollback, None, TARGETS), without_memory=None),
    replace(_notary("online-keys-list-old-releases", VersionRollback, None, RELEASES), without_memory=None),
    # docker looks in targets/releases first and stops there: no conflict, and no EVIL.
    _notary("tag-in-targets-and-releases", None, None),
    # What a role lists beyond its paths does not count: targets decides.
    _notary("releases-beyond-its-paths", None, None),
    _notary("releases-no-longer-delegated", None, None),
    # Go clients sign such a target: it is refused alone, and the rest of the role is read.
    _notary("tag-without-sha256", TargetUnusable, TargetUnusable, RELEASES),
    # Every entry of a snapshot has a SHA-256, and no other hash but SHA-512 (docs/reference/notary-format.md).
    _notary("targets-listed-with-an-unknown-hash", MalformedMetadata, MalformedMetadata, SNAPSHOT),
)


def _two_ids(name: str, rewrite: Callable[[Scene], Callable[[moves.KeyObject], object]]) -> Attack:
    def move(scene: Scene) -> None:
        moves.one_key_under_two_ids(scene, scene.keys.signer("targets"), rewrite(scene))

    return replace(_both(name, move, ThresholdNotMet, TARGETS), wire=NOTARY)


def _two_root_certificates(scene: Scene) -> None:
    signer = scene.keys.root_signer("root")
    moves.one_key_under_two_ids(scene, signer, moves.certified(scene, "root"), ROOT)


IN_NOTARY_ONLY: Final = (
    _two_ids("one-key-bare-and-in-a-certificate", lambda s: moves.certified(s, "targets")),
    _two_ids("one-key-two-ids-spare-bits", lambda _: moves.spare_bits),
    *(
        replace(attack, wire=NOTARY)
        for attack in (
            _both("one-root-key-in-two-certificates", _two_root_certificates, ThresholdNotMet, ROOT),
            _both("root-certified-for-another-collection", moves.certified_for_another, CertificateOfAnotherName),
            _both("root-certificate-that-cannot-be-read", moves.not_readable, CertificateOfAnotherName),
            _both("root-without-certificate", moves.not_certified, CertificateOfAnotherName),
            # A Notary v1 snapshot lists root: a root that is hidden, or another one, is noticed at once.
            _both("snapshot-lists-another-root", moves.list_another_root, ContentMismatch, ROOT),
            _both("newest-root-hidden", moves.hide_the_newest_root, ContentMismatch, ROOT),
        )
    ),
)

_OTHERWISE: Final = {attack.name for attack in IN_NOTARY_OTHERWISE} | set(NOT_IN_NOTARY)

ATTACKS: Final = (
    *IN_BOTH,
    *TWO_SPELLINGS,
    *(replace(attack, wire=NOTARY) for attack in IN_BOTH if attack.name not in _OTHERWISE),
    *IN_NOTARY_OTHERWISE,
    *IN_NOTARY_ONLY,
)
