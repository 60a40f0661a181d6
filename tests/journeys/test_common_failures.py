"""The commonest failures, made with the real programs: each says what, why, which role or key, and the next command.

The sentences stand in docs/guides/troubleshooting.md, and are read there: page and program cannot drift apart.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.journeys.late_client import LateUser
from tests.support.hostile_server import HostileServer, Script, reply
from tests.support.images import BuiltImage
from tests.support.programs import RunningProgram
from tests.support.server_process import ServerProcess
from tests.support.stage import OTHER_DIGEST, People, Put
from tests.support.token_registries import ALICE, REPOSITORY, TokenRegistry, docker_config
from tests.support.troubleshooting import replay, sections
from tests.support.trust_program import TrustUser

pytestmark = pytest.mark.allow_hosts(["127.0.0.1"])

Serve = Callable[[Script], HostileServer]
ENOUGH = 50_000
"""Questions that take longer than what the server does in the background."""


def values(person: TrustUser, gun: str, **more: str) -> dict[str, str]:
    """What the page's words in capitals stand for."""
    host = gun.partition("/")[0]
    return {"NAME": gun, "HOST": host, "SERVER": person.environ["TRUST_SERVER"], "HOME": str(person.home), **more}


# --- what is and what is not signed


def test_the_tag_is_not_signed(owner: TrustUser, gun: str, begun: BuiltImage) -> None:
    verified, explained = replay("The tag is not signed", owner, values(owner, gun))
    assert (verified.status, explained.status) == (3, 3)


def test_the_name_has_no_trust_data(people: People, gun: str) -> None:
    stranger = people("stranger")
    (verified,) = replay("The name has no trust data", stranger, values(stranger, gun))
    assert verified.status == 3


def test_first_contact(people: People, gun: str, begun: BuiltImage) -> None:
    stranger = people("stranger")
    verified, doctor = replay("First contact without a pin", stranger, values(stranger, gun))
    assert (verified.status, doctor.status) == (4, 1)


def test_a_signer_who_has_not_signed(owner: TrustUser, gun: str, begun: BuiltImage) -> None:
    (owner.folder / "keys").mkdir()
    owner.run("key", "generate", "alice", "--dir", "keys")
    owner.run("signer", "add", "--key", "keys/alice.pub", "alice", gun)
    verified, explained, doctor = replay("A signer who has not signed", owner, values(owner, gun))
    assert (verified.status, explained.status, doctor.status) == (5, 5, 0)


def test_tag_and_digest_do_not_belong_together(owner: TrustUser, gun: str, begun: BuiltImage) -> None:
    found = values(owner, gun, DIGEST=begun.digest, OTHER=OTHER_DIGEST)
    (verified,) = replay("Tag and digest do not belong together", owner, found)
    assert verified.status == 4


def test_the_registry_s_tag_has_moved(owner: TrustUser, gun: str, begun: BuiltImage, put: Put) -> None:
    moved = put("1.0", text="something else")
    found = values(owner, gun, DIGEST=begun.digest, OTHER=moved.digest)
    (explained,) = replay("The registry's tag has moved", owner, found)
    assert explained.status == 0


def test_the_image_was_not_pushed(owner: TrustUser, gun: str, begun: BuiltImage) -> None:
    (signed,) = replay("The image was not pushed", owner, values(owner, gun))
    assert signed.status == 3


# --- 401 means five things


@pytest.mark.parametrize(
    ("heading", "registry", "who"),
    [
        ("401: no credentials", TokenRegistry(), None),
        ("401: wrong credentials", TokenRegistry(), ("alice", "wrong")),
        ("401: the right is missing", TokenRegistry(), ALICE),
        (
            "401: the repository does not exist",
            TokenRegistry(grants={REPOSITORY: ["pull", "push"]}, exists=False),
            ALICE,
        ),
        ("401: a token for another repository", TokenRegistry(grants={"other/app": ["pull"]}), ALICE),
    ],
)
def test_401(heading: str, registry: TokenRegistry, who: tuple[str, str] | None, people: People, serve: Serve) -> None:
    host = f"127.0.0.1:{serve(registry).port}"
    person = people("someone")
    if who is not None:
        (person.folder / "docker").mkdir()
        (person.folder / "docker" / "config.json").write_text(docker_config(host=host, who=who))
    signed, doctor = replay(heading, person, values(person, f"{host}/{REPOSITORY}"))
    assert (signed.status, doctor.status) == (7, 1)
    assert not (person.home / "pins.toml").exists(), "nothing was made"


