"""The programs that pull: skopeo and podman, and Docker's CLI with an engine, each with a folder of its own."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path

from tests.support.docker_engine import UnpackedDocker
from tests.support.programs import program

SECONDS = 120
Done = subprocess.CompletedProcess[str]


class Containers:
    """skopeo and podman with one registries.conf."""

    def __init__(self, folder: Path, conf: str = "") -> None:
        folder.mkdir()
        (folder / "registries.conf").write_text(conf)
        (folder / "policy.json").write_text('{"default": [{"type": "insecureAcceptAnything"}]}')
        self._folder = folder
        self._environ = {
            "PATH": os.environ["PATH"],
            "HOME": str(folder),
            "XDG_RUNTIME_DIR": str(folder),
            "CONTAINERS_REGISTRIES_CONF": str(folder / "registries.conf"),
            "CONTAINERS_STORAGE_CONF": str(folder / "storage.conf"),
        }
        (folder / "storage.conf").write_text(
            f'[storage]\ndriver = "vfs"\ngraphroot = "{folder}/graph"\nrunroot = "{folder}/run"\n'
        )

    def skopeo(self, *arguments: str) -> Done:
        files = (
            "--policy",
            str(self._folder / "policy.json"),
            "--registries-conf",
            str(self._folder / "registries.conf"),
        )
        return self._run("skopeo", *files, *arguments)

    def copied(self, image: str, *options: str) -> Done:
        """Copy an image into an empty folder."""
        target = self._folder / "copied"
        shutil.rmtree(target, ignore_errors=True)
        return self.skopeo("copy", *options, f"docker://{image}", f"dir:{target}")

    def podman_pull(self, *arguments: str) -> Done:
        return self._run("podman", "pull", "--signature-policy", str(self._folder / "policy.json"), *arguments)

    def podman(self, *arguments: str) -> str:
        done = self._run("podman", *arguments)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def _run(self, name: str, *arguments: str) -> Done:
        return subprocess.run(
            [program(name), *arguments], env=self._environ, capture_output=True, text=True, check=False, timeout=SECONDS
        )


class Docker:
    """The CLI of an engine. `config`: its configuration folder."""

    def __init__(self, unpacked: UnpackedDocker, host: str, folder: Path) -> None:
        self.config = folder
        self._binary = str(unpacked.docker)
        self._environ = {"PATH": unpacked.path, "DOCKER_HOST": host, "HOME": str(folder), "DOCKER_CONFIG": str(folder)}

    def __call__(self, *arguments: str) -> Done:
        return subprocess.run(
            [self._binary, *arguments], env=self._environ, capture_output=True, text=True, check=False, timeout=SECONDS
        )

    def pulled(self, image: str) -> tuple[str, str]:
        """Pull an image; its digest, or "" and what is said."""
        done = self("pull", image)
        if done.returncode:
            return "", done.stderr
        found = re.search(r"^Digest: (sha256:[0-9a-f]{64})$", done.stdout, re.MULTILINE)
        assert found, done.stdout
        return found[1], ""
