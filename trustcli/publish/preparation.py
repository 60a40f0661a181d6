"""Turn the contents of an edit into signed and judged uploads: all steps of a publish but sending.

A real publish signs with the held keys, a plan with promises (`trustdata.editing.promises`); both obey these rules.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Protocol

from keys.algorithms import accepted_fingerprints
from keys.errors import KeyNotFound
from keys.keyid import short_keyid
from trustcli.publish.compromised_keys import NONE_KNOWN, Barred, Compromised, check_none_returns
from trustdata.editing.derived_roles import next_snapshot
from trustdata.editing.owner_roles import OwnerRoles
from trustdata.editing.repository_editor import Contents, name_root, public_keys, signing_keys
from trustdata.editing.signing import sign
from trustdata.envelope import Envelope
from trustdata.gun import GUN
from trustdata.model import Key, Signer
from trustdata.roles import ONLINE, ROOT, SNAPSHOT, RoleName
from trustdata.verification.candidate_set import judge_upload
from trustdata.wire import WireFormat

Roles = Mapping[RoleName, Envelope]

_log = logging.getLogger(__name__)


class HeldKeys(Protocol):
    """The private keys that can be used. Public keys are passed by the ids that the documents give them."""

    def held(self, keys: Mapping[str, Key]) -> frozenset[str]:
        """Return the ids of those of `keys` that could sign."""

    def opened(self, keys: Mapping[str, Key]) -> frozenset[str]:
        """Return the ids of those of `keys` that sign without asking for a passphrase."""

    def signer(self, key: Key) -> Signer:
        """Open a held key, and return a signer that signs under the id of `key`. Raises: KeysError."""


def prepare(
    gun: GUN,
    roles: OwnerRoles,
    contents: Contents,
    *,
    keys: HeldKeys,
    wire: WireFormat,
    at: datetime,
    compromised: Compromised = NONE_KNOWN,
) -> dict[RoleName, Envelope]:
    """Sign the contents and judge them as an upload. Every root that is signed here names the collection.

    Nothing is signed on top of a file that nobody vouches for (docs/adr/0041), or that the owner has to see before and
    has not (docs/adr/0122). `compromised`: keys that are not put in place, and sign only the root that takes them out.
    Raises: NotVouchedFor, KeyCompromised, KeyNotFound (names role and keys), ContentUnseen, KeysError, NotTrusted,
    PublishRefused.
    """
    roles.check_vouched(contents)
    check_none_returns(roles, contents, compromised)
    contents = name_root(gun, contents, wire)
    keys_by_id = public_keys(roles, contents)
    barred = Barred(contents, keys_by_id, compromised)
    uploads: dict[RoleName, Envelope] = {}

    def chosen(role: RoleName) -> list[str]:
        return _choose(gun, role, signing_keys(roles, contents, role), keys_by_id, keys, barred=barred)

    for role in contents:
        chosen(role)  # whoever cannot sign it need not look at it
    roles.check_seen(contents)
    for role, content in contents.items():
        keyids = chosen(role)  # anew: keys that were opened for the roles before come first
        _log.info("%s: %s is signed with %s", gun, role, ", ".join(map(short_keyid, keyids)))
        signers = [keys.signer(keys_by_id[keyid]) for keyid in keyids]
        uploads[role] = sign(content, signers, role=role, wire=wire)
    snapshot = _own_snapshot(roles, uploads, keys_by_id, keys=keys, wire=wire, at=at, barred=barred)
    if snapshot is not None:
        uploads[SNAPSHOT] = snapshot
    # A role that clients refuse was broken before: it is judged only if it is signed again.
    stored = roles.stored().items()
    judged = {role: file for role, file in stored if role not in roles.faults or role in contents}
    judge_upload(gun=gun, stored=judged, uploads=uploads, at=at, wire=wire)
    return uploads


def _own_snapshot(
    roles: OwnerRoles,
    uploads: Mapping[RoleName, Envelope],
    keys_by_id: Mapping[str, Key],
    *,
    keys: HeldKeys,
    wire: WireFormat,
    at: datetime,
    barred: Barred,
) -> Envelope | None:
    """Return the next snapshot if the format lets owners hold its key and the key is here; else None.

    Raises: KeyCompromised, KeysError.
    """
    if not wire.upload_rules.may_include_snapshot:
        return None
    root = (uploads.get(ROOT) or roles[ROOT]).root
    role = root.roles[SNAPSHOT]
    here = [keyid for keyid in role.keyids if keyid in keys.held(keys_by_id)]
    own = [keyid for keyid in here if keyid not in barred.ids(SNAPSHOT)]
    barred.check_enough(own, here, SNAPSHOT, role.threshold)
    if len(own) < role.threshold:
        return None
    # The stored file of a role that clients refuse stays listed as it is.
    every = {name: envelope for name, envelope in {**roles.sound(), **uploads}.items() if name not in ONLINE}
    content = next_snapshot(
        previous=roles.get(SNAPSHOT),
        changed=every.values(),
        at=at,
        lifetime=wire.lifetimes.snapshot,
        wire=wire,
    )
    return sign(content, [keys.signer(keys_by_id[keyid]) for keyid in own[: role.threshold]], role=SNAPSHOT, wire=wire)


def _choose(
    gun: GUN,
    role: RoleName,
    needs: Iterable[tuple[tuple[str, ...], int]],
    keys_by_id: Mapping[str, Key],
    keys: HeldKeys,
    *,
    barred: Barred,
) -> list[str]:
    """Return the ids of the fewest keys that meet every threshold, keys that are open first.

    A root is signed by all of its keys that are open. A key in two encodings meets no threshold of two.
    """
    here = keys.held(keys_by_id)
    held, opened = here - barred.ids(role), keys.opened(keys_by_id) - barred.ids(role)
    chosen: dict[str, None] = {}
    for keyids, threshold in needs:
        ready = _distinct((keyid for keyid in keyids if keyid in opened), keys_by_id)
        usable = _distinct([*ready, *(keyid for keyid in keyids if keyid in held)], keys_by_id)
        barred.check_enough(usable, here.intersection(keyids), role, threshold)
        if len(usable) < threshold:
            candidates = ", ".join(short_keyid(keyid) for keyid in keyids)
            raise KeyNotFound(key=f"for {role} of {gun} ({threshold} of: {candidates})")
        chosen |= dict.fromkeys(usable[: max(threshold, len(ready))] if role == ROOT else usable[:threshold])
    return list(chosen)


def _distinct(keyids: Iterable[str], keys_by_id: Mapping[str, Key]) -> list[str]:
    """Return the first id of each public key, in order. A key that is not accepted signs for nobody."""
    first: dict[str, str] = {}
    for keyid in keyids:
        for fingerprint in accepted_fingerprints([keys_by_id[keyid]]):
            first.setdefault(fingerprint, keyid)
    return list(first.values())