# --- servers and the way to them


def test_a_private_ca(tmp_path: Path, owner: TrustUser, gun: str, begun: BuiltImage) -> None:
    folder = tmp_path / "tls-server"
    folder.mkdir()
    server = ServerProcess(folder / "data")
    server.start("--self-signed")
    try:
        owner.environ["TRUST_SERVER"] = server.url
        verified, doctor = replay("A private CA", owner, values(owner, gun))
    finally:
        server.kill()
    assert (verified.status, doctor.status) == (6, 1)


def test_the_server_is_down(owner: TrustUser, gun: str, begun: BuiltImage) -> None:
    owner.environ["TRUST_SERVER"] = "http://127.0.0.1:1"
    verified, doctor = replay("The server is down", owner, values(owner, gun))
    assert (verified.status, doctor.status) == (6, 1)


def test_the_server_is_busy(tmp_path: Path, own_server: ServerProcess, gun: str, put: Put) -> None:
    own_server.program = ("tests.journeys.slow_minute_server", "serve")
    own_server.start("--publishes-per-collection", "2")
    owner = TrustUser(tmp_path / "busy-owner", own_server.url)
    put("1.0")
    owner.run("init", gun, "--no-recovery-key")
    owner.run("sign", f"{gun}:1.0")
    (revoked,) = replay("The server is busy", owner, values(owner, gun))
    assert revoked.status == 6


def test_the_server_takes_no_more_names(tmp_path: Path, own_server: ServerProcess, gun: str) -> None:
    own_server.start("--max-collections", "1")
    owner = TrustUser(tmp_path / "one-of-many", own_server.url)
    owner.run("init", f"{gun}-other", "--no-recovery-key")
    (refused,) = replay("The server takes no more names", owner, values(owner, gun))
    assert refused.status == 7


def test_not_a_trust_server(owner: TrustUser, gun: str, begun: BuiltImage, shared_registry: RunningProgram) -> None:
    owner.environ["TRUST_SERVER"] = f"http://{shared_registry.netloc}"
    verified, doctor = replay("Not a trust server", owner, values(owner, gun))
    assert (verified.status, doctor.status) == (4, 1)


@pytest.mark.parametrize("scheme", ["http", "https"])
def test_a_proxy_in_the_way(scheme: str, owner: TrustUser, gun: str, begun: BuiltImage, serve: Serve) -> None:
    proxy = serve(lambda _, wire: wire.send(reply(407, b"who?", {"Proxy-Authenticate": 'Basic realm="office"'})))
    netloc = f"127.0.0.1:{proxy.port}"
    owner.environ |= {"TRUST_SERVER": f"{scheme}://trust.example.com", "ALL_PROXY": f"http://{netloc}"}
    verified, doctor = replay("A proxy in the way", owner, values(owner, gun, PROXY=netloc))
    assert (verified.status, doctor.status) == (6, 1)


def test_no_container_engine(owner: TrustUser, gun: str, begun: BuiltImage) -> None:
    owner.environ["DOCKER_HOST"] = f"unix://{owner.folder}/no.sock"
    (signed,) = replay("No container engine", owner, values(owner, gun))
    assert signed.status == 6


# --- time


def test_the_timestamp_has_expired_or_the_clock_is_wrong(owner: TrustUser, gun: str, begun: BuiltImage) -> None:
    late = LateUser(owner, 5)
    late.environ["TRUST_SERVER"] = owner.environ["TRUST_SERVER"]
    for heading, statuses in (("The timestamp has expired", [4, 4]), ("The clock here is wrong", [4, 1])):
        assert [ran.status for ran in replay(heading, late, values(late, gun))] == statuses


