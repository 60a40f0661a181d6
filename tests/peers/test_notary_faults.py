"""Debian's `notary` against both servers with somebody in between: tampering, rollback, outage, lost requests."""

from __future__ import annotations

import base64
import dataclasses
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.peers.faulty_front import FaultyFront, Forward, altered, front, honest
from tests.support.hostile_server import Request
from tests.support.notary_client import NotaryUser
from tests.support.trust_servers import Answer

__all__ = ["front"]

Change = Callable[[bytes], bytes]
Fronted = Callable[..., NotaryUser]


@pytest.fixture
def fronted(tmp_path: Path, front: FaultyFront) -> Fronted:
    """Persons who reach the server only through the front; `like` gives what another has on disk."""

    def person(name: str, *, like: NotaryUser | None = None) -> NotaryUser:
        user = NotaryUser(tmp_path / name, front.seen)
        if like is not None:
            shutil.copytree(like.trust, user.trust, dirs_exist_ok=True)
        return user

    return person


def with_expiry_moved(raw: bytes) -> bytes:
    """Another payload under the same signatures."""
    document = json.loads(raw)
    document["signed"]["expires"] = "2099" + document["signed"]["expires"][4:]
    return json.dumps(document, separators=(",", ":")).encode()


def without_signatures(raw: bytes) -> bytes:
    return json.dumps({**json.loads(raw), "signatures": []}, separators=(",", ":")).encode()


def cut_short(raw: bytes) -> bytes:
    return raw[:-10]


def a_page(_: bytes) -> bytes:
    return b"<html>Sign in to the network</html>"


def on_post(trick: Callable[[Request, Forward], Answer | None]) -> Callable[[Request, Forward], Answer | None]:
    """Uploads get the trick, everything else passes."""
    return lambda request, forward: trick(request, forward) if request.method == "POST" else forward(request)


class TestTampering:
    @pytest.mark.parametrize("change", [with_expiry_moved, without_signatures, cut_short, a_page])
    @pytest.mark.parametrize("role", ["timestamp", "snapshot", "targets"])
    def test_by_role(
        self, publisher: NotaryUser, front: FaultyFront, fronted: Fronted, collection: str, *, role: str, change: Change
    ) -> None:
        """Neither who comes new nor who has an older state takes it; the next honest answer heals."""
        publisher.add(collection, "1.0")
        warm = fronted("warm")
        warm.listed(collection)
        publisher.add(collection, "2.0")
        front.trick = altered(role, change)
        cold = fronted("cold")
        for user in (warm, cold):
            assert "1.0" not in user.refused("list", collection)
        front.trick = honest
        for user in (warm, cold):
            assert set(user.listed(collection)) == {"1.0", "2.0"}

    @pytest.mark.parametrize("change", [with_expiry_moved, without_signatures, cut_short, a_page])
    def test_of_root(
        self, publisher: NotaryUser, front: FaultyFront, fronted: Fronted, collection: str, change: Change
    ) -> None:
        """Section 15: a warm reader does not ask for root; the snapshot vouches for the one she has."""
        publisher.add(collection, "1.0")
        warm = fronted("warm")
        warm.listed(collection)
        front.trick = altered("root", change)
        fronted("cold").refused("list", collection)
        assert set(warm.listed(collection)) == {"1.0"}
        publisher.rotate(collection, "root")
        warm.refused("list", collection)
        front.trick = honest
        assert set(warm.listed(collection)) == {"1.0"}

    def test_another_collection_s_files(
        self, publisher: NotaryUser, front: FaultyFront, fronted: Fronted, collection: str
    ) -> None:
        """Section 4: root's certificate is for one GUN."""
        publisher.add(collection, "1.0")
        other = f"{collection}-other"
        publisher.run("init", other, "-p")
        warm = fronted("warm")
        warm.listed(collection)
        front.trick = lambda request, forward: forward(
            dataclasses.replace(request, target=request.target.replace(collection, other))
        )
        for user in (warm, fronted("cold")):
            assert "could not validate the path to a trusted root" in user.refused("list", collection)

    @pytest.mark.parametrize(("role", "extra"), [("timestamp", 1 << 20), ("snapshot", 1), ("targets", 1)])
    def test_more_than_was_announced(
        self, publisher: NotaryUser, front: FaultyFront, fronted: Fronted, collection: str, *, role: str, extra: int
    ) -> None:
        """Section 14: the length in the parent; 1 MiB for the timestamp."""
        publisher.add(collection, "1.0")
        front.trick = altered(role, lambda raw: raw + b" " * extra)
        assert "trust server returned a bad response." in fronted("cold").refused("list", collection)


