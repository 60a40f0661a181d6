"""Keys of docker and notary come over: the folder that docker wrote, and what the keys are good for afterwards."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.odd_keys import DOCKER_1_8, ODD_KEYS, REPOSITORY_PASSPHRASE, ROOT_PASSPHRASE
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
OLD_DOCKERS = DOCKERS | {
    "DOCKER_CONTENT_TRUST_ROOT_PASSPHRASE": ROOT_PASSPHRASE,
    "DOCKER_CONTENT_TRUST_REPOSITORY_PASSPHRASE": REPOSITORY_PASSPHRASE,
}
OLD_GUN = "docker.io/example/app"
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
    again.said("is in the key store already: nothing to do")

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
        "bad.key is not a key file that can be read: no PEM block in it",
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


def purposes(user: TrustUser) -> list[tuple[str, str, str]]:
    rows = user.run("key", "list", "--json").document()["keys"]
    return sorted((str(row["purpose"]), str(row["name"]), str(row["gun"])) for row in rows)


OLD_KEYS = [("root", "", ""), ("signer", "alice", ""), ("snapshot", "", OLD_GUN), ("targets", "", OLD_GUN)]


def test_the_folder_of_old_docker_comes_over_with_roles_and_collections(server: ServerProcess, tmp_path: Path) -> None:
    trust = tmp_path / "trust"
    shutil.copytree(DOCKER_1_8, trust / "private")
    user = TrustUser(tmp_path / "user", server.url, environ=OLD_DOCKERS)
    assert user.run("key", "import", str(trust)).stdout.count("\n") == 4
    assert purposes(user) == OLD_KEYS


def test_its_older_folders_say_what_headers_do_not(server: ServerProcess, tmp_path: Path) -> None:
    """As Docker 1.8 to 1.12: `root_keys/ID_root.key` and `tuf_keys/COLLECTION/ID_targets.key`."""
    private = tmp_path / "trust" / "private"
    places = {
        "root": "root_keys/{}_root.key",
        "targets": f"tuf_keys/{OLD_GUN}/{{}}_targets.key",
        "snapshot": f"tuf_keys/{OLD_GUN}/{{}}_snapshot.key",
        "alice": "tuf_keys/{}_alice.key",
    }
    for file in DOCKER_1_8.iterdir():
        text = file.read_text()
        [role] = [role for role in places if f"role: {role}\n" in text]
        stem = "x" if role == "root" else file.stem
        place = private / places[role].format(stem)
        place = place.with_name("x.key") if role == "root" else place
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_text(text.replace(f"role: {role}\n", "").replace(f"gun: {OLD_GUN}\n", ""))
    user = TrustUser(tmp_path / "user", server.url, environ=OLD_DOCKERS)
    user.run("key", "import", str(private.parent))
    assert purposes(user) == OLD_KEYS
    alone = TrustUser(tmp_path / "other", server.url, environ=OLD_DOCKERS)
    [targets] = private.rglob("*_targets.key")
    alone.run("key", "import", str(targets))
    assert purposes(alone) == [("targets", "", OLD_GUN)]


def test_every_key_of_one_file_comes_over(server: ServerProcess, tmp_path: Path) -> None:
    exported = ODD_KEYS / "keys" / "notary-key-export-several.pem"
    user = TrustUser(tmp_path / "user", server.url, environ=OLD_DOCKERS)
    ran = user.run("key", "import", str(exported))
    assert [line.partition(" key")[0] for line in ran.stdout.splitlines()] == ["snapshot", "targets", "root"]
    assert f"loaded from {exported} (key 3 of 3)" in ran.stdout
    again = user.run("key", "import", str(exported), "--json")
    assert len(again.document()["keys"]) == 3
    again.said("(key 1 of 3): snapshot key", "is in the key store already: nothing to do")
    user.run("key", "import", str(exported), "--name", "x", expect=2).said("holds 3 keys: --name is for one")


def test_one_bad_key_of_a_file_fails_alone(server: ServerProcess, tmp_path: Path) -> None:
    exported = (ODD_KEYS / "keys" / "notary-key-export-several.pem").read_text()
    file = tmp_path / "all.pem"
    file.write_text(exported.replace("role: snapshot", "role: timestamp").replace("role: targets", "role: UPPER"))
    user = TrustUser(tmp_path / "user", server.url, environ=OLD_DOCKERS)
    ran = user.run("key", "import", str(file), expect=2)
    assert ran.stdout.startswith("root key")
    ran.said("(key 1 of 3): left out", "UPPER")


def test_the_list_has_a_header_an_order_and_both_ids(server: ServerProcess, tmp_path: Path) -> None:
    user = TrustUser(tmp_path / "user", server.url, environ=OLD_DOCKERS)
    assert user.run("key", "list").stdout == ""
    user.run("key", "import", str(DOCKER_1_8))
    header, *rows = [line.split("\t") for line in user.run("key", "list").stdout.splitlines()]
    columns = ["KEY ID", "PURPOSE", "ALGORITHM", "NAME OR COLLECTION", "MAY SIGN", "LAST SIGNED HERE"]
    assert [name.strip() for name in header] == columns
    assert [row[1] for row in rows] == ["root", "targets", "snapshot", "signer"]
    assert all(len(row) == len(header) for row in rows)
    listed = user.run("key", "list", "--json").document()["keys"]
    assert {row["notary_keyid"] for row in listed} == {file.stem for file in DOCKER_1_8.iterdir()}
    [root] = [row for row in listed if row["purpose"] == "root"]
    assert user.run("key", "export", root["notary_keyid"][:12], "--public", "-o", "root.pub").stdout


def test_who_removes_a_key_is_told_what_it_is_for(server: ServerProcess, tmp_path: Path) -> None:
    user = TrustUser(tmp_path / "user", server.url)
    for name, form in (("one", "tuf"), ("two", "notary")):
        user.run("init", f"127.0.0.1:5000/team/{name}", "--no-recovery-key", "--format", form)
    keys = user.run("key", "list", "--json").document()["keys"]
    [root] = [row["keyid"] for row in keys if row["purpose"] == "root"]
    refused = user.run("key", "remove", root, expect=2)
    refused.said(
        f"root key ({root[:12]}) is a root key of 127.0.0.1:5000/team/one", "root key of 127.0.0.1:5000/team/two"
    )
    removed = user.run("key", "remove", "--yes", root, "--json").document()
    assert removed["collections"] == {f"127.0.0.1:5000/team/{name}": ["root"] for name in ("one", "two")}
    user.run("key", "generate", "spare")
    spare = user.run("key", "remove", "--yes", "spare", "--json").document()
    assert spare["collections"] == {}


def test_no_output_of_a_notary_collection_shows_two_ids_of_one_key(server: ServerProcess, tmp_path: Path) -> None:
    user = TrustUser(tmp_path / "user", server.url)
    gun = "127.0.0.1:5000/team/app"
    outputs = [
        user.run("init", gun, "--no-recovery-key", "--format", "notary"),
        user.run("key", "rotate", "targets", gun),
        user.run("key", "rotate", "root", gun),
    ]
    [targets] = [
        row
        for row in user.run("key", "list", "--json").document()["keys"]
        if row["purpose"] == "targets" and not row["retired"]
    ]
    outputs.append(user.run("key", "export", targets["keyid"], "--notary", "-o", "trust"))
    outputs.append(user.run("key", "rotate", "targets", gun, "--plan"))
    outputs.append(user.run("doctor", gun, expect=None))
    outputs.append(user.run("expiring", gun, "--within", "5000d", expect=None))
    for row in user.run("key", "list", "--json").document()["keys"]:
        for ran in outputs:
            said = ran.stdout + ran.stderr
            assert not (row["keyid"][:12] in said and row["notary_keyid"][:12] in said), str(ran)
            assert "doctor" not in ran.command or row["keyid"][:12] not in said, str(ran)
    outputs[1].said(f"made targets key ({targets['notary_keyid'][:12]})")
