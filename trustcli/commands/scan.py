"""`trust scan`: judge the containers that run: what of it is unsigned, was revoked, or is denied."""

from __future__ import annotations

import csv as csv_writer
import io
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Final

import typer

from trustcli.client.policy_file import load_policy
from trustcli.commands.support.durations import offline_bound
from trustcli.commands.support.option_file import STANDARD_INPUT, place_of, read_option_file
from trustcli.commands.support.scanning import Scanned, scan
from trustcli.console.exit_codes import DONE, worst
from trustcli.console.failure_table import row_for
from trustcli.console.output import failure_document
from trustcli.errors import UsageError
from trustcli.registry.running import NotThatList, Running, of_crictl, of_pods
from trustcli.session import Session
from trustdata import bounded_json
from trustdata.counting import counted
from trustdata.errors import shown

app = typer.Typer(add_completion=False, rich_markup_mode=None)
MAX_FILE: Final = 64 * 1024 * 1024
"""Bytes of one file: enough for some ten thousand Pods."""
MAX_VALUES: Final = 2_500_000
_COLUMNS: Final = ("container", "image", "name", "digest", "state", "why")
_FORMULA: Final = ("=", "+", "-", "@", "\t")


@app.command("scan")
def command(
    ctx: typer.Context,
    crictl: Annotated[
        list[Path] | None,
        typer.Option(metavar="FILE", help="What crictl ps -o json says, and crictl images -o json; - is stdin."),
    ] = None,
    pods: Annotated[
        list[Path] | None, typer.Option(metavar="FILE", help="What kubectl get pods -A -o json says; - is stdin.")
    ] = None,
    policy: Annotated[Path | None, typer.Option(metavar="FILE", help="Judge by this policy.")] = None,
    offline: Annotated[bool, typer.Option("--offline", help="Ask no trust server.")] = False,
    max_age: Annotated[
        str | None, typer.Option("--max-age", metavar="TIME", help="Offline: since the last refresh (default 24h).")
    ] = None,
    csv: Annotated[bool, typer.Option("--csv", help="One table for spreadsheets, a container in each line.")] = False,
) -> int:
    """Judge the containers that run: those of the engine here, or those that files list. Nothing is stopped."""
    session: Session = ctx.obj
    if csv and session.output.as_json:
        raise UsageError("--csv and --json contradict each other")
    if [*(crictl or ()), *(pods or ())].count(STANDARD_INPUT) > 1:
        raise UsageError("standard input (-) is named twice")
    bound = offline_bound(max_age, offline=offline)
    rules = load_policy(policy) if policy else None
    running = _running(session, crictl or (), pods or ())
    found = scan(session, running, policy=rules, max_age=bound)
    status = worst([DONE, *(row_for(each.failure).status for each in found if each.failure is not None)])
    if csv:
        session.output.raw(_table(found))
    else:
        _tell(session, found)
    rows = [_row(each) for each in found]
    session.output.document({"containers": rows, "counts": _counts(found), "exit": status})
    return status


def _running(session: Session, crictl: Sequence[Path], pods: Sequence[Path]) -> list[Running]:
    """Return the containers to judge. Raises: UsageError (a file), and as `Engine.running`."""
    found: list[Running] = []
    if crictl:
        documents = [_document(file, "--crictl") for file in crictl]
        try:
            found += of_crictl(documents)
        except NotThatList as wrong:
            raise UsageError(f"--crictl: {', '.join(map(place_of, crictl))}: {wrong}") from wrong
    for file in pods:
        try:
            found += of_pods(_document(file, "--pods"))
        except NotThatList as wrong:
            raise UsageError(f"--pods: {place_of(file)}: {wrong}") from wrong
    return found if crictl or pods else session.engine().running()


def _document(file: Path, option: str) -> object:
    """Read a JSON file within its bounds. Raises: UsageError."""
    raw = read_option_file(file, option, limit=MAX_FILE)
    try:
        return bounded_json.loads(raw, values=MAX_VALUES, depth=64)
    except (ValueError, RecursionError) as error:
        raise UsageError(f"{option}: {place_of(file)} is not JSON that can be read: {error}") from error


def _tell(session: Session, found: Sequence[Scanned]) -> None:
    told: set[str] = set()
    for each in found:
        image = f"{each.name}@{each.digest}" if each.digest else shown(each.image, 200)
        session.output.result(f"{each.state:<11}  {shown(each.container, 200)}  {image}")
        if each.failure is not None and (why := each.why) not in told:
            told.add(why)
            session.output.failure(each.failure, subject=image)
            if each.revoked:
                session.output.notice(f"  {each.revoked}")
    counts = ", ".join(f"{number} {state}" for state, number in _counts(found).items())
    session.output.notice(f"{counted(len(found), 'container')}: {counts}" if found else "no container runs")


def _counts(found: Sequence[Scanned]) -> dict[str, int]:
    return dict(sorted(Counter(each.state for each in found).items()))


def _row(each: Scanned) -> dict[str, object]:
    return {
        "container": each.container,
        "image": each.image,
        "name": each.name or None,
        "digest": each.digest or None,
        "state": each.state,
        "tags": list(each.tags),
        "revoked": each.revoked or None,
        "error": failure_document(each.failure) if each.failure is not None else None,
    }


def _table(found: Sequence[Scanned]) -> str:
    written = io.StringIO()
    writer = csv_writer.writer(written, lineterminator="\n")
    writer.writerow(_COLUMNS)
    for each in found:
        cells = (shown(str(getattr(each, column)), 1000) for column in _COLUMNS)
        writer.writerow([f"'{cell}" if cell.startswith(_FORMULA) else cell for cell in cells])
    return written.getvalue()
