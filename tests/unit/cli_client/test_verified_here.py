"""What is read again from the cache of one collection: no owner of another one can make that fail."""

from __future__ import annotations

import pytest

from tests.simulator import keyring
from tests.simulator.attacks import moves
from tests.simulator.scene import good_collection
from trustcli.client.verified_here import verified_here
from trustdata.errors import MalformedMetadata
from trustdata.roles import ROOT, TARGETS
from trustdata.wire.tuf import TUF


@pytest.mark.parametrize("bits", [15, 32])
def test_delegations_that_nobody_can_list_count_nothing(bits: int) -> None:
    """An owner signs them, clients remember the file as the newest, and refuse what they look up by it."""
    scene = good_collection()
    client = scene.regular()
    before = client.memory.known[scene.server.gun].roles[TARGETS].version
    bins = {"bit_length": bits, "keyids": [keyring.keyid("alice")], "name_prefix": "bin", "threshold": 1}
    keys = {keyring.keyid("alice"): keyring.key("alice").to_dict()}
    moves.set_member(scene, TARGETS, lambda d: d.update(delegations={"keys": keys, "succinct_roles": bins}))
    with pytest.raises(MalformedMetadata, match="must be 14 or less"):
        client.digest()
    memory = client.memory.known[scene.server.gun]
    assert memory.roles[TARGETS].version > before
    assert set(verified_here(memory, client.cache, TUF)) == {ROOT}
