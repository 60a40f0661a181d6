"""The one rule on who may change or read a file; modes, owners, folders, links."""

from __future__ import annotations

import errno
import os
import shutil
import stat
import subprocess
from pathlib import Path

import pytest

from keys import file_access
from keys.errors import KeyStoreInsecure
from keys.file_access import (
    Exposure,
    changeable_secret,
    exposed_secret,
    is_named_pipe,
    not_private,
    open_at_once,
    own_folder,
    read_at_most,
    unguarded,
)
from keys.filestore import FileKeyStore, check_private


@pytest.fixture
def file(tmp_path: Path) -> Path:
    folder = tmp_path / "folder"
    folder.mkdir(mode=0o700)
    made = folder / "file"
    made.touch(mode=0o600)
    return made


@pytest.fixture
def foreign(monkeypatch: pytest.MonkeyPatch) -> int:
    """Whoever runs the tests is somebody else than the owner of their files, who is not root."""
    owner = os.geteuid()
    monkeypatch.setattr(file_access, "_ROOT", -1)
    monkeypatch.setattr("os.geteuid", lambda: owner + 1)
    return owner


@pytest.mark.parametrize("mode", [0o600, 0o400, 0o644, 0o444, 0o755])
def test_a_file_that_only_its_user_may_change(file: Path, mode: int) -> None:
    file.chmod(mode)
    assert unguarded(file) is None
    assert unguarded(file, file.stat()) is None


@pytest.mark.parametrize("mode", [0o666, 0o660, 0o620, 0o602, 0o777])
def test_a_file_that_others_may_change(file: Path, mode: int) -> None:
    file.chmod(mode)
    found = unguarded(file)
    assert found is not None
    assert str(found) == f"{file} has mode {mode:o}, so it may be changed by others"
    assert found.remedy == f"chmod go-w {file}"
    file.chmod(mode & ~0o022)
    assert unguarded(file) is None, "the remedy is one"


@pytest.mark.parametrize(("mode", "exposed"), [(0o755, False), (0o1777, False), (0o777, True), (0o775, True)])
@pytest.mark.parametrize("there", [True, False])
def test_its_folder_counts_also_without_the_file(file: Path, *, mode: int, exposed: bool, there: bool) -> None:
    """In a folder with the sticky bit nobody replaces the files of somebody else."""
    if not there:
        file.unlink()
    file.parent.chmod(mode)
    found = unguarded(file)
    assert (found is not None) is exposed
    if found is not None:
        assert str(found) == f"{file.parent} has mode {mode:o}, so it has files that may be replaced by others"
        assert found.remedy == f"chmod go-w {file.parent}"


def test_where_files_are_found_by_their_names_the_sticky_bit_does_not_help(file: Path) -> None:
    file.parent.chmod(0o1777)
    assert unguarded(file, folder_is_its_own=False) is None
    found = unguarded(file, folder_is_its_own=True)
    assert found is not None
    assert (found.path, found.mode, found.wanted) == (str(file.parent), "1777", "go-w")


def test_without_a_folder_there_is_nothing_to_change(tmp_path: Path) -> None:
    assert unguarded(tmp_path / "no" / "file") is None


def test_the_folders_of_a_link_and_of_its_file_count(file: Path, tmp_path: Path) -> None:
    links = tmp_path / "links"
    links.mkdir(mode=0o700)
    link = links / "link"
    link.symlink_to(file)
    assert unguarded(link) is None
    for exposed, mode in ((links, 0o777), (file.parent, 0o777), (file, 0o666)):
        before = exposed.stat().st_mode & 0o777
        exposed.chmod(mode)
        found = unguarded(link)
        assert found is not None
        assert found.path in {str(exposed), str(link)}
        exposed.chmod(before)
    link.unlink()
    link.symlink_to(tmp_path / "nowhere" / "file")
    assert unguarded(link) is None


@pytest.mark.parametrize("relative", [True, False])
@pytest.mark.parametrize("there", [True, False])
def test_the_folder_of_a_link_in_between_counts_too(file: Path, tmp_path: Path, *, relative: bool, there: bool) -> None:
    first, between = tmp_path / "first", tmp_path / "between"
    for folder in (first, between):
        folder.mkdir(mode=0o700)
    (first / "link").symlink_to("../between/link" if relative else between / "link")
    (between / "link").symlink_to(file)
    if not there:
        file.unlink()
    assert unguarded(first / "link") is None
    between.chmod(0o777)
    found = unguarded(first / "link")
    assert found is not None
    assert os.path.realpath(found.path) == str(between)


