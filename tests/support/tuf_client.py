"""python-tuf's own client, pointed at a trust server: the second opinion of every journey."""

from __future__ import annotations

import urllib.request
from pathlib import Path

from tuf.ngclient import Updater, UpdaterConfig


class TufClient:
    """A machine with nothing but `tuf.ngclient`; it trusts root version 1, as it was when this client was made."""

    def __init__(self, folder: Path, server: str, gun: str) -> None:
        folder.mkdir(parents=True)
        self._folder = folder
        self._base = f"{server}/tuf/{gun}/metadata/"
        with urllib.request.urlopen(f"{self._base}1.root.json", timeout=20) as answer:
            self._root: bytes = answer.read()

    def digest_of(self, tag: str) -> str | None:
        """What a fresh refresh finds under a tag (`sha256:HEX`), or None. Raises: what python-tuf raises."""
        updater = Updater(
            metadata_dir=str(self._folder),
            metadata_base_url=self._base,
            target_dir=str(self._folder),
            target_base_url=self._base,
            config=UpdaterConfig(),
            bootstrap=self._root,
        )
        updater.refresh()
        info = updater.get_targetinfo(tag)
        return f"sha256:{info.hashes['sha256']}" if info else None
