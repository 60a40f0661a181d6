"""API tokens: how they are made, what they let their holder do, and how they end."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import re
import sqlite3
import time
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from tests.support.cli_runner import CliRunner
from tests.support.server_owner import NOW
from tests.support.server_site import GUN_A, Site
from tests.unit.server.access_site import ROUTES, RuledSite, filled, rules_text
from trustdata.errors import InvalidName, NotStored
from trustserver.__main__ import app
from trustserver.auth.access_authorizer import REFUSED_TOKENS
from trustserver.auth.api_tokens import make_first_admin, make_token, new_token, token_digest
from trustserver.auth.authorizer import Action, Sender, Subject, SubjectKind
from trustserver.auth.opening import open_authorizer
from trustserver.auth.rights import Right
from trustserver.errors import Forbidden, StartRefused
from trustserver.process import kernel_clock
from trustserver.settings import Settings, load
from trustserver.settings_check import check_for_serving
from trustserver.storage.access_port import AccessStore, CredentialKind, StoredCredential
from trustserver.storage.events import NOBODY
from trustserver.storage.opening import open_access, open_store

TEAM = "registry.example.com/team/*"
FILE = f"/tuf/{GUN_A}/metadata/timestamp.json"
KEYS = f"/api/v1/collections/{GUN_A}/keys/snapshot"
NO_RULES = rules_text(("user:nobody", "*", "allow", "pull"))


@pytest.fixture
def data(tmp_path: Path) -> Path:
    folder = tmp_path / "data"
    open_store(Settings(data=folder)).close()
    return folder


@pytest.fixture
def store(data: Path) -> Iterator[AccessStore]:
    opened = open_access(Settings(data=data))
    yield opened
    opened.close()


@pytest.fixture
def site(tmp_path: Path, store: AccessStore) -> RuledSite:
    begun = Site()
    begun.begin()
    return RuledSite(tmp_path / "access.toml", NO_RULES, begun.store, credentials=store)


def given(store: AccessStore, name: str, *rights: str, names: str = TEAM, **others: Any) -> str:
    token = make_token(
        store, name, at=NOW, rights=rights, names=[names] if rights else [], **{"expires": None, "by": NOBODY, **others}
    )
    assert token is not None
    return token


def bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


def basic(user: str, password: str) -> dict[str, str]:
    return {"Authorization": "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()}


# --- how they look


def test_a_token_is_recognised_and_a_mistyped_one_is_told_from_it() -> None:
    token = new_token()
    assert re.fullmatch(r"ct_[0-9a-f]{72}", token)
    assert token != new_token()
    digest = token_digest(token.encode())
    assert digest is not None
    assert digest not in token
    swapped = token[:-1] + ("0" if token[-1] != "0" else "1")
    for wrong in (swapped, token[:-1], token.upper(), token + "0", f" {token}", ""):
        assert token_digest(wrong.encode()) is None


# --- what they let their holder do


def test_strangers_at_one_time_cause_few_looks_for_new_tokens(
    site: RuledSite, store: AccessStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    looks: list[int] = []
    changes = store.changes

    def counted() -> int:
        looks.append(changes())
        return looks[-1]

    monkeypatch.setattr(store, "changes", counted)

    async def strangers() -> None:
        await asyncio.gather(*(site.source.look_before_refusing() for _ in range(50)))

    asyncio.run(strangers())
    assert len(looks) == 1
    asyncio.run(strangers())
    assert len(looks) == 2, "a look that has ended says nothing of what came after it"
    assert site.get(FILE, headers=bearer(new_token())).status_code == 401
    token = given(store, "ci", "pull")
    looks.clear()
    for _ in range(3):
        assert site.get(FILE, headers=bearer(token)).status_code == 200
    assert len(looks) == 1, "who is known causes none"


def test_refused_tokens_of_one_address_are_bounded_and_good_ones_go_on(
    site: RuledSite, store: AccessStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    looks: list[None] = []
    look = site.source.look_before_refusing

    async def counted() -> None:
        looks.append(None)
        await look()

    token = given(store, "ci", "pull")
    assert site.get(FILE, headers=bearer(token)).status_code == 200
    monkeypatch.setattr(site.source, "look_before_refusing", counted)
    answers = [site.get(FILE, headers=bearer(new_token())) for _ in range(REFUSED_TOKENS + 5)]
    assert [each.status_code for each in answers] == [401] * REFUSED_TOKENS + [503] * 5
    assert (answers[-1].headers["Retry-After"], answers[-1].json()["code"]) == ("60", "overloaded")
    assert len(looks) == REFUSED_TOKENS
    assert site.get(FILE, headers=bearer(token)).status_code == 200
    new = given(store, "new", "pull")
    assert site.get(FILE, headers=bearer(new)).status_code == 503
    site.source.refresh()
    assert site.get(FILE, headers=bearer(new)).status_code == 200, "a token that is known by now"


def test_it_brings_its_rights_along_and_rules_add_and_take(site: RuledSite, store: AccessStore) -> None:
    token = given(store, "ci", "pull", "push")
    assert site.get(FILE, headers=bearer(token)).status_code == 200, "it is known as soon as it is used"
    site.source.refresh()
    assert site.get(FILE, headers=bearer(token)).status_code == 200
    assert site.get(KEYS, headers=bearer(token)).status_code == 200
    refused = site.request("DELETE", f"/api/v1/collections/{GUN_A}", headers=bearer(token))
    assert (refused.status_code, refused.json()["subject"], refused.json()["right"]) == (403, "token:ci", "delete")
    site.rule(rules_text(("token:ci", "*", "deny", "push")))
    assert "rule 1 denies push" in site.get(KEYS, headers=bearer(token)).json()["detail"]
    site.rule(rules_text(("token:ci", "*", "allow", "delete")))
    assert site.request("DELETE", f"/api/v1/collections/{GUN_A}", headers=bearer(token)).status_code == 200
    tombstone = site.get(f"/api/v1/collections/{GUN_A}", headers=bearer(token)).json()
    assert tombstone["subject"] == "token:ci"


@pytest.mark.parametrize(("method", "path", "rights"), [row for row in ROUTES if row[2]])
def test_a_token_may_do_at_each_route_what_its_rights_say(
    site: RuledSite, store: AccessStore, method: str, path: str, rights: str
) -> None:
    """Known as it is, it gets 403; on Notary's routes 401, since of any other its clients say something untrue."""
    wanted = set(rights.split(",")) & set(Right)
    for missing in wanted:
        token = given(store, f"no-{missing}", *(set(Right) - {missing, "admin"}), names="*")
        site.source.refresh()
        answer = site.request(method, filled(path), headers=bearer(token))
        assert answer.status_code == (401 if path.startswith("/v2/") else 403)
        assert f"as token:no-{missing}: no rule allows {missing}" in answer.text
    token = given(store, "enough", *(wanted or {"propose"}), names="*")
    site.source.refresh()
    assert site.request(method, filled(path), headers=bearer(token)).status_code not in {401, 403}


