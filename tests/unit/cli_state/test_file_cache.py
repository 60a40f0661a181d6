"""The cache on disk: what it keeps, and that nothing about it is ever an error."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from trustcli.client.file_cache import FileCache
from trustcli.client.ports import MetadataCache
from trustdata.gun import parse_gun
from trustdata.limits import MAX_TIMESTAMP
from trustdata.roles import TARGETS, TIMESTAMP, RoleName, parse_role

GUN = parse_gun("registry.example.com:5000/team/app")


def cache_of(folder: Path, name: str = GUN, format_name: str = "tuf-1.0") -> MetadataCache:
    return FileCache(folder / "cache", format_name=format_name, gun=parse_gun(name))


def test_an_empty_cache_makes_no_folder(tmp_path: Path) -> None:
    cache = cache_of(tmp_path)
    assert cache.roots() == []
    assert cache.load(TIMESTAMP) is None
    cache.drop(TIMESTAMP)
    assert list(tmp_path.iterdir()) == []


def test_roots_are_dropped_all_at_once_and_nothing_else(tmp_path: Path) -> None:
    cache = cache_of(tmp_path)
    cache.drop_roots()
    cache.store_root(1, b"one")
    cache.store_root(3, b"behind a gap")
    cache.store(TIMESTAMP, b"t")
    cache.drop_roots()
    cache.store_root(1, b"new")
    cache.store_root(2, b"new two")
    assert cache.roots() == [b"new", b"new two"]
    assert cache.load(TIMESTAMP) == b"t"


def test_roles_are_kept_replaced_and_dropped(tmp_path: Path) -> None:
    cache = cache_of(tmp_path)
    cache.store(TIMESTAMP, b"one")
    cache.store(TARGETS, b"targets")
    cache.store(TIMESTAMP, b"two")
    assert (cache_of(tmp_path).load(TIMESTAMP), cache_of(tmp_path).load(TARGETS)) == (b"two", b"targets")
    cache.drop(TIMESTAMP)
    assert (cache.load(TIMESTAMP), cache.load(TARGETS)) == (None, b"targets")


def test_roots_come_in_order_and_only_up_to_a_gap(tmp_path: Path) -> None:
    cache = cache_of(tmp_path)
    for version in (11, 2, 1, 3, 10, 5):
        cache.store_root(version, b"root %d" % version)
    assert cache.roots() == [b"root 1", b"root 2", b"root 3"]
    for version in (4, 6, 7, 8, 9):
        cache.store_root(version, b"root %d" % version)
    assert cache.roots() == [b"root %d" % v for v in range(1, 12)]


def test_without_the_first_root_there_is_no_chain(tmp_path: Path) -> None:
    cache = cache_of(tmp_path)
    cache.store_root(2, b"root 2")
    assert cache.roots() == []


def test_names_formats_and_roles_are_kept_apart(tmp_path: Path) -> None:
    names = ["a.example.com/x", "a.example.com/x/y", "a.example.com:443/x", "x", "a.example.com/" + "y" * 240]
    names += ["a.example.com/" + "z/" * 119 + "z", "a.example.com/" + "z/" * 119 + "y"]
    for name in names:
        for format_name in ("tuf-1.0", "notary-v1"):
            cache_of(tmp_path, name, format_name).store(TARGETS, f"{name} {format_name}".encode())
    for name in names:
        for format_name in ("tuf-1.0", "notary-v1"):
            assert cache_of(tmp_path, name, format_name).load(TARGETS) == f"{name} {format_name}".encode()


@pytest.mark.parametrize(
    "text", ["..", ".", "../../escape", "a/b", "targets/alice", "1", "roots", "ü" * 255, "%2F", "~"]
)
def test_any_role_name_is_kept_and_stays_inside_the_folder(tmp_path: Path, text: str) -> None:
    cache = cache_of(tmp_path)
    role = parse_role(text)
    cache.store_root(1, b"root")
    cache.store(TARGETS, b"targets")
    cache.store(role, b"mine")
    assert (cache.load(role), cache.load(TARGETS), cache.roots()) == (b"mine", b"targets", [b"root"])
    assert [p.name for p in tmp_path.iterdir()] == ["cache"]
    inside = [p for p in (tmp_path / "cache").rglob("*") if p.is_file()]
    assert {p.parent.name for p in inside} == {"roots", "roles"}


def test_roles_that_share_a_long_beginning_are_kept_apart(tmp_path: Path) -> None:
    cache = cache_of(tmp_path)
    one, other = RoleName("r" * 254 + "1"), RoleName("r" * 254 + "2")
    cache.store(one, b"one")
    cache.store(other, b"other")
    assert (cache.load(one), cache.load(other)) == (b"one", b"other")


def test_it_is_for_its_owner_alone(tmp_path: Path) -> None:
    cache_of(tmp_path).store(TARGETS, b"targets")
    for path in (tmp_path / "cache").rglob("*"):
        assert path.stat().st_mode & 0o077 == 0


def test_what_cannot_be_read_is_absent_and_what_cannot_be_written_is_not_kept(tmp_path: Path) -> None:
    (tmp_path / "cache").write_bytes(b"a file where the folder should be")
    cache = cache_of(tmp_path)
    cache.store(TARGETS, b"targets")
    cache.store_root(1, b"root")
    cache.drop(TARGETS)
    assert (cache.load(TARGETS), cache.roots()) == (None, [])


def test_what_is_no_file_is_absent_and_is_not_waited_for(tmp_path: Path) -> None:
    """Whoever may write into a cache that is shared puts it there: each command would wait for ever, or read on."""
    cache = cache_of(tmp_path)
    cache.store_root(1, b"root")
    cache.store(TARGETS, b"targets")
    (root,), (targets,) = (list((tmp_path / "cache").rglob(name)) for name in ("1.json", "targets.json"))
    for file in (root, targets):
        file.unlink()
    os.mkfifo(root)
    os.mkfifo(targets)
    assert (cache.load(TARGETS), cache.roots()) == (None, [])
    targets.unlink()
    targets.symlink_to("/dev/zero")
    root.unlink()
    root.mkdir()
    assert (cache.load(TARGETS), cache.roots()) == (None, [])
    targets.unlink()
    (tmp_path / "elsewhere").write_bytes(b"targets")
    targets.symlink_to(tmp_path / "elsewhere")
    assert cache.load(TARGETS) == b"targets", "a folder of links, as some tools make copies, is one of files"


def test_a_file_larger_than_its_role_may_be_is_absent(tmp_path: Path) -> None:
    cache = cache_of(tmp_path)
    cache.store(TIMESTAMP, b" " * MAX_TIMESTAMP)
    assert cache.load(TIMESTAMP) is not None
    cache.store(TIMESTAMP, b" " * (MAX_TIMESTAMP + 1))
    assert cache.load(TIMESTAMP) is None


def test_a_cleared_cache_is_empty_and_spares_other_names(tmp_path: Path) -> None:
    cache, other = FileCache(tmp_path, format_name="tuf-1.0", gun=GUN), cache_of(tmp_path, "docker.io/library/alpine")
    cache.clear()
    for each in (cache, other):
        each.store_root(1, b"root")
        each.store(TARGETS, b"targets")
    cache.clear()
    assert (cache.roots(), cache.load(TARGETS)) == ([], None)
    assert (other.roots(), other.load(TARGETS)) == ([b"root"], b"targets")
