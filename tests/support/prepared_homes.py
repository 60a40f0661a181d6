"""Machines that many tests begin with: each is made once by a process, and every test has a copy."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from pathlib import Path

from tests.simulator.home import Home


class PreparedHomes:
    """Homes by what they are; `folder`: where those are that the others are copies of."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._made: dict[Hashable, Home] = {}

    def home(self, folder: Path, what: Hashable, make: Callable[[Path], Home]) -> Home:
        """Return a home in `folder` as `make` makes it, which is called only for the first of its kind (`what`)."""
        if what not in self._made:
            original = self._folder / str(len(self._made))
            original.mkdir(mode=0o700)
            self._made[what] = make(original)
        folder.chmod(0o700)
        return self._made[what].copied(folder)
