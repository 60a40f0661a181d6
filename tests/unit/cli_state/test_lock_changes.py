"""The difference that `trust lock` shows."""

from __future__ import annotations

from keys.record import replace
from tests.unit.cli_state.lock_samples import FIRST, SECOND
from tests.unit.cli_state.samples import APP, OTHER
from trustcli.commands.support.lock_changes import LockChange, change_lines, change_row, lock_changes
from trustdata.gun import GUN
from trustdata.roles import TARGETS, TIMESTAMP, RoleName
from trustdata.verification.lock_entry import LockEntry
from trustdata.verification.trust_pinning import Pin


def _text(before: dict[GUN, LockEntry], after: dict[GUN, LockEntry]) -> list[str]:
    return [line for change in lock_changes(before, after) for line in change_lines(change)]


def test_added_and_removed_names_in_order() -> None:
    assert _text({OTHER: FIRST}, {APP: SECOND}) == [
        "- docker.io/library/alpine",
        "+ registry.example.com/app",
        f"    root       1  sha256:{'cd' * 32}",
        "    timestamp  1",
        "    snapshot   1",
        "    targets    1",
    ]


def test_only_what_changes_is_shown() -> None:
    minimum = {**FIRST.minimum, TIMESTAMP: 9, TARGETS: 3, RoleName("targets/bob"): 1}
    del minimum[RoleName("targets/alice")]
    assert _text({APP: FIRST}, {APP: replace(FIRST, minimum=minimum)}) == [
        "~ registry.example.com/app",
        "    timestamp      8 -> 9",
        "    targets        4 -> 3",
        "  - targets/alice  1",
        "  + targets/bob    1",
    ]
    assert _text({APP: FIRST}, {APP: replace(FIRST, root_version=3, root=Pin("sha256", "ef" * 32))}) == [
        "~ registry.example.com/app",
        f"    root  2 -> 3  sha256:{'ef' * 32}",
    ]


def test_another_root_of_the_same_version_is_shown() -> None:
    (_, line) = _text({APP: FIRST}, {APP: replace(FIRST, root=Pin("sha256", "ef" * 32))})
    assert line == f"    root  2 -> 2  sha256:{'ef' * 32}"


def test_nothing_changes() -> None:
    assert _text({APP: FIRST}, {APP: replace(FIRST)}) == []
    assert lock_changes({APP: FIRST}, {APP: FIRST})[0].kind == "unchanged"


def test_names_of_roles_are_foreign_text() -> None:
    evil = replace(SECOND, minimum={**SECOND.minimum, RoleName("targets/\x9b2J\u202e"): 1})
    assert not any("\x9b" in line or "\u202e" in line for line in _text({}, {APP: evil}))


def test_the_same_as_a_document() -> None:
    assert change_row(LockChange(gun=APP, before=None, after=SECOND)) == {
        "gun": APP,
        "change": "added",
        "before": None,
        "after": {
            "format": "tuf-1.0",
            "root_version": 1,
            "root": f"sha256:{'cd' * 32}",
            "minimum": {"timestamp": 1, "snapshot": 1, "targets": 1},
        },
    }


def test_an_entry_of_which_only_the_format_changes_has_no_versions_to_show() -> None:
    assert _text({APP: FIRST}, {APP: replace(FIRST, format="notary-v1")}) == ["~ registry.example.com/app"]
