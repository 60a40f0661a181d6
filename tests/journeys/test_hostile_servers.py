"""What `trust` says and how it ends when a server hands out other data than it should."""

from __future__ import annotations

import json
import re
import shutil
from datetime import UTC, datetime, timedelta

import pytest

from tests.journeys.hostile import OTHER_PIN, Serve, begin, between, fetched
from tests.support.hostile_server import Request, Wire
from tests.support.images import BuiltImage
from tests.support.programs import free_port
from tests.support.server_process import ServerProcess
from tests.support.stage import People, Put
from tests.support.trust_program import TrustUser

pytestmark = pytest.mark.allow_hosts(["127.0.0.1"])


# --- other data than there should be


def test_another_collections_data_under_this_name(
    *, owner: TrustUser, people: People, gun: str, begun: BuiltImage, serve: Serve, put: Put
) -> None:
    """By clients that have only a pin, by one that has verified before, and by who would make the name.

    Both collections have the owner's root key, so that a pin by key holds for both.
    """
    other = f"{gun}-other"
    put("1.0", text="other", repository=other)
    owner.run("init", other, "--no-recovery-key")
    owner.run("sign", f"{other}:1.0")
    true = owner.environ["TRUST_SERVER"]

    def script(request: Request, wire: Wire) -> None:
        target = request.target.replace(f"{gun}/", f"{other}/").replace(f"{gun}-fresh", other)
        changed = Request(
            method=request.method, target=target, headers=request.headers, body=request.body, connection=0
        )
        answer = fetched(true, changed)
        if target.startswith("/api/"):
            answer = answer.replace(f'"{other}"'.encode(), f'"{gun}-fresh"'.encode())
        wire.send(answer)

    server = serve(script).url
    key = next(
        row["keyid"] for row in owner.run("--json", "key", "list").document()["keys"] if row["purpose"] == "root"
    )
    another = f"root version 1 belongs to {other}, not to {gun}"
    for name, pin in {"by-fingerprint": owner.pin_of(gun), "by-key": f"key:{key}"}.items():
        pinned = people(name)
        pinned.knows(gun, pin)
        pinned.run("--server", server, "verify", f"{gun}:1.0", expect=4).said(another, f"--named {other}")
        assert pinned.run("verify", f"{gun}:1.0").stdout
    owner.run("--server", server, "verify", f"{gun}:1.0", expect=4).said("timestamp version")
    owner.run("--server", server, "sign", f"{gun}:1.0", expect=4)
    made = owner.run("--server", server, "init", f"{gun}-fresh", "--no-recovery-key", expect=4)
    made.said(f"root version 1 belongs to {other}, not to {gun}-fresh")
    assert f"{gun}-fresh" not in owner.run("pins").stdout


def test_an_older_copy_of_the_servers_data(
    *, owner: TrustUser, people: People, gun: str, put: Put, own_server: ServerProcess
) -> None:
    own_server.start()
    owner.environ["TRUST_SERVER"] = own_server.url
    image = begin(owner, gun, put)
    pin = owner.pin_of(gun)
    assert own_server.stop() == 0
    shutil.copytree(own_server.data, own_server.data.with_name("older"))
    own_server.start()
    owner.environ["TRUST_SERVER"] = own_server.url
    moved = put("1.0", text="moved")
    owner.run("sign", f"{gun}:1.0")
    assert owner.run("verify", f"{gun}:1.0").stdout == f"{gun}@{moved.digest}\n"
    assert own_server.stop() == 0
    shutil.rmtree(own_server.data)
    own_server.data.with_name("older").rename(own_server.data)
    own_server.start()
    owner.environ["TRUST_SERVER"] = own_server.url
    for command in ("verify", "sign"):
        failed = owner.run(command, f"{gun}:1.0", expect=4)
        failed.said("timestamp version 2 is older than version 3", "do not use this server")
        assert failed.stdout == ""
    shutil.rmtree(owner.home / "cache")  # memory alone remembers it too
    owner.run("verify", f"{gun}:1.0", expect=4).said("is older than version 3")
    newcomer = people("newcomer")
    newcomer.environ["TRUST_SERVER"] = own_server.url
    newcomer.knows(gun, pin)
    newcomer.run("verify", f"{gun}:1.0@{image.digest}")  # who has seen nothing newer cannot know


