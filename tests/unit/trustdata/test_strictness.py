"""What we refuse although python-tuf reads it: each kind by itself, at upload and at reading, and listed for others."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from tuf.api.metadata import Metadata

from tests.simulator.forgery import file_of, text_of
from tests.simulator.scene import good_collection
from tests.support.strictness import STRICTNESS, Strictness
from trustdata.errors import MalformedMetadata
from trustdata.roles import ROOT, TARGETS, RoleName
from trustdata.verification.candidate_set import judge_upload
from trustdata.wire import WireFormat
from trustdata.wire.notary import NOTARY
from trustdata.wire.tuf import TUF

LIST = Path(__file__).parents[3] / "docs/reference/tuf-format.md"


def spoiled(kind: Strictness) -> bytes:
    """The next version of a good file with nothing else wrong in it; a change of `signed` is signed."""
    scene = good_collection()
    document = scene.forger.document(kind.role)
    document["version"] += 1
    file = json.loads(file_of(text_of(document), scene.forger.signers_of(kind.role)))
    kind.change(file)
    signatures = file["signatures"]
    again = json.loads(file_of(text_of(file["signed"]), scene.forger.signers_of(kind.role)))
    file["signatures"] = [*again["signatures"], *signatures[len(again["signatures"]) :]]
    return text_of(file)


@pytest.mark.parametrize("kind", STRICTNESS, ids=str)
def test_python_tuf_reads_it(kind: Strictness) -> None:
    """Else it were no strictness of ours."""
    raw = spoiled(kind)
    signed = Metadata.from_bytes(raw).signed
    assert signed.version == json.loads(raw)["signed"]["version"]


@pytest.mark.parametrize("kind", STRICTNESS, ids=str)
def test_it_is_refused_with_its_place(kind: Strictness) -> None:
    """Server and client read with the same code, so one of them is enough."""
    raw = spoiled(kind)
    with pytest.raises(MalformedMetadata) as caught:
        (published if kind.used else TUF.parse)(kind.role, raw)
    last = len(json.loads(raw)["signatures"]) - 1
    assert caught.value.path == kind.path.format(last=last)
    assert caught.value.role == kind.role


def published(role: RoleName, raw: bytes) -> object:
    """Judge the file as an upload."""
    server = good_collection().server
    uploads = {role: TUF.parse(role, raw)}
    return judge_upload(gun=server.gun, stored=server.stored, uploads=uploads, at=server.at, wire=TUF)


@pytest.mark.parametrize("signature", ["", "ab", "AB", "0011aaBB"])
@pytest.mark.parametrize("role", [ROOT, TARGETS])
def test_hex_of_even_length_is_a_signature(role: RoleName, signature: str) -> None:
    """Capitals are read by every client. An empty one keeps a place, as sigstore's root has it."""
    file = json.loads(good_collection().forger.raw(role))
    file["signatures"].append({"keyid": "ab" * 32, "sig": signature})
    assert TUF.parse(role, text_of(file)).signatures["ab" * 32].signature == signature


def test_every_kind_is_listed_with_its_test() -> None:
    """In docs/reference/tuf-format.md, for those who write to our server with other programs."""
    section = LIST.read_text().partition("## What is refused")[2].partition("## ")[0]
    listed = re.findall(r"^\| .* \| `([a-z0-9-]+)` \|$", section, flags=re.MULTILINE)
    assert sorted(listed) == sorted(kind.name for kind in STRICTNESS)
    assert "tests/unit/trustdata/test_strictness.py" in section


@pytest.mark.parametrize("wire", [TUF, NOTARY], ids=lambda wire: wire.name)
def test_a_file_that_the_parser_finds_too_deep_is_malformed(wire: WireFormat, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its limit is no number: it depends on how deep the calls are that lead to it."""

    def too_deep(*_: object, **__: object) -> object:
        raise RecursionError

    monkeypatch.setattr(json, "loads", too_deep)
    with pytest.raises(MalformedMetadata, match="nested deeper than"):
        wire.parse(TARGETS, b'{ "signed": {}, "signatures": [] }')
