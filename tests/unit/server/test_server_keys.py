"""Keys that a token makes, seen from the server: what is stored, offered, audited and said when it fails."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest

from keys.algorithms import Algorithm, PrivateKey, PublicKey, generate
from keys.errors import KeyFileMalformed, KeysError, SignatureNotVerified, SigningFailed, TokenGone, TokenMissing
from keys.material import read_private_der, write_private_der
from keys.record import record
from keys.remote_key import Method, remote_key
from tests.support.notary_site import GUN_N, NotarySite
from tests.support.server_owner import NOW, Owner
from tests.support.server_site import GUN_A, Site
from trustdata.gun import GUN
from trustdata.roles import ONLINE, SNAPSHOT, TARGETS, TIMESTAMP
from trustserver.admin.audit import Audit
from trustserver.admin.reseal import reseal
from trustserver.app import compose
from trustserver.errors import ServerKeysUnavailable
from trustserver.repository import stored_offers
from trustserver.repository.server_keys import ServerKeys
from trustserver.settings import Settings
from trustserver.storage.key_port import ServerKeyStore
from trustserver.storage.opening import open_server_keys, open_store
from trustserver.storage.ports import KeyRecord, KeyState, MetadataStore
from trustserver.storage.sealed_keys import SealedKeys


@record
class Made:
    public: PublicKey
    wrapped: bytes


class FakeToken:
    """A token without a token: it hands out private keys, turned round, and signs as long as nothing is wrong."""

    described = "a token"

    def __init__(self, place: str = "pkcs11:serial=1") -> None:
        self.place = place
        self.failure: KeysError | None = None
        self.wrong: Exception | None = None
        self.made = 0
        self.prepared = 0

    def prepare(self, *, may_make: bool) -> None:
        assert not may_make
        self._try()
        self.prepared += 1
        self.place = "pkcs11:serial=1"
        self.failure = None

    def make(self) -> Made:
        self._try()
        self.made += 1
        private = generate(Algorithm.ECDSA_P256)
        return Made(public=private.public_key(), wrapped=write_private_der(private)[::-1])

    def open(self, wrapped: bytes, public: PublicKey) -> PrivateKey:
        token = self

        class Held:
            described = "a held key"

            def sign(self, payload: bytes, method: Method) -> bytes:
                token._try()
                assert method == "ecdsa-sha256"
                from cryptography.hazmat.primitives.asymmetric.ec import ECDSA, EllipticCurvePrivateKey
                from cryptography.hazmat.primitives.hashes import SHA256

                private = read_private_der(wrapped[::-1], place="held")
                assert isinstance(private, EllipticCurvePrivateKey)
                return private.sign(payload, ECDSA(SHA256()))

        return remote_key(public, Held())

    def _try(self) -> None:
        self.failure = self.wrong if isinstance(self.wrong, KeysError) else None
        if self.wrong is not None:
            raise self.wrong


class Ground:
    """A store in a folder, and sites whose keys are made in a fake token."""

    def __init__(self, folder: Path) -> None:
        self.settings = Settings(data=folder / "data")
        self.store: MetadataStore = open_store(self.settings)
        self.key_store: ServerKeyStore = open_server_keys(self.settings)
        self.sealer = SealedKeys(bytes(32))
        self.store.set_seal_mark(self.sealer.mark)
        self.token = FakeToken()

    def keys(self, *tokens: FakeToken, elsewhere: bool = True) -> ServerKeys:
        return ServerKeys(self.sealer, places=tokens or (self.token,), makes_elsewhere=elsewhere)

    def site(self, kind: type[Site] = Site, *, keys: ServerKeys | None = None) -> Site:
        site = kind(self.store, sealer=self.sealer)
        site.app = compose(
            store=self.store,
            sealer=self.sealer,
            settings=Settings(),
            clock=site.now,
            uptime=site.uptime,
            server_keys=keys or self.keys(),
            key_store=self.key_store,
        )
        return site

    def stored(self, gun: str = GUN_A) -> tuple[KeyRecord, ...]:
        return self.store.load(GUN(gun)).keys


@pytest.fixture
def ground(tmp_path: Path) -> Iterator[Ground]:
    made = Ground(tmp_path)
    with closing(made.store), closing(made.key_store):
        yield made


@pytest.mark.parametrize("wire", ["tuf", "notary"])
def test_keys_of_a_new_collection_are_the_tokens_from_the_beginning(ground: Ground, wire: str) -> None:
    site = ground.site(Site if wire == "tuf" else NotarySite)
    gun = GUN_A if wire == "tuf" else GUN_N
    if isinstance(site, NotarySite):
        site.begin_notary()
    else:
        site.begin()
    stored = ground.stored(gun)
    assert [(key.role, key.state, key.place) for key in stored] == [
        (role, KeyState.CURRENT, "pkcs11:serial=1") for role in sorted(ONLINE)
    ]
    for key in stored:
        opened = ground.sealer.open(key.sealed, gun=key.gun, role=key.role, keyid=key.keyid, place=key.place)
        with pytest.raises(KeyFileMalformed):
            read_private_der(opened, place="what the seal gives away")
        with pytest.raises(KeyFileMalformed):
            ground.sealer.open(key.sealed, gun=key.gun, role=key.role, keyid=key.keyid)
    site.later(days=10)
    assert site.app.renewal.round(at=site.at).renewed == 1
    again = ground.site(Site if wire == "tuf" else NotarySite)
    again.at = site.later(days=10)
    assert again.app.renewal.round(at=again.at).renewed == 1, "after a restart"


def test_no_two_collections_and_no_two_roles_get_the_same_key(ground: Ground) -> None:
    site = ground.site()
    names = [f"registry.example.com/team/{number}" for number in range(5)]
    for name in names:
        site.begin(name)
    assert len({key.keyid for name in names for key in ground.stored(name)}) == 10


def test_what_is_offered_is_the_same_until_a_day_is_over_and_counts_for_another(ground: Ground) -> None:
    site = ground.site()
    path = f"/api/v1/collections/{GUN_A}/keys/{SNAPSHOT}"
    first = site.get(path).json()["keyid"]
    assert site.get(path).json()["keyid"] == first
    assert ground.token.made == 1
    site.later(hours=23)
    assert site.get(path).json()["keyid"] == first
    owner = Owner(site.at)
    site.learn_keys(owner)
    site.later(hours=2)
    assert site.get(path).json()["keyid"] != first
    owner.at = site.at
    assert site.publish(owner.first_upload()).status_code == 200
    late, name = Owner(site.at), "example.com/late"
    site.learn_keys(late, name)
    late.at = site.later(hours=49)
    assert site.publish(late.first_upload(), name).json()["code"] == "server-key-not-used"


def test_rotating_before_the_first_publish_makes_another_key_and_both_count(ground: Ground) -> None:
    site = ground.site()
    path = f"/api/v1/collections/{GUN_A}/keys/{TIMESTAMP}"
    owner = Owner(site.at)
    site.learn_keys(owner)
    others = {
        site.request("POST", f"/v2/{GUN_A}/_trust/tuf/timestamp.key").json()["keyval"]["public"] for _ in range(3)
    }
    assert len(others) == 3
    assert site.get(path).status_code == 200
    assert site.publish(owner.first_upload()).status_code == 200, "the first of four is known still"


def test_offers_are_bounded_in_number_and_the_oldest_make_room(ground: Ground, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stored_offers, "MOST", 6)
    site = ground.site()
    owner = Owner(site.at)
    for number in range(5):
        site.learn_keys(Owner(site.at), f"example.com/{number}")
        site.later(seconds=1)
    site.learn_keys(owner)
    assert sum(ground.key_store.places().values()) == 6
    assert ground.stored("example.com/0") == ()
    assert ground.store.waiting_keys() == (), "what is offered waits for nobody"
    owner.at = site.at
    assert site.publish(owner.first_upload()).status_code == 200


def test_keys_move_to_the_token_when_an_owner_rotates_and_an_older_pending_one_does_not_hold_them_up(
    ground: Ground,
) -> None:
    sealed = ground.site(keys=ServerKeys(ground.sealer))
    owner = sealed.begin()
    path = f"/api/v1/collections/{GUN_A}/keys/{SNAPSHOT}"
    pending = sealed.request("POST", path)
    site = ground.site()
    assert site.publish({TARGETS: owner.targets()}).status_code == 200, "what is sealed goes on to sign"
    moved = site.request("POST", path)
    assert (pending.status_code, moved.status_code) == (200, 200)
    assert moved.json()["keyid"] != pending.json()["keyid"]
    assert {key.place for key in ground.stored() if key.state is KeyState.PENDING} == {"pkcs11:serial=1"}
    assert site.request("POST", path).json()["keyid"] == moved.json()["keyid"]


@pytest.mark.parametrize(
    ("wrong", "fault"),
    [
        (TokenGone(token="t", reason="it was removed"), "token-gone"),
        (TokenMissing(token="t"), "token-missing"),
        (SignatureNotVerified(key="k"), "signature-not-verified"),
    ],
)
def test_a_token_that_fails_stops_signing_by_name_and_nothing_else(
    ground: Ground, caplog: pytest.LogCaptureFixture, wrong: KeysError, fault: str
) -> None:
    caplog.set_level(logging.INFO)
    site = ground.site()
    owner = site.begin()
    ground.token.wrong = wrong
    upload = {TARGETS: owner.targets()}
    before = (ground.store.load(GUN_A).revision, ground.stored())
    for _ in range(2):
        refused = site.publish(upload)
        assert (refused.status_code, refused.json()["code"], refused.json()["fault"]) == (
            503,
            "server-keys-unavailable",
            fault,
        )
        assert refused.headers["retry-after"]
    assert (ground.store.load(GUN_A).revision, ground.stored()) == before
    site.later(hours=40)
    assert site.file("timestamp.json").status_code == 200, "what is signed is served"
    done = site.app.renewal.round(at=site.at)
    assert (done.renewed, done.failed) == (0, 1)
    assert site.get("/readyz").json() == {
        "status": "ready",
        "warnings": [f"keys of this server cannot be used: {fault}"],
    }
    assert "trust_server_keys_unavailable 1.0" in site.get("/metrics").text
    assert caplog.text.count("the server's keys cannot be used") == 1
    ground.token.wrong = None
    site.upkeep()
    assert site.get("/readyz").json() == {"status": "ready"}
    assert "the server's keys can be used again" in caplog.text
    assert site.publish(upload).status_code == 200
    site.upkeep()
    assert caplog.text.count("can be used again") == 1


def test_a_token_that_was_not_there_at_the_start_is_looked_for(ground: Ground) -> None:
    ground.site().begin()
    late = FakeToken(place="")
    late.wrong = late.failure = TokenMissing(token="t")
    site = ground.site(keys=ground.keys(late))
    site.later(hours=40)
    assert site.app.renewal.round(at=site.at).failed == 1
    assert site.get(f"/api/v1/collections/example.com/new/keys/{SNAPSHOT}").json()["fault"] == "token-missing"
    site.upkeep()
    assert late.prepared == 0
    late.wrong = None
    assert site.get(f"/api/v1/collections/example.com/new/keys/{SNAPSHOT}").status_code == 200
    assert (late.prepared, late.place) == (1, "pkcs11:serial=1")
    assert site.app.renewal.round(at=site.at).renewed == 1
    site.upkeep()
    assert late.prepared == 1


def test_a_key_of_a_token_that_is_not_named_is_said_to_be_out_of_reach(ground: Ground) -> None:
    ground.site().begin()
    site = ground.site(keys=ground.keys(FakeToken("pkcs11:serial=2")))
    site.later(hours=40)
    assert site.app.renewal.round(at=site.at).failed == 1


def test_other_errors_stay_what_they_are(ground: Ground) -> None:
    def damaged() -> None:
        with ground.keys().in_use():
            raise KeyFileMalformed(place="a", reason="b")

    def without_a_cause() -> None:
        with ground.keys().in_use():
            raise SigningFailed(key="k", reason="r")

    for raised, kind in ((damaged, KeyFileMalformed), (without_a_cause, SigningFailed)):
        with pytest.raises(kind):
            _called(raised)
    with pytest.raises(ServerKeysUnavailable), ground.keys().in_use():
        raise TokenGone(token="t", reason="r")


def _called(what: Callable[[], None]) -> None:
    what()


def test_check_opens_the_seal_of_a_tokens_key_and_a_seal_rotation_takes_it_along(ground: Ground) -> None:
    site = ground.site()
    owner = site.begin()
    both = SealedKeys(bytes([1]) * 32, older=ground.sealer)
    assert list(Audit(ground.store, ground.sealer, NOW).sealed_keys(ground.stored())) == []
    assert reseal(ground.key_store, both, served=False, at=NOW) == []
    assert ground.key_store.seals() == {both.mark: 2}
    new = SealedKeys(bytes([1]) * 32)
    assert list(Audit(ground.store, new, NOW).sealed_keys(ground.stored())) == []
    (found, _) = Audit(ground.store, ground.sealer, NOW).sealed_keys(ground.stored())
    assert found.code == "sealed-key"
    ground.sealer = new
    again = ground.site()
    again.at = site.later(hours=1)
    assert again.publish({TARGETS: owner.targets()}).status_code == 200