def test_old_and_new_files_mixed(owner: TrustUser, gun: str, begun: BuiltImage, put: Put, serve: Serve) -> None:
    true = owner.environ["TRUST_SERVER"]
    put("2.0", text="two")
    owner.run("sign", f"{gun}:2.0")

    def older(name: str) -> str:
        def alter(request: Request, answer: bytes) -> bytes:
            if not request.target.endswith(name):
                return answer
            version, _, rest = name.rpartition("/")[2].partition(".")
            swapped = request.target.removesuffix(name) + f"/{int(version) - 1}.{rest}"
            return fetched(true, Request(method="GET", target=swapped, headers={}, body=b"", connection=0))

        return serve(between(true, alter)).url

    shutil.rmtree(owner.home / "cache")
    for name, role in (("/3.snapshot.json", "snapshot"), ("/3.targets.json", "targets")):
        failed = owner.run("--server", older(name), "verify", f"{gun}:2.0", expect=4).said(role)
        # Signatures differ in length, so that the older file may be longer, shorter or as long as the newer.
        assert re.search(r"is larger than [0-9]+ bytes|is [0-9a-f]+ where [0-9a-f]+ is expected", failed.stderr)
    owner.run("verify", f"{gun}:2.0")


def test_altered_metadata(owner: TrustUser, gun: str, begun: BuiltImage, serve: Serve) -> None:
    true = owner.environ["TRUST_SERVER"]

    def alter(request: Request, answer: bytes) -> bytes:
        return answer.replace(b'"version":2', b'"version":9') if "timestamp" in request.target else answer

    failed = owner.run("--server", serve(between(true, alter)).url, "verify", f"{gun}:1.0", expect=4)
    failed.said("timestamp version 9 has 0 of 1 signatures", "do not use this image")


# --- a name that is known does not vanish


def test_withheld_data_of_a_known_name(
    *, owner: TrustUser, people: People, gun: str, begun: BuiltImage, own_server: ServerProcess
) -> None:
    """A server that has nothing at all."""
    own_server.start()
    empty = ("--server", own_server.url)
    for command in (
        ("verify", f"{gun}:1.0"),
        ("sign", f"{gun}:1.0"),
        ("sign", f"{gun}:1.0", "--init"),
        ("inspect", gun),
    ):
        failed = owner.run(*empty, *command, expect=4)
        failed.said(f"trust data of {gun} is withheld", "pins.toml knows this name, but the server has no data for it")
    owner.run(*empty, "init", gun, "--no-recovery-key", expect=7).said(f"{gun} is known already")
    stranger = people("stranger")
    stranger.run(*empty, "verify", f"{gun}:1.0", expect=3).said(f"{gun} has no trust data", f"trust init {gun}")
    stranger.run(*empty, "sign", f"{gun}:1.0", expect=3).said(f"{gun} has no trust data")
    (owner.home / "pins.toml").unlink()
    shutil.rmtree(owner.home / "cache")
    owner.run(*empty, "verify", f"{gun}:1.0", expect=4).said("what this machine has verified before knows this name")


def test_a_deleted_collection_shows_both_fingerprints(
    *, owner: TrustUser, people: People, gun: str, begun: BuiltImage, trust_server: ServerProcess
) -> None:
    pin = owner.pin_of(gun)
    assert trust_server.get(f"/api/v1/collections/{gun}", method="DELETE")[0] == 200
    for command in ("verify", "sign"):
        failed = owner.run(command, f"{gun}:1.0", expect=4)
        failed.said(f"{gun} was deleted on ", f"its root was {pin}, as it is pinned here", "--replace")
    other = people("other")
    other.knows(gun, OTHER_PIN)
    other.run("verify", f"{gun}:1.0", expect=4).said(f"its root was {pin}", f"the pin here is {OTHER_PIN}")
    stranger = people("stranger")
    stranger.run("verify", f"{gun}:1.0", expect=3).said(f"{gun} has no trust data")
    stranger.run("init", gun, "--no-recovery-key", expect=7).said("was deleted", "trust-server collections release")


