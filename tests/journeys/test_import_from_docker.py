"""Keys of docker and notary come over: the folder that docker wrote, and what the keys are good for afterwards."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.server_process import ServerProcess
from tests.support.trust_program import TrustUser

pytestmark = pytest.mark.allow_hosts(["127.0.0.1"])

SIGNERS = Path(__file__).parents[1] / "golden" / "notary_v1" / "signers"
DOCKERS = {
    "TRUST_ROOT_PASSPHRASE": "",
    "TRUST_REPOSITORY_PASSPHRASE": "",
    "DOCKER_CONTENT_TRUST_ROOT_PASSPHRASE": "root-pass-phrase",
    "DOCKER_CONTENT_TRUST_REPOSITORY_PASSPHRASE": "repo-pass-phrase",
}
GUN = "127.0.0.1:5000/cap3286/signers"


@pytest.fixture
def server(tmp_path: Path) -> Iterator[ServerProcess]:
    process = ServerProcess(tmp_path / "data")
    process.start()
    yield process
    process.kill()


def test_docker_s_folder_comes_over_and_its_root_key_goes_on(server: ServerProcess, tmp_path: Path) -> None:
    user = TrustUser(tmp_path / "user", server.url, environ=DOCKERS)
    brought = user.run("key", "import", str(SIGNERS / "keys-admin"), "--json").document()
    root, targets = sorted(brought["keys"], key=lambda row: str(row["purpose"]))
    assert (root["purpose"], root["gun"]) == ("root", "")
    assert (targets["purpose"], targets["gun"]) == ("targets", GUN)
    alice = user.run("key", "import", str(SIGNERS / "keys-alice"))
    assert alice.stdout.startswith("signer key alice (")
    listed = {row["keyid"]: row for row in user.run("key", "list", "--json").document()["keys"]}
    assert {row["purpose"] for row in listed.values()} == {"root", "targets", "signer"}

    again = user.run("key", "import", str(SIGNERS / "keys-admin"))
    assert again.stdout == ""
    again.said("exists already: the key store")

    gun = "127.0.0.1:5000/team/app"
    user.run("init", gun, "--no-recovery-key")
    administrators = user.run("inspect", gun, "--json").document()[0]["AdministrativeKeys"]
    assert root["keyid"] in str(administrators)


def test_one_bad_file_of_a_folder_fails_alone(server: ServerProcess, tmp_path: Path) -> None:
    folder = tmp_path / "trust"
    shutil.copytree(SIGNERS / "keys-bob" / "private", folder / "private" / "tuf_keys")
    (folder / "private" / "bad.key").write_text("no key")
    good = next((folder / "private" / "tuf_keys").glob("*.key"))
    (folder / "private" / "online.key").write_text(good.read_text().replace("role: bob", "role: timestamp"))
    (folder / "private" / "odd.key").write_text(good.read_text().replace("role: bob", "role: \x1b[31mbob"))
    user = TrustUser(tmp_path / "user", server.url, environ=DOCKERS)
    ran = user.run("key", "import", str(folder), expect=8)
    assert ran.stdout.startswith("signer key bob (")
    assert ran.stdout.count("\n") == 1
    ran.said(
        "bad.key is not a key file that can be read: it is no key file of docker or notary",
        "online.key: left out",
        "odd.key",
    )
    assert "\x1b" not in ran.stdout + ran.stderr


def test_a_wrong_passphrase_names_the_file_and_brings_nothing(server: ServerProcess, tmp_path: Path) -> None:
    user = TrustUser(
        tmp_path / "user", server.url, environ=DOCKERS | {"DOCKER_CONTENT_TRUST_REPOSITORY_PASSPHRASE": "wrong"}
    )
    [file] = (SIGNERS / "keys-bob" / "private").glob("*.key")
    ran = user.run("key", "import", str(file), expect=8)
    ran.said("the passphrase does not open", str(file))
    assert user.run("key", "list").stdout == ""


def test_a_folder_without_keys_and_a_folder_with_options_are_wrong_usage(server: ServerProcess, tmp_path: Path) -> None:
    user = TrustUser(tmp_path / "user", server.url, environ=DOCKERS)
    (tmp_path / "empty").mkdir()
    user.run("key", "import", str(tmp_path / "empty"), expect=2).said("holds no key files")
    user.run("key", "import", str(SIGNERS / "keys-bob"), "--name", "x", expect=2).said("for one file")
