"""Notary v1's upload (docs/reference/notary-api.md): form, order of judging, and what the server signs after it."""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable, Mapping
from datetime import timedelta
from hashlib import sha256
from typing import Any

import pytest

from keys.algorithms import Algorithm, generate
from keys.certificate import root_certificate
from tests.simulator.memory_store import MemoryStore
from tests.support.notary_owner import NotaryOwner, bare_signer, content_of
from tests.support.notary_site import (
    BOUNDARY,
    EMPTY,
    FORM,
    GUN_N,
    NotarySite,
    form,
    part,
    refusal,
    refused_update,
)
from tests.support.server_owner import Owner
from tests.support.server_site import GUN_A
from trustdata.errors import NotStored
from trustdata.gun import GUN
from trustdata.limits import MAX_SNAPSHOT
from trustdata.model import Role
from trustdata.roles import ROOT, SNAPSHOT, TARGETS, TIMESTAMP, RoleName
from trustdata.verification import checks
from trustdata.wire.notary import NOTARY
from trustserver.api import notary_parts
from trustserver.errors import DiskFull
from trustserver.repository import quotas as growth
from trustserver.repository.formats import SERVED_NOTARY
from trustserver.storage.ports import Publication

END = f"--{BOUNDARY}--\r\n".encode()


def started() -> tuple[NotarySite, NotaryOwner]:
    site = NotarySite()
    return site, site.begin_notary()


def unstarted(*, holds_snapshot: bool = False) -> tuple[NotarySite, NotaryOwner]:
    site = NotarySite()
    owner = NotaryOwner(GUN_N, holds_snapshot=holds_snapshot)
    site.learn_notary_keys(owner)
    return site, owner


# --- the form


def test_a_first_upload_of_root_and_targets_is_answered_with_an_empty_200() -> None:
    site, _ = started()
    assert site.versions() == {"root": 1, "targets": 2, "snapshot": 1, "timestamp": 1}


@pytest.mark.parametrize("order", list(itertools.permutations((ROOT, TARGETS, SNAPSHOT))))
def test_part_order_is_random(order: tuple[RoleName, ...]) -> None:
    site, owner = unstarted(holds_snapshot=True)
    files = owner.first_upload()
    assert site.upload({role: files[role] for role in order}).status_code == 200


def test_the_field_name_is_irrelevant_and_one_json_is_stripped() -> None:
    site, owner = started()
    alice = owner.add_delegation("targets/alice")
    body = part("targets.json", owner.targets(), field="other") + part("targets/alice.json", owner.targets(alice))
    assert site.post(body + END).status_code == 200
    assert site.versions()["targets/alice"] == 1


def test_a_timestamp_part_is_accepted_and_ignored() -> None:
    site, owner = started()
    before = site.tuf("timestamp.json").content
    assert site.upload({TARGETS: owner.targets(), TIMESTAMP: b'{"not": "a timestamp"}'}).status_code == 200
    assert content_of(site.tuf("timestamp.json").content)["version"] == content_of(before)["version"] + 1


def test_the_same_role_twice_gives_version() -> None:
    site, owner = started()
    answer = site.post(form([("targets", owner.targets()), ("targets", owner.targets())]))
    assert (answer.status_code, refusal(answer)) == (
        400,
        {"code": "VERSION", "message": "A newer version of metadata is already available.", "detail": {}},
    )
    assert site.versions()["targets"] == 2


def test_an_empty_upload_of_an_existing_repository_gives_a_new_snapshot_and_timestamp() -> None:
    site, _ = started()
    assert len(EMPTY) == 68
    site.later(seconds=60)
    answer = site.post(EMPTY)
    assert (answer.status_code, answer.content) == (200, b"")
    assert site.versions() == {"root": 1, "targets": 2, "snapshot": 2, "timestamp": 2}


def test_an_empty_upload_of_an_unknown_repository_is_refused() -> None:
    site = NotarySite()
    assert refused_update(site.post(EMPTY)) == (
        "ErrValidation",
        "no pre-existing root and no root provided in update.",
    )


def test_targets_alone_for_an_unknown_repository_are_refused() -> None:
    site, owner = unstarted()
    assert refused_update(site.upload({TARGETS: owner.targets()}))[0] == "ErrValidation"
    assert refused_update(site.upload({ROOT: owner.root()}))[0] == "ErrValidation"