def test_a_link_that_somebody_else_has_put_leads_nowhere(
    file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In a folder with the sticky bit, where there was no file: to a file of ours, with other pins or older memory."""
    common = tmp_path / "common"
    common.mkdir()
    common.chmod(0o1777)
    link = common / "link"
    link.symlink_to(file)
    assert unguarded(link) is None
    ours, lstat = os.geteuid(), Path.lstat

    def of_somebody_else(path: Path) -> os.stat_result:
        fields = list(lstat(path))
        fields[stat.ST_UID] = ours + 1
        return os.stat_result(fields)

    monkeypatch.setattr(Path, "lstat", of_somebody_else)
    found = unguarded(link, file.stat())
    assert found is not None
    assert str(found) == f"{link} belongs to user {ours + 1}, so it may be changed by that user"
    assert found.wanted == "", "no mode would help"
    assert unguarded(file) is None


@pytest.mark.parametrize("there", [True, False])
def test_links_are_followed_as_far_as_the_kernel_follows_them(tmp_path: Path, *, there: bool) -> None:
    target = tmp_path / "0" / "file"
    target.parent.mkdir(mode=0o700)
    target.touch(mode=0o600)
    for number in range(1, 41):
        link = tmp_path / str(number) / "file"
        link.parent.mkdir(mode=0o700)
        link.symlink_to(tmp_path / str(number - 1) / "file")
    assert link.read_bytes() == b""
    if not there:
        target.unlink()
    assert unguarded(link) is None
    target.parent.chmod(0o777)
    found = unguarded(link)
    assert found is not None
    assert found.path == str(target.parent)


def test_a_file_below_a_link_is_judged_by_the_folder_that_it_leads_to(file: Path, tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(file.parent)
    assert unguarded(tmp_path / "link" / file.name) is None
    file.parent.chmod(0o777)
    found = unguarded(tmp_path / "link" / file.name)
    assert found is not None
    assert found.path == str(tmp_path / "link")


def test_a_loop_of_links_is_no_file(tmp_path: Path) -> None:
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    with pytest.raises(OSError, match="symbolic links"):
        unguarded(tmp_path / "loop")
    with pytest.raises(OSError, match="symbolic links") as caught:  # it came into the place of the file that was opened
        unguarded(tmp_path / "loop", tmp_path.stat())
    assert (caught.value.errno, caught.value.filename) == (errno.ELOOP, str(tmp_path / "loop"))


def test_what_belongs_to_somebody_else(file: Path, foreign: int) -> None:
    found = unguarded(file)
    assert found is not None
    assert str(found) == f"{file} belongs to user {foreign}, so it may be changed by that user"
    assert found.remedy == f"chown -h {foreign + 1} {file} (or run this as user {foreign})"
    file.unlink()
    absent = unguarded(file)
    assert absent is not None
    assert str(absent) == f"{file.parent} belongs to user {foreign}, so it has files that may be replaced by that user"
    file.parent.chmod(0o1777)
    assert unguarded(file) is not None, "the owner of a folder may, also with the sticky bit"


def test_root_s_files_are_good_for_everybody(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    owner = os.geteuid()
    monkeypatch.setattr(file_access, "_ROOT", owner)
    monkeypatch.setattr("os.geteuid", lambda: owner + 1)
    assert unguarded(file) is None
    assert not_private(file, file.stat()) is None


def test_a_pipe_that_was_handed_over_is_not_judged() -> None:
    """As a shell's `<(...)`, which is named by its descriptor alone."""
    ends = os.pipe()
    pipe = Path(f"/dev/fd/{ends[0]}")
    assert not is_named_pipe(pipe.stat())
    assert unguarded(pipe) is None
    assert not_private(pipe, pipe.stat()) is None
    for end in ends:
        os.close(end)


def test_a_folder_in_the_place_of_a_file_is_closed_again(tmp_path: Path) -> None:
    """Programs that stay look again and again: each time would cost a descriptor."""
    opened: list[int] = []

    def opener(path: str, flags: int) -> int:
        opened.append(open_at_once(path, flags))
        return opened[-1]

    with pytest.raises(IsADirectoryError):
        open(tmp_path, "rb", opener=opener)  # noqa: SIM115 - it closes it itself, which is asked
    with pytest.raises(OSError, match="Bad file descriptor"):
        os.fstat(opened[0])
    os.mkfifo(tmp_path / "pipe")
    with open(tmp_path / "pipe", "rb", opener=open_at_once) as pipe:
        assert pipe.read() == b"", "nobody was waited for"


def test_a_pipe_with_a_name_is_judged_as_a_file_is(tmp_path: Path) -> None:
    """Whoever may write to it, or put one there, says what is read."""
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe, 0o600)
    tmp_path.chmod(0o700)
    assert is_named_pipe(pipe.stat())
    assert unguarded(pipe) is None
    pipe.chmod(0o666)
    assert unguarded(pipe) is not None
    assert not_private(pipe, pipe.stat()) is not None
    pipe.chmod(0o600)
    tmp_path.chmod(0o777)
    assert unguarded(pipe) is not None


