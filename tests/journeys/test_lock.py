"""The lock file with the real programs: what it gives a machine that knows nothing, and what it cannot do to others."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.support.images import BuiltImage
from tests.support.server_process import ServerProcess
from tests.support.stage import People, Put
from tests.support.trust_program import TrustUser

pytestmark = pytest.mark.allow_hosts(["127.0.0.1"])

LOCK = "trust.lock"


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Callable[[Path], ServerProcess]]:
    """`server(data)`: a further trust server over this data folder."""
    running = []

    def start(data: Path) -> ServerProcess:
        data.parent.mkdir(parents=True, exist_ok=True)
        further = ServerProcess(data)
        further.start()
        running.append(further)
        return further

    yield start
    for each in running:
        each.kill()


def checkout(project: TrustUser, person: TrustUser) -> TrustUser:
    """The person has the project's repository."""
    shutil.copy(project.folder / LOCK, person.folder / LOCK)
    return person


def another_root(person: TrustUser, url: str, gun: str) -> TrustUser:
    """The person has made a collection of the same name at another server, and locked it."""
    person.environ["TRUST_SERVER"] = url
    person.run("init", gun, "--no-recovery-key")
    person.run("sign", f"{gun}:1.0")
    person.run("lock", gun)
    return person


# --- writing


def test_what_changes_is_shown_and_written(owner: TrustUser, gun: str, begun: BuiltImage, put: Put) -> None:
    file = owner.folder / LOCK
    owner.run("lock", expect=2).said("there is no trust.lock yet", "trust lock IMAGE")
    added = owner.run("lock", f"{gun}:1.0").said("trust.lock written")
    assert added.stdout == (
        f"+ {gun}\n    root       1  {owner.pin_of(gun)}\n    timestamp  2\n    snapshot   2\n    targets    2\n"
    )
    assert file.stat().st_mode & 0o7777 == 0o644
    before = file.read_bytes()
    assert owner.run("lock").said("trust.lock is up to date").stdout == ""
    assert file.read_bytes() == before

    put("2.0", text="two")
    owner.run("sign", f"{gun}:2.0")
    document = owner.run("--json", "lock").document()
    (row,) = document["collections"]
    assert (document["written"], document["exit"], row["gun"], row["change"]) == (True, 0, gun, "changed")
    assert row["before"]["minimum"] == {"timestamp": 2, "snapshot": 2, "targets": 2}
    assert row["after"]["minimum"] == {"timestamp": 3, "snapshot": 3, "targets": 3}
    file.write_bytes(before)
    raised = owner.run("lock", gun)
    assert raised.stdout == f"~ {gun}\n    timestamp  2 -> 3\n    snapshot   2 -> 3\n    targets    2 -> 3\n"

    owner.run("lock", "--remove", f"{gun}-nobody", expect=2).said("trust.lock has no")
    assert owner.run("lock", "--remove", gun).stdout == f"- {gun}\n"
    assert gun.encode() not in file.read_bytes()
    assert [path.name for path in owner.folder.glob("*lock*")] == [LOCK]


def test_only_what_was_verified_gets_in_and_all_or_nothing(
    owner: TrustUser, people: People, gun: str, begun: BuiltImage, put: Put
) -> None:
    nobody = people("nobody")
    nobody.run("lock", gun, expect=4).said(f"{gun} is not pinned here", "trust.lock is left as it was")
    assert not (nobody.folder / LOCK).exists()
    nobody.run("--tofu", "lock", gun)
    assert nobody.pin_of(gun) == owner.pin_of(gun)
    before = (nobody.folder / LOCK).read_bytes()

    put("2.0", text="two")
    owner.run("sign", f"{gun}:2.0")
    mixed = nobody.run("--json", "lock", gun, f"{gun}-unknown", expect=3).document()
    assert (mixed["written"], [row["gun"] for row in mixed["failures"]]) == (False, [f"{gun}-unknown"])
    assert [(row["change"], row["state"]) for row in mixed["collections"]] == [
        ("unchanged", "not tried"),
        ("unchanged", "failed"),
    ]
    assert (nobody.folder / LOCK).read_bytes() == before


