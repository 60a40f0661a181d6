"""`trust lock`: write the project's lock file, for machines without rollback memory (docs/adr/0013, 0032).

1. names     those given, else all that the file has
2. verify    refresh each one; pins, rollback memory and the present lock file count as in every other command
3. write     the whole file, or nothing if one name could not be verified
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Final

import typer

from trustcli.commands.support.lock_changes import LockChange, change_lines, change_row, lock_changes
from trustcli.config.settings import LOCK_FILE
from trustcli.console.exit_codes import DONE, worst
from trustcli.console.failure_table import row_for
from trustcli.console.output import failure_document
from trustcli.errors import UsageError
from trustcli.registry.reference import parse_reference
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
    replace: Annotated[
        bool, typer.Option("--replace", help="Lock these names anew, whatever the file has of them.")
    ] = False,
    remove: Annotated[bool, typer.Option("--remove", help="Take these names out of the file.")] = False,
) -> int:
    """Bring the lock file up to date, or add names to it; shows what changes."""
    session: Session = ctx.obj
    path = session.settings.lock or Path(LOCK_FILE)
    file = LockFile(path)
    stored = file.load()
    before = stored or {}
    names = _names(images or [], replace=replace, remove=remove) or sorted(before)
    if not names and stored is None:
        raise UsageError(f"there is no {path} yet; name the images to lock: trust lock IMAGE...")
    unknown = [gun for gun in names if gun not in before]
    if remove and unknown:
        raise UsageError(f"{path} has no {unknown[0]}")
    after = dict(before)
    failures: list[dict[str, object]] = []
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
            failures.append({"gun": gun, "error": failure_document(error)})
            statuses.append(row_for(error).status)
    status = worst(statuses)
    changes = lock_changes(before, before if failures else after)
    written = not failures and (before != after or stored is None)
    if written:
        file.replace(after)
    _report(session, path, changes, failed=bool(failures), written=written)
    document: dict[str, object] = {
        "lock": str(path),
        "written": written,
        "collections": [change_row(c) for c in changes],
    }
    session.output.document({**document, **({"failures": failures} if failures else {}), "exit": status})
    return status


def _names(images: Sequence[str], *, replace: bool, remove: bool) -> list[GUN]:
    """Return the collections of the images; tags and digests are ignored, since a collection is locked as a whole."""
    if replace and remove:
        raise UsageError("--replace and --remove contradict each other")
    if not images and (replace or remove):
        raise UsageError(_WHOLE_FILE.format(option="--replace" if replace else "--remove"))
    return list(dict.fromkeys(parse_reference(image).gun for image in images))


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
