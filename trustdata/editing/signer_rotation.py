"""Give a signer a new key in the place of an old one: the delegations, and what must be signed again."""

from __future__ import annotations

from collections.abc import Mapping
from collections.abc import Set as AbstractSet
from typing import cast

from keys.algorithms import accepted_fingerprints, matching_keyids
from trustdata.editing.repository_editor import Contents, EditTerms, add_signer, renew
from trustdata.envelope import Envelope
from trustdata.errors import PublishRefused, ThresholdNotMet
from trustdata.model import DelegatedRole, Delegations, Key, Targets
from trustdata.roles import RELEASES, ROOT, TARGETS, RoleName, signer_role
from trustdata.verification.checks import check_signatures
from trustdata.verification.delegations import role_keys


def replace_signer_key(
    roles: Mapping[RoleName, Envelope], signer: str, *, add: Key, remove: str, terms: EditTerms
) -> Contents:
    """Return `targets` with another key of an existing signer, and the roles that must be signed again with it.

    `targets/releases` gets a new version, since the key that goes may have signed the last one. The signer's own role
    gets one unless its file verifies without that key. `add`: as the format encodes it. `remove`: the id of the key
    that goes; it goes in every encoding, and stays in `targets/releases` if it is another signer's, too, or the
    repository key.

    Raises: PublishRefused if fewer keys would be left than must sign.
    """
    name = signer_role(signer)
    changed = add_signer(roles, signer, [add], terms=terms)
    targets = cast("Targets", changed[TARGETS])
    delegations = cast("Delegations", targets.delegations)  # as `add_signer` makes it
    repository = accepted_fingerprints(role_keys(roles[ROOT].root, TARGETS).values())
    own = _taken_out(delegations, name, remove, kept=matching_keyids(delegations.keys, repository))
    if len(own.keyids) < own.threshold:
        reason = f"{own.threshold} keys must sign, and {len(own.keyids)} would be left"
        raise PublishRefused(role=name, reason=reason)
    again = [RELEASES] if RELEASES in roles else []
    if name in roles and not _verifies(targets, roles[name]):
        again.append(name)
    return changed | renew(roles, again, terms=terms)


def _taken_out(delegations: Delegations, name: RoleName, keyid: str, *, kept: AbstractSet[str]) -> DelegatedRole:
    """Take a key out of a signer's role and of the releases, in every encoding; drop keys that nobody uses.

    `kept`: the repository keys, which stay in the releases. Return the signer's role.
    """
    roles = delegations.roles or {}
    gone = matching_keyids(delegations.keys, accepted_fingerprints([delegations.keys[keyid]])) | {keyid}
    others = {k for other, role in roles.items() if other not in {name, RELEASES} for k in role.keyids}
    roles[name].keyids = [k for k in roles[name].keyids if k not in gone]
    staying = others | set(roles[name].keyids) | kept
    roles[RELEASES].keyids = [k for k in roles[RELEASES].keyids if k not in gone or k in staying]
    used = {k for role in roles.values() for k in role.keyids}
    delegations.keys = {k: key for k, key in delegations.keys.items() if k in used}
    return roles[name]


def _verifies(targets: Targets, file: Envelope) -> bool:
    try:
        check_signatures(targets, TARGETS, file)
    except ThresholdNotMet:
        return False
    return True