def test_without_rights_of_its_own_only_rules_count(site: RuledSite, store: AccessStore) -> None:
    token = given(store, "ci")
    site.source.refresh()
    assert site.get(FILE, headers=bearer(token)).status_code == 403
    site.rule(rules_text(("token:*", TEAM, "allow", "pull")))
    assert site.get(FILE, headers=bearer(token)).status_code == 200


def test_it_stands_in_the_place_of_a_password_under_its_own_name(site: RuledSite, store: AccessStore) -> None:
    token = given(store, "ci", "pull")
    site.source.refresh()
    assert site.get(FILE, headers=basic("ci", token)).status_code == 200
    assert site.get("/v2/", headers=basic("ci", token)).status_code == 200
    for user in ("CI", "alice", ""):
        assert site.get(FILE, headers=basic(user, token)).status_code == 401


def test_it_ends_when_it_expires_or_is_revoked(site: RuledSite, store: AccessStore) -> None:
    short, revoked = given(store, "short", "pull", expires=NOW + timedelta(days=1)), given(store, "old", "pull")
    site.source.refresh()
    assert [site.get(FILE, headers=bearer(token)).status_code for token in (short, revoked)] == [200, 200]
    assert store.end(CredentialKind.TOKEN, "old", NOW, by=NOBODY)
    site.source.refresh()
    site.later(days=1)
    for token, why in ((short, "has expired on 2026-11-02"), (revoked, "was revoked on 2026-11-01")):
        refused = site.get(FILE, headers=bearer(token))
        assert (refused.status_code, why in refused.json()["detail"]) == (401, True)
    with pytest.raises(Forbidden, match=r"token:old was revoked on"):
        site.app.authorizer.check_change(Subject(name="old", kind=SubjectKind.API_TOKEN), Action.PUBLISH, GUN_A)


