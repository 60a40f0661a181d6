"""Files that decide what the server does: a pipe with a name is none, one of the shell is read."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from trustserver.errors import StartRefused
from trustserver.guarded_files import read_guarded


def test_a_pipe_with_a_name_is_refused_at_once(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "server.toml", 0o600)
    with pytest.raises(StartRefused, match="is a named pipe, and no file"):
        read_guarded(tmp_path / "server.toml", limit=100)


def test_a_folder_in_its_place_costs_no_descriptor(tmp_path: Path) -> None:
    """A server looks again and again."""
    before = len(list(Path("/proc/self/fd").iterdir()))
    for _ in range(20):
        with pytest.raises(StartRefused, match="Is a directory"):
            read_guarded(tmp_path, limit=100)
    assert len(list(Path("/proc/self/fd").iterdir())) < before + 20


def test_a_pipe_of_the_shell_is_read() -> None:
    reader, writer = os.pipe()
    os.write(writer, b"listen = 1")
    os.close(writer)
    assert read_guarded(Path(f"/dev/fd/{reader}"), limit=100) == "listen = 1"
    os.close(reader)
