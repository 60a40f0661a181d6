"""The operator's commands on a data folder, without serving."""

from __future__ import annotations

import os
import subprocess
import sys
from datetime import timedelta
from pathlib import Path

import pytest
import typer
from sqlalchemy import text

from tests.support.cli_runner import CliRunner
from tests.support.server_owner import NOW
from tests.support.server_site import GUN_A, Site
from trustserver.__main__ import app, main
from trustserver.admin.completion import suggestions
from trustserver.errors import ClockJumped, StartRefused
from trustserver.process import kernel_clock
from trustserver.settings import Settings, load
from trustserver.storage.database import open_engine
from trustserver.storage.opening import existing_store, open_sealer, open_store
from trustserver.storage.ports import ClockRecord


def run(*arguments: str, data: Path) -> tuple[int, str]:
    """Exit status and output; a refusal is raised, as it is to `main`."""
    result = CliRunner().invoke(app, [*arguments, "--data", str(data)])
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result.exit_code, result.output


@pytest.mark.parametrize(
    "command",
    [
        "",
        "serve",
        "migrate",
        "check",
        "settings",
        "collections",
        "collections list",
        "collections release",
        "clock accept",
        "completion",
        "events",
        "events list",
        "events erase",
        "seal",
        "seal rotate",
        "access",
        "access check",
        "access explain",
        "access token",
        "access token add",
        "access token list",
        "access token revoke",
        "access user",
        "access user add",
        "access user import",
        "access user list",
        "access user remove",
    ],
)
def test_every_command_explains_itself(command: str) -> None:
    result = CliRunner().invoke(app, [*command.split(), "--help"])
    assert (result.exit_code, result.exception) == (0, None)
    assert "Usage: " in result.output


def test_square_brackets_in_the_help_are_shown_and_are_no_markup() -> None:
    shown = " ".join(CliRunner().invoke(app, ["serve", "--help"]).output.split())
    for shown_as in ("ADDRESS[/BITS]", "[a quarter of all]", "[./trust-server-data]", "[info]"):
        assert shown_as in shown


