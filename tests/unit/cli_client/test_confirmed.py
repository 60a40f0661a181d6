"""What a plan is compared by with what is sent: all that the publish changes."""

from __future__ import annotations

import pytest

from tests.simulator.scene import EVIL, good_collection
from trustcli.errors import PlanChanged
from trustcli.publish.bulk.confirmed import essence_of_publish
from trustcli.publish.bulk.work import NoRecord, Step
from trustdata.editing.repository_editor import renew
from trustdata.roles import TARGETS
from trustdata.wire import WireFormat
from trustdata.wire.formats import FORMATS


@pytest.mark.parametrize("wire", FORMATS.values(), ids=list(FORMATS))
def test_what_is_denied_counts(wire: WireFormat) -> None:
    """In Notary v1 too, where another program may have written the list."""
    scene = good_collection(wire)
    before = scene.owner.read()
    scene.owner.publish(lambda roles: renew(roles, [TARGETS], terms=scene.owner.terms))
    renewed = scene.owner.read()
    scene.owner.deny(EVIL, reason="stolen")
    denied = scene.owner.read()
    step = Step(scene.server.gun, NoRecord(), essence_of_publish(before, renewed))
    step.check(before, renewed)
    with pytest.raises(PlanChanged, match="denied sha256"):
        step.check(renewed, denied)
    with pytest.raises(PlanChanged, match="denied sha256"):
        Step(scene.server.gun, NoRecord(), essence_of_publish(renewed, denied)).check(before, renewed)
