"""Every vector states its verdict."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from trustdata.errors import MalformedMetadata
from trustdata.roles import ROOT
from trustdata.wire import strict_json

VECTORS: list[dict[str, Any]] = json.loads(Path(__file__).with_name("strict_json.json").read_text())["vectors"]


def _named(vector: dict[str, Any]) -> str:
    return str(vector["name"])


@pytest.mark.parametrize("vector", [vector for vector in VECTORS if vector["accepted"]], ids=_named)
def test_accepted(vector: dict[str, Any]) -> None:
    raw = vector["text"].encode()
    assert strict_json.parse(ROOT, raw).value == json.loads(raw)


@pytest.mark.parametrize("vector", [vector for vector in VECTORS if not vector["accepted"]], ids=_named)
def test_refused(vector: dict[str, Any]) -> None:
    raw = vector["text"].encode()
    with pytest.raises(MalformedMetadata) as caught:
        strict_json.parse(ROOT, raw)
    assert caught.value.role == ROOT
