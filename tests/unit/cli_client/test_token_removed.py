"""A token that is removed in the middle of commands, in both formats: a true error, nothing half done, and it goes on.

On real tokens of SoftHSM2, each case in a process of its own (`tests.support.token_away_cases`).
"""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.softhsm import SoftHsm
from trustdata.wire.formats import FORMATS

pytestmark = pytest.mark.parametrize("wire", FORMATS)


@pytest.fixture
def one(tmp_path: Path) -> SoftHsm:
    made = SoftHsm(tmp_path / "hsm")
    made.make("one")
    return made


@pytest.fixture
def home(tmp_path: Path) -> str:
    folder = tmp_path / "home"
    folder.mkdir(mode=0o700)
    return str(folder)


@pytest.mark.parametrize("jobs", ["1", pytest.param("4", marks=pytest.mark.long)])
def test_in_a_rotation_of_many_roots(one: SoftHsm, home: str, wire: str, jobs: str) -> None:
    one.run("bulk", wire, home, str(one.tokens), jobs, module="token_away_cases")


def test_between_login_and_signature(one: SoftHsm, home: str, wire: str) -> None:
    one.run("sign", wire, home, str(one.tokens), module="token_away_cases")
