"""In which format a collection is asked for: pinned, locked, seen before, or found; and when nobody is asked."""

from __future__ import annotations

import io
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from tests.simulator.scene import good_collection
from tests.support.hostile_server import HostileServer, Request, Wire, reply
from tests.support.network_users import GUN
from tests.unit.cli_net.conftest import Serve
from trustcli.client.notary_remote import NotaryRemote
from trustcli.client.tuf_remote import TufRemote
from trustcli.config.settings import Settings
from trustcli.console.failure_table import row_for
from trustcli.console.output import Output
from trustcli.errors import (
    RemoteRefused,
    RemoteUnreachable,
)
from trustcli.session import Session
from trustdata.errors import (
    FormatChanged,
    TrustError,
)
from trustdata.judgement import Question
from trustdata.verification.lock_entry import LockEntry, SourcedLock
from trustdata.verification.trust_pinning import Pin
from trustdata.wire import WireFormat
from trustdata.wire.notary import NOTARY
from trustdata.wire.tuf import TUF

pytestmark = pytest.mark.allow_hosts(["127.0.0.1"])

PIN = Pin("sha256", "ab" * 32)
TUF_ROOT = "1.root.json"
NOTARY_TIMESTAMP = f"/v2/{GUN}/_trust/tuf/timestamp.json"


_opened: list[Session] = []


@pytest.fixture(autouse=True)
def closed() -> Iterator[None]:
    """A process ends and closes its connections; a test closes them."""
    yield
    while _opened:
        _opened.pop().close()


def _session(tmp_path: Path, server: str) -> Session:
    session = Session(
        settings=Settings(home=tmp_path, server=server, server_source="TRUST_SERVER"),
        environ={"HOME": str(tmp_path), "DOCKER_CONFIG": str(tmp_path / "docker")},
        output=Output(stdout=io.StringIO(), stderr=io.StringIO(), as_json=False),
        at=datetime(2026, 11, 1, tzinfo=UTC),
    )
    _opened.append(session)
    return session


def _serving(serve: Serve, *, tuf: bool = False, notary: bool = False, failing: int = 0) -> HostileServer:
    """A server that has the collection in these formats; `failing`: it answers everything with this status."""

    def script(request: Request, wire: Wire) -> None:
        there = tuf if "/_trust/" not in request.target else notary and request.target == NOTARY_TIMESTAMP
        if failing:
            wire.send(reply(failing))
        else:
            wire.send(reply(200, b"{}") if there else reply(404))

    return serve(script)


@pytest.mark.parametrize(
    ("tuf", "notary", "found"),
    [(True, False, TUF), (False, True, NOTARY), (True, True, TUF), (False, False, TUF)],
)
def test_first_contact_asks_for_tuf_then_for_notary(
    *, serve: Serve, tmp_path: Path, tuf: bool, notary: bool, found: WireFormat
) -> None:
    server = _serving(serve, tuf=tuf, notary=notary)
    collection = _session(tmp_path, server.url).collection(GUN)
    assert collection.wire is found
    assert isinstance(collection.server, NotaryRemote if found is NOTARY else TufRemote)
    asked = [request.target for request in server.requests]
    assert asked[0].endswith(TUF_ROOT)
    assert asked[1:] == ([] if tuf else [NOTARY_TIMESTAMP])
    assert _session(tmp_path, server.url).format_offered(GUN) is found


@pytest.mark.parametrize(("status", "error"), [(403, RemoteRefused), (500, RemoteUnreachable)])
def test_a_server_that_cannot_be_asked_is_asked_once_and_that_is_the_answer(
    serve: Serve, tmp_path: Path, status: int, error: type[TrustError]
) -> None:
    server = _serving(serve, failing=status)
    collection = _session(tmp_path, server.url).collection(GUN)
    assert collection.wire is TUF
    for ask in (collection.refresh, collection.on_server, collection.owner_roles):
        with pytest.raises(error):
            ask()
    assert collection.judge([Question(gun=GUN, tag="1.0", digest=None)])[0].allowed is False
    assert len(server.requests) == 1
    with pytest.raises(error):
        _session(tmp_path, server.url).format_offered(GUN)


def test_offline_nobody_is_asked(serve: Serve, tmp_path: Path) -> None:
    server = _serving(serve, notary=True)
    assert _session(tmp_path, server.url).collection(GUN, offline=True).wire is TUF
    assert server.requests == []


@pytest.mark.parametrize("wire", [TUF, NOTARY], ids=lambda wire: wire.name)
def test_who_knows_asks_nobody(serve: Serve, tmp_path: Path, wire: WireFormat) -> None:
    """Else a server could say that a collection is in another format, where nothing of it is known."""
    server = _serving(serve, tuf=wire is NOTARY, notary=wire is TUF)
    lock = SourcedLock(entry=LockEntry(format=wire.name, root_version=1, root=PIN, minimum={}), source="trust.lock")
    locked = _session(tmp_path / "locked", server.url)
    assert locked.collection(GUN, locks={GUN: lock}).wire is wire

    pinned = _session(tmp_path / "pinned", server.url)
    pinned.record_pin(GUN, PIN, "pin", wire)
    assert pinned.collection(GUN).wire is wire

    seen = _session(tmp_path / "seen", server.url)
    seen.cache(GUN, wire.name).store_root(1, good_collection(wire).server.files["1.root.json"])
    assert seen.collection(GUN).wire is wire

    made = _session(tmp_path / "made", server.url)
    assert made.collection(GUN, wire=wire).wire is wire
    assert server.requests == []


@pytest.mark.parametrize("wire", [TUF, NOTARY], ids=lambda wire: wire.name)
def test_a_collection_that_is_pinned_in_the_wrong_format_is_not_withheld(
    serve: Serve, tmp_path: Path, wire: WireFormat
) -> None:
    server = _serving(serve, tuf=wire is NOTARY, notary=wire is TUF)
    session = _session(tmp_path, server.url)
    session.record_pin(GUN, PIN, "pin", wire)
    for ask in (session.collection(GUN).refresh, session.collection(GUN).owner_roles):
        with pytest.raises(FormatChanged, match="but the server has it as"):
            ask()
    refusal = session.collection(GUN).judge([Question(gun=GUN, tag="1.0", digest=None)])[0].refusal
    assert isinstance(refusal, FormatChanged)
    option = "tuf" if wire is NOTARY else "notary"
    assert f"--replace --format {option}" in row_for(refusal).advice(refusal)


def test_those_who_know_must_agree(serve: Serve, tmp_path: Path) -> None:
    server = _serving(serve, tuf=True, notary=True)
    session = _session(tmp_path, server.url)
    session.record_pin(GUN, PIN, "pin", NOTARY)
    lock = SourcedLock(entry=LockEntry(format=TUF.name, root_version=1, root=PIN, minimum={}), source="trust.lock")
    with pytest.raises(FormatChanged) as caught:
        session.collection(GUN, locks={GUN: lock})
    assert (caught.value.pinned, caught.value.offered) == (NOTARY.name, TUF.name)
    said = str(caught.value)
    assert f"({tmp_path / 'pins.toml'})" in said
    assert "but trust.lock has it as tuf-1.0" in said
    with pytest.raises(FormatChanged, match="but this command has it"):
        session.collection(GUN, wire=TUF)
    assert session.collection(GUN, wire=NOTARY).wire is NOTARY
    assert server.requests == []
