"""Collections of docker and notary, taken over as they lie in the fixtures: all or nothing, and never another one."""

from __future__ import annotations

import hashlib
import re
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import quote

import httpx
import pytest

from keys.algorithms import generate
from keys.certificate import root_certificate
from keys.material import write_private_pem
from tests.support.notary_site import NotarySite, refused_update
from tests.unit.server.access_site import rules_text
from trustdata.editing.signing import sign
from trustdata.gun import GUN
from trustdata.json_bounds import count_values
from trustdata.model import Role
from trustdata.roles import ROOT, SNAPSHOT, TARGETS, TIMESTAMP, RoleName
from trustdata.wire.notary import NOTARY
from trustserver.admin.audit import Audit
from trustserver.auth.opening import open_authorizer
from trustserver.repository import collection_import
from trustserver.settings import Settings

FOLDER = Path(__file__).parents[2] / "golden" / "notary_v1"
STATES = sorted(folder.name for folder in FOLDER.iterdir() if folder.is_dir())
BOUNDARY = "b" * 60
Parts = dict[str, bytes]


def gun_of(state: str) -> str:
    return (FOLDER / state / "gun").read_text().strip()


def parts_of(state: str) -> Parts:
    """Everything that the old server has, as `/take-over` wants it named."""
    folder = FOLDER / state
    parts = {}
    for file in (folder / "versions").glob("*.root.json"):
        parts[f"{file.name.split('.')[0]}.root"] = file.read_bytes()
    for file in [*folder.glob("*.json"), *folder.glob("targets/*.json")]:
        role = str(file.relative_to(folder)).removesuffix(".json")
        if role != ROOT:
            parts[role] = file.read_bytes()
    return parts


