"""Keys are rotated while a client is between two steps of its workflow: no attack, and not reported as one."""

from __future__ import annotations

import pytest

from tests.simulator.scene import GOOD, Scene, good_collection
from trustdata.errors import ThresholdNotMet
from trustdata.roles import SNAPSHOT, TIMESTAMP, RoleName


def after(scene: Scene, moment: str, role: RoleName, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Rotate once, right after the file was asked for; what was asked for from then on."""
    genuine = scene.server.fetch
    asked: list[str] = []

    def fetch(gun: str, filename: str, *, limit: int) -> bytes | None:
        answer = genuine(scene.server.gun, filename, limit=limit)
        if asked or filename == moment:
            asked.append(filename)
        if asked == [moment]:
            scene.owner.replace_online_key(role)
            del asked[1:]  # what the owner has read meanwhile
        return answer

    monkeypatch.setattr(scene.server, "fetch", fetch)
    return asked


@pytest.mark.parametrize("role", [TIMESTAMP, SNAPSHOT])
@pytest.mark.parametrize("moment", ["3.root.json", "timestamp.json"])
def test_a_rotation_between_two_steps(moment: str, role: RoleName, monkeypatch: pytest.MonkeyPatch) -> None:
    for seen_before in (True, False):
        scene = good_collection()
        client = scene.regular() if seen_before else scene.newcomer()
        with monkeypatch.context() as patched:
            asked = after(scene, moment, role, patched)
            assert client.digest("1.0") == f"sha256:{GOOD}"
            assert asked


def test_without_a_newer_root_there_is_no_second_look(monkeypatch: pytest.MonkeyPatch) -> None:
    scene = good_collection()
    client = scene.regular()
    timestamp = scene.server.files["timestamp.json"]
    scene.server.files["timestamp.json"] = timestamp.replace(b'"version":7', b'"version":9')
    assert scene.server.files["timestamp.json"] != timestamp
    scene.server.requests.clear()
    with pytest.raises(ThresholdNotMet):
        client.digest("1.0")
    asked = ["3.root.json", "timestamp.json", "3.root.json"]
    assert scene.server.requests == [*asked, "1.root.json"], "the last: does another collection stand here?"