def test_a_named_file(owner: TrustUser, people: People, gun: str, begun: BuiltImage) -> None:
    owner.run("--lock", "pins/ci.lock", "lock", gun, expect=1).said("pins/ci.lock cannot be written")
    owner.run("--lock", "ci.lock", "lock", gun).said("ci.lock written")
    runner = people("runner")
    shutil.copy(owner.folder / "ci.lock", runner.folder / "ci.lock")
    runner.run("verify", f"{gun}:1.0", expect=4).said("is not pinned here")
    runner.run("--lock", "other.lock", "verify", f"{gun}:1.0", expect=2).said("other.lock", "no such lock file")
    assert runner.run("verify", f"{gun}:1.0", "--lock", "ci.lock").stdout == f"{gun}@{begun.digest}\n"


# --- a machine that knows nothing


def test_a_fresh_machine_is_shown_no_older_state(
    *,
    tmp_path: Path,
    owner: TrustUser,
    people: People,
    gun: str,
    put: Put,
    server: Callable[[Path], ServerProcess],
) -> None:
    first = server(tmp_path / "first" / "data")
    owner.environ["TRUST_SERVER"] = first.url
    put("1.0")
    owner.run("init", gun, "--no-recovery-key")
    owner.run("sign", f"{gun}:1.0")
    first.stop()
    shutil.copytree(first.data, tmp_path / "older" / "data")
    first.start()
    owner.environ["TRUST_SERVER"] = first.url
    newer = put("1.0", text="without the hole")
    owner.run("sign", f"{gun}:1.0")
    owner.run("lock", gun)

    older = server(tmp_path / "older" / "data")
    runner = checkout(owner, people("runner"))
    refused = runner.run("verify", f"{gun}:1.0", expect=4, TRUST_SERVER=older.url)
    refused.said("timestamp version 2 is older than version 3, locked in trust.lock")
    runner.run("inspect", gun, expect=4, TRUST_SERVER=older.url)
    runner.run("sign", f"{gun}:1.0", expect=4, TRUST_SERVER=older.url)
    for _ in range(2):
        assert runner.run("verify", f"{gun}:1.0", TRUST_SERVER=first.url).stdout == f"{gun}@{newer.digest}\n"
    assert runner.run("pins").stdout == "", "a lock's pin holds where the lock is"
    offline = runner.run("verify", "--offline", f"{gun}:1.0", TRUST_SERVER="http://127.0.0.1:9")
    assert offline.stdout == f"{gun}@{newer.digest}\n"


def test_offline_the_lock_is_asked_too(owner: TrustUser, people: People, gun: str, begun: BuiltImage, put: Put) -> None:
    owner.run("lock", gun)
    runner = checkout(owner, people("runner"))
    runner.run("verify", f"{gun}:1.0")
    put("2.0", text="two")
    owner.run("sign", f"{gun}:2.0")
    owner.run("lock")
    checkout(owner, runner)
    runner.run("verify", "--offline", f"{gun}:1.0", expect=4).said("locked in trust.lock")
    runner.run("verify", f"{gun}:2.0")
    runner.run("verify", "--offline", f"{gun}:1.0")


def test_a_runner_brings_the_lock_up_to_date_with_nothing_else(
    owner: TrustUser, people: People, gun: str, begun: BuiltImage
) -> None:
    owner.run("lock", gun)
    owner.run("key", "rotate", "root", gun)
    owner.run("key", "rotate", "snapshot", gun)
    runner = checkout(owner, people("runner"))
    assert "root       1 -> 3  sha256:" in runner.run("lock").stdout
    owner.run("lock")
    assert (runner.folder / LOCK).read_bytes() == (owner.folder / LOCK).read_bytes()
    assert checkout(runner, people("next")).run("verify", f"{gun}:1.0").stdout == f"{gun}@{begun.digest}\n"


@pytest.mark.parametrize(
    ("damage", "sentence"),
    [
        (lambda text: text + "<<<<<<< ours\n", "line 14, cannot be used: is not TOML"),
        (lambda text: text.replace("lock-1", "lock-x"), "line 3, cannot be used: is not of format"),
        (lambda text: text.replace("timestamp = 2", "timestamp = 0"), "line 11, cannot be used: timestamp must"),
        (lambda _: "", "is not of format"),
    ],
)
def test_a_damaged_lock_is_never_passed_over(
    *, owner: TrustUser, gun: str, begun: BuiltImage, damage: Callable[[str], str], sentence: str
) -> None:
    owner.run("lock", gun)
    file = owner.folder / LOCK
    file.write_text(damage(file.read_text()))
    before = file.read_bytes()
    for command in (["verify", f"{gun}:1.0"], ["sign", f"{gun}:1.0"], ["inspect", gun], ["lock"], ["lock", gun]):
        owner.run(*command, expect=4).said(sentence, "restore trust.lock from version control")
    assert file.read_bytes() == before
    file.unlink()
    file.mkdir()
    owner.run("verify", f"{gun}:1.0", expect=4).said("Is a directory")


