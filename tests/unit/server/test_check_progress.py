"""A check that was interrupted goes on where it was, and skips nothing that may have changed."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from tests.support.served_folder import Ground
from tests.support.server_owner import NOW
from trustdata.roles import TARGETS
from trustserver.admin.audit import Audit, AuditFinding
from trustserver.admin.check_progress import MAX_AGE, CheckProgress
from trustserver.errors import StartRefused

FIRST, SECOND = "registry.example.com/a", "registry.example.com/b"


class Killed(BaseException):
    """The end of the process, which nothing catches."""


class Walked:
    """The names that checks look at. `stop_at`: the name at which the check is interrupted."""

    def __init__(self, patch: pytest.MonkeyPatch) -> None:
        self.names: list[str] = []
        self.stop_at = ""
        collection = Audit.collection

        def noted(audit: Audit, state: Any, remembered: Any = ()) -> Iterator[AuditFinding]:
            if state.gun == self.stop_at:
                raise Killed
            self.names.append(state.gun)
            return collection(audit, state, remembered)

        patch.setattr(Audit, "collection", noted)


@pytest.fixture
def ground(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Ground:
    made = Ground(tmp_path / "data", monkeypatch)
    with made.site() as site:
        site.begin(FIRST)
        site.begin(SECOND)
    return made


@pytest.fixture
def walked(monkeypatch: pytest.MonkeyPatch) -> Walked:
    return Walked(monkeypatch)


@pytest.fixture
def interrupted(ground: Ground, walked: Walked, tmp_path: Path) -> str:
    """The file of a check that was interrupted at the second name."""
    file = str(tmp_path / "progress")
    walked.stop_at = SECOND
    with pytest.raises(Killed):
        ground.check("--resume", file)
    assert walked.names == [FIRST]
    walked.names, walked.stop_at = [], ""
    return file


def test_it_goes_on_where_it_was_and_the_next_one_begins_anew(ground: Ground, walked: Walked, interrupted: str) -> None:
    status, report = ground.check("--resume", interrupted)
    assert (status, report["names"], report["skipped"]) == (0, 3, 1)
    assert FIRST not in walked.names
    assert len(walked.names) == 2
    assert not Path(interrupted).exists()
    assert ground.check("--resume", interrupted)[1]["skipped"] == 0


def test_a_file_that_changed_is_found_though_its_name_is_skipped(ground: Ground, interrupted: str) -> None:
    ground.sql(
        "UPDATE file SET raw = x'00' WHERE role = 'targets' AND collection_id = "
        f"(SELECT id FROM collection WHERE gun = '{FIRST}')"
    )
    status, report = ground.check("--resume", interrupted)
    assert (status, report["skipped"]) == (1, 1)
    assert [(each["gun"], each["code"]) for each in report["findings"]] == [(FIRST, "file-changed")]


def test_a_new_revision_is_looked_at(ground: Ground, walked: Walked, interrupted: str) -> None:
    ground.sql(f"UPDATE collection SET revision = revision + 1 WHERE gun = '{FIRST}'")
    assert ground.check("--resume", interrupted)[1]["skipped"] == 0
    assert FIRST in walked.names


def test_what_a_client_remembers_is_compared_even_so(
    ground: Ground, walked: Walked, interrupted: str, tmp_path: Path
) -> None:
    memory = {"format": "content-trust-seen-1", "collections": {}}
    (tmp_path / "seen.json").write_text(json.dumps(memory))
    assert ground.check("--resume", interrupted, "--against", str(tmp_path / "seen.json"))[1]["skipped"] == 1
    assert FIRST not in walked.names


@pytest.mark.parametrize(("later", "skipped"), [(MAX_AGE - timedelta(seconds=1), 1), (MAX_AGE, 0)])
def test_after_a_day_it_begins_anew(ground: Ground, interrupted: str, later: timedelta, skipped: int) -> None:
    ground.at(NOW + later)
    assert ground.check("--resume", interrupted)[1]["skipped"] == skipped


def test_the_file_of_another_database_begins_anew(tmp_path: Path) -> None:
    file = tmp_path / "progress"
    with CheckProgress(file, mark="one", at=NOW) as progress:
        progress.note(TARGETS, 1)  # type: ignore[arg-type]
    with CheckProgress(file, mark="two", at=NOW) as other:
        assert not other.is_sound(TARGETS, 1)  # type: ignore[arg-type]


def test_a_name_with_a_finding_is_looked_at_again(ground: Ground, walked: Walked, tmp_path: Path) -> None:
    ground.sql(f"UPDATE online_key SET sealed = x'00' WHERE role = 'snapshot' AND gun = '{FIRST}'")
    file = str(tmp_path / "progress")
    walked.stop_at = SECOND
    with pytest.raises(Killed):
        ground.check("--resume", file)
    walked.stop_at = ""
    status, report = ground.check("--resume", file)
    assert (status, report["skipped"]) == (1, 0)
    assert [each["code"] for each in report["findings"]] == ["sealed-key"]


def test_a_line_that_was_cut_off_counts_for_nothing(ground: Ground, interrupted: str) -> None:
    with Path(interrupted).open("a", encoding="utf-8") as file:
        file.write(f'{{"gun":"{SECOND}","revis')
    assert ground.check("--resume", interrupted)[1]["skipped"] == 1


def test_a_file_of_something_else_is_refused_and_stays(ground: Ground, tmp_path: Path) -> None:
    other = tmp_path / "notes"
    other.write_text("mine\n")
    other.chmod(0o600)
    with pytest.raises(StartRefused, match="no file of an interrupted check"):
        ground.check("--resume", str(other))
    assert other.read_text() == "mine\n"


def test_a_file_that_others_may_change_is_refused(ground: Ground, interrupted: str) -> None:
    Path(interrupted).chmod(0o666)
    with pytest.raises(StartRefused, match="chmod"):
        ground.check("--resume", interrupted)


def test_a_place_that_cannot_be_written_is_named(ground: Ground, tmp_path: Path) -> None:
    with pytest.raises(StartRefused, match="absent"):
        ground.check("--resume", str(tmp_path / "absent" / "progress"))
