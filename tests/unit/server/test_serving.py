"""The listening socket: what everybody who is accepted on it inherits."""

from __future__ import annotations

import socket
import sys

import pytest

from trustserver.server.connection_timeouts import UNREAD_SECONDS
from trustserver.server.serving import bind
from trustserver.settings import Listen

pytestmark = pytest.mark.allow_hosts(["127.0.0.1"])


@pytest.mark.skipif(sys.platform != "linux", reason="TCP_USER_TIMEOUT is Linux's")
def test_the_kernel_ends_a_connection_whose_client_takes_nothing() -> None:
    with bind(Listen(host="127.0.0.1", port=0)) as bound:
        bound.setblocking(True)
        with socket.create_connection(bound.getsockname()), bound.accept()[0] as accepted:
            found = accepted.getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT)
    assert found == UNREAD_SECONDS * 1000
