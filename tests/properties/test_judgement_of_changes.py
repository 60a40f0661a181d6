"""Judging what an upload changes gives the verdict of judging everything, in every state that uploads lead to."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from tests.simulator.forgery import Document, file_of, text_of
from tests.simulator.repository import APP
from tests.simulator.scene import EVIL, GOOD, OTHER, Scene, good_collection
from tests.support.full_judgement import judge_everything
from trustdata.envelope import Envelope
from trustdata.errors import TrustError
from trustdata.roles import RELEASES, ROOT, TARGETS, RoleName
from trustdata.verification.candidate_set import judge_upload
from trustdata.wire import WireFormat
from trustdata.wire.notary import NOTARY
from trustdata.wire.tuf import TUF

ALICE, BOB = RoleName("targets/alice"), RoleName("targets/bob")
DEEP = RoleName("targets/alice/deep")
ROLES = (ROOT, TARGETS, RELEASES, ALICE, BOB, DEEP)
SIGNERS = ("targets", "alice", "bob", "root", "recovery", "new")
Change = Callable[[Scene, Document], object]


def _entries(document: Document) -> list[Document]:
    return list((document.get("delegations") or {}).get("roles") or [])


def _entry(number: int, change: Callable[[Scene, Document], object]) -> Change:
    """A change of the entry of one delegation."""

    def applied(scene: Scene, document: Document) -> None:
        entries = _entries(document)
        if entries:
            change(scene, entries[number % len(entries)])

    return applied


def _key(name: str) -> Callable[[Scene, Document], object]:
    """The keys of one delegation become this one; it need not be among the keys of the document."""

    def applied(scene: Scene, entry: Document) -> None:
        entry["keyids"] = [scene.keys.key(name).keyid]

    return applied


def _listed_key(name: str) -> Change:
    def applied(scene: Scene, document: Document) -> None:
        key = scene.keys.key(name)
        if document.get("delegations"):
            document["delegations"]["keys"][key.keyid] = key.to_dict()

    return applied


def _remove(number: int) -> Change:
    def applied(_: Scene, document: Document) -> None:
        if len(_entries(document)) > 1:
            del document["delegations"]["roles"][number % len(_entries(document))]

    return applied


def _delegate(name: RoleName, key: str) -> Change:
    """One more delegation, at the end."""

    def applied(scene: Scene, document: Document) -> None:
        public = scene.keys.key(key)
        paths = {"paths": [""]} if scene.server.wire is NOTARY else {"paths": ["*"], "terminating": False}
        entry = {"name": name, "keyids": [public.keyid], "threshold": 1, **paths}
        delegations = document.get("delegations") or {}
        document["delegations"] = {
            "keys": {**(delegations.get("keys") or {}), public.keyid: public.to_dict()},
            "roles": [e for e in delegations.get("roles") or [] if e["name"] != name] + [entry],
        }

    return applied


def _tag(name: str, digest: str) -> Change:
    def applied(scene: Scene, document: Document) -> None:
        if "targets" in document:
            document["targets"][name] = scene.forger.target(digest)

    return applied


def _targets_key(name: str) -> Change:
    def applied(scene: Scene, document: Document) -> None:
        if "keys" in document:
            key = scene.keys.key(name)
            document["keys"][key.keyid] = key.to_dict()
            document["roles"]["targets"]["keyids"] = [key.keyid]

    return applied


def _threshold(number: int) -> Callable[[Scene, Document], object]:
    return lambda _, entry: entry.update(threshold=number)


def _paths(*paths: str) -> Callable[[Scene, Document], object]:
    return lambda _, entry: entry.update(paths=list(paths))


NUMBERS = range(3)
CHANGES: Mapping[str, Change] = {
    "nothing": lambda *_: None,
    "expired": lambda _, document: document.update(expires="2020-01-01T00:00:00Z"),
    "no delegations": lambda _, document: document.pop("delegations", None),
    "a tag": _tag("9.0", GOOD),
    "a tag in conflict": _tag("1.0", EVIL),
    "a tag that is none": _tag("no tag", OTHER),
    "delegation to bob": _delegate(BOB, "bob"),
    "delegation of alice to deep": _delegate(DEEP, "alice"),
    "delegation to alice by another key": _delegate(ALICE, "new"),
    **{f"remove {n}": _remove(n) for n in NUMBERS},
    **{f"keys of {n} are {key}": _entry(n, _key(key)) for n in NUMBERS for key in ("alice", "new")},
    **{f"threshold 2 of {n}": _entry(n, _threshold(2)) for n in NUMBERS},
    **{f"paths of {n}": _entry(n, _paths("v*")) for n in NUMBERS},
    **{f"more paths of {n}": _entry(n, _paths("[0-9]*", "v*")) for n in NUMBERS},
    **{f"a key more: {key}": _listed_key(key) for key in ("new", "alice")},
    **{f"targets key {key}": _targets_key(key) for key in ("new", "targets")},
}
_Part = tuple[list[str], set[str] | None]
_ONE = st.lists(st.sampled_from(sorted(CHANGES)), max_size=1)
_TWO = st.lists(st.sampled_from(sorted(CHANGES)), min_size=1, max_size=2)
_ANYBODY = st.sets(st.sampled_from(SIGNERS), max_size=3)
# Mostly signed by who should, and mostly something about delegations, which is where the verdicts could differ.
_PARTS: st.SearchStrategy[Mapping[RoleName, _Part]] = st.one_of(
    st.fixed_dictionaries({TARGETS: st.tuples(_TWO, st.none())}),
    st.fixed_dictionaries({TARGETS: st.tuples(_TWO, st.none())}),
    st.dictionaries(st.sampled_from(ROLES), st.tuples(_ONE, st.none()), min_size=1, max_size=3),
    st.dictionaries(st.sampled_from(ROLES), st.tuples(_ONE, st.none() | _ANYBODY), min_size=1, max_size=3),
)


def _upload(scene: Scene, parts: Mapping[RoleName, _Part]) -> dict[RoleName, Envelope]:
    """The next versions of some roles. A role that is not there begins as a copy of alice's, or without any tag."""
    server, forger = scene.server, scene.forger
    uploads = {}
    for role, (changes, names) in parts.items():
        document = forger.document(role if role in server.stored else ALICE if ALICE in server.stored else TARGETS)
        document["version"] = server.stored[role].version + 1 if role in server.stored else 1
        for name in changes:
            CHANGES[name](scene, document)
        honest = ["alice"] if role == DEEP else None
        chosen = sorted(names) if names is not None else honest
        signers = forger.signers_of(role) if chosen is None else forger.signers(role, *chosen)
        uploads[role] = server.wire.parse(role, file_of(text_of(document), signers))
    return uploads


