"""What an audit says of a file that clients refuse; the command's own tests are those of `trust audit`."""

from __future__ import annotations

import pytest

from tests.simulator.scene import good_collection
from trustdata.audit import audit
from trustdata.editing.owner_roles import OwnerRoles
from trustdata.errors import ThresholdNotMet
from trustdata.roles import TARGETS, RoleName
from trustdata.verification.checks import check_signatures
from trustdata.wire import WireFormat
from trustdata.wire.notary import NOTARY
from trustdata.wire.tuf import TUF

ALICE = RoleName("targets/alice")


@pytest.mark.parametrize("wire", [TUF, NOTARY], ids=lambda wire: wire.name)
def test_of_a_file_with_too_few_signatures_those_that_count_are_named(wire: WireFormat) -> None:
    scene = good_collection(wire)
    stored = scene.server.stored

    def both(document: dict[str, dict[str, list[dict[str, object]]]]) -> None:
        for role in document["delegations"]["roles"]:
            role["threshold"] = 2

    demanding = scene.forger.successor(TARGETS, both)
    with pytest.raises(ThresholdNotMet) as refused:
        check_signatures(demanding.targets, TARGETS, stored[ALICE])
    files = {**stored, TARGETS: demanding}
    found = audit(OwnerRoles(files, faults={ALICE: refused.value}), wire.lifetimes, at=scene.server.at)
    (row,) = [row for row in found.roles if row.role == ALICE]
    assert (row.threshold, row.signed) == (2, tuple(stored[ALICE].signatures))
    assert len(row.signed) == 1
    assert ("role-refused", ALICE) in {(odd.code, odd.about) for odd in found.odd}
    (alice,) = [key for key in found.keys if key.holders == ("alice",)]
    assert [right.signed for right in alice.rights if right.role == ALICE] == [True]
