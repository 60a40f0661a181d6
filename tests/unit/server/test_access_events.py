"""Changes of access in the record: each command that makes one, rules that a server takes, and what is no change."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest

from tests.support.cli_runner import CliRunner
from tests.support.server_owner import NOW
from tests.unit.server.access_site import rules_text
from trustdata.errors import NotStored
from trustserver.__main__ import app
from trustserver.admin.operator import operator
from trustserver.auth.access_source import AccessSource
from trustserver.auth.api_tokens import make_first_admin
from trustserver.process import kernel_clock
from trustserver.settings import Settings
from trustserver.storage.access_port import AccessStore, CountingRules, CredentialKind, StoredCredential
from trustserver.storage.events import Actor
from trustserver.storage.opening import existing_store, open_access, open_store

TEAM = "registry.example.com/team/*"
RIGHTS = ("--rights", "push", "--names", TEAM, "--roles", "targets/ci")
WITH: dict[str, Any] = {"rights": ["push"], "names": [TEAM], "roles": ["targets/ci"], "expires": None}
WITHOUT: dict[str, Any] = {"rights": [], "names": [], "roles": [], "expires": None}
SECRET = "Vorzimmer-Geheimnis-9"
BCRYPT = "$2y$04$DEdJdoW2MEwTx8dI4yzw/.VWn9GHJbEIFvo6JHOgv062COQ7qinQ2"


@pytest.fixture
def data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(kernel_clock, "now", lambda: NOW)
    folder = tmp_path / "data"
    open_store(Settings(data=folder)).close()
    return folder


@pytest.fixture
def store(data: Path) -> Iterator[AccessStore]:
    opened = open_access(Settings(data=data))
    yield opened
    opened.close()


def run(*arguments: str, data: Path, stdin: str = "") -> str:
    result = CliRunner().invoke(app, [*arguments, "--data", str(data)], input=stdin)
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result.output


def recorded(data: Path) -> list[tuple[str, str, dict[str, Any]]]:
    """Of each event: who made the change, about whom, and what it says."""
    store = existing_store(Settings(data=data))
    found = []
    for event in store.events(None, after=0, limit=1000):
        people = {str(each.part): each.actor.subject for each in event.people}
        document = json.loads(event.body)
        assert (document["kind"], document["at"], event.gun) == ("access", "2026-11-01T12:00:00Z", "")
        found.append((people["by"], people.get("about", ""), document["access"]))
    store.close()
    return found


def test_each_command_is_in_the_record(data: Path, tmp_path: Path) -> None:
    (tmp_path / "htpasswd").write_text(f"bob:{BCRYPT}\ncarol:{BCRYPT}\n")
    me, done = operator().subject, []
    for command, stdin, events in (
        (("token", "add", "ci", "--expires", "90d", *RIGHTS), "", [("token:ci", "added", "token", WITH)]),
        (("token", "add", "root", "--expires", "never"), "", [("token:root", "added", "token", WITHOUT)]),
        (("token", "revoke", "ci"), "", [("token:ci", "ended", "token", {})]),
        (("token", "revoke", "ci"), "", []),
        (("token", "list"), "", []),
        (("user", "add", "alice"), SECRET, [("user:alice", "added", "user", WITHOUT)]),
        (("user", "add", "alice", *RIGHTS), SECRET, [("user:alice", "changed", "user", WITH)]),
        (("user", "remove", "alice"), "", [("user:alice", "ended", "user", {})]),
        (("user", "add", "alice"), SECRET, [("user:alice", "added", "user", WITHOUT)]),
        (
            ("user", "import", str(tmp_path / "htpasswd"), *RIGHTS),
            "",
            [("user:bob", "added", "user", WITH), ("user:carol", "added", "user", WITH)],
        ),
    ):
        run("access", *command, data=data, stdin=stdin)
        for about, change, credential, rights in events:
            until = {"expires": "2027-01-30T12:00:00Z"} if about == "token:ci" and rights else {}
            done.append((me, about, {"change": change, "credential": credential, **rights, **until}))
        assert recorded(data) == done, command
    run("access", "explain", "user:alice", "registry.example.com/team/app", data=data)
    assert recorded(data) == done
    lines = run("events", data=data).splitlines()
    assert lines[0] == (
        f"1  2026-11-01T12:00:00Z  access  -  by {me}  about token:ci  "
        f"added: push on {TEAM} for targets/ci until 2027-01-30T12:00:00Z"
    )
    assert lines[1].endswith("about token:root  added: what rules allow")
    assert lines[2].endswith("about token:ci  ended")
    assert "sound" in run("check", data=data)


def test_no_event_says_whose_access_it_was_or_how_they_are_known(data: Path) -> None:
    printed = run("access", "token", "add", "of-alice", "--expires", "never", data=data)
    token = re.findall("ct_[0-9a-f]+", printed)[0]
    run("access", "user", "add", "alice-smith", data=data, stdin=SECRET)
    for subject in ("token:of-alice", "user:alice-smith"):
        run("events", "erase", subject, data=data)
    lines = run("events", "--json", data=data)
    assert [json.loads(line)["about"] for line in lines.splitlines()] == [None] * 4
    assert "alice" not in lines
    database = b"".join(file.read_bytes() for file in data.glob("trust.db*"))
    assert b"of-alice" in database
    assert token.encode() not in database
    assert SECRET.encode() not in database


def test_the_first_admin_is_in_the_record_and_a_better_hash_is_no_change(data: Path, store: AccessStore) -> None:
    boss = Actor(subject="operator:root", kind="operator")
    assert make_first_admin(store, NOW, by=boss) is not None
    assert make_first_admin(store, NOW, by=boss) is None
    admin = {"rights": ["admin"], "names": ["*"], "roles": [], "expires": None}
    made = [("operator:root", "token:admin", {"change": "added", "credential": "token", **admin})]
    assert recorded(data) == made
    store.change_secret(CredentialKind.TOKEN, "admin", before=store.credentials()[0].secret, after="x")
    assert store.credentials()[0].secret == "x"
    assert recorded(data) == made


def test_rules_that_a_server_takes_are_in_the_record(data: Path, store: AccessStore, tmp_path: Path) -> None:
    """With the hash of their file, from start to start and after each change; what does not count is not recorded."""
    file = tmp_path / "access.toml"
    told: list[dict[str, Any]] = []

    def write(*rules: tuple[str, str, str, str], counts: bool = True) -> None:
        text = rules_text(*rules) if rules else "version = 2"
        file.write_text(text)
        file.chmod(0o600)
        if counts:
            told.append({"change": "rules", "sha256": sha256(text.encode()).hexdigest(), "rules": len(rules)})

    one, other = ("anonymous", "*", "allow", "pull"), ("user:alice", "*", "allow", "admin")
    write(one)
    serving(file, store)
    source = serving(file, store)
    write(one, other)
    source.refresh()
    source.refresh(unchanged_too=True)
    write(counts=False)
    source.refresh()
    write(other)
    serving(file, store)
    serving(None, store)
    serving(None, store)
    told.append({"change": "rules", "sha256": None, "rules": 0})
    assert recorded(data) == [("server", "", each) for each in told]
    lines = run("events", data=data).splitlines()
    assert lines[1].endswith(f"by server  rules: 2 rules, file sha256 {told[1]['sha256']}")
    assert lines[-1].endswith("by server  rules: no file")


def serving(file: Path | None, store: AccessStore) -> AccessSource:
    """What a server knows of access, which records the rules that it takes."""
    return AccessSource(file, store, clock=lambda: NOW)


class _Failing:
    """A store whose database takes nothing, for as long as the test wants."""

    def __init__(self, store: AccessStore) -> None:
        self._store = store
        self.fails = True

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store, name)

    def note_rules(self, rules: CountingRules, at: Any, *, by: Actor) -> bool:
        if self.fails:
            raise NotStored(reason="disk full")
        return self._store.note_rules(rules, at, by=by)


def test_rules_count_before_they_are_recorded(data: Path, store: AccessStore, tmp_path: Path) -> None:
    file = tmp_path / "access.toml"
    file.write_text(rules_text(("anonymous", "*", "allow", "pull")))
    file.chmod(0o600)
    failing: Any = _Failing(store)
    source = serving(file, failing)
    assert len(source.state.rules.rules) == 1
    for _ in range(2):
        source.refresh()
        assert source.failures() == ["it is not recorded which rules count"]
    assert recorded(data) == []
    failing.fails = False
    source.refresh()
    assert source.failures() == []
    assert len(recorded(data)) == 1
    assert isinstance(store.credentials(), list)


def test_an_import_is_recorded_whole_or_not_at_all(data: Path, store: AccessStore) -> None:
    user = StoredCredential(kind=CredentialKind.USER, name="a", secret="x", created=NOW)
    odd: Any = StoredCredential(kind=CredentialKind.USER, name="b", secret="x", created=NOW, rights=(object(),))  # type: ignore[arg-type]
    with pytest.raises(TypeError):
        store.put([user, odd], by=operator())
    assert store.credentials() == []
    assert recorded(data) == []
