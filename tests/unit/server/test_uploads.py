"""The form of uploads: every way in which one can be wrong has its status, its code and its place."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import Callable
from typing import Any

import pytest

from tests.support.collector import without_collector
from tests.support.server_site import GUN_A, Site
from trustdata.errors import TooLarge
from trustdata.limits import MAX_ROOT
from trustdata.roles import ROOT
from trustserver.api import upload as module
from trustserver.api.upload import MAX_UPLOAD, TufParts, Upload
from trustserver.api.upload_room import UploadRoom
from trustserver.errors import BadRequest, EncodingRefused, Overloaded, RequestTooSlow

PATH = f"/api/v1/collections/{GUN_A}/publish"
FORM = "multipart/form-data; boundary=xx"


def part(name: str = 'name="files"; filename="targets"', content: bytes = b"{}", more: str = "") -> bytes:
    return f"--xx\r\nContent-Disposition: form-data; {name}\r\n{more}\r\n".encode() + content + b"\r\n"


END = b"--xx--\r\n"

WRONG: dict[str, tuple[dict[str, str], bytes, int, str, str]] = {
    "no content type": ({}, b"", 400, "bad-request", "Content-Type"),
    "JSON": ({"Content-Type": "application/json"}, b"{}", 400, "bad-request", "Content-Type"),
    "no boundary": ({"Content-Type": "multipart/form-data"}, b"", 400, "bad-request", "Content-Type"),
    "long boundary": (
        {"Content-Type": f"multipart/form-data; boundary={'x' * 5000}"},
        b"",
        400,
        "bad-request",
        "Content-Type",
    ),
    "empty": ({"Content-Type": FORM}, b"", 400, "bad-request", "body"),
    "no parts": ({"Content-Type": FORM}, END, 400, "bad-request", "body"),
    "not multipart": ({"Content-Type": FORM}, b"hello", 400, "bad-request", "body"),
    "truncated": ({"Content-Type": FORM}, part()[:-5], 400, "bad-request", "part 1"),
    "no last boundary": ({"Content-Type": FORM}, part(), 400, "bad-request", "part 1"),
    "doubled part": ({"Content-Type": FORM}, part() + part() + END, 400, "bad-request", "part targets"),
    "one role in two spellings": (
        {"Content-Type": FORM},
        part() + part('name="files"; filename="%74argets"') + END,
        400,
        "bad-request",
        "part %74argets",
    ),
    "another name": (
        {"Content-Type": FORM},
        part('name="file"; filename="targets"') + END,
        400,
        "bad-request",
        "part 1",
    ),
    "no file name": ({"Content-Type": FORM}, part('name="files"') + END, 400, "bad-request", "part 1"),
    "no disposition": ({"Content-Type": FORM}, b"--xx\r\n\r\n{}\r\n" + END, 400, "bad-request", "part 1"),
    "control character": (
        {"Content-Type": FORM},
        part('name="files"; filename="a%00"') + END,
        400,
        "invalid-name",
        "",
    ),
    "not UTF-8": ({"Content-Type": FORM}, part('name="files"; filename="%ff"') + END, 400, "invalid-name", ""),
    "compressed": (
        {"Content-Type": FORM, "Content-Encoding": "gzip"},
        part() + END,
        415,
        "unsupported-encoding",
        "",
    ),
    "compressed part": (
        {"Content-Type": FORM},
        part(more="Content-Encoding: gzip\r\n") + END,
        415,
        "unsupported-encoding",
        "",
    ),
    "oversize root": (
        {"Content-Type": FORM},
        part('name="files"; filename="root"', b"x" * (MAX_ROOT + 1)) + END,
        413,
        "too-large",
        "",
    ),
    "long header": ({"Content-Type": FORM}, part(more=f"X: {'y' * 20000}\r\n") + END, 400, "bad-request", "part 1"),
}


@pytest.mark.parametrize("name", WRONG)
def test_a_wrong_form_is_refused_with_its_place(name: str) -> None:
    headers, body, status, code, place = WRONG[name]
    answer = Site().request("POST", PATH, content=body, headers=headers)
    assert (answer.status_code, answer.json()["code"]) == (status, code)
    assert answer.headers["content-type"] == "application/problem+json"
    if place:
        assert answer.json()["place"] == place


def test_a_declared_length_beyond_the_limit_is_refused_before_the_body_is_read() -> None:
    async def receive() -> Any:
        raise AssertionError("the body was asked for")

    with pytest.raises(TooLarge):
        read(receive, length=3 * MAX_UPLOAD)


def test_an_undeclared_endless_body_is_cut_off(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_UPLOAD", 1000)
    with pytest.raises(TooLarge):
        read(chunks(part()[:-6], b"z" * 100, endless=True))


def test_the_rest_of_a_refused_body_is_read_but_not_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_UPLOAD", 1000)
    asked = 0
    endless = chunks(part(more="Content-Encoding: gzip\r\n"), b"z" * 100, endless=True)

    async def receive() -> Any:
        nonlocal asked
        asked += 1
        return await endless()

    with pytest.raises(EncodingRefused):
        read(receive)
    assert asked == 11


def test_a_part_is_cut_off_at_the_limit_of_its_role_while_it_comes() -> None:
    beginning = part('name="files"; filename="root"', b"")[:-2]
    with pytest.raises(TooLarge) as refused:
        read(chunks(beginning, b"z" * 1000, endless=True))
    assert (refused.value.what, refused.value.limit) == ("root", MAX_ROOT)


def test_too_many_parts_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_PARTS", 2)
    bodies = [part(f'name="files"; filename="targets%2F{number}"') for number in range(3)]
    with pytest.raises(TooLarge):
        read(chunks(*bodies, END))


def test_a_body_in_single_bytes_is_read_whole() -> None:
    content = bytes(range(256)) + b"\r\n--x\r\n"
    body = part(content=content) + part('name="files"; filename="targets%2Falice"', b"") + END
    assert read(chunks(*(body[i : i + 1] for i in range(len(body))))) == {"targets": content, "targets/alice": b""}


def test_a_body_that_stops_coming_is_too_slow() -> None:
    sent = iter([part()[:20]])

    async def receive() -> Any:
        for body in sent:
            return {"type": "http.request", "body": body, "more_body": True}
        return await asyncio.get_running_loop().create_future()  # never

    with pytest.raises(RequestTooSlow):
        read(receive, seconds=0)


def test_a_connection_that_ends_early_is_a_bad_request() -> None:
    async def receive() -> Any:
        return {"type": "http.disconnect"}

    with pytest.raises(BadRequest):
        read(receive)


def test_all_uploads_together_have_a_limit_and_give_their_room_back() -> None:
    room = UploadRoom(limit=1000)
    body = part(content=b"x" * 700) + END
    for _ in range(5):
        assert read(chunks(body), room=room)
    with room.enter("others") as held:
        held.take(500)
        with pytest.raises(Overloaded):
            read(chunks(body), room=room)
    assert read(chunks(body), room=room)
    assert room.free == 1000


def read(
    receive: Callable[[], Any], *, length: int | None = None, room: UploadRoom | None = None, seconds: float = 60
) -> Any:
    headers = [(b"content-type", FORM.encode())]
    if length is not None:
        headers.append((b"content-length", str(length).encode()))

    async def run() -> Any:
        with (room or UploadRoom()).enter("someone") as place:
            return await Upload(place, TufParts()).read({"headers": headers}, receive, seconds=seconds)

    return asyncio.run(run())


def chunks(*bodies: bytes, endless: bool = False) -> Callable[[], Any]:
    left = list(bodies)

    async def receive() -> Any:
        body = left.pop(0) if len(left) > 1 or not endless else left[0]
        return {"type": "http.request", "body": body, "more_body": bool(left)}

    return receive


def test_nothing_of_an_upload_is_kept_for_the_garbage_collector() -> None:
    """Refused or not: a body may have megabytes, and nothing else that is garbage would make the collector run."""

    class Marked(bytearray):
        """A bytearray that can be found."""

    def alive() -> int:
        return sum(len(found) for found in gc.get_objects() if isinstance(found, Marked))

    refused = part('name="files"; filename="root"', b"x" * (MAX_ROOT + 1)) + END
    whole = part('name="files"; filename="root"', b"x") + END
    with without_collector():
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(module, "bytearray", Marked, raising=False)
            assert read(chunks(whole)) == {ROOT: b"x"}
            with pytest.raises(TooLarge):
                read(chunks(refused[:5000], refused[5000:]))
            with pytest.raises(BadRequest):
                read(chunks(refused[:5000]))
        assert alive() == 0
