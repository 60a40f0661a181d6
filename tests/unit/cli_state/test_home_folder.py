"""Users without a home: no HOME, and the machine does not know them, as in a container that runs under any number."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from trustcli.__main__ import run
from trustcli.config.docker_config import docker_config_dir, docker_config_file
from trustcli.config.home_folder import home_folder
from trustcli.config.stored_credentials import StoredCredentials
from trustcli.errors import SettingsUnusable
from trustcli.hooks import docker_plugin

_UNKNOWN = 54321
"""A user without an entry in the password file."""


@pytest.fixture
def homeless(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in ("HOME", "DOCKER_CONFIG", "XDG_CONFIG_HOME", "XDG_RUNTIME_DIR", "REGISTRY_AUTH_FILE", "TRUST_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(os, "getuid", lambda: _UNKNOWN)
    monkeypatch.chdir(tmp_path)


def test_the_home_folder_is_that_of_the_variable_then_that_of_the_user() -> None:
    assert home_folder({"HOME": "/home/alice"}, instead="") == Path("/home/alice")
    assert home_folder({"HOME": ""}, instead="") == Path.home()


def test_without_one_it_is_said_what_can_be_given(homeless: None) -> None:
    with pytest.raises(SettingsUnusable) as caught:
        home_folder({}, instead="DOCKER_CONFIG")
    assert (caught.value.place, caught.value.reason) == ("HOME", "is not set; set it, or give DOCKER_CONFIG")


def test_what_is_given_needs_no_home(homeless: None, tmp_path: Path) -> None:
    environ = {"DOCKER_CONFIG": str(tmp_path), "XDG_CONFIG_HOME": str(tmp_path)}
    assert StoredCredentials(environ).credential_for("r.invalid") is None
    assert docker_config_dir(environ) == tmp_path
    with pytest.raises(SettingsUnusable, match="XDG_CONFIG_HOME"):
        StoredCredentials({"DOCKER_CONFIG": str(tmp_path)})
    with pytest.raises(SettingsUnusable, match="DOCKER_CONFIG"):
        StoredCredentials({"XDG_CONFIG_HOME": str(tmp_path)})
    assert StoredCredentials({"DOCKER_CONFIG": str(tmp_path)}, named_only=True).credential_for("r.invalid") is None


COMMANDS = [
    "verify r.invalid/app:1",
    "inspect r.invalid/app:1",
    "pull r.invalid/app:1",
    "sign r.invalid/app:1",
    "init r.invalid/app --no-recovery-key",
    "revoke r.invalid/app:1 --yes",
    "explain r.invalid/app:1",
    "expiring r.invalid/app",
    "renew r.invalid/app",
    "lock r.invalid/app",
    "signer list r.invalid/app",
    "key rotate snapshot r.invalid/app",
    "audit r.invalid/app",
    "plugin install",
    "plugin uninstall",
]


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_that_needs_it_says_so(
    homeless: None, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path, command: str
) -> None:
    def refused(remedy: str) -> None:
        assert run(command.split()) == 2
        assert f"HOME cannot be used: is not set; set it, or give {remedy}" in "".join(capsys.readouterr())

    refused("--home DIR or TRUST_HOME")
    monkeypatch.setenv("TRUST_HOME", str(tmp_path))
    refused("DOCKER_CONFIG")


@pytest.mark.parametrize("command", ["pins", "key list", "doctor"])
def test_a_command_that_talks_to_nobody_needs_none_but_its_own(
    homeless: None, capsys: pytest.CaptureFixture[str], tmp_path: Path, command: str
) -> None:
    assert run(["--home", str(tmp_path / "home"), *command.split()]) == 0
    assert "HOME cannot" not in "".join(capsys.readouterr())


def test_the_doctor_examines_all_the_rest(homeless: None, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    assert run(["--home", str(tmp_path / "home"), "doctor", "r.invalid/app"]) == 1
    said = "".join(capsys.readouterr())
    assert "HOME cannot be used" in said
    assert "should not happen" not in said


def test_docker_trust_says_so_too(homeless: None, capsys: pytest.CaptureFixture[str]) -> None:
    assert docker_plugin.main(["trust", "inspect", "r.invalid/app"], run) == 1
    assert "HOME cannot be used: is not set" in capsys.readouterr().err


def test_a_docker_config_that_may_not_be_looked_at_is_its_readers_business(tmp_path: Path) -> None:
    """Whether it is a file or a folder cannot be seen, and the way to it is too long for any."""
    too_long = str(tmp_path / ("x" * 300))
    assert docker_config_file({"DOCKER_CONFIG": too_long}) == Path(too_long) / "config.json"
    with pytest.raises(SettingsUnusable, match="too long"):
        StoredCredentials({"HOME": str(tmp_path), "DOCKER_CONFIG": too_long}).credential_for("r.invalid")
