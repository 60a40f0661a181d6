"""Publishing, and what a trust server says about a collection."""

from __future__ import annotations

import hashlib

import pytest
from securesystemslib.formats import encode_canonical

from tests.support.hostile_server import Request, Wire, answering, json_reply, reply
from tests.support.network_users import GUN
from tests.unit.cli_net.conftest import Remotes, Serve
from trustcli.client.ports import CollectionState, DeletedCollection
from trustcli.console.failure_table import row_for
from trustcli.errors import (
    RemoteBusy,
    RemoteClockJumped,
    RemoteFull,
    RemoteMisbehaved,
    RemoteRefused,
)
from trustdata.errors import (
    CollectionExists,
    NoTrustData,
    ServerKeyNotUsed,
    TrustError,
    VersionConflict,
    WouldBreakRole,
)
from trustdata.roles import ROOT, SNAPSHOT, RoleName

pytestmark = pytest.mark.allow_hosts(["127.0.0.1"])


# --- publishing


def stored_answer(**changes: object) -> bytes:
    content = {"gun": GUN, "format": "tuf-1.0", "revision": 3, "versions": {"root": 1, "targets/a": 2}}
    return json_reply(200, {**content, **changes})


def test_publish_sends_the_files_verbatim(serve: Serve, remote_of: Remotes) -> None:
    server = serve(answering(stored_answer()))
    files = {ROOT: b'{"a": 1}\r\n', RoleName("targets/älice"): b"--x\r\n\x00"}
    published = remote_of(server).publish(GUN, files)
    assert published.revision == 3
    assert published.versions == {"root": 1, "targets/a": 2}
    request = server.requests[0]
    assert request.target == f"/api/v1/collections/{GUN}/publish"
    boundary = request.headers["content-type"].partition("boundary=")[2].encode()
    parts = request.body.split(b"--" + boundary)
    assert parts[-1] == b"--\r\n"
    names = [part.partition(b"\r\n\r\n")[0].partition(b"filename=")[2].split(b"\r\n")[0] for part in parts[1:-1]]
    contents = [part.partition(b"\r\n\r\n")[2].removesuffix(b"\r\n") for part in parts[1:-1]]
    assert names == [b'"root"', b'"targets%2F%C3%A4lice"']
    assert contents == list(files.values())


@pytest.mark.parametrize(
    ("status", "code", "error"),
    [
        (409, "would-break-role", WouldBreakRole),
        (409, "server-key-not-used", ServerKeyNotUsed),
        (409, "collection-exists", CollectionExists),
    ],
)
def test_refusals_of_an_upload_are_rebuilt(
    serve: Serve, remote_of: Remotes, status: int, code: str, error: type[TrustError]
) -> None:
    answer = json_reply(status, {"code": code, "detail": "long", "role": "targets", "reason": "short"})
    with pytest.raises(error, match="targets: short"):
        remote_of(serve(answering(answer))).publish(GUN, {ROOT: b""})


def test_a_conflict_is_rebuilt_with_its_versions(serve: Serve, remote_of: Remotes) -> None:
    answer = json_reply(
        409,
        {"code": "version-conflict", "role": "targets", "offered": 2, "stored": 5},
        {"Content-Type": "application/problem+json"},
    )
    with pytest.raises(VersionConflict) as caught:
        remote_of(serve(answering(answer))).publish(GUN, {ROOT: b""})
    assert (caught.value.role, caught.value.offered, caught.value.stored) == ("targets", 2, 5)


def test_any_other_refusal_keeps_code_and_details(serve: Serve, remote_of: Remotes) -> None:
    answer = json_reply(422, {"code": "threshold-not-met", "detail": "no", "role": "root", "status": 422})
    with pytest.raises(RemoteRefused) as caught:
        remote_of(serve(answering(answer))).publish(GUN, {ROOT: b""})
    assert (caught.value.status, caught.value.server_code) == (422, "threshold-not-met")
    assert caught.value.server_details == {"role": "root"}


def test_a_server_whose_clock_jumped_is_no_network_that_fails(serve: Serve, remote_of: Remotes) -> None:
    answer = json_reply(503, {"code": "clock-jumped", "detail": "the server's clock says 2027"})
    with pytest.raises(RemoteClockJumped, match="has changed nothing: the server's clock says 2027"):
        remote_of(serve(answering(answer))).publish(GUN, {ROOT: b""})


def test_a_server_that_is_busy_says_when_to_ask_again(serve: Serve, remote_of: Remotes) -> None:
    for status, header, seconds in ((503, "7", 7), (429, "30", 30), (503, "9" * 5000, 86_400)):
        answer = json_reply(status, {"code": "overloaded", "detail": "too many uploads"}, {"Retry-After": header})
        with pytest.raises(RemoteBusy, match=rf"is busy \({status}\): too many uploads") as caught:
            remote_of(serve(answering(answer))).publish(GUN, {ROOT: b""})
        assert (caught.value.status, caught.value.seconds) == (status, seconds)
        assert f"after {seconds} s" in row_for(caught.value).advice(caught.value)


@pytest.mark.parametrize("header", ["Wed, 21 Oct 2026 07:28:00 GMT", "-1", "1.5", "", "²"])
def test_a_server_that_does_not_say_when_is_asked_again_later(serve: Serve, remote_of: Remotes, header: str) -> None:
    answer = json_reply(503, {"detail": "no"}, {"Retry-After": header} if header.isascii() else {})
    with pytest.raises(RemoteBusy) as caught:
        remote_of(serve(answering(answer))).publish(GUN, {ROOT: b""})
    assert caught.value.seconds == 0
    assert "the same command again later" in row_for(caught.value).advice(caught.value)


