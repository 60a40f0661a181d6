"""Credential helpers of registries.conf: which file's list counts, and the order in which its names are asked."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from tests.support.credential_helpers import Helpers
from trustcli.config.containers_helpers import AUTH_FILES, credential_helpers
from trustcli.config.credential import Credential
from trustcli.config.stored_credentials import StoredCredentials
from trustcli.doctor.registry import place_state
from trustcli.errors import SettingsUnusable

USER = "home/.config/containers"
ONE, TWO, NONE = 'credential-helpers = ["one"]', 'credential-helpers = ["two"]', "credential-helpers = []"


@pytest.fixture
def environ(tmp_path: Path) -> dict[str, str]:
    return {
        "HOME": str(tmp_path / "home"),
        "XDG_RUNTIME_DIR": str(tmp_path / "run"),
        "XDG_CONFIG_HOME": str(tmp_path / "xdg"),
        "PATH": f"{tmp_path / 'bin'}:{os.environ['PATH']}",
        "TRUST_ROOT_PASSPHRASE": "a secret",
    }


def _written(folder: Path, files: dict[str, str]) -> None:
    for name, content in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(content)


@pytest.mark.parametrize(
    ("files", "names"),
    [
        ({}, [AUTH_FILES]),
        ({"etc/registries.conf": 'unqualified-search-registries = ["a.example"]'}, [AUTH_FILES]),
        ({"etc/registries.conf": ONE}, ["one"]),
        ({"etc/registries.conf": ONE, "etc/registries.conf.d/1.conf": TWO}, ["two"]),
        ({"etc/registries.conf": ONE, "etc/registries.conf.d/1.conf": "# credential-helpers"}, ["one"]),
        ({"etc/registries.conf.d/1.conf": ONE, "etc/registries.conf.d/2.conf": TWO}, ["two"]),
        ({"etc/registries.conf": ONE, "etc/registries.conf.d/1.toml": TWO}, ["one"]),
        ({"etc/registries.conf.d/1.conf": ONE, f"{USER}/registries.conf.d/0.conf": TWO}, ["two"]),
        ({"etc/registries.conf.d/1.conf": ONE, f"{USER}/registries.conf": ""}, [AUTH_FILES]),
        ({f"{USER}/registries.conf": ONE, f"{USER}/registries.conf.d/1.conf": NONE}, [AUTH_FILES]),
        ({"xdg/containers/registries.conf": ONE}, [AUTH_FILES]),
    ],
)
def test_whose_list_counts(tmp_path: Path, environ: dict[str, str], files: dict[str, str], names: list[str]) -> None:
    _written(tmp_path, files)
    assert list(credential_helpers(environ, system=tmp_path / "etc").names) == names


def test_the_file_that_a_variable_names(tmp_path: Path, environ: dict[str, str]) -> None:
    _written(tmp_path, {"named": ONE, f"{USER}/registries.conf": TWO})
    environ["CONTAINERS_REGISTRIES_CONF"] = str(tmp_path / "named")
    found = credential_helpers(environ, system=tmp_path / "etc")
    assert (found.names, found.file) == (("one",), str(tmp_path / "named"))
    _written(tmp_path, {f"{USER}/registries.conf.d/1.conf": TWO})
    assert credential_helpers(environ, system=tmp_path / "etc").names == ("two",)


def who(found: Credential | None) -> str | None:
    return found.username if found else None


def _asked(tmp_path: Path, environ: dict[str, str], helpers: str) -> StoredCredentials:
    _written(tmp_path, {f"{USER}/registries.conf": f"credential-helpers = {helpers}"})
    return StoredCredentials(environ)


def test_names_and_files_are_asked_in_the_order_of_the_list(tmp_path: Path, environ: dict[str, str]) -> None:
    helpers = Helpers(tmp_path / "bin")
    helpers.add("one", "unknown")
    helpers.add("two", "known")
    _written(tmp_path, {"run/containers/auth.json": json.dumps({"auths": {"r.example": {"auth": "ZmlsZTpwdw=="}}})})
    stored = _asked(tmp_path, environ, '["one", "containers-auth.json", "two"]')
    assert who(stored.credential_for("r.example", repository="team/app")) == "file"
    assert who(stored.credential_for("other.example")) == "two"
    assert helpers.calls() == ["one get r.example 0", "one get other.example 0", "two get other.example 0"]
    assert who(_asked(tmp_path, environ, '["two", "containers-auth.json"]').credential_for("index.docker.io")) == "two"
    assert helpers.calls() == ["two get docker.io 0"]
    assert _asked(tmp_path, environ, '["one"]').credential_for("r.example") is None, "the files are not in the list"
    shown = [place_state(place) for place in stored.places]
    assert [place for place in shown if place.startswith("docker-credential-")] == [
        f"docker-credential-{name} ({tmp_path / USER / 'registries.conf'})" for name in ("one", "two")
    ]


@pytest.mark.parametrize("failing", ["broken", "absent"])
def test_one_that_fails_keeps_nobody_from_the_next(tmp_path: Path, environ: dict[str, str], failing: str) -> None:
    helpers = Helpers(tmp_path / "bin")
    helpers.add("broken", "broken")
    helpers.add("two", "known")
    assert who(_asked(tmp_path, environ, f'["{failing}", "two"]').credential_for("r.example")) == "two"
    with pytest.raises(SettingsUnusable) as caught:
        _asked(tmp_path, environ, f'["{failing}", "containers-auth.json"]').credential_for("r.example")
    assert caught.value.place == f"docker-credential-{failing}"


@pytest.mark.parametrize(
    "content", ['credential-helpers = "one"', "credential-helpers = [1]", "credential-helpers = ["]
)
def test_a_list_that_cannot_be_read_is_an_error_where_credentials_are_asked_for(
    tmp_path: Path, environ: dict[str, str], content: str
) -> None:
    _written(tmp_path, {f"{USER}/registries.conf": content})
    stored = StoredCredentials(environ)
    file = str(tmp_path / USER / "registries.conf")
    assert f"{file} (cannot be read)" in [place_state(place) for place in stored.places]
    with pytest.raises(SettingsUnusable) as caught:
        stored.credential_for("r.example")
    assert caught.value.place == file
    assert StoredCredentials(environ, named_only=True).credential_for("r.example") is None


def test_a_name_that_is_no_name_of_a_program_is_not_started(tmp_path: Path, environ: dict[str, str]) -> None:
    with pytest.raises(SettingsUnusable, match="not a valid program name"):
        _asked(tmp_path, environ, '["../../bin/sh"]').credential_for("r.example")
