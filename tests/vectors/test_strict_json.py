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


@pytest.mark.parametrize("vector", VECTORS, ids=lambda vector: str(vector["name"]))
def test_vector(vector: dict[str, Any]) -> None:
    raw = vector["text"].encode()
    if vector["accepted"]:
        assert strict_json.parse(ROOT, raw).value == json.loads(raw)
        return
    with pytest.raises(MalformedMetadata) as caught:
        strict_json.parse(ROOT, raw)
    assert caught.value.role == ROOT
