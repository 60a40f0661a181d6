"""`trust inspect` on what the real clients have written says what `docker trust inspect` said of it, byte for byte.

One state is shown otherwise, on purpose: docker hides a collection whose targets have expired (status 1, nothing on
standard output). We list it, so that its owner sees what there is to renew, with an error and the status 4 of trust
data that does not verify; `trust verify` refuses it. The recorded targets are valid until 2029.
"""

from __future__ import annotations

import json
import shlex
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.journeys.recorded_notary import RecordedNotary
from tests.support.trust_program import TrustUser
from trustcli.console.exit_codes import NOT_TRUSTED

pytestmark = pytest.mark.allow_hosts(["127.0.0.1"])

GOLDEN = Path(__file__).parents[1] / "golden"
RECORDED = GOLDEN / "docker_trust_inspect"
EXPIRED = "expired-targets-inspect"
EARLIER = {
    "onetag-inspect": ("onetag", 1),
    "onetag-inspect-pretty": ("onetag", 1),
    "deleg-docker-inspect": ("deleg", 7),
}
"""Recorded before the collection had all that its files have now: the timestamp's version then."""
ROWS = [line.split("\t") for line in (RECORDED / "commands.tsv").read_text().splitlines()]
STATES = [(name, int(status), shlex.split(command)[3:]) for name, status, command in ROWS]


@pytest.fixture
def server() -> Iterator[RecordedNotary]:
    running = RecordedNotary(GOLDEN / "notary_v1")
    yield running
    running.close()


@pytest.fixture
def reader(server: RecordedNotary, tmp_path: Path) -> TrustUser:
    """Somebody who knows no collection yet."""
    return TrustUser(tmp_path / "reader", server.url)


def test_all_that_was_recorded_is_here() -> None:
    assert len(STATES) == 20
    assert {name for name, _, _ in STATES} == {path.stem for path in RECORDED.glob("*.txt")}


@pytest.mark.parametrize(
    ("name", "status", "arguments"), [pytest.param(*state, id=state[0]) for state in STATES if state[0] != EXPIRED]
)
def test_as_docker_said_it(
    *, name: str, status: int, arguments: list[str], reader: TrustUser, server: RecordedNotary
) -> None:
    if name in EARLIER:
        server.go_back(*EARLIER[name])
    ran = reader.run("--tofu", "inspect", *arguments, expect=None)
    assert ran.stdout.encode() == (RECORDED / f"{name}.txt").read_bytes(), str(ran)
    assert (ran.status == 0) is (status == 0), str(ran)
    failing = [image for image in arguments if "nodata" in image]
    assert ran.stderr.count("no signatures or cannot access ") == len(failing)
    for image in failing:
        ran.said(f"no signatures or cannot access {image}\n")


def test_a_second_look_says_the_same(reader: TrustUser) -> None:
    """Now the collections are pinned, remembered and cached, and nobody asks in which format they are."""
    images = [f"127.0.0.1:5000/cap3286/{name}" for name in ("signers", "rsaroot", "nodata", "initonly")]
    first = reader.run("--tofu", "inspect", *images, expect=None)
    second = reader.run("inspect", *images, expect=None)
    assert (second.stdout, second.status) == (first.stdout, first.status)
    assert len(json.loads(second.stdout)) == 3


def test_expired_targets_are_listed_as_expired_and_never_trusted(reader: TrustUser) -> None:
    (arguments,) = (arguments for name, _, arguments in STATES if name == EXPIRED)
    (image,) = arguments
    ran = reader.run("--tofu", "inspect", image, expect=NOT_TRUSTED)
    (entry,) = json.loads(ran.stdout)
    assert entry["Name"] == image
    assert entry["SignedTags"]
    ran.said("targets", "expired on")
    tag = entry["SignedTags"][0]["SignedTag"]
    verify = ("verify", f"{image}:{tag}")
    reader.run(*verify, expect=NOT_TRUSTED).said("timestamp version 1 is valid until 2046-11-16", "more than 60 days")
    (reader.home / "trust.toml").write_text('[max_life]\n"127.0.0.1:5000/*" = "9999d"\n')
    refused = reader.run(*verify, expect=NOT_TRUSTED).said("targets", "expired on")
    assert refused.stdout == ""
