"""The whole catalogue of attacks, judged by python-tuf's client too: the same verdict, the same digest.

Where we differ we are stricter, and the table says where and why.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

import pytest

from tests.simulator.attacks.catalogue import ATTACKS, Attack
from tests.simulator.attacks.documents import CORRUPTIONS, EVERY_ROLE, Corruption
from tests.simulator.client import Client
from tests.simulator.scene import GOOD, NEWER, OTHER, good_collection
from tests.support.oracle import LoopbackServer, Oracle
from trustdata.roles import RELEASES, ROOT, SNAPSHOT, TARGETS, TIMESTAMP, RoleName
from trustdata.wire.tuf import TUF

_ALL = tuple(EVERY_ROLE)
_IN_TUF = [attack for attack in ATTACKS if attack.wire is TUF]
_CASES = [(role, corruption) for corruption in CORRUPTIONS if TUF in corruption.formats for role in corruption.roles]
_TWO_IDS = "key ids are not recomputed and keys not compared: one key under two ids meets a threshold of two"
_LONG = "lifetimes are left to the repository (ADR 0047)"
_BOOL = "bool is int in Python"

STRICTER: Final[dict[str, tuple[tuple[str, ...], str]]] = {
    "duplicate-member": (_ALL, "of duplicate members the last one wins"),
    "duplicate-signed": (_ALL, "of duplicate members the last one wins"),
    "nested-34-deep": (_ALL, "nested as deep as Python's recursion allows"),
    "nested-34-deep-by-turns": (_ALL, "nested as deep as Python's recursion allows"),
    "version-true": ((TIMESTAMP,), f"{_BOOL} (elsewhere the parent's version differs)"),
    "version-2**53": ((TIMESTAMP,), "integers that other languages cannot hold exactly"),
    "threshold-true": ((ROOT, TARGETS), _BOOL),
    "target-length-true": ((RELEASES,), _BOOL),
    "consistent-snapshot-1": ((ROOT,), "anything true is true"),
    "delegation-terminating-1": ((TARGETS,), "anything true is true"),
    "signature-no-text": ((ROOT,), "a signature that is no text is only a signature that does not hold"),
    "keyid-not-its-hash": ((ROOT,), "key ids are taken as given, though the specification says MUST calculate"),
    "snapshot-lists-no-file": ((SNAPSHOT,), "names in meta are not looked at"),
    "snapshot-lists-no-role": ((SNAPSHOT,), "names in meta are not looked at"),
    "target-custom-no-object": ((RELEASES,), "custom is not looked at"),
    "target-without-name": ((RELEASES,), "names of targets are not looked at"),
    "tag-in-targets-and-releases": (("",), "the first role of the walk wins; we trust neither (ADR 0008)"),
    "releases-beyond-its-paths": (("",), "the walk goes on to the signers, who release nothing here"),
    "signed-for-ten-years-timestamp": (("",), _LONG),
    "signed-for-ten-years-snapshot": (("",), _LONG),
    "one-key-two-ids-newline": (("",), _TWO_IDS),
    "one-key-two-ids-capitals": (("",), _TWO_IDS),
    "one-key-two-ids-gaps": (("",), _TWO_IDS),
}
"""What python-tuf 7.0.1 accepts and we refuse: name of the attack or corruption; the roles (or none); the reason.

Each entry is a difference that python-tuf may close one day; this test will say so.
"""


def _compare(name: str, role: str, ours: Client, oracle: Oracle) -> None:
    mine = ours.judge("1.0")
    theirs = oracle.judge(ours.server, "1.0", at=ours.at)
    if role in STRICTER.get(name, ((), ""))[0]:
        assert not mine.allowed
        assert theirs.digest is not None, theirs
        return
    digest = None if theirs.digest is None else f"sha256:{theirs.digest}"
    assert (mine.allowed, mine.digest) == (digest is not None, digest), f"ours: {mine.refusal}; theirs: {theirs}"


@pytest.mark.parametrize("attack", _IN_TUF, ids=str)
def test_attacks(attack: Attack, web: LoopbackServer, tmp_path: Path) -> None:
    scene = good_collection()
    clients = {"regular": scene.regular(), "newcomer": scene.newcomer()}
    oracles = {name: Oracle(web, scene.server, tmp_path / name) for name in clients}
    assert oracles["regular"].judge(scene.server, "1.0", at=scene.server.at).digest == GOOD
    attack.move(scene)
    for name, client in clients.items():
        _compare(attack.name, "", client, oracles[name])


@pytest.mark.parametrize(("role", "corruption"), _CASES, ids=str)
def test_corrupted_documents(role: RoleName, corruption: Corruption, web: LoopbackServer, tmp_path: Path) -> None:
    scene = good_collection()
    oracle = Oracle(web, scene.server, tmp_path)
    scene.forger.alter_text(role, corruption.change, whole_file=corruption.whole_file)
    _compare(corruption.name, role, scene.newcomer(), oracle)


def test_released_tags_have_the_same_digests(web: LoopbackServer, tmp_path: Path) -> None:
    scene = good_collection()
    oracle = Oracle(web, scene.server, tmp_path)
    client = scene.newcomer()
    scene.owner.sign("3.0", NEWER)
    for tag, digest in {"1.0": GOOD, "2.0": OTHER, "3.0": NEWER, "4.0": None}.items():
        answer = client.judge(tag)
        assert answer.digest == (None if digest is None else f"sha256:{digest}")
        assert oracle.judge(scene.server, tag, at=scene.server.at).digest == digest


def test_every_stricter_rule_is_in_the_catalogue() -> None:
    """An entry that nothing uses would hide the next difference."""
    names = {attack.name for attack in _IN_TUF} | {corruption.name for _, corruption in _CASES}
    assert set(STRICTER) <= names
