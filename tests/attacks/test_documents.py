"""Update, then a corrupted document under good signatures: refused with the place named, and the client lives on."""

from __future__ import annotations

import re

import pytest

from tests.simulator.attacks.documents import CASES, Corruption, case_id
from tests.simulator.owner import Owner
from tests.simulator.scene import GOOD, NEWER, good_collection
from trustdata.errors import MalformedMetadata
from trustdata.roles import ONLINE, RELEASES, TARGETS, RoleName
from trustdata.verification.candidate_set import judge_upload
from trustdata.wire import WireFormat
from trustdata.wire.formats import FORMATS

UPLOADED = [case for case in CASES if case[1] not in ONLINE]
"""The roles that the server issues itself are never uploaded: `test_uploads` says what happens to who tries."""


@pytest.mark.parametrize(("wire", "role", "corruption"), CASES, ids=map(case_id, CASES))
def test_a_client_refuses_and_lives_on(wire: WireFormat, role: RoleName, corruption: Corruption) -> None:
    scene = good_collection(wire)
    client = scene.regular()
    honest = scene.server.copy()

    scene.forger.alter_text(role, corruption.change, whole_file=corruption.whole_file)

    for attacked in (client, scene.newcomer()):
        refusal = attacked.judge("1.0").refusal
        assert isinstance(refusal, corruption.refused), refusal
        assert isinstance(refusal, MalformedMetadata)
        assert refusal.role == role
        assert re.fullmatch(corruption.path, refusal.path), refusal.path
        assert refusal.details()["role"] == role

    client.server = honest
    Owner(honest).sign("1.0", NEWER)
    Owner(honest).renew(TARGETS, RELEASES)
    for _ in range(3):
        honest.issue()
    assert client.digest("1.0") == f"sha256:{NEWER}"


@pytest.mark.parametrize(("wire", "role", "corruption"), UPLOADED, ids=map(case_id, UPLOADED))
def test_a_server_refuses_the_upload(wire: WireFormat, role: RoleName, corruption: Corruption) -> None:
    scene = good_collection(wire)
    before = dict(scene.server.files)
    raw = scene.forger.alter_text(role, corruption.change, whole_file=corruption.whole_file)
    with pytest.raises(corruption.refused) as caught:
        judge_upload(
            gun=scene.server.gun,
            stored=good_collection(wire).server.stored,
            uploads={role: wire.parse(role, raw)},
            at=scene.server.at,
            wire=wire,
        )
    assert isinstance(caught.value, MalformedMetadata)
    assert caught.value.role == role
    assert before.keys() <= scene.server.files.keys()


@pytest.mark.parametrize("wire", FORMATS.values(), ids=FORMATS)
def test_the_good_document_is_accepted(wire: WireFormat) -> None:
    """The same way of writing, without a corruption: what is refused above is refused for its corruption alone."""
    for role in ("root", "timestamp", "snapshot", "targets", "targets/releases"):
        scene = good_collection(wire)
        client = scene.regular()
        scene.forger.alter_text(RoleName(role), lambda text: text)
        assert client.digest("1.0") == f"sha256:{GOOD}"
        assert scene.newcomer().digest("1.0") == f"sha256:{GOOD}"
