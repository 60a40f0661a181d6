"""The command that installs an extra, for the environment that runs."""

from __future__ import annotations

from pathlib import Path

import pytest

from keys.extras import how_to_install


def test_an_environment_of_install_sh_is_added_to_by_the_same_script(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    prefix = tmp_path / "a folder"
    prefix.mkdir()
    monkeypatch.setattr("sys.prefix", str(prefix))
    assert how_to_install("pkcs11") == f"'{prefix}/bin/python' -m pip install 'content-trust[pkcs11]'"
    (prefix / ".installed").touch()
    assert how_to_install("pkcs11") == f"sh install.sh --extras pkcs11 '{prefix}', in the folder of the source"
    assert how_to_install("content-trust[pkcs11]") == how_to_install("pkcs11")


def test_a_build_without_python_names_no_place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.prefix", str(tmp_path))
    monkeypatch.setattr("sys.frozen", True, raising=False)
    (tmp_path / ".installed").touch()
    assert how_to_install("shares") == "sh install.sh --extras shares FOLDER, in the folder of the source"