# --- TLS


def test_a_server_that_nobody_here_vouches_for(owner: TrustUser, gun: str, put: Put, own_server: ServerProcess) -> None:
    own_server.start("--self-signed")
    assert own_server.ca is not None
    secure = ("--server", own_server.url)
    notary = owner.folder / "docker" / "tls" / own_server.url.removeprefix("https://") / "*.crt"
    refused = owner.run(*secure, "verify", f"{gun}:1.0", expect=6)
    refused.said("its certificate is refused", "CA certificates looked for in", str(notary), "the system's store")
    owner.run(*secure, "verify", f"{gun}:1.0", expect=6, SSL_CERT_FILE="").said("certificate is refused")
    put("1.0")
    trusted = (*secure, "--cacert", own_server.ca)
    owner.run(*trusted, "init", gun, "--no-recovery-key")
    owner.run(*trusted, "sign", f"{gun}:1.0")
    owner.run(*trusted, "verify", f"{gun}:1.0")
    owner.run(*secure, "verify", f"{gun}:1.0", expect=6)
    owner.run(*secure, "verify", f"{gun}:1.0", TRUST_CACERT=own_server.ca)
    owner.run(*secure, "verify", f"{gun}:1.0", SSL_CERT_FILE=own_server.ca)
    notary.parent.mkdir(parents=True)
    shutil.copy(own_server.ca, notary.with_name("any-name.crt"))
    owner.run(*secure, "verify", f"{gun}:1.0")
    plain = own_server.url.replace("https:", "http:")
    owner.run("--server", plain, "verify", f"{gun}:1.0", expect=6)
    missing = owner.run(*secure, "--cacert", "nowhere.pem", "verify", f"{gun}:1.0", expect=2)
    missing.said("nowhere.pem cannot be used")


# --- pins


def test_first_contact(people: People, owner: TrustUser, gun: str, begun: BuiltImage) -> None:
    pin = owner.pin_of(gun)
    stranger = people("stranger")
    refused = stranger.run("verify", f"{gun}:1.0", expect=4)
    refused.said(f"{gun} is not pinned here", f"has fingerprint {pin}", f"trust pin {gun} {pin}", "--tofu")
    assert stranger.run("pins").stdout == "", "refused is not recorded"
    first = stranger.run("--tofu", "verify", f"{gun}:1.0").said(f"trusting {gun} on first use", pin)
    assert first.stdout == f"{gun}@{begun.digest}\n"
    assert stranger.pin_of(gun) == pin
    assert "tofu on" in stranger.run("pins").stdout
    assert stranger.run("verify", f"{gun}:1.0").stderr == "", "recorded, so that nothing is asked or said again"
    once = people("once")
    once.run("--pin", pin, "verify", f"{gun}:1.0")
    assert once.run("pins").stdout == "", "a pin of the command line is for this time"


def test_pins_that_disagree(people: People, owner: TrustUser, gun: str, begun: BuiltImage) -> None:
    pin = owner.pin_of(gun)
    wrong = people("wrong")
    wrong.knows(gun, OTHER_PIN)
    wrong.run("verify", f"{gun}:1.0", expect=4).said(f"{gun} is pinned to {OTHER_PIN}", f"root of trust is {pin}")
    wrong.run("--tofu", "verify", f"{gun}:1.0", expect=4).said(f"{gun} is pinned to {OTHER_PIN}")
    wrong.run("--pin", pin, "verify", f"{gun}:1.0", expect=4).said(OTHER_PIN, pin)
    owner.run("--pin", OTHER_PIN, "verify", f"{gun}:1.0", expect=4).said(OTHER_PIN)
    wrong.run("pin", gun, pin, expect=4).said("disagree", f"trust pin {gun} {pin} --replace")
    wrong.run("pin", gun, pin, "--replace")
    wrong.run("verify", f"{gun}:1.0")
    root = next(row for row in owner.run("--json", "key", "list").document()["keys"] if row["purpose"] == "root")
    by_key = people("by-key")
    by_key.knows(gun, f"key:{root['keyid']}")
    by_key.run("verify", f"{gun}:1.0")
    by_key.run("--pin", pin, "verify", f"{gun}:1.0")
    by_key.run("--pin", "sha256:short", "verify", f"{gun}:1.0", expect=2).said("must be sha256:HEX of a root file")


