"""Which client a request is from: by the tunnel's name, and by the word of trusted proxies only."""

from __future__ import annotations

import asyncio
import socket
import tempfile
from collections.abc import Iterator, Sequence
from ipaddress import ip_network
from pathlib import Path
from typing import Any

import pytest

from trustserver.api.client_address import client_address
from trustserver.process.addresses import forwarded_address, is_in, unmapped
from trustserver.server.clients import ClientAddresses, TunnelNames, usual_folders

PROXIES = (ip_network("10.0.0.0/24"), ip_network("2001:db8::/32"))


@pytest.fixture
def folder() -> Iterator[Path]:
    """An empty folder whose path is short, as that of a Unix socket must be."""
    with tempfile.TemporaryDirectory(prefix="t", dir="/tmp") as path:
        yield Path(path)


class Peer:
    """A connection, and how many requests of it are being answered."""

    def __init__(self, address: str) -> None:
        self.peer = (address, 1234)
        self.certificate: bytes | None = None
        self.counts: list[int] = []

    def request_begins(self) -> None:
        self.counts.append(1)

    def request_ends(self) -> None:
        self.counts.append(-1)


def seen(
    client: object,
    headers: Sequence[tuple[bytes, bytes]],
    names: TunnelNames | None,
    *,
    fails: bool = False,
    over_unix: bool = False,
) -> str | None:
    """What the application gets."""
    found: list[str | None] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        found.append(client_address(scope))
        if fails:
            raise ValueError("broken")

    scope = {"type": "http", "client": client, "headers": headers}
    asyncio.run(ClientAddresses(app, names, PROXIES, over_unix=over_unix)(scope, None, None))
    return found[0]


def named(folder: Path, address: str) -> tuple[TunnelNames, str, Peer]:
    names, peer = TunnelNames([folder]), Peer(address)
    with socket.socket(socket.AF_UNIX) as unix_socket:
        name = names.bind(unix_socket, peer)
        assert unix_socket.getsockname() == name
    return names, name, peer


def test_a_name_leads_to_the_client_and_leaves_no_file(folder: Path) -> None:
    names, name, peer = named(folder, "192.0.2.1")
    assert list(folder.iterdir()) == []
    assert seen((name, "0"), [(b"x-forwarded-for", b"198.51.100.9")], names) == "192.0.2.1"
    assert peer.counts == [1, -1]
    with pytest.raises(ValueError, match="broken"):
        seen((name, "0"), [], names, fails=True)
    assert peer.counts == [1, -1, 1, -1]
    names.forget(name)
    assert seen((name, "0"), [], names) is None
    assert seen(("", "0"), [], names) is None
    assert seen(None, [], names) is None


def test_a_trusted_proxy_is_asked_for_its_client(folder: Path) -> None:
    names, name, _ = named(folder, "10.0.0.7")
    assert seen((name, "0"), [(b"x-forwarded-for", b"203.0.113.5")], names) == "203.0.113.5"
    assert seen((name, "0"), [], names) == "10.0.0.7"
    assert seen((name, "0"), [(b"x-forwarded-for", b"nonsense")], names) == "10.0.0.7"
    assert seen(("10.0.0.7", "9"), [(b"x-forwarded-for", b"203.0.113.5")], None) == "203.0.113.5"
    assert seen(("192.0.2.1", "9"), [(b"x-forwarded-for", b"203.0.113.5")], None) == "192.0.2.1"


TWICE = [(b"x-forwarded-for", b"198.51.100.9"), (b"x-forwarded-for", b"203.0.113.5")]


@pytest.mark.parametrize(
    "headers",
    [
        TWICE,
        [(b"x_forwarded_for", b"198.51.100.9")],
        [(b"x-forwarded_for", b"198.51.100.9"), (b"x-forwarded-for", b"203.0.113.5")],
        [(b"forwarded", b"for=198.51.100.9"), (b"forwarded", b"for=203.0.113.5")],
        [(b"forwarded", b"for=198.51.100.9"), (b"x-forwarded-for", b"203.0.113.5")],
        [(b"x-forwarded-for", b"203.0.113.5"), (b"forwarded", b"")],
    ],
)
def test_a_proxy_says_once_whom_it_has_a_request_from(folder: Path, headers: list[tuple[bytes, bytes]]) -> None:
    names, name, peer = named(folder, "10.0.0.7")
    sent: list[Any] = []

    async def send(message: Any) -> None:
        sent.append(message)

    async def app(scope: Any, receive: Any, send: Any) -> None:
        raise AssertionError("it gets no such request")

    for client, through, over_unix in (
        ((name, "0"), names, False),
        (("10.0.0.7", "9"), None, False),
        (None, None, True),
    ):
        scope = {"type": "http", "client": client, "headers": headers}
        asyncio.run(ClientAddresses(app, through, PROXIES, over_unix=over_unix)(scope, None, send))
    assert [message["status"] for message in sent if "status" in message] == [400] * 3
    assert peer.counts == [1, -1]
    # Who is no proxy may write what it likes: nobody looks at it.
    assert seen(("192.0.2.1", "9"), headers, None) == "192.0.2.1"


