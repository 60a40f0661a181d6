"""How containerd calls image verifiers, restated: plugin `io.containerd.image-verifier.v1.bindir` of containerd 2.3.4.

Debian's containerd is 1.6 and has no such plugin, so its contract stands here, as it was measured with real ones.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

MEDIA_TYPE = "application/vnd.oci.descriptor.v1+json"
MANIFEST = "application/vnd.oci.image.manifest.v1+json"
OUTPUT_LIMIT = 1 << 15


@dataclass(frozen=True, kw_only=True)
class Judged:
    """What containerd makes of it. `reason` of a refusal is what the user sees."""

    ok: bool
    reason: str
    status: int | None = None


def descriptor(digest: str, *, size: int = 418) -> bytes:
    return json.dumps({"mediaType": MANIFEST, "digest": digest, "size": size}).encode() + b"\n"


@dataclass(kw_only=True)
class Containerd:
    """A daemon with a configuration, an environment and a working directory of its own."""

    bin_dir: Path
    cwd: Path = Path("/")
    max_verifiers: int = 10
    per_verifier_timeout: float = 10.0
    environ: Mapping[str, str] = field(default_factory=lambda: {"PATH": os.environ["PATH"]})
    user: int | None = None

    def verify(self, name: str, digest: str, raw: bytes | None = None) -> Judged:
        """Ask every entry of bin_dir, in order of name, until one refuses. `raw`: another descriptor than the true."""
        try:
            entries = sorted(path.name for path in self.bin_dir.iterdir())
        except FileNotFoundError:
            return Judged(ok=True, reason=f"image verifier directory {self.bin_dir} does not exist")
        if not entries:
            return Judged(ok=True, reason=f"no image verifier binaries found in {self.bin_dir}")
        reasons = []
        for number, entry in enumerate(entries, start=1):
            if number > self.max_verifiers >= 0:
                break
            judged = self._run(entry, name, digest, descriptor(digest) if raw is None else raw)
            if not judged.ok:
                return judged
            reasons.append(f"{entry} => {judged.reason}")
        return Judged(ok=True, reason=", ".join(reasons), status=0)

    def start(self, entry: str, name: str, digest: str) -> subprocess.Popen[bytes]:
        """One verifier, with nothing on its standard input yet."""
        return subprocess.Popen(
            [self.bin_dir / entry, "-name", name, "-digest", digest, "-stdin-media-type", MEDIA_TYPE],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=self.environ,
            cwd=self.cwd,
            user=self.user,
            process_group=0,
        )

    def _run(self, entry: str, name: str, digest: str, raw: bytes) -> Judged:
        try:
            process = self.start(entry, name, digest)
        except OSError as error:
            return Judged(ok=False, reason=f"failed to call verifier {entry}: {error.strerror}")
        with process:
            try:
                stdout, stderr = process.communicate(raw, timeout=self.per_verifier_timeout)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)
                process.communicate()
                return Judged(ok=False, reason=f"failed to call verifier {entry}: signal: killed")
        assert b"Traceback" not in stderr, stderr
        if process.returncode < 0:
            return Judged(ok=False, reason=f"failed to call verifier {entry}: signal: {-process.returncode}")
        reason = stdout[:OUTPUT_LIMIT].decode().strip()
        if len(stdout) > OUTPUT_LIMIT:
            reason += "(stdout truncated)"
        if process.returncode:
            reason = f"verifier {entry} rejected image (exit code {process.returncode}): {reason}"
        return Judged(ok=process.returncode == 0, reason=reason, status=process.returncode)
