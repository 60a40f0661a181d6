"""`trust pin` where the server cannot be asked: the format is not guessed."""

from __future__ import annotations

from pathlib import Path

import pytest

import trustcli.session as session_module
from tests.simulator.home import Home, without_network
from tests.simulator.repository import APP, RepositorySimulator
from trustcli.console.exit_codes import DONE, NOT_TRUSTED
from trustcli.errors import RemoteUnreachable, UsageError
from trustdata.wire.notary import NOTARY

PIN = f"sha256:{'ab' * 32}"


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Home:
    """A machine whose server cannot be reached."""
    without_network(monkeypatch)

    def unreachable(*_: object) -> None:
        raise RemoteUnreachable(remote="https://trust.example.com", reason="connection refused")

    monkeypatch.setattr(session_module, "offered_format", unreachable)
    return Home(tmp_path, RepositorySimulator(wire=NOTARY))


@pytest.mark.parametrize("options", [(), ("--replace",)])
def test_the_format_is_asked_for(home: Home, options: tuple[str, ...]) -> None:
    with pytest.raises(UsageError, match=r"connection refused.*--format notary"):
        home.pin(APP, PIN, *options)
    assert home.session().pins.load() == {}


@pytest.mark.parametrize("wire", ["tuf", "notary"])
def test_with_a_format_nobody_is_asked(home: Home, wire: str) -> None:
    assert home.pin(APP, PIN, "--format", wire) == DONE
    (entry,) = home.session().pins.load().values()
    assert entry.format.startswith(wire)


def test_what_is_known_is_kept_when_a_replacement_cannot_be_made(home: Home) -> None:
    home.pin(APP, PIN, "--format", "notary")
    with pytest.raises(UsageError):
        home.pin(APP, PIN.replace("ab", "cd"), "--replace")
    (entry,) = home.session().pins.load().values()
    assert str(entry.pin) == PIN


def test_a_wrong_format_is_told_as_such(home: Home) -> None:
    home.pin(APP, PIN, "--format", "tuf")
    assert home.run("verify", f"{APP}:1.0") == NOT_TRUSTED
    said = home.stderr.getvalue()
    assert "is recorded as tuf-1.0" in said
    assert "--replace --format notary" in said
    assert "withheld" not in said