MALFORMED: Mapping[str, tuple[str, bytes]] = {
    "no content type": ("", EMPTY),
    "no multipart": ("application/json", b"{}"),
    "no boundary": ("multipart/form-data", EMPTY),
    "nothing": (FORM, b""),
    "empty with another boundary": (FORM, EMPTY.replace(b"b", b"c")),
    "empty with something after it": (FORM, EMPTY + b"and more than that"),
    "half of an empty one": (FORM, EMPTY[:30]),
    "no end": (FORM, part("root", b"{}")),
    "text": (FORM, b"x" * 500),
}


@pytest.mark.parametrize("name", MALFORMED)
def test_a_malformed_upload_is_refused(name: str) -> None:
    kind, body = MALFORMED[name]
    site, _ = started()
    answer = site.post(body, kind=kind)
    assert (answer.status_code, refusal(answer)) == (
        400,
        {"code": "MALFORMED_UPLOAD", "message": "The body of your request is malformed."},
    )


def test_a_part_without_a_filename_is_refused() -> None:
    site, _ = started()
    bare = f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="files"\r\n\r\n{{}}\r\n'.encode()
    for body in (bare, part("", b"{}"), part(".json", b"{}"), f"--{BOUNDARY}\r\n\r\n{{}}\r\n".encode()):
        answer = site.post(body + END)
        assert (answer.status_code, refusal(answer)) == (
            400,
            {"code": "NO_FILENAME", "message": "No file/role name provided."},
        )


@pytest.mark.parametrize(
    "role",
    [
        *("other", "targets/", "targets/A", "targets/a b", "root.json.json", "targets/../root", "targets/" + "a" * 248),
        "targets/_trust/tuf/root",  # its path is that of the root of a collection .../_trust/tuf/targets
    ],
)
def test_an_unknown_role_is_refused(role: str) -> None:
    site, _ = started()
    answer = site.post(part(role, b"{}") + END)
    error = refusal(answer)
    assert (answer.status_code, error["code"]) == (400, "INVALID_ROLE")
    assert error["message"] == "The role you are attempting to operate on is invalid."
    assert error["detail"].startswith(role.removesuffix(".json")[:100])


@pytest.mark.parametrize("raw", [b"", b"no json", b'{"signed":', b"\xff\xfe"])
@pytest.mark.parametrize("role", ["targets", "timestamp"])
def test_a_part_that_is_no_json_is_refused(role: str, raw: bytes) -> None:
    site, _ = started()
    answer = site.post(part(role, raw) + END)
    assert (answer.status_code, refusal(answer)) == (
        400,
        {"code": "MALFORMED_JSON", "message": "JSON sent by the client could not be parsed by the server"},
    )


# --- what is judged


def altered(raw: bytes, change: Callable[[dict[str, Any]], None]) -> bytes:
    document = json.loads(raw)
    change(document["signed"])
    return json.dumps(document).encode()


STRANGE: Mapping[str, Callable[[dict[str, Any]], None]] = {
    "targets: null": lambda signed: signed.update(targets=None),
    "a float": lambda signed: signed.update(version=3.0),
    "a number beyond 2**53": lambda signed: signed.update(version=2**60),
    "a member that differs in case": lambda signed: signed.update(Version=4),
    "custom with an escape": lambda signed: signed["targets"]["1.0"].update(custom={"a": "<b>"}),
    "custom null": lambda signed: signed["targets"]["1.0"].update(custom=None),
}


@pytest.mark.parametrize("name", STRANGE)
def test_what_the_go_clients_do_not_survive_is_refused_at_upload(name: str) -> None:
    site, owner = started()
    about, message = refused_update(site.upload({TARGETS: altered(owner.targets(), STRANGE[name])}))
    assert about == "ErrBadTargets"
    assert "signed." in message, "the place is named"
    assert site.versions()["targets"] == 2


def test_trailing_data_is_refused_for_its_role() -> None:
    site, owner = started()
    alice = owner.add_delegation("targets/alice")
    good = {TARGETS: owner.targets(), alice: owner.targets(alice)}
    assert refused_update(site.upload({**good, alice: good[alice] + b"{}"}))[0] == "ErrBadTargets"
    assert refused_update(site.upload({ROOT: owner.root() + b" x"}))[0] == "ErrBadRoot"
    assert refused_update(site.upload({SNAPSHOT: good[TARGETS] + b"]"}))[0] == "ErrBadSnapshot"


