"""Rules at every route: who is let in, what the others are told, and what is asked again before a change is stored."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from threading import Event
from typing import Any

import pytest

from tests.simulator.memory_store import MemoryStore
from tests.support.notary_site import GUN_N, NotarySite
from tests.support.server_owner import NOW, Owner
from tests.support.server_site import GUN_A, Site
from tests.unit.server.access_site import ROUTES, RuledSite, filled, rules_text
from tests.unit.server.guarded_site import bearer, challenge
from trustdata.gun import GUN
from trustdata.roles import SNAPSHOT, TARGETS, RoleName
from trustdata.wire.notary import NOTARY
from trustserver.api.notary_routes import Operation
from trustserver.auth.authorizer import (
    BASIC_CHALLENGE,
    Action,
    Sender,
    Subject,
    SubjectKind,
    known_name,
    stored_as,
    stored_name,
)
from trustserver.auth.opening import open_authorizer
from trustserver.auth.rights import NEEDED, Right
from trustserver.auth.rules import AccessRules, parse_rules
from trustserver.errors import StartRefused
from trustserver.repository.publish import Publishing
from trustserver.server.fast_path import HotAnswers
from trustserver.settings import load
from trustserver.storage.ports import StoredCollection

NEW = GUN("registry.example.com/team/new")
OWN_CHALLENGE = 'Bearer realm="https://test/api/v1/token",service="test",scope="'
EVERYWHERE = ("anonymous", "*", "allow")


@pytest.fixture
def store() -> MemoryStore:
    """One collection."""
    site = Site()
    site.begin()
    assert isinstance(site.store, MemoryStore)
    return site.store


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "access.toml"


# --- routes


def test_the_table_has_every_route(store: MemoryStore) -> None:
    listed = {(method, re.sub(r"\bGUN\b", "{gun}", re.sub(r"\bROLE\b", "{role}", path))) for method, path, _ in ROUTES}
    described = Site(store).get("/api/v1/openapi.json").json()["paths"]
    assert {(method.upper(), path) for path, methods in described.items() for method in methods} <= listed
    of_notary = [path for _, path, _ in ROUTES if path.startswith(("/v2/", "/_notary_server/"))]
    assert len(of_notary) == len(Operation)
    assert set(NEEDED) == set(Action)


@pytest.mark.parametrize(("method", "path", "rights"), ROUTES)
def test_each_route_wants_its_rights_and_no_other(
    store: MemoryStore, file: Path, method: str, path: str, rights: str
) -> None:
    wanted = set(rights.split(",")) & set(Right)
    names = "*" if "audit" in wanted else GUN_A
    enough = RuledSite(file, rules_text(("anonymous", names, "allow", " ".join(wanted or {"propose"}))), store)
    answered = enough.request(method, filled(path)).status_code
    assert (answered == 401) == (rights == "known")
    for missing in wanted:
        others = " ".join({right.value for right in Right} - {missing, "admin"})
        site = RuledSite(file, rules_text(("anonymous", names, "allow", others)), store)
        refusal = site.request(method, filled(path))
        assert (refusal.status_code, refusal.headers["www-authenticate"].startswith(OWN_CHALLENGE)) == (401, True)
        if path.startswith(("/tuf", "/api")):
            document = refusal.json()
            assert (document["subject"], document["right"]) == ("anonymous", missing)
            assert document["detail"].endswith(f"as anonymous: no rule allows {missing}")
        else:
            (error,) = refusal.json()["errors"]
            assert (error["subject"], error["right"]) == ("anonymous", missing)


def test_what_begins_a_collection_needs_init_besides(store: MemoryStore, file: Path) -> None:
    notary = f"/v2/{NEW}/_trust/tuf"
    wanted = [
        ("GET", f"/api/v1/collections/{NEW}/keys/snapshot"),
        ("GET", f"{notary}/snapshot.key"),
        ("POST", f"{notary}/snapshot.key"),
    ]
    for rights, status in (("push rotate", 401), ("push rotate init", 200)):
        site = RuledSite(file, rules_text(("anonymous", "*", "allow", rights)), store)
        for method, path in wanted:
            assert site.request(method, path).status_code == status, (path, rights)
    owner = Owner(NOW)
    site.learn_keys(owner, NEW)
    site.rule(rules_text(("anonymous", "*", "allow", "push")))
    first = owner.first_upload()
    refused = site.publish(first, NEW)
    assert (refused.status_code, refused.json()["right"]) == (401, "init")
    site.rule(rules_text(("anonymous", "*", "allow", "push init")))
    assert site.publish(first, NEW).status_code == 200


def test_who_has_audit_on_some_names_reads_the_record_of_these(file: Path) -> None:
    site = RuledSite(file, rules_text(("anonymous", "*", "allow", "admin")))
    site.begin()
    other = GUN_A.rpartition("/")[0] + "-other/app"
    for rules, statuses in (
        ([("anonymous", "*", "allow", "audit")], (200, 200, 200)),
        ([("anonymous", GUN_A, "allow", "audit")], (200, 401, 401)),
        ([("anonymous", GUN_A.rpartition("/")[0] + "/*", "allow", "audit")], (200, 401, 401)),
        ([("anonymous", "*", "allow", "audit"), ("anonymous", other, "deny", "audit")], (200, 401, 401)),
        ([("anonymous", "*", "allow", "audit"), ("anonymous", GUN_A, "deny", "audit")], (401, 200, 401)),
        ([("anonymous", GUN_A, "allow", "pull push init delete rotate propose")], (401, 401, 401)),
    ):
        site.rule(rules_text(*rules))
        queries = (f"?name={GUN_A}", f"?name={other}", "")
        answers = [site.get(f"/api/v1/events{query}") for query in queries]
        assert tuple(answer.status_code for answer in answers) == statuses, rules
        for query, answer in zip(queries, answers, strict=True):
            if answer.status_code == 200:
                assert len(answer.json()["events"]) == (0 if other in query else 1)
            else:
                assert answer.json()["right"] == "audit"
                asked = query.removeprefix("?name=")
                of = f"the record of {asked}" if asked else "the catalogue of all collections"
                assert f"not allowed to read {of} as anonymous" in answer.json()["detail"]
    site.rule(rules_text(("anonymous", GUN_A, "allow", "audit")))
    for path in ("/api/v1/collections", "/v2/_trust/changefeed"):
        assert site.get(path).status_code == 401, path


def test_a_registry_token_for_the_catalogue_reads_the_record_less_what_rules_deny(file: Path) -> None:
    site = RuledSite(file, rules_text(("*", "registry.example.com/secret", "deny", "audit")), registry=True)
    catalog = bearer("*", name="catalog", kind="registry")
    for query, status in ((f"?name={GUN_A}", 200), ("?name=registry.example.com/secret", 403), ("", 403)):
        assert site.get(f"/api/v1/events{query}", headers=catalog).status_code == status, query
    assert site.get(f"/api/v1/events?name={GUN_A}", headers=bearer("*")).status_code == 401


# --- what an upload really changes


def bound(*roles: str) -> str:
    return rules_text(("anonymous", "*", "allow", "pull push"), roles=roles)


def test_bound_rights_are_judged_by_what_an_upload_changes(file: Path) -> None:
    site = RuledSite(file, rules_text(("anonymous", "*", "allow", "admin")))
    owner = site.begin(signers=("ci", "alice"))
    ci, alice = (RoleName(f"targets/{name}") for name in ("ci", "alice"))
    site.rule(bound(ci, "targets/releases"))
    begun = owner.targets()
    before = site.file("timestamp.json").content
    for files, said in (
        ({alice: owner.delegation(alice, {})}, "allows changes of targets/ci and targets/releases alone, not of"),
        ({ci: (first := owner.delegation(ci, {})), TARGETS: begun}, "and targets/releases alone, not of targets;"),
    ):
        answer = site.publish(files)
        assert (answer.status_code, answer.json()["right"]) == (401, "push")
        assert said in f"{answer.json()['detail']};"
    assert site.file("timestamp.json").content == before
    assert site.publish({ci: first}).status_code == 200


class RuledNotarySite(RuledSite, NotarySite):
    """Rules for collections of both formats."""


def test_bound_rights_are_judged_by_what_the_owners_snapshot_leaves_out_or_puts_back(file: Path) -> None:
    admin, only_ci = rules_text(("anonymous", "*", "allow", "admin")), bound(RoleName("targets/ci"))
    site = RuledNotarySite(file, admin)
    owner = site.begin_notary(holds_snapshot=True)
    ci, alice = (owner.add_delegation(f"targets/{name}") for name in ("ci", "alice"))
    files = {TARGETS: owner.targets(), ci: owner.targets(ci), alice: owner.targets(alice)}
    assert site.upload({**files, SNAPSHOT: owner.snapshot()}).status_code == 200
    full = dict(owner.written[SNAPSHOT].snapshot.meta)
    less = {name: meta for name, meta in full.items() if name != "targets/alice.json"}
    for rules, meta, status in (
        (only_ci, less, 401),
        (only_ci, {**full, "targets/bob.json": full["targets/ci.json"]}, 401),
        (only_ci, full, 200),
        (admin, less, 200),
        (only_ci, full, 401),
        (only_ci, less, 200),
    ):
        site.rule(rules)
        assert site.upload({SNAPSHOT: owner.snapshot(meta=meta)}).status_code == status, (rules, meta)
    changed = owner.targets(ci)
    less["targets/ci.json"] = NOTARY.meta(owner.written[ci])
    assert site.upload({ci: changed, SNAPSHOT: owner.snapshot(meta=less)}).status_code == 200


def test_rights_that_end_while_an_upload_is_judged_store_nothing(
    store: MemoryStore, file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    site = RuledSite(file, rules_text(("anonymous", "*", "allow", "admin")))
    owner = site.begin()
    judge = Publishing.size

    def meanwhile(self: Publishing, gun: GUN, files: Any) -> int:
        site.rule(rules_text(("anonymous", "*", "allow", "pull")))
        return judge(self, gun, files)

    monkeypatch.setattr(Publishing, "size", meanwhile)
    before = site.file("timestamp.json").content
    answer = site.publish({TARGETS: owner.targets()})
    assert (answer.status_code, answer.json()["right"]) == (401, "push")
    assert site.file("timestamp.json").content == before


@pytest.mark.parametrize(
    ("method", "path", "right"),
    [
        ("DELETE", f"/api/v1/collections/{GUN_A}", "delete"),
        ("DELETE", f"/v2/{GUN_N}/_trust/tuf/", "delete"),
        ("POST", f"/api/v1/collections/{GUN_A}/keys/timestamp", "rotate"),
        ("POST", f"/v2/{GUN_N}/_trust/tuf/timestamp.key", "rotate"),
        ("GET", f"/v2/{GUN_N}/_trust/tuf/snapshot.key", "push"),
    ],
)
def test_rights_that_end_before_a_deletion_or_a_key_is_stored_store_nothing(
    file: Path, monkeypatch: pytest.MonkeyPatch, method: str, path: str, right: str
) -> None:
    site = RuledNotarySite(file, rules_text(("anonymous", "*", "allow", "admin")))
    site.begin()
    site.begin_notary(holds_snapshot=True)
    load = site.store.load
    before = [load(GUN(gun)) for gun in (GUN_A, GUN_N)]

    def meanwhile(gun: GUN, **options: Any) -> StoredCollection:
        site.rule(rules_text(("anonymous", "*", "allow", "pull")))
        return load(gun, **options)

    monkeypatch.setattr(site.store, "load", meanwhile)
    answer = site.request(method, path)
    assert (answer.status_code, right in answer.text) == (401, True)
    assert [load(GUN(gun)) for gun in (GUN_A, GUN_N)] == before


# --- registry tokens beside rules


def test_a_registry_token_allows_what_it_says_less_what_rules_take(store: MemoryStore, file: Path) -> None:
    site = RuledSite(file, rules_text(("registry-token:alice", "*", "deny", "push")), store, registry=True)
    path = f"/tuf/{GUN_A}/metadata/timestamp.json"
    keys = f"/api/v1/collections/{GUN_A}/keys/snapshot"
    assert site.get(path, headers=bearer("pull")).status_code == 200
    assert site.get(path, headers=bearer("pull")).status_code == 200  # known by now
    lacking = site.get(path, headers=bearer("push"))
    assert (lacking.status_code, lacking.headers["www-authenticate"]) == (
        401,
        challenge(f"repository:{GUN_A}:pull", "insufficient_scope"),
    )
    denied = site.get(keys, headers=bearer("pull", "push"))
    assert (denied.status_code, "www-authenticate" in denied.headers) == (403, False)
    assert (denied.json()["subject"], denied.json()["right"]) == ("registry-token:alice", "push")
    assert denied.json()["detail"].endswith("rule 1 denies push; who runs the server grants it")
    assert site.get(keys, headers=bearer("pull", "push", sub="bob")).status_code == 200
    site.rule(rules_text(("registry-token:*", "*", "allow", "pull")))
    assert site.get(path, headers=bearer("push")).status_code == 401  # no rule adds to a token
    assert site.get(path).headers["www-authenticate"] == challenge(f"repository:{GUN_A}:pull")


def test_all_names_are_for_tokens_of_the_catalogue(store: MemoryStore, file: Path) -> None:
    site = RuledSite(file, rules_text(("token:x", "*", "allow", "pull")), store, registry=True)
    for path in ("/api/v1/collections", "/v2/_trust/changefeed"):
        all_names = bearer("*", kind="registry", name="catalog")
        assert site.get(path, headers=all_names).status_code in {200, 400}  # Notary's wants parameters
        assert site.get(path, headers=bearer("*")).status_code == 401
    assert site.get("/v2/", headers=bearer()).status_code == 200
    assert site.get("/v2/").status_code == 401


def test_on_notary_s_routes_a_known_subject_gets_401_with_the_sentence(store: MemoryStore, file: Path) -> None:
    """Of any other status its clients say that the server cannot be reached."""
    site = RuledSite(file, rules_text(("registry-token:alice", "*", "deny", "delete")), store, registry=True)
    refused = site.request("DELETE", f"/v2/{GUN_A}/_trust/tuf/", headers=bearer("*"))
    assert (refused.status_code, refused.headers["www-authenticate"]) == (401, BASIC_CHALLENGE)
    [error] = refused.json()["errors"]
    assert error["code"] == "UNAUTHORIZED"
    assert "as registry-token:alice: rule 1 denies delete" in error["message"]
    assert error["detail"] == [{"Type": "repository", "Class": "", "Name": GUN_A, "Action": "*"}]


# --- credentials


@pytest.mark.parametrize("value", ["Bearer x", "Bearer", "Basic YTpi", "Negotiate x", "", "Basic", "nonsense"])
def test_a_credential_that_is_no_good_is_not_taken_for_none(store: MemoryStore, file: Path, value: str) -> None:
    site = RuledSite(file, rules_text((*EVERYWHERE, "pull push"), ("token:x", "*", "deny", "pull")), store)
    path = f"/tuf/{GUN_A}/metadata/timestamp.json"
    assert site.get(path).status_code == 200
    assert site.get(path, headers={"Authorization": value}).status_code == 401
    twice = [("Authorization", "Basic YTpi"), ("Authorization", value)]
    assert "there is more than one Authorization header" in site.get(path, headers=twice).text


# --- while it runs


def test_open_reads_are_answered_in_front_as_long_as_rules_say_so(store: MemoryStore, file: Path) -> None:
    site = RuledSite(file, rules_text((*EVERYWHERE, "pull")), store)
    path = f"/tuf/{GUN_A}/metadata/timestamp.json"
    front = HotAnswers(site.app.asgi, may_hold=lambda _: True)
    request = f"GET {path} HTTP/1.1\r\nHost: x\r\n\r\n".encode()
    assert site.get(path, headers={"Authorization": "Basic YTpi"}).status_code == 200
    assert front.answer(request) is not None
    assert site.app.asgi.may_be_stored(path.encode())
    assert "public" in site.file("1.root.json").headers["cache-control"]
    site.rule(rules_text((*EVERYWHERE, "pull"), ("user:mallory", GUN_A, "deny", "pull")))
    assert front.answer(request) is None
    assert not site.app.asgi.may_be_stored(path.encode())
    assert "private" in site.file("1.root.json").headers["cache-control"]
    assert site.get(path).status_code == 200
    site.rule(rules_text(("user:a", "*", "allow", "pull")))
    assert site.get(path).status_code == 401


def test_a_broken_new_file_changes_nothing_and_is_told(
    store: MemoryStore, file: Path, caplog: pytest.LogCaptureFixture
) -> None:
    site = RuledSite(file, rules_text((*EVERYWHERE, "pull")), store)

    def outdated() -> tuple[list[str], str]:
        ready: dict[str, Any] = site.get("/readyz").json()
        [line] = re.findall(r"^trust_server_access_outdated (.*)$", site.get("/metrics").text, re.MULTILINE)
        return ready.get("warnings", []), line

    assert outdated() == ([], "0.0")
    for broken in ("version = 1\n[[rule]]\n", "", "version = 1\nx = 1"):
        site.rule(broken)
        [warning], line = outdated()
        assert warning == "the rules on access are older than their file", "anybody may read it: no path, no content"
        assert line == "1.0"
        assert site.file("timestamp.json").status_code == 200
    assert "the rules stay as they were: the new file does not count" in caplog.text
    file.unlink()
    site.source.refresh()
    assert outdated()[0] == ["the rules on access are older than their file"]
    assert f"{file}: is not there" in vars(caplog.records[-1])["reason"]
    site.rule(rules_text(("user:a", "*", "allow", "pull")))
    assert outdated() == ([], "0.0")
    assert site.file("timestamp.json").status_code == 401


def test_a_file_is_read_again_only_when_it_has_changed(store: MemoryStore, file: Path) -> None:
    site = RuledSite(file, rules_text((*EVERYWHERE, "pull")), store)
    before = site.source.state
    site.source.refresh()
    site.source.refresh(unchanged_too=True)
    assert site.source.state is before
    site.write(rules_text((*EVERYWHERE, "pull push")))
    site.source.refresh()
    assert site.source.state is not before


def test_what_followed_from_older_rules_is_not_remembered_for_newer_ones(store: MemoryStore, file: Path) -> None:
    """Between the moment in which rules are there and the one in which what followed from others is forgotten."""
    site = RuledSite(file, rules_text((*EVERYWHERE, "pull"), ("user:a", "*", "deny", "pull")), store)
    authorizer = site.app.authorizer
    assert authorizer.may_read_now(Sender(), GUN_A)
    site.source.state = replace(site.source.state, rules=parse_rules(rules_text(("*", "*", "deny", "pull")), path=""))
    assert not authorizer.may_read_now(Sender(), GUN_A)


def test_the_thread_that_looks_is_woken_by_a_signal_and_ends(store: MemoryStore, file: Path) -> None:
    site = RuledSite(file, rules_text((*EVERYWHERE, "pull")), store)
    seen = Event()
    site.source.on_change(seen.set)
    site.app.authorizer.start()
    site.write(rules_text(("user:a", "*", "allow", "pull")))
    site.app.look_again()
    assert seen.wait(timeout=30)
    assert site.file("timestamp.json").status_code == 401
    site.app.close()  # it waits for the thread
    assert site.source._thread is not None
    assert not site.source._thread.is_alive()


def test_the_thread_goes_on_whatever_happens_to_one_look(
    store: MemoryStore, file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    site = RuledSite(file, rules_text((*EVERYWHERE, "pull")), store)

    def broken(**_: object) -> None:
        raise MemoryError

    monkeypatch.setattr(site.source, "refresh", broken)
    site.source._look(asked=False)
    assert site.get("/readyz").json()["warnings"] == ["access is not looked at"]


def test_a_file_that_could_not_be_looked_at_is_read_again(
    store: MemoryStore, file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever went wrong: else the next look would find nothing new, and older rules would count without a word."""
    site = RuledSite(file, rules_text((*EVERYWHERE, "pull")), store)

    def broken(_: Path) -> AccessRules:
        raise MemoryError

    with monkeypatch.context() as patch:
        patch.setattr("trustserver.auth.access_source.load_rules", broken)
        site.write(rules_text(("user:a", "*", "allow", "pull")))
        for _ in range(2):
            site.source._look(asked=False)
            assert site.get("/readyz").json()["warnings"] == ["access is not looked at"]
    site.source._look(asked=False)
    assert "warnings" not in site.get("/readyz").json()
    assert site.file("timestamp.json").status_code == 401


