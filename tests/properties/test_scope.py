"""What a role may list: the answer of `may_list`, which has a short cut, is that of its paths in each format."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trustdata.model import DelegatedRole, Delegations, PrefixRole, Targets
from trustdata.roles import RoleName
from trustdata.verification.delegations import may_list

ALICE = RoleName("targets/alice")
_TEXTS = st.text("*?[]!-a1./", max_size=4)
_PATHS = st.lists(st.one_of(_TEXTS, st.sampled_from(["*", "", "*/*", "a*"])), max_size=3)


def _delegator(role: DelegatedRole) -> Targets:
    targets = Targets()
    targets.delegations = Delegations({}, {role.name: role})
    return targets


@given(_PATHS, _TEXTS)
@pytest.mark.parametrize("kind", [DelegatedRole, PrefixRole])
def test_a_role_may_list_what_its_paths_cover(kind: type[DelegatedRole], paths: list[str], target: str) -> None:
    role = kind(ALICE, [], 1, terminating=False, paths=paths)
    assert may_list(_delegator(role), ALICE, target) == role.is_delegated_path(target)


@given(st.lists(st.text("0123456789abcdef", max_size=2), max_size=3), _TEXTS)
def test_prefixes_of_hashes_too(prefixes: list[str], target: str) -> None:
    role = DelegatedRole(ALICE, [], 1, terminating=False, path_hash_prefixes=prefixes)
    assert may_list(_delegator(role), ALICE, target) == role.is_delegated_path(target)


@pytest.mark.parametrize(("path", "covers"), [("*", False), ("", True), ("1", True), ("1.0.", False)])
def test_in_notary_v1_a_path_is_the_beginning_of_a_tag(path: str, *, covers: bool) -> None:
    """`*` begins no tag, so it covers none; docker writes the empty path for everything."""
    role = PrefixRole(ALICE, [], 1, terminating=False, paths=[path])
    assert may_list(_delegator(role), ALICE, "1.0") is covers
