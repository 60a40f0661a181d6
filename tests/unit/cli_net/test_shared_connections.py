"""One run speaks to a trust server over one connection, whatever number of collections it reads, and closes it."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

import pytest

from tests.support.hostile_server import HostileServer, answering, reply
from tests.unit.cli_net.conftest import Serve
from trustcli.client.server_link import ServerLink
from trustcli.config.settings import Settings
from trustcli.console.output import Output
from trustcli.http.record import Record
from trustcli.session import Session
from trustdata.gun import GUN, parse_gun

pytestmark = pytest.mark.allow_hosts(["127.0.0.1"])

NAMES = tuple(parse_gun(f"registry.example.com/team/{letter}") for letter in "abc")


@pytest.fixture
def server(serve: Serve) -> HostileServer:
    return serve(answering(reply(200, b"{}")))


@pytest.fixture
def session(tmp_path: Path, server: HostileServer) -> Iterator[Session]:
    made = Session(
        settings=Settings(home=tmp_path, server=server.url, server_source="TRUST_SERVER"),
        environ={"HOME": str(tmp_path), "DOCKER_CONFIG": str(tmp_path / "docker")},
        output=Output(stdout=io.StringIO(), stderr=io.StringIO(), as_json=False),
        at=datetime(2026, 11, 1, tzinfo=UTC),
    )
    with closing(made):
        yield made


def _ask(link: ServerLink) -> None:
    assert link.ask("GET", "/tuf/timestamp.json", scope="", limit=100).ok


def _asked(session: Session, gun: GUN) -> ServerLink:
    link = session.link(gun)
    _ask(link)
    return link


def test_links_of_one_run_share_a_connection(session: Session, server: HostileServer) -> None:
    links = [_asked(session, gun) for gun in NAMES]
    links[0].close()
    _ask(links[1])
    assert [request.connection for request in server.requests] == [1, 1, 1, 1]


def test_after_the_end_of_a_run_another_connection_is_opened(session: Session, server: HostileServer) -> None:
    link = _asked(session, NAMES[0])
    session.close()
    session.close()
    _ask(link)
    assert [request.connection for request in server.requests] == [1, 2]


def test_who_looks_on_has_a_connection_of_its_own(session: Session, server: HostileServer) -> None:
    record = Record()
    _asked(session, NAMES[0])
    with closing(session.link(NAMES[0], observer=record)) as link:
        _ask(link)
    assert [request.connection for request in server.requests] == [1, 2]
    assert len(record.exchanges) == 1


def test_the_client_of_registries_is_the_same_in_one_run(session: Session) -> None:
    assert session.registry() is session.registry()


# --- a process that stays


@pytest.fixture
def threaded(session: Session) -> Iterator[Session]:
    made = Session(
        settings=session.settings,
        environ=session.environ,
        output=session.output,
        at=session.at,
        kept_connections=2,
    )
    with closing(made):
        yield made


def _in_a_thread(job: Callable[[], object]) -> None:
    with ThreadPoolExecutor(1) as pool:
        pool.submit(job).result(30)


def test_each_thread_keeps_a_connection_of_its_own(threaded: Session, server: HostileServer) -> None:
    link = _asked(threaded, NAMES[0])
    _in_a_thread(lambda: _ask(link))
    _ask(link)
    assert [request.connection for request in server.requests] == [1, 2, 1]


def test_all_threads_close_their_connections_after_the_end(threaded: Session, server: HostileServer) -> None:
    link = _asked(threaded, NAMES[0])
    threaded.close()
    _ask(link)
    _ask(link)
    assert [request.connection for request in server.requests] == [1, 2, 3], "nothing is kept any more"


def test_a_thread_keeps_only_so_many_connections(threaded: Session, serve: Serve) -> None:
    servers = [serve(answering(reply(200, b"{}"))) for _ in range(3)]
    links = [threaded.link(NAMES[0], server.url) for server in servers]
    for link in (*links, links[2], links[0]):
        _ask(link)
    assert [[request.connection for request in server.requests] for server in servers] == [[1, 2], [1], [1, 1]]
