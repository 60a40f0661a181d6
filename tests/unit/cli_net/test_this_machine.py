"""No server elsewhere sends us to this machine: redirects and token realms, judged by the address, also after DNS.

The server elsewhere is one behind a proxy, of which no address is known; every name that is direct is on loopback.
"""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tests.support.hostile_server import HostileServer, Request, Wire, answering, json_reply, reply
from tests.support.network_users import DIGEST, FILE, GUN, Stored, network_of
from tests.unit.cli_net.conftest import Serve
from trustcli.client.server_link import ServerLink
from trustcli.client.tuf_remote import TufRemote
from trustcli.errors import RemoteMisbehaved
from trustcli.http import this_machine
from trustcli.http.authenticated import AuthenticatedClient, ServerRules
from trustcli.http.messages import Origin, Response
from trustcli.http.this_machine import is_this_machine, names_this_machine
from trustcli.registry.client import Registry
from trustcli.registry.manifest import OCI_MANIFEST
from trustcli.registry.reference import parse_reference

pytestmark = pytest.mark.allow_hosts(["127.0.0.1", "127.0.1.1", "::ffff:127.0.1.1"])

FAR, NEAR, OTHER = "registry.example.com", "near.example.net", "other.example.net"
SPELLINGS = (
    "0.0.0.0",
    "[::ffff:127.0.0.1]",
    "127.1",
    "127.0.1",
    "2130706433",
    "0x7f.1",
    "0x7f000001",
    "0177.0.0.1",
    "0",
    "[::]",
    "[::1]",
    "localhost",
    "localhost.",
    "LOCALHOST",
    "127.0.0.1",
    "127.0.0.1.",
    "169.254.169.254",
    "[fe80::1]",
    "[fd00:ec2::254]",
    "[64:ff9b::7f00:1]",
    "ip6-localhost",
    "Localhost.Localdomain.",
)
TYPE = {"Content-Type": OCI_MANIFEST}


@pytest.mark.parametrize(
    ("address", "here"),
    [
        ("127.0.0.1", True),
        ("127.255.255.254", True),
        ("0.0.0.0", True),
        ("::", True),
        ("::1", True),
        ("::ffff:127.0.0.1", True),
        ("::ffff:0.0.0.0", True),
        ("169.254.169.254", True),
        ("fe80::1%eth0", True),
        ("fd00:ec2::254", True),
        ("FD00:EC2:0::254", True),
        ("fd20:ce::254", True),
        ("100.100.100.200", True),
        ("::ffff:100.100.100.200", True),
        ("168.63.129.16", True),
        ("64:ff9b::127.0.0.1", True),
        ("64:ff9b::a9fe:a9fe", True),
        ("64:ff9b::192.0.2.1", False),
        ("fd00:ec2::253", False),
        ("100.100.100.201", False),
        ("192.0.2.1", False),
        ("10.0.0.1", False),
        ("2001:db8::1", False),
        ("::ffff:192.0.2.1", False),
        ("128.0.0.1", False),
        ("a name", False),
    ],
)
def test_addresses(address: str, here: bool) -> None:  # noqa: FBT001
    assert is_this_machine(address) is here


@pytest.mark.parametrize("host", SPELLINGS)
def test_every_spelling_of_an_address(host: str) -> None:
    assert names_this_machine(host.strip("[]"))


@pytest.mark.parametrize("host", ["192.0.2.1", "127.example.com", "localhost.example.com", "x127.1", "1.2", "example"])
def test_what_is_another_host(host: str) -> None:
    assert not names_this_machine(host)


