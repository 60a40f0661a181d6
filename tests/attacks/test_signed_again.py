"""What an owner signs again as it stands: nothing that was not verified here before, unless somebody agrees (ADR 0122).

The attacker has the server, and a key that may sign: another signer's, or the one that is being replaced.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from keys.key_info import KeyInfo
from keys.material import write_public_pem
from keys.record import replace
from tests.simulator.client import Client
from tests.simulator.forgery import Document
from tests.simulator.keyring import private
from tests.simulator.owner import EVERY_KEY, Owner
from tests.simulator.owner_commands import ALICE, does, owner
from tests.simulator.repository import APP
from tests.simulator.scene import EVIL, GOOD, NEWER, OTHER, Scene, good_collection
from tests.simulator.session import SimulatedSession
from trustcli.console.prompt import TerminalPrompt
from trustdata.roles import ONLINE, RELEASES, ROOT, SNAPSHOT, TARGETS
from trustdata.wire import WireFormat

REFUSED = 7
NOT_TRUSTED = 4

NOTHING_NEW = ("--accept-unseen", "none")

AGAIN = [
    ("key", "rotate", "targets", APP),
    ("signer", "remove", "bob", APP),
    ("signer", "rotate", "alice", APP, "--key", "carol"),
    ("renew", APP, "--all"),
]
"""Commands that sign `targets` and `targets/releases` again with what they list."""


def knowing(scene: Scene) -> Client:
    """A machine that has verified all of the good state."""
    client = scene.newcomer()
    client.collection().owner_roles()
    return client


def with_carol(client: Client, *, as_json: bool = False) -> SimulatedSession:
    """An owner who has alice's new key, too."""
    return owner(client, keys=(*EVERY_KEY, "carol"), as_json=as_json)


def again(client: Client, *command: str) -> SimulatedSession:
    session = with_carol(client)
    assert session.ends(*command) == 0, session.stderr.getvalue()
    return session


def unseen(client: Client, *command: str) -> dict[str, dict[str, object]]:
    """What the plan says that is signed again and new here, by file."""
    session = with_carol(client, as_json=True)
    assert session.ends(*command, "--plan") == 0, session.stderr.getvalue()
    (plan,) = session.document()["plans"]
    return {each["file"]: each["unseen"] for each in plan["signed_again"] if each["unseen"] is not None}


def refused(scene: Scene, client: Client, *command: str) -> str:
    """Run a command that must sign nothing that is new; return what it says. A second try is refused just so."""
    before, said = stored(scene, *command), ""
    for _ in range(2):
        session = with_carol(client, as_json=True)
        keys = len(session.store.list())
        assert session.ends(*command, *NOTHING_NEW) == REFUSED, session.stderr.getvalue()
        assert "content-unseen" in session.stdout.getvalue()
        assert len(session.store.list()) == keys, "no key is made"
        assert stored(scene, *command) == before
        said = session.stderr.getvalue()
    return said


def stored(scene: Scene, *command: str) -> list[str]:
    """What is not signed again; a renewal does what else there is."""
    renewed = {ROOT, TARGETS, *ONLINE} if command[0] == "renew" else set()
    return [file.sha256 for role, file in sorted(scene.server.stored.items()) if role not in renewed]


def thief_releases(scene: Scene, tag: str, digest: str, *children: str) -> None:
    """With alice's key alone, on another machine."""
    Owner(scene.server, "alice").sign(tag, digest, *children)


def options(files: dict[str, dict[str, object]]) -> list[str]:
    return [word for file in files for word in ("--accept-unseen", file)]


# --- a machine that knows the collection


@pytest.mark.parametrize("command", AGAIN, ids=" ".join)
def test_what_is_known_is_signed_again_without_a_question(wire: WireFormat, command: tuple[str, ...]) -> None:
    scene = good_collection(wire)
    client = knowing(scene)
    assert unseen(client, *command) == {}
    assert "not verified here before" not in again(client, *command).stderr.getvalue()


@pytest.mark.parametrize("command", AGAIN, ids=" ".join)
def test_a_tag_that_a_signer_s_thief_has_released(wire: WireFormat, command: tuple[str, ...]) -> None:
    scene = good_collection(wire)
    client = knowing(scene)
    thief_releases(scene, "3.0", EVIL)
    said = refused(scene, client, *command)
    file = f"{RELEASES}@sha256:{scene.server.stored[RELEASES].sha256}"
    assert f"+ tag 3.0: sha256:{EVIL}" in said
    assert f"--accept-unseen {file}" in said
    files = unseen(client, *command)
    assert file in files
    new = {"role": RELEASES, "tag": "3.0", "change": "added", "before": None, "after": f"sha256:{EVIL}"}
    assert files[file]["tags"] == [new], "and nothing that is known"
    assert refused(scene, client, *command), "a plan makes nothing known"
    again(client, *command, *options(files))
    assert scene.newcomer().digest("3.0") == f"sha256:{EVIL}", "who has named just this file has decided"