def test_who_comes_over_a_unix_socket_is_a_proxy_without_an_address(folder: Path) -> None:
    names, name, peer = named(folder, "")
    said = [(b"x-forwarded-for", b"198.51.100.9, 203.0.113.5, 10.0.0.7")]
    for client, through in (((name, "0"), names), ("", None), (None, None)):
        assert seen(client, said, through, over_unix=True) == "203.0.113.5"
        assert seen(client, [], through, over_unix=True) is None
        assert seen(client, [(b"x-forwarded-for", b"unknown")], through, over_unix=True) is None
    assert peer.counts == [1, -1] * 3
    assert seen(None, said, names, over_unix=True) is None, "it has not come through the front"


def test_without_a_folder_a_tunnel_has_no_name(folder: Path) -> None:
    names = TunnelNames([folder / "none", folder / ("x" * 120)])
    with socket.socket(socket.AF_UNIX) as unix_socket:
        assert names.bind(unix_socket, Peer("192.0.2.1")) == ""
    names = TunnelNames([folder / "none", folder])
    with socket.socket(socket.AF_UNIX) as unix_socket:
        assert names.bind(unix_socket, Peer("192.0.2.1")).startswith(str(folder))
        assert names.bind(unix_socket, Peer("192.0.2.1")) == "", "it has one already, as if no path could be made"


def test_a_folder_in_memory_comes_first(folder: Path) -> None:
    assert [str(folder) for folder in usual_folders(folder)][0::2] == ["/dev/shm", str(folder)]


@pytest.mark.parametrize(
    ("headers", "address"),
    [
        ([("X-Forwarded-For", "203.0.113.5")], "203.0.113.5"),
        ([("X-Forwarded-For", "198.51.100.1, 203.0.113.5")], "203.0.113.5"),
        ([("X-Forwarded-For", "198.51.100.1, 203.0.113.5, 10.0.0.9, 2001:db8::9")], "203.0.113.5"),
        ([("X-Forwarded-For", "198.51.100.1"), ("X-Forwarded-For", "203.0.113.5:7000")], "203.0.113.5"),
        ([("X-Forwarded-For", "[2a00::1]:443")], "2a00::1"),
        ([("X-Forwarded-For", "203.0.113.5, unknown")], None),
        ([("X-Forwarded-For", "203.0.113.5,")], None),
        ([("X-Forwarded-For", "10.0.0.9")], None),
        ([("X-Forwarded-For", ",".join(["203.0.113.5", *["10.0.0.9"] * 10_000]))], None),
        ([("Forwarded", 'for=198.51.100.1, for="[2a00::1]:443";proto=https')], "2a00::1"),
        ([("Forwarded", "by=198.51.100.1;For=203.0.113.5, for=10.0.0.1")], "203.0.113.5"),
        ([("Forwarded", "for=203.0.113.5;for=203.0.113.6")], None),
        ([("Forwarded", "for=_hidden")], None),
        ([("Forwarded", "for=203.0.113.5"), ("X-Forwarded-For", "203.0.113.6")], None),
        ([], None),
    ],
)
def test_the_last_address_that_is_no_trusted_proxy_counts(headers: list[tuple[str, str]], address: str | None) -> None:
    raw = [(name.lower().encode(), value.encode()) for name, value in headers]
    assert forwarded_address(raw, PROXIES) == address


@pytest.mark.parametrize(
    ("address", "plain"),
    [
        ("::ffff:192.0.2.1", "192.0.2.1"),
        ("::ffff:0:c000:201", "::ffff:0:c000:201"),
        ("::ffff:nowhere", "::ffff:nowhere"),
        ("::1", "::1"),
        ("192.0.2.1", "192.0.2.1"),
    ],
)
def test_an_ipv4_address_is_itself_on_a_socket_for_both_kinds(address: str, plain: str) -> None:
    assert unmapped(address) == plain


def test_networks_hold_addresses_of_their_kind() -> None:
    assert is_in("::ffff:10.0.0.9", PROXIES)
    assert is_in("2001:db8:1::", PROXIES)
    assert not is_in("10.0.1.9", PROXIES)
    assert not is_in("nowhere", PROXIES)
    assert not is_in("10.0.0.9", ())
