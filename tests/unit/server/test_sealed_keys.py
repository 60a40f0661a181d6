"""Sealed keys: bound to their owner, and to a seal key that is never made twice."""

from __future__ import annotations

import base64
import subprocess
from pathlib import Path

import pytest

from keys.algorithms import generate
from keys.errors import KeyFileMalformed
from keys.material import write_private_pem
from tests.simulator.memory_store import MemoryStore
from trustdata.gun import GUN
from trustdata.roles import SNAPSHOT, TIMESTAMP, RoleName
from trustserver.errors import StartRefused
from trustserver.storage.sealed_keys import SealedKeys, open_seal

A = GUN("example.com/a")


def test_what_is_sealed_opens_for_its_owner_only() -> None:
    sealer = SealedKeys(bytes(32))
    sealed = sealer.seal(b"private", gun=A, role=SNAPSHOT, keyid="k")
    assert b"private" not in sealed
    assert sealer.seal(b"private", gun=A, role=SNAPSHOT, keyid="k") != sealed
    assert sealer.open(sealed, gun=A, role=SNAPSHOT, keyid="k") == b"private"
    wrong: list[tuple[SealedKeys, bytes, GUN, RoleName, str]] = [
        (sealer, sealed, GUN("example.com/b"), SNAPSHOT, "k"),
        (sealer, sealed, A, TIMESTAMP, "k"),
        (sealer, sealed, A, SNAPSHOT, "l"),
        (SealedKeys(bytes(31) + b"\x01"), sealed, A, SNAPSHOT, "k"),
        (sealer, sealed[:-1] + bytes([sealed[-1] ^ 1]), A, SNAPSHOT, "k"),
        (sealer, b"\x02" + sealed[1:], A, SNAPSHOT, "k"),
        (sealer, sealed[:5], A, SNAPSHOT, "k"),
        (sealer, b"", A, SNAPSHOT, "k"),
    ]
    for opener, content, gun, role, keyid in wrong:
        with pytest.raises(KeyFileMalformed):
            opener.open(content, gun=gun, role=role, keyid=keyid)


def test_the_seal_key_is_made_once_with_mode_0600_and_found_again(tmp_path: Path) -> None:
    store, path = MemoryStore(), tmp_path / "seal.key"
    made = open_seal(store, path, may_create=True)
    assert path.stat().st_mode & 0o777 == 0o600
    assert store.seal_mark() == made.mark
    assert open_seal(store, path, may_create=True).mark == made.mark
    assert made.mark not in path.read_text()


def test_a_missing_seal_key_is_never_replaced(tmp_path: Path) -> None:
    store, path = MemoryStore(), tmp_path / "seal.key"
    open_seal(store, path, may_create=True)
    path.unlink()
    with pytest.raises(StartRefused):
        open_seal(store, path, may_create=True)
    assert not path.exists()


def test_a_named_seal_key_is_never_made(tmp_path: Path) -> None:
    with pytest.raises(StartRefused):
        open_seal(MemoryStore(), tmp_path / "seal.key", may_create=False)
    assert not (tmp_path / "seal.key").exists()


def test_another_seal_key_is_refused(tmp_path: Path) -> None:
    store = MemoryStore()
    open_seal(store, tmp_path / "one", may_create=True)
    open_seal(MemoryStore(), tmp_path / "two", may_create=True)
    with pytest.raises(StartRefused):
        open_seal(store, tmp_path / "two", may_create=True)


@pytest.mark.parametrize("content", [b"", b"\xff", b"short", base64.b64encode(bytes(31)), base64.b64encode(bytes(64))])
def test_what_is_no_seal_key_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "seal.key"
    path.write_bytes(content)
    path.chmod(0o600)
    store = MemoryStore()
    with pytest.raises(StartRefused):
        open_seal(store, path, may_create=True)
    assert store.seal_mark() == ""


@pytest.mark.parametrize(("mode", "good"), [(0o600, True), (0o440, True), (0o644, False), (0o620, False)])
def test_a_seal_key_that_everybody_can_read_is_refused(tmp_path: Path, mode: int, *, good: bool) -> None:
    path = tmp_path / "seal.key"
    path.write_bytes(base64.b64encode(bytes(32)))
    path.chmod(mode)
    if good:
        open_seal(MemoryStore(), path, may_create=False)
    else:
        with pytest.raises(StartRefused, match="chmod 600"):
            open_seal(MemoryStore(), path, may_create=False)


def test_a_seal_key_that_a_platform_has_mounted_is_used_with_the_option_if_it_is_named(tmp_path: Path) -> None:
    path = tmp_path / "seal.key"
    path.write_bytes(base64.b64encode(bytes(32)))
    path.chmod(0o444)
    open_seal(MemoryStore(), path, may_create=False, platform_secrets=True)
    with pytest.raises(StartRefused, match="chmod 600"):
        open_seal(MemoryStore(), path, may_create=True, platform_secrets=True)
    path.chmod(0o446)
    with pytest.raises(StartRefused):
        open_seal(MemoryStore(), path, may_create=False, platform_secrets=True)


@pytest.mark.parametrize("first", [0, 0x7B, 0x2D])
@pytest.mark.parametrize("encoding", ["ascii", "utf-8-sig", "utf-16"])
def test_a_seal_key_is_read_whatever_an_editor_has_made_of_its_file(tmp_path: Path, first: int, encoding: str) -> None:
    path, plain = tmp_path / "seal.key", tmp_path / "plain.key"
    text = base64.b64encode(bytes([first] * 32)).decode()
    path.write_bytes(f"{text}\r\n".encode(encoding))
    plain.write_text(text)
    for file in (path, plain):
        file.chmod(0o600)
    assert (
        open_seal(MemoryStore(), path, may_create=False).mark == open_seal(MemoryStore(), plain, may_create=False).mark
    )


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (bytes(range(200, 232)), "these are as they are; (umask 077; base64 {file} > seal.key)"),
        (b"0aF" * 21 + b"1\n", "these are in hexadecimal"),
        (write_private_pem(generate(), None), "and it holds a PRIVATE KEY"),
        (b"", "and it is empty"),
        (b"secret", "32 bytes in base64 are wanted"),
    ],
)
def test_what_a_file_is_instead_of_a_seal_key_is_said(tmp_path: Path, content: bytes, said: str) -> None:
    path = tmp_path / "odd seal.key"
    path.write_bytes(content)
    path.chmod(0o600)
    with pytest.raises(StartRefused) as caught:
        open_seal(MemoryStore(), path, may_create=False)
    assert caught.value.reason.startswith("is no seal key: 32 bytes in base64 are wanted")
    assert caught.value.reason.endswith(said.format(file=f"'{path}'"))
    _, semicolon, command = caught.value.reason.partition("; ")
    if semicolon:
        assert subprocess.run(["sh", "-c", command], cwd=tmp_path, check=True).returncode == 0
        open_seal(MemoryStore(), tmp_path / "seal.key", may_create=False)