class TakingSite(NotarySite):
    """`at`: when the fixtures were young."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self.at = datetime(2026, 11, 22, tzinfo=UTC)

    def take(self, gun: str, parts: Parts) -> httpx.Response:
        head = 'Content-Disposition: form-data; name="files"; filename="{}"\r\n\r\n'
        body = b"".join(
            f"--{BOUNDARY}\r\n{head.format(quote(name, safe=''))}".encode() + raw + b"\r\n"
            for name, raw in parts.items()
        )
        kind = {"Content-Type": f"multipart/form-data; boundary={BOUNDARY}"}
        content = body + f"--{BOUNDARY}--\r\n".encode()
        return self.request("POST", f"/api/v1/collections/{gun}/take-over", content=content, headers=kind)


def refused(answer: httpx.Response, status: int, code: str, text: str) -> None:
    assert (answer.status_code, answer.json()["code"]) == (status, code), answer.text
    assert text in answer.json()["detail"]


@pytest.fixture
def site() -> TakingSite:
    return TakingSite()


@pytest.mark.parametrize("state", STATES)
def test_every_state_is_served_as_it_was(site: TakingSite, state: str) -> None:
    gun, folder = gun_of(state), FOLDER / state
    assert site.take(gun, parts_of(state)).status_code == 200
    for file in folder.glob("versions/*.root.json"):
        assert site.tuf(file.name, gun).content == file.read_bytes()
    for file in [*folder.glob("*.json"), *folder.glob("targets/*.json")]:
        assert site.tuf(str(file.relative_to(folder)), gun).content == file.read_bytes()


def test_who_takes_over_a_new_name_must_be_allowed_to_begin_it(tmp_path: Path) -> None:
    file = tmp_path / "access.toml"
    state = STATES[0]

    def under(rights: str) -> httpx.Response:
        file.write_text(rules_text(("anonymous", "*", "allow", rights)))
        authorizer = open_authorizer(Settings(access=file))
        try:
            return TakingSite(authorizer=authorizer).take(gun_of(state), parts_of(state))
        finally:
            authorizer.close()

    file.touch(mode=0o600)
    answer = under("push rotate")
    assert (answer.status_code, answer.json()["right"]) == (401, "init")
    assert under("push rotate init").status_code == 200


def test_the_same_again_changes_nothing(site: TakingSite) -> None:
    gun, parts = gun_of("signers"), parts_of("signers")
    first = site.take(gun, parts).json()
    assert site.take(gun, parts).json() == first


def test_without_the_old_server_s_keys_nobody_publishes_and_nothing_is_renewed(site: TakingSite) -> None:
    gun, parts = gun_of("onetag"), parts_of("onetag")
    site.take(gun, parts)
    name, message = refused_update(site.upload({}, gun))
    assert name in {"ErrBadHierarchy", "ErrBadRoot", "ErrValidation"}
    assert message
    site.later(days=3650)
    assert site.tuf("timestamp.json", gun).content == parts[TIMESTAMP]
    assert site.store.due(at=site.at, limit=10) == ()


@pytest.mark.parametrize("missing", ["1.root", TIMESTAMP, SNAPSHOT, TARGETS, "targets/releases"])
def test_a_missing_file_moves_nothing(site: TakingSite, missing: str) -> None:
    gun, parts = gun_of("signers"), parts_of("signers")
    del parts[missing]
    assert site.take(gun, parts).status_code == 422
    assert site.tuf("timestamp.json", gun).status_code == 404


def test_a_chain_may_begin_with_a_later_root(site: TakingSite) -> None:
    gun, parts = gun_of("rotroot"), parts_of("rotroot")
    del parts["1.root"]
    assert site.take(gun, parts).status_code == 200
    assert site.tuf("1.root.json", gun).status_code == 404
    assert site.tuf("2.root.json", gun).content == parts["2.root"]
    sha256 = hashlib.sha256(parts["2.root"]).hexdigest()
    assert site.tuf(f"root.{sha256}.json", gun).content == parts["2.root"]
    found = Audit(site.store, site.sealer, site.at).collection(site.store.load(GUN(gun)))
    assert "does-not-verify" not in {finding.code for finding in found}
    assert site.request("DELETE", f"/v2/{gun}/_trust/tuf/").status_code == 200
    tombstone = site.store.load(GUN(gun)).tombstone
    assert tombstone is not None
    assert tombstone.root_sha256 == sha256, "users have pinned the first root"


def test_a_gap_in_the_chain(site: TakingSite) -> None:
    gun, parts = gun_of("rotroot"), parts_of("rotroot")
    del parts["2.root"]
    refused(site.take(gun, parts), 400, "bad-request", "the chain has a gap")


@pytest.mark.parametrize("name", [TIMESTAMP, SNAPSHOT, TARGETS, "targets/releases", "2.root"])
def test_a_changed_byte_moves_nothing(site: TakingSite, name: str) -> None:
    state = "rotroot" if name == "2.root" else "signers"
    gun, parts = gun_of(state), parts_of(state)
    raw = parts[name]
    at = raw.index(b'"version":') + len(b'"version":')
    parts[name] = raw[:at] + b"9" + raw[at:]
    assert site.take(gun, parts).status_code == 422
    assert site.tuf("timestamp.json", gun).status_code == 404


def test_another_collection_s_files_under_this_name(site: TakingSite) -> None:
    """The certificate of its root is for another one."""
    answer = site.take("127.0.0.1:5000/somebody/else", parts_of("onetag"))
    refused(answer, 422, "certificate-of-another-name", "does not speak for")


def test_a_file_that_nobody_lists(site: TakingSite) -> None:
    gun, parts = gun_of("onetag"), parts_of("onetag")
    parts["targets/mallory"] = parts_of("signers")["targets/alice"]
    refused(site.take(gun, parts), 422, "publish-refused", "the snapshot does not list it")


@pytest.mark.parametrize(
    "name",
    ["0.root", "root", "key.root", "key.targets", "../timestamp", "1.timestamp", "Targets", "targets/_trust/tuf/root"],
)
def test_a_part_with_another_name(site: TakingSite, name: str) -> None:
    gun, parts = gun_of("onetag"), parts_of("onetag")
    parts[name] = b"{}"
    assert site.take(gun, parts).status_code == 400
    assert site.tuf("timestamp.json", gun).status_code == 404


def test_a_key_that_root_does_not_name(site: TakingSite) -> None:
    gun, parts = gun_of("onetag"), parts_of("onetag")
    parts["key.timestamp"] = write_private_pem(generate(), None)
    refused(site.take(gun, parts), 409, "server-key-not-used", "is not the one that root names")
    assert site.store.load(GUN(gun)).keys == ()


@pytest.mark.parametrize("kind", ["", "ENCRYPTED "])
def test_a_key_that_cannot_be_read(site: TakingSite, kind: str) -> None:
    gun, parts = gun_of("onetag"), parts_of("onetag")
    parts["key.timestamp"] = f"-----BEGIN {kind}PRIVATE KEY-----\nAAAA\n-----END {kind}PRIVATE KEY-----\n".encode()
    refused(site.take(gun, parts), 400, "bad-request", "part key.timestamp: is no private key")
    assert site.tuf("timestamp.json", gun).status_code == 404


def test_another_beginning_of_the_same_chain(site: TakingSite) -> None:
    """Made without any of the owner's private keys: his next root is signed by a key that the false ones name, too."""
    gun, parts = gun_of("rotroot"), parts_of("rotroot")
    private = generate()
    stranger = NOTARY.signer(private, root_certificate(private, gun=gun, at=site.at))
    false = dict(parts)
    for version, others in ((1, []), (2, NOTARY.parse(ROOT, parts["2.root"]).root.roles[ROOT].keyids)):
        root = NOTARY.parse(ROOT, parts[f"{version}.root"]).root
        root.keys[stranger.public_key.keyid] = stranger.public_key
        root.roles[ROOT] = Role([*others, stranger.public_key.keyid], 1)
        false[f"{version}.root"] = sign(root, [stranger], role=ROOT, wire=NOTARY).raw
    assert site.take(gun, false).status_code == 200
    refused(site.take(gun, parts), 409, "collection-exists", "root: version 1 here is another one")


