"""Publishing over HTTP: what is stored, what is refused with which status and code, and what moves the revision."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

import pytest
from securesystemslib.signer import CryptoSigner, SSlibKey
from securesystemslib.signer._utils import compute_default_keyid

from tests.simulator.memory_store import MemoryStore
from tests.support.server_owner import NOW, Owner
from tests.support.server_site import GUN_A, Site
from trustdata.editing.signing import sign
from trustdata.errors import PublishRefused
from trustdata.gun import NAME_MEMBER
from trustdata.model import DelegatedRole, Delegations, TargetFile
from trustdata.roles import ROOT, SNAPSHOT, TARGETS, TIMESTAMP, RoleName
from trustdata.wire.tuf import TUF
from trustserver.errors import RevisionMoved
from trustserver.repository import judging
from trustserver.storage.ports import KeyState, Publication


def test_the_first_publish_issues_snapshot_and_timestamp_over_the_uploaded_bytes() -> None:
    site = Site()
    owner = Owner()
    site.learn_keys(owner)
    files = owner.first_upload()
    answer = site.publish(files)
    assert answer.status_code == 200
    assert answer.json() == {
        "gun": GUN_A,
        "format": "tuf-1.0",
        "revision": 1,
        "versions": {"root": 1, "snapshot": 1, "targets": 1, "timestamp": 1},
    }
    assert site.file("1.root.json").content == files[ROOT]
    assert site.file("1.targets.json").content == files[TARGETS]
    root = TUF.parse(ROOT, files[ROOT]).root
    timestamp = TUF.parse(TIMESTAMP, site.file("timestamp.json").content)
    snapshot = TUF.parse(SNAPSHOT, site.file("1.snapshot.json").content)
    root.verify_delegate(TIMESTAMP, timestamp.payload, dict(timestamp.signatures))
    root.verify_delegate(SNAPSHOT, snapshot.payload, dict(snapshot.signatures))
    assert timestamp.expires == NOW + timedelta(days=3)
    assert snapshot.expires == NOW + timedelta(days=14)
    assert snapshot.snapshot.meta["targets.json"].version == 1


def test_a_root_names_the_collection_that_it_is_sent_to() -> None:
    """As a first root and as a next one; without a name it is taken until one has a name."""
    site = Site()
    owner = Owner()
    site.learn_keys(owner)
    targets = owner.targets()

    def answer(version: int, name: str | None, **files: bytes) -> tuple[int, str]:
        owner.versions[ROOT] = version - 1
        root = owner.root(unrecognized_fields={} if name is None else {NAME_MEMBER: name})
        found = site.publish({ROOT: root, **files})
        return found.status_code, found.json().get("code", "")

    stored, refused = (200, ""), (422, "root-of-another-name")
    assert answer(1, "registry.example.com/another", targets=targets) == refused
    assert answer(1, None, targets=targets) == stored
    assert answer(2, "registry.example.com/another") == refused
    assert answer(2, GUN_A) == stored
    assert answer(3, None) == refused
    assert answer(3, "registry.example.com/another") == refused
    assert answer(3, GUN_A) == stored


def test_a_signature_that_other_clients_cannot_read_is_not_stored() -> None:
    site = Site()
    owner = site.begin()
    raw = owner.targets()
    for spoilt in (b"zz", b"00 ", b"000"):
        extra = b'{"signatures":[{"keyid":"' + b"ab" * 32 + b'","sig":"' + spoilt + b'"},'
        answer = site.publish({TARGETS: raw.replace(b'{"signatures":[', extra)})
        assert (answer.status_code, answer.json()["path"]) == (422, "signatures[0].sig")
    assert site.publish({TARGETS: raw}).status_code == 200


def test_every_publish_moves_the_revision_and_the_online_roles() -> None:
    site = Site()
    owner = site.begin()
    answer = site.publish({TARGETS: owner.targets()}).json()
    assert answer["revision"] == 2
    assert answer["versions"] == {"root": 1, "targets": 2, "snapshot": 2, "timestamp": 2}
    assert site.get(f"/api/v1/collections/{GUN_A}").json() == {**answer, "server_keys": ["snapshot", "timestamp"]}
    assert TUF.parse(TIMESTAMP, site.file("timestamp.json").content).timestamp.snapshot_meta.version == 2


def test_delegations_are_published_and_served_percent_encoded() -> None:
    site = Site()
    owner = site.begin(signers=("alice",))
    alice = RoleName("targets/alice")
    raw = owner.delegation(alice, {"1.0": "cd" * 32})
    assert site.publish({alice: raw}).json()["versions"]["targets/alice"] == 1
    assert site.file("1.targets%2Falice.json").content == raw
    assert site.file("1.targets%2falice.json").content == raw
    assert "targets/alice.json" in TUF.parse(SNAPSHOT, site.file("2.snapshot.json").content).snapshot.meta


Upload = Callable[[Owner], dict[str, bytes]]


def _stale(owner: Owner) -> dict[str, bytes]:
    owner.versions[TARGETS] = 0
    return {TARGETS: owner.targets()}


def _skipped(owner: Owner) -> dict[str, bytes]:
    owner.versions[TARGETS] = 5
    return {TARGETS: owner.targets()}


def _one_key_twice(owner: Owner) -> dict[str, bytes]:
    raw = owner.targets()
    signature = raw[raw.index(b'{"keyid"') : raw.index(b"}") + 1]
    return {TARGETS: raw.replace(signature, signature + b"," + signature, 1)}


def _root_by_new_keys_only(owner: Owner) -> dict[str, bytes]:
    owner.root_keys = [CryptoSigner.generate_ecdsa()]
    return {ROOT: owner.root()}


def _root_by_old_keys_only(owner: Owner) -> dict[str, bytes]:
    old = list(owner.root_keys)
    owner.root_keys = [CryptoSigner.generate_ecdsa()]
    return {ROOT: owner.root(signers=old)}


def _by_a_removed_key(owner: Owner) -> dict[str, bytes]:
    old = owner.targets_key
    owner.targets_key = CryptoSigner.generate_ecdsa()
    return {ROOT: owner.root(), TARGETS: owner.targets(signers=[old])}


def _key_under_another_id(owner: Owner) -> dict[str, bytes]:
    raw = owner.root()
    keyid = owner.targets_key.public_key.keyid.encode()
    return {ROOT: raw.replace(keyid, b"0" * 64)}


def _one_key_under_two_ids(owner: Owner) -> dict[str, bytes]:
    """One key as PEM text and the same with a line end more: two ids, one key."""
    known = owner.targets_key.public_key
    twin_value = {"public": known.keyval["public"] + "\n"}
    twin_id = compute_default_keyid(known.keytype, known.scheme, twin_value)
    twin = SSlibKey(twin_id, known.keytype, known.scheme, twin_value)
    root = TUF.parse(ROOT, owner.root()).root
    root.add_key(twin, TARGETS)
    root.roles[TARGETS].threshold = 2
    return {ROOT: sign(root, list(owner.root_keys), role=ROOT, wire=TUF).raw}


def _outside_its_paths(owner: Owner) -> dict[str, bytes]:
    alice = owner.add_signer("alice")
    key = owner.signers[alice].public_key
    role = DelegatedRole(alice, [key.keyid], 1, terminating=False, paths=["v1.*"])
    targets = owner.targets(delegations=Delegations({key.keyid: key}, {alice: role}))
    return {TARGETS: targets, alice: owner.delegation(alice, {"v2.0": "cd" * 32})}


def _with_releases(
    owner: Owner, *, first: bool = True, terminating: bool = True, path: str = "*", conflict: bool = False
) -> dict[str, bytes]:
    owner.tags = {"1.0": "ab" * 32} if conflict else {}
    releases, alice = owner.add_signer("releases"), owner.add_signer("alice")
    keys = {role: owner.signers[role].public_key for role in (releases, alice)}
    roles = {
        releases: DelegatedRole(releases, [keys[releases].keyid], 1, terminating=terminating, paths=[path]),
        alice: DelegatedRole(alice, [keys[alice].keyid], 1, terminating=False, paths=["*"]),
    }
    order = [releases, alice] if first else [alice, releases]
    named: dict[str, DelegatedRole] = {str(role): roles[role] for role in order}
    delegations = Delegations({key.keyid: key for key in keys.values()}, named)
    return {TARGETS: owner.targets(delegations=delegations), releases: owner.delegation(releases, {"1.0": "ab" * 32})}


def _tag_in_targets_and_releases(owner: Owner) -> dict[str, bytes]:
    return _with_releases(owner, conflict=True)


REFUSED: dict[str, tuple[Upload, int, str]] = {
    "root signed by its new keys only": (_root_by_new_keys_only, 422, "threshold-not-met"),
    "root signed by its old keys only": (_root_by_old_keys_only, 422, "threshold-not-met"),
    "signed by a removed key": (_by_a_removed_key, 422, "threshold-not-met"),
    "key id that is not its key's hash": (_key_under_another_id, 422, "malformed-metadata"),
    "one key under two ids for a threshold of two": (_one_key_under_two_ids, 422, "malformed-metadata"),
    "delegation outside its paths": (_outside_its_paths, 422, "delegation-out-of-scope"),
    "releases that are not the first delegation": (lambda o: _with_releases(o, first=False), 422, "malformed-metadata"),
    "releases that do not end the search": (lambda o: _with_releases(o, terminating=False), 422, "malformed-metadata"),
    "releases for some tags only": (lambda o: _with_releases(o, path="1.*"), 422, "malformed-metadata"),
    "a tag in targets and in releases": (_tag_in_targets_and_releases, 422, "release-conflict"),
    "larger than any client reads": (lambda o: {TARGETS: o.targets() + b" " * 5_000_000}, 413, "too-large"),
    "a tag that is none": (
        lambda o: {TARGETS: o.targets(targets={"a/b": TargetFile(1, {"sha256": "ab" * 32}, "a/b")})},
        422,
        "malformed-metadata",
    ),
    "no sha256": (
        lambda o: {TARGETS: o.targets(targets={"a": TargetFile(1, {"sha512": "ab" * 64}, "a")})},
        422,
        "malformed-metadata",
    ),
    "stale version": (_stale, 409, "version-conflict"),
    "skipped version": (_skipped, 409, "version-conflict"),
    "unsigned": (lambda o: {TARGETS: o.targets(signers=[])}, 422, "threshold-not-met"),
    "signed by a stranger": (
        lambda o: {TARGETS: o.targets(signers=[CryptoSigner.generate_ecdsa()])},
        422,
        "threshold-not-met",
    ),
    "expired": (lambda o: {TARGETS: o.targets(expires=NOW - timedelta(seconds=1))}, 422, "metadata-expired"),
    "not JSON": (lambda o: {TARGETS: b"{"}, 422, "malformed-metadata"),
    "duplicate member": (
        lambda o: {TARGETS: o.targets().replace(b'"version":2', b'"version":2,"version":2')},
        422,
        "malformed-metadata",
    ),
    "version is a boolean": (
        lambda o: {TARGETS: o.targets().replace(b'"version":2', b'"version":true')},
        422,
        "malformed-metadata",
    ),
    "float": (lambda o: {TARGETS: o.targets().replace(b"1000", b"1000.0")}, 422, "malformed-metadata"),
    "deep nesting": (lambda o: {TARGETS: b"[" * 100_000}, 422, "malformed-metadata"),
    "one signature twice": (_one_key_twice, 422, "malformed-metadata"),
    "another role's file": (lambda o: {TARGETS: o.root()}, 422, "malformed-metadata"),
    "snapshot": (lambda o: {SNAPSHOT: b"{}"}, 422, "publish-refused"),
    "timestamp": (lambda o: {TIMESTAMP: b"{}"}, 422, "publish-refused"),
    "a role nobody delegates to": (lambda o: {"targets/eve": o.targets()}, 422, "version-conflict"),
    "no role name": (lambda o: {"\x01": o.targets()}, 400, "invalid-name"),
    "initialised again": (lambda o: {ROOT: Owner().root(), TARGETS: o.targets()}, 409, "collection-exists"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_a_refused_upload_names_its_reason_and_changes_nothing(name: str) -> None:
    upload, status, code = REFUSED[name]
    site = Site()
    owner = site.begin()
    before = site.store.load(GUN_A)
    answer = site.publish(upload(owner))
    assert answer.headers["content-type"] == "application/problem+json"
    if name == "a role nobody delegates to":
        assert answer.status_code in {409, 422}
    else:
        assert (answer.status_code, answer.json()["code"]) == (status, code)
    assert site.store.load(GUN_A) == before


def test_releases_of_the_right_shape_are_accepted() -> None:
    site = Site()
    answer = site.publish(_with_releases(site.begin()))
    assert answer.status_code == 200, answer.json()


def test_a_signer_that_the_upload_would_lock_out_is_named() -> None:
    site = Site()
    owner = site.begin(signers=("alice",))
    alice = RoleName("targets/alice")
    site.publish({alice: owner.delegation(alice, {"1.0": "cd" * 32})}).raise_for_status()
    owner.signers[alice] = CryptoSigner.generate_ecdsa()
    answer = site.publish({TARGETS: owner.targets()})
    assert (answer.status_code, answer.json()["code"], answer.json()["role"]) == (409, "would-break-role", alice)


def test_the_root_must_name_the_servers_keys() -> None:
    site = Site()
    owner = Owner()
    site.learn_keys(owner)
    owner.online[SNAPSHOT], owner.online[TIMESTAMP] = owner.online[TIMESTAMP], owner.online[SNAPSHOT]
    answer = site.publish(owner.first_upload())
    assert (answer.status_code, answer.json()["code"]) == (409, "server-key-not-used")
    strangers = Owner()
    for role in (SNAPSHOT, TIMESTAMP):
        public = CryptoSigner.generate_ecdsa().public_key
        strangers.learn(role, {"keyid": public.keyid, "key": public.to_dict()})
    assert site.publish(strangers.first_upload(), gun="example.com/b").json()["code"] == "server-key-not-used"


def test_the_root_must_name_no_other_keys_beside_the_servers() -> None:
    site = Site()
    owner = Owner()
    site.learn_keys(owner)
    raw = owner.root(signers=[])
    root = TUF.parse(ROOT, raw).root
    root.add_key(CryptoSigner.generate_ecdsa().public_key, SNAPSHOT)
    signed = sign(root, owner.root_keys, role=ROOT, wire=TUF).raw
    assert site.publish({ROOT: signed, TARGETS: owner.targets()}).json()["code"] == "server-key-not-used"


def test_what_python_tuf_refuses_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    site = Site()
    owner = site.begin()

    def refuse(*_: object) -> None:
        raise PublishRefused(role=TARGETS, reason="python-tuf refuses it")

    monkeypatch.setattr(judging, "check_second_opinion", refuse)
    assert site.publish({TARGETS: owner.targets()}).json()["code"] == "publish-refused"
    assert site.get(f"/api/v1/collections/{GUN_A}").json()["revision"] == 1


def test_rotation_puts_the_pending_key_to_use_in_the_publish_whose_root_names_it() -> None:
    site = Site()
    owner = site.begin()
    old = {role: owner.online[role].keyid for role in (SNAPSHOT, TIMESTAMP)}
    path = f"/api/v1/collections/{GUN_A}/keys"
    for role in (SNAPSHOT, TIMESTAMP):
        made = site.request("POST", f"{path}/{role}").json()
        assert made["keyid"] != old[role]
        assert site.request("POST", f"{path}/{role}").json() == made, "asked again: the same key"
        assert site.get(f"{path}/{role}").json()["keyid"] == old[role], "still current"
        owner.learn(role, made)
    assert site.get(f"/api/v1/collections/{GUN_A}").json()["revision"] == 3, "key changes move the revision"
    assert site.publish({ROOT: owner.root()}).status_code == 200
    root = TUF.parse(ROOT, site.file("2.root.json").content).root
    for role, name in ((SNAPSHOT, "2.snapshot.json"), (TIMESTAMP, "timestamp.json")):
        envelope = TUF.parse(role, site.file(name).content)
        assert set(envelope.signatures) == {owner.online[role].keyid}
        root.verify_delegate(role, envelope.payload, dict(envelope.signatures))
        assert site.get(f"{path}/{role}").json()["keyid"] == owner.online[role].keyid
    assert {k.state for k in site.store.load(GUN_A).keys} == {KeyState.CURRENT}


class _Moving(MemoryStore):
    """A store in which somebody else is always a little faster, `times` times."""

    def __init__(self) -> None:
        super().__init__()
        self.before: list[Callable[[], None]] = []

    def publish(self, publication: Publication) -> int:
        if self.before:
            self.before.pop(0)()
        return super().publish(publication)


def test_an_upload_is_judged_again_on_a_state_that_moved() -> None:
    store = _Moving()
    site = Site(store)
    owner = site.begin(signers=("alice",))
    alice = RoleName("targets/alice")
    other = owner.targets()
    store.before.append(lambda: site.app_publish({TARGETS: other}))
    answer = site.publish({alice: owner.delegation(alice, {"1.0": "cd" * 32})})
    assert answer.status_code == 200
    assert answer.json()["revision"] == 3
    assert answer.json()["versions"] == {"root": 1, "targets": 2, "targets/alice": 1, "snapshot": 3, "timestamp": 3}


def test_only_an_upload_whose_own_role_moved_is_a_conflict() -> None:
    store = _Moving()
    site = Site(store)
    owner = site.begin()
    mine = owner.targets()
    owner.versions[TARGETS] = 1
    owner.tags["other"] = "ef" * 32
    theirs = owner.targets()
    store.before.append(lambda: site.app_publish({TARGETS: theirs}))
    answer = site.publish({TARGETS: mine})
    assert (answer.status_code, answer.json()["code"]) == (409, "version-conflict")
    assert (answer.json()["role"], answer.json()["offered"], answer.json()["stored"]) == (TARGETS, 2, 2)
    assert site.file("2.targets.json").content == theirs


def _alice_and_her_replacement(site: Site) -> tuple[bytes, bytes]:
    """A file that alice signs with her key, and a targets version in which another key takes its place."""
    owner = site.begin(signers=("alice",))
    alice = RoleName("targets/alice")
    signed_by_old_key = owner.delegation(alice, {"1.0": "cd" * 32})
    owner.signers[alice] = CryptoSigner.generate_ecdsa()
    return signed_by_old_key, owner.targets()


def test_a_delegation_is_refused_when_its_delegator_is_replaced_first() -> None:
    store = _Moving()
    site = Site(store)
    alices, replacement = _alice_and_her_replacement(site)
    store.before.append(lambda: site.app_publish({TARGETS: replacement}))
    answer = site.publish({RoleName("targets/alice"): alices})
    assert (answer.status_code, answer.json()["code"]) == (422, "threshold-not-met")
    assert answer.json()["delegator"] == TARGETS
    assert set(store.load(GUN_A).files) == {ROOT, TARGETS, SNAPSHOT, TIMESTAMP}, "nothing of it was stored"


def test_a_delegator_is_refused_when_its_delegation_is_published_first() -> None:
    store = _Moving()
    site = Site(store)
    alices, replacement = _alice_and_her_replacement(site)
    store.before.append(lambda: site.app_publish({RoleName("targets/alice"): alices}))
    answer = site.publish({TARGETS: replacement})
    assert (answer.status_code, answer.json()["code"]) == (409, "would-break-role")
    assert answer.json()["role"] == "targets/alice"
    assert store.load(GUN_A).files[TARGETS].version == 1, "the delegator did not move"


def test_a_refusal_on_a_remembered_state_is_checked_against_the_store() -> None:
    """Another process changed the collection: what this one remembers must not refuse an upload that fits."""
    store = MemoryStore()
    one, two = Site(store), Site(store)
    owner = one.begin(signers=("alice",))
    assert two.publish({TARGETS: owner.targets()}).status_code == 200
    assert one.publish({TARGETS: owner.targets()}).status_code == 200, "version 3 on a remembered version 1"


def test_a_collection_that_never_stands_still_is_503_after_bounded_attempts() -> None:
    class Restless(MemoryStore):
        attempts = 0

        def publish(self, publication: Publication) -> int:
            self.attempts += 1
            raise RevisionMoved(gun=publication.gun, base=publication.base)

    store = Restless()
    site = Site(store)
    owner = Owner()
    site.learn_keys(owner)
    answer = site.publish(owner.first_upload())
    assert (answer.status_code, answer.json()["code"]) == (503, "not-stored")
    assert 1 < store.attempts < 100
