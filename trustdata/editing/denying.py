"""Edits of the list of denied digests in `targets` (docs/adr/0108), made as those in `repository_editor`."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from trustdata.denied import DENIED_MEMBER, MAX_DENIED, DenyList, denied_member, deny_list
from trustdata.editing import repository_editor
from trustdata.editing.repository_editor import Contents, EditTerms
from trustdata.envelope import Envelope
from trustdata.errors import FormatCannotDeny, PublishRefused
from trustdata.gun import GUN
from trustdata.roles import TARGETS, RoleName
from trustdata.verification.target_lookup import Target


def deny(gun: GUN, roles: Mapping[RoleName, Envelope], reasons: Mapping[str, str], *, terms: EditTerms) -> Contents:
    """Return targets that deny these digests too, for these reasons; nothing if it does so already.

    A digest that is denied already keeps its reason unless another one is given.

    Raises: FormatCannotDeny; PublishRefused if the list would be too long.
    """
    if not terms.wire.keeps_members:
        reason = (
            "docker and notary drop the list of denied digests when they sign targets again, and nobody would notice; "
            "deny them in a policy, or in a TUF 1.0 collection whose list the policy names"
        )
        raise FormatCannotDeny(role=TARGETS, reason=reason)
    before = deny_list(gun, roles[TARGETS].targets)
    given = {digest: reason for digest, reason in reasons.items() if reason or digest not in before}
    after = before.reasons() | given
    if len(after) > MAX_DENIED:
        raise PublishRefused(role=TARGETS, reason=f"would deny {len(after)} digests, and may deny {MAX_DENIED}")
    return _changed(roles, before, after, terms)


def deny_no_longer(
    gun: GUN, roles: Mapping[RoleName, Envelope], digests: Iterable[str], *, terms: EditTerms
) -> Contents:
    """Return targets that deny none of these digests; nothing if it denies none now. In both formats."""
    before, removed = deny_list(gun, roles[TARGETS].targets), set(digests)
    after = {digest: reason for digest, reason in before.reasons().items() if digest not in removed}
    return _changed(roles, before, after, terms)


def _changed(
    roles: Mapping[RoleName, Envelope], before: DenyList, after: Mapping[str, str], terms: EditTerms
) -> Contents:
    if after == before.reasons():
        return {}
    changed = repository_editor.renew(roles, [TARGETS], terms=terms)
    for content in changed.values():
        content.unrecognized_fields.pop(DENIED_MEMBER, None)
        if after:
            content.unrecognized_fields[DENIED_MEMBER] = denied_member(after, before)
    return changed


def released_although_denied(denied: DenyList, released: Iterable[Target]) -> tuple[Target, ...]:
    """Return the released tags that no client lets run, since they are denied or list a platform that is."""
    return tuple(
        target
        for target in released
        if any(f"sha256:{digest}" in denied for digest in (target.digest, *target.children))
    )
