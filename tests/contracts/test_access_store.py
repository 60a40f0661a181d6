"""What the store of credentials promises."""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from tests.support.server_owner import NOW
from trustdata.errors import NotStored
from trustserver.settings import Settings
from trustserver.storage.access_port import AccessStore, CountingRules, CredentialKind, StoredCredential
from trustserver.storage.events import Actor
from trustserver.storage.opening import existing_access, has_credentials, open_access, open_store

TOKEN = StoredCredential(
    kind=CredentialKind.TOKEN,
    name="ci",
    secret="ab" * 32,
    created=NOW,
    expires=NOW + timedelta(days=90),
    rights=("pull", "push"),
    names=("registry.example.com/team/*",),
    roles=("targets/ci",),
)
BOSS = Actor(subject="operator:root", kind="operator")
USER = StoredCredential(kind=CredentialKind.USER, name="ci", secret="$argon2id$", created=NOW)


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    found = Settings(data=tmp_path / "data")
    open_store(found).close()
    return found


@pytest.fixture
def store(settings: Settings) -> Iterator[AccessStore]:
    opened = open_access(settings)
    yield opened
    opened.close()


def test_it_gives_back_what_it_was_given_and_two_kinds_are_apart(store: AccessStore) -> None:
    assert store.credentials() == []
    assert store.add(USER, by=BOSS)
    assert store.add(TOKEN, by=BOSS)
    assert store.credentials() == [TOKEN, USER]
    assert TOKEN.secret not in repr(TOKEN)


@pytest.mark.parametrize(
    "values",
    [
        "kind = 'robot'",
        "secret = x'00'",
        "created = 'soon'",
        "created = 99999999999999",
        "created = 9223372036854775807",
        "expires = 'never'",
        "rights = 'all'",
        """rights = '{"pull": 1}'""",
        "rights = '[1]'",
        "names = 7",
        "roles = 'null'",
    ],
)
def test_what_somebody_else_has_written_is_told_and_hides_nothing(
    store: AccessStore, settings: Settings, values: str
) -> None:
    assert store.add(USER, by=BOSS)
    assert store.add(TOKEN, by=BOSS)
    with contextlib.closing(sqlite3.connect(settings.data / "trust.db")) as database:
        database.execute(f"UPDATE credential SET {values} WHERE kind = 'token'")
        database.commit()
    assert store.credentials() == [USER]
    assert store.unreadable() == ["robot:ci" if "robot" in values else "token:ci"]
    assert has_credentials(settings)


def test_a_name_is_given_once_even_after_its_end(store: AccessStore) -> None:
    assert store.add(TOKEN, by=BOSS)
    assert not store.add(replace(TOKEN, secret="cd" * 32), by=BOSS)
    later = NOW + timedelta(days=1)
    assert store.end(CredentialKind.TOKEN, "ci", later, by=BOSS)
    assert not store.end(CredentialKind.TOKEN, "ci", later + timedelta(days=1), by=BOSS)
    assert not store.end(CredentialKind.USER, "ci", later, by=BOSS)
    assert not store.add(TOKEN, by=BOSS)
    assert store.credentials() == [replace(TOKEN, ended=later)]


def test_another_secret_and_another_credential_in_its_place(store: AccessStore) -> None:
    store.put([USER], by=BOSS)
    store.change_secret(CredentialKind.USER, "ci", before="another", after="x")
    assert store.credentials() == [USER]
    store.change_secret(CredentialKind.USER, "ci", before=USER.secret, after="x")
    assert store.credentials() == [replace(USER, secret="x")]
    store.put([replace(USER, secret="y", rights=("pull",), names=("*",)), TOKEN], by=BOSS)
    assert store.credentials() == [TOKEN, replace(USER, secret="y", rights=("pull",), names=("*",))]


def test_each_change_moves_the_number_and_nothing_else_does(store: AccessStore, settings: Settings) -> None:
    seen = [store.changes()]
    beside = existing_access(settings)
    for change in (
        lambda: beside.add(TOKEN, by=BOSS),
        lambda: beside.put([USER], by=BOSS),
        lambda: beside.change_secret(CredentialKind.USER, "ci", before=USER.secret, after="x"),
        lambda: beside.end(CredentialKind.TOKEN, "ci", NOW, by=BOSS),
    ):
        change()
        seen.append(store.changes())
    assert len(set(seen)) == len(seen)
    for nothing in (
        lambda: beside.add(TOKEN, by=BOSS),
        lambda: beside.end(CredentialKind.TOKEN, "ci", NOW, by=BOSS),
        lambda: beside.change_secret(CredentialKind.USER, "ci", before="z", after="x"),
        beside.credentials,
    ):
        nothing()
        assert store.changes() == seen[-1]
    beside.close()


def test_a_change_that_cannot_be_recorded_is_not_made(store: AccessStore, settings: Settings) -> None:
    assert store.add(USER, by=BOSS)
    with contextlib.closing(sqlite3.connect(settings.data / "trust.db")) as database:
        database.execute("DELETE FROM event_head")
        database.commit()
    for change in (
        lambda: store.add(TOKEN, by=BOSS),
        lambda: store.put([replace(USER, secret="x"), TOKEN], by=BOSS),
        lambda: store.end(CredentialKind.USER, "ci", NOW, by=BOSS),
    ):
        with pytest.raises(NotStored):
            change()
        assert store.credentials() == [USER]
    with pytest.raises(NotStored):
        store.note_rules(CountingRules(sha256="ab" * 32, count=1), NOW, by=BOSS)


def test_rules_are_recorded_when_others_count(store: AccessStore) -> None:
    some, others = CountingRules(sha256="ab" * 32, count=1), CountingRules(sha256="cd" * 32, count=2)
    told = [some, some, others, CountingRules(), CountingRules(), some]
    assert not store.note_rules(CountingRules(), NOW, by=BOSS)
    assert [store.note_rules(each, NOW, by=BOSS) for each in told] == [True, False, True, True, False, True]


@pytest.mark.parametrize(
    ("credential", "day", "valid"),
    [(TOKEN, 0, True), (TOKEN, 90, False), (USER, 10_000, True), (replace(USER, ended=NOW), 0, False)],
)
def test_until_when_it_counts(credential: StoredCredential, day: int, *, valid: bool) -> None:
    assert credential.is_valid(NOW + timedelta(days=day)) == valid


def test_a_database_that_fails_is_told(settings: Settings, store: AccessStore) -> None:
    assert store.add(TOKEN, by=BOSS)
    store.close()
    for file in settings.data.glob("trust.db*"):
        file.write_bytes(b"no database" * 1000) if file.name == "trust.db" else file.unlink()
    with pytest.raises(NotStored):
        store.credentials()


def test_whether_there_are_any_is_asked_without_making_a_database(tmp_path: Path, settings: Settings) -> None:
    none = Settings(data=tmp_path / "none")
    assert not has_credentials(none)
    assert not none.data.exists()
    assert not has_credentials(settings)
    store = existing_access(settings)
    store.add(TOKEN, by=BOSS)
    store.end(CredentialKind.TOKEN, "ci", NOW, by=BOSS)
    store.close()
    assert has_credentials(settings)
