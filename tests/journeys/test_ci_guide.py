"""The complete examples of docs/guides/ci.md: runners with an empty home, a checkout with `trust.lock`, and secrets.

Its commands are typed in `test_guides`.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Mapping
from itertools import takewhile
from pathlib import Path
from typing import Any, Final

import pytest
import yaml

from tests.support.building import copy_of_the_source, fetched_wheels, make_packages
from tests.support.guide_commands import TOP, commands, file_in
from tests.support.programs import PASSWORD, USER, RunningProgram, program
from tests.support.pythons import bundled_pips, stand_in
from tests.support.server_process import ServerProcess
from tests.support.trust_program import SECRETS

pytestmark = pytest.mark.allow_hosts(["127.0.0.1"])

_GUIDE: Final = "docs/guides/ci.md"
_SECONDS: Final = 300
_BEFORE: Final = """\
mkdir ~/tutorial && cd ~/tutorial
export TRUST_HOME=~/tutorial/home
trust init 127.0.0.1:5000/demo/app --no-recovery-key
"""
"""What the guide takes from the tutorial, besides `make-image.py`."""


def _text() -> str:
    return (TOP / _GUIDE).read_text(encoding="utf-8")


def _programs(folder: Path) -> str:
    """A search path on which `trust` is ours."""
    bin_folder = folder / "bin"
    bin_folder.mkdir()
    trust = bin_folder / "trust"
    trust.write_text(f'#!/bin/sh\nexec {sys.executable} -m trustcli "$@"\n')
    trust.chmod(0o755)
    return f"{bin_folder}:/usr/local/bin:/usr/bin:/bin"


# --- the complete examples


_YAML: Final = re.compile(r"^```yaml\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_SHELL: Final = re.compile(r"^```sh\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_SECRET: Final = re.compile(r"\$\{\{ secrets\.(\w+) \}\}")
_PASSPHRASE: Final = "of the pipeline"


class Runner:
    """A machine of a CI system: empty home, a checkout, `python3`, an index that holds what the lock names."""

    def __init__(self, folder: Path, *, python: Path, project: Path, there: Mapping[str, str], registry: str) -> None:
        self.folder = folder
        self._there = there
        self._checkout = folder / "checkout"
        shutil.copytree(project, self._checkout)
        programs, home, temporary = folder / "bin", folder / "home", folder / "temporary"
        for made in (programs, home, temporary):
            made.mkdir()
        (programs / "python3").symlink_to(python)
        # What a machine has installed is the machine's own affair: here it is there already.
        (programs / "apt-get").write_text(f'#!/bin/sh\necho "$@" >> {folder}/apt-get\n')
        (programs / "apt-get").chmod(0o755)
        containers = home / ".config" / "containers"
        containers.mkdir(parents=True)
        (containers / "registries.conf").write_text(f'[[registry]]\nlocation = "{registry}"\ninsecure = true\n')
        self.environ = {
            "PATH": f"{programs}:/usr/local/bin:/usr/bin:/bin",
            "HOME": str(home),
            "TMPDIR": str(temporary),
            "PIP_NO_INDEX": "1",
            "PIP_FIND_LINKS": str(fetched_wheels()),
            "PIP_NO_COMPILE": "1",
        }

    def run(self, shell: str, script: str, environ: Mapping[str, str]) -> str:
        """Run a script in the checkout as the CI system would; the answer is what it printed, without secrets."""
        file = self.folder / "script"
        file.write_text(self.there(script))
        done = subprocess.run(
            ["bash", *shell.split(), file],
            env={**self.environ, **{name: self.there(value) for name, value in environ.items()}},
            cwd=self._checkout,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
            timeout=_SECONDS,
        )
        assert done.returncode == 0, f"{script}\n{done.stdout}"
        assert _PASSPHRASE not in done.stdout
        assert PASSWORD not in done.stdout
        return done.stdout

    def there(self, text: str) -> str:
        """The example's hosts as they are called here."""
        for written, real in self._there.items():
            text = text.replace(written, real)
        return text


def _github_job(job: Mapping[str, Any], runner: Runner, secrets: Mapping[str, str]) -> str:
    """Run the steps of a job as GitHub's runner does: each by `bash -e`, PATH and environment handed on in files."""
    path_file, env_file = runner.folder / "github-path", runner.folder / "github-env"
    runner.environ |= {
        "RUNNER_TEMP": runner.environ["TMPDIR"],
        "GITHUB_PATH": str(path_file),
        "GITHUB_ENV": str(env_file),
        "GITHUB_REF_NAME": "4.0",
        **{name: runner.there(value) for name, value in job["env"].items()},
    }
    printed = ""
    for step in job["steps"]:
        if "uses" in step:
            assert step["uses"].startswith("actions/checkout@")
            continue
        for file in (path_file, env_file):
            file.write_text("")
        environ = {name: _SECRET.sub(lambda found: secrets[found[1]], v) for name, v in step.get("env", {}).items()}
        assert "${{" not in "".join([step["run"], *environ.values()])
        printed += runner.run("-e", step["run"], environ)
        for folder in path_file.read_text().splitlines():
            runner.environ["PATH"] = f"{folder}:{runner.environ['PATH']}"
        for line in env_file.read_text().splitlines():
            name, _, value = line.partition("=")
            runner.environ[name] = value
    return printed


