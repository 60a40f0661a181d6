"""Which targets a delegation may list, and in which order a tree is walked."""

from __future__ import annotations

from itertools import islice

import pytest

from tests.simulator import keyring
from tests.simulator.scene import good_collection
from tests.support.refusal import refused
from trustdata.envelope import Envelope
from trustdata.errors import DelegationOutOfScope, MalformedMetadata
from trustdata.model import DelegatedRole, Delegations, PrefixRole, SuccinctRoles, Targets
from trustdata.roles import RELEASES, ROOT, TARGETS, RoleName
from trustdata.verification.delegations import check_scope, delegations_of, may_list, reachable_delegations
from trustdata.wire import WireFormat

ALICE, BOB = RoleName("targets/alice"), RoleName("targets/bob")


def delegating(*roles: DelegatedRole) -> Targets:
    return Targets(delegations=Delegations({}, {role.name: role for role in roles}))


def with_paths(*paths: str, name: str = ALICE, kind: type[DelegatedRole] = DelegatedRole) -> DelegatedRole:
    return kind(name, [], 1, terminating=False, paths=list(paths))


def with_bins(bits: int) -> Targets:
    return Targets(delegations=Delegations({}, None, SuccinctRoles([], 1, bits, "bin")))


# SHA-256 of "1.0" starts with d0ff, that of "2.0" with a1.
@pytest.mark.parametrize(
    ("delegator", "role", "target", "expected"),
    [
        (Targets(), ALICE, "1.0", False),
        (delegating(with_paths("*")), BOB, "1.0", False),
        (delegating(with_paths("*")), ALICE, "1.0", True),
        (delegating(with_paths("*")), ALICE, "a/1.0", False),
        (delegating(with_paths("v*", "*")), ALICE, "1.0", True),
        (delegating(with_paths("v*")), ALICE, "1.0", False),
        (delegating(with_paths("v*")), ALICE, "v1", True),
        (delegating(with_paths("*/*", "*")), ALICE, "a/1.0", True),
        (delegating(with_paths("*", kind=PrefixRole)), ALICE, "1.0", False),
        (delegating(with_paths("*", kind=PrefixRole)), ALICE, "*1.0", True),
        (delegating(with_paths("", kind=PrefixRole)), ALICE, "a/1.0", True),
        (delegating(DelegatedRole(ALICE, [], 1, terminating=False, path_hash_prefixes=["d0"])), ALICE, "1.0", True),
        (delegating(DelegatedRole(ALICE, [], 1, terminating=False, path_hash_prefixes=["00"])), ALICE, "1.0", False),
        (with_bins(1), RoleName("bin-1"), "1.0", True),
        (with_bins(1), RoleName("bin-0"), "1.0", False),
    ],
)
def test_paths(delegator: Targets, role: RoleName, target: str, expected: bool) -> None:  # noqa: FBT001
    assert may_list(delegator, role, target) is expected


def test_a_target_outside_the_paths_behind_one_inside() -> None:
    scene = good_collection()
    tags = {"v1": scene.forger.target("ab" * 32), "1.0": scene.forger.target("ab" * 32)}
    file = scene.forger.successor(ALICE, lambda d: d.update(targets=tags))
    check_scope(delegating(with_paths("*")), file)
    with refused(DelegationOutOfScope, role=ALICE, target="1.0"):
        check_scope(delegating(with_paths("v*")), file)


def test_delegated_roles(wire: WireFormat) -> None:
    stored = good_collection(wire).server.stored
    assert delegations_of(stored[TARGETS].targets) == (RELEASES, ALICE, BOB)
    assert delegations_of(stored[ROOT].root) == ()
    assert delegations_of(Targets()) == ()
    assert len(delegations_of(with_bins(14))) == 2**14
    with refused(
        MalformedMetadata, "must be 14 or less", role=TARGETS, path="signed.delegations.succinct_roles.bit_length"
    ):
        delegations_of(with_bins(15))


def _tree(**delegated: list[str]) -> dict[RoleName, Envelope]:
    """Files of targets and delegations, by the roles that each delegates to; nobody has signed them."""
    scene = good_collection()
    key = keyring.key("alice")
    roles = {ROOT: scene.server.stored[ROOT]}
    for name, children in delegated.items():
        roles[RoleName(name)] = scene.forger.successor(
            TARGETS,
            lambda d, children=children: d.update(  # type: ignore[misc]
                delegations={
                    "keys": {key.keyid: key.to_dict()},
                    "roles": [with_paths("*", name=child).to_dict() | {"keyids": [key.keyid]} for child in children],
                }
            ),
        )
    return roles


def test_a_tree_is_walked_breadth_first_and_each_pair_once() -> None:
    roles = _tree(targets=["a", "b"], a=["c", "b"], b=["a", "unpublished"], c=["a"])
    assert list(islice(reachable_delegations(roles), 20)) == [
        (ROOT, TARGETS),
        (TARGETS, "a"),
        (TARGETS, "b"),
        ("a", "c"),
        ("a", "b"),
        ("b", "a"),
        ("b", "unpublished"),
        ("c", "a"),
    ]
