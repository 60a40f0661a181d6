"""Pins, rollback memory, settings and policies that others may change decide nothing, and are not written."""

from __future__ import annotations

import os
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest

from tests.simulator.scene import good_collection
from trustcli.client.policy_file import load_policy
from trustcli.config.global_options import GlobalOptions
from trustcli.config.settings import load_hook_settings, load_settings
from trustcli.console.exit_codes import KEYS
from trustcli.console.failure_table import row_for
from trustcli.errors import FileExposed
from trustcli.state.memory import MemoryFile
from trustcli.state.pins import PinEntry, PinsFile
from trustdata.errors import TrustError
from trustdata.gun import GUN

APP = GUN("registry.example.com/team/app")


def _settings(path: Path) -> object:
    return load_settings(GlobalOptions(home=str(path.parent)), {}, interactive=False)


READERS: dict[str, Callable[[Path], object]] = {
    "pins.toml": lambda path: PinsFile(path).load(),
    "seen.json": lambda path: MemoryFile(path).load(APP),
    "trust.toml": _settings,
    "hook.toml": lambda path: load_hook_settings({}, config=path, state=None),
    "policy.toml": load_policy,
}
CONTENT = {"seen.json": '{"format": "content-trust-seen-1", "collections": {}}'}


@pytest.fixture(params=READERS)
def file(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    folder = tmp_path / "home"
    folder.mkdir(mode=0o700)
    made = folder / str(request.param)
    made.write_text(CONTENT.get(made.name, ""))
    made.chmod(0o600)
    return made


def read(file: Path) -> object:
    return READERS[file.name](file)


def test_what_is_the_user_s_own_is_read(file: Path) -> None:
    before = read(file)
    file.chmod(0o644)
    file.parent.chmod(0o755)
    assert read(file) == before


@pytest.mark.parametrize("mode", [0o666, 0o660, 0o602])
def test_a_file_that_others_may_change_is_not_used(file: Path, mode: int) -> None:
    file.chmod(mode)
    with pytest.raises(FileExposed) as refused:
        read(file)
    error = refused.value
    assert str(error) == f"{file} has mode {mode:o}, so it may be changed by others: it cannot decide what is trusted"
    assert row_for(error).status == KEYS
    assert row_for(error).advice(error) == f"check that its content is unchanged, then: chmod go-w {file}"


def test_a_file_in_a_folder_that_others_may_change_is_not_used(file: Path) -> None:
    file.parent.chmod(0o777)
    with pytest.raises(
        FileExposed, match=f"{file.parent} has mode 777, so it has files that may be replaced by others"
    ):
        read(file)
    file.parent.chmod(0o1777)
    read(file)


@pytest.mark.parametrize("name", ["pins.toml", "seen.json"])
def test_in_such_a_folder_nothing_is_known_and_nothing_written(tmp_path: Path, name: str) -> None:
    """Somebody may have taken the file away: its absence says nothing."""
    folder = tmp_path / "home"
    folder.mkdir()
    folder.chmod(0o777)
    file = folder / name
    with pytest.raises(FileExposed):
        read(file)
    entry = PinEntry(pin=good_collection().pin, format="tuf-1.0", recorded=datetime(2026, 11, 1, tzinfo=UTC), how="pin")
    writers: dict[str, Callable[[], None]] = {
        "pins.toml": lambda: PinsFile(file).replace(APP, entry),
        "seen.json": lambda: MemoryFile(file).forget(APP),
    }
    with pytest.raises(FileExposed):
        writers[name]()
    assert list(folder.iterdir()) == []


def test_a_first_use_makes_folders_of_its_own(tmp_path: Path) -> None:
    file = tmp_path / "new" / "home" / "seen.json"
    client = good_collection().regular()
    MemoryFile(file).remember(APP, client.memory.known[client.server.gun])
    assert MemoryFile(file).load(APP) is not None
    assert file.parent.stat().st_mode & 0o777 == 0o700


@pytest.mark.parametrize("name", READERS)
def test_a_pipe_with_a_name_is_refused_at_once(tmp_path: Path, name: str) -> None:
    """Nobody writes to it: to open it would be to wait."""
    tmp_path.chmod(0o700)
    os.mkfifo(tmp_path / name, 0o600)
    with pytest.raises(TrustError, match="it is a named pipe, and no file"):
        READERS[name](tmp_path / name)


@pytest.mark.parametrize("name", READERS)
def test_a_folder_in_its_place_costs_no_descriptor(tmp_path: Path, name: str) -> None:
    """Hooks that stay read again whenever something has changed."""
    tmp_path.chmod(0o700)
    (tmp_path / name).mkdir(mode=0o700)
    before = len(list(Path("/proc/self/fd").iterdir()))
    for _ in range(20):
        with pytest.raises(TrustError, match="Is a directory"):
            READERS[name](tmp_path / name)
    assert len(list(Path("/proc/self/fd").iterdir())) < before + 20


def test_a_policy_may_come_from_a_pipe_of_the_shell() -> None:
    reader, writer = os.pipe()
    os.write(writer, b"version = 1\n")
    os.close(writer)
    assert load_policy(Path(f"/dev/fd/{reader}")).rules == ()
    os.close(reader)