def test_duplicate_members_are_refused() -> None:
    site, owner = started()
    raw = owner.targets().replace(b'"version":', b'"version":1,"version":')
    assert refused_update(site.upload({TARGETS: raw}))[0] == "ErrBadTargets"


def test_a_wrong_signature_is_bad_targets_and_bad_root() -> None:
    site, owner = started()
    assert refused_update(site.upload({TARGETS: owner.targets(signers=[bare_signer()])}))[0] == "ErrBadTargets"
    stranger = owner.root_signer()
    assert refused_update(site.upload({ROOT: owner.root(signers=[stranger])}))[0] == "ErrBadRoot"


def test_a_delegation_that_nobody_delegates_to_is_bad_targets() -> None:
    site, owner = started()
    alice = owner.add_delegation("targets/alice")
    assert refused_update(site.upload({alice: owner.targets(alice)}))[0] == "ErrBadTargets"


def test_expired_uploads_are_refused() -> None:
    site, owner = started()
    for role, upload in ((ROOT, owner.root), (TARGETS, owner.targets)):
        raw = upload(expires=site.at - timedelta(days=1))
        assert refused_update(site.upload({role: raw}))[0] == {ROOT: "ErrBadRoot", TARGETS: "ErrBadTargets"}[role]


def test_a_root_for_another_name_is_bad_root() -> None:
    site, owner = unstarted()
    owner.root_keys = [owner.root_signer("another/name")]
    about, message = refused_update(site.upload(owner.first_upload()))
    assert about == "ErrBadRoot"
    assert "another/name" in message


def test_root_must_increment_its_version() -> None:
    site, owner = started()
    about, message = refused_update(site.upload({ROOT: owner.root(version=3)}))
    assert (about, message) == ("ErrBadRoot", "Root modifications must increment the version. Current 1, new 3")
    answer = site.upload({ROOT: owner.root(version=1)})
    assert refusal(answer)["code"] == "VERSION"


@pytest.mark.parametrize("version", [1, 2])
def test_any_version_that_is_not_above_the_stored_one_is_version_and_nothing_is_stored(version: int) -> None:
    site, owner = started()
    alice = owner.add_delegation("targets/alice")
    answer = site.upload({TARGETS: owner.targets(version=version), alice: owner.targets(alice)})
    assert (answer.status_code, refusal(answer)["code"]) == (400, "VERSION")
    assert site.versions() == {"root": 1, "targets": 2, "snapshot": 1, "timestamp": 1}


def test_any_higher_version_is_taken_and_any_first_one() -> None:
    site, owner = unstarted()
    owner.versions = {ROOT: 6, TARGETS: 40}
    assert site.upload(owner.first_upload()).status_code == 200
    assert site.upload({TARGETS: owner.targets(version=97)}).status_code == 200
    assert site.versions() == {"root": 7, "targets": 97, "snapshot": 2, "timestamp": 2}


def test_a_root_that_breaks_the_stored_targets_is_refused_and_goes_with_new_ones() -> None:
    site, owner = started()
    owner.keys[TARGETS] = bare_signer()
    root = owner.root()
    assert refused_update(site.upload({ROOT: root}))[0] == "ErrBadTargets"
    assert site.upload({ROOT: root, TARGETS: owner.targets()}).status_code == 200


def test_a_stored_delegation_may_break() -> None:
    site, owner = started()
    alice = owner.add_delegation("targets/alice")
    assert site.upload({TARGETS: owner.targets(), alice: owner.targets(alice)}).status_code == 200
    owner.keys[alice] = bare_signer()
    owner.delegated[alice] = [owner.keys[alice].public_key]
    assert site.upload({TARGETS: owner.targets()}).status_code == 200


def test_the_role_of_a_removed_delegation_stays_listed_and_readable() -> None:
    site, owner = started()
    alice = owner.add_delegation("targets/alice")
    raw = owner.targets(alice)
    site.upload({TARGETS: owner.targets(), alice: raw})
    del owner.delegated[alice]
    assert site.upload({TARGETS: owner.targets()}).status_code == 200
    assert "targets/alice" in content_of(site.tuf("snapshot.json").content)["meta"]
    assert site.tuf("targets/alice.json").content == raw