@pytest.mark.parametrize("command", AGAIN, ids=" ".join)
def test_a_tag_that_was_moved_or_taken_away(wire: WireFormat, command: tuple[str, ...]) -> None:
    scene = good_collection(wire)
    client = knowing(scene)
    thief_releases(scene, "1.0", EVIL)
    Owner(scene.server, "alice").revoke("2.0")
    said = refused(scene, client, *command)
    assert f"~ tag 1.0: sha256:{GOOD} -> sha256:{EVIL}" in said
    assert f"- tag 2.0: sha256:{OTHER}" in said


def test_platforms_beside_a_digest_that_stays(wire: WireFormat) -> None:
    scene = good_collection(wire)
    client = knowing(scene)
    thief_releases(scene, "1.0", GOOD, EVIL)
    said = refused(scene, client, "key", "rotate", "targets", APP)
    assert f"~ tag 1.0: sha256:{GOOD} (its size, platforms or custom data)" in said


def test_platforms_that_a_signer_who_stays_has_put_beside_a_digest(wire: WireFormat) -> None:
    """The releases are as they were verified here: their entry is put right with what the thief wrote elsewhere."""
    scene = good_collection(wire)
    client = knowing(scene)
    releases = scene.server.stored[RELEASES]

    def altered(document: Document) -> None:
        document["version"] += 1
        document["targets"]["1.0"]["custom"] = {"oci": {"manifests": [EVIL]}}

    scene.forger.alter(ALICE, altered)
    assert scene.server.stored[RELEASES].sha256 == releases.sha256
    said = refused(scene, client, "signer", "remove", "bob", APP)
    file = f"{ALICE}@sha256:{scene.server.stored[ALICE].sha256}"
    assert f"--accept-unseen {file}" in said
    assert f"~ tag 1.0: sha256:{GOOD} (its size, platforms or custom data)" in said
    again(client, "signer", "remove", "bob", APP, "--accept-unseen", file)
    assert EVIL in str(scene.server.stored[RELEASES].targets.targets["1.0"].custom), "who has named it has decided"


def test_a_signer_of_the_thief_whose_key_is_replaced(wire: WireFormat) -> None:
    """Whoever has the repository key names a signer: the new key would vouch for that signer from then on."""
    scene = good_collection(wire)
    client = knowing(scene)
    Owner(scene.server, "targets").add_signer("mallory")
    said = refused(scene, client, "key", "rotate", "targets", APP)
    assert "+ delegation targets/mallory" in said
    assert f"+ key of targets/mallory: {scene.keys.key('mallory').keyid[:12]}" in said


def test_what_is_denied_no_longer() -> None:
    """In TUF 1.0: the other format cannot deny."""
    scene = good_collection()
    scene.owner.deny(EVIL, reason="bad")
    client = knowing(scene)
    scene.owner.deny_no_longer(EVIL)
    assert f"- denied sha256:{EVIL}: bad" in refused(scene, client, "key", "rotate", "targets", APP)


def test_a_root_with_another_key_than_was_verified_here(wire: WireFormat) -> None:
    """Whoever has a root key has put another server key in place."""
    scene = good_collection(wire)
    client = knowing(scene)
    scene.owner.replace_online_key(SNAPSHOT)
    said = refused(scene, client, "key", "rotate", "timestamp", APP)
    assert "+ key of snapshot" in said
    assert ROOT in said
    again(client, "key", "rotate", "timestamp", APP, "--yes")


def test_what_comes_between_the_look_and_the_publish(wire: WireFormat) -> None:
    """The files that were looked at are accepted; another one has arrived when the upload does."""
    scene = good_collection(wire)
    client = knowing(scene)
    thief_releases(scene, "3.0", NEWER)
    files = unseen(client, "key", "rotate", "targets", APP)

    def at_once() -> None:
        scene.server.before_publish = None
        thief_releases(scene, "4.0", EVIL)

    scene.server.before_publish = at_once
    session = owner(client, as_json=True)
    assert session.ends("key", "rotate", "targets", APP, *options(files)) == REFUSED
    assert f"tag 4.0: sha256:{EVIL}" in session.stderr.getvalue()
    assert scene.server.stored[ROOT].version == 2
    refused(scene, client, "key", "rotate", "targets", APP, *options(files))


