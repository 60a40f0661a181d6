"""The client of GET /api/v1/collections, against servers that answer as they like."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any, cast

import pytest

from trustcli.client.collection_list import listed_collections
from trustcli.client.server_link import ServerLink
from trustcli.errors import RemoteMisbehaved, RemoteRefused
from trustcli.http.messages import Response


def row(gun: str, **changes: Any) -> dict[str, Any]:
    plain = {"gun": gun, "format": "tuf-1.0", "status": "live", "revision": 1, "tags": 2, "bytes": 3}
    absent = dict.fromkeys(("published_at", "published_by", "expires", "expires_role", "deleted"))
    return {**plain, **absent, **changes}


class Answers:
    """A link that gives these answers in order. `asked`: the targets."""

    name = "https://trust.example.com"
    tried = "without credentials"

    def __init__(self, *answers: Any, status: int = 200) -> None:
        self._answers = list(answers)
        self._status = status
        self.asked: list[str] = []

    def ask(self, method: str, target: str, *, scope: str, limit: int) -> Response:
        assert (method, scope) == ("GET", "registry:catalog:*")
        assert limit > 0
        self.asked.append(target)
        body = json.dumps(self._answers.pop(0)).encode()
        return Response(status=self._status, headers=[("content-type", "application/json")], body=body)


def names(link: Answers) -> list[str]:
    return [found["gun"] for found in listed_collections(cast("ServerLink", link))]


def page(rows: Sequence[Any], following: Any = None) -> dict[str, Any]:
    return {"collections": rows, "next": following}


def test_all_pages_are_read() -> None:
    link = Answers(page([row("a"), row("b")], "b"), page([row("c")]))
    assert names(link) == ["a", "b", "c"]
    assert link.asked[1].endswith("&after=b")
    assert names(Answers(page([]))) == []


def test_a_tombstone_and_members_of_later_versions() -> None:
    stone = {"at": "2026-11-01T00:00:00Z", "by": "alice", "root": "sha256:ab"}
    (found,) = listed_collections(cast("ServerLink", Answers(page([row("a", deleted=stone, colour="red")]))))
    assert found["deleted"] == stone
    assert "colour" not in found


@pytest.mark.parametrize(
    "answer",
    [
        [],
        {"collections": []},
        page([{"gun": "a"}]),
        page([row("a", tags="2")]),
        page([row("a", tags=True)]),
        page([row("a", published_by=7)]),
        page([row("a", deleted={"at": 1, "by": "x", "root": "y"})]),
        page(["a"]),
        page([row("b"), row("a")]),
        page([row("a"), row("a")]),
        page([], "a"),
        page([row("a")], "b"),
        page([row("a")], 7),
    ],
)
def test_what_is_no_list_is_told_as_that(answer: Any) -> None:
    with pytest.raises(RemoteMisbehaved, match="its list of collections"):
        names(Answers(answer))


def test_a_list_that_turns_in_circles_ends() -> None:
    with pytest.raises(RemoteMisbehaved, match="repeats itself"):
        names(Answers(page([row("a")], "a"), page([row("a")], "a")))


def test_a_server_of_another_kind() -> None:
    ours: tuple[Any, ...] = ({"code": "not-found"}, {"errors": [{"code": "METADATA_NOT_FOUND"}]})
    for answer in ours:
        with pytest.raises(RemoteRefused, match="does not list"):
            names(Answers(answer, status=404))
    others: tuple[Any, ...] = ({}, {"errors": [{"code": "NAME_UNKNOWN"}, None]}, {"errors": "NAME_UNKNOWN"})
    for answer in others:
        with pytest.raises(RemoteRefused, match="the address belongs to something else"):
            names(Answers(answer, status=404))
