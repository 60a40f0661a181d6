"""A real small file system, to be filled up. Needs the right to mount; without it the test is skipped, saying so."""

from __future__ import annotations

import contextlib
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.programs import program

SIZE = 4 * 1024 * 1024


class SmallDisk:
    """A file system of SIZE bytes at `path`."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._filler = path / "filler"

    def fill(self) -> None:
        """Take every byte that is left."""
        descriptor = os.open(self._filler, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        try:
            for size in (65536, 4096, 1):
                with contextlib.suppress(OSError):
                    while True:
                        os.write(descriptor, bytes(size))
        finally:
            os.close(descriptor)
        assert os.statvfs(self.path).f_bavail == 0

    def free(self) -> None:
        """Give them back."""
        self._filler.unlink()


@contextlib.contextmanager
def small_disk(folder: Path) -> Iterator[SmallDisk]:
    """Mounted until the end of the block, in which whoever works on it must have ended."""
    folder.mkdir()
    mount, umount = program("mount"), program("umount")
    command = [mount, "-t", "tmpfs", "-o", f"size={SIZE},mode=0700", "tmpfs", str(folder)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        pytest.skip(f"no small file system can be mounted here (needs root and CAP_SYS_ADMIN): {done.stderr.strip()}")
    try:
        yield SmallDisk(folder)
    finally:
        subprocess.run([umount, "-l", str(folder)], check=True)
