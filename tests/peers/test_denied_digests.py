"""What old programs make of a list of denied digests, which they do not know: why `trust deny` writes none for them."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

import trustcli
from tests.support.notary_client import REPOSITORY_PASSPHRASE, ROOT_PASSPHRASE, NotaryUser
from tests.support.stage import Put
from tests.support.trust_program import TrustUser
from tests.support.trust_servers import PeerServer
from trustdata.denied import DENIED_MEMBER

WITHOUT_SCRUPLES = (
    "import sys; from trustdata.wire.notary import NotaryFormat; NotaryFormat.keeps_members = True; "
    "from trustcli.__main__ import main; sys.exit(main())"
)
"""Our program, which takes Go's programs for ones that keep what they do not know."""


@pytest.fixture
def trust(tmp_path: Path, peer_server: PeerServer) -> TrustUser:
    secrets = {"TRUST_ROOT_PASSPHRASE": ROOT_PASSPHRASE, "TRUST_REPOSITORY_PASSPHRASE": REPOSITORY_PASSPHRASE}
    return TrustUser(tmp_path / "trust", peer_server.url, environ={"TRUST_CACERT": str(peer_server.ca), **secrets})


def test_notary_drops_the_list_when_it_signs_and_its_server_loses_the_collection(
    tmp_path: Path, trust: TrustUser, peer_server: PeerServer, put: Put, gun: str
) -> None:
    image = put("1.0")
    old = NotaryUser(tmp_path / "old", peer_server)
    old.run("init", gun)
    old.run("key", "rotate", gun, "snapshot", "-r")
    old.run("publish", gun)
    trust.run("key", "import", str(old.trust))
    trust.run("--tofu", "inspect", gun)
    trust.run("sign", f"{gun}:1.0")
    trust.run("deny", "--yes", f"{gun}@{image.digest}", expect=7).said("docker and notary drop the list")
    command = [sys.executable, "-c", WITHOUT_SCRUPLES, "deny", "--yes", f"{gun}@{image.digest}"]
    environ = {**trust.environ, "PYTHONPATH": str(Path(trustcli.__file__).parents[1])}
    done = subprocess.run(
        command, cwd=trust.folder, env=environ, capture_output=True, text=True, check=False, timeout=60
    )
    if peer_server.keeps_unknown_members:
        assert done.returncode == 0, done.stderr
        trust.run("verify", f"{gun}:1.0", expect=4).said("is denied by")
        assert old.listed(gun)["1.0"].digest == image.digest.removeprefix("sha256:")
        assert DENIED_MEMBER in old.signed(gun, "targets")
        old.add(gun, "2.0")
        assert set(old.listed(gun)) == {"1.0", "2.0"}
        assert DENIED_MEMBER not in old.signed(gun, "targets")
        assert trust.run("verify", f"{gun}:1.0").stdout == f"{gun}@{image.digest}\n"
    else:
        assert done.returncode == 4
        assert "targets metadata is missing" in done.stderr
        assert "targets" in old.refused("list", gun)