def test_a_name_that_lives_here_in_another_form(site: TakingSite) -> None:
    gun = gun_of("onetag")
    site.begin_notary(gun)
    before = site.tuf("timestamp.json", gun).content
    refused(site.take(gun, parts_of("onetag")), 409, "collection-exists", "is not in the chain")
    assert site.tuf("timestamp.json", gun).content == before


def test_an_earlier_state_does_not_replace_a_later_one(site: TakingSite) -> None:
    gun, parts = gun_of("rotroot"), parts_of("rotroot")
    assert site.take(gun, parts).status_code == 200
    shorter = {name: raw for name, raw in parts.items() if not re.fullmatch(r"[4-9]\.root", name)}
    assert site.take(gun, shorter).status_code in {409, 422}
    assert site.tuf("root.json", gun).content == (FOLDER / "rotroot" / "root.json").read_bytes()


def test_a_collection_that_was_deleted_may_come_back(site: TakingSite) -> None:
    gun, parts = gun_of("onetag"), parts_of("onetag")
    site.take(gun, parts)
    assert site.request("DELETE", f"/v2/{gun}/_trust/tuf/").status_code == 200
    assert site.take(gun, parts).status_code == 200
    assert site.tuf("timestamp.json", gun).content == parts[TIMESTAMP]


def test_it_stands_in_the_change_feed_once(site: TakingSite) -> None:
    gun = gun_of("signers")
    site.take(gun, parts_of("signers"))
    state = site.store.load(GUN(gun))
    assert set(state.files) >= {ROOT, TARGETS, SNAPSHOT, TIMESTAMP, RoleName("targets/alice")}
    assert {change.sha256 for change in site.store.changes(None, after=0, limit=10)} == {state.files[TIMESTAMP].sha256}


def test_the_check_does_not_ask_for_a_backup_of_keys_that_never_were_here(site: TakingSite) -> None:
    gun = GUN(gun_of("onetag"))
    site.take(gun, parts_of("onetag"))
    finding, *others = Audit(site.store, site.sealer, site.at).collection(site.store.load(gun))
    assert {other.code for other in others} == {"lives-too-long"}, "the fixtures' online roles live until 2046"
    assert (finding.code, finding.wrong) == ("online-key", False)
    assert "trust key rotate timestamp" in finding.remedy


def test_the_values_of_all_files_together_are_bounded(site: TakingSite, monkeypatch: pytest.MonkeyPatch) -> None:
    """Roots, too: each has a limit of its own, and there may be a thousand."""
    parts, gun = parts_of("deleg"), gun_of("deleg")
    values = sum(count_values(raw, most=10**6).values for name, raw in parts.items() if not name.startswith("key."))
    monkeypatch.setattr(collection_import, "MAX_UPLOAD_VALUES", values - 1)
    answer = site.take(gun, parts)
    refused(answer, 413, "too-large", f"the upload holds more than {values - 1} values")
    monkeypatch.setattr(collection_import, "MAX_UPLOAD_VALUES", values)
    assert site.take(gun, parts).status_code == 200


def test_it_is_recorded_once_with_its_files(site: TakingSite) -> None:
    state = STATES[0]
    for _ in range(2):
        assert site.take(gun_of(state), parts_of(state)).status_code == 200
    (row,) = site.get("/api/v1/events").json()["events"]
    event = row["event"]
    files = site.store.load(GUN(gun_of(state))).files
    assert (event["kind"], event["revision"], "tags" in event) == ("taken-over", 1, False)
    assert {each["sha256"] for each in event["roles"]["listed"]} >= {file.sha256 for file in files.values()}