def test_two_racing_publishers_one_gets_version() -> None:
    site, owner = started()
    twin = NotaryOwner(GUN_N, at=site.at)
    twin.keys, twin.versions = owner.keys, dict(owner.versions)
    bodies = [form([("targets", each.targets(targets={}))]) for each in (owner, twin)]
    headers = {"Content-Type": FORM}
    path = f"/v2/{GUN_N}/_trust/tuf/"
    requests = [{"method": "POST", "url": path, "content": body, "headers": headers} for body in bodies]
    answers = site.together(*requests)
    assert sorted(answer.status_code for answer in answers) == [200, 400]
    loser = next(answer for answer in answers if answer.status_code == 400)
    assert refusal(loser)["code"] == "VERSION"
    assert site.versions()["targets"] == 3


def test_bytes_are_stored_and_served_as_they_came_however_they_are_written() -> None:
    """Pretty-printed, escaped, members in another order: the signature covers what is said."""
    site, owner = started()
    owner.tags = {"<&>": "cd" * 32}
    document = json.loads(owner.targets())
    raw = json.dumps(dict(reversed(document.items())), indent=2).replace("<", "\\u003c").encode()
    assert site.upload({TARGETS: raw}).status_code == 200
    assert site.tuf("targets.json").content == raw
    assert site.tuf(f"targets.{sha256(raw).hexdigest()}.json").content == raw


def test_unknown_members_are_accepted_and_kept() -> None:
    site, owner = started()
    assert site.upload({TARGETS: owner.targets(unrecognized_fields={"x-note": "kept"})}).status_code == 200
    assert content_of(site.tuf("targets.json").content)["x-note"] == "kept"


def test_one_public_key_in_two_certificates_counts_once() -> None:
    site, owner = unstarted()
    private = generate(Algorithm.ECDSA_P256)
    owner.root_keys = [
        NOTARY.signer(private, root_certificate(private, gun=GUN_N, at=site.at - timedelta(days=days)))
        for days in (0, 1)
    ]
    both = Role([signer.public_key.keyid for signer in owner.root_keys], 2)
    root = NOTARY.parse(ROOT, owner.root()).root
    files = {ROOT: owner.root(roles={**root.roles, ROOT: both}), TARGETS: owner.targets()}
    assert refused_update(site.upload(files))[0] == "ErrBadRoot"


class _Moving(MemoryStore):
    """Something happens to the collection between judging and storing, once: through another server's application,
    for one's own holds the collection meanwhile.
    """

    meanwhile: Callable[[], object] | None = None

    def publish(self, publication: Publication) -> int:
        happens, self.meanwhile = self.meanwhile, None
        if happens is not None:
            happens()
        return super().publish(publication)


def test_an_upload_is_judged_again_when_the_collection_was_renewed_meanwhile() -> None:
    store = _Moving()
    site = NotarySite(store)
    owner = site.begin_notary()
    beside = NotarySite(store, sealer=site.sealer, resign_seconds=0).app.publishing
    store.meanwhile = lambda: beside.publish(GUN(GUN_N), {}, at=site.at, served_format=SERVED_NOTARY)
    assert site.upload({TARGETS: owner.targets()}).status_code == 200
    assert site.versions() == {"root": 1, "targets": 3, "snapshot": 3, "timestamp": 3}


def test_an_upload_whose_role_moved_meanwhile_is_version() -> None:
    store = _Moving()
    site = NotarySite(store)
    owner = site.begin_notary()
    first, second = owner.targets(version=3, targets={}), owner.targets(version=3)
    beside = NotarySite(store, sealer=site.sealer, resign_seconds=0).app.publishing
    store.meanwhile = lambda: beside.publish(GUN(GUN_N), {TARGETS: first}, at=site.at, served_format=SERVED_NOTARY)
    answer = site.upload({TARGETS: second})
    assert (answer.status_code, refusal(answer)["code"]) == (400, "VERSION")
    assert store.load(GUN(GUN_N)).files[TARGETS].raw == first


# --- the other format, limits, failures


def test_an_upload_to_a_tuf_collection_is_refused_in_words() -> None:
    site = NotarySite()
    site.begin()
    owner = NotaryOwner(GUN_A)
    owner.online = {role: bare_signer().public_key for role in (SNAPSHOT, TIMESTAMP)}
    about, message = refused_update(site.upload(owner.first_upload(), GUN_A))
    assert about == "ErrValidation"
    assert "tuf-1.0" in message
    assert refused_update(site.post(EMPTY, GUN_A))[0] == "ErrValidation"