# --- beside others who know the name


def test_pins_that_disagree_and_the_two_ways_out(
    *,
    tmp_path: Path,
    owner: TrustUser,
    people: People,
    gun: str,
    begun: BuiltImage,
    server: Callable[[Path], ServerProcess],
) -> None:
    elsewhere = server(tmp_path / "elsewhere" / "data").url
    here = owner.environ["TRUST_SERVER"]
    stranger = another_root(people("stranger"), elsewhere, gun)
    honest, other = owner.pin_of(gun), stranger.pin_of(gun)
    owner.run("lock", gun)

    victim = checkout(stranger, people("victim"))
    victim.knows(gun, honest)
    for url in (here, elsewhere):
        refused = victim.run("verify", f"{gun}:1.0", expect=4, TRUST_SERVER=url)
        refused.said("the lock file trust.lock and", "pins.toml disagree", honest, other, f"trust lock --replace {gun}")
        victim.run("lock", expect=4, TRUST_SERVER=url).said("disagree", "trust.lock is left as it was")
    row = victim.run("--json", "verify", f"{gun}:1.0", expect=4).document()["images"][0]["error"]
    assert (row["code"], row["details"]["locked"], row["details"]["known"]) == ("lock-disagrees", other, honest)
    victim.run("lock", "--replace", gun)
    assert (victim.folder / LOCK).read_bytes() == (owner.folder / LOCK).read_bytes()
    victim.run("verify", f"{gun}:1.0")

    moved = checkout(stranger, people("moved"))
    moved.knows(gun, honest)
    moved.run("pin", gun, other, "--replace")
    moved.run("verify", f"{gun}:1.0", TRUST_SERVER=elsewhere)


def test_a_stranger_s_lock_pins_nothing_that_was_verified_before(
    *,
    tmp_path: Path,
    owner: TrustUser,
    people: People,
    gun: str,
    begun: BuiltImage,
    server: Callable[[Path], ServerProcess],
) -> None:
    elsewhere = server(tmp_path / "elsewhere" / "data").url
    stranger = another_root(people("stranger"), elsewhere, gun)
    victim = people("victim")
    victim.run("verify", f"{gun}:1.0", TRUST_PIN=owner.pin_of(gun))  # known by memory alone from now on
    checkout(stranger, victim)
    refused = victim.run("verify", f"{gun}:1.0", expect=4, TRUST_SERVER=elsewhere)
    refused.said("disagree", "what this machine has verified before")
    victim.run("--tofu", "verify", f"{gun}:1.0", expect=4, TRUST_SERVER=elsewhere)
    victim.run("verify", f"{gun}:1.0", expect=4, TRUST_PIN=owner.pin_of(gun)).said("and --pin disagree")
    assert victim.run("pins").stdout == ""


def test_a_locked_name_is_not_begun_anew(
    *,
    tmp_path: Path,
    owner: TrustUser,
    people: People,
    gun: str,
    begun: BuiltImage,
    server: Callable[[Path], ServerProcess],
) -> None:
    owner.run("lock", gun)
    empty = server(tmp_path / "empty" / "data")
    runner = checkout(owner, people("runner"))
    runner.environ["TRUST_SERVER"] = empty.url
    withheld = f"trust data of {gun} is withheld: trust.lock knows this name"
    runner.run("sign", f"{gun}:1.0", "--init", "--no-recovery-key", expect=4).said(withheld)
    runner.run("verify", f"{gun}:1.0", expect=4).said(withheld)
    runner.run("--tofu", "verify", f"{gun}:1.0", expect=4).said(withheld)
    runner.run("lock", expect=4).said(withheld)
    runner.run("init", gun, "--no-recovery-key", expect=7).said(f"{gun} is known already (by trust.lock)")
    assert empty.get(f"/api/v1/collections/{gun}")[0] == 404