def test_what_is_wrong_is_told_and_the_token_is_not(
    site: RuledSite, store: AccessStore, caplog: pytest.LogCaptureFixture
) -> None:
    unknown = new_token()
    for token, why in ((unknown, "is not known here"), (unknown[:-1], "is mistyped or cut off")):
        with caplog.at_level("INFO"):
            refused = site.get(FILE, headers=bearer(token))
        assert (refused.status_code, why in refused.json()["detail"]) == (401, True)
        assert token not in refused.text + caplog.text
    assert "API token refused" in caplog.text


def test_a_token_seen_before_costs_less_than_a_third_of_a_millisecond(site: RuledSite, store: AccessStore) -> None:
    for number in range(100):
        given(store, f"other-{number}", "pull")
    token = given(store, "ci", "pull")
    site.source.refresh()
    known = Sender(headers=[(b"authorization", f"Bearer {token}".encode())])
    unknown = Sender(headers=[(b"authorization", f"Bearer {new_token()}".encode())])
    began = time.process_time()
    for _ in range(1000):
        assert site.app.authorizer.may_read_now(known, GUN_A)
        assert not site.app.authorizer.may_read_now(unknown, GUN_A)
    assert (time.process_time() - began) / 2000 < 0.0003


# --- open until the first credential


def test_a_server_that_is_open_closes_with_its_first_token_for_good(data: Path, store: AccessStore) -> None:
    authorizer = open_authorizer(Settings(data=data), store=store, clock=lambda: NOW)
    site = Site(authorizer=authorizer)
    site.begin()
    assert authorizer.reads_are_open
    token = given(store, "ci", "pull")
    source = authorizer._source  # type: ignore[attr-defined]
    source.refresh()
    assert not authorizer.reads_are_open
    assert (site.get(FILE).status_code, site.get(FILE, headers=bearer(token)).status_code) == (401, 200)
    store.end(CredentialKind.TOKEN, "ci", NOW, by=NOBODY)
    source.refresh()
    assert site.get(FILE).status_code == 401
    with pytest.raises(StartRefused, match="lets everybody in, and there are tokens or users"):
        open_authorizer(Settings(data=data, insecure_open=True), store=store)


def test_the_first_user_closes_an_open_server_as_well(data: Path, store: AccessStore) -> None:
    authorizer = open_authorizer(Settings(data=data), store=store, clock=lambda: NOW)
    store.put([StoredCredential(kind=CredentialKind.USER, name="alice", secret="x", created=NOW)], by=NOBODY)
    assert Site(authorizer=authorizer).get(FILE).status_code == 404
    authorizer._source.refresh()  # type: ignore[attr-defined]
    assert Site(authorizer=authorizer).get(FILE).status_code == 401


def test_a_database_that_fails_leaves_what_was_known_and_is_told(site: RuledSite, store: AccessStore) -> None:
    token = given(store, "ci", "pull")
    site.source.refresh()

    def fails() -> int:
        raise NotStored(reason="disk I/O error")

    site.source._store.changes, working = fails, site.source._store.changes  # type: ignore[union-attr,method-assign]
    site.source.refresh()
    site.source.refresh()
    assert site.get("/readyz").json()["warnings"] == ["credentials are not read again"]
    assert site.get(FILE, headers=bearer(token)).status_code == 200
    site.source._store.changes = working  # type: ignore[union-attr,method-assign]
    site.source.refresh()
    assert "warnings" not in site.get("/readyz").json()


def test_rights_that_a_newer_program_has_given_are_none_here(site: RuledSite, store: AccessStore) -> None:
    token = given(store, "ci", "teleport")
    site.source.refresh()
    assert site.get(FILE, headers=bearer(token)).status_code == 403


def by_hand(data: Path, statement: str) -> None:
    with contextlib.closing(sqlite3.connect(data / "trust.db")) as database:
        database.execute(statement)
        database.commit()


