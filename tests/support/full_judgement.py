"""Judge the whole state that a collection would have, every role and every tag: what `judge_upload` must agree with.

Slow and plain: each pair of delegator and role is verified, whatever has changed. The rules for one file are those of
the production code; which files they are applied to is what is tested.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

from trustdata.envelope import Envelope
from trustdata.errors import MetadataMissing, NotTrusted, WouldBreakRole
from trustdata.gun import GUN
from trustdata.model import Targets
from trustdata.roles import ONLINE, ROOT, SNAPSHOT, TARGETS, RoleName
from trustdata.verification import candidate_set, checks
from trustdata.verification.delegations import check_scope, reachable_delegations
from trustdata.verification.target_lookup import check_release_conflicts
from trustdata.wire import WireFormat

Roles = Mapping[RoleName, Envelope]


def judge_everything(*, gun: GUN, stored: Roles, uploads: Roles, at: datetime, wire: WireFormat) -> list[RoleName]:
    """The uploaded roles from the top down. Raises what `judge_upload` raises, maybe another error of several."""
    rules = wire.upload_rules
    candidate_set._check_uploaded_roles(stored, uploads, rules)
    candidate_set._check_versions(stored, uploads, rules)
    snapshot = uploads.get(SNAPSHOT)
    uploads = {role: envelope for role, envelope in uploads.items() if role != SNAPSHOT}
    roles = {role: envelope for role, envelope in stored.items() if role not in ONLINE} | uploads
    for role, envelope in uploads.items():
        if role == ROOT:
            candidate_set._check_root(gun, stored.get(ROOT), envelope, at, wire)
        else:
            candidate_set._check_target_entries(envelope, rules)
            candidate_set._check_delegations(envelope, wire)
    changed = _check_roles(roles, uploads, at, wire)
    if wire.releases_are_terminating:
        candidate_set._check_releases_delegation(roles[TARGETS])
    check_release_conflicts(roles)
    if snapshot is not None:
        checks.check_life(snapshot, at, wire.max_life)
        candidate_set._check_snapshot(snapshot, roles, uploads, at)
    return changed


def _check_roles(roles: Roles, uploads: Roles, at: datetime, wire: WireFormat) -> list[RoleName]:
    rules = wire.upload_rules
    changed = [role for role in (ROOT, TARGETS) if role in uploads]
    for delegator, role in reachable_delegations(roles):
        if role in uploads and role not in changed:
            changed.append(role)
        if role in roles and (not rules.may_break_roles or role in uploads or role == TARGETS):
            _check_role(roles, uploads, (delegator, role), at, wire)
    for role in uploads:
        if role not in changed:
            raise MetadataMissing(role=role, reason="nobody delegates to it in the new state")
    return changed


def _check_role(roles: Roles, uploads: Roles, pair: tuple[RoleName, RoleName], at: datetime, wire: WireFormat) -> None:
    delegator, role = pair
    parent = roles[delegator].root if delegator == ROOT else roles[delegator].targets
    try:
        checks.check_signatures(parent, delegator, roles[role])
        if isinstance(parent, Targets) and wire.upload_rules.tags_only:
            check_scope(parent, roles[role])
    except NotTrusted as error:
        if role in uploads:
            raise
        raise WouldBreakRole(role=role, reason=f"the stored role would no longer verify: {error}") from error
    if role in uploads:
        checks.check_not_expired(roles[role], at)
