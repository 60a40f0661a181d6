"""The server's keys in SoftHSM2: moved there by a rotation that clients follow, and a token that fails in between."""

from __future__ import annotations

import json
import os
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final, cast

import pytest

from keys.extras import how_to_install
from tests.support.notary_client import NotaryUser
from tests.support.programs import program
from tests.support.server_owner import Owner
from tests.support.server_process import ServerProcess
from tests.support.softhsm import PIN, QUERY, SoftHsm
from tests.support.stage import People, Put
from tests.support.trust_program import TrustUser
from tests.support.tuf_client import TufClient
from trustdata.roles import TARGETS

pytestmark = pytest.mark.allow_hosts(["127.0.0.1"])

TOKEN: Final = f"pkcs11:token=server;object=wrapping{QUERY}"
KEYS: Final = ("--online-keys", TOKEN)


@pytest.fixture
def hsm(tmp_path: Path) -> SoftHsm:
    made = SoftHsm(tmp_path / "hsm")
    made.make("server")
    return made


@pytest.fixture
def trust_server(tmp_path: Path) -> Iterator[ServerProcess]:
    """A server of the test's own, not started yet."""
    server = ServerProcess(tmp_path / "server" / "data")
    server.data.parent.mkdir()
    yield server
    server.kill()


def rows(server: ServerProcess) -> list[tuple[str, str, str, str, bytes]]:
    """Role, state, key id, place and the sealed key, of each stored key."""
    with sqlite3.connect(server.data / "trust.db") as database:
        found = database.execute(
            "SELECT role, state, keyid, place, sealed FROM online_key ORDER BY role, id"
        ).fetchall()
    database.close()
    return found


def places(server: ServerProcess) -> dict[str, str]:
    return {role: place for role, state, _, place, _ in rows(server) if state == "current"}


def ready(server: ServerProcess) -> dict[str, Any]:
    status, body = server.get("/readyz")
    assert status == 200
    return cast("dict[str, Any]", json.loads(body))