def test_an_entry_that_cannot_be_read_keeps_no_other_from_ending(
    site: RuledSite, store: AccessStore, data: Path
) -> None:
    odd, stolen, good = (given(store, name, "pull") for name in ("odd", "stolen", "good"))
    site.source.refresh()
    by_hand(data, "UPDATE credential SET created = 'soon' WHERE name = 'odd'")
    assert store.end(CredentialKind.TOKEN, "stolen", NOW, by=NOBODY)
    site.source.refresh()
    asked = [site.get(FILE, headers=bearer(token)).status_code for token in (odd, stolen, good)]
    assert asked == [401, 401, 200]
    assert site.get("/readyz").json()["warnings"] == ["credentials that cannot be read do not count"]
    assert "the database's entry of token:odd cannot be read" in run("token", "list", data=data)[1]


def test_a_server_whose_only_credential_cannot_be_read_is_not_open(data: Path, store: AccessStore) -> None:
    given(store, "ci", "admin", names="*")
    by_hand(data, "UPDATE credential SET kind = 'robot'")
    authorizer = open_authorizer(Settings(data=data), store=store, clock=lambda: NOW)
    assert Site(authorizer=authorizer).get(FILE).status_code == 401


# --- commands


def run(*arguments: str, data: Path) -> tuple[int, str]:
    result = CliRunner().invoke(app, ["access", *arguments, "--data", str(data)])
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result.exit_code, result.output


def test_tokens_are_made_listed_explained_and_revoked(data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kernel_clock, "now", lambda: NOW)
    made = (
        "token",
        "add",
        "ci",
        "--rights",
        "pull, push",
        "--names",
        TEAM,
        "--roles",
        "targets/ci",
        "--expires",
        "90d",
    )
    status, output = run(*made, data=data)
    assert status == 0
    token, told = output.splitlines()
    assert told == "token:ci expires 2027-01-30T12:00:00Z; it is shown this once"
    assert run("token", "add", "root", "--expires", "never", data=data)[0] == 0
    listed = run("token", "list", data=data)[1]
    assert listed.splitlines() == [
        f"token:ci  pull,push on {TEAM} for targets/ci  expires 2027-01-30T12:00:00Z",
        "token:root  what rules allow  does not expire",
    ]
    assert token not in listed
    explained = run("explain", "token:ci", GUN_A, data=data)[1].splitlines()
    assert explained[2] == "push     allowed  what the token brings along allows it, for changes of targets/ci alone"
    assert run("token", "revoke", "ci", data=data)[0] == 0
    assert run("token", "revoke", "ci", data=data)[0] == 1
    assert "revoked 2026-11-01T12:00:00Z" in run("token", "list", data=data)[1]
    with pytest.raises(StartRefused, match="there is or was a token of this name"):
        run(*made, data=data)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--expires", "soon"), "is no span of time"),
        (("--expires", "0d"), "must be from 1s to 36500d, or never"),
        (("--expires", "1d", "--rights", "pull"), "belong together"),
        (("--expires", "1d", "--rights", "read", "--names", "*"), "there is no right read"),
        (("--expires", "1d", "--rights", "pull", "--names", "team/*"), "matches no collection"),
        (("--expires", "1d", "--roles", "targets"), "give --rights and --names"),
        (("--expires", "1d", "--rights", "admin", "--names", "*", "--roles", "targets"), "beside them stand push"),
    ],
)
def test_what_makes_no_token(data: Path, arguments: tuple[str, ...], said: str) -> None:
    with pytest.raises(StartRefused, match=re.escape(said)):
        run("token", "add", "ci", *arguments, data=data)
    assert run("token", "list", data=data) == (0, "")


@pytest.mark.parametrize("name", ["", "a b", "a:b", "é", "a/b", "a" * 65, "ct_ci", "cs_ci"])
def test_names_of_tokens_are_plain(data: Path, name: str) -> None:
    with pytest.raises(InvalidName):
        run("token", "add", name, "--expires", "1d", data=data)


# --- the first admin


def test_the_first_admin_is_made_once(store: AccessStore) -> None:
    token = make_first_admin(store, NOW, by=NOBODY)
    assert token is not None
    assert make_first_admin(store, NOW, by=NOBODY) is None
    store.end(CredentialKind.TOKEN, "admin", NOW, by=NOBODY)
    assert make_first_admin(store, NOW, by=NOBODY) is not None
    assert [each.name for each in store.credentials()] == ["admin", "admin-2"]


def test_with_a_credential_the_server_leaves_loopback(data: Path) -> None:
    settings = load({"listen": "0.0.0.0:0"}, {}).settings
    with pytest.raises(StartRefused, match="--init-admin makes the first"):
        check_for_serving(settings)
    check_for_serving(settings, has_credentials=True)
