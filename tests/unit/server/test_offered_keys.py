"""Keys for names without data: derived, and not stored before the first publish."""

from __future__ import annotations

from datetime import timedelta

import pytest

from keys.algorithms import DERIVED_BYTES, derive_p256
from tests.simulator.memory_store import MemoryStore
from tests.support.notary_owner import NotaryOwner
from tests.support.notary_site import GUN_N, NotarySite
from tests.support.server_owner import Owner
from tests.support.server_site import GUN_A, Site
from trustdata.gun import GUN
from trustdata.roles import ONLINE, SNAPSHOT, TIMESTAMP
from trustserver.repository.offered_keys import SALT_LIFETIME
from trustserver.storage.ports import KeyState, MetadataStore, Status
from trustserver.storage.sealed_keys import SealedKeys

KEYS = f"/api/v1/collections/{GUN_A}/keys"


def keyid(site: Site, role: str = SNAPSHOT, gun: str = GUN_A) -> str:
    answer = site.get(f"/api/v1/collections/{gun}/keys/{role}").raise_for_status()
    return str(answer.json()["keyid"])


def stored(store: MetadataStore, *names: str) -> int:
    """How much there is that could have been stored: names, keys and salts."""
    keys = sum(len(store.load(GUN(name)).keys) for name in names)
    return len(store.collections()) + keys + len(store.offer_salts())


def test_asking_for_the_keys_of_many_names_stores_one_salt_in_all() -> None:
    site = Site()
    names = [f"example.com/{number}" for number in range(50)]
    for name in names:
        for role in ONLINE:
            keyid(site, role, name)
            site.request("POST", f"/v2/{name}/_trust/tuf/{role}.key")
    assert stored(site.store, *names) == 1
    owner = site.begin()
    assert site.publish({"targets": owner.targets()}).status_code == 200


def test_a_key_is_the_same_for_a_day_and_counts_for_another() -> None:
    site = Site()
    first = keyid(site)
    site.later(hours=23)
    assert keyid(site) == first
    owner = Owner(site.at)
    site.learn_keys(owner)
    site.later(hours=2)
    assert keyid(site) != first
    owner.at = site.at
    assert site.publish(owner.first_upload()).status_code == 200, "given an hour before its day was over"


def test_a_publish_may_name_keys_that_were_given_on_two_days() -> None:
    site = Site()
    owner = Owner(site.at)
    owner.learn(SNAPSHOT, site.get(f"{KEYS}/{SNAPSHOT}").json())
    site.later(hours=25)
    owner.learn(TIMESTAMP, site.get(f"{KEYS}/{TIMESTAMP}").json())
    owner.at = site.at
    assert site.publish(owner.first_upload()).status_code == 200
    assert {key.state for key in site.store.load(GUN_A).keys} == {KeyState.CURRENT}


def test_a_key_that_was_given_long_ago_counts_no_more() -> None:
    site = Site()
    owner = Owner(site.at)
    site.learn_keys(owner)
    owner.at = site.later(hours=49)
    refused = site.publish(owner.first_upload())
    assert (refused.status_code, refused.json()["code"]) == (409, "server-key-not-used")
    again = Owner(site.at)
    site.learn_keys(again)
    assert site.publish(again.first_upload()).status_code == 200


def test_a_salt_is_forgotten_after_two_days() -> None:
    site = Site()
    keyid(site)
    first = site.store.offer_salts()[0]
    site.later(hours=25)
    keyid(site)
    assert first in site.store.offer_salts()
    site.later(hours=25)
    keyid(site)
    salts = site.store.offer_salts()
    assert first not in salts
    assert len(salts) == 2


def test_a_clock_that_was_ahead_leaves_no_salt_for_ever() -> None:
    site = Site()
    site.jump(minutes=50)
    ahead = keyid(site)
    site.jump(minutes=-50)
    assert keyid(site) == ahead
    site.later(hours=30)
    assert keyid(site) != ahead


@pytest.mark.parametrize("change", ["gun", "role", "seal key", "salt", "revision"])
def test_everything_that_a_key_is_derived_from_counts(change: str) -> None:
    given = {"salt": b"s" * 32, "gun": GUN_A, "role": SNAPSHOT, "revision": 0}
    other = {"salt": b"t" * 32, "gun": GUN("example.com/b"), "role": TIMESTAMP, "revision": 1}
    changed = {**given, change: other[change]} if change in given else given
    sealer = SealedKeys(bytes([1]) * 32 if change == "seal key" else bytes(32))
    one = SealedKeys(bytes(32)).derive(**given)  # type: ignore[arg-type]
    assert one == SealedKeys(bytes(32)).derive(**given)  # type: ignore[arg-type]
    assert sealer.derive(**changed) != one  # type: ignore[arg-type]
    assert [len(each) for each in one] == [DERIVED_BYTES]


def test_a_deleted_and_released_name_gets_other_keys() -> None:
    site = NotarySite()
    before = site.begin_notary()
    site.request("DELETE", f"/v2/{GUN_N}/_trust/tuf/")
    assert site.store.load(GUN(GUN_N)).status is Status.RELEASED
    after = site.begin_notary()
    for role in ONLINE:
        assert before.online[role].keyid != after.online[role].keyid


def test_another_server_on_the_same_data_knows_what_was_offered() -> None:
    """After a restart, that is."""
    store = MemoryStore()
    owner = NotaryOwner(GUN_N)
    NotarySite(store).learn_notary_keys(owner)
    assert NotarySite(store).upload(owner.first_upload()).status_code == 200


def test_a_published_key_is_sealed_and_no_longer_derived() -> None:
    site = Site()
    site.begin()
    kept = keyid(site, TIMESTAMP)
    site.store.replace_offer_salts([])
    site.later(days=3)
    assert site.app.renewal.round(at=site.at).renewed == 1
    assert keyid(site, TIMESTAMP) == kept


def test_a_secret_that_is_too_short_makes_no_key() -> None:
    with pytest.raises(ValueError, match="48 bytes"):
        derive_p256(bytes(DERIVED_BYTES - 1))
    assert timedelta(hours=24) <= SALT_LIFETIME
