"""What the commands that make and replace keys write: the collection's name, and keys that are really new."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from keys.key_info import KeyInfo
from tests.simulator.encodings import ENCODINGS
from tests.simulator.home import Home, without_network
from tests.simulator.repository import APP, RepositorySimulator
from tests.simulator.siblings import first_root
from trustcli.console.exit_codes import DONE, REFUSED, UNREACHABLE
from trustdata.gun import GUN, NAME_MEMBER
from trustdata.model import Key
from trustdata.roles import ROOT, TIMESTAMP, RoleName
from trustdata.wire import WireFormat
from trustdata.wire.formats import FORMATS
from trustdata.wire.tuf import TUF


@pytest.fixture(params=FORMATS.values(), ids=list(FORMATS))
def wire(request: pytest.FixtureRequest) -> WireFormat:
    found: WireFormat = request.param
    return found


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, wire: WireFormat) -> Home:
    """An owner who has just made the collection."""
    without_network(monkeypatch)
    home = Home(tmp_path, RepositorySimulator(wire=wire))
    home.environ = {"TRUST_ROOT_PASSPHRASE": "root", "TRUST_REPOSITORY_PASSPHRASE": "repository"}
    format_ = "tuf" if wire is TUF else "notary"
    assert home.run("init", APP, "--no-recovery-key", "--format", format_) == DONE
    return home


def root_key(home: Home) -> KeyInfo:
    (found,) = (info for info in home.session().keystore.list() if info.purpose == "root")
    return found


def test_init_names_the_collection(home: Home, wire: WireFormat) -> None:
    root = home.sites[APP].stored[ROOT].root
    assert root.unrecognized_fields == ({NAME_MEMBER: APP} if wire is TUF else {})
    assert home.session().collection(APP).refresh().is_named


def test_a_rotation_keeps_the_name(home: Home) -> None:
    assert home.run("key", "rotate", "root", APP) == DONE
    assert home.sites[APP].stored[ROOT].version == 2
    updater = home.session().collection(APP).refresh()
    assert updater.is_named
    assert f"sha256:{updater.roots()[0].sha256}" == str(first_root(home.sites[APP]))


def test_a_key_does_not_replace_itself(home: Home) -> None:
    """In Notary v1 in a new certificate. It would have been marked as retired, and the root would still need it."""
    before = root_key(home)
    assert home.run("key", "rotate", "root", APP, "--key", before.keyid) == REFUSED
    assert "is one of its keys already" in home.err
    assert home.sites[APP].stored[ROOT].version == 1
    assert not root_key(home).retired


def test_a_server_s_old_key_in_another_encoding_is_not_new(
    home: Home, wire: WireFormat, monkeypatch: pytest.MonkeyPatch
) -> None:
    site = home.sites[APP]
    for encoded in [encoded for form, encoded in ENCODINGS.values() if form is wire]:

        def old(gun: GUN, role: RoleName, encoded: Callable[[str], Key] = encoded) -> Key:
            del gun
            return encoded(role)

        monkeypatch.setattr(site, "new_online_key", old)
        assert home.run("key", "rotate", TIMESTAMP, APP) == UNREACHABLE
        assert "names already" in home.err
    assert site.stored[ROOT].version == 1
