"""`trust deny`: deny digests for good, whatever is signed, or allow them again; list what is denied."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated

import typer

from trustcli.commands.support.aliases import agree_to_aliases
from trustcli.commands.support.change_options import OnlyPlan, WithoutAsking
from trustcli.commands.support.confirmation import confirm_or_stop
from trustcli.commands.support.denial import Denial, carry_out_denials, denials_refused, list_denied, plan_denials
from trustcli.commands.support.list_options import ImagesFile
from trustcli.commands.support.name_lists import image_references
from trustcli.commands.support.owner_decisions import AcceptUnsigned, owner_decisions
from trustcli.errors import UsageError
from trustcli.registry.reference import ImageReference
from trustcli.session import Session
from trustdata.denied import MAX_REASON
from trustdata.errors import shown
from trustdata.gun import GUN

app = typer.Typer(add_completion=False, rich_markup_mode=None)


@app.command("deny")
def command(
    ctx: typer.Context,
    images: Annotated[list[str] | None, typer.Argument(metavar="IMAGE@DIGEST...")] = None,
    images_file: ImagesFile = None,
    reason: Annotated[str, typer.Option("--reason", metavar="WHY", help="Why; every refusal shows it.")] = "",
    remove: Annotated[bool, typer.Option("--remove", help="Allow these digests again.")] = False,
    list_: Annotated[bool, typer.Option("--list", help="List what the collections deny; nothing is changed.")] = False,
    yes: WithoutAsking = False,
    plan_: OnlyPlan = False,
    accept_unsigned: AcceptUnsigned = None,
) -> int:
    """Deny digests: they run nowhere, whatever is signed. --remove takes them off the list, --list shows it."""
    session: Session = ctx.obj
    references = list(image_references(images, images_file))
    if list_:
        if remove or reason or plan_:
            raise UsageError("--list changes nothing: leave the other options out")
        return list_denied(session, tuple(dict.fromkeys(reference.gun for reference in references))).report()
    if remove and reason:
        raise UsageError("--reason says why something is denied: leave it out with --remove")
    if len(reason) > MAX_REASON or not reason.isprintable():
        raise UsageError(f"--reason takes one line of at most {MAX_REASON} characters")
    denials = grouped(references, reason=reason, removes=remove)
    decisions = owner_decisions(guns=tuple(denials), accept_unsigned=accept_unsigned)
    agree_to_aliases(session, denials, yes=yes or plan_)
    if plan_:
        return plan_denials(session, denials, decisions)
    what = ", ".join(map(str, denials.values()))
    verb = "Deny no longer" if remove else "Deny"
    if not yes and (outcomes := denials_refused(session, denials, decisions)) is not None:
        return outcomes.report()
    question, to = f"{verb} {what}?", f"{verb.lower()} {what}"
    confirm_or_stop(session, question, yes=yes, nothing="nothing was changed", to=to)
    return carry_out_denials(session, denials, decisions).report()


def grouped(references: Iterable[ImageReference], *, reason: str, removes: bool) -> dict[GUN, Denial]:
    """Return what is changed in each collection. Raises: UsageError (an image without a digest)."""
    digests: dict[GUN, dict[str, None]] = {}
    for reference in references:
        if reference.digest is None:
            how = f"trust verify {shown(reference.given)} prints that of a signed tag"
            raise UsageError(f"{shown(reference.given)} names no digest, and a digest is denied: {how}")
        digests.setdefault(reference.gun, {})[reference.digest] = None
    return {gun: Denial(gun=gun, digests=tuple(of), reason=reason, removes=removes) for gun, of in digests.items()}
