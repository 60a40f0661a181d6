"""Somebody who publishes in Notary v1: holds root, targets, delegation keys, and, if wanted, the snapshot's."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from keys.algorithms import Algorithm, generate
from keys.certificate import root_certificate
from keys.notary import NotaryKey
from tests.support.server_owner import DIGEST, NOW
from trustdata.editing.derived_roles import next_snapshot
from trustdata.editing.signing import sign
from trustdata.envelope import Envelope
from trustdata.model import (
    Content,
    Delegations,
    Key,
    NotaryRoot,
    NotaryTargets,
    PrefixRole,
    Role,
    Signer,
    TargetFile,
)
from trustdata.roles import ONLINE, ROOT, SNAPSHOT, TARGETS, TOP_LEVEL, RoleName
from trustdata.wire.notary import NOTARY

EVERYTHING = [""]


class NotaryOwner:
    """Versions go up by one with each file that is written; targets begin at 2, as the clients' do."""

    def __init__(self, gun: str, *, at: datetime = NOW, holds_snapshot: bool = False) -> None:
        self.gun = gun
        self.at = at
        self.keys: dict[RoleName, Signer] = {TARGETS: bare_signer()}
        self.root_keys = [self.root_signer()]
        self.online: dict[RoleName, Key] = {}
        if holds_snapshot:
            self.keys[SNAPSHOT] = bare_signer()
        self.versions: dict[RoleName, int] = {TARGETS: 1}
        self.tags: dict[str, str] = {"1.0": DIGEST}
        self.delegated: dict[RoleName, list[Key]] = {}
        self.written: dict[RoleName, Envelope] = {}

    def root_signer(self, gun: str = "") -> Signer:
        private = generate(Algorithm.ECDSA_P256)
        return NOTARY.signer(private, root_certificate(private, gun=gun or self.gun, at=self.at))

    def learn(self, role: RoleName, answer: Mapping[str, Any]) -> None:
        """Take a key as the server's API gives it."""
        self.online[role] = NotaryKey.of(answer["keytype"], answer["keyval"]["public"])

    def root(self, *, signers: Sequence[Signer] | None = None, **changes: Any) -> bytes:
        named: dict[RoleName, list[Key]] = {
            ROOT: [signer.public_key for signer in self.root_keys],
            TARGETS: [self.keys[TARGETS].public_key],
            **{role: [self.keys[role].public_key if role in self.keys else self.online[role]] for role in ONLINE},
        }
        keys = {key.keyid: key for each in named.values() for key in each}
        roles = {str(role): Role([key.keyid for key in named[role]], 1) for role in TOP_LEVEL}
        content = NotaryRoot(self._next(ROOT), None, self.at + timedelta(days=3650), keys, roles, False, {})
        return self._signed(content, signers or self.root_keys, ROOT, changes)

    def targets(self, role: RoleName = TARGETS, *, signers: Sequence[Signer] | None = None, **changes: Any) -> bytes:
        """Targets, or a delegation."""
        listed = {tag: TargetFile(1000, {"sha256": digest}, tag) for tag, digest in self.tags.items()}
        content = NotaryTargets(
            self._next(role), None, self.at + timedelta(days=1095), listed, self._delegations(role), {}
        )
        return self._signed(content, signers or [self.keys[role]], role, changes)

    def add_delegation(self, name: str) -> RoleName:
        """Its key; the next targets delegate to it."""
        role = RoleName(name)
        self.keys[role] = bare_signer()
        self.delegated[role] = [self.keys[role].public_key]
        return role

    def snapshot(self, **changes: Any) -> bytes:
        """Over what was written last."""
        content = next_snapshot(
            previous=self.written.get(SNAPSHOT),
            changed=[envelope for role, envelope in self.written.items() if role != SNAPSHOT],
            at=self.at,
            lifetime=timedelta(days=1095),
            wire=NOTARY,
        )
        return self._signed(content, [self.keys[SNAPSHOT]], SNAPSHOT, changes)

    def first_upload(self) -> dict[RoleName, bytes]:
        """The online keys must have been learned."""
        files = {ROOT: self.root(), TARGETS: self.targets()}
        return {**files, SNAPSHOT: self.snapshot()} if SNAPSHOT in self.keys else files

    def _delegations(self, role: RoleName) -> Delegations:
        below = {name: keys for name, keys in self.delegated.items() if name.rpartition("/")[0] == role}
        keys = {key.keyid: key for each in below.values() for key in each}
        return Delegations(
            keys,
            {
                name: PrefixRole(name, [key.keyid for key in each], 1, terminating=False, paths=EVERYTHING)
                for name, each in below.items()
            },
        )

    def _next(self, role: RoleName) -> int:
        self.versions[role] = self.versions.get(role, 0) + 1
        return self.versions[role]

    def _signed(self, content: Content, signers: Sequence[Signer], role: RoleName, changes: Mapping[str, Any]) -> bytes:
        for name, value in changes.items():
            setattr(content, name, value)
        self.written[role] = sign(content, signers, role=role, wire=NOTARY)
        return self.written[role].raw


def bare_signer() -> Signer:
    return NOTARY.signer(generate(Algorithm.ECDSA_P256))


def content_of(raw: bytes) -> dict[str, Any]:
    """What stands under `signed`."""
    signed: dict[str, Any] = json.loads(raw)["signed"]
    return signed