def refused_start(server: ServerProcess, hsm: SoftHsm, *options: str, **environ: str) -> str:
    """Start a server that ends at once with status 2; what it says."""
    done = subprocess.run(
        [sys.executable, "-m", "trustserver", "serve", "--listen", "127.0.0.1:0", "--data", str(server.data), *options],
        env={**os.environ, **hsm.environ, **environ},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == 2, done.stdout + done.stderr
    assert PIN not in done.stdout + done.stderr
    return done.stderr.strip().splitlines()[-1]


def dump(server: ServerProcess) -> bytes:
    with sqlite3.connect(server.data / "trust.db") as database:
        text = "\n".join(database.iterdump())
    database.close()
    return text.encode()


@pytest.mark.parametrize("wire", ["tuf", "notary"])
def test_keys_of_a_collection_move_into_the_token_by_a_rotation_that_clients_follow(
    trust_server: ServerProcess, hsm: SoftHsm, tmp_path: Path, gun: str, put: Put, *, wire: str
) -> None:
    trust_server.start()
    image = put("1.0")

    def person(name: str) -> TrustUser:
        return TrustUser(tmp_path / name, trust_server.url)

    owner = person("owner")
    owner.run("init", gun, "--no-recovery-key", "--format", wire)
    owner.run("sign", f"{gun}:1.0")
    readers = {"from the beginning": person("reader")}
    readers["from the beginning"].knows(gun, owner.pin_of(gun))
    readers["from the beginning"].run("verify", f"{gun}:1.0")
    client = TufClient(tmp_path / "python-tuf", trust_server.url, gun) if wire == "tuf" else None
    before = rows(trust_server)
    assert set(places(trust_server).values()) == {""}
    port = trust_server.url.rpartition(":")[2]
    trust_server.stop()

    trust_server.start(*KEYS, environ=hsm.environ, listen=f"127.0.0.1:{port}")
    assert ready(trust_server) == {"status": "ready"}
    owner.run("sign", f"{gun}:1.0")
    for role in ("snapshot", "timestamp"):
        owner.run("key", "rotate", role, gun, "--yes")
        for name, reader in readers.items():
            assert image.digest in reader.run("verify", f"{gun}:1.0").stdout, name
        if client is not None:
            assert client.digest_of("1.0") == image.digest
    assert all(place.startswith("pkcs11:serial=") for place in places(trust_server).values())
    assert len(places(trust_server)) == 2
    assert not {keyid for _, _, keyid, _, _ in before} & {keyid for _, _, keyid, _, _ in rows(trust_server)}
    later = person("later")
    later.knows(gun, owner.pin_of(gun))
    assert image.digest in later.run("verify", f"{gun}:1.0").stdout

    said = dump(trust_server)
    assert b"softhsm" not in said, "neither a module nor where the PIN is: what opens a token comes from settings"
    assert PIN.encode() not in said
    trust_server.stop()
    assert " alone, and no token is named: name that one, too, behind what is named" in refused_start(trust_server, hsm)
    trust_server.start("--online-keys", "sealed", *KEYS, environ=hsm.environ, listen=f"127.0.0.1:{port}")
    owner.run("key", "rotate", "timestamp", gun, "--yes")
    assert [bool(place) for place in places(trust_server).values()] == [True, False], "and back again"
    assert image.digest in readers["from the beginning"].run("verify", f"{gun}:1.0").stdout
    sound = subprocess.run(
        [sys.executable, "-m", "trustserver", "check", "--data", str(trust_server.data)],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert sound.stdout == "1 name, 2 sealed keys: sound\n", sound.stderr


def test_notary_follows_server_keys_into_the_token(trust_server: ServerProcess, hsm: SoftHsm, tmp_path: Path) -> None:
    program("notary")
    gun = "registry.example.com/team/app"
    trust_server.start("--self-signed")
    port = trust_server.url.rpartition(":")[2]
    publisher = NotaryUser(tmp_path / "publisher", cast("Any", trust_server))
    publisher.run("init", gun)
    publisher.rotate(gun, "snapshot", "-r")
    first = publisher.add(gun, "one")
    reader = NotaryUser(tmp_path / "reader", cast("Any", trust_server))
    assert reader.listed(gun)["one"].digest == first
    trust_server.stop()
    trust_server.start("--self-signed", *KEYS, environ=hsm.environ, listen=f"127.0.0.1:{port}")
    publisher.rotate(gun, "timestamp", "-r")
    publisher.rotate(gun, "snapshot", "-r")
    second = publisher.add(gun, "two")
    assert {name: row.digest for name, row in reader.listed(gun).items()} == {"one": first, "two": second}
    assert all(place.startswith("pkcs11:serial=") for place in places(trust_server).values())


class TestFaults:
    """What goes wrong with a token."""

    GUN: Final = "registry.example.com/team/app"

    @pytest.fixture
    def begun(self, trust_server: ServerProcess, hsm: SoftHsm, people: People) -> Owner:
        """A collection whose keys were made in the token from the beginning."""
        del people
        trust_server.start(*KEYS, environ=hsm.environ)
        owner = Owner()
        trust_server.learn_keys(owner, self.GUN)
        assert {(state, bool(place)) for _, state, _, place, _ in rows(trust_server)} == {("offered", True)}
        status, body = trust_server.publish(self.GUN, owner.first_upload())
        assert status == 200, body
        assert {(state, bool(place)) for _, state, _, place, _ in rows(trust_server)} == {("current", True)}
        return owner

    def test_a_token_that_is_removed_while_serving(
        self, trust_server: ServerProcess, hsm: SoftHsm, begun: Owner
    ) -> None:
        away = hsm.tokens.with_name("away")
        shutil.move(hsm.tokens, away)
        hsm.tokens.mkdir()
        timestamp = trust_server.get(f"/tuf/{self.GUN}/metadata/timestamp.json")
        before = rows(trust_server)
        upload = {TARGETS: begun.targets()}
        for _ in range(2):
            status, body = trust_server.publish(self.GUN, upload)
            problem = json.loads(body)
            assert (status, problem["code"]) == (503, "server-keys-unavailable")
            assert problem["fault"] in {"token-gone", "token-missing"}
        assert rows(trust_server) == before
        assert trust_server.get(f"/tuf/{self.GUN}/metadata/timestamp.json") == timestamp, "reads go on"
        (warning,) = ready(trust_server)["warnings"]
        assert warning.startswith("keys of this server cannot be used: token-")
        assert b"trust_server_keys_unavailable 1.0" in trust_server.get("/metrics")[1]
        status, body = trust_server.get("/api/v1/collections/example.com/new/keys/timestamp")
        assert (status, json.loads(body)["code"]) == (503, "server-keys-unavailable")
        status, body = trust_server.get("/v2/example.com/new/_trust/tuf/timestamp.key")
        assert (status, json.loads(body)["errors"][0]["code"]) == (503, "SERVER_KEYS")
        hsm.tokens.rmdir()
        shutil.move(away, hsm.tokens)
        status, body = trust_server.publish(self.GUN, upload)
        assert status == 200, body
        assert ready(trust_server) == {"status": "ready"}
        assert b"trust_server_keys_unavailable 0.0" in trust_server.get("/metrics")[1]
        log = trust_server.log()
        assert log.count("the server's keys cannot be used") <= 2, "once for each kind of fault, not for each request"
        assert PIN not in log

    def test_a_server_that_starts_without_its_token_serves_what_is_signed(
        self, trust_server: ServerProcess, hsm: SoftHsm, begun: Owner
    ) -> None:
        trust_server.stop()
        away = hsm.tokens.with_name("away")
        shutil.move(hsm.tokens, away)
        hsm.tokens.mkdir()
        trust_server.start(*KEYS, environ=hsm.environ)
        assert ready(trust_server)["warnings"] == ["keys of this server cannot be used: token-missing"]
        assert trust_server.get(f"/tuf/{self.GUN}/metadata/timestamp.json")[0] == 200
        upload = {TARGETS: begun.targets()}
        assert trust_server.publish(self.GUN, upload)[0] == 503
        trust_server.stop()
        hsm.tokens.rmdir()
        shutil.move(away, hsm.tokens)
        trust_server.start(*KEYS, environ=hsm.environ)
        assert trust_server.publish(self.GUN, upload)[0] == 200

    def test_a_wrong_pin_is_tried_once_however_often_the_server_is_started(
        self, trust_server: ServerProcess, hsm: SoftHsm
    ) -> None:
        wrong = {"TRUST_TOKEN_PIN": "0815"}
        assert "it was tried once" in refused_start(trust_server, hsm, *KEYS, **wrong)
        for _ in range(2):
            said = refused_start(trust_server, hsm, *KEYS, **wrong)
            assert "this PIN was refused by the token, and is not tried again; give the right one" in said
        traces = trust_server.data / "token-pin.refused"
        assert traces.stat().st_mode & 0o777 == 0o600
        assert "0815" not in traces.read_text()
        trust_server.start(*KEYS, environ=hsm.environ)
        assert ready(trust_server) == {"status": "ready"}

    def test_a_pin_in_a_file(self, trust_server: ServerProcess, hsm: SoftHsm, tmp_path: Path) -> None:
        file = tmp_path / "pin"
        file.write_text("0815\n")
        keys = ("--online-keys", f"{TOKEN}&pin-source=file:{file}")
        assert "it was tried once" in refused_start(trust_server, hsm, *keys, TRUST_TOKEN_PIN="")
        assert "is not tried again" in refused_start(trust_server, hsm, *keys, TRUST_TOKEN_PIN="")
        file.write_text(f"{PIN}\n")
        trust_server.start(*keys, environ={**hsm.environ, "TRUST_TOKEN_PIN": ""})
        assert ready(trust_server) == {"status": "ready"}
        environ = Path(f"/proc/{trust_server.pid}/environ").read_bytes()
        assert PIN.encode() not in environ

    def test_no_pin_and_no_wrapping_key_where_keys_are_wrapped(
        self, trust_server: ServerProcess, hsm: SoftHsm, begun: Owner
    ) -> None:
        del begun
        trust_server.stop()
        assert "TRUST_TOKEN_PIN" in refused_start(trust_server, hsm, *KEYS, TRUST_TOKEN_PIN="")
        other = TOKEN.replace("object=wrapping", "object=other")
        assert "there is no secret key with object other" in refused_start(trust_server, hsm, "--online-keys", other)
        for bad, said in (
            ("file:/key", "must be sealed, or pkcs11:"),
            (f"pkcs11:token=server{QUERY}", "must be sealed, or pkcs11:"),
            (f"{TOKEN}&pin-value=1", "pin-value"),
        ):
            assert said in refused_start(trust_server, hsm, "--online-keys", bad)

    def test_without_the_library_it_is_said_how_it_is_installed(
        self, trust_server: ServerProcess, hsm: SoftHsm, begun: Owner, tmp_path: Path
    ) -> None:
        del begun
        trust_server.stop()
        (tmp_path / "without").mkdir()
        (tmp_path / "without" / "pkcs11.py").write_text("raise ImportError\n")
        path = f"{tmp_path / 'without'}:{os.environ.get('PYTHONPATH', '')}"
        said = refused_start(trust_server, hsm, *KEYS, PYTHONPATH=path)
        assert said.endswith(f"python-pkcs11, which is not installed: {how_to_install('pkcs11')}")
