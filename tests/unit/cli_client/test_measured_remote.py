"""What one verification reads of a server in all, however many files it promises."""

from __future__ import annotations

import json
import re

import pytest

from tests.simulator.forgery import file_of, text_of
from tests.simulator.repository import APP
from tests.simulator.scene import good_collection
from trustcli.client import measured_remote
from trustcli.client.measured_remote import MeasuredRemote
from trustcli.errors import RemoteUnreachable
from trustdata.errors import TooLarge, Unpinned
from trustdata.gun import GUN
from trustdata.roles import ROOT
from trustdata.wire import WireFormat
from trustdata.wire.formats import FORMATS


class Endless:
    """A server that has a file under every name, of `size` bytes with `values` values, after `seconds`."""

    name = "https://hostile.example"

    def __init__(self, *, size: int = 10, values: int = 0, seconds: float = 0.0) -> None:
        self.asked: list[tuple[str, int]] = []
        self.clock = 0.0
        self._raw = b"," * values + b" " * (size - values)
        self._seconds = seconds

    def fetch(self, gun: GUN, filename: str, *, limit: int) -> bytes | None:
        self.asked.append((filename, limit))
        self.clock += self._seconds
        if len(self._raw) > limit:
            raise TooLarge(what=f"{filename} from {self.name}", limit=limit)
        return self._raw


def _measured(server: Endless) -> MeasuredRemote:
    return MeasuredRemote(server, clock=lambda: server.clock)


def _read_until_refused(remote: MeasuredRemote, name: str) -> tuple[int, TooLarge]:
    for number in range(10_000):
        try:
            remote.fetch(APP, name.format(number), limit=1000)
        except TooLarge as error:
            return number, error
    raise AssertionError("it reads without end")


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Limits that a test reaches at once."""
    for name, value in (("BYTES", 10_000), ("VALUES", 900), ("ROOT_BYTES", 5_000), ("ROOT_VALUES", 400)):
        monkeypatch.setattr(measured_remote, f"MAX_{name}", value)


@pytest.mark.usefixtures("small")
@pytest.mark.parametrize(
    ("name", "most", "what"),
    [
        ("{0}.targets%2F{0}.json", 10_000, "everything of one collection from https://hostile.example"),
        ("targets/{0}.abc.json", 10_000, "everything of one collection from https://hostile.example"),
        ("{0}.root.json", 5_000, "everything of root from https://hostile.example"),
    ],
)
def test_bytes(name: str, most: int, what: str) -> None:
    server = Endless(size=900)
    number, refusal = _read_until_refused(_measured(server), name)
    assert (number, refusal.what, refusal.limit, refusal.unit) == (most // 900, what, most, "bytes")
    assert server.asked[-1][1] == most % 900, "no more than is left is asked for"


@pytest.mark.usefixtures("small")
@pytest.mark.parametrize(("name", "most"), [("{0}.targets%2F{0}.json", 900), ("{0}.root.json", 400)])
def test_values(name: str, most: int) -> None:
    number, refusal = _read_until_refused(_measured(Endless(size=100, values=100)), name)
    assert (number, refusal.limit, refusal.unit) == (most // 100, most, "values")


@pytest.mark.usefixtures("small")
def test_a_file_beyond_its_own_limit_is_named_itself() -> None:
    with pytest.raises(TooLarge, match=re.escape("2.root.json from https://hostile.example is larger than 1000 bytes")):
        _measured(Endless(size=1001)).fetch(APP, "2.root.json", limit=1000)


@pytest.mark.usefixtures("small")
def test_time() -> None:
    server = Endless(seconds=59.0)
    remote = _measured(server)
    for _ in range(10):
        remote.fetch(APP, "targets.json", limit=1000)
    with pytest.raises(RemoteUnreachable, match="took longer than 600 seconds"):
        remote.fetch(APP, "targets.json", limit=1000)


@pytest.mark.usefixtures("small")
def test_absent_files_cost_nothing_but_time() -> None:
    class Empty(Endless):
        def fetch(self, gun: GUN, filename: str, *, limit: int) -> bytes | None:
            super().fetch(gun, filename, limit=limit)
            return None

    server = Empty(size=900)
    remote = _measured(server)
    for _ in range(100):
        assert remote.fetch(APP, "9.root.json", limit=1000) is None
    assert {limit for _, limit in server.asked} == {1000}


@pytest.mark.parametrize("wire", FORMATS.values(), ids=list(FORMATS))
def test_a_chain_of_roots_of_somebody_s_own(monkeypatch: pytest.MonkeyPatch, wire: WireFormat) -> None:
    """It verifies, root by root, for a client that knows no root yet; it may not fill the memory meanwhile."""
    scene = good_collection(wire)
    server, forger = scene.server, scene.forger
    document = json.loads(server.files[wire.filename(ROOT, version=1)])["signed"]
    padded = 0
    for version in range(1, 60):
        document |= {"version": version, "x-foreign": "a" * 1000}
        raw = file_of(text_of(document), forger.signers_of(ROOT))
        server.files[wire.filename(ROOT, version=version)] = raw
        padded = max(padded, len(raw))
    fetched: list[str] = []
    fetch = server.fetch

    def counting(gun: GUN, filename: str, *, limit: int) -> bytes | None:
        fetched.append(filename)
        return fetch(gun, filename, limit=limit)

    monkeypatch.setattr(server, "fetch", counting)
    monkeypatch.setattr(measured_remote, "MAX_ROOT_BYTES", 10 * padded)
    monkeypatch.setattr(measured_remote, "MAX_BYTES", 100 * padded)
    for name in ("MAX_VALUES", "MAX_ROOT_VALUES"):
        monkeypatch.setattr(measured_remote, name, 10**6)
    refusal = scene.newcomer().judge("1.0").refusal
    assert isinstance(refusal, TooLarge), refusal
    assert refusal.what == f"everything of root from {server.name}"
    assert len(fetched) <= 13
    assert not isinstance(refusal, Unpinned)
