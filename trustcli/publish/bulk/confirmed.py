"""What a publish does, without what may change until it is sent: versions, dates, and the ids of new keys.

A plan and the publish that follows it are compared by it. Of keys that come in, only the number counts, since a plan
has a temporary one in their place: they are this machine's own choice, and nobody else's.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TypeAlias

from trustcli.publish.plan import Plan
from trustdata.editing.difference import Difference, difference
from trustdata.editing.owner_roles import OwnerRoles
from trustdata.editing.unseen import Unseen
from trustdata.roles import ONLINE

Essence: TypeAlias = tuple[str, ...]
"""Sentences, sorted."""


def essence_of_plan(plan: Plan) -> Essence:
    """Return what the plan does, and what it signs again that was not verified here before."""
    unseen = [again.unseen for again in plan.signed_again if again.unseen is not None]
    return _essence(plan.difference, unseen)


def essence_of_publish(before: OwnerRoles, after: OwnerRoles) -> Essence:
    """Return what a publish does that leads from one state to the other. The server's own roles do not count."""
    stored = before.stored()
    # A file to which `targets` delegates again is as it was: nobody signs it now.
    known = {**before.undelegated, **stored}
    changed = {
        role: file.content
        for role, file in after.stored().items()
        if role not in ONLINE and (role not in known or known[role].sha256 != file.sha256)
    }
    return _essence(difference(stored, changed), before.unseen(changed))


def _essence(found: Difference, unseen: Iterable[Unseen]) -> Essence:
    sentences = [f"{each.reference} is signed again, with what was not verified here before" for each in unseen]
    sentences += [f"{change.role} is signed" for change in found.roles if change.role not in ONLINE]
    sentences += [
        f"root names {change.named}" for change in found.roles if change.named is not None and change.version_before
    ]
    for keys in found.keys:
        removed, kept = " ".join(sorted(keys.removed)) or "none", " ".join(sorted(keys.kept)) or "none"
        sentences.append(
            f"keys of {keys.role} in {keys.delegator}: {len(keys.added)} come, out {removed}, kept {kept}, "
            f"threshold {keys.threshold_before} -> {keys.threshold_after}"
        )
    sentences += [
        f"delegation {change.role} in {change.delegator} is {change.kind}: "
        f"{' '.join(change.paths_before) or 'none'} -> {' '.join(change.paths_after) or 'none'}"
        for change in found.delegations
    ]
    sentences += [f"{change.role} tag {change.tag}: {change.before} -> {change.after}" for change in found.tags]
    sentences += [f"denied {change.digest}: {change.before} -> {change.after}" for change in found.denied]
    return tuple(sorted(sentences))
