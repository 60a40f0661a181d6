"""Another collection stands under a known name: every way of reading says so, with both fingerprints."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import pytest

from tests.simulator.client import Client
from tests.simulator.owner import Owner
from tests.simulator.repository import RepositorySimulator
from tests.simulator.scene import EVIL, good_collection
from trustcli.client.memory_cache import MemoryCache
from trustdata.errors import (
    FormatChanged,
    RootNotPinned,
    ThresholdNotMet,
    TrustDataWithheld,
    TrustError,
    VersionRollback,
)
from trustdata.roles import ROOT, TARGETS, TIMESTAMP
from trustdata.verification.lock_entry import SourcedLock
from trustdata.wire import WireFormat
from trustdata.wire.notary import NOTARY
from trustdata.wire.tuf import TUF

FORMATS: Final = pytest.mark.parametrize("wire", [TUF, NOTARY], ids=lambda wire: wire.name)


def judged(client: Client) -> None:
    answer = client.judge("1.0")
    assert answer.refusal is not None
    raise answer.refusal


READERS: Final[dict[str, Callable[[Client], object]]] = {
    "verify": judged,
    "refresh": lambda client: client.collection().refresh(),
    "sign": lambda client: client.collection().owner_roles(),
    "lock": Client.lock_entry,
    "after a publish": lambda client: client.collection().verify_published([TARGETS]),
}


def another(wire: WireFormat, *, rotated: int = 0) -> RepositorySimulator:
    """Another collection under the same name, with other root and online keys."""
    other = RepositorySimulator(wire=wire, online_keys=" of another")
    owner = Owner(other, "another root", "targets")
    owner.initialise("another root")
    for _ in range(rotated):
        owner.renew(ROOT)
    owner.sign("1.0", EVIL)
    return other


def first_root(server: RepositorySimulator, version: int = 1) -> str:
    raw = server.files[server.wire.filename(ROOT, version=version)]
    return f"sha256:{server.wire.parse(ROOT, raw).sha256}"


@FORMATS
@pytest.mark.parametrize("rotated", [0, 1, 3])
@pytest.mark.parametrize("reader", READERS)
@pytest.mark.parametrize("cached", [True, False])
def test_it_is_said_with_both_fingerprints(wire: WireFormat, reader: str, *, rotated: int, cached: bool) -> None:
    client = good_collection(wire).regular()
    if not cached:
        client.cache = MemoryCache()
    roots, memory = client.cache.roots(), dict(client.memory.known)
    pin = str(client.pins[0].pin)
    client.server = another(wire, rotated=rotated)
    with pytest.raises(RootNotPinned) as caught:
        READERS[reader](client)
    assert (caught.value.pin, caught.value.found) == (pin, first_root(client.server))
    assert (client.cache.roots(), client.memory.known) == (roots, memory), "nothing of it is kept"


def test_one_that_begins_later_is_another_too() -> None:
    client = good_collection(NOTARY).regular()
    client.server = another(NOTARY, rotated=1)
    del client.server.files["1.root.json"]
    with pytest.raises(RootNotPinned) as caught:
        client.digest("1.0")
    assert caught.value.found == first_root(client.server, 2)


def test_hidden_roots_are_no_other_collection() -> None:
    """Of the very collection: all that is known of it lies before what the server still has."""
    scene = good_collection(NOTARY)
    client = scene.regular()
    for _ in range(2):
        scene.owner.renew(ROOT)
    for version in (1, 2, 3):
        raw = scene.server.files.pop(f"{version}.root.json")
        del scene.server.files[f"root.{NOTARY.parse(ROOT, raw).sha256}.json"]
    with pytest.raises(TrustError) as caught:
        client.digest("1.0")
    assert not isinstance(caught.value, RootNotPinned)


@FORMATS
def test_without_a_pin_the_lock_file_is_what_it_is_not(wire: WireFormat) -> None:
    scene = good_collection(wire)
    client = scene.regular()
    client.lock = SourcedLock(entry=client.lock_entry(), source="trust.lock")
    client.pins.clear()
    client.memory.known.clear()
    client.server = another(wire)
    with pytest.raises(RootNotPinned) as caught:
        client.digest("1.0")
    assert (caught.value.pin, caught.value.pin_source) == (str(client.lock.entry.root), "trust.lock")


@FORMATS
def test_what_is_wrong_in_the_known_collection_is_said_as_before(wire: WireFormat) -> None:
    scene = good_collection(wire)
    client = scene.regular()
    scene.forger.alter(TIMESTAMP, lambda d: d.update(version=99), signers=scene.forger.signers(TIMESTAMP, "mallory"))
    with pytest.raises(ThresholdNotMet):
        client.digest("1.0")
    client.server = scene.past
    with pytest.raises(VersionRollback):
        client.digest("1.0")


@FORMATS
def test_a_root_that_nobody_has_signed_is_no_collection(wire: WireFormat) -> None:
    """Whatever a server answers: only a whole root counts as another."""
    client = good_collection(wire).regular()
    client.server = another(wire)
    first = client.server.files["1.root.json"]
    client.server.files["1.root.json"] = first.replace(b'"sig":"', b'"sig":"AA')
    with pytest.raises(ThresholdNotMet):
        client.digest("1.0")


@pytest.mark.parametrize(("offered", "expected"), [("notary-v1", FormatChanged), (None, TrustDataWithheld)])
def test_a_wrong_format_is_not_withheld(offered: str | None, expected: type[TrustError]) -> None:
    client = good_collection().regular()
    client.cache = MemoryCache()
    client.server = RepositorySimulator()
    client.other_format = lambda: offered
    with pytest.raises(expected) as caught:
        client.digest("1.0")
    assert ("withheld" in str(caught.value)) == (offered is None)
