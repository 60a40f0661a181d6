"""From the contents of an edit to signed uploads that are judged: all of a publish but the sending of it.

A publish signs with the keys at hand, a plan with promises (`trustdata.editing.promises`): the rules are these.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Protocol

from keys.errors import KeyNotFound
from trustdata.editing.repository_editor import Contents, signing_keys
from trustdata.editing.signing import sign
from trustdata.envelope import Envelope
from trustdata.gun import GUN
from trustdata.model import Content, Signer
from trustdata.roles import ROOT, RoleName
from trustdata.verification.candidate_set import judge_upload
from trustdata.wire import WireFormat

Roles = Mapping[RoleName, Envelope]


class HeldKeys(Protocol):
    """The private keys at hand."""

    def held(self) -> frozenset[str]:
        """The ids of all keys that could sign."""

    def opened(self) -> frozenset[str]:
        """The ids of those that sign without asking anybody for a passphrase."""

    def signer(self, keyid: str) -> Signer:
        """Open a key. Raises: KeysError."""


def prepare(
    gun: GUN, roles: Roles, contents: Contents, *, keys: HeldKeys, wire: WireFormat, at: datetime
) -> dict[RoleName, Envelope]:
    """Sign and judge. Raises: KeyNotFound naming role and keys, NotTrusted, PublishRefused."""
    uploads: dict[RoleName, Envelope] = {}
    for role, content in contents.items():
        signers = [keys.signer(keyid) for keyid in _choose(gun, roles, contents, role, keys)]
        uploads[role] = sign(content, signers, role=role, wire=wire)
    judge_upload(gun=gun, stored=roles, uploads=uploads, at=at, wire=wire)
    return uploads


def _choose(gun: GUN, roles: Roles, contents: Mapping[RoleName, Content], role: RoleName, keys: HeldKeys) -> list[str]:
    """The fewest keys that meet every need, those that are open first; a root is signed by all open ones."""
    held, opened = keys.held(), keys.opened()
    chosen: dict[str, None] = {}
    for keyids, threshold in signing_keys(roles, contents, role):
        ready = [keyid for keyid in keyids if keyid in opened]
        usable = [*ready, *(keyid for keyid in keyids if keyid in held and keyid not in opened)]
        if len(usable) < threshold:
            wanted = ", ".join(keyid[:12] for keyid in keyids)
            raise KeyNotFound(key=f"for {role} of {gun} ({threshold} of: {wanted})")
        chosen |= dict.fromkeys(usable[: max(threshold, len(ready))] if role == ROOT else usable[:threshold])
    return list(chosen)