def _verdict(judge: Callable[..., Any], scene: Scene, uploads: Mapping[RoleName, Envelope]) -> Any:
    server = scene.server
    try:
        return judge(gun=APP, stored=server.stored, uploads=uploads, at=server.at, wire=server.wire)
    except TrustError as error:
        return error


@settings(max_examples=150)
@given(st.lists(_PARTS, min_size=1, max_size=4))
@example([{TARGETS: (["keys of 0 are alice"], None)}])
@example([{TARGETS: (["paths of 0"], None)}])
@example([{TARGETS: (["delegation to alice by another key"], None)}])
@example([{TARGETS: (["threshold 2 of 0"], None)}])
@example([{TARGETS: (["remove 1"], None)}, {TARGETS: (["delegation to alice by another key"], None)}])
@example([{TARGETS: (["a tag in conflict"], None)}])
@example([{TARGETS: (["a tag"], None)}, {RELEASES: (["a tag"], None)}])
@example([{ROOT: (["targets key new"], None)}])
@example([{ALICE: (["delegation of alice to deep"], None)}, {DEEP: ([], None)}])
@pytest.mark.parametrize("wire", [TUF, NOTARY])
def test_the_verdict_is_that_of_judging_everything(wire: WireFormat, uploads: list[Mapping[RoleName, _Part]]) -> None:
    scene = good_collection(wire)
    for parts in uploads:
        try:
            files = _upload(scene, parts)
        except TrustError:
            continue  # not even well-formed
        full, changes = _verdict(judge_everything, scene, files), _verdict(judge_upload, scene, files)
        if isinstance(full, TrustError) or isinstance(changes, TrustError):
            assert isinstance(full, TrustError), changes
            assert isinstance(changes, TrustError), full
            continue
        assert list(changes.changed) == full
        scene.server.stored |= changes.roles
