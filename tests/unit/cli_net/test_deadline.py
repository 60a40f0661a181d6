"""Which of the two limits ended an exchange: silence in one read, or the time of the whole."""

from __future__ import annotations

import pytest

from tests.unit.cli_net.conftest import Remotes, Serve, fetch
from tests.unit.cli_net.hostile_server import Request, Wire
from trustcli.http.time_budget import Timeouts
from trustdata.errors import RemoteUnreachable

pytestmark = pytest.mark.allow_hosts(["127.0.0.1"])


@pytest.mark.parametrize(
    ("timeouts", "reason"),
    [
        (Timeouts(connect=5, read=5, overall=0.1), "no complete answer within 0.1 seconds"),
        (Timeouts(connect=5, read=0.1, overall=5), "no answer in time"),
    ],
)
def test_the_reason_given_is_the_limit_that_was_reached(
    serve: Serve, remote_of: Remotes, timeouts: Timeouts, reason: str
) -> None:
    def silent(_: Request, wire: Wire) -> None:
        wire.send(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n1")
        wire.stopping.wait()

    with pytest.raises(RemoteUnreachable, match=reason):
        fetch(remote_of(serve(silent), timeouts=timeouts))
