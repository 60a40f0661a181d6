"""install.sh, with which both `make demo` and `make test` begin: no index, no setting and no interruption changes
what is installed.

A project of three small packages, so that each case takes a second or two; the real one is in test_locked_set.py.
"""

from __future__ import annotations

import ensurepip
import hashlib
import shutil
import signal
import subprocess
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import pytest
from packaging.version import Version

from tests.support import tiny_wheels
from tests.support.building import SOURCE, run
from tests.support.pythons import bundled_pips, fake_python, stand_in
from tests.support.tiny_wheels import write_wheel

_BACKEND = Path(tiny_wheels.__file__).read_text(encoding="utf-8")
_NOWHERE = "/nonexistent"
_BROKEN = "raise SystemExit('a release that no lock names was run')\n"
_LIST = (
    "from importlib.metadata import distributions as all\nfor one in all(): print(one.metadata['Name'], one.version)"
)


@dataclass(frozen=True, kw_only=True)
class Project:
    """A source folder with locks and install.sh, the index that they were made from, and a folder to install into."""

    source: Path
    index: Path
    folder: Path
    environ: dict[str, str]

    def install(self, *options: str, status: int = 0, **settings: str) -> str:
        """Run install.sh; the answer is what it said."""
        environ = self.environ | settings
        return run("sh", self.source / "install.sh", *options, self.folder, environ=environ, status=status).stderr

    def installed(self) -> dict[str, str]:
        """Name and version of everything in the environment, pip apart."""
        listed = run(self.folder / "bin" / "python", "-I", "-c", _LIST).stdout.split()
        found = dict(zip(listed[::2], listed[1::2], strict=True))
        assert len(listed) == 2 * len(found), f"installed twice: {listed}"
        return {name: version for name, version in found.items() if name != "pip"}

    def wheels(self) -> set[str]:
        return {path.name for path in (self.folder / "wheels").glob("*.whl")}


RUNS = {"cover": "7.1", "plugin": "1.0", "tiny": "1.0"}
TOKENS = {"token": "2.0", "token-helper": "2.0"}
CLOUD = {"tool": "3.0"}
WHOLE = {**RUNS, **CLOUD, **TOKENS, "tiny-backend": "1.0"}


def _locked(wheels: Iterable[Path], *, extra: str = "") -> str:
    lines = []
    for wheel in wheels:
        name, version = wheel.name.split("-")[:2]
        digest = hashlib.sha256(wheel.read_bytes()).hexdigest()
        lines.append(f"{name.replace('_', '-')}{extra if name == 'cover' else ''}=={version} --hash=sha256:{digest}\n")
    return "".join(lines)


