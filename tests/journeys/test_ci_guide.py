"""docs/guides/ci.md, typed as it stands: runners with an empty home, a checkout with `trust.lock`, and secrets."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Final

import pytest

from tests.journeys.guide_commands import GUIDES, commands, file_in, plain
from tests.support.programs import RunningProgram, program
from tests.support.server_process import ServerProcess
from tests.support.trust_program import SECRETS, no_secret_in

pytestmark = pytest.mark.allow_hosts(["127.0.0.1"])

_GUIDE: Final = GUIDES / "guides" / "ci.md"
_SECONDS: Final = 300
_MARK: Final = "\x1e"
_BEFORE: Final = """\
mkdir ~/tutorial && cd ~/tutorial
export TRUST_HOME=~/tutorial/home
trust init 127.0.0.1:5000/demo/app --no-recovery-key
"""
"""What the guide takes from the tutorial, besides `make-image.py`."""


def test_the_guide_as_it_stands(tmp_path: Path, trust_server: ServerProcess, shared_registry: RunningProgram) -> None:
    program("skopeo")
    here = {"127.0.0.1:5000": shared_registry.netloc, "http://127.0.0.1:4443": trust_server.url}

    def there(text: str) -> str:
        for written, real in here.items():
            text = text.replace(written, real)
        return text

    typed = commands(_GUIDE)
    image = file_in(GUIDES / "tutorial.md", "make-image.py")
    script = [there(_BEFORE), f"cat > make-image.py <<'END'\n{image}END"]
    for step in typed:
        script += [f"printf '{_MARK}'", there(step.command), "test $? = 0 || exit 99"]
    programs = _programs(tmp_path)
    home = tmp_path / "home"
    home.mkdir()
    done = subprocess.run(
        ["bash", "-c", "\n".join(script)],
        env={"PATH": programs, "HOME": str(home), "TRUST_SERVER": trust_server.url, "PYTHONUNBUFFERED": "1", **SECRETS},
        cwd=home,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
        timeout=_SECONDS,
    )
    no_secret_in(done.stdout)
    assert "of the pipeline" not in done.stdout
    _, *printed = done.stdout.split(_MARK)
    for step, output in zip(typed, printed, strict=False):
        assert plain(output) == plain(there(step.shown).replace("/home/you", str(home))), step.command
    assert done.returncode == 0, done.stdout
    assert len(printed) == len(typed)


def _programs(folder: Path) -> str:
    """A search path on which `trust` is ours."""
    bin_folder = folder / "bin"
    bin_folder.mkdir()
    trust = bin_folder / "trust"
    trust.write_text(f'#!/bin/sh\nexec {sys.executable} -m trustcli "$@"\n')
    trust.chmod(0o755)
    return f"{bin_folder}:/usr/local/bin:/usr/bin:/bin"
