"""Somebody who has docker with content trust switched on, and an engine."""

from __future__ import annotations

import json
import re

from tests.support.docker_client import DockerUser
from tests.support.images import BuiltImage

OFF = "--disable-content-trust"


class EngineUser:
    """A person with an engine, and what the tests ask of it."""

    def __init__(self, docker: DockerUser) -> None:
        self.docker = docker

    def has(self, gun: str) -> set[str]:
        """Tags and digests of a collection that the engine has."""
        printed = self.docker.run("images", "--digests", "--format", "{{json .}}")
        rows = [json.loads(line) for line in printed.splitlines()]
        mine = [row for row in rows if row["Repository"] == gun]
        return {row[part] for row in mine for part in ("Tag", "Digest") if row[part] != "<none>"}

    def forget(self, gun: str) -> None:
        """Remove all images of a collection from the engine."""
        names = [f"{gun}@{name}" if name.startswith("sha256:") else f"{gun}:{name}" for name in self.has(gun)]
        if names:
            self.docker.run("rmi", "--force", *names)

    def take(self, gun: str, image: BuiltImage, tag: str) -> None:
        """Get an image into the engine under a tag that is not signed yet."""
        self.docker.run("pull", OFF, "--quiet", f"{gun}@{image.digest}")
        self.docker.run("tag", f"{gun}@{image.digest}", f"{gun}:{tag}")

    def push(self, gun: str, tag: str) -> str:
        """Push and sign; the digest that docker signed."""
        said = self.docker.run("push", f"{gun}:{tag}")
        assert "Signing and pushing trust metadata" in said
        found = re.search(rf"{tag}: digest: (sha256:[0-9a-f]{{64}})", said)
        assert found, said
        return found[1]
