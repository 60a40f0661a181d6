"""What the doctor says of a key store: keys that are only named there are no private keys that are here."""

from __future__ import annotations

from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

from tests.simulator.home import Home, without_network
from tests.simulator.repository import APP, RepositorySimulator
from tests.support.cheap_keys import sealing_cheaply
from trustcli.console.exit_codes import DONE
from trustcli.doctor.key_store import check_key_store
from trustcli.doctor.look import look_at
from trustdata.wire import WireFormat
from trustdata.wire.formats import FORMATS

TOKEN = "pkcs11:token=T;serial=1;object=root?module-path=/usr/lib/token.so"


@pytest.mark.parametrize("wire", FORMATS.values(), ids=list(FORMATS))
def test_a_root_key_in_a_token_is_told_with_where_it_lives(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, wire: WireFormat
) -> None:
    without_network(monkeypatch)
    sealing_cheaply(monkeypatch)
    home = Home(tmp_path, RepositorySimulator(gun=APP, wire=wire))
    home.environ = {f"TRUST_{name}_PASSPHRASE": f"the {name} passphrase" for name in ("ROOT", "REPOSITORY")}
    format_ = "tuf" if wire.name == "tuf-1.0" else "notary"
    assert home.run("init", APP, "--no-recovery-key", "--format", format_) == DONE, home.err

    def said() -> dict[str, str]:
        with closing(home.session()) as session:
            return {finding.check: finding.text for finding in check_key_store(session, look_at(session, APP))}

    assert said()["keys"] == "2 private keys, for their owner alone"
    assert said()["root-key"].startswith(f"a root key of {APP} is here: root key (")
    store = home.session().keystore
    (root,) = (info for info in store.list() if info.purpose == "root")
    store.remove(root.keyid)
    store.add_elsewhere(replace(root, name="vault", uri=TOKEN))
    told = "1 private key, for their owner alone; 1 entry for keys elsewhere: trust key test KEY tries them"
    assert said()["keys"] == told
    assert said()["root-key"].startswith(f"a root key of {APP} lives at {TOKEN}: root key vault (")
