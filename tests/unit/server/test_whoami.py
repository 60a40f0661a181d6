"""`GET /api/v1/access/whoami`: whoever asks is told who they are taken for, and what they may do."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from keys.rfc3339 import to_rfc3339
from tests.support.server_owner import NOW
from tests.support.server_site import GUN_A, Site
from tests.unit.server.access_site import RuledSite, rules_text
from tests.unit.server.guarded_site import Guarded, bearer
from trustserver.auth.rights import Right
from trustserver.auth.tokens import LEEWAY

WHOAMI = "/api/v1/access/whoami"
CI = rules_text(
    ("*", "*", "allow", "pull"),
    ("group:ci", "registry.example.com/team/*", "deny", "delete"),
    ("registry-token:*", "registry.example.com/team/*", "allow", "push"),
    roles=("targets/ci",),
).replace("version = 1\n", 'version = 1\n[groups]\nci = ["registry-token:alice"]\n')


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "access.toml"


def asked(site: Site, name: str | None = GUN_A, headers: Any = ()) -> dict[str, Any]:
    answer = site.get(WHOAMI if name is None else f"{WHOAMI}?name={name}", headers=dict(headers))
    assert answer.status_code == 200, answer.text
    assert answer.headers["cache-control"] == "no-store"
    document: dict[str, Any] = answer.json()
    assert set(document["rights"]) == set(Right)
    return document


def allowed(document: dict[str, Any]) -> set[str]:
    return {right for right, held in document["rights"].items() if held["allowed"]}


def test_anybody_asks_about_themselves(file: Path) -> None:
    site = RuledSite(file, CI)
    told = asked(site)
    assert [told[member] for member in ("subject", "authenticated", "expires", "name")] == [
        "anonymous",
        None,
        None,
        GUN_A,
    ]
    assert allowed(told) == {"pull"}
    assert told["rights"]["pull"]["why"] == "rule 1 allows it"
    assert told["rights"]["push"]["why"] == "no rule allows push"
    site.rule(rules_text(("*", "*", "deny", "pull")))
    assert asked(site)["rights"]["pull"] == {"allowed": False, "why": "rule 1 denies pull"}


def test_a_registry_token_is_told_what_rules_leave_of_it_and_until_when(file: Path) -> None:
    site = RuledSite(file, CI, registry=True)
    told = asked(site, headers=bearer("*", exp=int(NOW.timestamp()) + 60))
    assert (told["subject"], told["authenticated"]) == ("registry-token:alice", "registry-token")
    assert told["expires"] == to_rfc3339(NOW + timedelta(seconds=60 + LEEWAY))
    assert allowed(told) == {"pull", "push", "init", "rotate", "propose", "admin"}
    assert told["rights"]["push"]["why"] == "rule 3 allows it, for changes of targets/ci alone"
    assert told["rights"]["delete"]["why"] == "rule 2 denies delete"
    assert told["rights"]["audit"]["why"] == "the token does not allow audit"
    catalog = bearer("*", kind="registry", name="catalog")
    for name in (None, GUN_A):
        assert allowed(asked(site, name, catalog)) == {"audit"}


def test_without_a_name_only_what_counts_on_every_name_is_allowed(file: Path) -> None:
    text = rules_text(
        ("*", "*", "allow", "pull audit delete"), ("*", GUN_A, "allow", "push"), ("*", GUN_A, "deny", "delete audit")
    )
    site = RuledSite(file, text)
    assert allowed(asked(site, None)) == {"pull"}
    assert asked(site, None)["name"] is None
    assert allowed(asked(site, "registry.example.com/other")) == {"pull", "delete", "audit"}
    assert site.get("/api/v1/collections").status_code == 401


def test_where_no_rules_decide_the_same_question_has_an_answer() -> None:
    told = asked(Site())
    assert (told["subject"], allowed(told)) == ("anonymous", set(Right))
    guarded = Guarded()
    assert (asked(guarded)["subject"], allowed(asked(guarded))) == ("anonymous", set())
    assert asked(guarded)["rights"]["pull"]["why"] == "it wants a token"
    assert allowed(asked(Guarded(anonymous_pull=True))) == {"pull"}
    for actions, rights in (
        (("pull",), {"pull"}),
        (("push",), set()),  # routes want both
        (("pull", "push"), {"pull", "push", "init"}),
        (("*",), set(Right) - {"audit"}),
    ):
        token = bearer(*actions)
        assert allowed(asked(guarded, headers=token)) == rights
        assert (
            allowed(asked(guarded, "registry.example.com/other", token))
            == allowed(asked(guarded, None, token))
            == set()
        )
    told = asked(guarded, None, bearer("*", kind="registry", name="catalog"))
    assert (told["subject"], allowed(told)) == ("registry-token:alice", {"audit"})


@pytest.mark.parametrize("guarded", [False, True])
def test_a_credential_that_is_no_good_and_a_name_that_is_none_are_refused(file: Path, *, guarded: bool) -> None:
    site: Site = Guarded() if guarded else RuledSite(file, CI, registry=True)
    assert site.get(WHOAMI, headers={"Authorization": "Bearer nonsense"}).status_code == 401
    refused = site.get(f"{WHOAMI}?name=a//b")
    assert (refused.status_code, refused.json()["code"]) == (400, "invalid-name")
    assert asked(site, "alpine")["name"] == "alpine"  # Notary v1 has such names


def test_who_is_not_known_is_told_how_to_log_in(file: Path) -> None:
    """Nobody is refused, so a client would never show its login."""
    scope = f'scope="repository:{GUN_A}:*"'
    for site in (RuledSite(file, CI), RuledSite(file, CI, registry=True), Guarded(), Guarded(anonymous_pull=True)):
        assert site.get(f"{WHOAMI}?name={GUN_A}").headers["www-authenticate"].endswith(scope)
        assert 'scope="registry:catalog:*"' in site.get(WHOAMI).headers["www-authenticate"]
    assert "www-authenticate" not in Site().get(WHOAMI).headers
    assert "www-authenticate" not in Guarded().get(WHOAMI, headers=bearer("pull")).headers
