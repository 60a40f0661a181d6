"""A node that pulls: its containerd, the verifier that `trust hook containerd` put there, and the files it goes by."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tests.support.bindir_runner import Containerd, Judged
from tests.support.images import BuiltImage
from tests.support.stage import Put
from tests.support.trust_program import TrustUser

PATIENT = 'timeout = "60s"'
"""A verdict may take so long as a busy machine needs for it."""


class Node:
    """`etc` holds trust.toml and pins.toml, `state` what the verifier remembers."""

    def __init__(self, folder: Path, servers: Mapping[str, str], *, verifier: str = "") -> None:
        self.etc = folder / "it's etc"
        self.etc.mkdir(parents=True)
        self.state = folder / "state of $HOME"
        self.config = self.etc / "trust.toml"
        self.containerd = Containerd(bin_dir=folder / "bin dir", cwd=folder)
        self.configure(servers, verifier=verifier)
        self.admin = TrustUser(folder / "admin", "", environ={"TRUST_HOME": str(self.etc)})
        self.install()

    def configure(self, servers: Mapping[str, str], *, verifier: str = "") -> None:
        """Write trust.toml anew; `verifier` is what stands under [verifier]."""
        rows = "".join(f"{json.dumps(name)} = {json.dumps(url)}\n" for name, url in servers.items())
        self.config.write_text(f"[servers]\n{rows}\n[verifier]\n{verifier}\n")

    def install(self) -> None:
        self.admin.run(
            *("hook", "containerd", "--bin-dir", str(self.containerd.bin_dir)),
            *("--config", str(self.config), "--state", str(self.state)),
        )

    def pull(self, name: str, digest: str, raw: bytes | None = None) -> Judged:
        """What containerd asks before it fetches anything."""
        return self.containerd.verify(name, digest, raw)

    def allows(self, name: str, digest: str) -> str:
        judged = self.pull(name, digest)
        assert judged.ok, judged.reason
        return judged.reason

    def refuses(self, name: str, digest: str, *words: str, status: int | None = None) -> str:
        judged = self.pull(name, digest)
        assert not judged.ok, judged.reason
        for word in words:
            assert word in judged.reason, judged.reason
        assert status is None or judged.status == status, judged
        assert "\n" not in judged.reason
        assert judged.reason.isprintable()
        return judged.reason

    def doctor(self, containerd_config: Path) -> tuple[int, Any]:
        """Exit status and findings of `trust doctor containerd`, with nothing of the node's in its own home."""
        command = ("--json", "doctor", "containerd", "--config", str(containerd_config))
        done = self.admin.run(*command, expect=None, TRUST_HOME=str(self.admin.home))
        return done.status, done.document()["findings"]


def release(owner: TrustUser, gun: str, put: Put, tag: str = "1.0", *, index: bool = False) -> BuiltImage:
    """Make a collection with one signed tag."""
    image = put(tag, index=index)
    owner.run("init", gun, "--no-recovery-key")
    owner.run("sign", f"{gun}:{tag}")
    return image


def verifier(*arguments: str, stdin: bytes = b"", **options: Any) -> subprocess.CompletedProcess[bytes]:
    """The installed program itself."""
    program = Path(sys.executable).parent / "trust-image-verifier"
    return subprocess.run([program, *arguments], input=stdin, capture_output=True, check=False, timeout=60, **options)