class World:
    """Names and what they resolve to; a server elsewhere, which answers what `far` says."""

    def __init__(self, serve: Serve, environ: dict[str, str], patch: pytest.MonkeyPatch) -> None:
        self.serve = serve
        self.far = reply(500)
        self.addresses = {NEAR: ["127.0.0.1"], OTHER: ["127.0.0.1"]}
        self.asked: list[str] = []
        resolve = socket.getaddrinfo

        def resolved(host: Any, port: Any, *arguments: Any, **options: Any) -> list[Any]:
            names = self.addresses.get(host, [host])
            return [info for name in names for info in resolve(name, port, *arguments, **options)]

        patch.setattr("socket.getaddrinfo", resolved)
        proxy = serve(self._behind_the_proxy)
        environ.update(HTTP_PROXY=proxy.url, HTTPS_PROXY=proxy.url, NO_PROXY=f"{NEAR},{OTHER}")
        self._network = network_of(environ)
        self.registry = Registry(self._network, Stored(), insecure=[FAR, NEAR, OTHER])
        self.link = ServerLink(f"http://{FAR}", self._network, Stored())

    def _behind_the_proxy(self, request: Request, wire: Wire) -> None:
        if request.method == "CONNECT":
            wire.send(b"HTTP/1.1 200 OK\r\n\r\nnot TLS at all")
            wire.close()
            return
        self.asked.append(request.target)
        wire.send(self.far)

    def from_registry(self, name: str = FAR) -> str:
        return self.registry.resolve(parse_reference(f"{name}/team/app:1.0")).digest

    def from_trust_server(self) -> bytes | None:
        return TufRemote(self.link).fetch(GUN, "timestamp.json", limit=1000)


