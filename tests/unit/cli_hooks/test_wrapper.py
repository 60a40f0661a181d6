"""The file in containerd's folder: quoted, read back exactly, replaced at once."""

from __future__ import annotations

import errno
import os
import subprocess
from pathlib import Path

import pytest

from trustcli.errors import SettingsUnusable
from trustcli.hooks.bin_dir import entries
from trustcli.hooks.wrapper import NAME, Wrapper, parse_wrapper, write_wrapper

STRANGE = 'it\'s $HOME `x` "y" \\ * é; exit 0 #'


def test_whatever_the_paths_are_the_program_gets_them(tmp_path: Path) -> None:
    program = tmp_path / f"{STRANGE} program"
    program.write_text('#!/bin/sh\nfor word; do echo "$word"; done\n')
    program.chmod(0o755)
    wrapper = Wrapper(program=program, config=Path(f"/a/{STRANGE}"), state=Path("/b/-state"))
    script = tmp_path / "script"
    script.write_text(wrapper.text())
    done = subprocess.run(["sh", script, "-name", "a b", ""], capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout.splitlines() == ["-config", f"/a/{STRANGE}", "-state", "/b/-state", "-name", "a b", ""]
    assert parse_wrapper(wrapper.text()) == wrapper


@pytest.mark.parametrize("config", [Path("/etc/trust.toml"), None])
@pytest.mark.parametrize("state", [Path("/var/lib/x"), None])
def test_it_is_read_back(config: Path | None, state: Path | None) -> None:
    wrapper = Wrapper(program=Path("/opt/x"), config=config, state=state)
    assert parse_wrapper(wrapper.text()) == wrapper


def test_a_script_that_was_changed_is_not_ours() -> None:
    text = Wrapper(program=Path("/opt/x"), config=Path("/etc/trust.toml")).text()
    changed = [
        text.replace('"$@"', '"$@" || exit 0'),
        text.replace("exec ", ""),
        text.replace("exec ", "exit 0; exec "),
        text.replace("#!/bin/sh\n", "#!/bin/sh\nexit 0\n"),
        text + "exit 0\n",
        text[:-1],
        text[: text.index("exec")],
        "",
        "#!/bin/sh\nexit 0\n",
        "exec '",
    ]
    assert [parse_wrapper(other) for other in changed] == [None] * len(changed)


def test_a_path_with_a_line_end_is_refused() -> None:
    with pytest.raises(SettingsUnusable, match="one line"):
        Wrapper(program=Path("/opt/x"), config=Path("/etc/a\nb")).text()


def test_it_is_written_beside_the_folder_and_moved_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever lies in the folder is executed, at any moment: never a half-written file."""
    folder = tmp_path / "bin"
    folder.mkdir()
    seen: list[list[str]] = []
    real = os.fsync

    def look(descriptor: int) -> None:
        seen.append([entry.name for entry in entries(folder)])
        real(descriptor)

    monkeypatch.setattr(os, "fsync", look)
    write_wrapper(folder, Wrapper(program=Path("/opt/x")))
    write_wrapper(folder, Wrapper(program=Path("/opt/y")))
    assert [names for names in seen if set(names) - {NAME}] == []
    assert (folder / NAME).stat().st_mode & 0o7777 == 0o755
    assert [path.name for path in tmp_path.iterdir()] == ["bin"]
    (entry,) = entries(folder)
    assert entry.ours == Wrapper(program=Path("/opt/y"))


def test_a_folder_that_is_a_mount_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "bin"
    folder.mkdir()
    real = os.replace

    def across(source: Path, target: Path) -> None:
        if Path(source).parent != Path(target).parent:
            raise OSError(errno.EXDEV, "Invalid cross-device link")
        real(source, target)

    monkeypatch.setattr(os, "replace", across)
    write_wrapper(folder, Wrapper(program=Path("/opt/x")))
    assert [path.name for path in folder.iterdir()] == [NAME]
    assert [path.name for path in tmp_path.iterdir()] == ["bin"]


def test_entries_that_containerd_cannot_execute(tmp_path: Path) -> None:
    (tmp_path / "README").write_text("x")
    (tmp_path / "folder").mkdir()
    (tmp_path / "dangling").symlink_to("nowhere")
    program = tmp_path / "zz-program"
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    (tmp_path / "link").symlink_to(program)
    assert {entry.name: entry.problem is not None for entry in entries(tmp_path)} == {
        "README": True,
        "dangling": True,
        "folder": True,
        "link": False,
        "zz-program": False,
    }
    assert all(entry.ours is None for entry in entries(tmp_path))


def test_a_link_to_the_program_is_ours_too(tmp_path: Path) -> None:
    program = tmp_path / "opt" / NAME
    program.parent.mkdir()
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    folder = tmp_path / "bin"
    folder.mkdir()
    (folder / "verify").symlink_to(program)
    (entry,) = entries(folder)
    assert entry.ours == Wrapper(program=program)
