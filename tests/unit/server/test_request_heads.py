"""What a request may say before it is known who asks: no longer than any client does, and parsed in small pieces."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any

import httpx
import pytest
from python_multipart.multipart import MultipartParser, parse_options_header

from tests.support.server_owner import Owner
from tests.support.server_site import GUN_A, Site
from trustdata.roles import TARGETS, TIMESTAMP
from trustdata.wire import strict_json
from trustserver.api import gun_path, upload
from trustserver.api.head_limits import MAX_AUTHORIZATION, MAX_HEAD, MAX_HEADER, MAX_TARGET
from trustserver.api.upload import MAX_PIECES, PIECE_BYTES, TufParts, Upload
from trustserver.api.upload_room import UploadRoom
from trustserver.errors import BadRequest

PUBLISH = f"/api/v1/collections/{GUN_A}/publish"
FORM = {"Content-Type": "multipart/form-data; boundary=xx"}


def refused(answer: httpx.Response) -> tuple[int, str]:
    return answer.status_code, answer.json()["place"]


@pytest.mark.parametrize(
    "path", ["/tuf/{}/metadata/root.json", "/api/v1/collections/{}", "/v2/{}/_trust/tuf/root.json"]
)
def test_a_path_longer_than_any_name_is_refused_unread(path: str, monkeypatch: pytest.MonkeyPatch) -> None:
    read: list[str] = []
    monkeypatch.setattr(gun_path, "parse_gun", read.append)
    answer = Site().get(path.format("a%3A" * (MAX_TARGET // 4)))
    assert refused(answer) == (431, "path and query")
    assert read == []
    answer = Site().get("/v2/_trust/changefeed?" + "a" * MAX_TARGET)
    assert refused(answer) == (431, "path and query")


@pytest.mark.parametrize(
    ("headers", "place"),
    [
        ({"If-None-Match": '"a",' * (MAX_HEADER // 4)}, "header if-none-match"),
        ({"Authorization": "a" * MAX_AUTHORIZATION}, "header authorization"),
        ({"Content-Type": "multipart/form-data" + ";a=b" * MAX_HEADER}, "header content-type"),
        ({"X" * MAX_HEADER: "1"}, "header " + "x" * 64),
        ({f"X-{number}": "x" * 8000 for number in range(9)}, "the head"),
    ],
)
@pytest.mark.parametrize("path", [f"/tuf/{GUN_A}/metadata/1.root.json", "/v2/", "/healthz", PUBLISH])
def test_headers_longer_than_any_client_s_are_refused(path: str, headers: Mapping[str, str], place: str) -> None:
    site = Site()
    site.begin()
    site.get(f"/tuf/{GUN_A}/metadata/1.root.json")
    ready = site.app.asgi.answered
    answer = site.request("POST" if path == PUBLISH else "GET", path, headers=headers)
    if not path.startswith("/tuf/") or "If-None-Match" in headers:
        assert refused(answer) == (431, place)
    else:
        assert site.app.asgi.answered == ready + 1, "what is ready is given without a look at other headers"


def test_the_largest_heads_of_clients_are_read() -> None:
    site = Site()
    owner = site.begin()
    headers = {"Authorization": "Bearer " + "a" * 33_000, **{f"X-{number}": "x" * 3000 for number in range(10)}}
    assert site.get("/healthz", headers=headers).status_code == 200
    tags = ", ".join(f'"{number:064}"' for number in range(50))
    path = f"/tuf/{GUN_A}/metadata/1.root.json"
    known = site.get(path).headers["etag"]
    assert site.get(path, headers={"If-None-Match": f"{tags}, {known}"}).status_code == 304
    assert site.publish({TARGETS: owner.targets()}).status_code == 200
    assert MAX_HEAD > 33_000 + 10 * 3000


@pytest.mark.parametrize(
    ("kind", "body", "place"),
    [
        ("multipart/form-data; boundary=xx" + ";a=b" * 300, b"", "Content-Type"),
        (
            FORM["Content-Type"],
            b'--xx\r\nContent-Disposition: form-data; name="files"; filename="root"' + b";a=b" * 520 + b"\r\n\r\n",
            "part 1",
        ),
    ],
)
def test_parameters_without_end_are_not_parsed(
    kind: str, body: bytes, place: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    parsed: list[int] = []

    def noted(value: bytes) -> Any:
        parsed.append(len(value))
        return parse_options_header(value)

    monkeypatch.setattr(upload, "parse_options_header", noted)
    assert refused(Site().request("POST", PUBLISH, headers={"Content-Type": kind}, content=body)) == (400, place)
    assert all(size < 100 for size in parsed)


def body_in(pieces: list[bytes]) -> tuple[Callable[[], Any], list[int]]:
    """A `receive` that gives these pieces, and how many it was asked for."""
    asked = [0]

    async def receive() -> Any:
        asked[0] += 1
        return {"type": "http.request", "body": pieces[asked[0] - 1], "more_body": asked[0] < len(pieces)}

    return receive, asked


def read(receive: Callable[[], Any]) -> Any:
    with UploadRoom().enter("someone") as place:
        reading = Upload(place, TufParts())
        scope = {"headers": [(b"content-type", FORM["Content-Type"].encode())]}
        return asyncio.run(reading.read(scope, receive, seconds=60))


def part(role: str, content: bytes) -> bytes:
    head = f'--xx\r\nContent-Disposition: form-data; name="files"; filename="{role}"\r\n\r\n'.encode()
    return head + content + b"\r\n"


def test_a_body_in_single_bytes_is_refused_after_some_thousand() -> None:
    body = part("root", b"x" * 20_000) + b"--xx--\r\n"
    receive, asked = body_in([body[at : at + 1] for at in range(len(body))])
    with pytest.raises(BadRequest, match="too small"):
        read(receive)
    most = MAX_PIECES * 256 // 255
    assert asked[0] <= 2 * most + 2, "nor is the rest read for ever"
    whole = part("root", b"x" * 200_000) + b"--xx--\r\n"
    receive, asked = body_in([whole[at : at + PIECE_BYTES] for at in range(0, len(whole), PIECE_BYTES)])
    assert len(read(receive)["root"]) == 200_000


def test_a_large_piece_is_parsed_in_slices_and_others_have_their_turn(monkeypatch: pytest.MonkeyPatch) -> None:
    sizes: list[int] = []
    write = MultipartParser.write
    turns = [0]

    def noted(self: MultipartParser, data: bytes) -> int:
        sizes.append(len(data))
        return write(self, data)

    async def reading() -> Any:
        async def others() -> None:
            while True:
                turns[0] += 1
                await asyncio.sleep(0)

        task = asyncio.create_task(others())
        with UploadRoom().enter("someone") as place:
            scope = {"headers": [(b"content-type", FORM["Content-Type"].encode())]}
            files = await Upload(place, TufParts()).read(scope, receive, seconds=60)
        task.cancel()
        return files

    monkeypatch.setattr(MultipartParser, "write", noted)
    body = b"".join(part(f"targets%2F{number}", b"") for number in range(1000)) + b"--xx--\r\n"
    receive, _ = body_in([body])
    assert len(asyncio.run(reading())) == 1000
    assert max(sizes) <= 8192
    assert turns[0] >= len(body) // 8192


@pytest.fixture
def slices(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The sizes of what is parsed at one time."""
    sizes: list[int] = []
    write = MultipartParser.write

    def noted(self: MultipartParser, data: bytes) -> int:
        sizes.append(len(data))
        return write(self, data)

    monkeypatch.setattr(MultipartParser, "write", noted)
    return sizes