@pytest.mark.parametrize("said", [(), ("--yes",)], ids=["no terminal", "yes"])
@pytest.mark.parametrize("command", AGAIN, ids=" ".join)
def test_where_nobody_is_asked_what_is_signed_is_listed(
    wire: WireFormat, command: tuple[str, ...], said: tuple[str, ...]
) -> None:
    scene = good_collection(wire)
    client = knowing(scene)
    thief_releases(scene, "3.0", EVIL)
    assert f"+ tag 3.0: sha256:{EVIL}" in again(client, *command, *said).stderr.getvalue()


def test_who_names_files_agrees_to_no_other(wire: WireFormat) -> None:
    """Whether or not somebody could be asked: `--yes` says that nobody is to be."""
    scene = good_collection(wire)
    client = knowing(scene)
    thief_releases(scene, "3.0", EVIL)
    refused(scene, client, "key", "rotate", "targets", APP, "--yes")


def test_a_signer_is_added_beside_what_is_known_alone(wire: WireFormat, tmp_path: Path) -> None:
    scene = good_collection(wire)
    client = knowing(scene)
    file = tmp_path / "carol.pub"
    file.write_bytes(write_public_pem(KeyInfo.of(private("carol"), purpose="signer").public))
    Owner(scene.server, "targets").add_signer("mallory")
    command = ("signer", "add", "--key", str(file), "carol", APP)
    assert "+ delegation targets/mallory" in refused(scene, client, *command)
    again(client, *command, *options(unseen(client, *command)))


def test_a_version_that_was_only_listed(wire: WireFormat) -> None:
    """The machine has heard of the thief's version, and not read it: what it knows is the one before."""
    scene = good_collection(wire)
    client = knowing(scene)
    thief_releases(scene, "3.0", EVIL)
    client.collection().refresh()
    files = unseen(client, "key", "rotate", "targets", APP)
    ((file, new),) = files.items()
    assert file.startswith(f"{RELEASES}@")
    assert [tag["tag"] for tag in new["tags"]] == ["3.0"]  # type: ignore[attr-defined]


def test_who_writes_into_the_cache_makes_nothing_known(wire: WireFormat) -> None:
    scene = good_collection(wire)
    client = knowing(scene)
    thief_releases(scene, "3.0", EVIL)
    client.collection().refresh()
    listed = scene.server.stored[RELEASES].raw
    forged = scene.forger.alter(RELEASES, lambda _: None, signers=scene.forger.signers(RELEASES, "mallory"))
    scene.forger.put(RELEASES, listed, version=scene.server.wire.parse(RELEASES, listed).version)
    for raw in (b"{}", forged, b" " * (wire.size_limit(RELEASES) + 1)):
        client.cache.store(RELEASES, raw)
        assert RELEASES not in client.collection().verified_files()
        (new,) = (new for file, new in unseen(client, "key", "rotate", "targets", APP).items() if RELEASES in file)
        assert {tag["tag"] for tag in new["tags"]} == {"1.0", "2.0", "3.0"}  # type: ignore[attr-defined]


# --- a machine that has never seen it


@pytest.mark.parametrize("command", [AGAIN[0], ("signer", "remove", "alice", APP), AGAIN[2]], ids=" ".join)
def test_a_new_machine_is_shown_the_past(wire: WireFormat, command: tuple[str, ...]) -> None:
    """All signatures are valid and nothing has expired: nobody but a person can tell that it is old."""
    scene = good_collection(wire)
    old = Scene(server=scene.past, past=scene.past, pin=scene.pin)
    client = Client(scene.past, pins=[scene.pin])
    said = refused(old, client, *command)
    for file in unseen(client, *command).values():
        assert file["verified_version"] is None
    assert f"{TARGETS}@sha256:{scene.past.stored[TARGETS].sha256}" in said


def test_what_a_new_machine_is_not_asked_about(wire: WireFormat) -> None:
    """The server's keys are replaced in the root alone, whose chain comes from the pin."""
    scene = good_collection(wire)
    assert unseen(scene.newcomer(), "key", "rotate", "timestamp", APP) == {}
    does(scene.newcomer(), "key", "rotate", "timestamp", APP)


def test_a_renewal_leaves_out_what_nobody_has_agreed_to(wire: WireFormat) -> None:
    scene = good_collection(wire)
    client = knowing(scene)
    thief_releases(scene, "3.0", EVIL)
    session = owner(client, as_json=True)
    assert session.ends("renew", APP, "--all", *NOTHING_NEW) == REFUSED
    (row,) = session.document()["collections"]
    assert {each["role"] for each in row["renewed"]} == {ROOT, TARGETS}
    assert [each["code"] for each in row["errors"]] == ["content-unseen"]
    assert {file.partition("@")[0] for file in row["errors"][0]["details"]["files"]} == {RELEASES, ALICE}


