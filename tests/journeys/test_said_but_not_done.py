"""A server that says yes and does nothing, or half of it: no command calls that success."""

from __future__ import annotations

import pytest

from tests.journeys.hostile import Serve, begin, fetched
from tests.support.hostile_server import Request, Wire, json_reply
from tests.support.images import BuiltImage
from tests.support.stage import Put
from tests.support.trust_program import TrustUser

pytestmark = pytest.mark.allow_hosts(["127.0.0.1"])


def yes_man(owner: TrustUser, gun: str, serve: Serve) -> str:
    """URL of a front that stores nothing and says that it did; all else is true."""
    true = owner.environ["TRUST_SERVER"]

    def script(request: Request, wire: Wire) -> None:
        yes = json_reply(200, {"gun": gun, "format": "tuf-1.0", "revision": 9, "versions": {"targets": 3}})
        wire.send(yes if request.target.endswith("/publish") else fetched(true, request))

    return serve(script).url


@pytest.mark.parametrize(
    ("command", "sentence"),
    [
        ("signer add alice NAME --key alice.pub", "it said that signer alice with key "),
        ("signer add bob NAME --key alice.pub", "it said that signer bob with key "),
        ("signer remove bob NAME", "the removal of signer bob from "),
        ("key rotate root NAME", "for root of "),
        ("renew NAME --all", "targets version 4 of "),
        ("key rotate targets NAME", "for targets of "),
        ("key rotate snapshot NAME", "for snapshot of "),
        ("key rotate timestamp NAME", "for timestamp of "),
    ],
)
def test_a_publish_that_was_none(
    *, owner: TrustUser, gun: str, begun: BuiltImage, serve: Serve, command: str, sentence: str
) -> None:
    for name in ("alice", "bob"):
        owner.run("key", "generate", name)
    owner.run("signer", "add", "bob", gun, "--key", "bob.pub")
    server = yes_man(owner, gun, serve)
    failed = owner.run("--server", server, *command.replace("NAME", gun).split(), expect=6)
    failed.said(f"{server} gave an answer that cannot be used: it said that ", sentence, "published, but it is not")
    assert failed.stdout == ""


def test_a_signature_that_leaves_the_tag_where_it_was(owner: TrustUser, gun: str, put: Put, serve: Serve) -> None:
    begin(owner, gun, put)
    other = put("other", text="other")
    server = yes_man(owner, gun, serve)
    failed = owner.run("--server", server, "sign", f"{gun}:1.0@{other.digest}", expect=6)
    failed.said(f"it said that {gun}:1.0 as {other.digest} was published, but it is not")
    assert failed.stdout == ""


@pytest.mark.parametrize("role", ["snapshot", "timestamp"])
def test_an_online_key_that_is_not_new(
    *, owner: TrustUser, gun: str, begun: BuiltImage, serve: Serve, role: str
) -> None:
    """Refused before anything is published."""
    true = owner.environ["TRUST_SERVER"]

    def script(request: Request, wire: Wire) -> None:
        old = Request(method="GET", target=request.target, headers={}, body=b"", connection=0)
        wire.send(fetched(true, old if request.target.endswith(f"/keys/{role}") else request))

    server = serve(script)
    failed = owner.run("--server", server.url, "key", "rotate", role, gun, expect=6)
    failed.said(f"its new key for {role} is ", f"which the root of {gun} names already")
    assert not [request for request in server.requests if request.target.endswith("/publish")]