@pytest.mark.parametrize(
    ("mode", "alone", "group"),
    [(0o600, True, True), (0o640, False, True), (0o660, False, False), (0o604, False, False), (0o400, True, True)],
)
def test_a_secret_is_for_its_user_alone(file: Path, *, mode: int, alone: bool, group: bool) -> None:
    file.chmod(mode)
    assert (not_private(file, file.stat()) is None) is alone
    assert (not_private(file, file.stat(), group_may_read=True) is None) is group


def test_a_folder_of_secrets_is_none_that_everybody_may_list(file: Path) -> None:
    assert not_private(file.parent, file.parent.stat()) is None
    for mode in (0o755, 0o1777, 0o710):
        file.parent.chmod(mode)
        found = not_private(file.parent, file.parent.stat())
        assert found is not None
        assert found.remedy == f"chmod 700 {file.parent}"
        assert str(found) == f"{file.parent} has mode {mode:o}, so it may be read or changed by others"


@pytest.mark.parametrize("at_once", [1, 3, 100])
@pytest.mark.parametrize("length", [0, 1, 9, 10, 11, 12, 50])
def test_one_byte_too_many_shows_that_there_is_more(
    file: Path, monkeypatch: pytest.MonkeyPatch, *, length: int, at_once: int
) -> None:
    content = bytes(range(length))
    file.write_bytes(content)
    genuine = os.read
    monkeypatch.setattr(os, "read", lambda descriptor, most: genuine(descriptor, min(most, at_once)))
    with file.open("rb") as opened:
        assert read_at_most(opened.fileno(), 10) == content[:11]


