"""Collections of Notary v1 that begin with a later root than version 1, and servers that only say so."""

from __future__ import annotations

from copy import deepcopy

import pytest

from tests.simulator.client import Client
from tests.simulator.owner import Owner
from tests.simulator.repository import APP, RepositorySimulator
from tests.simulator.scene import GOOD, Scene, good_collection
from trustcli.client.first_root import RootSearch
from trustcli.client.memory_cache import MemoryCache
from trustdata.editing.signing import sign
from trustdata.errors import NoTrustData, PinsDisagree, TrustDataWithheld, TrustError, Unpinned
from trustdata.roles import ROOT
from trustdata.verification.lock_entry import SourcedLock
from trustdata.verification.trust_pinning import Pin, SourcedPin
from trustdata.wire import WireFormat
from trustdata.wire.notary import NOTARY
from trustdata.wire.tuf import TUF

NEWEST = "root.json"


def by_hash(raw: bytes) -> str:
    return f"root.{NOTARY.parse(ROOT, raw).sha256}.json"


def hide(server: RepositorySimulator, version: int) -> bytes:
    """From now on the server has this root under no name."""
    raw = server.files.pop(server.wire.filename(ROOT, version=version))
    server.files.pop(by_hash(raw), None) if server.wire is NOTARY else None
    return raw


def later(rotated: int = 0, wire: WireFormat = NOTARY) -> Scene:
    """A collection whose first published root is version 2."""
    scene = good_collection(wire)
    for _ in range(rotated):
        scene.owner.renew(ROOT)
    hide(scene.server, 1)
    return scene


def pin_of(scene: Scene, version: int = 2) -> Pin:
    return Pin("sha256", scene.server.wire.parse(ROOT, root_of(scene, version)).sha256)


def root_of(scene: Scene, version: int) -> bytes:
    return scene.server.files[scene.server.wire.filename(ROOT, version=version)]


def refusal(client: Client) -> TrustError:
    with pytest.raises(TrustError) as caught:
        client.digest("1.0")
    return caught.value


@pytest.mark.parametrize("rotated", [0, 3])
def test_it_is_not_without_trust_data(rotated: int) -> None:
    scene = later(rotated)
    error = refusal(Client(scene.server))
    assert isinstance(error, Unpinned)
    assert error.found == str(pin_of(scene))


@pytest.mark.parametrize("rotated", [0, 3])
def test_its_oldest_root_is_trusted_on_first_use_and_recorded(rotated: int) -> None:
    scene = later(rotated)
    client = Client(scene.server, tofu=True)
    assert client.digest("1.0") == f"sha256:{GOOD}"
    assert client.recorded == [(pin_of(scene), "tofu")]
    (memory,) = client.memory.known.values()
    assert memory.root_of_trust == pin_of(scene).digest
    assert client.cache.roots() == [root_of(scene, version) for version in range(2, 3 + rotated)]


@pytest.mark.parametrize("version", [2, 4])
def test_who_knows_a_root_asks_for_it_by_its_hash(version: int) -> None:
    scene = later(rotated=2)
    client = Client(scene.server, pins=[pin_of(scene, version)])
    scene.server.requests.clear()
    assert client.digest("1.0") == f"sha256:{GOOD}"
    assert by_hash(root_of(scene, version)) in scene.server.requests
    assert NEWEST not in scene.server.requests, "nobody who knows a root follows the chain down"


def test_with_a_lost_cache_memory_says_where_it_begins() -> None:
    scene = later()
    client = Client(scene.server, tofu=True)
    client.digest("1.0")
    client.cache = MemoryCache()
    scene.server.requests.clear()
    assert client.digest("1.0") == f"sha256:{GOOD}"
    assert NEWEST not in scene.server.requests


def test_a_lock_file_says_where_it_begins() -> None:
    scene = later(rotated=2)
    knows = Client(scene.server, pins=[pin_of(scene)])
    other = Client(scene.server)
    other.lock = SourcedLock(entry=knows.lock_entry(), source="trust.lock")
    assert other.digest("1.0") == f"sha256:{GOOD}"
    assert NEWEST not in scene.server.requests


def test_a_server_that_hides_the_pinned_first_root_gets_nowhere() -> None:
    """It presents the rest of the chain as one that begins by itself."""
    scene = later(rotated=2)
    client = Client(scene.server, pins=[scene.pin])
    error = refusal(client)
    assert isinstance(error, TrustDataWithheld)
    assert str(scene.pin) in str(error)
    assert (client.cache.roots(), client.memory.known) == ([], {})


def test_what_was_there_once_is_withheld_later() -> None:
    """The first root was recorded at first contact; no other takes its place, whatever the server still has."""
    scene = later(rotated=2)
    client = Client(scene.server, tofu=True)
    client.digest("1.0")
    hide(scene.server, 2)
    client.cache = MemoryCache()
    error = refusal(client)
    assert isinstance(error, TrustDataWithheld)
    assert str(pin_of(scene, 3)) not in str(error)
    client.pins.clear()  # rollback memory alone knows as much
    assert isinstance(refusal(client), TrustDataWithheld)


