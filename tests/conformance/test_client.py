"""Our own tests of the conformance command line, on a real clock and loopback: init, refresh, download."""

from __future__ import annotations

import hashlib
import json
import subprocess
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from tests.conformance.command_line import main
from tests.simulator import keyring
from tests.simulator.forgery import Document, Forger, file_of, text_of
from tests.simulator.owner import Owner
from tests.simulator.repository import RepositorySimulator
from tests.support.oracle import LoopbackServer, loopback_server
from trustdata.gun import NAME_MEMBER
from trustdata.roles import RELEASES, ROOT, SNAPSHOT, TARGETS, TIMESTAMP, RoleName
from trustdata.wire.tuf import TUF

BLOB = b"an artifact"
PAST = "2020-01-01T00:00:00Z"


class Suite:
    """One test of the suite: a repository, a client folder, and the three verbs."""

    def __init__(self, web: LoopbackServer, folder: Path) -> None:
        self.web = web
        self.metadata, self.targets = folder / "metadata", folder / "targets"
        self.site = RepositorySimulator(at=datetime.now(UTC))
        self.owner = Owner(self.site)
        self.owner.initialise()
        self.forger = Forger(self.site)
        web.site = self.site
        trusted = folder / "trusted.json"
        trusted.write_bytes(self.site.files["1.root.json"])
        assert self.run("init", str(trusted)) == 0

    def run(self, *arguments: str) -> int:
        return main(["--metadata-dir", str(self.metadata), *self.urls, *arguments])

    @property
    def urls(self) -> list[str]:
        return ["--metadata-url", f"{self.web.url}/metadata/"]

    def refresh(self) -> int:
        return self.run("refresh")

    def download(self, *names: str) -> int:
        chosen = [part for name in names for part in ("--target-name", name)]
        where = ["--target-base-url", f"{self.web.url}/targets/", "--target-dir", str(self.targets)]
        return self.run(*chosen, *where, "download")

    def versions(self) -> dict[str, int]:
        return {
            path.stem: TUF.parse(RoleName(path.stem), path.read_bytes()).version
            for path in self.metadata.glob("*.json")
            if "%" not in path.stem
        }

    def offer(self, name: str, blob: bytes = BLOB, **hashes: str) -> None:
        """An artifact, listed in targets and lying under its plain and its prefixed name."""
        digests = hashes or {"sha256": hashlib.sha256(blob).hexdigest()}

        def listed(document: Document) -> None:
            document["version"] += 1
            document["targets"][name] = {"length": len(blob), "hashes": digests}

        self.forger.alter(TARGETS, listed)
        parent, separator, last = name.rpartition("/")
        for place in (name, f"{parent}{separator}{next(iter(digests.values()))}.{last}"):
            self.web.blobs[place] = blob


@pytest.fixture
def suite(tmp_path: Path) -> Iterator[Suite]:
    with loopback_server() as web:
        yield Suite(web, tmp_path)


