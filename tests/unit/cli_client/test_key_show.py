"""`trust key show`: key files of every form, described without a passphrase and without their private part."""

from __future__ import annotations

import json
import shutil
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from keys import recovery_file
from keys.algorithms import Algorithm, generate
from keys.material import tuf_key, write_private_pem, write_public_pem
from keys.notary import notary_key
from tests.simulator.home import Home, without_network
from tests.simulator.repository import APP, RepositorySimulator
from tests.support.odd_keys import DOCKER_1_8, ODD_KEYS, REPOSITORY_PASSPHRASE
from trustcli.console.exit_codes import DONE, KEYS

KEY = generate(Algorithm.ECDSA_P256)
SECRET = "a secret of keys"


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Home:
    without_network(monkeypatch)
    home = Home(tmp_path, RepositorySimulator())
    home.environ = {"TRUST_ROOT_PASSPHRASE": "rootpassword", "TRUST_REPOSITORY_PASSPHRASE": "repopassword"}
    return home


def shown(home: Home, *arguments: str, status: int = DONE) -> list[Any]:
    assert home.run("key", "show", *arguments, json=True) == status, home.err
    rows: list[Any] = json.loads(home.out)["keys"]
    return rows


def file_of(home: Home, content: bytes) -> str:
    file = home.folder / "some.key"
    file.write_bytes(content)
    return str(file)


def test_a_plain_private_key(home: Home) -> None:
    pem = write_private_pem(KEY, None)
    (row,) = shown(home, file_of(home, pem))
    assert (row["form"], row["keyid"]) == ("private key", tuf_key(KEY).keyid)
    assert row["notary_keyid"] == notary_key(tuf_key(KEY)).keyid
    assert row["algorithm"] == "ecdsa-p256"
    body = pem.decode().splitlines()[1]
    assert body not in home.out
    assert home.run("key", "show", file_of(home, pem)) == DONE
    assert body not in home.out


def test_an_encrypted_key_is_decrypted_only_if_that_is_asked_for(home: Home) -> None:
    file = file_of(home, write_private_pem(KEY, SECRET.encode()))
    (row,) = shown(home, file)
    assert (row["form"], row["keyid"]) == ("encrypted private key", None)
    home.environ["TRUST_REPOSITORY_PASSPHRASE"] = SECRET
    (row,) = shown(home, file, "--decrypt")
    assert row["keyid"] == tuf_key(KEY).keyid
    assert SECRET not in home.out + home.err


def test_a_public_key_and_a_certificate(home: Home) -> None:
    (row,) = shown(home, file_of(home, write_public_pem(tuf_key(KEY))))
    assert (row["form"], row["keyid"], row["certificate_id"]) == ("public key", tuf_key(KEY).keyid, None)
    home.at = datetime(2027, 1, 1, tzinfo=UTC)
    (row,) = shown(home, str(ODD_KEYS / "keys" / "delegation.crt"))
    assert row["form"] == "certificate"
    assert len({row["keyid"], row["notary_keyid"], row["certificate_id"]}) == 3


def test_a_recovery_file_needs_no_passphrase(home: Home) -> None:
    file = home.folder / "recovery.key"
    info = recovery_file.create(file, SECRET)
    (row,) = shown(home, str(file))
    assert (row["form"], row["role"], row["keyid"]) == ("sealed private key", "recovery", info.keyid)


def test_all_keys_of_docker_say_their_role_and_collection(home: Home) -> None:
    files = sorted(map(str, DOCKER_1_8.glob("*.key")))
    rows = shown(home, *files)
    assert len(rows) == len(files)
    assert "root" in {row["role"] for row in rows}
    assert {row["form"] for row in rows} == {"encrypted private key"}
    home.environ["TRUST_REPOSITORY_PASSPHRASE"] = REPOSITORY_PASSPHRASE
    targets = next(file for file, row in zip(files, rows, strict=True) if row["role"] == "targets")
    (row,) = shown(home, targets, "--decrypt")
    assert row["notary_keyid"] == Path(targets).stem


def test_where_a_key_counts_here(home: Home) -> None:
    assert home.run("init", APP, "--no-recovery-key") == DONE
    (root,) = (info for info in home.session().keystore.list() if info.purpose == "root")
    home.run("key", "export", root.keyid, "--public", "-o", str(home.folder / "root.pub"))
    (row,) = shown(home, str(home.folder / "root.pub"))
    assert row["collections"] == {APP: ["root"]}
    assert row["in_store"] == root.described
    assert home.run("key", "show", str(home.folder / "root.pub")) == DONE
    assert f"root key of {APP}" in home.out


def test_a_key_of_the_store_by_its_name_or_id_if_no_file_is_called_so(
    home: Home, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert home.run("key", "generate", "alice") == DONE, home.err
    (info,) = home.session().keystore.list()
    for reference in ("alice", info.keyid, info.keyid[:8]):
        (row,) = shown(home, reference)
        assert (row["file"], row["form"], row["keyid"]) == (reference, "sealed private key", info.keyid)
    (tmp_path / "alice").write_bytes(write_public_pem(tuf_key(KEY)))
    assert shown(home, "alice")[0]["keyid"] == tuf_key(KEY).keyid
    (row,) = shown(home, "bob", status=KEYS)
    assert row["error"]["message"] == "no key of the store and no file is called bob"


def test_one_file_that_cannot_be_read_does_not_hide_the_others(home: Home) -> None:
    good = file_of(home, write_public_pem(tuf_key(KEY)))
    missing = str(home.folder / "none.key")
    rows = shown(home, missing, good, status=KEYS)
    assert rows[0]["error"]["code"] == "key-unknown"
    assert rows[1]["form"] == "public key"
    shutil.copy(good, home.folder / "odd.key")
    (home.folder / "odd.key").write_bytes(b"\x1b[2Jnothing")
    assert home.run("key", "show", str(home.folder / "odd.key")) == KEYS
    assert "\x1b" not in home.out + home.err
