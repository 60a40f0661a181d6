"""A CI job logs in with the token of its platform, and may do what rules allow to its workload."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from datetime import timedelta
from itertools import count
from pathlib import Path

import pytest

from tests.simulator.workload_issuers import RULES, documents, github, shown
from tests.support.server_site import GUN_A, Site
from tests.unit.server.access_site import rules_text
from trustserver.auth.access_authorizer import AccessAuthorizer
from trustserver.auth.access_source import AccessSource
from trustserver.auth.exchanges import LIFETIME, Exchanges
from trustserver.auth.issuer_keys import IssuerKeys
from trustserver.auth.open_authorizer import OpenAuthorizer
from trustserver.settings import Settings
from trustserver.storage.opening import open_exchanges, open_store

EXCHANGE = "/api/v1/access/exchange"
LISTED = f"/api/v1/collections/{GUN_A}"
JOBS = rules_text(("ci:app", "registry.example.com/team/*", "allow", "pull")) + RULES


class JobSite(Site):
    """A site whose rules name workloads, and one collection."""

    def __init__(self, folder: Path, text: str) -> None:
        self.rules_file = folder / "access.toml"
        self.write(text)
        settings = Settings(data=folder / "data")
        open_store(settings).close()
        self.exchanged = open_exchanges(settings)
        self.source = AccessSource(self.rules_file, seconds=count().__next__)
        asked = documents()
        exchanges = Exchanges(
            self.exchanged,
            self.source.workloads,
            clock=self.now,
            keys_of=lambda issuer: IssuerKeys(issuer, get=asked),
        )
        authorizer = AccessAuthorizer(
            self.source,
            otherwise=OpenAuthorizer(),
            registry=None,
            clock=self.now,
            seconds=lambda: 0.0,
            exchanges=exchanges,
        )
        begun = Site()
        begun.begin()
        super().__init__(begun.store, authorizer=authorizer)

    def write(self, text: str) -> None:
        self.rules_file.write_text(text)
        self.rules_file.chmod(0o600)

    def exchange(self, token: bytes) -> str:
        answer = self.request("POST", EXCHANGE, headers={"Authorization": f"Bearer {token.decode()}"})
        assert answer.status_code == 200, answer.text
        assert answer.headers["cache-control"] == "no-store"
        assert answer.json()["subject"] == "ci:app"
        return str(answer.json()["token"])

    def read(self, token: str) -> int:
        return self.get(LISTED, headers={"Authorization": f"Bearer {token}"}).status_code


@pytest.fixture
def site(tmp_path: Path) -> Iterator[JobSite]:
    made = JobSite(tmp_path, JOBS)
    yield made
    made.app.close()
    made.exchanged.close()


def test_a_job_may_do_what_the_rules_allow_to_it_for_a_quarter_of_an_hour(site: JobSite) -> None:
    token = site.exchange(shown(github()))
    assert site.read(token) == 200
    refused = site.request("DELETE", LISTED, headers={"Authorization": f"Bearer {token}"})
    assert (refused.status_code, refused.json()["subject"], refused.json()["right"]) == (403, "ci:app", "delete")
    site.at += LIFETIME
    assert site.read(token) == 401


def test_rules_and_workloads_that_change_count_at_once(site: JobSite) -> None:
    token = site.exchange(shown(github()))
    site.write(rules_text(("ci:app", "registry.example.com/other/*", "allow", "pull")) + RULES)
    site.source.refresh()
    assert site.read(token) == 403
    site.write(JOBS.replace('name = "app"', 'name = "other"'))
    site.source.refresh()
    assert site.read(token) == 401


def test_each_token_once_and_a_reason_for_every_refusal(site: JobSite) -> None:
    token = shown(github())
    site.exchange(token)
    for shown_again, said in (
        (token, "shown before"),
        (shown(github(repository_id="124")), "fit no workload"),
        (b"nonsense", "not a JSON Web Token"),
    ):
        refused = site.request("POST", EXCHANGE, headers={"Authorization": f"Bearer {shown_again.decode()}"})
        assert (refused.status_code, refused.json()["code"]) == (403, "token-refused")
        assert said in refused.json()["detail"]
        assert "www-authenticate" not in refused.headers
    basic = base64.b64encode(b"app:" + token).decode()
    assert site.request("POST", EXCHANGE, headers={"Authorization": f"Basic {basic}"}).status_code == 403
    assert site.request("POST", EXCHANGE).status_code == 400


def test_an_exchanged_token_is_no_password_and_gives_no_session(site: JobSite) -> None:
    token = site.exchange(shown(github()))
    basic = {"Authorization": "Basic " + base64.b64encode(f"app:{token}".encode()).decode()}
    assert site.get(LISTED, headers=basic).status_code == 401
    for headers in (basic, {"Authorization": f"Bearer {token}"}):
        assert site.get("/api/v1/token", headers=headers).status_code == 401


def test_the_token_of_the_platform_itself_is_no_credential(site: JobSite) -> None:
    assert site.read(shown(github()).decode()) == 401


def test_without_rules_there_is_nothing_to_exchange() -> None:
    refused = Site().request("POST", EXCHANGE, headers={"Authorization": f"Bearer {shown(github()).decode()}"})
    assert (refused.status_code, refused.json()["code"]) == (403, "token-refused")
    assert "no file of access rules" in refused.json()["detail"]


def test_a_rule_about_a_job_that_nobody_has_named_is_odd(site: JobSite) -> None:
    assert not site.source.state.rules.warnings
    site.write(rules_text(("ci:app ci:apple", "*", "allow", "pull"), ("ci:*", "*", "allow", "pull")) + RULES)
    site.source.refresh()
    assert list(site.source.state.rules.warnings) == ["no [[workload]] is ci:apple"]


def test_a_later_token_of_the_same_job_is_another_one(site: JobSite) -> None:
    first = site.exchange(shown(github()))
    site.at += timedelta(minutes=1)
    second = site.exchange(shown(github(jti="job-2")))
    assert first != second
    assert (site.read(first), site.read(second)) == (200, 200)