class TestRollback:
    @pytest.mark.parametrize("roles", [("timestamp",), ("timestamp", "snapshot", "targets")], ids=["timestamp", "all"])
    def test_an_older_state(
        self, publisher: NotaryUser, front: FaultyFront, fronted: Fronted, collection: str, roles: tuple[str, ...]
    ) -> None:
        """Who has seen a newer one refuses it."""
        publisher.add(collection, "1.0")
        old = {role: publisher.server.file(collection, f"{role}.json") for role in roles}
        publisher.add(collection, "2.0")
        warm = fronted("warm")
        warm.listed(collection)

        def as_it_was(request: Request, forward: Forward) -> Answer | None:
            role = request.target.rpartition("/")[2].partition(".")[0]
            return old.get(role) or forward(request)

        front.trick = as_it_was
        assert "version 2 is lower than current version 3" in warm.refused("list", collection)
        front.trick = honest
        assert set(warm.listed(collection)) == {"1.0", "2.0"}


class TestOutage:
    @pytest.mark.parametrize("status", [0, 302, 404, 429, 500, 503])
    def test_with_a_warm_cache(
        self, publisher: NotaryUser, front: FaultyFront, fronted: Fronted, collection: str, status: int
    ) -> None:
        """Section 3: a dead server and a warm cache still work, with a warning; nothing can be published."""
        publisher.add(collection, "1.0")
        warm = fronted("warm")
        warm.listed(collection)
        front.trick = lambda *_: Answer(status=status, headers={}, body=b"") if status else None
        assert set(warm.listed(collection)) == {"1.0"}
        assert "using cached timestamp" in warm.run("list", collection)
        assert "client is offline" in fronted("cold").refused("list", collection)
        there = fronted("there", like=publisher)
        there.refused("addhash", collection, "2.0", "10", "--sha256", "ab" * 32, "-p")
        front.trick = honest
        there.run("publish", collection)
        assert set(warm.listed(collection)) == {"1.0", "2.0"}

    def test_not_authorized(self, publisher: NotaryUser, front: FaultyFront, fronted: Fronted, collection: str) -> None:
        """Section 3."""
        front.trick = lambda *_: Answer(status=401, headers={}, body=b"")
        said = fronted("cold").refused("list", collection)
        assert "you are not authorized to perform this operation: server returned 401." in said

    def test_nobody_listens(self, publisher: NotaryUser, front: FaultyFront, fronted: Fronted, collection: str) -> None:
        publisher.add(collection, "1.0")
        warm = fronted("warm")
        warm.listed(collection)
        front.stop()
        assert set(warm.listed(collection)) == {"1.0"}
        assert "client is offline" in fronted("cold").refused("list", collection)


class TestPublishing:
    @pytest.mark.parametrize("arrives", [True, False], ids=["reply-lost", "request-lost"])
    def test_a_lost_upload_is_repeated(
        self, publisher: NotaryUser, front: FaultyFront, fronted: Fronted, collection: str, *, arrives: bool
    ) -> None:
        """The change is kept by the client; publishing it again is harmless, whether or not it had arrived."""
        there = fronted("there", like=publisher)

        def lose(request: Request, forward: Forward) -> Answer | None:
            if arrives:
                forward(request)
            return None

        front.trick = on_post(lose)
        there.refused("addhash", collection, "1.0", "10", "--sha256", "ab" * 32, "-p")
        front.trick = honest
        assert ("1.0" in fronted("before").listed(collection)) == arrives
        there.run("publish", collection)
        reader = fronted("after")
        assert set(reader.listed(collection)) == {"1.0"}
        assert reader.signed(collection, "targets")["version"] == 3  # nothing to change, nothing to sign anew

    def test_a_lost_first_upload_is_repeated(
        self, notary_owner: NotaryUser, front: FaultyFront, fronted: Fronted, collection: str
    ) -> None:
        """As docker does it: root and targets, with a snapshot key of the server."""
        notary_owner.run("init", collection)
        notary_owner.rotate(collection, "snapshot", "-r")
        there = fronted("there", like=notary_owner)

        def lose(request: Request, forward: Forward) -> Answer | None:
            forward(request)
            return None

        front.trick = on_post(lose)
        there.refused("addhash", collection, "1.0", "10", "--sha256", "ab" * 32, "-p")
        front.trick = honest
        there.run("publish", collection)
        assert set(fronted("after").listed(collection)) == {"1.0"}

    def test_the_slower_of_two_publishers(
        self, publisher: NotaryUser, front: FaultyFront, fronted: Fronted, collection: str
    ) -> None:
        """Section 4: VERSION, nothing is stored; she publishes again and nothing of the other's is lost."""
        slower = fronted("slower", like=publisher)

        def overtaken(request: Request, forward: Forward) -> Answer | None:
            publisher.add(collection, "faster")
            answers.append(forward(request))
            return answers[-1]

        answers: list[Answer] = []
        front.trick = on_post(overtaken)
        said = slower.refused("addhash", collection, "slower", "10", "--sha256", "ab" * 32, "-p")
        assert "trust server rejected operation." in said
        (answer,) = answers
        assert (answer.status, json.loads(answer.body)["errors"][0]["code"]) == (400, "VERSION")
        front.trick = honest
        assert set(fronted("between").listed(collection)) == {"faster"}
        slower.run("publish", collection)
        assert set(fronted("after").listed(collection)) == {"faster", "slower"}

    def test_an_upload_sent_twice(
        self, publisher: NotaryUser, front: FaultyFront, fronted: Fronted, collection: str
    ) -> None:
        """Section 4: the second is refused with VERSION and changes nothing."""
        there = fronted("there", like=publisher)

        def twice(request: Request, forward: Forward) -> Answer | None:
            first, second = forward(request), forward(request)
            codes.append(json.loads(second.body)["errors"][0]["code"])
            return first

        codes: list[str] = []
        front.trick = on_post(twice)
        there.add(collection, "1.0")
        assert codes == ["VERSION"]
        reader = fronted("after")
        assert set(reader.listed(collection)) == {"1.0"}
        assert reader.signed(collection, "timestamp")["version"] == 2


