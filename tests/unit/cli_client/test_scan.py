"""`trust scan`: what is signed, unsigned, revoked, denied, exempt or unknown of what runs, in both formats."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path
from typing import Any

import pytest

from tests.simulator.home import Home, without_network
from tests.simulator.keyring import Ring
from tests.simulator.owner import EVERY_KEY, digest_of
from tests.simulator.repository import APP
from tests.simulator.scene import EVIL, GOOD, NEWER, OTHER, good_collection
from trustcli.errors import UsageError
from trustdata.editing import repository_editor as editor
from trustdata.roles import RELEASES, RoleName
from trustdata.wire.formats import FORMATS
from trustdata.wire.notary import NOTARY

EMPTY_ID = "sha256:" + "1" * 64
INDEX, ARM = digest_of("index"), digest_of("arm")


class Machine:
    def __init__(self, folder: Path, form: str) -> None:
        self.scene = good_collection(FORMATS[form])
        self.home = Home(folder, self.scene.server)
        assert self.home.pin(APP, str(self.scene.pin)) == 0
        self.folder = folder

    def pods(self, *images: str) -> Path:
        """A list of Pods with a container for each; an image without a digest has an id alone."""
        entries = []
        for number, image in enumerate(images):
            known = image if "@" in image else EMPTY_ID
            status = {"name": f"c{number}", "image": image, "imageID": known, "state": {"running": {}}}
            entries.append({"kind": "Pod", "metadata": {"name": "p"}, "status": {"containerStatuses": [status]}})
        file = self.folder / "pods.json"
        file.write_text(json.dumps({"kind": "List", "items": entries}))
        return file

    def serve_versions(self) -> None:
        """Serve files by their versions, too, as servers of Notary v1 do."""
        server = self.scene.server
        for name, raw in list(server.files.items()):
            if server.wire is NOTARY and name.startswith("targets"):
                role = RoleName(name.rsplit(".", 2)[0])
                version = server.wire.parse(role, raw).version
                server.files[server.wire.filename(role, version=version)] = raw

    def scan(self, *images: str, options: tuple[str, ...] = ()) -> tuple[int, list[dict[str, Any]]]:
        status = self.home.run("scan", "--pods", str(self.pods(*images)), *options, json=True)
        document = json.loads(self.home.out)
        assert document["exit"] == status
        return status, document["containers"]

    def states(self, *images: str, options: tuple[str, ...] = ()) -> list[str]:
        return [row["state"] for row in self.scan(*images, options=options)[1]]


@pytest.fixture(params=list(FORMATS))
def machine(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Machine:
    without_network(monkeypatch)
    return Machine(tmp_path, request.param)


def at(digest: str) -> str:
    return f"{APP}@sha256:{digest}"


def test_each_has_its_verdict(machine: Machine) -> None:
    owner = machine.scene.owner
    owner.sign("multi", INDEX, ARM)
    owner.deny(OTHER, reason="a stolen key")
    status, rows = machine.scan(at(GOOD), at(EVIL), at(OTHER), at(ARM), f"{APP}:1.0")
    assert [row["state"] for row in rows] == ["signed", "unsigned", "denied", "signed", "unknown"]
    assert status == 4
    assert (rows[0]["container"], rows[0]["tags"], rows[0]["error"]) == ("p/c0", ["1.0"], None)
    assert (rows[2]["name"], rows[2]["digest"]) == (APP, f"sha256:{OTHER}")
    assert rows[2]["error"]["code"] == "digest-denied"
    assert (rows[4]["name"], rows[4]["error"]["code"]) == (None, "content-unknown")


def test_what_was_signed_before_is_revoked_and_says_where(machine: Machine) -> None:
    machine.scene.owner.revoke("2.0")
    machine.scene.owner.sign("1.0", NEWER)
    machine.serve_versions()
    status, (other, good, evil) = machine.scan(at(OTHER), at(GOOD), at(EVIL))
    assert status == 3
    assert [row["state"] for row in (other, good, evil)] == ["revoked", "revoked", "unsigned"]
    assert "it was signed as 2.0 in targets" in other["revoked"]
    assert "it was signed as 1.0 in targets/releases" in good["revoked"]
    assert (other["error"]["code"], evil["revoked"]) == ("not-signed", None)


def test_older_files_by_keys_that_were_replaced_prove_nothing(machine: Machine) -> None:
    owner = machine.scene.owner
    owner.revoke("2.0")
    key = owner.server.keys.key("mallory")
    owner.ring = Ring(*EVERY_KEY, "mallory")
    owner.publish(lambda roles: editor.replace_targets_key(roles, key, terms=owner.terms))
    machine.serve_versions()
    assert machine.states(at(OTHER)) == ["unsigned"]


def test_what_the_server_leaves_out_was_never_signed(machine: Machine) -> None:
    machine.scene.owner.revoke("2.0")
    if machine.scene.server.wire is not NOTARY:  # there it has no file by its version
        for version in range(1, machine.scene.server.stored[RELEASES].version):
            machine.scene.server.files.pop(f"{version}.targets%2Freleases.json", None)
    assert machine.states(at(OTHER)) == ["unsigned"]


def test_a_policy_decides_where_one_is_named(machine: Machine) -> None:
    file = machine.folder / "policy.toml"
    exempt = '[[rule]]\nmatch = "elsewhere.example.com/*"\nmode = "allow"\nreason = "x"\nuntil = 2999-01-01\n'
    file.write_text(f'[[rule]]\nmatch = "{APP}"\nsigners = ["bob"]\n{exempt}')
    file.chmod(0o600)
    states = machine.states(at(GOOD), f"elsewhere.example.com/x@sha256:{GOOD}", options=("--policy", str(file)))
    assert states == ["refused", "exempt"]


def test_offline_asks_nobody(machine: Machine) -> None:
    assert machine.states(at(GOOD)) == ["signed"]
    machine.scene.server.down = True
    assert machine.states(at(GOOD), at(EVIL), options=("--offline",)) == ["signed", "unsigned"]
    assert machine.states(at(GOOD)) == ["unknown"]


def test_people_and_spreadsheets_are_told_the_same(machine: Machine) -> None:
    file = str(machine.pods(at(GOOD), at(EVIL), at(EVIL), "=cmd"))
    assert machine.home.run("scan", "--pods", file) == 3
    lines = machine.home.out.splitlines()
    assert lines[0].split() == ["signed", "p/c0", at(GOOD)]
    assert lines[1].split() == ["unsigned", "p/c1", at(EVIL)]
    assert "4 containers: 1 signed, 1 unknown, 2 unsigned" in machine.home.err
    assert machine.home.err.count("is not signed") == 1
    assert machine.home.run("scan", "--pods", file, "--csv") == 3
    rows = list(csv.DictReader(io.StringIO(machine.home.out)))
    assert [row["state"] for row in rows] == ["signed", "unsigned", "unsigned", "unknown"]
    assert rows[3]["image"] == "'=cmd"


def test_nothing_that_runs_is_no_failure(machine: Machine) -> None:
    assert machine.scan() == (0, [])
    assert machine.home.err.splitlines()[-1] == "no container runs"


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--pods", "none.json"), "cannot be read"),
        (("--pods", "text.json"), "not JSON that can be read"),
        (("--pods", "list.json"), "the document must be an object"),
        (("--crictl", "list.json"), "what crictl says must be an object"),
        (("--csv",), "--csv and --json"),
        (("--max-age", "1h"), "--max-age bounds --offline"),
        (("--pods", "-", "--crictl", "-"), "named twice"),
    ],
)
def test_wrong_usage_is_told(
    machine: Machine, monkeypatch: pytest.MonkeyPatch, words: tuple[str, ...], said: str
) -> None:
    monkeypatch.chdir(machine.folder)
    Path("text.json").write_text("{")
    Path("list.json").write_text("[]")
    with pytest.raises(UsageError, match=said):
        machine.home.run("scan", *words, json="--csv" in words)
