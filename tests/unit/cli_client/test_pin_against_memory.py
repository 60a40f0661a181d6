"""`trust pin` of a name that was verified here: another root is refused before it is recorded."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.simulator.home import Home, without_network
from tests.simulator.repository import APP
from tests.simulator.scene import good_collection
from trustcli.console.exit_codes import DONE
from trustcli.console.failure_table import row_for
from trustdata.errors import PinsDisagree
from trustdata.roles import ROOT
from trustdata.wire import WireFormat
from trustdata.wire.formats import FORMATS

OTHER = "ab" * 32


@pytest.fixture(params=FORMATS.values(), ids=list(FORMATS))
def home(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Home:
    """A machine that has verified a collection with `--pin`, and pinned nothing."""
    without_network(monkeypatch)
    wire: WireFormat = request.param
    home = Home(tmp_path, good_collection(wire).server)
    assert home.run("verify", f"{APP}:1.0", pin=_first_root(home)) == DONE
    assert home.session().pins.load() == {}
    return home


def _first_root(home: Home) -> str:
    server = home.sites[APP]
    return f"sha256:{server.wire.parse(ROOT, server.files[server.wire.filename(ROOT, version=1)]).sha256}"


@pytest.mark.parametrize("wrong", [f"sha256:{OTHER}", f"key:{OTHER}"])
def test_another_root_than_was_verified_is_not_recorded(home: Home, wrong: str) -> None:
    with pytest.raises(PinsDisagree) as caught:
        home.pin(APP, wrong)
    assert str(caught.value) == (
        f"the pins of {APP} disagree: {_first_root(home)} (what this machine has verified before) and {wrong} "
        "(the command line)"
    )
    assert row_for(caught.value).advice(caught.value).endswith(f"that you typed: trust pin {APP} {wrong} --replace")
    assert home.session().pins.load() == {}
    assert home.pin(APP, wrong, "--replace") == DONE
    assert home.session().memory.load(APP) is None


def test_the_root_that_was_verified_is_recorded(home: Home) -> None:
    assert home.pin(APP, _first_root(home)) == DONE
    with pytest.raises(PinsDisagree):
        home.pin(APP, f"sha256:{OTHER}")
    assert [str(entry.pin) for entry in home.session().pins.load().values()] == [_first_root(home)]