@pytest.fixture
def old_collection(tmp_path: Path, own_server: ServerProcess, gun: str, put: Put) -> TrustUser:
    """An owner who has signed a year and more ago; the server has gone on renewing its own roles."""
    own_server.start()
    owner = TrustUser(tmp_path / "old-owner", own_server.url)
    put("1.0")
    owner.run("init", gun, "--no-recovery-key")
    owner.run("sign", f"{gun}:1.0")
    file = f"/tuf/{gun}/metadata/timestamp.json"
    before = own_server.get(file)[1]
    own_server.stop()
    own_server.program = ("tests.journeys.late_server", "serve")
    own_server.start(environ={"DAYS": "400"})
    # It renews in the background, once it serves.
    assert any(own_server.get(file)[1] != before for _ in range(ENOUGH))
    late = LateUser(owner, 400)
    late.environ["TRUST_SERVER"] = own_server.url
    return late


def test_an_owner_s_role_has_expired(old_collection: TrustUser, gun: str) -> None:
    verified, doctor = replay("An owner's role has expired", old_collection, values(old_collection, gun))
    assert (verified.status, doctor.status) == (4, 1)


# --- keys and passphrases


def test_no_key_here_may_sign(owner: TrustUser, people: People, gun: str, begun: BuiltImage) -> None:
    bob = people("bob")
    bob.knows(gun, owner.pin_of(gun))
    bob.run("key", "generate", "bob")
    signed, doctor = replay("No key here may sign", bob, values(bob, gun))
    assert (signed.status, doctor.status) == (8, 0)


def test_a_wrong_passphrase_and_none(owner: TrustUser, gun: str, begun: BuiltImage) -> None:
    found = values(owner, gun, DIGEST=begun.digest)
    owner.environ["TRUST_REPOSITORY_PASSPHRASE"] = "not this one"
    (signed,) = replay("A wrong passphrase", owner, found)
    assert signed.status == 8
    assert "not this one" not in signed.stderr
    del owner.environ["TRUST_REPOSITORY_PASSPHRASE"]
    (signed,) = replay("Nobody can be asked for a passphrase", owner, found)
    assert signed.status == 8


# --- what is known here


def test_pins_disagree(owner: TrustUser, gun: str, begun: BuiltImage) -> None:
    owner.environ["TRUST_PIN"] = OTHER_DIGEST
    verified, explained = replay("Pins disagree", owner, values(owner, gun))
    assert (verified.status, explained.status) == (4, 4)


def test_the_lock_file_disagrees(owner: TrustUser, gun: str, begun: BuiltImage) -> None:
    owner.run("lock", gun)
    lock = owner.folder / "trust.lock"
    lock.write_text(lock.read_text().replace(owner.pin_of(gun), OTHER_DIGEST))
    verified, doctor = replay("The lock file disagrees", owner, values(owner, gun))
    assert (verified.status, doctor.status) == (4, 1)


def test_an_older_state_is_offered(owner: TrustUser, gun: str, begun: BuiltImage) -> None:
    seen = owner.home / "seen.json"
    document = json.loads(seen.read_text())
    document["collections"][gun]["roles"]["timestamp"]["version"] += 1
    seen.write_text(json.dumps(document))
    shutil.rmtree(owner.home / "cache")
    verified, doctor = replay("An older state is offered", owner, values(owner, gun))
    assert (verified.status, doctor.status) == (4, 1)


def test_a_known_name_without_data(owner: TrustUser, gun: str, begun: BuiltImage, own_server: ServerProcess) -> None:
    own_server.start()
    owner.environ["TRUST_SERVER"] = own_server.url
    verified, doctor = replay("A known name without data", owner, values(owner, gun))
    assert (verified.status, doctor.status) == (4, 1)


def test_every_failure_of_the_page_is_made_here() -> None:
    text = Path(__file__).read_text(encoding="utf-8")
    missing = [heading for heading in sections() if f'"{heading}"' not in text]
    assert missing == []
    assert len(sections()) >= 20
    assert all(told.lines for section in sections().values() for told in section)
