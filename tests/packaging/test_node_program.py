"""The program of the build for machines without Python: what it does before anything else."""

from __future__ import annotations

import os
import runpy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.support.building import SOURCE

PROGRAM = runpy.run_path(str(SOURCE / "release" / "node_program.py"))


def test_what_it_starts_gets_the_environment_that_it_was_given(monkeypatch: pytest.MonkeyPatch) -> None:
    """The loader sets LD_LIBRARY_PATH to our libraries: a credential helper must not run with them."""
    restore: Callable[[], None] = PROGRAM["restore_environment"]
    monkeypatch.setattr(os, "environ", {"LD_LIBRARY_PATH": "/ours", "_PYI_ARCHIVE_FILE": "/ours/trust", "HOME": "/h"})
    restore()
    assert os.environ == {"HOME": "/h"}
    os.environ |= {"LD_LIBRARY_PATH": "/ours:/theirs", "LD_LIBRARY_PATH_ORIG": "/theirs"}
    restore()
    assert os.environ == {"HOME": "/h", "LD_LIBRARY_PATH": "/theirs"}


@pytest.mark.parametrize(
    ("there", "before", "after"),
    [
        ([], {}, {}),
        (["theirs"], {}, {"SSL_CERT_FILE": "theirs"}),
        (["first", "theirs"], {}, {"SSL_CERT_FILE": "first"}),
        (["ours", "theirs"], {}, {}),
        (["theirs"], {"SSL_CERT_FILE": "set"}, {"SSL_CERT_FILE": "set"}),
        (["theirs"], {"SSL_CERT_DIR": "set"}, {"SSL_CERT_DIR": "set"}),
    ],
)
def test_the_system_s_ca_certificates_are_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, there: list[str], before: dict[str, str], after: dict[str, str]
) -> None:
    name: Any = PROGRAM["name_authorities"]
    for file in there:
        (tmp_path / file).write_text("")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(os, "environ", dict(before))
    monkeypatch.setitem(name.__globals__, "OWN_AUTHORITIES", ("none", "ours"))
    monkeypatch.setitem(name.__globals__, "AUTHORITIES", ("first", "theirs"))
    name()
    assert os.environ == after