def _gitlab_job(job: Mapping[str, Any], runner: Runner, variables: Mapping[str, str]) -> str:
    """Run the lines of a job as GitLab's runner does: all in one shell, which ends at the first failure."""
    runner.environ |= {"CI_COMMIT_TAG": "5.0", **variables}
    lines = [*job["before_script"], *job["script"]]
    return runner.run("-e -o pipefail", "\n".join(lines), job["variables"])


@pytest.fixture
def owned(tmp_path: Path, trust_server: ServerProcess, password_registry: RunningProgram) -> Path:
    """Do what the guide says is done once; the answer is the home of the owner."""
    program("skopeo")
    home = tmp_path / "home"
    home.mkdir()
    once = takewhile(lambda step: not step.command.startswith("cat > job.sh"), commands(_GUIDE))
    image = file_in("docs/tutorial.md", "make-image.py")
    source = copy_of_the_source(tmp_path / "source")
    make_packages(source, {"PATH": os.environ["PATH"]})
    make_the_wheel, _ = _SHELL.findall(_text())
    script = "\n".join(
        [
            "set -e",
            _BEFORE,
            f"cat > make-image.py <<'END'\n{image}END",
            *(step.command for step in once),
            f"cd {source}",
            'make() { test "$*" = packages && ls dist; }',  # it is made already, by the tools that run this test
            make_the_wheel,
        ]
    )
    done = subprocess.run(
        ["bash", "-c", script.replace("127.0.0.1:5000", password_registry.netloc)],
        env={"PATH": _programs(tmp_path), "HOME": str(home), "TRUST_SERVER": trust_server.url, **SECRETS},
        cwd=home,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
        timeout=_SECONDS,
    )
    assert done.returncode == 0, done.stdout
    return home / "tutorial"


@pytest.fixture
def runner(tmp_path: Path, owned: Path, trust_server: ServerProcess, password_registry: RunningProgram) -> Runner:
    """A machine with a checkout of the project, and a registry that asks who is there."""
    pips = bundled_pips()
    return Runner(
        tmp_path / "runner",
        python=stand_in(tmp_path / "python", pips[max(pips)]),
        project=owned / "project",
        there={
            "registry.example.com/team/app": f"{password_registry.netloc}/demo/app",
            "https://trust.example.com": trust_server.url,
        },
        registry=password_registry.netloc,
    )


def _example(name: str) -> Any:
    """Read the complete example whose first line names this file."""
    (block,) = [block for block in _YAML.findall(_text()) if block.startswith(f"# {name}\n")]
    return yaml.safe_load(block)


_LOGIN: Final = {"REGISTRY_USER": USER, "REGISTRY_PASSWORD": PASSWORD}
_DEPLOYED: Final = re.compile(r"^deploying 127\.0\.0\.1:\d+/demo/app@sha256:[0-9a-f]{64}$", re.MULTILINE)


@pytest.mark.long
def test_github_actions(runner: Runner, owned: Path) -> None:
    key = {"SIGNING_KEY": (owned / "secrets" / "ci.pem").read_text(), "SIGNING_KEY_PASSPHRASE": _PASSPHRASE}
    job = _example(".github/workflows/release.yml")["jobs"]["release"]
    assert _DEPLOYED.search(_github_job(job, runner, {**key, **_LOGIN}))
    assert not list((runner.folder / "home").rglob("*.key"))


@pytest.mark.long
def test_gitlab_ci(runner: Runner, owned: Path) -> None:
    files = {
        "SIGNING_KEY_FILE": str(owned / "secrets" / "ci.pem"),
        "TRUST_REPOSITORY_PASSPHRASE_FILE": str(owned / "secrets" / "passphrase"),
    }
    assert _DEPLOYED.search(_gitlab_job(_example(".gitlab-ci.yml")["release"], runner, {**files, **_LOGIN}))
    assert "python3-venv skopeo" in (runner.folder / "apt-get").read_text()


def test_both_examples_install_as_the_text_does() -> None:
    _, text = _SHELL.findall(_text())

    def words(script: str) -> str:
        return " ".join(script.replace('"$RUNNER_TEMP/content-trust', "~/content-trust").replace('"', "").split())

    (install,) = [
        step
        for step in _example(".github/workflows/release.yml")["jobs"]["release"]["steps"]
        if step.get("name") == "Install trust"
    ]
    assert words(text) in words(install["run"])
    assert words(text) in words("\n".join(_example(".gitlab-ci.yml")["release"]["before_script"]))
