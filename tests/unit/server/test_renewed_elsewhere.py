"""A read that finds a timestamp due, when somebody else has just renewed it: another process, or a round of upkeep that
has stored the new one and not told the response cache yet.
"""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.support.notary_site import GUN_N, NotarySite
from tests.support.server_site import GUN_A
from trustdata.gun import GUN
from trustdata.roles import TIMESTAMP
from trustdata.wire import WireFormat
from trustdata.wire.notary import NOTARY
from trustdata.wire.tuf import TUF
from trustserver.repository.renewal import Renewal

NOTARY_PATH = f"/v2/{GUN_N}/_trust/tuf/timestamp.json"
TUF_PATH = f"/tuf/{GUN_A}/metadata/timestamp.json"
BOTH = pytest.mark.parametrize(
    ("gun", "path", "wire"), [(GUN_N, NOTARY_PATH, NOTARY), (GUN_A, TUF_PATH, TUF)], ids=["notary-v1", "tuf"]
)


def begun(gun: str) -> NotarySite:
    site = NotarySite()
    if gun == GUN_N:
        site.begin_notary()
    else:
        site.begin()
    return site


def version(site: NotarySite, path: str, wire: WireFormat) -> int:
    return wire.parse(TIMESTAMP, site.get(path).raise_for_status().content).version


@BOTH
def test_what_the_cache_keeps_is_not_sent_when_the_store_has_a_newer_one(gun: str, path: str, wire: WireFormat) -> None:
    site = begun(gun)
    assert version(site, path, wire) == 1
    other = NotarySite(site.store)
    other.at = site.later(days=400)
    assert other.app.renewal.round(at=other.at).renewed == 1
    assert version(site, path, wire) == 2


@BOTH
def test_an_answer_that_the_reader_itself_still_holds_is_not_shared_again(
    gun: str, path: str, wire: WireFormat, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = begun(gun)
    site, other = NotarySite(first.store), NotarySite(first.store)  # just started: nothing is in their caches
    site.at = other.at = first.later(days=400)
    renew: Callable[..., bool] = Renewal.renew

    def meanwhile(renewal: Renewal, name: GUN, **options: object) -> bool:
        monkeypatch.setattr(Renewal, "renew", renew)
        assert other.app.renewal.round(at=other.at).renewed == 1
        return renew(renewal, name, **options)

    monkeypatch.setattr(Renewal, "renew", meanwhile)
    assert version(site, path, wire) == 2
    assert Renewal.renew is renew, "it was asked to renew"