def test_a_limit_of_the_server_is_no_full_disk(serve: Serve, remote_of: Remotes) -> None:
    detail = "there are as many collections on this server as are kept: 9"
    answer = json_reply(507, {"code": "too-many", "detail": detail, "what": "collections", "limit": 9})
    with pytest.raises(RemoteRefused, match="as are kept: 9") as caught:
        remote_of(serve(answering(answer))).publish(GUN, {ROOT: b""})
    assert (caught.value.server_code, caught.value.server_details) == ("too-many", {"what": "collections", "limit": 9})
    assert "raise this limit" in row_for(caught.value).advice(caught.value)
    full = json_reply(507, {"code": "disk-full", "detail": "the disk is full"})
    with pytest.raises(RemoteFull, match="the disk is full"):
        remote_of(serve(answering(full))).publish(GUN, {ROOT: b""})


def test_an_early_refusal_of_a_large_upload_is_heard(serve: Serve, remote_of: Remotes) -> None:
    answer = json_reply(413, {"code": "too-large", "detail": "too much"})

    def script(request: Request, wire: Wire) -> None:
        wire.send(answer)

    with pytest.raises(RemoteRefused, match="too much"):
        remote_of(serve(script)).publish(GUN, {ROOT: b"x" * 3_000_000})


@pytest.mark.parametrize(
    "answer",
    [
        reply(200, b"<html>"),
        json_reply(200, []),
        stored_answer(gun="other/app"),
        stored_answer(revision=True),
        stored_answer(revision="3"),
        stored_answer(versions={"root": -1}),
        stored_answer(versions=[]),
        reply(200, b"[" * 100_000),
    ],
)
def test_an_answer_that_is_none(serve: Serve, remote_of: Remotes, answer: bytes) -> None:
    with pytest.raises(RemoteMisbehaved):
        remote_of(serve(answering(answer))).publish(GUN, {ROOT: b""})


KEY: dict[str, object] = {
    "keytype": "ed25519",
    "scheme": "ed25519",
    "keyval": {"public": "edcd0a32a07dce33f7c7873aaffbff36d20ea30787574ead335eefd337e4dacd"},
}


def key_id(key: dict[str, object]) -> str:
    return hashlib.sha256(encode_canonical(key).encode()).hexdigest()  # type: ignore[union-attr]


def test_server_keys(serve: Serve, remote_of: Remotes) -> None:
    server = serve(answering(json_reply(200, {"keyid": key_id(KEY), "key": KEY})))
    remote = remote_of(server)
    assert remote.online_key(GUN, SNAPSHOT).keyid == key_id(KEY)
    assert remote.new_online_key(GUN, SNAPSHOT).to_dict() == KEY
    assert [(r.method, r.target) for r in server.requests] == [
        ("GET", f"/api/v1/collections/{GUN}/keys/snapshot"),
        ("POST", f"/api/v1/collections/{GUN}/keys/snapshot"),
    ]


@pytest.mark.parametrize(
    "content",
    [
        {"keyid": "0" * 64, "key": KEY},
        {"keyid": "0" * 64, "key": {}},
        {"keyid": "0" * 64, "key": "x"},
        {"keyid": 1, "key": KEY},
        {"key": KEY},
        {"keyid": key_id(KEY), "key": {**KEY, "keyval": {"public": 5}}},
    ],
)
def test_a_key_that_is_not_its_own(serve: Serve, remote_of: Remotes, content: object) -> None:
    with pytest.raises(RemoteMisbehaved):
        remote_of(serve(answering(json_reply(200, content)))).online_key(GUN, SNAPSHOT)


def test_what_the_server_says_of_a_collection(serve: Serve, remote_of: Remotes) -> None:
    gone = {
        "code": "collection-deleted",
        "deleted_root": "sha256:ab",
        "versions": {"root": 2},
        "deleted_at": "then",
        "subject": "bob",
    }
    server = serve(answering(stored_answer(), json_reply(404, {"code": "no-trust-data"}), json_reply(410, gone)))
    remote = remote_of(server)
    state = remote.collection(GUN)
    assert isinstance(state, CollectionState)
    assert (state.format, state.revision) == ("tuf-1.0", 3)
    assert remote.collection(GUN) is None
    tombstone = remote.collection(GUN)
    assert isinstance(tombstone, DeletedCollection)
    assert (tombstone.deleted_root, tombstone.subject, tombstone.versions) == ("sha256:ab", "bob", {"root": 2})


def test_a_404_of_something_else_does_not_mean_that_there_is_no_collection(serve: Serve, remote_of: Remotes) -> None:
    with pytest.raises(RemoteRefused):
        remote_of(serve(answering(reply(404, b"nginx")))).collection(GUN)


def test_delete(serve: Serve, remote_of: Remotes) -> None:
    server = serve(answering(json_reply(200, {"gun": GUN, "revision": 9}), json_reply(404, {"code": "no-trust-data"})))
    remote = remote_of(server)
    assert remote.delete(GUN) == 9
    with pytest.raises(NoTrustData):
        remote.delete(GUN)
    assert server.requests[0].method == "DELETE"
