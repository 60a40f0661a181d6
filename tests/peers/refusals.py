"""Refusals of a Notary server: one error in the form that the clients read."""

from __future__ import annotations

import json
from typing import Any

from tests.support.trust_servers import Answer

NOT_FOUND = "METADATA_NOT_FOUND"


def error(answer: Answer) -> dict[str, Any]:
    """The one error of a refusal; its form is checked."""
    assert answer.headers["content-type"] == "application/json; charset=utf-8"
    assert answer.body.endswith(b"\n")
    # The clients read no more than this.
    assert len(answer.body) <= 1024
    (found,) = json.loads(answer.body)["errors"]
    return dict(found)


def refused(answer: Answer, status: int, code: str) -> dict[str, Any]:
    """The refusal, which must be this one."""
    found = error(answer)
    assert (answer.status, found["code"]) == (status, code)
    return found


def invalid(answer: Answer, name: str) -> str:
    """The message inside of an INVALID_UPDATE with this name."""
    detail = refused(answer, 400, "INVALID_UPDATE")["detail"]
    assert detail["Name"] == name
    return str(detail["Error"]["Msg"])
