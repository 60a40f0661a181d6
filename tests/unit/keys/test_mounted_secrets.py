"""What is said of a file that a container platform has mounted: whose it is, and which setting puts it right."""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path

import pytest

from keys import file_access
from keys.errors import KeyFileMissing, KeyFileUnreadable
from keys.file_access import Exposure, changeable_secret, exposed_secret, key_file_error, not_private, unguarded

USER = 4_711
OTHER = 4_712


@pytest.fixture
def path(tmp_path: Path) -> Path:
    folder = tmp_path / "folder"
    folder.mkdir(mode=0o700)
    made = folder / "seal.key"
    made.write_text("secret")
    made.chmod(0o644)
    return made


def whoever_owns(monkeypatch: pytest.MonkeyPatch, role: str, *, user: int = USER) -> None:
    """The rule takes the owner of the test's files for `_ROOT`, `_NOBODY` or the user; `user` runs the program."""
    owner = os.geteuid()
    monkeypatch.setattr(file_access, "_ROOT", -1)
    monkeypatch.setattr(file_access, "_NOBODY", -2)
    if role != "the user":
        monkeypatch.setattr(file_access, role, owner)
    monkeypatch.setattr("os.geteuid", lambda: owner if role == "the user" else user)


def in_memory(monkeypatch: pytest.MonkeyPatch, *, answer: bool) -> list[int]:
    asked: list[int] = []

    def lies(descriptor: int) -> bool:
        asked.append(os.fstat(descriptor).st_ino)
        return answer

    monkeypatch.setattr(file_access, "_lies_in_memory", lies)
    return asked


def judged(path: Path, *, platform_secrets: bool = False) -> Exposure | None:
    with path.open("rb") as opened:
        return exposed_secret(path, opened.fileno(), platform_secrets=platform_secrets)


def exposure(path: Path, *, by_platform: bool, owner: int | None = None) -> Exposure:
    what = "may be read or changed"
    return Exposure(path=str(path), mode="644", owner=owner, what=what, wanted="600", by_platform=by_platform)


# --- who must put it right


