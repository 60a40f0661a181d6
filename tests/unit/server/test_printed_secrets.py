"""Where a token is printed to: a file that others may read is told, and nothing else is."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from trustserver.process.printed_secrets import readable_output


@pytest.mark.parametrize(("mode", "told"), [(0o644, True), (0o640, True), (0o604, True), (0o600, False)])
def test_a_file_that_others_may_read_is_named(tmp_path: Path, mode: int, *, told: bool) -> None:
    file = tmp_path / "token"
    with file.open("w") as output:
        file.chmod(mode)
        assert readable_output(output.fileno()) == (str(file) if told else "")


def test_what_is_no_file_is_not_named() -> None:
    read, write = os.pipe()
    assert readable_output(write) == ""
    os.close(write)
    assert readable_output(write) == ""
    os.close(read)
