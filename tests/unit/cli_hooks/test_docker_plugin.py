"""docker's command lines as `trust` gets them, and the scripts by which docker finds the plugin."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest

from trustcli.errors import HookNotInstalled, UsageError
from trustcli.hooks import docker_plugin, plugin_files
from trustcli.hooks.docker_plugin import Call, main, metadata, overview, read

APP = "registry.example.com:5000/team/app"


def ours(*words: str) -> list[str]:
    call = read(words)
    assert isinstance(call, Call)
    return list(call.argv)


@pytest.mark.parametrize(
    ("docker_s", "trust_s"),
    [
        (["sign", f"{APP}:1.0"], ["sign", f"{APP}:1.0"]),
        (["sign", "--local", f"{APP}:1.0"], ["sign", "--local", f"{APP}:1.0"]),
        (["inspect", "--pretty", APP, "alpine:3"], ["inspect", "--pretty", APP, "alpine:3"]),
        (["pull", f"{APP}:1.0"], ["pull", f"{APP}:1.0"]),
        (["key", "generate", "alice", "--dir", "keys"], ["key", "generate", "alice", "--dir", "keys"]),
        (["key", "load", "--name", "alice", "alice.pem"], ["key", "load", "--name", "alice", "alice.pem"]),
        (["signer", "add", "--key", "a.pub", "alice", APP], ["signer", "add", "--key", "a.pub", "alice", APP]),
        (["signer", "remove", "alice", APP], ["signer", "remove", "alice", APP, "--existing"]),
        (["signer", "remove", "-f", "alice", APP], ["signer", "remove", "--yes", "alice", APP, "--existing"]),
        (["signer", "remove", "alice", APP, "--force"], ["signer", "remove", "alice", APP, "--yes", "--existing"]),
        # docker asks before everything goes, and not about one tag.
        (["revoke", f"{APP}:1.0"], ["revoke", f"{APP}:1.0", "--yes"]),
        (["revoke", f"\ufeff{APP}:1.0\r"], ["revoke", f"{APP}:1.0", "--yes"]),
        (["revoke", f"{APP}:1.0", "--server", "https://t"], ["revoke", f"{APP}:1.0", "--server", "https://t", "--yes"]),
        (["revoke", "-y", f"{APP}:1.0"], ["revoke", "-y", f"{APP}:1.0"]),
        (["revoke", APP], ["revoke", APP]),
        (["revoke", "--yes", APP], ["revoke", "--yes", APP]),
        (["revoke"], ["revoke"]),
        (["revoke", "NOT A NAME:1"], ["revoke", "NOT A NAME:1"]),
        (["revoke", f"{APP}:1", f"{APP}:2"], ["revoke", f"{APP}:1", f"{APP}:2"]),
        (["sign", "--help"], ["sign", "--help"]),
        (["signer", "add", "-h"], ["signer", "add", "-h"]),
    ],
)
@pytest.mark.parametrize("name", ["trust", "ctrust"])
def test_docker_s_commands_are_ours(name: str, docker_s: list[str], trust_s: list[str]) -> None:
    call = read([name, *docker_s])
    assert isinstance(call, Call)
    assert (list(call.argv), call.program, call.environ) == (trust_s, f"docker {name}", {})


def test_called_without_docker_its_name_may_be_left_out() -> None:
    assert ours("sign", f"{APP}:1.0") == ["sign", f"{APP}:1.0"]


@pytest.mark.parametrize(
    ("options", "environ"),
    [
        (["--config", "/c"], {"DOCKER_CONFIG": "/c"}),
        (["--config=/c"], {"DOCKER_CONFIG": "/c"}),
        (["-H", "unix:///e"], {"DOCKER_HOST": "unix:///e"}),
        (["-Hunix:///e"], {"DOCKER_HOST": "unix:///e"}),
        (["-H=unix:///e"], {"DOCKER_HOST": "unix:///e"}),
        (["--host", "unix:///e"], {"DOCKER_HOST": "unix:///e"}),
        (["--host=unix:///e", "--config", "/c"], {"DOCKER_HOST": "unix:///e", "DOCKER_CONFIG": "/c"}),
        (["-D", "--debug", "-l", "debug", "--log-level=info"], {}),
        (["--tls", "--tlsverify=false", "--tlscacert", "a", "--tlscert=b", "--tlskey", "c"], {}),
        (["--context", "default"], {}),
        (["-c", "remote"], {}),
    ],
)
def test_docker_s_own_options_come_first(options: list[str], environ: Mapping[str, str]) -> None:
    call = read([*options, "ctrust", "inspect", APP])
    assert isinstance(call, Call)
    assert (list(call.argv), call.environ) == (["inspect", APP], environ)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["ctrust", "init", APP], "docker ctrust has no command 'init', but sign, inspect"),
        (["trust", "\x1b[31m"], "no command '\\x1b[31m'"),
        (["--frob", "ctrust", "sign", APP], "docker's option --frob is not known here"),
        (["--config"], "--config needs a value"),
        (["-c", "remote", "ctrust", "pull", APP], "the engine of --context remote is not looked up here"),
        (
            ["--context=remote", "ctrust", "sign", "--local", APP],
            "the engine of --context remote is not looked up here",
        ),
    ],
)
def test_what_cannot_be_meant(words: list[str], said: str) -> None:
    with pytest.raises(UsageError) as refused:
        read(words)
    assert said in str(refused.value)


@pytest.mark.parametrize(
    "words",
    [[], ["ctrust"], ["ctrust", "--help"], ["ctrust", "-h"], ["ctrust", "help"], ["help", "ctrust"], ["-D", "ctrust"]],
)
def test_help(words: list[str]) -> None:
    assert read(words) == overview("docker ctrust" if "ctrust" in words else "docker trust")


def test_help_for_one_command() -> None:
    assert ours("help", "ctrust", "sign") == ["sign", "--help"]
    assert ours("help", "ctrust", "signer", "add") == ["signer", "add", "--help"]


def test_what_docker_wants_to_know() -> None:
    """docker/cli, cli-plugins/manager: schema 0.1.0 and a vendor are musts."""
    told = json.loads(str(read([docker_plugin.METADATA])))
    assert told["SchemaVersion"] == "0.1.0"
    assert told["Vendor"]
    assert json.loads(metadata()) == told


@pytest.mark.parametrize(("status", "ends"), [(0, 0), (1, 1), *((n, 1) for n in range(2, 9)), (130, 130)])
def test_every_failure_ends_with_one(monkeypatch: pytest.MonkeyPatch, status: int, ends: int) -> None:
    monkeypatch.delenv("DOCKER_HOST", raising=False)
    called: list[tuple[list[str], str, str | None]] = []

    def trust(argv: Sequence[str], *, program: str) -> int:
        called.append((list(argv), program, os.environ.get("DOCKER_HOST")))
        return status

    monkeypatch.setattr(os, "environ", dict(os.environ))
    assert main(["-H", "unix:///e", "ctrust", "inspect", APP], trust) == ends
    assert called == [(["inspect", APP], "docker ctrust", "unix:///e")]


def test_wrong_usage_ends_with_one(capsys: pytest.CaptureFixture[str]) -> None:
    def trust(argv: Sequence[str], *, program: str) -> int:
        raise AssertionError(argv, program)

    assert main(["ctrust", "frobnicate"], trust) == 1
    assert capsys.readouterr().err.startswith("error: docker ctrust has no command 'frobnicate'")
    assert main(["ctrust"], trust) == 0


# --- the scripts


def test_the_scripts_are_put_there_again_and_again_and_taken_away(tmp_path: Path) -> None:
    folder = tmp_path / "docker" / "cli-plugins"
    wanted = [folder / "docker-trust", folder / "docker-ctrust"]
    assert plugin_files.uninstall(folder) == []
    assert plugin_files.install(folder) == wanted
    assert plugin_files.install(folder) == wanted
    for file in wanted:
        assert file.stat().st_mode & 0o777 == 0o755
        done = subprocess.run([file, docker_plugin.METADATA], capture_output=True, text=True, check=True, timeout=60)
        assert done.stdout == metadata()
    (folder / "docker-compose").write_text("another plugin")
    assert plugin_files.uninstall(folder) == wanted
    assert [file.name for file in folder.iterdir()] == ["docker-compose"]


@pytest.mark.parametrize("make", ["file", "link", "folder"])
def test_another_program_s_plugin_is_left_alone(tmp_path: Path, make: str) -> None:
    theirs = tmp_path / "docker-ctrust"
    if make == "file":
        theirs.write_text("#!/bin/sh\nexit 0\n")
    elif make == "link":
        theirs.symlink_to(tmp_path / "elsewhere")
    else:
        theirs.mkdir()
    with pytest.raises(HookNotInstalled) as refused:
        plugin_files.install(tmp_path)
    assert refused.value.place == str(theirs)
    assert not (tmp_path / "docker-trust").exists(), "nothing is written where not all can be"
    assert plugin_files.uninstall(tmp_path) == []
    assert os.path.lexists(theirs)


def test_a_place_that_cannot_be_written_to_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(HookNotInstalled) as refused:
        plugin_files.install(tmp_path / "file" / "cli-plugins")
    assert refused.value.place == str(tmp_path / "file" / "cli-plugins")


def test_a_file_where_docker_is_called_is_no_module_of_ours(tmp_path: Path) -> None:
    """Docker is called anywhere, in folders that others have written, too."""
    folder = tmp_path / "cli-plugins"
    (plugin, _) = plugin_files.install(folder)
    here = tmp_path / "a stranger's checkout"
    here.mkdir()
    for name in ("trustcli", "json", "typer", "sitecustomize"):
        (here / f"{name}.py").write_text(f"open({str(tmp_path / 'taken')!r}, 'w')\n")
    done = subprocess.run(
        [plugin, "trust", "--help"], cwd=here, capture_output=True, text=True, check=False, timeout=60
    )
    assert (done.returncode, done.stdout) == (0, overview("docker trust"))
    assert not (tmp_path / "taken").exists()


def test_a_python_in_a_folder_with_a_strange_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    strange = tmp_path / 'it\'s $HOME `x` "y"'
    strange.mkdir()
    python = strange / "python"
    python.write_text('#!/bin/sh\nfor word; do echo "$word"; done\n')
    python.chmod(0o755)
    monkeypatch.setattr("sys.executable", str(python))
    (plugin, _) = plugin_files.install(tmp_path / "cli-plugins")
    done = subprocess.run([plugin, "trust", "a b", ""], capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout.splitlines()[-3:] == ["trust", "a b", ""]
    for bad in ("", "/opt/py\nthon"):
        monkeypatch.setattr("sys.executable", bad)
        with pytest.raises(HookNotInstalled):
            plugin_files.install(tmp_path / "cli-plugins")


def test_a_build_without_python_has_the_plugin_as_a_program(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program = tmp_path / "docker-trust"
    program.write_text('#!/bin/sh\necho "$@"\n')
    program.chmod(0o755)
    monkeypatch.setattr("sys.executable", str(tmp_path / "trust"))
    monkeypatch.setattr("sys.frozen", True, raising=False)
    (plugin, _) = plugin_files.install(tmp_path / "cli-plugins")
    done = subprocess.run([plugin, "trust", "sign"], capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout == "trust sign\n"