@pytest.mark.parametrize(
    ("words", "sentence", "explained_by"),
    [
        ("serv", "there is no command 'serv'; did you mean 'serve'?", "trust-server serve"),
        ("collections lst", "there is no command 'lst'; did you mean 'list'?", "trust-server collections list"),
        ("collections zzz", "there is no command 'zzz'", "trust-server collections"),
        (
            "user add alice",
            "there is no command 'user' here; there is trust-server access user",
            "trust-server access user",
        ),
        (
            "access revoke ci",
            "there is no command 'revoke' here; there is trust-server access token revoke",
            "trust-server access token revoke",
        ),
        ("access add user", "there is no command 'add'", "trust-server access user"),
        ("serve --listne x", "there is no option '--listne'; did you mean '--listen'?", "trust-server serve"),
        ("serve --workers", "option --workers needs a value", "trust-server serve"),
        ("collections release", "NAME is missing", "trust-server collections release"),
        (
            "completion bsh",
            "SHELL cannot be used: bsh is unknown; write one of bash, zsh, fish; did you mean 'bash'?",
            "trust-server completion",
        ),
    ],
)
def test_wrong_usage_is_told_as_the_client_tells_it(
    words: str,
    sentence: str,
    explained_by: str,
    *,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr("sys.argv", ["trust-server", *words.split()])
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == 2
    assert capsys.readouterr() == ("", f"trust-server: {sentence}\n  next: {explained_by} --help\n")


@pytest.mark.parametrize(
    ("words", "suggested"),
    [
        (
            [],
            ["access", "check", "clock", "collections", "completion", "events", "migrate", "seal", "serve", "settings"],
        ),
        (["c"], ["check", "clock", "collections", "completion"]),
        (["collections", ""], ["list", "release"]),
        (["collections", "release", ""], []),
        (["serve", "--tls"], ["--tls-cert", "--tls-client-ca", "--tls-client-crl", "--tls-key"]),
        (["serve", "--data", ""], []),
        (["serve", "--data", "check", "--lis"], ["--listen"]),
        (["serve", "--self-signed", "--lis"], ["--listen"]),
        (["serve", "--no-such", "--he"], ["--head-seconds", "--help"]),
        (["completion", ""], ["bash", "fish", "zsh"]),
    ],
)
def test_what_a_shell_may_suggest(words: list[str], suggested: list[str]) -> None:
    assert suggestions(typer.main.get_command(app), words) == suggested


@pytest.fixture
def data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder in which a server has worked: one collection."""
    monkeypatch.setattr("trustserver.process.kernel_clock.now", lambda: NOW)
    settings = Settings(data=tmp_path / "data")
    store = open_store(settings)
    site = Site(store, sealer=open_sealer(settings, store))
    site.begin()
    store.close()
    return settings.data


def test_a_sound_folder(data: Path) -> None:
    assert run("check", data=data) == (0, "1 name, 2 sealed keys: sound\n")
    assert run("migrate", data=data) == (0, "schema 0011\n")
    assert run("collections", "list", data=data)[1] == f"{GUN_A}  tuf-1.0  live  revision 1\n"


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        ("UPDATE file SET raw = x'00' WHERE role = 'targets'", "targets version 1 is not what was stored"),
        ("UPDATE online_key SET sealed = x'0100' WHERE role = 'snapshot'", "the sealed snapshot key"),
        ("UPDATE online_key SET gun = 'example.com/other' WHERE role = 'timestamp'", "the sealed timestamp key"),
    ],
)
def test_check_names_what_is_damaged(data: Path, damage: str, said: str) -> None:
    engine = open_engine(f"sqlite:///{data / 'trust.db'}")
    with engine.connect() as connection, connection.begin():
        connection.execute(text(damage))
    engine.dispose()
    status, output = run("check", data=data)
    assert status == 1
    assert said in output
    assert output.endswith(" wrong\n")


def test_check_and_the_listing_make_nothing(tmp_path: Path) -> None:
    for command in (["check"], ["collections", "list"], ["collections", "release", GUN_A]):
        with pytest.raises(StartRefused, match="no database"):
            run(*command, data=tmp_path / "absent")
    assert not (tmp_path / "absent").exists()


def test_release_needs_a_tombstone(data: Path) -> None:
    assert run("collections", "release", GUN_A, data=data)[0] == 1
    store = open_store(Settings(data=data))
    site = Site(store, sealer=open_sealer(Settings(data=data), store))
    assert site.request("DELETE", f"/api/v1/collections/{GUN_A}").status_code == 200
    store.close()
    assert "deleted 2026-11-01T12:00:00Z by anonymous  root sha256:" in run("collections", "list", data=data)[1]
    assert run("collections", "release", GUN_A, data=data) == (0, f"{GUN_A} may be initialised anew\n")
    assert run("collections", "release", GUN_A, data=data)[0] == 0, "again: nothing to do is no failure"


def test_settings_are_shown_with_their_source(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TRUST_SERVER_LISTEN", "127.0.0.1:5")
    output = CliRunner().invoke(app, ["settings"]).output
    assert 'listen = "127.0.0.1:5"  # TRUST_SERVER_LISTEN\n' in output
    assert "workers = 1  # default\n" in output
    assert "# tls_cert is not set\n" in output


def test_what_settings_prints_is_a_settings_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    odd = tmp_path / 'a "folder" \\ with ü, \x7f and #'
    given = {
        "LISTEN": "[::1]:5",
        "DATA": str(odd),
        "TRUSTED_PROXY": "10.0.0.7,10.1.0.0/16,fd00::/8",
        "INSECURE_OPEN": "true",
        "UPLOAD_RATE": "0",
        "TLS_CERT": str(odd / "cert.pem"),
        "TLS_KEY": str(odd / "key.pem"),
    }
    for name, value in given.items():
        monkeypatch.setenv(f"TRUST_SERVER_{name}", value)
    before = load({}, dict(os.environ)).settings
    config = tmp_path / "settings.toml"
    config.write_text(CliRunner().invoke(app, ["settings"]).output, encoding="utf-8")
    for name in given:
        monkeypatch.delenv(f"TRUST_SERVER_{name}")
    assert load({}, dict(os.environ), config).settings == before
    again = CliRunner().invoke(app, ["settings", "--config", str(config)]).output
    values = [line.rpartition("  #")[0] for line in config.read_text(encoding="utf-8").splitlines()]
    assert [line.rpartition("  #")[0] for line in again.splitlines()] == values


def test_the_clock_is_accepted(data: Path) -> None:
    assert run("clock", "accept", data=data) == (0, "accepted: it is 2026-11-01 12:00:00 UTC\n")
    assert run("clock", "accept", data=data)[1].endswith("the last round before was on 2026-11-01 12:00:00 UTC\n")
    store = existing_store(Settings(data=data))
    assert store.clock_record() == ClockRecord(last_round=NOW, accepted=NOW)
    store.close()


def test_a_restored_database_is_not_accepted_with_a_clock_that_jumped(
    data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = existing_store(Settings(data=data))
    store.record_round(NOW)
    store.close()
    monkeypatch.setattr("trustserver.process.kernel_clock.now", lambda: NOW + timedelta(days=8))
    monkeypatch.setattr("trustserver.process.kernel_clock.is_synchronised", lambda: False)
    with pytest.raises(ClockJumped, match="trust-server clock accept"):
        run("check", "--accept-restore", data=data)
    assert run("clock", "accept", data=data)[0] == 0
    assert run("check", "--accept-restore", data=data)[0] == 0


def test_the_kernel_is_asked_and_never_sets_anything() -> None:
    before = kernel_clock.uptime()
    assert kernel_clock.is_synchronised() in {True, False}
    assert kernel_clock.uptime() >= before > 0


def test_a_kernel_that_cannot_be_asked_vouches_for_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    class Libc:
        state = 0

        def __init__(self, name: object) -> None:
            del name

        def adjtimex(self, request: object) -> int:
            del request
            return self.state

    monkeypatch.setattr("ctypes.CDLL", Libc)
    assert kernel_clock.is_synchronised()
    for state in (-1, 5):
        monkeypatch.setattr(Libc, "state", state)
        assert not kernel_clock.is_synchronised()
    monkeypatch.delattr(Libc, "adjtimex")
    assert not kernel_clock.is_synchronised()


def test_settings_are_shown_without_what_opens_a_database(tmp_path: Path) -> None:
    code = (
        "import sys; from typer.testing import CliRunner; from trustserver.__main__ import app\n"
        "result = CliRunner().invoke(app, ['settings'])\n"
        "assert result.exit_code == 0, result.output\n"
        "print(*sorted({'sqlalchemy', 'sqlmodel', 'trustserver.storage'} & set(sys.modules)))\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, cwd=tmp_path)
    assert (done.returncode, done.stdout, done.stderr) == (0, "\n", "")


def test_commands_do_not_load_the_server_or_what_migrates(tmp_path: Path) -> None:
    """Each would take longer to load than the command takes."""
    open_store(Settings(data=tmp_path)).close()
    code = (
        "import sys; from typer.testing import CliRunner; from trustserver.__main__ import app\n"
        "for words in (['collections', 'list'], ['check'], ['clock', 'accept']):\n"
        f"    result = CliRunner().invoke(app, [*words, '--data', {str(tmp_path)!r}])\n"
        "    assert result.exit_code == 0, result.output\n"
        "print(*sorted({'alembic', 'fastapi', 'granian', 'trustserver.app'} & set(sys.modules)))\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, "\n", "")
