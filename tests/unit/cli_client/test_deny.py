"""`trust deny`: who may, what is told, what a second run finds, and that nothing denied is signed."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import pytest

from tests.simulator.owner import EVERY_KEY
from tests.simulator.repository import APP
from tests.simulator.scene import APP_IMAGE, GOOD, NEWER, OTHER, Scene, good_collection
from tests.simulator.session import SimulatedSession
from trustcli.console.failure_table import row_for
from trustcli.errors import UsageError
from trustdata.denied import MAX_REASON
from trustdata.errors import DigestDenied, InvalidName
from trustdata.wire import WireFormat
from trustdata.wire.formats import FORMATS
from trustdata.wire.notary import NOTARY

IMAGE = f"{APP}@sha256:{GOOD}"
WHY = "a stolen key"


def owner(
    scene: Scene, *, keys: Sequence[str] = EVERY_KEY, as_json: bool = False, digest: str = NEWER
) -> SimulatedSession:
    return SimulatedSession(scene.regular(), keys=keys, as_json=as_json, registry_digest=f"sha256:{digest}")


def run(scene: Scene, *arguments: str, expect: int = 0, **options: Any) -> SimulatedSession:
    session = owner(scene, **options)
    assert session.ends(*arguments) == expect, session.stderr.getvalue()
    return session


def document(scene: Scene, *arguments: str, expect: int = 0) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(run(scene, *arguments, expect=expect, as_json=True).stdout.getvalue())
    return found


def refusal(scene: Scene) -> object:
    return scene.newcomer().judge("1.0").refusal


def test_a_digest_is_denied_told_listed_and_allowed_again() -> None:
    scene = good_collection()
    told = run(scene, "deny", IMAGE, "--reason", WHY, "--yes")
    assert told.stdout.getvalue() == f"denied {IMAGE}\n"
    assert f"{APP}:1.0 is signed still, and nothing lets it run" in told.stderr.getvalue()
    assert isinstance(refusal(scene), DigestDenied)
    assert owner_lists(scene) == f"{IMAGE}  {WHY}\n"
    again = SimulatedSession(scene.newcomer(), keys=EVERY_KEY)
    assert again.ends("deny", IMAGE, "--yes") == 0
    assert "1 digest denied already, nothing to do" in again.stderr.getvalue()
    removed = SimulatedSession(scene.newcomer(), keys=EVERY_KEY)
    assert removed.ends("deny", "--remove", IMAGE, "--yes") == 0
    assert removed.stdout.getvalue() == f"denied no longer {IMAGE}\n"
    assert refusal(scene) is None
    assert owner_lists(scene) == ""
    not_there = SimulatedSession(scene.newcomer(), keys=EVERY_KEY)
    assert not_there.ends("deny", "--remove", IMAGE, "--yes") == 0
    assert f"{APP}: 1 digest not on the list, nothing to do" in not_there.stderr.getvalue()


def test_who_meets_a_denied_digest_is_told_the_command_that_lists_it() -> None:
    scene = good_collection()
    run(scene, "deny", IMAGE, "--yes")
    denied = refusal(scene)
    assert isinstance(denied, DigestDenied)
    assert row_for(denied).advice(denied) == f"do not run it; trust deny --list {APP} says what is denied"


def owner_lists(scene: Scene) -> str:
    session = SimulatedSession(scene.newcomer(), keys=())
    assert session.ends("deny", "--list", APP) == 0
    return session.stdout.getvalue()


def test_the_list_is_read_by_people_and_programs() -> None:
    scene = good_collection()
    found = document(scene, "deny", IMAGE, f"{APP}@sha256:{OTHER}", "--reason", WHY, "--yes")
    (row,) = found["collections"]
    both = sorted([f"sha256:{GOOD}", f"sha256:{OTHER}"])
    assert (row["state"], row["changed"]) == ("done", both)
    assert row["denied"] == [{"digest": digest, "reason": WHY} for digest in both]


def test_a_plan_lists_what_would_be_denied_and_sends_nothing() -> None:
    scene = good_collection()
    before = scene.server.revision
    planned = run(scene, "deny", IMAGE, "--reason", WHY, "--plan").stdout.getvalue()
    assert f"+ denied sha256:{GOOD}: {WHY}" in planned
    (plan,) = document(scene, "deny", IMAGE, "--plan")["plans"]
    assert plan["denied"] == [{"digest": f"sha256:{GOOD}", "change": "added", "before": None, "after": ""}]
    assert scene.server.revision == before


def test_who_has_no_repository_key_is_told_who_has_it() -> None:
    scene = good_collection()
    said = run(scene, "deny", IMAGE, "--yes", keys=("alice",), expect=8).stderr.getvalue()
    assert "targets" in said
    assert refusal(scene) is None


def test_without_a_yes_nothing_happens() -> None:
    scene = good_collection()
    with pytest.raises(UsageError, match=f"nothing was changed; to deny {IMAGE} without being asked: --yes"):
        owner(scene).run("deny", IMAGE)
    assert refusal(scene) is None


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ((APP_IMAGE,), "names no digest"),
        ((APP,), "names no digest"),
        ((f"{APP}@sha512:{'a' * 128}",), "digest"),
        ((IMAGE, "--reason", "x" * (MAX_REASON + 1)), f"at most {MAX_REASON} characters"),
        ((IMAGE, "--reason", "two\nlines"), "one line"),
        ((IMAGE, "--reason", "x", "--remove"), "leave it out with --remove"),
        ((APP, "--list", "--remove"), "--list changes nothing"),
    ],
)
def test_wrong_usage_is_told(words: tuple[str, ...], said: str) -> None:
    with pytest.raises((UsageError, InvalidName), match=said):
        owner(good_collection()).run("deny", *words, "--yes")


def test_notary_s_format_is_refused_by_name_since_its_programs_drop_the_list() -> None:
    scene = good_collection(NOTARY)
    before = scene.server.revision
    for words in (("--yes",), ("--plan",)):
        said = run(scene, "deny", IMAGE, *words, expect=7).stderr.getvalue()
        assert "docker and notary drop the list of denied digests when they sign targets again" in said
    found = document(scene, "deny", IMAGE, "--yes", expect=7)
    assert found["error"]["code"] == "format-cannot-deny"
    assert scene.server.revision == before


def test_what_another_program_has_denied_in_notary_s_format_is_taken_off_there() -> None:
    scene = good_collection(NOTARY)
    scene.owner.deny(GOOD)
    session = SimulatedSession(scene.newcomer(), keys=EVERY_KEY)
    assert session.ends("deny", "--remove", IMAGE, "--yes") == 0
    assert refusal(scene) is None


@pytest.mark.parametrize("wire", FORMATS.values(), ids=list(FORMATS))
@pytest.mark.parametrize("plan", [(), ("--plan",)])
def test_a_denied_digest_is_not_signed_until_it_is_denied_no_longer(wire: WireFormat, plan: tuple[str, ...]) -> None:
    scene = good_collection(wire)
    scene.owner.deny(NEWER, reason=WHY)
    before = scene.server.revision
    said = run(scene, "sign", f"{APP}:3.0", *plan, expect=4).stderr.getvalue()
    assert f"{APP}@sha256:{NEWER} is denied by {APP}: {WHY}" in said
    assert scene.server.revision == before
    scene.owner.deny_no_longer(NEWER)
    run(scene, "sign", f"{APP}:3.0", *plan)


@pytest.mark.parametrize("wire", FORMATS.values(), ids=list(FORMATS))
@pytest.mark.parametrize("form", [(), ("--pretty",)])
def test_inspect_tells_it_and_prints_what_docker_prints(wire: WireFormat, form: tuple[str, ...]) -> None:
    scene = good_collection(wire)
    before = run(scene, "inspect", APP, *form)
    assert "denies" not in before.stderr.getvalue()
    scene.owner.deny(GOOD, NEWER)
    session = SimulatedSession(scene.newcomer(), keys=())
    assert session.ends("inspect", APP, *form) == 0
    assert session.stdout.getvalue() == before.stdout.getvalue()
    assert f"{APP} denies 2 digests: trust deny --list {APP}" in session.stderr.getvalue()
    assert f"{APP}:1.0 is signed, and nothing lets it run" in session.stderr.getvalue()