@pytest.mark.parametrize("how", [(), ("--due",)], ids=["renew", "renew --due"])
def test_a_renewal_that_has_nothing_to_do_remembers_what_it_has_read(wire: WireFormat, how: tuple[str, ...]) -> None:
    """Else a server could show a machine that only renews what was there before its last run."""
    scene = good_collection(wire)
    client = scene.newcomer()
    does(client, "renew", APP, *how)
    memory = client.memory.load(APP)
    assert memory is not None
    assert memory.roles[RELEASES].sha256 == scene.server.stored[RELEASES].sha256
    past = Client(scene.past, pins=[scene.pin])
    past.memory = client.memory
    assert owner(past).ends("renew", APP, *how) == NOT_TRUSTED


# --- at a terminal


class Asked:
    """Somebody at a terminal, who answers each question so."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, *answers: Callable[[], bool]) -> None:
        self.questions: list[str] = []
        self._answers = list(answers)

        def confirm(_: TerminalPrompt, question: str) -> bool:
            self.questions.append(question)
            return self._answers.pop(0)()

        monkeypatch.setattr(TerminalPrompt, "confirm", confirm)

    def runs(self, client: Client, *command: str) -> tuple[int, str]:
        session = with_carol(client)
        session.settings = replace(session.settings, non_interactive=False)
        return session.ends(*command), session.stderr.getvalue()


@pytest.mark.parametrize("command", AGAIN, ids=" ".join)
def test_somebody_is_asked_once_and_has_seen_it(
    wire: WireFormat, command: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    scene = good_collection(wire)
    client = knowing(scene)
    thief_releases(scene, "3.0", EVIL)
    before = scene.server.revision
    person = Asked(monkeypatch, lambda: False, lambda: True)
    status, said = person.runs(client, *command)
    assert f"+ tag 3.0: sha256:{EVIL}" in said
    assert status == REFUSED
    assert command[0] == "renew" or scene.server.revision == before
    status, said = person.runs(client, *command)
    assert (status, len(person.questions)) == (0, 2), said
    assert person.questions[1] == f"Sign this again in {APP}?"


def test_entries_of_another_role_are_in_the_same_question(wire: WireFormat, monkeypatch: pytest.MonkeyPatch) -> None:
    scene = good_collection(wire)
    client = knowing(scene)
    thief_releases(scene, "1.0", GOOD, EVIL)
    thief_releases(scene, "3.0", EVIL)

    def altered(document: Document) -> None:
        document["version"] += 1
        del document["targets"]["1.0"]["custom"]

    scene.forger.alter(RELEASES, altered)
    person = Asked(monkeypatch, lambda: True)
    status, said = person.runs(client, "signer", "remove", "bob", APP)
    assert (status, len(person.questions)) == (0, 1), said
    assert f"signed again: {ALICE}" in said
    assert f"signed again: {RELEASES}" in said


def test_who_has_named_files_is_asked_about_no_other(wire: WireFormat, monkeypatch: pytest.MonkeyPatch) -> None:
    scene = good_collection(wire)
    client = knowing(scene)
    thief_releases(scene, "3.0", EVIL)
    person = Asked(monkeypatch)
    status, said = person.runs(client, "key", "rotate", "targets", APP, *NOTHING_NEW)
    assert (status, person.questions) == (REFUSED, []), said


def test_what_comes_after_the_answer_is_asked_about_again(wire: WireFormat, monkeypatch: pytest.MonkeyPatch) -> None:
    scene = good_collection(wire)
    client = knowing(scene)
    thief_releases(scene, "3.0", NEWER)

    def at_once() -> None:
        scene.server.before_publish = None
        thief_releases(scene, "4.0", EVIL)

    def agrees() -> bool:
        scene.server.before_publish = at_once
        return True

    person = Asked(monkeypatch, agrees, lambda: False)
    status, said = person.runs(client, "key", "rotate", "targets", APP)
    assert (status, len(person.questions)) == (REFUSED, 2)
    assert f"+ tag 4.0: sha256:{EVIL}" in said
    assert scene.server.stored[ROOT].version == 2


# --- the commands that are about single tags


@pytest.mark.parametrize("command", [("sign", f"{APP}:9.0"), ("revoke", f"{APP}:2.0", "--yes")], ids=" ".join)
def test_the_plan_of_a_daily_command_shows_the_rest_of_the_role(wire: WireFormat, command: tuple[str, ...]) -> None:
    scene = good_collection(wire)
    client = knowing(scene)
    thief_releases(scene, "3.0", EVIL)
    session = owner(client)
    assert session.ends(*command, "--plan") == 0
    plan = session.stdout.getvalue()
    assert "signed again as it stands" in plan
    assert f"      1.0: sha256:{GOOD}" in plan
    assert f"        + tag 3.0: sha256:{EVIL}" in plan
    assert json.dumps(unseen(client, *command)).count(EVIL) >= 1
    again(client, *command)
