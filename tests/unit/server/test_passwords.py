"""Passwords of the server: what they cost, who may guess, and how they are added, taken over and removed."""

from __future__ import annotations

import base64
import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import bcrypt
import pytest

from keys.extras import how_to_install
from tests.support.cli_runner import CliRunner
from tests.support.server_owner import NOW
from tests.support.server_site import GUN_A, Site
from tests.unit.server.access_site import RuledSite, rules_text
from tests.unit.server.guarded_site import Guarded
from trustdata.errors import InvalidName, NotStored
from trustserver.__main__ import app
from trustserver.auth import password_checks, passwords
from trustserver.auth.api_tokens import make_token
from trustserver.auth.authorizer import BASIC_CHALLENGE
from trustserver.auth.passwords import NOBODYS, check_password, hash_password, is_bcrypt
from trustserver.errors import StartRefused
from trustserver.settings import Settings
from trustserver.storage.access_port import AccessStore, CredentialKind, StoredCredential
from trustserver.storage.events import NOBODY
from trustserver.storage.opening import open_access, open_store

FILE = f"/tuf/{GUN_A}/metadata/timestamp.json"
SECRET = "correct horse"
CHALLENGE = f'Bearer realm="https://test/api/v1/token",service="test",scope="repository:{GUN_A}:pull"'
NO_RULES = rules_text(("user:nobody", "*", "allow", "pull"))


def bcrypt_of(password: str, kind: str = "2y") -> str:
    return bcrypt.hashpw(password.encode(), bcrypt.gensalt(4)).decode().replace("$2b$", f"${kind}$")


