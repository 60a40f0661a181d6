"""Read one collection as this machine would judge it now, without writing anything."""

from __future__ import annotations

import contextlib
from collections import deque
from dataclasses import dataclass, field

from trustcli.session import Session
from trustdata.envelope import Envelope
from trustdata.errors import InvalidName, TrustError
from trustdata.gun import GUN, Tag, parse_tag
from trustdata.lifetimes import Lifetimes
from trustdata.policy import Rule
from trustdata.roles import RELEASES, TARGETS, RoleName
from trustdata.verification.delegations import delegations_of


@dataclass(frozen=True, slots=True, kw_only=True)
class Look:
    """What could be verified of a collection.

    `roles`: the verified roles, expired offline roles included. `refusal`: why root, timestamp, snapshot and targets
    are not all there. `lifetimes`: the usual ones of its format; None if it is refused. `named`: whether the root says
    that it is this collection's and no other's. `unreadable`: published delegations that do not verify. `unpublished`:
    delegations not signed yet.
    """

    gun: GUN
    roles: dict[RoleName, Envelope] = field(default_factory=dict)
    refusal: TrustError | None = None
    lifetimes: Lifetimes | None = None
    named: bool = True
    unreadable: dict[RoleName, TrustError] = field(default_factory=dict)
    unpublished: tuple[RoleName, ...] = ()

    @property
    def signed_tag(self) -> Tag | None:
        """One of its tags, which the registry therefore probably has; None if it lists none."""
        for role in (RELEASES, TARGETS):
            for name in self.roles[role].targets.targets if role in self.roles else ():
                with contextlib.suppress(InvalidName):  # other clients may list what no registry takes for a tag
                    return parse_tag(name)
        return None


def look_at(session: Session, gun: GUN, rule: Rule | None = None) -> Look:
    """Refresh the collection and load all its delegations. No TrustError is raised: errors are part of the result.

    `rule`: of a policy that names where the collection is, and what it is believed by.
    """
    try:
        collection = session.collection(
            gun,
            policy_pins=rule.sourced_pins() if rule else (),
            policy_max_life=rule.max_life if rule else None,
            policy_server=rule.server if rule else "",
            by_policy=rule is not None,
            keep=False,
        )
        updater = collection.refresh(for_owner=True)
        roles, published, named = updater.roles(), updater.listed(), updater.is_named
    except TrustError as refusal:
        return Look(gun=gun, refusal=refusal)
    unreadable: dict[RoleName, TrustError] = {}
    unpublished: list[RoleName] = []
    queue = deque([TARGETS])
    while queue:
        delegator = queue.popleft()
        try:
            delegated = delegations_of(roles[delegator].targets)
        except TrustError as error:
            unreadable[delegator] = error
            continue
        for role in delegated:
            if role in roles or role in unreadable or role in unpublished:
                continue
            if role not in published:
                unpublished.append(role)
                continue
            try:
                roles[role] = updater.load(role, delegator)
                queue.append(role)
            except TrustError as error:
                unreadable[role] = error
    return Look(
        gun=gun,
        roles=roles,
        lifetimes=collection.wire.lifetimes,
        named=named,
        unreadable=unreadable,
        unpublished=tuple(unpublished),
    )
