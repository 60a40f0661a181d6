"""The notary client as a maker of collections: init, many tags, publish."""

from __future__ import annotations

import base64
import json
import os
import subprocess
from dataclasses import dataclass
from pathlib import Path

from tests.support.notary_server import NotaryStack
from tests.support.programs import program


@dataclass(frozen=True, kw_only=True)
class NotaryClient:
    """One trust folder against one server."""

    stack: NotaryStack
    folder: Path

    def init(self, gun: str) -> None:
        """A collection whose snapshot key the server holds, as docker makes it."""
        self._run("init", gun, "-p")
        self._run("key", "rotate", gun, "snapshot", "-r")

    def publish(self, gun: str, tags: range) -> None:
        """Add the tags and publish them at once; the change list is written as the client itself would."""
        changes = self.folder / "tuf" / gun / "changelist"
        changes.mkdir(parents=True, exist_ok=True)
        for tag in tags:
            digest = base64.b64encode(tag.to_bytes(32, "big")).decode()
            data = base64.b64encode(json.dumps({"hashes": {"sha256": digest}, "length": 1234}).encode()).decode()
            change = {"action": "create", "role": "targets", "type": "target", "path": f"v{tag}", "data": data}
            (changes / f"{tag:020d}_bench.change").write_text(json.dumps(change))
        self._run("publish", gun)

    def _run(self, *arguments: str) -> None:
        common = ["-s", self.stack.url, "--tlscacert", str(self.stack.ca), "-d", str(self.folder)]
        passphrases = {
            "NOTARY_ROOT_PASSPHRASE": "rootpass1",
            "NOTARY_TARGETS_PASSPHRASE": "targetspass1",
            "NOTARY_SNAPSHOT_PASSPHRASE": "snappass1",
        }
        done = subprocess.run(
            [program("notary"), *common, *arguments],
            env={**os.environ, **passphrases},
            capture_output=True,
            text=True,
            check=False,
            timeout=300,
        )
        if done.returncode:
            raise RuntimeError(f"notary {' '.join(arguments)}: {done.stdout}{done.stderr}")