def test_publishing_in_tuf_to_a_notary_collection_is_refused() -> None:
    site = NotarySite()
    site.begin_notary(GUN_A)
    before = site.store.load(GUN_A)
    beside = NotarySite()
    files = {role: file.raw for role, file in beside_files(beside).items()}
    answer = site.publish(files)
    assert (answer.status_code, answer.json()["code"]) == (409, "collection-exists")
    assert site.store.load(GUN_A) == before


def beside_files(site: NotarySite) -> Mapping[RoleName, Any]:
    site.begin()
    files = site.store.load(GUN_A).files
    return {role: file for role, file in files.items() if role not in {SNAPSHOT, TIMESTAMP}}


def test_a_file_beyond_its_limit_is_refused_with_its_role(monkeypatch: pytest.MonkeyPatch) -> None:
    site, owner = started()
    monkeypatch.setattr(notary_parts, "notary_size_limit", lambda _: 100)
    about, message = refused_update(site.upload({TARGETS: owner.targets()}))
    assert (about, "100" in message) == ("ErrBadTargets", True)


def test_collections_may_grow_by_what_their_files_may_be_larger_than_tufs(monkeypatch: pytest.MonkeyPatch) -> None:
    site, owner = started()
    alice = owner.add_delegation("targets/alice")
    monkeypatch.setattr(growth, "MAX_COLLECTION", 0)
    monkeypatch.setattr(growth, "SNAPSHOT_RESERVE", MAX_SNAPSHOT)
    assert site.upload({TARGETS: owner.targets(), alice: owner.targets(alice)}).status_code == 200


class _Full(MemoryStore):
    full: NotStored | None = None

    def publish(self, publication: Publication) -> int:
        if self.full is not None:
            raise self.full
        return super().publish(publication)


@pytest.mark.parametrize(("failure", "status"), [(DiskFull(), 507), (NotStored(reason="locked by /var/secret"), 503)])
def test_what_cannot_be_stored_is_a_5xx_that_tells_nothing(failure: NotStored, status: int) -> None:
    store = _Full()
    site = NotarySite(store)
    owner = site.begin_notary()
    store.full = failure
    answer = site.upload({TARGETS: owner.targets()})
    assert (answer.status_code, refusal(answer)["code"]) == (status, "UNAVAILABLE")
    assert "secret" not in answer.text


def test_a_key_that_signed_in_tuf_what_was_not_stored_signs_in_notarys_way() -> None:
    store = _Full()
    site = NotarySite(store)
    tuf = Owner(site.at)
    site.learn_keys(tuf)
    store.full = DiskFull()
    assert site.publish(tuf.first_upload()).status_code == 507
    store.full = None
    site.begin_notary(GUN_A)
    timestamp = NOTARY.parse(TIMESTAMP, site.tuf("timestamp.json", GUN_A).content)
    checks.check_signatures(NOTARY.parse(ROOT, site.tuf("root.json", GUN_A).content).root, ROOT, timestamp)


def test_an_internal_failure_is_unknown_and_tells_nothing(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    site, _ = started()

    def broken(*_: object, **__: object) -> None:
        raise RuntimeError("a secret")

    monkeypatch.setattr(site.app.publishing, "size", broken)
    answer = site.post(EMPTY)
    assert (answer.status_code, refusal(answer)["code"]) == (500, "UNKNOWN")
    assert "secret" not in answer.text
    assert "a secret" in caplog.text, "the log says why"


def test_foreign_text_is_escaped() -> None:
    site, owner = started()
    raw = altered(owner.targets(), lambda signed: signed["targets"].update({"\u001b[31m\n": None}))
    _, message = refused_update(site.upload({TARGETS: raw}))
    assert message.isprintable()


def test_a_name_is_published_by_whoever_comes_first() -> None:
    site, owner = unstarted()
    other = NotaryOwner(GUN_N)
    site.learn_notary_keys(other)
    assert site.upload(owner.first_upload()).status_code == 200
    assert refusal(site.upload(other.first_upload()))["code"] == "VERSION"
    assert site.store.load(GUN(GUN_N)).files[ROOT].raw == owner.written[ROOT].raw
