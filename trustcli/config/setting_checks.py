"""What every table of a settings file is checked for: its form, its keys, and paths in it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from trustcli.errors import SettingsUnusable
from trustdata.errors import shown
from trustdata.suggestion import did_you_mean


def unusable(file: Path, key: str, reason: str) -> SettingsUnusable:
    """Return the error for a setting. `key`: its name with those of its tables, as `tls.HOST.cert`."""
    return SettingsUnusable(place=str(file), reason=f"{key} {reason}")


def table_of(value: object, *, file: Path, key: str) -> dict[str, object]:
    """Return a value that must be a table. Raises: SettingsUnusable."""
    if not isinstance(value, dict):
        raise unusable(file, key, "must be a table")
    return value


def check_keys(
    table: dict[str, object],
    known: Sequence[str],
    *,
    file: Path,
    key: str = "",
    elsewhere: Mapping[str, str] | None = None,
) -> None:
    """Check that a table has no key but these. Raises: SettingsUnusable.

    `key`: that of the table itself. `elsewhere`: by key, where it stands or what else was meant.
    """
    unknown = sorted(set(table) - set(known))
    if unknown:
        name = f"{key}.{shown(unknown[0])}" if key else shown(unknown[0])
        meant = (elsewhere or {}).get(unknown[0]) or did_you_mean(unknown[0], known)
        raise unusable(file, name, f"is not a setting; the settings are {', '.join(known)}{meant}")


def path_beside(value: object, *, file: Path, key: str, kind: str = "a file") -> Path:
    """Return a path that is relative to the settings file. Raises: SettingsUnusable (no text, or an empty one)."""
    if not isinstance(value, str) or not value:
        raise unusable(file, key, f"must be the path of {kind}")
    return file.parent / value