def test_a_collection_made_anew_is_refused_until_its_pin_is_replaced(
    *, owner: TrustUser, people: People, gun: str, begun: BuiltImage, own_server: ServerProcess
) -> None:
    own_server.start()
    anew = people("anew")
    anew.environ["TRUST_SERVER"] = own_server.url
    anew.run("init", gun, "--no-recovery-key")
    anew.run("sign", f"{gun}:1.0")
    other = ("--server", own_server.url)
    owner.run(*other, "verify", f"{gun}:1.0", expect=4)
    owner.run("pin", gun, anew.pin_of(gun), "--replace")
    assert owner.run(*other, "verify", f"{gun}:1.0").stdout == f"{gun}@{begun.digest}\n"


# --- offline


def test_offline_within_and_beyond_its_bounds(owner: TrustUser, people: People, gun: str, begun: BuiltImage) -> None:
    dead = ("--server", f"http://127.0.0.1:{free_port()}")
    expected = f"{gun}@{begun.digest}\n"
    assert owner.run(*dead, "verify", "--offline", f"{gun}:1.0").stdout == expected
    owner.run(*dead, "verify", "--offline", f"{gun}:2.0", expect=3)
    _refreshed(owner, gun, ago=timedelta(hours=23))
    assert owner.run(*dead, "verify", "--offline", f"{gun}:1.0").stdout == expected
    _refreshed(owner, gun, ago=timedelta(hours=25))
    late = owner.run(*dead, "verify", "--offline", f"{gun}:1.0", expect=4)
    late.said(f"{gun} cannot be judged offline", "longer ago than --max-age", "verify once without --offline")
    assert owner.run(*dead, "verify", "--offline", "--max-age", "2d", f"{gun}:1.0").stdout == expected
    _refreshed(owner, gun, ago=-timedelta(hours=1))
    owner.run(*dead, "verify", "--offline", f"{gun}:1.0", expect=4).said("the clock has gone back")
    owner.run(*dead, "verify", "--offline", "--max-age", "soon", f"{gun}:1.0", expect=2).said("is no span of time")
    never = people("never")
    never.knows(gun, owner.pin_of(gun))
    never.run(*dead, "verify", "--offline", f"{gun}:1.0", expect=4).said("it was never refreshed here")


def _refreshed(user: TrustUser, gun: str, *, ago: timedelta) -> None:
    """As if the last refresh had been at another time."""
    file = user.home / "seen.json"
    seen = json.loads(file.read_bytes())
    seen["collections"][gun]["refreshed"] = (datetime.now(UTC) - ago).strftime("%Y-%m-%dT%H:%M:%SZ")
    file.write_text(json.dumps(seen))


# --- state of this machine


def test_damaged_state_is_refused_and_named(owner: TrustUser, gun: str, begun: BuiltImage) -> None:
    for name, status in (("seen.json", 4), ("pins.toml", 2)):
        file = owner.home / name
        kept = file.read_bytes()
        file.write_bytes(kept[: len(kept) // 2])
        owner.run("verify", f"{gun}:1.0", expect=status).said(str(file))
        file.write_bytes(kept)
    for cached in (owner.home / "cache").rglob("*.json"):
        cached.write_bytes(b"{")
    assert owner.run("verify", f"{gun}:1.0").stdout == f"{gun}@{begun.digest}\n", "a cache is a convenience"


def test_a_key_file_that_others_can_read_is_refused(owner: TrustUser, gun: str, begun: BuiltImage) -> None:
    key = next((owner.home / "private").glob("*.key"))
    key.chmod(0o644)
    owner.run("sign", f"{gun}:2.0@{begun.digest}", expect=8).said(str(key))
