"""A credential that ends, or becomes somebody else's, in the middle of a request: nothing is stored for it."""

from __future__ import annotations

import base64
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TypeAlias

import pytest

from tests.simulator.workload_issuers import RULES, documents, github, shown
from tests.support.notary_site import GUN_N, NotarySite
from tests.support.server_owner import NOW
from tests.support.server_site import GUN_A
from tests.unit.server.access_site import RuledSite, rules_text
from trustdata.gun import GUN
from trustserver.auth.issuer_keys import IssuerKeys
from trustserver.auth.passwords import hash_password
from trustserver.settings import Settings
from trustserver.storage.access_port import AccessStore, CredentialKind, StoredCredential
from trustserver.storage.events import NOBODY
from trustserver.storage.exchange_port import ExchangeStore
from trustserver.storage.opening import open_access, open_exchanges, open_store
from trustserver.storage.ports import StoredCollection

EXCHANGE = "/api/v1/access/exchange"
RULED = rules_text(("ci:app user:alice", "*", "allow", "push init rotate")) + RULES
ROUTES = (f"/api/v1/collections/{GUN_A}/keys/timestamp", f"/v2/{GUN_N}/_trust/tuf/timestamp.key")


class ChangingSite(RuledSite, NotarySite):
    """A collection of each format, a user and a CI job who may do everything to both. `users`: where she is."""

    users: AccessStore


Change: TypeAlias = Callable[[ChangingSite], None]


@pytest.fixture
def data(tmp_path: Path) -> Path:
    folder = tmp_path / "data"
    open_store(Settings(data=folder)).close()
    return folder


@pytest.fixture
def credentials(data: Path) -> Iterator[AccessStore]:
    opened = open_access(Settings(data=data))
    yield opened
    opened.close()


@pytest.fixture
def exchanged(data: Path) -> Iterator[ExchangeStore]:
    opened = open_exchanges(Settings(data=data))
    yield opened
    opened.close()


@pytest.fixture
def site(tmp_path: Path, credentials: AccessStore, exchanged: ExchangeStore) -> ChangingSite:
    begun = NotarySite()
    begun.begin()
    begun.begin_notary()
    put(credentials, "the old one")
    asked = documents()
    made = ChangingSite(
        tmp_path / "access.toml",
        RULED,
        begun.store,
        credentials=credentials,
        exchanged=exchanged,
        keys_of=lambda issuer: IssuerKeys(issuer, get=asked),
    )
    made.users = credentials
    return made


def put(credentials: AccessStore, password: str) -> None:
    alice = StoredCredential(
        kind=CredentialKind.USER, name="alice", secret=hash_password(password.encode()), created=NOW
    )
    credentials.put([alice], by=NOBODY)


def as_alice(_: ChangingSite) -> str:
    return "Basic " + base64.b64encode(b"alice:the old one").decode()


def as_job(site: ChangingSite) -> str:
    answer = site.request("POST", EXCHANGE, headers={"Authorization": f"Bearer {shown(github()).decode()}"})
    return f"Bearer {answer.raise_for_status().json()['token']}"


def as_alice_with_a_session(site: ChangingSite) -> str:
    return f"Bearer {site.get('/api/v1/token', headers={'Authorization': as_alice(site)}).json()['token']}"


def other_password(site: ChangingSite) -> None:
    put(site.users, "the new one")


def removed_and_added(site: ChangingSite) -> None:
    assert site.users.end(CredentialKind.USER, "alice", NOW, by=NOBODY)
    put(site.users, "the new one")


def other_claims(site: ChangingSite) -> None:
    site.write(RULED.replace('repository_id = "123" }', 'repository_id = "456" }'))


def other_issuer(site: ChangingSite) -> None:
    site.write(RULED.replace("https://token.actions.githubusercontent.com", "https://ghe.example.com"))


@pytest.mark.parametrize("path", ROUTES)
@pytest.mark.parametrize(
    ("who", "change"),
    [
        (as_alice, other_password),
        (as_alice, removed_and_added),
        (as_alice_with_a_session, other_password),
        (as_job, other_claims),
        (as_job, other_issuer),
    ],
)
def test_who_is_somebody_else_by_now_stores_nothing(
    site: ChangingSite, monkeypatch: pytest.MonkeyPatch, path: str, who: Callable[[ChangingSite], str], change: Change
) -> None:
    shows = {"Authorization": who(site)}
    load = site.store.load
    before = [load(GUN(gun)) for gun in (GUN_A, GUN_N)]

    def meanwhile(gun: GUN, **options: Any) -> StoredCollection:
        change(site)
        site.source.refresh(unchanged_too=True)
        return load(gun, **options)

    with monkeypatch.context() as patched:
        patched.setattr(site.store, "load", meanwhile)
        assert site.request("POST", path, headers=shows).status_code == 401
    assert [load(GUN(gun)) for gun in (GUN_A, GUN_N)] == before


@pytest.mark.parametrize("path", ROUTES)
@pytest.mark.parametrize("who", [as_alice, as_alice_with_a_session, as_job])
def test_who_is_the_same_is_not_kept_from_it(site: ChangingSite, path: str, who: Callable[[ChangingSite], str]) -> None:
    assert site.request("POST", path, headers={"Authorization": who(site)}).status_code == 200
