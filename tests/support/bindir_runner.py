"""How containerd calls image verifiers, restated: plugin `io.containerd.image-verifier.v1.bindir` of containerd 2.3.4.

Debian's containerd is 1.6 and has no such plugin, so its contract stands here, as it was measured with real ones.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from tests.support.loaded_program import Started
from trustcli.hooks.wrapper import parse_wrapper, verifier_program

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
    """A daemon with a configuration, an environment and a working directory of its own.

    A verifier that `trust hook containerd` put there is forked from one that is loaded, unless all are to be `fresh`.
    """

    bin_dir: Path
    cwd: Path = Path("/")
    max_verifiers: int = 10
    per_verifier_timeout: float = 120.0
    environ: Mapping[str, str] = field(default_factory=lambda: {"PATH": os.environ["PATH"]})
    user: int | None = None
    fresh: bool = False

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
            [self.bin_dir / entry, *asked(name, digest)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=self.environ,
            cwd=self.cwd,
            user=self.user,
            process_group=0,
        )

    def _run(self, entry: str, name: str, digest: str, raw: bytes) -> Judged:
        ours = None if self.fresh or self.user is not None else self._ours(entry)
        if ours is not None:
            arguments = [*ours, *asked(name, digest)]
            done = start_verifier(arguments, raw, cwd=self.cwd, environ=self.environ, seconds=self.per_verifier_timeout)
            return judged(entry, done.returncode, done.stdout, done.stderr)
        try:
            process = self.start(entry, name, digest)
        except OSError as error:
            return Judged(ok=False, reason=f"failed to call verifier {entry}: {error.strerror}")
        with process:
            try:
                stdout, stderr = process.communicate(raw, timeout=self.per_verifier_timeout)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)
                stdout, stderr = process.communicate()
        return judged(entry, process.returncode, stdout, stderr)

    def _ours(self, entry: str) -> list[str] | None:
        """The options that our script gives the verifier; None if containerd could not execute it, or it is no such."""
        file = self.bin_dir / entry
        if not (file.is_file() and os.access(file, os.X_OK)):
            return None
        wrapper = parse_wrapper(file.read_text(errors="replace"))
        if wrapper is None or wrapper.program != verifier_program():
            return None
        given = (("-config", wrapper.config), ("-state", wrapper.state))
        return [word for option, path in given if path for word in (option, str(path))]


def start_verifier(
    arguments: Sequence[str], raw: bytes, *, cwd: Path, environ: Mapping[str, str], seconds: float
) -> subprocess.CompletedProcess[bytes]:
    """Fork a verifier from one that is loaded; it is killed after so many seconds."""
    module = "trustcli.hooks.containerd"
    return Started(module, arguments, package="trustcli", cwd=cwd, environ=environ, raw=raw).ended(seconds)


def asked(name: str, digest: str) -> list[str]:
    """The arguments that containerd gives a verifier."""
    return ["-name", name, "-digest", digest, "-stdin-media-type", MEDIA_TYPE]


def judged(entry: str, status: int, stdout: bytes, stderr: bytes) -> Judged:
    """What containerd makes of the end of a verifier."""
    assert b"Traceback" not in stderr, stderr
    if status < 0:
        name = "killed" if status == -signal.SIGKILL else str(-status)
        return Judged(ok=False, reason=f"failed to call verifier {entry}: signal: {name}")
    reason = stdout[:OUTPUT_LIMIT].decode().strip()
    if len(stdout) > OUTPUT_LIMIT:
        reason += "(stdout truncated)"
    if status:
        reason = f"verifier {entry} rejected image (exit code {status}): {reason}"
    return Judged(ok=status == 0, reason=reason, status=status)