# --- start


def test_beyond_loopback_anonymous_may_read_and_nothing_else(file: Path) -> None:
    def opened(listen: str, rights: str) -> None:
        file.write_text(rules_text(("*", "*", "allow", rights)))
        file.chmod(0o600)
        settings = load({"listen": listen, "access": file}, {}).settings
        open_authorizer(settings).close()

    opened("127.0.0.1:0", "push")
    opened("0.0.0.0:0", "pull")
    for rights in ("push", "admin", "*", "audit"):
        with pytest.raises(StartRefused, match="rule 1: lets anonymous clients do more than read"):
            opened("0.0.0.0:0", rights)


# --- names that are stored


@pytest.mark.parametrize(
    ("kind", "name", "stored"),
    [
        (SubjectKind.REGISTRY_TOKEN, "alice", "alice"),
        (SubjectKind.API_TOKEN, "alice", "token:alice"),
        (SubjectKind.PASSWORD, "alice", "user:alice"),
        (SubjectKind.REGISTRY_TOKEN, "user:alice", "registry-token:user:alice"),
        (SubjectKind.REGISTRY_TOKEN, "anonymous", "registry-token:anonymous"),
        (SubjectKind.ANONYMOUS, "anonymous", "anonymous"),
    ],
)
def test_two_kinds_with_one_name_are_stored_as_two(kind: SubjectKind, name: str, stored: str) -> None:
    subject = Subject(name=name, kind=kind)
    assert (stored_name(subject), stored_as(str(subject))) == (stored, stored)
    assert known_name(subject) == ("" if kind is SubjectKind.ANONYMOUS else stored)
