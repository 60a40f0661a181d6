"""A Notary server over HTTP that answers as it should, and one that does not."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator

import pytest

from keys.algorithms import Algorithm, generate
from keys.notary import NotaryKey, bare_key
from tests.support.hostile_server import HostileServer, Request, Wire, answering, json_reply, megabytes_after, reply
from tests.support.network_users import GUN
from tests.unit.cli_net.conftest import Remotes, Serve
from trustcli.client.notary_remote import MAX_ANSWER, NotaryRemote
from trustcli.client.ports import CollectionState
from trustcli.errors import (
    RemoteBusy,
    RemoteClockJumped,
    RemoteFull,
    RemoteMisbehaved,
    RemoteRefused,
    RemoteUnreachable,
)
from trustdata.errors import (
    NoTrustData,
    PublishRefused,
    ServerKeyNotUsed,
    TooLarge,
    TrustError,
    VersionConflict,
)
from trustdata.roles import ROOT, SNAPSHOT, TARGETS, TIMESTAMP, RoleName

pytestmark = pytest.mark.allow_hosts(["127.0.0.1"])

BASE = f"/v2/{GUN}/_trust/tuf"
NOT_FOUND = json_reply(404, {"errors": [{"code": "METADATA_NOT_FOUND", "message": "no such metadata", "detail": {}}]})
NotaryOf = Callable[[HostileServer], NotaryRemote]


@pytest.fixture
def notary_of(remote_of: Remotes) -> Iterator[NotaryOf]:
    made: list[NotaryRemote] = []

    def make(server: HostileServer) -> NotaryRemote:
        made.append(NotaryRemote(remote_of(server)._link))
        return made[-1]

    yield make
    for remote in made:
        remote.close()


def invalid(name: str, message: str, **more: object) -> bytes:
    detail = {"Name": name, "Error": {"Msg": message, **more}}
    return json_reply(400, {"errors": [{"code": "INVALID_UPDATE", "message": "Update is invalid.", "detail": detail}]})


def key_reply(key: NotaryKey) -> bytes:
    return json_reply(200, {"keytype": key.keytype, "keyval": {"public": key.keyval["public"], "private": None}})


# --- reading


def test_files_by_their_names(serve: Serve, notary_of: NotaryOf) -> None:
    server = serve(answering(reply(200, b"one"), NOT_FOUND, reply(404, b"<html>"), reply(410)))
    remote = notary_of(server)
    assert remote.fetch(GUN, "targets/alice.abcd.json", limit=3) == b"one"
    assert [remote.fetch(GUN, name, limit=3) for name in ("2.root.json", "x", "y")] == [None, None, None]
    assert server.requests[0].target == f"{BASE}/targets/alice.abcd.json"


def test_a_file_that_is_larger_than_it_may_be(serve: Serve, notary_of: NotaryOf) -> None:
    remote = notary_of(serve(answering(reply(200, b"four"))))
    with pytest.raises(TooLarge, match=r"timestamp\.json from http"):
        remote.fetch(GUN, "timestamp.json", limit=3)


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        (reply(500, b"oops"), RemoteUnreachable),
        (reply(502), RemoteUnreachable),
        (reply(403), RemoteRefused),
        (reply(418), RemoteRefused),
        (reply(204), RemoteMisbehaved),
        (reply(304), RemoteMisbehaved),
        (b"no HTTP\r\n\r\n", RemoteMisbehaved),
    ],
)
def test_an_outage_is_not_absence(serve: Serve, notary_of: NotaryOf, answer: bytes, error: type[TrustError]) -> None:
    def script(_: Request, wire: Wire) -> None:
        wire.send(answer)
        wire.close()

    remote = notary_of(serve(script))
    for ask in (lambda: remote.fetch(GUN, "timestamp.json", limit=9), lambda: remote.collection(GUN)):
        with pytest.raises(error):
            ask()


def test_a_server_that_can_do_nothing_now_is_quoted(serve: Serve, notary_of: NotaryOf) -> None:
    for code, error in (("CLOCK_JUMPED", RemoteClockJumped), ("UNAVAILABLE", RemoteBusy)):
        answer = json_reply(503, {"errors": [{"code": code, "message": "the reason"}]})
        with pytest.raises(error, match="the reason") as refused:
            notary_of(serve(answering(answer))).publish(GUN, {TARGETS: b"{}"})
        assert type(refused.value) is error


def test_a_busy_server_and_a_limit_are_told_apart_from_a_full_disk(serve: Serve, notary_of: NotaryOf) -> None:
    busy = json_reply(503, {"errors": [{"code": "UNAVAILABLE", "message": "too many uploads"}]}, {"Retry-After": "7"})
    with pytest.raises(RemoteBusy, match="too many uploads") as caught:
        notary_of(serve(answering(busy))).publish(GUN, {TARGETS: b"{}"})
    assert caught.value.seconds == 7
    limit = json_reply(507, {"errors": [{"code": "TOO_MANY", "message": "as many as are kept: 9"}]})
    with pytest.raises(RemoteRefused, match="as many as are kept: 9") as refused:
        notary_of(serve(answering(limit))).publish(GUN, {TARGETS: b"{}"})
    assert (refused.value.status, refused.value.server_code) == (507, "TOO_MANY")
    full = json_reply(507, {"errors": [{"code": "UNAVAILABLE", "message": "no"}]})
    with pytest.raises(RemoteFull):
        notary_of(serve(answering(full))).publish(GUN, {TARGETS: b"{}"})


def test_a_redirect_leads_nowhere_but_within_the_server(serve: Serve, notary_of: NotaryOf) -> None:
    other = serve(answering(reply(200, b"theirs")))
    remote = notary_of(serve(answering(reply(301, headers={"Location": f"/v2/{GUN}/_trust/tuf/root.json"}))))
    with pytest.raises(RemoteMisbehaved):
        remote.fetch(GUN, "root.json", limit=9)
    away = notary_of(serve(answering(reply(302, headers={"Location": f"{other.url}/x"}))))
    with pytest.raises(RemoteMisbehaved):
        away.publish(GUN, {ROOT: b"{}"})
    assert other.requests == []


def test_what_there_is(serve: Serve, notary_of: NotaryOf) -> None:
    remote = notary_of(serve(answering(reply(200, b"{}"), NOT_FOUND, NOT_FOUND)))
    assert remote.collection(GUN) == CollectionState(gun=GUN, format="notary-v1", revision=0, versions={})
    assert remote.collection(GUN) is None
    with pytest.raises(NoTrustData):
        remote.delete(GUN)


# --- publishing


def test_the_roles_are_sent_verbatim_under_their_bare_names(serve: Serve, notary_of: NotaryOf) -> None:
    server = serve(answering(reply(200)))
    files = {ROOT: b'{"a": 1}\r\n', RoleName("targets/alice"): b"--x\r\n\x00", SNAPSHOT: b""}
    published = notary_of(server).publish(GUN, files)
    assert (published.revision, published.versions) == (0, {})
    (request,) = server.requests
    assert (request.method, request.target) == ("POST", f"{BASE}/")
    boundary = request.headers["content-type"].partition("boundary=")[2].encode()
    parts = request.body.split(b"--" + boundary)[1:-1]
    names = [part.partition(b"filename=")[2].split(b"\r\n")[0] for part in parts]
    assert names == [b'"root"', b'"targets/alice"', b'"snapshot"']
    assert [part.partition(b"\r\n\r\n")[2].removesuffix(b"\r\n") for part in parts] == list(files.values())


@pytest.mark.parametrize(
    ("answer", "error", "says"),
    [
        (json_reply(400, {"errors": [{"code": "VERSION", "message": "newer", "detail": {}}]}), VersionConflict, ""),
        (invalid("ErrBadRoot", "must be signed"), PublishRefused, "root: the server says: must be signed"),
        (invalid("ErrBadTargets", "no"), PublishRefused, "targets: the server says: no"),
        (invalid("ErrBadSnapshot", "no"), PublishRefused, "snapshot: the server says: no"),
        (invalid("ErrValidation", "no"), PublishRefused, "upload: the server says: no"),
        (invalid("ErrNeverHeardOf", "no"), PublishRefused, "upload: the server says: no"),
        (invalid("ErrBadHierarchy", "no snapshot", Missing="snapshot"), ServerKeyNotUsed, "snapshot"),
        (invalid("ErrValidation", "rpc error: code = NotFound"), ServerKeyNotUsed, "snapshot"),
        (json_reply(400, {"errors": [{"code": "INVALID_UPDATE", "message": "bad"}]}), PublishRefused, "bad"),
        (
            json_reply(400, {"errors": [{"code": "INVALID_UPDATE", "message": "bad", "detail": {"Error": []}}]}),
            PublishRefused,
            "bad",
        ),
        (json_reply(400, {"errors": [{"code": "INVALID_GUN", "message": "not ours"}]}), RemoteRefused, "not ours"),
        (json_reply(400, {"errors": []}), RemoteRefused, "400"),
        (json_reply(400, {"errors": [{"code": "VERSION"}, {"code": "VERSION"}]}), RemoteRefused, "400"),
        (json_reply(400, [1]), RemoteRefused, "400"),
        (json_reply(400, {"errors": ["VERSION"]}), RemoteRefused, "400"),
        (reply(400, b"VERSION"), RemoteRefused, "400"),
        (reply(400, b'{"errors":[{"code":' + b"[" * 30_000), RemoteRefused, "400"),
        (reply(500, b'{"errors":[{"code":"VERSION","message":"m"}]}'), VersionConflict, ""),
    ],
)
def test_what_a_refusal_means(
    *, serve: Serve, notary_of: NotaryOf, answer: bytes, error: type[TrustError], says: str
) -> None:
    remote = notary_of(serve(answering(answer)))
    with pytest.raises(error) as caught:
        remote.publish(GUN, {TARGETS: b"{}"})
    assert type(caught.value) is error
    assert says in str(caught.value)


def test_who_sends_a_snapshot_of_his_own_is_not_told_of_the_server_s_key(serve: Serve, notary_of: NotaryOf) -> None:
    remote = notary_of(serve(answering(invalid("ErrBadHierarchy", "odd"))))
    with pytest.raises(PublishRefused, match="odd"):
        remote.publish(GUN, {SNAPSHOT: b"{}"})


def test_foreign_text_is_shown_and_not_obeyed(serve: Serve, notary_of: NotaryOf) -> None:
    for answer in (
        invalid("ErrBadRoot", "\x1b[2Jgone\nroot: all is well"),
        json_reply(403, {"errors": [{"code": "DENIED", "message": "\x1b[2Jgone\nall is well"}]}),
    ):
        remote = notary_of(serve(answering(answer)))
        with pytest.raises(TrustError) as caught:
            remote.publish(GUN, {ROOT: b"{}"})
        assert "\x1b" not in str(caught.value)
        assert "\n" not in str(caught.value)


def test_an_error_without_end(serve: Serve, notary_of: NotaryOf) -> None:
    for script in (answering(reply(400, b"x" * (MAX_ANSWER + 1))), megabytes_after(b"nonsense")):
        with pytest.raises((TooLarge, RemoteMisbehaved, RemoteRefused)):
            notary_of(serve(script)).publish(GUN, {ROOT: b"{}"})


# --- the server's keys


@pytest.mark.parametrize("algorithm", [Algorithm.ECDSA_P256, Algorithm.ED25519])
def test_a_key_is_read_under_the_id_that_it_has(serve: Serve, notary_of: NotaryOf, algorithm: Algorithm) -> None:
    key = bare_key(generate(algorithm).public_key())
    server = serve(answering(key_reply(key)))
    remote = notary_of(server)
    assert remote.online_key(GUN, TIMESTAMP).keyid == key.keyid
    assert remote.new_online_key(GUN, SNAPSHOT).keyid == key.keyid
    assert [(r.method, r.target) for r in server.requests] == [
        ("GET", f"{BASE}/timestamp.key"),
        ("POST", f"{BASE}/snapshot.key"),
    ]


@pytest.mark.parametrize(
    "answer",
    [
        reply(200, b""),
        reply(200, b"no JSON"),
        reply(200, b"\xff"),
        reply(200, b"[" * 60_000),
        json_reply(200, []),
        json_reply(200, {"keytype": "ecdsa"}),
        json_reply(200, {"keytype": "ecdsa", "keyval": None}),
        json_reply(200, {"keytype": "ecdsa", "keyval": {"public": ""}}),
        json_reply(200, {"keytype": "dsa", "keyval": {"public": "AAAA"}}),
        json_reply(200, {"keytype": "rsa", "keyval": bare_key(generate().public_key()).to_dict()["keyval"]}),
        json_reply(200, {"keytype": "ed25519", "keyval": {"public": "AAAA"}}),
    ],
)
def test_what_is_no_key(serve: Serve, notary_of: NotaryOf, answer: bytes) -> None:
    remote = notary_of(serve(answering(answer)))
    for ask in (remote.online_key, remote.new_online_key):
        with pytest.raises(RemoteMisbehaved, match="its key cannot be read"):
            ask(GUN, TIMESTAMP)


@pytest.mark.parametrize(
    ("message", "more", "said"),
    [
        ("authentication required", {"subject": "anonymous", "right": "push"}, ": anonymous has no right push (asked"),
        ("no rule allows push", {"subject": "user:a", "right": "push"}, "no rule allows push (asked"),
        ("authentication required", {}, "authentication required (asked"),
        ("authentication required", {"subject": 7, "right": ["x"]}, "authentication required (asked"),
    ],
)
def test_a_refusal_for_lack_of_a_right_names_it(
    serve: Serve, notary_of: NotaryOf, message: str, more: dict[str, object], said: str
) -> None:
    server = serve(answering(json_reply(403, {"errors": [{"code": "UNAUTHORIZED", "message": message, **more}]})))
    with pytest.raises(RemoteRefused, match=re.escape(said)) as caught:
        notary_of(server).online_key(GUN, TIMESTAMP)
    assert caught.value.server_details == more
    assert caught.value.login == f"trust login {server.url}"


def test_a_key_that_is_refused(serve: Serve, notary_of: NotaryOf) -> None:
    denied = json_reply(403, {"errors": [{"code": "DENIED", "message": "not you"}]})
    with pytest.raises(RemoteRefused, match="not you") as caught:
        notary_of(serve(answering(denied))).online_key(GUN, TIMESTAMP)
    assert (caught.value.status, caught.value.server_code) == (403, "DENIED")


# --- the change feed


def page(*records: tuple[str, str, str]) -> bytes:
    return json_reply(
        200, {"count": len(records), "records": [{"ID": i, "GUN": g, "Category": c} for i, g, c in records]}
    )


def test_the_feed_is_read_to_its_end(serve: Serve, notary_of: NotaryOf) -> None:
    server = serve(
        answering(
            page(("1", "a", "update"), ("2", "b", "update")),
            page(("3", "a", "deletion")),
            reply(200, b'{"count":0,"records":null}'),
        )
    )
    changes = list(notary_of(server).changes())
    assert [(change.id, change.gun, change.deleted) for change in changes] == [
        ("1", "a", False),
        ("2", "b", False),
        ("3", "a", True),
    ]
    asked = [json.dumps(r.target.partition("?")[2].split("&")[0]) for r in server.requests]
    assert asked == ['"change_id=0"', '"change_id=2"', '"change_id=3"']


@pytest.mark.parametrize("body", [b"", b"[]", b"{}", b'{"records":[1]}', b'{"records":[{"ID":1}]}', b'{"records":1}'])
def test_a_feed_that_cannot_be_read(serve: Serve, notary_of: NotaryOf, body: bytes) -> None:
    with pytest.raises(RemoteMisbehaved, match="change feed"):
        list(notary_of(serve(answering(reply(200, body)))).changes())


def test_a_feed_that_is_refused(serve: Serve, notary_of: NotaryOf) -> None:
    with pytest.raises(RemoteRefused):
        list(notary_of(serve(answering(reply(403)))).changes())
