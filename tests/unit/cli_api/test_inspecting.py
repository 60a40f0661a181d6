"""What the Python API shows of a collection that clients would refuse, in part or as a whole."""

from __future__ import annotations

import pytest

from tests.simulator.attacks.moves import expire
from tests.simulator.repository import APP
from tests.simulator.scene import GOOD, Scene, good_collection
from tests.simulator.session import SimulatedSession
from trustcli.api import Inspected
from trustcli.api.inspecting import inspect
from trustdata.roles import RELEASES, ROOT, TARGETS, RoleName
from trustdata.wire import WireFormat
from trustdata.wire.notary import NOTARY
from trustdata.wire.tuf import TUF


@pytest.fixture(params=[TUF, NOTARY], ids=lambda wire: wire.name)
def scene(request: pytest.FixtureRequest) -> Scene:
    wire: WireFormat = request.param
    return good_collection(wire)


def _inspected(scene: Scene, image: str = APP) -> Inspected:
    return inspect(SimulatedSession(scene.newcomer()), image)


@pytest.mark.parametrize("role", [ROOT, TARGETS, RELEASES])
def test_an_expired_role_is_named_and_its_tags_are_shown(scene: Scene, role: RoleName) -> None:
    expire(scene, role)
    found = _inspected(scene)
    (expired,) = found.expired
    assert expired.role == role
    assert expired.at <= scene.newcomer().at
    assert {tag.tag: tag.digest for tag in found.tags}["1.0"] == f"sha256:{GOOD}"


def test_one_tag(scene: Scene) -> None:
    assert [tag.tag for tag in _inspected(scene, f"{APP}:1.0").tags] == ["1.0"]
    assert [tag.tag for tag in _inspected(scene).tags] == ["1.0", "2.0"]


def test_what_clients_refuse_is_left_out_and_named(scene: Scene) -> None:
    scene.forger.alter(RELEASES, lambda _: None, signers=scene.forger.signers(RELEASES, "recovery"))
    found = _inspected(scene)
    assert found.tags == ()
    assert {role: fault.code for role, fault in found.faults.items()} == {RELEASES: "threshold-not-met"}