def test_what_lies_within_a_part_is_taken_in_larger_pieces(slices: list[int]) -> None:
    content = bytes(range(256)) * 1600
    receive, _ = body_in([part("root", content) + b"--xx--\r\n"])
    assert read(receive) == {"root": content}
    assert max(slices) == 64 * 1024
    assert sum(size > 8192 for size in slices) == len(content) // (64 * 1024)


_LONG = 100_000


@pytest.mark.parametrize(
    "body",
    [
        b"--xx\r\nX: " + b"y" * _LONG,
        b"--xx\r\n" + b"X: y\r\n" * (_LONG // 6),
        part("root", b"x") + b"--xx" + b" " * _LONG,
        part("root", b"x") + b"--xx--\r\n" + b" " * _LONG,
        part("root", b"x") + b"--xx\r\n" + b"X" * _LONG,
        b"y" * _LONG,
        b"".join(part(f"targets%2F{number}", b"x" * 100) for number in range(600)),
    ],
    ids=["a header", "headers", "padding", "epilogue", "a second part's header", "no part", "parts"],
)
def test_nothing_else_is(slices: list[int], body: bytes) -> None:
    receive, _ = body_in([body])
    with suppress(BadRequest):
        read(receive)
    assert 0 < max(slices) <= 8192


@pytest.mark.parametrize(("small", "large"), [(1, 1), (1, 3), (3, 7), (2, 50), (8192, 65536)])
def test_a_boundary_is_found_wherever_a_piece_ends(monkeypatch: pytest.MonkeyPatch, small: int, large: int) -> None:
    monkeypatch.setattr(upload, "_SLICE", small)
    monkeypatch.setattr(upload, "_DATA", large)
    contents = [b"", b"\r\n", b"\r\n--x", b"--xx", b"a--xx--\r\n", b"\r", b"\r\n-", b"\r\n--x\r\n--x"]
    files = {f"targets/{number}": content for number, content in enumerate(contents)}
    body = b"".join(part(role.replace("/", "%2F"), content) for role, content in files.items()) + b"--xx--\r\n"
    for step in (len(body), 5, 11):
        receive, _ = body_in([body[at : at + step] for at in range(0, len(body), step)])
        assert read(receive) == files


def test_a_timestamp_in_an_upload_is_not_parsed_on_the_event_loop(monkeypatch: pytest.MonkeyPatch) -> None:
    where: list[threading.Thread] = []
    parse = strict_json.parse

    def noted(*arguments: Any, **named: Any) -> Any:
        where.append(threading.current_thread())
        return parse(*arguments, **named)

    monkeypatch.setattr(strict_json, "parse", noted)
    body = part("timestamp", b"{}") + b"--xx--\r\n"
    answer = Site().request("POST", f"/v2/{GUN_A}/_trust/tuf/", headers=FORM, content=body)
    assert answer.status_code >= 400
    assert where
    assert threading.main_thread() not in where
    assert TIMESTAMP not in Owner(Site().at).first_upload()