@pytest.fixture
def world(serve: Serve, environ: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    made = World(serve, environ, monkeypatch)
    yield made
    made.registry.close()
    made.link.close()


@pytest.fixture
def here(serve: Serve) -> HostileServer:
    """A service of this machine, which would give both a file and a token."""
    return serve(answering(reply(200, FILE, TYPE)))


def redirect(host: str, server: HostileServer) -> bytes:
    return reply(307, headers={"Location": f"http://{host}:{server.port}/x"})


def realm(host: str, server: HostileServer) -> bytes:
    return reply(401, headers={"WWW-Authenticate": f'Bearer realm="http://{host}:{server.port}/token"'})


WAYS: dict[str, tuple[Callable[[str, HostileServer], bytes], Callable[[World], object]]] = {
    "redirect of a registry": (redirect, World.from_registry),
    "realm of a registry": (realm, World.from_registry),
    "realm of a trust server": (realm, World.from_trust_server),
}


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("address", ["127.0.0.1", "0.0.0.0", "::ffff:127.0.0.1", "169.254.169.254"])
def test_a_name_that_resolves_to_this_machine_gets_nothing(
    world: World, here: HostileServer, way: str, address: str
) -> None:
    send, ask = WAYS[way]
    world.far = send(NEAR, here)
    world.addresses[NEAR] = ["192.0.2.1", address]
    with pytest.raises(RemoteMisbehaved) as refused:
        ask(world)
    assert refused.value.remote == f"http://{FAR}", "the fault is of the server that sent us there"
    assert f"{NEAR}:{here.port}, which is {address}, on this machine" in str(refused.value)
    assert here.connections == 0, "not even a connection"


@pytest.mark.parametrize("way", WAYS)
def test_an_address_of_this_machine_in_its_network_gets_nothing(
    world: World, here: HostileServer, way: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever its number: both ends of the connection are the same."""
    monkeypatch.setattr(this_machine, "is_this_machine", lambda _: False)
    send, ask = WAYS[way]
    world.far = send(NEAR, here)
    with pytest.raises(RemoteMisbehaved, match="on this machine"):
        ask(world)
    assert here.requests == []


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("host", SPELLINGS)
def test_through_a_proxy_names_are_judged(world: World, here: HostileServer, way: str, host: str) -> None:
    """The proxy connects: the address that it finds is not known here, and it may run on this machine."""
    send, ask = WAYS[way]
    world.far = send(host, here)
    with pytest.raises(RemoteMisbehaved, match=r"on this machine|over plain http"):
        ask(world)
    assert here.connections == 0
    assert len(world.asked) == 1


def test_an_open_connection_is_no_way_around(world: World, here: HostileServer) -> None:
    """What the user named may be here; a server elsewhere that names the same may not use it."""
    assert world.from_registry(f"{NEAR}:{here.port}") == DIGEST
    before = len(here.requests)
    world.far = redirect(NEAR, here)
    with pytest.raises(RemoteMisbehaved, match="on this machine"):
        world.from_registry()
    assert len(here.requests) == before


def test_a_server_on_this_machine_may_name_another(world: World, here: HostileServer, serve: Serve) -> None:
    door = serve(answering(redirect(OTHER, here)))
    assert world.from_registry(f"{NEAR}:{door.port}") == DIGEST
    tokens = serve(answering(json_reply(200, {"token": "t0k"})))

    def script(request: Request, wire: Wire) -> None:
        wire.send(reply(200, FILE, TYPE) if "authorization" in request.headers else realm(OTHER, tokens))

    assert world.from_registry(f"{NEAR}:{serve(script).port}") == DIGEST
    assert len(tokens.requests) == 1


@pytest.mark.parametrize("address", ["127.0.0.1", "127.0.1.1", "::ffff:127.0.1.1"])
@pytest.mark.parametrize("by_name", [True, False])
def test_a_server_on_this_machine_may_say_so_by_its_address(
    world: World, serve: Serve, address: str, *, by_name: bool
) -> None:
    """However the user has named it. Debian has the machine's own name at 127.0.1.1, where our end is 127.0.0.1."""
    bound = address.removeprefix("::ffff:")
    host = OTHER if by_name else bound
    world.addresses = {NEAR: [address], OTHER: [address]}
    door = serve(answering(redirect(host, serve(answering(reply(200, FILE, TYPE)), address=bound))), address=bound)
    assert world.from_registry(f"{NEAR}:{door.port}") == DIGEST
    tokens = serve(answering(json_reply(200, {"token": "t0k"})), address=bound)

    def script(request: Request, wire: Wire) -> None:
        wire.send(reply(200, FILE, TYPE) if "authorization" in request.headers else realm(host, tokens))

    assert world.from_registry(f"{NEAR}:{serve(script, address=bound).port}") == DIGEST
    assert len(tokens.requests) == 1


class Moving:
    """A transport to a server whose name is first this machine, and then a machine elsewhere."""

    def __init__(self, *from_here: bool) -> None:
        self.from_here = list(from_here)
        self.named_by: list[Origin | None] = []

    def exchange(
        self, method: str, origin: Origin, target: str, *, named_by: Origin | None = None, **_: Any
    ) -> Response:
        del method, target
        if origin.host == OTHER:
            self.named_by.append(named_by)
            return Response(status=200, headers=(), body=b'{"token": "t0k"}')
        challenge = ("WWW-Authenticate", f'Bearer realm="https://{OTHER}/token"')
        return Response(status=401, headers=(challenge,), body=b"", from_here=self.from_here.pop(0))


@pytest.mark.parametrize("first", [True, False])
def test_where_a_server_is_is_asked_at_each_challenge(first: bool) -> None:  # noqa: FBT001
    """A name that led here the last time, and leads elsewhere now, may not name what is here; nor the reverse."""
    origin = Origin(scheme="https", host=NEAR, port=443)
    transport = Moving(first, first, not first, not first)
    client = AuthenticatedClient(origin, transport, Stored(), ServerRules(is_registry=True))
    for scope in ("one", "two"):
        client.ask("GET", "/", scope=scope, limit=100)
    assert transport.named_by == ([None, origin] if first else [origin, None])


def test_each_hop_is_judged_by_its_own_sender(world: World, here: HostileServer, serve: Serve) -> None:
    """From here to elsewhere is no licence for the way back."""
    world.far = redirect(OTHER, here)
    door = serve(answering(reply(307, headers={"Location": f"http://{FAR}/x"})))
    with pytest.raises(RemoteMisbehaved, match=f"{OTHER}:{here.port}, which is 127.0.0.1, on this machine"):
        world.from_registry(f"{NEAR}:{door.port}")
    assert here.requests == []
