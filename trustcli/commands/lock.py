"""`trust lock`: write the project's lock file, for machines without rollback memory (docs/adr/0013, 0032).

1. names     those given, else all that the file has
2. verify    refresh each one; pins, rollback memory and the present lock file count as in every other command
3. write     the whole file, or nothing if one name could not be verified
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Final

import typer

from trustcli.commands.support.list_options import ImagesFile
from trustcli.commands.support.lock_changes import LockChange, change_lines, change_row, lock_changes
from trustcli.commands.support.many import State
from trustcli.commands.support.name_lists import image_references
from trustcli.config.settings import LOCK_FILE
from trustcli.console.exit_codes import DONE, worst
from trustcli.console.failure_table import row_for
from trustcli.console.output import failure_document
from trustcli.errors import UsageError
from trustcli.session import Session
from trustcli.state.lockfile import LockFile
from trustdata.errors import TrustError
from trustdata.gun import GUN
from trustdata.verification.lock_entry import SourcedLock

app = typer.Typer(add_completion=False, rich_markup_mode=None)

_WHOLE_FILE: Final = "name the collections: {option} is not for the whole lock file"


@app.command("lock")
def command(
    ctx: typer.Context,
    images: Annotated[list[str] | None, typer.Argument(metavar="[IMAGE]...")] = None,
    images_file: ImagesFile = None,
    replace: Annotated[
        bool, typer.Option("--replace", help="Lock these names again, whatever the file says of them.")
    ] = False,
    remove: Annotated[bool, typer.Option("--remove", help="Take these names out of the file.")] = False,
) -> int:
    """Bring the lock file up to date, or add names to it; shows what changes."""
    session: Session = ctx.obj
    path = session.settings.lock or Path(LOCK_FILE)
    file = LockFile(path)
    stored = file.load()
    before = stored or {}
    names = _names(images or [], images_file, replace=replace, remove=remove) or sorted(before)
    if not names and stored is None:
        raise UsageError(f"there is no {path} yet; name the images to lock: trust lock IMAGE...")
    unknown = [gun for gun in names if gun not in before]
    if remove and unknown:
        raise UsageError(f"{path} has no {unknown[0]}")
    after = dict(before)
    failures: dict[GUN, dict[str, object]] = {}
    statuses = [DONE]
    for name in names:
        gun = name if remove else session.real_name(name)
        after.pop(gun, None)
        if remove:
            continue
        # The entry of an alias is handed over, too: the session refuses it.
        counted = [each for each in (name, gun) if each in before and not (replace and each == gun)]
        locks = {each: SourcedLock(entry=before[each], source=str(path)) for each in counted}
        try:
            after[gun] = session.collection(name, locks=locks).lock_entry()
        except TrustError as error:
            session.output.failure(error, subject=gun)
            failures[gun] = failure_document(error)
            statuses.append(row_for(error).status)
    status = worst(statuses)
    changes = lock_changes(before, before if failures else after)
    written = not failures and (before != after or stored is None)
    if written:
        file.replace(after)
    asked = [name if remove else session.real_name(name) for name in names]
    for gun in asked if failures else ():
        if gun not in failures:
            session.output.notice(f"{gun}: not tried")
    _report(session, path, changes, failed=bool(failures), written=written)
    document: dict[str, object] = {
        "lock": str(path),
        "written": written,
        "collections": _rows(changes, asked, failures),
    }
    told = [{"gun": gun, "error": error} for gun, error in failures.items()]
    session.output.document({**document, **({"failures": told} if told else {}), "exit": status})
    return status


def _rows(
    changes: Sequence[LockChange], asked: Sequence[GUN], failures: Mapping[GUN, Mapping[str, object]]
) -> list[dict[str, object]]:
    """Return a row for each entry of the file and each name. If one has failed, nothing is written of the others."""
    shown = {change.gun: change for change in changes}
    rows = []
    for gun in sorted({*shown, *asked}):
        change = shown.get(gun) or LockChange(gun=gun, before=None, after=None)
        state: State = "nothing to do" if change.kind == "unchanged" else "done"
        if failures and gun in asked:
            state = "failed" if gun in failures else "not tried"
        rows.append({**change_row(change), "state": state, "error": failures.get(gun)})
    return rows


def _names(images: Sequence[str], file: Path | None, *, replace: bool, remove: bool) -> list[GUN]:
    """Return the collections of the images; tags and digests are ignored, since a collection is locked as a whole."""
    if replace and remove:
        raise UsageError("--replace and --remove contradict each other")
    if not images and file is None:
        if replace or remove:
            raise UsageError(_WHOLE_FILE.format(option="--replace" if replace else "--remove"))
        return []
    return list(dict.fromkeys(reference.gun for reference in image_references(images, file)))


def _report(session: Session, path: Path, changes: Sequence[LockChange], *, failed: bool, written: bool) -> None:
    for change in changes:
        for line in change_lines(change):
            session.output.result(line)
    if failed:
        session.output.notice(f"{path} is left as it was")
    elif written:
        session.output.notice(f"{path} written")
    else:
        session.output.notice(f"{path} is up to date")