class TestRequests:
    def test_what_a_reader_asks(
        self, publisher: NotaryUser, front: FaultyFront, fronted: Fronted, collection: str
    ) -> None:
        """Section 15: cold, then warm."""
        publisher.add(collection, "1.0")
        reader = fronted("reader")
        reader.listed(collection)
        base = f"GET /v2/{collection}/_trust/tuf/"
        sha256 = {
            role: bytes.hex(json_hash(reader.signed(collection, parent), role))
            for role, parent in (("snapshot", "timestamp"), ("targets", "snapshot"))
        }
        assert front.requests == [
            "GET /v2/",
            f"{base}root.json",
            f"{base}timestamp.json",
            f"{base}snapshot.{sha256['snapshot']}.json",
            f"{base}targets.{sha256['targets']}.json",
        ]
        reader.listed(collection)
        assert front.requests[5:] == ["GET /v2/", f"{base}timestamp.json"]

    def test_what_a_reader_asks_after_a_rotation(
        self, publisher: NotaryUser, front: FaultyFront, fronted: Fronted, collection: str
    ) -> None:
        """Section 15: root's versions in between, one by one."""
        publisher.add(collection, "1.0")
        reader = fronted("reader")
        reader.listed(collection)
        for _ in range(3):
            publisher.rotate(collection, "root")
        before = len(front.requests)
        assert set(reader.listed(collection)) == {"1.0"}
        asked = [line.rpartition("/")[2] for line in front.requests[before:]]
        assert {"2.root.json", "3.root.json"} <= set(asked)

    def test_what_the_first_publish_asks(self, front: FaultyFront, fronted: Fronted, collection: str) -> None:
        """Section 15: init asks for the timestamp's key, publish for root, and then it sends."""
        owner = fronted("owner")
        base = f"/v2/{collection}/_trust/tuf/"
        owner.run("init", collection)
        assert front.requests == ["GET /v2/", f"GET {base}timestamp.key"]
        owner.run("publish", collection)
        assert front.requests[2:] == ["GET /v2/", f"GET {base}root.json", f"POST {base}"]


class TestMessages:
    @pytest.mark.parametrize(
        ("name", "printed"),
        [
            ("ErrValidation", "An error occurred during validation: because"),
            ("ErrBadHierarchy", "Metadata hierarchy is incomplete: because"),
            ("ErrBadRoot", "The root metadata is invalid: because"),
            ("ErrBadTargets", "The targets metadata is invalid: because"),
            ("ErrBadSnapshot", "The snapshot metadata is invalid: because"),
            ("ErrOfTomorrow", "trust server rejected operation."),
        ],
    )
    def test_what_a_client_makes_of_a_refusal(
        self, publisher: NotaryUser, front: FaultyFront, fronted: Fronted, collection: str, *, name: str, printed: str
    ) -> None:
        """Section 3."""
        refusal = error_body(name, "because")
        front.trick = on_post(lambda *_: Answer(status=400, headers={}, body=refusal))
        there = fronted("there", like=publisher)
        assert printed in there.refused("addhash", collection, "1.0", "10", "--sha256", "ab" * 32, "-p")

    def test_a_message_that_is_too_long(
        self, publisher: NotaryUser, front: FaultyFront, fronted: Fronted, collection: str
    ) -> None:
        """Sections 3 and 14: at most 1024 bytes are read."""
        front.trick = on_post(lambda *_: Answer(status=400, headers={}, body=error_body("ErrBadTargets", "m" * 1024)))
        there = fronted("there", like=publisher)
        said = there.refused("addhash", collection, "1.0", "10", "--sha256", "ab" * 32, "-p")
        assert "trust server rejected operation." in said


def json_hash(signed: dict[str, Any], role: str) -> bytes:
    """What a parent says of a file."""
    return base64.b64decode(signed["meta"][role]["hashes"]["sha256"])


def error_body(name: str, message: str) -> bytes:
    """As a server sends it."""
    detail = {"Name": name, "Error": {"Msg": message}}
    error = {"code": "INVALID_UPDATE", "message": "Update sent by the client is invalid.", "detail": detail}
    return json.dumps({"errors": [error]}).encode()
