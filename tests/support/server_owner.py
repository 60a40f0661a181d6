"""Somebody who publishes: holds root, targets and signer keys, and writes uploads with python-tuf's classes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from securesystemslib.signer import CryptoSigner, SSlibKey

from trustdata.editing.signing import sign
from trustdata.model import Content, DelegatedRole, Delegations, Root, Signer, TargetFile, Targets
from trustdata.roles import ROOT, TARGETS, RoleName
from trustdata.wire.tuf import TUF

NOW = datetime(2026, 11, 1, 12, 0, 0, tzinfo=UTC)
DIGEST = "ab" * 32


class Owner:
    """Writes one collection's root, targets and delegations. Versions go up by one with each file that is written."""

    def __init__(self, at: datetime = NOW) -> None:
        self.at = at
        self.root_keys = [CryptoSigner.generate_ecdsa()]
        self.targets_key = CryptoSigner.generate_ecdsa()
        self.signers: dict[RoleName, CryptoSigner] = {}
        self.online: dict[str, SSlibKey] = {}
        self.versions: dict[RoleName, int] = {}
        self.tags: dict[str, str] = {}

    def learn(self, role: str, answer: Mapping[str, Any]) -> None:
        """Take a key as the server's API gives it."""
        key = SSlibKey.from_dict(answer["keyid"], dict(answer["key"]))
        self.online[role] = key

    def root(self, *, signers: Sequence[Signer] | None = None, **changes: Any) -> bytes:
        root = Root(self._next(ROOT), expires=self.at + timedelta(days=730), consistent_snapshot=True)
        for signer in self.root_keys:
            root.add_key(signer.public_key, ROOT)
        root.add_key(self.targets_key.public_key, TARGETS)
        for role, key in self.online.items():
            root.add_key(key, role)
        for name, value in changes.items():
            setattr(root, name, value)
        return self._signed(root, signers if signers is not None else list(self.root_keys), ROOT)

    def targets(self, *, signers: Sequence[Signer] | None = None, **changes: Any) -> bytes:
        targets = Targets(self._next(TARGETS), expires=self.at + timedelta(days=365), targets=_files(self.tags))
        if self.signers:
            keys = {s.public_key.keyid: s.public_key for s in self.signers.values()}
            roles = {
                str(name): DelegatedRole(name, [s.public_key.keyid], 1, terminating=False, paths=["*"])
                for name, s in self.signers.items()
            }
            targets.delegations = Delegations(dict(keys), roles)
        for name, value in changes.items():
            setattr(targets, name, value)
        return self._signed(targets, signers if signers is not None else [self.targets_key], TARGETS)

    def delegation(self, role: RoleName, tags: Mapping[str, str]) -> bytes:
        content = Targets(self._next(role), expires=self.at + timedelta(days=365), targets=_files(tags))
        return self._signed(content, [self.signers[role]], role)

    def add_signer(self, name: str) -> RoleName:
        role = RoleName(f"targets/{name}")
        self.signers[role] = CryptoSigner.generate_ecdsa()
        return role

    def first_upload(self) -> dict[RoleName, bytes]:
        """Root and targets; the online keys must have been learned."""
        return {ROOT: self.root(), TARGETS: self.targets()}

    def _next(self, role: RoleName) -> int:
        self.versions[role] = self.versions.get(role, 0) + 1
        return self.versions[role]

    def _signed(self, content: Content, signers: Sequence[Signer], role: RoleName) -> bytes:
        return sign(content, signers, role=role, wire=TUF).raw


def _files(tags: Mapping[str, str]) -> dict[str, TargetFile]:
    return {tag: TargetFile(1000, {"sha256": digest}, tag) for tag, digest in tags.items()}
