"""The image of docs/deploy: what a build is sent, its commands as a shell runs them, and what compose.yaml starts."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.support.building import SOURCE, fetched_wheels, run
from tests.support.programs import free_port, program

DEPLOY = SOURCE / "docs" / "deploy"
DOCKERFILE = (DEPLOY / "Dockerfile").read_text()
TEXT = (DEPLOY / "compose.yaml").read_text()
COMPOSE: dict[str, Any] = yaml.safe_load(TEXT)
SERVER = COMPOSE["services"]["trust-server"]
UID = 970
PYTHON = "/opt/content-trust/bin/python"
ENVIRON = {"PATH": os.environ["PATH"], "PYTHONPATH": os.environ.get("PYTHONPATH", "")}
SECRETS = ("seal.key", "trust.key", "trust.htpasswd")


def instruction(name: str) -> list[str]:
    """The arguments of every such line of the Dockerfile, with its continuations."""
    return re.findall(rf"^{name} (.*)$", DOCKERFILE.replace("\\\n", ""), re.MULTILINE)


def is_sent(path: str) -> bool:
    """Whether a file is in the context of a build: the last pattern of .dockerignore that fits it or a folder of it."""
    sent = True
    for line in (SOURCE / ".dockerignore").read_text().splitlines():
        pattern = line.removeprefix("!")
        if not pattern or pattern.startswith("#"):
            continue
        expression = re.escape(pattern).replace(r"\*\*/", "(?:.*/)?").replace(r"\*", "[^/]*")
        if re.fullmatch(f"{expression}(?:/.*)?", path):
            sent = line.startswith("!")
    return sent


def test_no_secret_and_no_history_is_sent() -> None:
    """A later RUN takes nothing out of the layer that COPY has made."""
    assert instruction("COPY") == [". /src"]
    assert (DEPLOY / SERVER["build"]["context"]).resolve() == SOURCE
    assert (SOURCE / SERVER["build"]["dockerfile"]).resolve() == DEPLOY / "Dockerfile"
    beside = [f"docs/deploy/{name}" for name in SECRETS]
    for path in (*beside, *SECRETS, ".git/config", ".venv/bin/python", "tests/conftest.py", "keys/__pycache__/a.pyc"):
        assert not is_sent(path), path
    assert is_sent("trustserver/storage/migrations/versions/__init__.py")


@dataclass(frozen=True, kw_only=True)
class Built:
    """What the commands of the Dockerfile left; `as_here` says where a path of the image is."""

    folder: Path

    def as_here(self, text: str) -> str:
        for path in ("/src", "/opt/content-trust", "/var/lib/trust-server", "/etc/trust-server"):
            text = text.replace(path, f"{self.folder}{path}")
        return text


@pytest.fixture(scope="module")
def built() -> Iterator[Built]:
    """COPY and RUN, in a folder in which the server's user may look around."""
    locked_wheels = fetched_wheels()
    if os.geteuid() != 0:
        pytest.skip("useradd: needs root")
    with tempfile.TemporaryDirectory(prefix="image-") as name:
        folder = Path(name)
        folder.chmod(0o755)
        image = Built(folder=folder)
        for file in SOURCE.rglob("*"):
            path = file.relative_to(SOURCE)
            if file.is_file() and path.parts[0] != ".git" and is_sent(str(path)):
                (folder / "src" / path).parent.mkdir(parents=True, exist_ok=True)
                shutil.copy(file, folder / "src" / path)
        for place in ("bin", "etc", "opt", "var/lib"):
            (folder / place).mkdir(parents=True)
        (folder / "etc" / "passwd").write_text("root:x:0:0:root:/root:/bin/sh\n")
        (folder / "bin" / "useradd").write_text(f'#!/bin/sh\nexec {program("useradd")} --prefix {folder} "$@"\n')
        (folder / "bin" / "useradd").chmod(0o755)
        environ = {
            "PATH": f"{folder / 'bin'}:{os.environ['PATH']}",
            "HOME": str(folder),
            "PYTHON": sys._base_executable,  # type: ignore[attr-defined]
            "PIP_NO_INDEX": "1",
            "PIP_FIND_LINKS": str(locked_wheels),
        }
        (command,) = instruction("RUN")
        # useradd is given the path of the image: with --prefix it looks for it below the folder itself.
        first, last = command.split("useradd")
        run("sh", "-ec", f"{image.as_here(first)}useradd{last}", environ=environ)
        yield image


@pytest.mark.long
def test_what_is_copied_is_installed_and_belongs_to_the_server_s_user(built: Built) -> None:
    assert not (built.folder / "src").exists()
    assert (built.folder / "var" / "lib" / "trust-server").stat().st_uid == UID
    (user,) = instruction("USER")
    assert re.search(rf"^{user}:[^:]*:{UID}:", (built.folder / "etc" / "passwd").read_text(), re.MULTILINE)
    (entry,) = (json.loads(text) for text in instruction("ENTRYPOINT"))
    (default,) = (json.loads(text) for text in instruction("CMD"))
    assert os.access(built.as_here(entry[0]), os.X_OK)
    assert default == SERVER["command"][: len(default)]


@pytest.mark.long
def test_compose_starts_it_as_its_user(built: Built) -> None:
    (entry,) = (json.loads(words) for words in instruction("ENTRYPOINT"))
    as_user = [program("setpriv"), f"--reuid={UID}", f"--regid={UID}", "--clear-groups", "--"]
    started_by_compose(built, [*as_user, built.as_here(entry[0])], [*as_user, built.as_here(PYTHON)])


def test_compose_starts_the_server_and_knows_whether_it_is_ready(tmp_path: Path) -> None:
    """The same with what is installed here, and without the image's user."""
    here = Built(folder=tmp_path)
    (tmp_path / "etc").mkdir()
    started_by_compose(here, [sys.executable, "-m", "trustserver"], [sys.executable])


def started_by_compose(image: Built, server: list[str], python: list[str]) -> None:
    """Start it with the mounts of compose.yaml, and the seal key made as the file says. `python`: that of the image."""
    port = str(free_port())
    mounts = dict(row.removesuffix(":ro").split(":") for row in SERVER["volumes"])
    assert mounts.pop("trust-data") == "/var/lib/trust-server"
    assert "trust-data" in COMPOSE["volumes"]
    for source, target in mounts.items():
        place = Path(image.as_here(target))
        if source == "./seal.key":
            (made,) = re.findall(r"^#   seal\.key +(\(.*\)); chown 970 seal\.key,", TEXT, re.MULTILINE)
            run("sh", "-ec", made, cwd=place.parent, environ={"PATH": os.environ["PATH"]})
            (place.parent / "seal.key").rename(place)
            if os.geteuid() == 0 and server[0] != sys.executable:
                os.chown(place, UID, -1)
        else:
            place.write_text(image.as_here((DEPLOY / source).read_text()).replace("4443", port))
    kind, interpreter, *check = (word.replace("4443", port) for word in SERVER["healthcheck"]["test"])
    assert (kind, interpreter) == ("CMD", PYTHON)
    command = [*server, *(image.as_here(word) for word in SERVER["command"])]
    with subprocess.Popen(command, stdout=subprocess.PIPE, env=ENVIRON) as process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline().decode().startswith(f"trust-server at http://127.0.0.1:{port}")
            run(*python, *check, environ=ENVIRON)
        finally:
            process.terminate()
    assert process.returncode == 0
    run(*python, *check, environ=ENVIRON, status=1)