def test_no_more_is_read_than_one_byte_too_many(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file.write_bytes(bytes(50))
    genuine, asked = os.read, list[int]()

    def counted(descriptor: int, most: int) -> bytes:
        asked.append(most)
        return genuine(descriptor, min(most, 4))

    monkeypatch.setattr(os, "read", counted)
    with file.open("rb") as opened:
        read_at_most(opened.fileno(), 10)
    assert asked == [11, 7, 3]


def test_keys_of_somebody_else_are_not_used(file: Path, foreign: int) -> None:
    with pytest.raises(KeyStoreInsecure, match=f"belongs to user {foreign}, who may read private keys"):
        check_private(file, file.stat())
    with pytest.raises(KeyStoreInsecure):
        FileKeyStore(file.parent).list()


# --- what a platform mounts


@pytest.fixture
def in_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(file_access, "_lies_in_memory", lambda _: True)


@pytest.fixture
def of_root(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever runs the tests is root to the rule, and the program runs as somebody else."""
    owner = os.geteuid()
    monkeypatch.setattr(file_access, "_ROOT", owner)
    monkeypatch.setattr("os.geteuid", lambda: owner + 1)


def as_kubernetes_mounts(folder: Path, *, mode: int = 0o644) -> Path:
    """A volume with a secret: a link to a link to the file, in a folder with the sticky bit."""
    folder.mkdir()
    (folder / "..2026").mkdir(mode=0o755)
    (folder / "..2026" / "seal.key").write_text("secret")
    (folder / "..2026" / "seal.key").chmod(mode)
    (folder / "..data").symlink_to("..2026")
    (folder / "seal.key").symlink_to("..data/seal.key")
    folder.chmod(0o1777)
    return folder / "seal.key"


def judged(path: Path, *, platform_secrets: bool = False) -> Exposure | None:
    with path.open("rb") as opened:
        return exposed_secret(path, opened.fileno(), platform_secrets=platform_secrets)


@pytest.mark.usefixtures("of_root")
@pytest.mark.parametrize("mode", [0o444, 0o644, 0o440, 0o400])
def test_a_mounted_secret_in_memory_is_as_good_as_a_private_one(tmp_path: Path, mode: int, in_memory: None) -> None:
    assert judged(as_kubernetes_mounts(tmp_path / "volume", mode=mode)) is None


@pytest.mark.usefixtures("of_root")
def test_elsewhere_it_needs_the_option_and_the_platform_s_setting_is_named(tmp_path: Path) -> None:
    path = as_kubernetes_mounts(tmp_path / "volume")
    found = judged(path)
    assert found is not None
    assert "defaultMode: 0400" in found.remedy
    assert "--platform-secrets" in found.remedy
    assert "chmod" not in found.refusal
    assert judged(path, platform_secrets=True) is None


def test_the_file_of_an_ordinary_user_is_no_mounted_secret(file: Path, foreign: int, in_memory: None) -> None:
    file.chmod(0o644)
    found = judged(file)
    assert found is not None
    assert "chown" in found.remedy


@pytest.mark.usefixtures("of_root", "in_memory")
def test_nobody_else_may_change_it_nevertheless(tmp_path: Path) -> None:
    path = as_kubernetes_mounts(tmp_path / "volume")
    inner, data = path.resolve(), path.parent / "..data"
    for place, bad, good in ((inner, 0o666, 0o644), (data, 0o777, 0o755), (path.parent, 0o777, 0o1777)):
        place.chmod(bad)
        for platform_secrets in (False, True):
            found = judged(path, platform_secrets=platform_secrets)
            assert found is not None, place
            assert found.path == str(path if place == inner else place)
        place.chmod(good)
    assert judged(path) is None


def test_a_link_of_somebody_else_leads_astray(tmp_path: Path, foreign: int, in_memory: None) -> None:
    assert judged(as_kubernetes_mounts(tmp_path / "volume"), platform_secrets=True) is not None


@pytest.mark.usefixtures("in_memory")
def test_what_belongs_to_nobody_is_the_platform_s(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(file_access, "_NOBODY", os.geteuid())
    monkeypatch.setattr(file_access, "_ROOT", -1)
    user = os.geteuid() + 1
    monkeypatch.setattr("os.geteuid", lambda: user)
    path = as_kubernetes_mounts(tmp_path / "volume", mode=0o444)
    assert judged(path) is None
    with path.open("rb") as opened:
        assert changeable_secret(path, opened.fileno()) is None
        monkeypatch.setattr(file_access, "_lies_in_memory", lambda _: False)
        assert changeable_secret(path, opened.fileno()) is not None


def test_the_file_system_says_what_lies_in_memory(tmp_path: Path) -> None:
    kinds = {line.split()[1]: line.split()[2] for line in Path("/proc/mounts").read_text().splitlines()}
    where = next((place for place, kind in kinds.items() if kind == "tmpfs" and os.access(place, os.R_OK)), None)
    if where is None:
        pytest.skip("no tmpfs is mounted here that can be read")
    for place, expected in ((where, True), ("/proc", False)):
        descriptor = os.open(place, os.O_RDONLY)
        assert file_access._lies_in_memory(descriptor) is expected
        os.close(descriptor)
    assert not file_access._lies_in_memory(-1)


@pytest.mark.skipif(os.geteuid() != 0, reason="mounting needs root")
def test_a_real_tmpfs(tmp_path: Path) -> None:
    mount = shutil.which("mount")
    folder = tmp_path / "volume"
    folder.mkdir()
    done = mount and subprocess.run([mount, "-t", "tmpfs", "tmpfs", str(folder)], check=False, capture_output=True)
    if not done or done.returncode:
        pytest.skip("tmpfs cannot be mounted: mount is missing or not allowed")
    try:
        path = folder / "seal.key"
        path.write_text("secret")
        path.chmod(0o444)
        assert judged(path) is None
        os.chown(path, 1000, 1000)
        assert judged(path) is not None
    finally:
        subprocess.run(["umount", str(folder)], check=True)


def test_a_folder_of_the_platform_names_its_setting_and_holds_one_of_our_own(tmp_path: Path, of_root: None) -> None:
    folder = tmp_path / "volume"
    folder.mkdir()
    folder.chmod(0o777)
    found = unguarded(folder / "pins.toml")
    assert found is not None
    assert "fsGroupChangePolicy: OnRootMismatch" in found.refusal
    assert "chmod" not in found.refusal
    assert own_folder(folder) == folder / "content-trust"
    folder.chmod(0o1777)
    assert own_folder(folder) == folder / "content-trust", "others may put a file there"
    folder.chmod(0o755)
    assert own_folder(folder) == folder