def test_the_program_itself(suite: Suite) -> None:
    program = Path(__file__).with_name("client")
    done = subprocess.run(
        [program, "--metadata-dir", suite.metadata, *suite.urls, "refresh"], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")
    wrong = subprocess.run([program, "nonsense"], capture_output=True, check=False)
    assert wrong.returncode == 1


def test_init_asks_nobody(suite: Suite) -> None:
    assert suite.web.requests == []
    assert suite.versions() == {"root": 1}


@pytest.mark.parametrize(
    "spoil",
    [
        lambda file: file.update(signatures=[]),
        lambda file: [signature.update(sig="00") for signature in file["signatures"]],
        lambda file: file["signed"].update(version="1"),
        lambda file: file.pop("signed"),
        lambda file: file["signed"].update(_type="targets"),
    ],
    ids=["unsigned", "signed-by-nobody", "version-text", "nothing-signed", "no-root"],
)
@pytest.mark.parametrize("verb", ["refresh", "download"])
def test_an_initial_root_that_is_none_is_judged_before_anybody_is_asked(
    suite: Suite, spoil: Callable[[Document], object], verb: str
) -> None:
    """Two cases of the public suite want no request at all."""
    file = json.loads(suite.site.files["1.root.json"])
    spoil(file)
    (suite.metadata / "root.json").write_bytes(text_of(file))
    suite.web.requests.clear()
    assert (suite.refresh() if verb == "refresh" else suite.download("a")) == 1
    assert suite.web.requests == []


def test_an_initial_root_that_is_no_json(suite: Suite) -> None:
    (suite.metadata / "root.json").write_bytes(b"<html>")
    assert suite.refresh() == 1
    assert suite.web.requests == []


def test_repositories_of_any_name_are_read(suite: Suite) -> None:
    """The suite's have none; one of ours has another than this client could know, and may change it."""
    suite.forger.next_root(lambda d: d.update({NAME_MEMBER: "registry.example.com/another"}))
    assert suite.refresh() == 0
    suite.forger.next_root(lambda d: d.pop(NAME_MEMBER))
    assert suite.refresh() == 0


def test_refresh_keeps_unversioned_files(suite: Suite) -> None:
    assert suite.refresh() == 0
    assert suite.versions() == {"root": 1, "timestamp": 1, "snapshot": 1, "targets": 1}
    suite.owner.renew(ROOT, TARGETS)
    assert suite.refresh() == 0
    assert suite.versions() == {"root": 2, "timestamp": 2, "snapshot": 2, "targets": 2}


def test_refresh_twice_fetches_what_may_have_changed(suite: Suite) -> None:
    suite.refresh()
    suite.web.requests.clear()
    assert suite.refresh() == 0
    assert suite.web.requests == ["/metadata/2.root.json", "/metadata/timestamp.json"]


@pytest.mark.parametrize("role", [ROOT, TIMESTAMP, SNAPSHOT, TARGETS])
def test_expired(suite: Suite, role: RoleName) -> None:
    suite.refresh()

    def expired(document: Document) -> None:
        document["version"] += 1
        document["expires"] = PAST

    suite.forger.alter(role, expired, reissue=role != ROOT)
    assert suite.refresh() == 1


def test_an_expired_timestamp_in_the_cache_is_a_baseline_only(suite: Suite) -> None:
    suite.refresh()
    cached = Forger(suite.site)
    cached.alter(TIMESTAMP, lambda d: d.update(version=9, expires=PAST))
    (suite.metadata / "timestamp.json").write_bytes(suite.site.files["timestamp.json"])
    suite.forger.alter(TIMESTAMP, lambda d: d.update(version=8, expires="2099-01-01T00:00:00Z"))
    assert suite.refresh() == 1
    suite.forger.alter(TIMESTAMP, lambda d: d.update(version=10, expires="2099-01-01T00:00:00Z"))
    assert suite.refresh() == 0


@pytest.mark.parametrize("role", [TIMESTAMP, SNAPSHOT])
def test_key_rotations_and_fast_forward_recovery(suite: Suite, role: RoleName) -> None:
    suite.refresh()
    honest = suite.site.copy()
    suite.forger.alter(TIMESTAMP, lambda d: d.update(version=10**9))
    assert suite.refresh() == 0
    suite.web.site = honest
    honest.issue()
    assert suite.refresh() == 1
    Owner(honest).replace_online_key(role)
    assert suite.refresh() == 0
    assert suite.versions()["timestamp"] == honest.versions()[TIMESTAMP]


def test_rollbacks(suite: Suite) -> None:
    old = suite.site.copy()
    suite.owner.renew(TARGETS)
    suite.refresh()
    suite.web.site = old
    assert suite.refresh() == 1
    suite.web.site = suite.site
    assert suite.refresh() == 0


def test_without_consistent_snapshots(suite: Suite) -> None:
    def plain(document: Document) -> None:
        document["consistent_snapshot"] = False

    suite.forger.next_root(plain)
    suite.site.files |= {f"{role}.json": suite.site.stored[role].raw for role in (SNAPSHOT, TARGETS)}
    suite.offer("plain")
    suite.web.requests.clear()
    assert suite.download("plain") == 0
    assert "/metadata/snapshot.json" in suite.web.requests
    assert suite.web.requests[-1] == "/targets/plain"


def test_download_once(suite: Suite) -> None:
    suite.offer("folder/file.txt")
    assert suite.download("folder/file.txt") == 0
    (kept,) = suite.targets.iterdir()
    assert kept.read_bytes() == BLOB
    assert suite.web.requests[-1] == f"/targets/folder/{hashlib.sha256(BLOB).hexdigest()}.file.txt"
    suite.web.requests.clear()
    assert suite.download("folder/file.txt") == 0
    assert [path for path in suite.web.requests if path.startswith("/targets/")] == []
    kept.write_bytes(b"something else")
    assert suite.download("folder/file.txt") == 0
    assert kept.read_bytes() == BLOB


def test_downloads_in_order_stop_at_the_first_failure(suite: Suite) -> None:
    suite.offer("a")
    suite.offer("b")
    assert suite.download("a", "missing", "b") == 1
    assert [path.name for path in suite.targets.iterdir()] == ["a"]
    assert suite.download("a", "b") == 0


@pytest.mark.parametrize("blob", [b"another one", b"an artifact, longer", b"short"])
def test_an_artifact_that_is_not_the_signed_one(suite: Suite, blob: bytes) -> None:
    suite.offer("a")
    for name in list(suite.web.blobs):
        suite.web.blobs[name] = blob
    assert suite.download("a") == 1
    assert not suite.targets.exists() or list(suite.targets.iterdir()) == []


def test_an_artifact_that_is_not_there(suite: Suite) -> None:
    suite.offer("a")
    suite.web.blobs.clear()
    assert suite.download("a") == 1


@pytest.mark.parametrize("name", ["?", "#", "/delegated", "../delegated", "ä b", "a%2Fb", "x" * 80])
def test_odd_role_names(suite: Suite, name: str) -> None:
    delegated: dict[str, Any] = {
        "keys": {keyring.keyid("alice"): keyring.key("alice").to_dict()},
        "roles": [
            {"name": name, "keyids": [keyring.keyid("alice")], "threshold": 1, "terminating": False, "paths": ["*"]}
        ],
    }
    suite.offer("z")
    suite.forger.alter(TARGETS, lambda d: (d.update(version=d["version"] + 1), d.update(delegations=delegated)))
    listed = {"odd": {"length": len(BLOB), "hashes": {"sha256": hashlib.sha256(BLOB).hexdigest()}}}
    document = suite.forger.document(TARGETS) | {"version": 1, "targets": listed}
    document.pop("delegations", None)
    suite.web.blobs[f"{hashlib.sha256(BLOB).hexdigest()}.odd"] = BLOB
    role = RoleName(name)
    suite.forger.put(role, file_of(text_of(document), [keyring.signer("alice")]), version=1)
    assert suite.download("odd") == 0
    assert {path.parent for path in suite.metadata.iterdir()} == {suite.metadata}


def test_no_root_no_trust(tmp_path: Path) -> None:
    assert main(["--metadata-dir", str(tmp_path), "--metadata-url", "http://127.0.0.1:9/", "refresh"]) == 1
    assert main(["--metadata-dir", str(tmp_path), "refresh"]) == 1
    assert main(["--metadata-dir", str(tmp_path), "init", str(tmp_path / "none")]) == 1


def test_another_root_than_the_trusted_one(suite: Suite, tmp_path: Path) -> None:
    suite.refresh()
    other = RepositorySimulator(at=datetime.now(UTC) + timedelta(hours=1), online_keys=" of another")
    Owner(other, "another root", "targets").initialise("another root")
    suite.web.site = other
    assert suite.refresh() == 1
    assert RELEASES not in other.stored
