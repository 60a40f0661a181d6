"""Which uploaded files python-tuf must verify too, with whose keys, and what is said where it refuses."""

from __future__ import annotations

import dataclasses

import pytest

from tests.simulator.scene import good_collection
from tests.support.refusal import refused
from trustdata.envelope import Envelope
from trustdata.errors import PublishRefused
from trustdata.limits import SECOND_OPINION_BELOW, SECOND_OPINION_VALUES
from trustdata.roles import RELEASES, ROOT, SNAPSHOT, TARGETS, RoleName
from trustdata.verification.second_opinion import check_second_opinion

ALICE = RoleName("targets/alice")
EVERY = (ROOT, TARGETS, RELEASES, ALICE)


def _with(changed: Envelope) -> dict[RoleName, Envelope]:
    return {**good_collection().server.stored, changed.role: changed}


@pytest.mark.parametrize("role", EVERY)
def test_a_file_that_nobody_has_signed(role: RoleName) -> None:
    roles = _with(good_collection().forger.successor(role, signers=[]))
    with refused(PublishRefused, "python-tuf refuses it: ", role=role):
        check_second_opinion(roles, [role])
    check_second_opinion(roles, [other for other in EVERY if other != role])


@pytest.mark.parametrize("role", EVERY)
def test_a_file_that_it_cannot_read(role: RoleName) -> None:
    signed = good_collection().server.stored[role]
    roles = _with(dataclasses.replace(signed, raw=signed.raw[:-1]))
    with refused(PublishRefused, "python-tuf refuses it: ", role=role):
        check_second_opinion(roles, [role])


@pytest.mark.parametrize("role", EVERY)
def test_how_large_files_may_be(role: RoleName) -> None:
    unsigned = good_collection().forger.successor(role, signers=[])
    largest = unsigned.raw + b" " * (SECOND_OPINION_BELOW - len(unsigned.raw))
    with refused(PublishRefused, "python-tuf refuses it: ", role=role):
        check_second_opinion(_with(dataclasses.replace(unsigned, raw=largest)), [role])
    roles = _with(dataclasses.replace(unsigned, raw=largest + b" "))
    check_second_opinion(roles, [role])
    assert len(roles[role].raw) == SECOND_OPINION_BELOW + 1


@pytest.mark.parametrize("role", EVERY)
def test_how_many_values_files_may_have(role: RoleName) -> None:
    """A small file of many values would cost python-tuf seconds."""
    unsigned = good_collection().forger.successor(role, signers=[])
    few = b'{"a":[' + b",".join([b"0"] * 1000) + b"]}"
    with refused(PublishRefused, "python-tuf refuses it: ", role=role):
        check_second_opinion(_with(dataclasses.replace(unsigned, raw=few)), [role])
    many = b'{"a":[' + b",".join([b"0"] * (SECOND_OPINION_VALUES + 1)) + b"]}"
    assert len(many) < SECOND_OPINION_BELOW
    check_second_opinion(_with(dataclasses.replace(unsigned, raw=many)), [role])


def test_who_cannot_delegate() -> None:
    stored = good_collection().server.stored
    roles = {**stored, ROOT: stored[SNAPSHOT]}
    with refused(PublishRefused, "snapshot cannot delegate", role=TARGETS):
        check_second_opinion(roles, [TARGETS])