def test_a_file_with_another_hash_is_not_the_pinned_root() -> None:
    scene = later(rotated=2)
    pin = pin_of(scene)
    scene.server.files[f"root.{pin.digest}.json"] = root_of(scene, 3)
    assert isinstance(refusal(Client(scene.server, pins=[pin])), TrustDataWithheld)


def test_a_pin_by_key_decides_about_version_1_alone() -> None:
    scene = later()
    keyid = scene.server.stored[ROOT].root.roles[ROOT].keyids[0]
    error = refusal(Client(scene.server, pins=[Pin("key", keyid)]))
    assert isinstance(error, TrustDataWithheld)
    assert f"root version 1, for key:{keyid}" in str(error)


def test_every_pin_must_be_in_the_chain() -> None:
    scene = later(rotated=2)
    both = Client(scene.server, pins=[pin_of(scene, 4), pin_of(scene)])
    assert both.digest("1.0") == f"sha256:{GOOD}"
    assert both.cache.roots()[0] == root_of(scene, 2), "the chain begins with the oldest of what is known"
    hidden = Client(scene.server, pins=[pin_of(scene, 4), scene.pin])
    assert isinstance(refusal(hidden), TrustDataWithheld)


def test_memory_keeps_the_root_with_which_it_began() -> None:
    """The server has version 1 after all: memory is still of the same collection."""
    scene = good_collection(NOTARY)
    first = hide(scene.server, 1)
    client = Client(scene.server, tofu=True)
    client.digest("1.0")
    scene.server.files["1.root.json"] = first
    client.cache = MemoryCache()
    assert client.digest("1.0") == f"sha256:{GOOD}"
    (memory,) = client.memory.known.values()
    assert memory.root_of_trust == pin_of(scene).digest
    assert client.cache.roots()[0] == first


def test_a_root_that_does_not_follow_is_no_part_of_the_chain() -> None:
    scene = later(rotated=2)
    stranger = RepositorySimulator(wire=NOTARY, online_keys=" of another")
    owner = Owner(stranger, "another root", "targets")
    owner.initialise("another root")
    owner.renew(ROOT)
    expected = pin_of(scene, 3)
    scene.server.files["2.root.json"] = stranger.files["2.root.json"]
    error = refusal(Client(scene.server))
    assert isinstance(error, Unpinned)
    assert error.found == str(expected)


def test_a_root_that_only_names_the_owner_s_key_is_no_part_of_the_chain() -> None:
    """Anybody can name a public key, so the owner's next root follows a stranger's."""
    scene = later(rotated=1)
    hide(scene.server, 2)
    genuine = scene.server.wire.parse(ROOT, root_of(scene, 3))
    stranger = scene.keys.root_signer("mallory")
    forged = deepcopy(genuine.root)
    forged.version = 2
    forged.keys[stranger.public_key.keyid] = stranger.public_key
    forged.roles[ROOT].keyids.append(stranger.public_key.keyid)
    raw = scene.server.files["2.root.json"] = sign(forged, [stranger], role=ROOT, wire=NOTARY).raw
    assert [root.raw for root in RootSearch(APP, NOTARY, scene.server).older(genuine)] == [raw]
    error = refusal(Client(scene.server))
    assert isinstance(error, Unpinned)
    assert error.found == f"sha256:{genuine.sha256}"


def test_a_rest_of_a_cached_chain_counts_only_from_a_known_root() -> None:
    scene = good_collection(NOTARY)
    client = Client(scene.server)
    client.cache.store_root(2, root_of(scene, 2))
    error = refusal(client)
    assert isinstance(error, Unpinned)
    assert error.found == str(scene.pin), "the server's first root, and not where the rest in the cache begins"


def test_another_pin_of_the_command_line_still_disagrees() -> None:
    scene = good_collection(NOTARY)
    client = scene.regular()
    client.pins.append(SourcedPin(pin=Pin("sha256", "ab" * 32), source="--pin"))
    assert isinstance(refusal(client), PinsDisagree)


def test_a_tuf_collection_begins_with_version_1() -> None:
    scene = later(wire=TUF)
    scene.server.files[NEWEST] = scene.server.stored[ROOT].raw
    assert isinstance(refusal(Client(scene.server)), NoTrustData)
    assert isinstance(refusal(Client(scene.server, pins=[pin_of(scene)])), TrustDataWithheld)
    assert NEWEST not in scene.server.requests


def test_a_name_without_any_root_has_no_trust_data() -> None:
    empty = RepositorySimulator(wire=NOTARY)
    assert isinstance(refusal(Client(empty)), NoTrustData)
    error = refusal(Client(empty, pins=[Pin("sha256", "ab" * 32)]))
    assert isinstance(error, TrustDataWithheld)
    assert "has no data" in str(error)


def test_owners_go_on_with_it() -> None:
    scene = later()
    client = Client(scene.server, pins=[pin_of(scene)])
    roles = client.collection().owner_roles()
    assert roles[ROOT].version == 2
