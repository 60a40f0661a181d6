"""A server and requests of Notary v1 to it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import httpx

from tests.support.notary_owner import NotaryOwner
from tests.support.server_site import Site
from trustdata.roles import SNAPSHOT, TIMESTAMP

GUN_N = "127.0.0.1:5000/team/app"
BOUNDARY = "b" * 60
FORM = f"multipart/form-data; boundary={BOUNDARY}"
EMPTY = f"\r\n--{BOUNDARY}--\r\n".encode()


def part(filename: str, raw: bytes, *, field: str = "files") -> bytes:
    named = f'form-data; name="{field}"; filename="{filename}"'
    head = f"--{BOUNDARY}\r\nContent-Disposition: {named}\r\nContent-Type: application/octet-stream\r\n\r\n"
    return head.encode() + raw + b"\r\n"


def form(parts: Sequence[tuple[str, bytes]]) -> bytes:
    """The body that a client sends, parts in this order."""
    body = b"".join(part(filename, raw) for filename, raw in parts)
    return body + f"--{BOUNDARY}--\r\n".encode() if parts else EMPTY


class NotarySite(Site):
    """The composed application, asked as Notary's clients ask."""

    def tuf(self, name: str, gun: str = GUN_N, **options: Any) -> httpx.Response:
        return self.get(f"/v2/{gun}/_trust/tuf/{name}", **options)

    def post(self, body: bytes, gun: str = GUN_N, *, kind: str = FORM) -> httpx.Response:
        return self.request("POST", f"/v2/{gun}/_trust/tuf/", content=body, headers={"Content-Type": kind})

    def upload(self, files: Mapping[Any, bytes], gun: str = GUN_N) -> httpx.Response:
        return self.post(form(list(files.items())), gun)

    def learn_notary_keys(self, owner: NotaryOwner) -> None:
        for role in (SNAPSHOT, TIMESTAMP):
            owner.learn(role, self.tuf(f"{role}.key", owner.gun).raise_for_status().json())

    def begin_notary(self, gun: str = GUN_N, *, holds_snapshot: bool = False) -> NotaryOwner:
        """A new collection with one tag; its owner."""
        owner = NotaryOwner(gun, at=self.at, holds_snapshot=holds_snapshot)
        self.learn_notary_keys(owner)
        answer = self.upload(owner.first_upload(), gun)
        assert (answer.status_code, answer.content) == (200, b""), answer.text
        return owner

    def versions(self, gun: str = GUN_N) -> dict[str, int]:
        """Of the current files."""
        return {str(role): file.version for role, file in self.store.load(gun).files.items()}  # type: ignore[arg-type]


def refusal(answer: httpx.Response) -> dict[str, Any]:
    """The one error of a refusal, in the form that the clients can read."""
    assert answer.headers["content-type"] == "application/json; charset=utf-8"
    assert len(answer.content) < 1024
    assert answer.content.endswith(b"}\n")
    errors = answer.json()["errors"]
    assert len(errors) == 1
    error: dict[str, Any] = errors[0]
    return error


def refused_update(answer: httpx.Response) -> tuple[str, str]:
    """Name and message of an INVALID_UPDATE."""
    error = refusal(answer)
    assert (answer.status_code, error["code"]) == (400, "INVALID_UPDATE"), error
    assert error["message"] == "Update sent by the client is invalid."
    assert list(error["detail"]) == ["Name", "Error"]
    return error["detail"]["Name"], error["detail"]["Error"]["Msg"]
