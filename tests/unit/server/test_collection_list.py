"""GET /api/v1/collections, and the operator's list: the same rows, in pages, for those who may know all names."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.support.server_site import GUN_A, Site
from tests.unit.server.guarded_site import Guarded, bearer, challenge
from trustdata.gun import GUN
from trustdata.roles import TARGETS
from trustserver.admin import commands
from trustserver.admin.commands import list_collections
from trustserver.settings import GivenSettings
from trustserver.storage.database import migrate, open_engine
from trustserver.storage.sql import SqlStore


def names(site: Site, query: str = "") -> tuple[list[str], str | None]:
    answer = site.get(f"/api/v1/collections{query}")
    assert answer.status_code == 200, answer.text
    page = answer.json()
    return [row["gun"] for row in page["collections"]], page["next"]


def test_a_row_says_what_an_operator_asks() -> None:
    site = Site()
    owner = site.begin()
    owner.tags = {"1.0": "ab" * 32, "2.0": "cd" * 32}
    assert site.publish({TARGETS: owner.targets()}).status_code == 200
    (row,) = site.get("/api/v1/collections").json()["collections"]
    assert (row["gun"], row["format"], row["status"], row["tags"]) == (GUN_A, "tuf-1.0", "live", 2)
    assert row["published_at"] == f"{site.now():%Y-%m-%dT%H:%M:%SZ}"
    assert row["published_by"] is None
    assert row["expires_role"] == "timestamp"
    assert row["bytes"] > 1000
    assert row["deleted"] is None


def test_pages_go_on_after_the_last_name() -> None:
    site = Site()
    for number in range(5):
        site.begin(f"{GUN_A}/n{number}")
    every = [f"{GUN_A}/n{number}" for number in range(5)]
    assert names(site) == (every, None)
    first, after = names(site, "?limit=2")
    assert (first, after) == (every[:2], every[1])
    assert names(site, f"?limit=2&after={every[1]}") == (every[2:4], every[3])
    assert names(site, f"?limit=2&after={every[3]}") == (every[4:], None)


@pytest.mark.parametrize("limit", ["0", "1001", "-1", "x", "1e3", "99999", "%D9%A1"])
def test_a_page_is_bounded(limit: str) -> None:
    answer = Site().get(f"/api/v1/collections?limit={limit}")
    assert answer.status_code == 400
    assert answer.json()["code"] == "bad-request"


def test_the_operator_s_list_is_one_document(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(commands, "_BATCH", 2)
    engine = open_engine(f"sqlite:///{tmp_path}/trust.db")
    migrate(engine)
    store = SqlStore(engine)
    site = Site(store)
    for number in range(5):
        site.begin(GUN(f"{GUN_A}/n{number}"))
    rows = site.get("/api/v1/collections").json()["collections"]
    store.close()
    list_collections(GivenSettings(data=tmp_path), {}, None, as_json=True)
    assert json.loads(capsys.readouterr().out) == {"collections": rows}


def test_an_empty_server_has_an_empty_list(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    engine = open_engine(f"sqlite:///{tmp_path}/trust.db")
    migrate(engine)
    engine.dispose()
    list_collections(GivenSettings(data=tmp_path), {}, None, as_json=True)
    assert json.loads(capsys.readouterr().out) == {"collections": []}


def test_who_may_read_one_collection_may_not_list_all() -> None:
    site = Guarded()
    for headers in ({}, bearer("pull", "push", "*")):
        answer = site.get("/api/v1/collections", headers=headers)
        assert answer.status_code == 401
        assert challenge("registry:catalog:*")[:-1] in answer.headers["www-authenticate"]
    assert site.get("/api/v1/collections", headers=bearer("*", name="catalog", kind="registry")).status_code == 200
