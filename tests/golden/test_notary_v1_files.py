"""Files of the real docker and notary clients: read, verified along their chains, and written again byte for byte."""

from __future__ import annotations

import hashlib
import itertools
import re
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from trustdata.envelope import Envelope
from trustdata.errors import ThresholdNotMet
from trustdata.model import NotaryTargets, Signature
from trustdata.roles import ROOT, SNAPSHOT, TARGETS, TIMESTAMP, RoleName, parse_role
from trustdata.verification import checks
from trustdata.verification.delegations import may_list, reachable_delegations
from trustdata.wire.notary import NOTARY

FOLDER = Path(__file__).with_name("notary_v1")
STATES = sorted(folder.name for folder in FOLDER.iterdir() if folder.is_dir())
FILES = sorted(FOLDER.glob("**/*.json"))


def role_of(file: Path) -> RoleName:
    """The role of `root.json`, `targets/qa.json`, `versions/3.root.json`, `versions/2.targets/qa.json`."""
    inner = "/".join(file.relative_to(FOLDER).parts[1:]).removeprefix("versions/").removesuffix(".json")
    return parse_role(re.sub(r"^[0-9]+\.", "", inner))


def read(file: Path) -> Envelope:
    return NOTARY.parse(role_of(file), file.read_bytes())


def current(state: str, role: RoleName) -> Envelope:
    return read(FOLDER / state / NOTARY.filename(role))


@pytest.mark.parametrize("file", FILES, ids=lambda file: str(file.relative_to(FOLDER)))
def test_every_file_is_written_again_to_its_bytes(file: Path) -> None:
    envelope = read(file)
    assert NOTARY.payload(envelope.content) == envelope.payload
    assert NOTARY.serialize(envelope.content, envelope.signatures) == file.read_bytes()


@pytest.mark.parametrize("state", STATES)
def test_every_root_chain_verifies_step_by_step(state: str) -> None:
    files = sorted((FOLDER / state / "versions").glob("*.root.json"), key=lambda file: int(file.name.split(".")[0]))
    chain = [read(file) for file in files]
    assert [root.version for root in chain] == list(range(1, len(chain) + 1))
    checks.check_signatures(chain[0].root, "root version 1", chain[0])
    for old, new in itertools.pairwise(chain):
        checks.check_root_step(old, new)
    assert chain[-1].raw == (FOLDER / state / "root.json").read_bytes()


@pytest.mark.parametrize("state", STATES)
def test_every_current_file_verifies_from_the_root_down(state: str) -> None:
    root, timestamp = current(state, ROOT), current(state, TIMESTAMP)
    checks.check_signatures(root.root, ROOT, timestamp)
    snapshot = current(state, SNAPSHOT)
    checks.check_content(SNAPSHOT, snapshot.raw, timestamp.timestamp.snapshot_meta)
    checks.check_signatures(root.root, ROOT, snapshot)
    listed = snapshot.snapshot.meta
    checks.check_content(ROOT, root.raw, listed["root.json"])
    loaded = {ROOT: root}
    for delegator, role in reachable_delegations(loaded):
        if not (FOLDER / state / NOTARY.filename(role)).exists():
            continue
        envelope = current(state, role)
        checks.check_content(role, envelope.raw, listed[f"{role}.json"])
        above = root.root if delegator == ROOT else loaded[delegator].targets
        checks.check_signatures(above, delegator, envelope)
        loaded[role] = envelope
    assert TARGETS in loaded
    assert len(loaded) - 1 == len(list((FOLDER / state).glob("targets/*.json"))) + 1


@pytest.mark.parametrize("state", STATES)
def test_no_signature_covers_a_changed_byte(state: str) -> None:
    root, targets = current(state, ROOT), current(state, TARGETS)
    changed = targets.raw.replace(b'"version":', b'"version":1')
    with pytest.raises(ThresholdNotMet):
        checks.check_signatures(root.root, ROOT, NOTARY.parse(TARGETS, changed))


def test_paths_are_prefixes() -> None:
    targets = current("deleg", TARGETS).targets
    assert targets.delegations is not None
    assert {name: role.paths for name, role in (targets.delegations.roles or {}).items()} == {
        "targets/releases": [""],
        "targets/qa": [],
    }
    assert may_list(targets, parse_role("targets/releases"), "anything/at all")
    # The old server takes such a file, and no old client finds its targets.
    assert "qa/x" in current("deleg", parse_role("targets/qa")).targets.targets
    assert not may_list(targets, parse_role("targets/qa"), "qa/x")


def test_hashes_and_digests_are_read_as_hex() -> None:
    targets = current("onetag", TARGETS)
    snapshot = current("onetag", SNAPSHOT)
    assert snapshot.snapshot.meta["targets.json"].hashes == {
        "sha256": hashlib.sha256(targets.raw).hexdigest(),
        "sha512": hashlib.sha512(targets.raw).hexdigest(),
    }
    for target in targets.targets.targets.values():
        assert len(target.hashes["sha256"]) == 64


def test_a_changed_expiry_is_written_and_an_unchanged_one_stays_to_the_nanosecond() -> None:
    content = current("onetag", TARGETS).targets
    assert isinstance(content, NotaryTargets)
    assert re.search(r"\.[0-9]{7,9}Z$", content.written)
    assert content.written.encode() in NOTARY.payload(content)
    content.expires += timedelta(days=1)
    assert content.written.encode() not in NOTARY.payload(content)
    again = NOTARY.parse(TARGETS, NOTARY.serialize(content, {}))
    assert again.expires == content.expires.replace(microsecond=0)
    assert again.expires > datetime(2026, 1, 1, tzinfo=UTC)


def test_signatures_keep_their_method() -> None:
    envelope = current("rsaroot", ROOT)
    assert {signature.unrecognized_fields["method"] for signature in envelope.signatures.values()} == {"rsapss"}
    assert all(isinstance(signature, Signature) for signature in envelope.signatures.values())