def test_a_file_of_one_s_own_is_put_right_with_chmod(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whoever_owns(monkeypatch, "the user")
    in_memory(monkeypatch, answer=True)
    found = judged(path)
    assert found == exposure(path, by_platform=False)
    assert found.refusal == f"has mode 644, so it may be read or changed by others; run chmod 600 {path}"
    with path.open("rb") as opened:
        assert exposed_secret(path, opened.fileno()) == found, "without the option"
        path.chmod(0o640)
        assert exposed_secret(path, opened.fileno()) is not None
        assert exposed_secret(path, opened.fileno(), group_may_read=True) is None


@pytest.mark.parametrize("role", ["_ROOT", "_NOBODY"])
def test_a_file_of_root_or_nobody_is_the_platform_s(path: Path, monkeypatch: pytest.MonkeyPatch, role: str) -> None:
    whoever_owns(monkeypatch, role)
    in_memory(monkeypatch, answer=False)
    found = judged(path)
    assert found == exposure(path, by_platform=True, owner=path.stat().st_uid if role == "_NOBODY" else None)
    setting = "set defaultMode: 0400 in Kubernetes (mode 0400 elsewhere), or give --platform-secrets"
    assert found.remedy == setting
    assert found.refusal == f"{found.reason}; {setting}"


def test_root_s_own_file_is_not_the_platform_s_to_root(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whoever_owns(monkeypatch, "_ROOT", user=os.geteuid())
    in_memory(monkeypatch, answer=False)
    assert judged(path) == exposure(path, by_platform=False)


def test_somebody_else_s_file_is_not_the_platform_s(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    owner = os.geteuid()
    whoever_owns(monkeypatch, "_ROOT")
    monkeypatch.setattr(file_access, "_ROOT", -1)
    in_memory(monkeypatch, answer=True)
    assert judged(path) == exposure(path, by_platform=False, owner=owner)


@pytest.mark.parametrize("where", ["in the path", "in a link's target"])
def test_the_links_of_kubernetes_tell_its_volumes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, where: str) -> None:
    whoever_owns(monkeypatch, "the user")
    volume = tmp_path / "volume"
    (volume / "..2026").mkdir(mode=0o755, parents=True)
    (volume / "..data").symlink_to("..2026")
    (volume / "..2026" / "seal.key").write_text("secret")
    (volume / "..2026" / "seal.key").chmod(0o644)
    (volume / "seal.key").symlink_to("..data/seal.key")
    named = volume / "..data" / "seal.key" if where == "in the path" else volume / "seal.key"
    assert judged(named) == exposure(named, by_platform=True)


def test_another_link_tells_nothing(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whoever_owns(monkeypatch, "the user")
    link = path.parent / "link"
    link.symlink_to(path)
    assert judged(link) == exposure(link, by_platform=False)


@pytest.mark.parametrize("flag", [os.ST_RDONLY, os.ST_RDONLY | os.ST_NOSUID, os.ST_NOSUID, 0])
def test_what_is_mounted_to_be_read_only_is_the_platform_s(
    path: Path, monkeypatch: pytest.MonkeyPatch, flag: int
) -> None:
    whoever_owns(monkeypatch, "the user")
    genuine = os.fstatvfs

    def mounted(descriptor: int) -> os.statvfs_result:
        fields = list(genuine(descriptor))
        fields[8] = flag
        return os.statvfs_result(fields)

    monkeypatch.setattr(os, "fstatvfs", mounted)
    assert judged(path) == exposure(path, by_platform=bool(flag & os.ST_RDONLY))


# --- what makes it as good as a private one


@pytest.mark.parametrize("role", ["_ROOT", "_NOBODY"])
@pytest.mark.parametrize("memory", [True, False])
@pytest.mark.parametrize("option", [True, False])
def test_memory_or_the_option_makes_it_good(
    path: Path, monkeypatch: pytest.MonkeyPatch, *, role: str, memory: bool, option: bool
) -> None:
    whoever_owns(monkeypatch, role)
    asked = in_memory(monkeypatch, answer=memory)
    path.parent.chmod(0o755)
    assert (judged(path, platform_secrets=option) is None) is (memory or option)
    assert asked == [path.stat().st_ino]
    path.chmod(0o666)
    assert judged(path, platform_secrets=option) is not None, "others may change it"


def test_the_option_does_not_help_the_file_of_somebody_else(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whoever_owns(monkeypatch, "_ROOT")
    monkeypatch.setattr(file_access, "_ROOT", -1)
    found = judged(path, platform_secrets=True)
    assert found is not None
    assert (found.path, found.owner, found.by_platform) == (str(path), path.stat().st_uid, False)
    assert found.what == "may be changed"


def test_the_file_that_was_opened_counts_and_not_what_has_come_into_its_place(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whoever_owns(monkeypatch, "_ROOT")
    in_memory(monkeypatch, answer=True)
    path.chmod(0o666)
    with path.open("rb") as opened:
        path.unlink()
        path.write_text("another")
        path.chmod(0o600)
        for found in (exposed_secret(path, opened.fileno()), changeable_secret(path, opened.fileno())):
            assert found is not None
            assert (found.path, found.mode) == (str(path), "666")


@pytest.mark.parametrize(
    ("role", "memory", "good"),
    [("_ROOT", False, True), ("_NOBODY", True, True), ("_NOBODY", False, False), ("", True, False), ("", False, False)],
)
def test_who_may_own_a_secret_that_everybody_may_read(
    path: Path, monkeypatch: pytest.MonkeyPatch, *, role: str, memory: bool, good: bool
) -> None:
    whoever_owns(monkeypatch, role or "_ROOT")
    if not role:
        monkeypatch.setattr(file_access, "_ROOT", -1)
    in_memory(monkeypatch, answer=memory)
    with path.open("rb") as opened:
        found = changeable_secret(path, opened.fileno())
    assert (found is None) is good
    assert found is None or (found.path, found.owner) == (str(path), path.stat().st_uid)


# --- folders


@pytest.mark.parametrize(
    ("role", "user", "mode", "by_platform"),
    [
        ("_ROOT", USER, 0o777, True),
        ("_NOBODY", USER, 0o777, True),
        ("_ROOT", None, 0o777, False),
        ("_ROOT", None, 0o2777, True),
        ("_ROOT", None, 0o4777, False),
        ("the user", None, 0o2777, False),
    ],
)
def test_which_folder_is_one_that_a_platform_has_mounted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, role: str, user: int | None, mode: int, by_platform: bool
) -> None:
    whoever_owns(monkeypatch, role, user=os.geteuid() if user is None else user)
    folder = tmp_path / "volume"
    folder.mkdir()
    folder.chmod(mode)
    found = unguarded(folder / "file")
    assert found is not None
    owner = folder.stat().st_uid if role == "_NOBODY" else None
    assert found == Exposure(
        path=str(folder),
        mode=f"{mode:o}",
        owner=owner,
        what="has files that may be replaced",
        wanted="go-w",
        by_platform=by_platform,
    )
    if by_platform:
        setting = "set fsGroupChangePolicy: OnRootMismatch in Kubernetes"
        assert found.remedy == f"{setting}, or use a folder of your own in it (trust --platform-secrets makes one)"


def test_further_owners_are_as_good_as_the_user(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    link = path.parent / "link"
    link.symlink_to(path)
    whoever_owns(monkeypatch, "_NOBODY")
    assert unguarded(link) is not None
    assert unguarded(link, owners=frozenset({path.stat().st_uid})) is None
    assert unguarded(link, owners=frozenset({OTHER})) is not None


def test_what_an_exposure_of_a_file_says(path: Path) -> None:
    path.chmod(0o666)
    assert unguarded(path) == Exposure(path=str(path), mode="666", owner=None, what="may be changed", wanted="go-w")
    path.parent.chmod(0o777)
    found = not_private(path.parent, path.parent.stat())
    assert found is not None
    assert (found.mode, found.what, found.wanted) == ("777", "may be read or changed", "700")


@pytest.mark.parametrize("kind", [stat.S_IFREG, stat.S_IFDIR, stat.S_IFIFO, stat.S_IFCHR])
def test_what_has_a_name_is_judged_and_no_terminal(path: Path, kind: int) -> None:
    fields = list(path.stat())
    fields[stat.ST_MODE] = kind | 0o666
    status = os.stat_result(fields)
    judged_at_all = kind != stat.S_IFCHR  # the pipe has a name
    assert (unguarded(path, status) is not None) is judged_at_all
    assert (not_private(path, status) is not None) is judged_at_all


# --- a file that cannot be opened


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (FileNotFoundError(errno.ENOENT, "No such file or directory"), KeyFileMissing(key="a.key")),
        (
            PermissionError(errno.EACCES, "Permission denied"),
            KeyFileUnreadable(place="a.key", reason="Permission denied"),
        ),
        (OSError(), KeyFileUnreadable(place="a.key", reason="OSError")),
    ],
)
def test_why_a_key_file_cannot_be_read(error: OSError, expected: KeyFileMissing | KeyFileUnreadable) -> None:
    found = key_file_error(Path("a.key"), error)
    assert (type(found), found.details()) == (type(expected), expected.details())