@pytest.fixture(scope="module")
def oldest(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A Python with the oldest pip that is to be had here."""
    pips = bundled_pips()
    return stand_in(tmp_path_factory.mktemp("oldest") / "python", pips[min(pips)])


@pytest.fixture(scope="module")
def newest(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A Python with the pip that the Python of the tests brings along."""
    own = bundled_pips()[Version(ensurepip.version())]
    return stand_in(tmp_path_factory.mktemp("newest") / "python", own)


@pytest.fixture
def project(tmp_path: Path, environ: dict[str, str], oldest: Path) -> Project:
    """Make `tiny`, which needs `plugin`, which needs `cover[toml]`; the lock lists `cover` without its extra."""
    index, source = tmp_path / "index", tmp_path / "source"
    index.mkdir()
    source.mkdir()
    cover = write_wheel(index, "cover", "7.1", requires=['nothing ; extra == "toml" and python_version < "3"'])
    plugin = write_wheel(index, "plugin", "1.0", requires=["cover[toml]>=7"])
    tool = write_wheel(index, "tool", "3.0")
    backend = write_wheel(index, "tiny-backend", "1.0", files={"tiny_backend.py": _BACKEND})
    (source / "requirements.lock").write_text(
        f"# What runs.\n{_locked([cover, plugin])}# What builds this project.\n{_locked([backend])}"
    )
    helper = write_wheel(index, "token-helper", "2.0")
    token = write_wheel(index, "token", "2.0", requires=["token-helper[x]"])
    (source / "requirements-dev.lock").write_text(_locked([cover, plugin, tool, backend, helper, token]))
    (source / "requirements-extras.lock").write_text("# What each needs.\ncloud: tool\ntokens: token token-helper\n")
    (source / "pyproject.toml").write_text(
        '[build-system]\nrequires = ["tiny-backend>=1"]\nbuild-backend = "tiny_backend"\n'
        '[project]\nname = "tiny"\nversion = "1.0"\ndependencies = ["plugin>=1"]\n'
    )
    shutil.copy(SOURCE / "install.sh", source / "install.sh")
    environ |= {"PIP_FIND_LINKS": str(index), "PYTHON": str(oldest)}
    return Project(source=source, index=index, folder=tmp_path / "installed", environ=environ)


def _newer_releases(folder: Path) -> Path:
    folder.mkdir()
    for name in ("cover", "plugin", "tool", "token"):
        write_wheel(folder, name, "999")
    write_wheel(folder, "tiny-backend", "999", files={"tiny_backend.py": _BROKEN})
    return folder


@pytest.mark.parametrize("which", ["oldest", pytest.param("newest", marks=pytest.mark.long)])
def test_newer_releases_are_not_chosen(
    project: Project, tmp_path: Path, request: pytest.FixtureRequest, which: str
) -> None:
    """Wherever a user's settings say that they are: in the index, in variables, in a file of pip's."""
    newer = _newer_releases(tmp_path / "newer")
    for wheel in newer.iterdir():
        shutil.copy(wheel, project.index)
    settings = Path(project.environ["HOME"]) / ".config" / "pip"
    settings.mkdir(parents=True)
    (settings / "pip.conf").write_text(f"[global]\nfind-links = {newer}\npre = true\n[install]\nupgrade = true\n")
    outside = tmp_path / "elsewhere"
    write_wheel(outside_packages(outside), "plugin", "1.0")
    said = project.install(
        PYTHON=str(request.getfixturevalue(which)),
        PIP_FIND_LINKS=f"{project.index} {newer}",
        PIP_EXTRA_INDEX_URL=newer.as_uri(),
        PIP_UPGRADE="1",
        PIP_PRE="1",
        PIP_NO_BUILD_ISOLATION="0",
        PYTHONPATH=str(outside),
    )
    assert "installing what requirements.lock names" in said
    assert project.installed() == RUNS
    assert project.wheels() == {path.name for path in project.index.iterdir() if "999" not in path.name} - {
        "tool-3.0-py3-none-any.whl",
        "token-2.0-py3-none-any.whl",
        "token_helper-2.0-py3-none-any.whl",
    }


def outside_packages(folder: Path) -> Path:
    """A folder with an installed `plugin`, as PYTHONPATH would bring in."""
    about = folder / "plugin-1.0.dist-info"
    about.mkdir(parents=True)
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: plugin\nVersion: 1.0\n")
    return folder


@pytest.mark.long
def test_interrupted_damaged_complete_whole_moved(project: Project) -> None:
    """The life of one environment, told in one test since each stage would cost the ones before it again."""
    # Killed when all but the project itself was installed; a package is left as a kill leaves one that pip unpacks.
    (project.source / "kill").touch()
    project.install("--editable", status=-signal.SIGKILL)
    (packages,) = project.folder.glob("lib/python3*/site-packages")
    (packages / "cover.py").unlink()
    (packages / "cover-7.1.dist-info" / "RECORD").unlink()
    wheel = project.folder / "wheels" / "plugin-1.0-py3-none-any.whl"
    wheel.write_bytes(wheel.read_bytes() + b"damage")

    # The wheels were complete and are not fetched again, until the damage is noticed.
    said = project.install("--editable", status=1)
    assert "an installation was interrupted; it begins anew" in said
    assert "fetching" not in said
    assert "DO NOT MATCH THE HASHES" in said
    assert f"content-trust is not installed: pip install from {project.folder}/wheels failed" in said
    assert "fetching" in project.install("--editable")
    assert project.installed() == RUNS
    assert (packages / "cover.py").exists()
    assert (packages / "cover-7.1.dist-info" / "RECORD").exists()

    # What is complete is left alone.
    assert project.install("--editable", PIP_FIND_LINKS=_NOWHERE) == ""

    # The whole goes over what runs, and holds it.
    (packages / "stays.txt").touch()
    assert "installing what requirements-dev.lock names" in project.install("--whole", "--editable")
    assert project.installed() == WHOLE
    assert (packages / "stays.txt").exists()
    assert project.install("--editable", PIP_FIND_LINKS=_NOWHERE) == ""
    assert project.install("--whole", "--editable", PIP_FIND_LINKS=_NOWHERE) == ""

    # Moved, or of another Python, it is made anew; what runs is among the wheels of the whole.
    moved = Project(
        source=project.source, index=project.index, folder=project.folder.with_name("moved"), environ=project.environ
    )
    project.folder.rename(moved.folder)
    assert "fetching" not in moved.install("--editable", PIP_FIND_LINKS=_NOWHERE)
    assert moved.installed() == RUNS
    assert not list(moved.folder.rglob("stays.txt"))


def test_a_package_that_is_missing_from_the_lock_is_noticed(project: Project) -> None:
    lock = project.source / "requirements.lock"
    lock.write_text("".join(line for line in lock.read_text().splitlines(True) if not line.startswith("cover")))
    said = project.install(status=1)
    assert "content-trust is not installed: packages are missing or do not fit: plugin 1.0 requires cover" in said
    assert not (project.folder / ".installed").exists()


def test_another_release_under_the_locked_name(project: Project) -> None:
    write_wheel(project.index, "plugin", "1.0", files={"plugin.py": "STOLEN = True\n"})
    said = project.install(status=1)
    assert "an index sent something else than requirements.lock names, see above; nothing of it was installed" in said
    assert "plugin" not in project.installed()


def test_no_wheel_for_this_python(project: Project) -> None:
    next(project.index.glob("plugin*")).rename(project.index / "plugin-1.0-cp27-cp27m-win32.whl")
    said = project.install(status=1)
    assert "content-trust is not installed: no index that pip reached has a wheel of plugin==1.0 for cpython-" in said


def test_no_network(project: Project) -> None:
    """Port 9 of loopback: nobody listens there."""
    del project.environ["PIP_NO_INDEX"], project.environ["PIP_FIND_LINKS"]
    said = project.install(status=1, PIP_INDEX_URL="http://127.0.0.1:9/simple", PIP_RETRIES="1")
    assert "content-trust is not installed: a package index was not reached, see above" in said


@pytest.mark.parametrize(
    ("version", "lacking", "sentence"),
    [
        ("3.10", "", "is Python 3.10, and 3.11 or later is needed: PYTHON=..."),
        ("2.7", "", "is Python 2.7, and 3.11 or later is needed: PYTHON=..."),
        ("3.12", "ensurepip", "cannot make virtual environments; on Debian and Ubuntu: apt install python3.12-venv"),
        ("3.11", "", "-m venv failed, see above"),
    ],
)
def test_a_python_that_will_not_do(project: Project, tmp_path: Path, version: str, lacking: str, sentence: str) -> None:
    real = project.environ["PYTHON"]
    python = fake_python(tmp_path / "unfit", "exit 1", version=version, real=real, can_make=not lacking)
    assert f"content-trust is not installed: {python} {sentence}\n" in project.install(status=1, PYTHON=str(python))
    assert not (project.folder / "bin").exists()


def test_no_python_at_all(project: Project) -> None:
    said = project.install(status=1, PYTHON="python3.1415")
    assert said == (
        "content-trust is not installed: there is no program python3.1415; Python 3.11 or later is needed: PYTHON=...\n"
    )


def test_a_folder_of_somebody_else_s_is_left_alone(project: Project) -> None:
    project.folder.mkdir()
    (project.folder / "pyvenv.cfg").touch()
    (project.folder / "lib").mkdir()
    said = project.install(status=1)
    assert f"{project.folder} is not empty, and not made by install.sh; name another folder" in said
    assert {path.name for path in project.folder.iterdir()} == {"pyvenv.cfg", "lib"}


def test_options_that_do_not_exist() -> None:
    done = subprocess.run(["sh", SOURCE / "install.sh", "--all"], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (1, "")
    assert "no option --all; usage: install.sh [--whole] [--extras NAME,NAME] [--editable] FOLDER" in done.stderr


@pytest.mark.long
def test_extras_are_added_by_hash_and_kept_over_updates(project: Project) -> None:
    """A root key in a token is out of reach if the next update forgets the library."""
    write_wheel(project.index, "token", "999")
    assert "requirements.lock, with the extras tokens, names" in project.install("--extras", "tokens")
    assert project.installed() == {**RUNS, **TOKENS}

    # Another one is added, in place; what is known already is said by nobody again.
    (packages,) = project.folder.glob("lib/python3*/site-packages")
    (packages / "stays.txt").touch()
    project.install("--extras=cloud")
    assert project.installed() == {**RUNS, **TOKENS, **CLOUD}
    assert (packages / "stays.txt").exists()

    # Other locks: the environment begins anew, and has them again.
    with (project.source / "requirements.lock").open("a") as lock:
        lock.write("# Another one.\n")
    project.install()
    assert not (packages / "stays.txt").exists()
    assert project.installed() == {**RUNS, **TOKENS, **CLOUD}


def test_extras_that_cannot_be_had(project: Project) -> None:
    said = project.install("--extras", "tokens,none", status=1)
    assert said == "content-trust is not installed: there is no extra none; there are: cloud tokens\n"
    assert not (project.folder / ".extras").exists()
    done = subprocess.run(
        ["sh", project.source / "install.sh", "--extras", project.folder], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout) == (1, "")
    assert "--extras wants names, and a folder after them" in done.stderr
    write_wheel(project.index, "token", "2.0", files={"token.py": "STOLEN = True\n"})
    said = project.install("--extras", "tokens", status=1)
    assert "an index sent something else than requirements.lock, with the extras tokens, names" in said