def basic(user: str, password: str = SECRET) -> dict[str, str]:
    return {"Authorization": "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()}


@pytest.fixture
def cheap(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What was checked against; a password fits if what is stored is `fits PASSWORD`."""
    checked: list[str] = []

    def check(password: bytes, stored: str) -> bool:
        checked.append(stored)
        return stored == f"fits {password.decode()}"

    monkeypatch.setattr(password_checks, "check_password", check)
    return checked


# --- hashes


def test_a_password_is_known_by_its_hash_and_by_nothing_else() -> None:
    stored = hash_password(SECRET.encode())
    assert stored.startswith("$argon2id$v=19$m=19456,t=2,p=1$")
    assert stored != hash_password(SECRET.encode())
    assert check_password(SECRET.encode(), stored)
    assert not check_password(b"another one", stored)
    assert not check_password(b"", NOBODYS)
    assert NOBODYS.startswith("$argon2id$v=19$m=19456,t=2,p=1$")  # it costs what others cost


@pytest.mark.parametrize("kind", ["2b", "2y"])
def test_bcrypt_hashes_are_checked_as_who_made_them_did(kind: str) -> None:
    stored = bcrypt_of("a" * 72, kind)
    assert is_bcrypt(stored)
    assert check_password(b"a" * 80, stored)
    assert not check_password(b"a" * 71, stored)
    assert not check_password(b"\0" * 72, stored)


@pytest.mark.parametrize("stored", ["$2a$10$" + "a" * 53, "$2y$15$" + "a" * 53, "$apr1$x$y", "{SHA}x", "", "plain"])
def test_other_hashes_are_none_of_bcrypt_s(stored: str) -> None:
    assert not is_bcrypt(stored)


# --- at the server


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


def user(name: str, secret: str, *rights: str) -> StoredCredential:
    return StoredCredential(
        kind=CredentialKind.USER,
        name=name,
        secret=secret,
        created=NOW,
        rights=rights,
        names=("registry.example.com/team/*",) if rights else (),
    )


def test_who_has_a_password_logs_in_with_it_until_it_ends(
    site: RuledSite, store: AccessStore, cheap: list[str], caplog: pytest.LogCaptureFixture
) -> None:
    store.put([user("alice", f"fits {SECRET}", "pull"), user("bob", f"fits {SECRET}")], by=NOBODY)
    site.source.refresh()
    assert site.get("/v2/", headers=basic("alice")).status_code == 200
    assert [site.get(FILE, headers=basic("alice")).status_code for _ in range(3)] == [200] * 3
    refused = site.get(FILE, headers=basic("bob"))
    assert (refused.status_code, refused.json()["subject"]) == (403, "user:bob")
    assert len(cheap) == 2
    for headers in (basic("alice", "guess"), basic("Alice"), basic("nobody")):
        wrong = site.get(FILE, headers=headers)
        assert (wrong.status_code, wrong.headers["www-authenticate"]) == (401, CHALLENGE)
        assert wrong.json()["detail"].endswith("the name or the password is wrong")
        assert SECRET not in wrong.text + caplog.text
    assert cheap[2:] == [f"fits {SECRET}", NOBODYS, NOBODYS]
    store.end(CredentialKind.USER, "alice", NOW, by=NOBODY)
    site.source.refresh()
    assert site.get(FILE, headers=basic("alice")).status_code == 401


@pytest.mark.parametrize("name", ["ct_" + "a" * 72, "ct_cut-off", "cs_1.user.61.00"])
def test_a_token_in_the_place_of_the_name_is_neither_checked_nor_logged(
    site: RuledSite, cheap: list[str], caplog: pytest.LogCaptureFixture, name: str
) -> None:
    for path in (FILE, "/v2/", "/api/v1/token"):
        assert site.get(path, headers=basic(name, "")).status_code == 401
    logged = [vars(each) for each in caplog.records if each.name.startswith("trustserver")]
    assert (cheap, name in str(logged)) == ([], False)


def test_a_bcrypt_hash_is_replaced_after_the_first_good_login(
    site: RuledSite, store: AccessStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    store.put([user("alice", bcrypt_of(SECRET), "pull")], by=NOBODY)
    site.source.refresh()
    assert site.get(FILE, headers=basic("alice", "guess")).status_code == 401
    monkeypatch.setattr(store, "change_secret", lambda *_, **__: (_ for _ in ()).throw(NotStored(reason="full")))
    assert site.get(FILE, headers=basic("alice")).status_code == 200
    assert is_bcrypt(store.credentials()[0].secret)
    monkeypatch.undo()
    site.later(minutes=6)
    assert site.get(FILE, headers=basic("alice")).status_code == 200
    [stored] = store.credentials()
    assert stored.secret.startswith("$argon2id$")
    assert replace(stored, secret="") == user("alice", "", "pull")
    site.source.refresh()
    assert site.get(FILE, headers=basic("alice")).status_code == 200


# --- sessions


def test_a_session_outlives_the_better_hash_of_its_password_and_no_other_one(
    site: RuledSite, store: AccessStore
) -> None:
    store.put([user("alice", bcrypt_of(SECRET), "pull")], by=NOBODY)
    site.source.refresh()
    first = session(site, **basic("alice"))
    site.source.refresh()
    assert not is_bcrypt(store.credentials()[0].secret)
    for held in (first, session(site, **basic("alice"))):
        assert site.get(FILE, headers=held).status_code == 200
    store.put([user("alice", bcrypt_of(SECRET), "pull")], by=NOBODY)
    site.source.refresh()
    assert site.get(FILE, headers=first).status_code == 401


def session(site: RuledSite, **headers: str) -> dict[str, str]:
    """What a client of registries makes of a challenge."""
    answer = site.get("/api/v1/token?service=test&scope=anything", headers=headers)
    assert (answer.status_code, answer.headers["cache-control"]) == (200, "no-store")
    document = answer.json()
    assert document["token"] == document["access_token"]
    assert document["expires_in"] == 300
    return {"Authorization": f"Bearer {document['token']}"}


@pytest.fixture
def people(site: RuledSite, store: AccessStore, cheap: list[str]) -> RuledSite:
    store.put([user("alice", f"fits {SECRET}", "pull")], by=NOBODY)
    site.source.refresh()
    return site


def test_a_login_is_exchanged_for_a_session_that_says_who_somebody_is(
    people: RuledSite, store: AccessStore, cheap: list[str]
) -> None:
    token = make_token(store, "ci", at=NOW, expires=None, rights=["pull"], names=["*"], by=NOBODY)
    people.source.refresh()
    for login in (basic("alice"), basic("ci", str(token)), {"Authorization": f"Bearer {token}"}):
        held = session(people, **login)
        assert people.get(FILE, headers=held).status_code == 200
        assert people.get("/v2/", headers=held).status_code == 200
        assert people.request("DELETE", f"/api/v1/collections/{GUN_A}", headers=held).status_code == 403
    assert len(cheap) == 1
    nobody = session(people)
    assert people.get("/v2/", headers=nobody).status_code == 200
    assert people.get(FILE, headers=nobody).status_code == 401
    people.rule(rules_text(("anonymous", "*", "allow", "pull"), ("user:x", "*", "deny", "pull")))
    assert people.get(FILE, headers=nobody).status_code == 200
    again = people.get("/api/v1/token", headers=nobody)
    assert (again.status_code, "a session is not renewed by itself" in again.text) == (401, True)


def test_a_session_ends_with_time_with_its_password_and_with_its_user(people: RuledSite, store: AccessStore) -> None:
    def status(headers: dict[str, str]) -> int:
        return people.get(FILE, headers=headers).status_code

    held = session(people, **basic("alice"))
    people.later(seconds=299)
    assert status(held) == 200
    people.later(seconds=1)
    assert "its session is over" in people.get(FILE, headers=held).json()["detail"]
    held = session(people, **basic("alice"))
    store.put([user("alice", "fits another one", "pull")], by=NOBODY)
    people.source.refresh()
    assert status(held) == 401
    held = session(people, **basic("alice", "another one"))
    store.end(CredentialKind.USER, "alice", NOW, by=NOBODY)
    people.source.refresh()
    assert status(held) == 401


@pytest.mark.parametrize("change", ["password", "end", "rules"])
@pytest.mark.parametrize("path", [FILE, "/api/v1/events", "/api/v1/access/whoami", "/api/v1/token"])
def test_what_is_taken_away_while_a_password_is_checked_counts_at_once(
    people: RuledSite, store: AccessStore, monkeypatch: pytest.MonkeyPatch, path: str, change: str
) -> None:
    def meanwhile(*_: object) -> bool:
        if change == "password":
            store.put([user("alice", "fits another one", "pull")], by=NOBODY)
        elif change == "end":
            store.end(CredentialKind.USER, "alice", NOW, by=NOBODY)
        people.rule(rules_text(("user:alice", "*", "deny" if change == "rules" else "allow", "pull audit")))
        return True

    people.rule(rules_text(("user:alice", "*", "allow", "pull audit")))
    monkeypatch.setattr(password_checks, "check_password", meanwhile)
    answer = people.get(path, headers=basic("alice"))
    if change != "rules":
        assert (answer.status_code, "www-authenticate" in answer.headers) == (401, True)
    elif path.endswith("whoami"):
        assert not answer.json()["rights"]["pull"]["allowed"]
    else:
        assert answer.status_code == (200 if path.endswith("token") else 403)


def test_nobody_makes_a_session_but_the_server(people: RuledSite) -> None:
    held = session(people, **basic("alice"))["Authorization"].removeprefix("Bearer ")
    until, kind, name, mac = held.removeprefix("cs_").split(".")
    other = b"bob".hex()
    nobodys = session(people)["Authorization"].removeprefix("Bearer ")
    for forged in (
        f"cs_{int(until) + 1}.{kind}.{name}.{mac}",
        f"cs_{until}.token.{name}.{mac}",
        f"cs_{until}.{kind}.{other}.{mac}",
        f"cs_{until}.anonymous.{name}.{mac}",
        f"cs_{until}.certificate.{name}.{mac}",
        f"cs_{until}.{kind}.f.{mac}",
        f"cs_{until}.{kind}.ff.{mac}",
        f"cs_{until}.{kind}.{name}.{'0' * 64}",
        f"cs_{until}.{kind}.{name}.",
        nobodys.replace("anonymous", "user"),
        "cs_",
    ):
        assert people.get(FILE, headers={"Authorization": f"Bearer {forged}"}).status_code == 401, forged


def test_a_bad_login_gets_no_session_and_an_open_server_gives_none(people: RuledSite) -> None:
    wrong = people.get("/api/v1/token", headers=basic("alice", "guess"))
    assert (wrong.status_code, wrong.headers["www-authenticate"]) == (401, BASIC_CHALLENGE)
    assert Site().get("/api/v1/token").status_code == 404
    assert Guarded().get("/api/v1/token").status_code == 404


@pytest.mark.parametrize("host", ["", "a b", 'x"', "x/y", "x\\"])
def test_no_realm_is_made_of_a_host_that_is_none(people: RuledSite, host: str) -> None:
    refused = people.get(FILE, headers={"Host": host})
    assert (refused.status_code, refused.headers["www-authenticate"]) == (401, BASIC_CHALLENGE)
    for good in ("trust.example.com:4443", "[::1]:4443"):
        challenge = people.get(FILE, headers={"Host": good}).headers["www-authenticate"]
        assert challenge.startswith(f'Bearer realm="https://{good}/api/v1/token",service="{good}"')


# --- commands


def run(*arguments: str, data: Path, stdin: str = "") -> tuple[int, str]:
    result = CliRunner().invoke(app, ["access", "user", *arguments, "--data", str(data)], input=stdin)
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result.exit_code, result.output


def test_users_are_added_changed_listed_and_removed(data: Path, store: AccessStore, tmp_path: Path) -> None:
    file = tmp_path / "password"
    file.write_text(f"{SECRET}\r\nmore\n")
    rights = ("--rights", "pull", "--names", "*")
    assert run("add", "alice", *rights, data=data, stdin=f"{SECRET}\n")[1].startswith("user:alice is added;")
    [first] = store.credentials()
    assert check_password(SECRET.encode(), first.secret)
    assert run("add", "alice", "--password-file", str(file), data=data)[1].startswith("user:alice has another password")
    [second] = store.credentials()
    assert check_password(SECRET.encode(), second.secret)
    assert (first.secret != second.secret, second.rights, second.names) == (True, ("pull",), ("*",))
    assert run("list", data=data) == (0, "user:alice  pull on *\n")
    assert run("remove", "user:alice", data=data)[0] == 0
    assert run("remove", "alice", data=data) == (
        1,
        "trust-server: there is no user 'alice' that counts\n  next: trust-server access user list\n",
    )
    assert re.fullmatch(r"user:alice  pull on \*  revoked \S+\n", run("list", data=data)[1])
    assert run("add", "user:alice", data=data, stdin=f"{SECRET}\n")[1].startswith("user:alice is added;")
    assert run("list", data=data) == (0, "user:alice  what rules allow\n")
    other = ("--rights", "push", "--names", "*", "--roles", "ci")
    assert run("add", "alice", *other, data=data, stdin=f"{SECRET}\n")[1].splitlines() == [
        (
            "warning: --roles: ci is the name of one role, and of none that trust makes; the role of a signer ci is "
            "targets/ci"
        ),
        "user:alice has another password, and push on * for ci; a running server knows it within two seconds",
    ]


@pytest.mark.parametrize("password", ["short", "x" * 513])
def test_passwords_have_bounds(data: Path, password: str) -> None:
    with pytest.raises(StartRefused, match="must have 8 characters at least, and 512 bytes at most"):
        run("add", "alice", data=data, stdin=f"{password}\n")
    with pytest.raises(StartRefused, match="is missing: it is the first line of standard input"):
        run("add", "alice", data=data, stdin="")
    with pytest.raises(StartRefused, match="cannot be read: Is a directory"):
        run("add", "alice", "--password-file", str(data), data=data)
    with pytest.raises(StartRefused, match="begins as API tokens do"):
        run("add", "alice", data=data, stdin="ct_of-my-own\n")
    with pytest.raises(InvalidName):
        run("add", "a:b", data=data, stdin=f"{SECRET}\n")


def test_an_htpasswd_file_is_taken_as_a_whole_or_not_at_all(data: Path, store: AccessStore, tmp_path: Path) -> None:
    file = tmp_path / "htpasswd"
    good = f"# people\n\nalice:{bcrypt_of(SECRET)}\nbob:{bcrypt_of('x', '2b')}\n"
    for wrong, said in (
        ("carol:{SHA}x\n", "line 5: is no bcrypt hash"),
        ("carol\n", "line 5: is no bcrypt hash"),
        (f"bob:{bcrypt_of('y')}\n", "line 5: names a user for the second time"),
    ):
        file.write_text(good + wrong)
        with pytest.raises(StartRefused, match=re.escape(said)):
            run("import", str(file), data=data)
    for content, said in ((b"\n", "has no users"), (b"\xff", "is not UTF-8")):
        file.write_bytes(content)
        with pytest.raises(StartRefused, match=said):
            run("import", str(file), data=data)
    with pytest.raises(StartRefused, match="cannot be read"):
        run("import", str(tmp_path / "none"), data=data)
    assert store.credentials() == []
    file.write_text(good)
    assert run("import", str(file), "--rights", "pull", "--names", "*", data=data)[1].startswith("2 users added;")
    assert [(each.name, each.rights) for each in store.credentials()] == [("alice", ("pull",)), ("bob", ("pull",))]
    with pytest.raises(StartRefused, match="there are users of these names already: alice, bob"):
        run("import", str(file), data=data)


def test_a_file_that_others_may_change_is_not_believed(data: Path, tmp_path: Path) -> None:
    file = tmp_path / "secret"
    file.write_text(f"alice:{bcrypt_of(SECRET)}\n")
    file.chmod(0o666)
    for command in (("add", "alice", "--password-file", str(file)), ("import", str(file))):
        with pytest.raises(StartRefused, match="may be changed by others; run chmod go-w"):
            run(*command, data=data)


def test_without_the_package_nothing_is_taken_that_could_not_be_checked(
    data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(__import__("sys").modules, "bcrypt", None)
    with pytest.raises(StartRefused, match=re.escape(how_to_install("htpasswd"))):
        run("import", "trust.htpasswd", data=data)
    assert passwords.check_password(SECRET.encode(), hash_password(SECRET.encode()))
