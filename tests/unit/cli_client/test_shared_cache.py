"""Several processes of one user share a cache and a memory, and are at different places of the same workflow."""

from __future__ import annotations

import pytest

from tests.simulator.scene import GOOD, NEWER, good_collection


@pytest.mark.parametrize("moment", ["timestamp.json", "snapshot.json", "targets.json"])
def test_another_process_verifies_a_newer_state_in_the_middle_of_ours(
    moment: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Our answer is that of the moment when we asked; the newer files in the cache are no proof of a rollback."""
    scene = good_collection()
    ours, theirs = scene.newcomer(), scene.newcomer()
    theirs.cache, theirs.memory = ours.cache, ours.memory
    genuine = scene.server.fetch
    overtaken: list[str] = []

    def fetch(gun: str, filename: str, *, limit: int) -> bytes | None:
        answer = genuine(scene.server.gun, filename, limit=limit)
        if filename.endswith(moment) and not overtaken:
            overtaken.append(filename)
            scene.owner.sign("1.0", NEWER)
            assert theirs.digest("1.0") == f"sha256:{NEWER}"
        return answer

    monkeypatch.setattr(scene.server, "fetch", fetch)
    assert ours.digest("1.0") == f"sha256:{GOOD}"
    assert overtaken
    assert ours.digest("1.0") == f"sha256:{NEWER}"
