"""What an agent has verified is remembered by those who ask it, so that nobody shows them anything older."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from keys.record import replace
from tests.simulator.scene import good_collection
from trustcli.errors import FileExposed, MemoryUnwritable
from trustcli.hooks.agent.memory import AgentMemory
from trustcli.state.memory import MemoryFile
from trustdata.errors import InvalidName, MemoryDamaged
from trustdata.gun import GUN
from trustdata.roles import TARGETS
from trustdata.verification.rollback_memory import Memory, to_document


@pytest.fixture(scope="module")
def seen() -> Memory:
    """What a machine remembers that has seen the good collection."""
    client = good_collection().regular()
    memory = client.memory.load(client.server.gun)
    assert memory is not None
    return replace(memory, refreshed=None)


APP = GUN("registry.example.com/team/app")


def newer(memory: Memory, version: int) -> Memory:
    return replace(memory, roles={**memory.roles, TARGETS: replace(memory.roles[TARGETS], version=version)})


def told(memory: Memory, name: str = APP) -> dict[str, object]:
    """As it comes over the socket."""
    document: dict[str, object] = json.loads(json.dumps({name: to_document(memory)}))
    return document


def version(folder: Path) -> int:
    memory = MemoryFile(folder / "seen.json").load(APP)
    assert memory is not None
    return memory.roles[TARGETS].version


def test_it_is_merged_and_never_goes_back(tmp_path: Path, seen: Memory) -> None:
    memory = AgentMemory(tmp_path)
    memory(told(newer(seen, 8)))
    assert version(tmp_path) == 8
    memory(told(newer(seen, 9)))
    assert version(tmp_path) == 9
    memory(told(newer(seen, 7)))  # of an agent that was begun anew
    assert version(tmp_path) == 9


def test_what_is_known_already_is_not_written_again(tmp_path: Path, seen: Memory) -> None:
    AgentMemory(tmp_path)(told(seen))
    before = (tmp_path / "seen.json").stat()
    AgentMemory(tmp_path)(told(seen))
    assert (tmp_path / "seen.json").stat() == before


def test_a_memory_that_was_removed_is_there_again(tmp_path: Path, seen: Memory) -> None:
    AgentMemory(tmp_path)(told(newer(seen, 8)))
    (tmp_path / "seen.json").unlink()
    AgentMemory(tmp_path)(told(newer(seen, 8)))
    assert version(tmp_path) == 8


def test_a_memory_that_is_that_of_a_backup_learns_again(tmp_path: Path, seen: Memory) -> None:
    """Also where the mark, which says that all is known, is the newer one of the two."""
    AgentMemory(tmp_path)(told(newer(seen, 8)))
    backup = (tmp_path / "seen.json").read_bytes()
    AgentMemory(tmp_path)(told(newer(seen, 9)))
    (tmp_path / "seen.json").write_bytes(backup)
    AgentMemory(tmp_path)(told(newer(seen, 9)))
    assert version(tmp_path) == 9
    MemoryFile(tmp_path / "seen.json").forget(APP)
    AgentMemory(tmp_path)(told(newer(seen, 9)))
    assert version(tmp_path) == 9


def test_a_memory_of_another_first_root_stays(tmp_path: Path, seen: Memory) -> None:
    own = replace(newer(seen, 8), root_of_trust="ab" * 32)
    MemoryFile(tmp_path / "seen.json").remember(APP, own)
    AgentMemory(tmp_path)(told(newer(seen, 9)))
    assert MemoryFile(tmp_path / "seen.json").load(APP) == own


def test_without_a_place_for_marks_it_is_merged_each_time(tmp_path: Path, seen: Memory) -> None:
    (tmp_path / "told-by-agent").write_text("no folder")
    AgentMemory(tmp_path)(told(newer(seen, 8)))
    AgentMemory(tmp_path)(told(newer(seen, 8)))
    assert version(tmp_path) == 8


def test_what_cannot_be_remembered_is_an_error(tmp_path: Path, seen: Memory) -> None:
    (tmp_path / "file").write_text("no folder")
    with pytest.raises((MemoryUnwritable, MemoryDamaged)):
        AgentMemory(tmp_path / "file")(told(seen))
    nonsenses: list[object] = [7, {}, []]
    for nonsense in nonsenses:
        with pytest.raises(MemoryDamaged, match="the agent's memory"):
            AgentMemory(tmp_path)({APP: nonsense})
    with pytest.raises(InvalidName):
        AgentMemory(tmp_path)(told(seen, "../x"))
    open_to_all = tmp_path / "open"
    open_to_all.mkdir()
    open_to_all.chmod(0o777)
    with pytest.raises(FileExposed):
        AgentMemory(open_to_all)(told(seen))
