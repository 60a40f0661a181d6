"""`trust policy`: look a policy over, explain which rule counts for an image, and read the policies of others."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from keys.record import values_of
from trustcli.client.policy_file import load_policy
from trustcli.commands.support.distributed_view import look_for_distributed
from trustcli.commands.support.foreign_policy import FORMS, read_foreign_policy
from trustcli.commands.support.list_options import ImagesFile
from trustcli.commands.support.name_lists import image_names
from trustcli.commands.support.policy_view import document, lines, rule_for_image
from trustcli.console.exit_codes import DONE, worst
from trustcli.console.failure_table import row_for
from trustcli.console.output import failure_document
from trustcli.errors import UsageError
from trustcli.session import Session
from trustdata.counting import counted
from trustdata.policy.review import review
from trustdata.suggestion import one_of

app = typer.Typer(add_completion=False, rich_markup_mode=None, no_args_is_help=True)


@app.callback()
def _group() -> None:
    """Look a policy over, and read the policies of others."""


@app.command("check")
def check(
    ctx: typer.Context,
    file: Annotated[Path, typer.Argument(metavar="FILE", help="A policy.")],
    images: Annotated[list[str] | None, typer.Argument(metavar="[IMAGE]...")] = None,
    images_file: ImagesFile = None,
) -> int:
    """Say which rule counts for images, and why; warn of what can never count or has run out. No image is verified."""
    session: Session = ctx.obj
    local = load_policy(file)
    session.names.check(local)
    look = look_for_distributed(session, local)
    policy = look.policy
    notes = review(policy, session.at)
    names = image_names(images or (), images_file) if images or images_file else []
    found = [rule_for_image(policy, name, session.at) for name in names]
    session.output.result(
        f"{file}: {counted(len(policy.rules), 'rule')}, {counted(len(policy.aliases), 'alias', plural='aliases')}"
    )
    statuses = [look.report(session)]
    rows: list[dict[str, object]] = []
    for each in found:
        for line in lines(each):
            session.output.result(line)
        row = document(each)
        if each.refusal is not None:
            session.output.failure(each.refusal, subject=each.image)
            row["error"] = failure_document(each.refusal)
            statuses.append(row_for(each.refusal).status)
        rows.append(row)
    for note in notes:
        session.output.warn(f"{note.rule}: {note.text}")
    status = worst(statuses)
    session.output.document(
        {
            "file": str(file),
            "rules": len(policy.rules),
            "aliases": len(policy.aliases),
            "distributed": look.document(),
            "notes": [values_of(note) for note in notes],
            "images": rows,
            "exit": status,
        }
    )
    return status


@app.command("convert")
def convert(
    ctx: typer.Context,
    file: Annotated[Path, typer.Argument(metavar="FILE", help="Their configuration, as JSON.")],
    form: Annotated[str, typer.Option("--from", metavar="FORM", help="connaisseur, portieris or containers.")],
) -> int:
    """Print a policy that allows no more than theirs; what it cannot express is said on standard error."""
    session: Session = ctx.obj
    if form not in FORMS:
        raise UsageError(f"--from {form} is unknown{one_of(form, FORMS)}")
    converted = read_foreign_policy(file, form)
    for line in converted.text.splitlines():
        session.output.result(line)
    for loss in converted.losses:
        session.output.warn(loss)
    session.output.document({"policy": converted.text, "losses": list(converted.losses), "exit": DONE})
    return DONE
