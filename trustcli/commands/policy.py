"""`trust policy`: look a policy over, explain which rule counts for an image, distribute one, read those of others."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from keys.record import values_of
from trustcli.client.policy_file import load_policy, read_to_distribute
from trustcli.commands.support.confirmation import confirm
from trustcli.commands.support.deny_lists_view import look_for_deny_lists
from trustcli.commands.support.distributed_view import look_for_distributed
from trustcli.commands.support.foreign_policy import FORMS, read_foreign_policy
from trustcli.commands.support.list_options import ImagesFile
from trustcli.commands.support.many import State
from trustcli.commands.support.name_lists import image_names
from trustcli.commands.support.policy_push import PolicyPush
from trustcli.commands.support.policy_view import document, lines, rule_for_image
from trustcli.console.exit_codes import DONE, worst
from trustcli.console.failure_table import row_for
from trustcli.console.output import failure_document
from trustcli.errors import UsageError
from trustcli.session import Session
from trustdata.counting import counted
from trustdata.policy.review import review, review_distributed
from trustdata.suggestion import one_of

app = typer.Typer(add_completion=False, rich_markup_mode=None, no_args_is_help=True)


@app.callback()
def _group() -> None:
    """Look a policy over, distribute one, and read the policies of others."""


@app.command("check")
def check(
    ctx: typer.Context,
    file: Annotated[Path, typer.Argument(metavar="FILE", help="A policy.")],
    images: Annotated[list[str] | None, typer.Argument(metavar="[IMAGE]...")] = None,
    images_file: ImagesFile = None,
    to_distribute: Annotated[
        bool, typer.Option("--distributed", help="Read FILE as nodes read a distributed policy.")
    ] = False,
) -> int:
    """Say which rule counts for images, and why; warn of what can never count or has run out. No image is verified."""
    session: Session = ctx.obj
    if to_distribute:
        if images or images_file:
            raise UsageError("--distributed looks at the file alone: which rule counts, a node's own file decides, too")
        return _check_distributed(session, file)
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
    lists = look_for_deny_lists(session, local)
    statuses = [look.report(session), lists.report(session)]
    rows: list[dict[str, object]] = []
    for each in found:
        for line in lines(each):
            session.output.result(line)
        row = document(each)
        refusal = lists.refusal(each.image) or each.refusal
        if refusal is not None:
            session.output.failure(refusal, subject=each.image)
            row["error"] = failure_document(refusal)
            statuses.append(row_for(refusal).status)
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
            "deny_lists": lists.document(),
            "notes": [values_of(note) for note in notes],
            "images": rows,
            "exit": status,
        }
    )
    return status


def _check_distributed(session: Session, file: Path) -> int:
    """Look a file over that is to be distributed. Raises: PolicyMalformed, FileNewer."""
    _, policy = read_to_distribute(file)
    notes = review_distributed(policy, session.at)
    session.output.result(f"{file}: {counted(len(policy.rules), 'rule')}, to be distributed")
    for note in notes:
        session.output.warn(f"{note.rule}: {note.text}")
    document: dict[str, object] = {"file": str(file), "rules": len(policy.rules), "aliases": 0, "distributed": None}
    document["deny_lists"] = []
    rows = [values_of(note) for note in notes]
    session.output.document({**document, "notes": rows, "images": [], "exit": DONE})
    return DONE


@app.command("push")
def push(
    ctx: typer.Context,
    file: Annotated[Path, typer.Argument(metavar="FILE", help="A policy that is to be distributed.")],
    name: Annotated[str, typer.Argument(metavar="NAME:TAG", help="What nodes name under [distributed].")],
    yes: Annotated[
        bool, typer.Option("--yes", "-y", help="Replace what is there, even if it is not a policy; do not ask.")
    ] = False,
    plan_: Annotated[bool, typer.Option("--plan", help="Show what would be pushed; nothing is sent.")] = False,
) -> int:
    """Push a policy to the registry from which nodes take it, once it is signed; say with which command to sign it."""
    session: Session = ctx.obj
    job = PolicyPush.of(session, file, name)
    for note in job.notes:
        session.output.warn(f"{note.rule}: {note.text}")
    if plan_:
        session.output.result(job.planned)
        session.output.document({"plans": [job.row | {"change": job.changes}], "feasible": True, "exit": DONE})
        return DONE
    if job.overwrites and not yes and not confirm(session, f"{job.overwrites}. Replace it?"):
        raise UsageError(f"nothing was pushed: {job.overwrites}; to replace it without being asked: --yes")
    job.carry_out()
    session.output.result(str(job.pushed))
    session.output.notice(job.told)
    session.output.notice(f"nodes take it once it is signed: {job.sign}")
    state: State = "done" if job.changes else "nothing to do"
    session.output.document(job.row | {"state": state, "exit": DONE})
    return DONE


@app.command("convert")
def convert(
    ctx: typer.Context,
    file: Annotated[Path, typer.Argument(metavar="FILE", help="Their configuration, as JSON.")],
    form: Annotated[str, typer.Option("--from", metavar="FORM", help="connaisseur, portieris, containers or notary.")],
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
