"""What `docker trust inspect` printed (docker 28, a real notary server), byte for byte from plain values."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from trustcli.commands.support.inspect_view import json_entry, json_view, pretty_view
from trustdata.inspection import Inspection, KeyHolder, SignedTag

FOLDER = Path(__file__).parent / "docker_trust_inspect"
JSON_FILES = sorted(path.stem for path in FOLDER.glob("*.txt") if "pretty" not in path.stem)


def _inspection(entry: dict[str, Any]) -> Inspection:
    """The values behind one element of docker's JSON."""
    root, repository = (
        next(_holder(k) for k in entry["AdministrativeKeys"] if k["Name"] == name) for name in ("Root", "Repository")
    )
    return Inspection(
        tags=tuple(
            SignedTag(
                tag=tag["SignedTag"],
                digest=tag["Digest"],
                length=1,
                signers=() if tag["Signers"] == ["Repo Admin"] else tuple(tag["Signers"]),
                releasers=(),
            )
            for tag in reversed(entry["SignedTags"])
        ),
        signers=tuple(_holder(signer) for signer in reversed(entry["Signers"])),
        root=root,
        repository=repository,
    )


def _holder(entry: dict[str, Any]) -> KeyHolder:
    return KeyHolder(name=entry["Name"], keyids=tuple(key["ID"] for key in entry["Keys"]))


def _entries(name: str) -> list[dict[str, Any]]:
    entries: list[dict[str, Any]] = json.loads((FOLDER / f"{name}.txt").read_text())
    return entries


@pytest.mark.parametrize("name", JSON_FILES)
def test_json(name: str) -> None:
    rendered = "".join(json_view([json_entry(entry["Name"], _inspection(entry)) for entry in _entries(name)]))
    assert rendered.encode() == (FOLDER / f"{name}.txt").read_bytes()


@pytest.mark.parametrize(
    ("pretty", "source"),
    [
        ("initonly-inspect-pretty", "initonly-inspect"),
        ("onetag-inspect-pretty", "onetag-inspect"),
        ("onetag-inspect-pretty-tag", "onetag-inspect-tag"),
        ("onetag-inspect-pretty-tag-missing", "onetag-inspect-tag-missing"),
        ("signers-inspect-pretty", "signers-inspect"),
        ("signers-inspect-pretty-tag-both", "signers-inspect-tag-both"),
    ],
)
def test_pretty(pretty: str, source: str) -> None:
    (entry,) = _entries(source)
    assert "".join(pretty_view(entry["Name"], _inspection(entry))).encode() == (FOLDER / f"{pretty}.txt").read_bytes()


def test_nothing() -> None:
    assert "".join(json_view([])) == "[]\n"


def test_tags_written_apart_are_written_as_the_rest_is() -> None:
    """Whatever names and errors say, every tag stands in its own entry."""
    odd = {"SignedTag": '1"\n\\ü', "Digest": "ab", "Signers": ["alice", '"SignedTags": []']}
    decoy = {"Name": '"SignedTags": []', "SignedTags": [], "Signers": []}
    failed = {"Name": "failed", "error": {"SignedTags": "[]", "next": '"SignedTags": []'}}
    entries: list[dict[str, Any]] = [
        decoy,
        failed,
        {"Name": "two", "SignedTags": [odd, odd]},
        {"Name": "one", "SignedTags": [odd]},
    ]
    assert "".join(json_view(entries)) == json.dumps(entries, indent=4, ensure_ascii=False) + "\n"
