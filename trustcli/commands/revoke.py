"""`trust revoke`: remove a tag, or all tags, from every role that the keys here can sign.

It fails if the tag is still released afterwards.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated

import typer

from trustcli.commands.support.aliases import agree_to_aliases
from trustcli.commands.support.confirmation import confirm
from trustcli.commands.support.list_options import ImagesFile
from trustcli.commands.support.name_lists import image_references
from trustcli.commands.support.owner_decisions import AcceptExpired, AcceptUnsigned, StartEmpty, owner_decisions
from trustcli.commands.support.revocation import (
    Revocation,
    carry_out_revocations,
    plan_revocations,
    revocations_refused,
)
from trustcli.errors import UsageError
from trustcli.registry.reference import ImageReference
from trustcli.session import Session
from trustdata.gun import GUN

app = typer.Typer(add_completion=False, rich_markup_mode=None)


@app.command("revoke")
def command(
    ctx: typer.Context,
    images: Annotated[list[str] | None, typer.Argument(metavar="IMAGE[:TAG]...")] = None,
    images_file: ImagesFile = None,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
    plan_: Annotated[bool, typer.Option("--plan", help="Show what would be done; nothing is written or sent.")] = False,
    accept_unsigned: AcceptUnsigned = None,
    accept_expired: AcceptExpired = None,
    start_empty: StartEmpty = None,
) -> int:
    """Remove tags, or all tags, from every role that we can sign."""
    session: Session = ctx.obj
    revocations = grouped(image_references(images, images_file))
    decisions = owner_decisions(
        guns=tuple(revocations),
        accept_unsigned=accept_unsigned,
        accept_expired=accept_expired,
        start_empty=start_empty,
    )
    agree_to_aliases(session, revocations, yes=yes or plan_)
    if plan_:
        return plan_revocations(session, revocations, decisions)
    what = ", ".join(map(str, revocations.values()))
    if not yes and (outcomes := revocations_refused(session, revocations, decisions)) is not None:
        return outcomes.report()
    if not yes and not confirm(session, f"Revoke {what}?"):
        raise UsageError(f"nothing was revoked; to revoke {what} without being asked: --yes")
    outcomes = carry_out_revocations(session, revocations, decisions)
    if len(revocations) > 1:
        return outcomes.report()
    (gun,) = revocations
    (row,) = outcomes.rows("done", "nothing to do") or [{}]
    return outcomes.report(gun=gun, **row)


def grouped(references: Iterable[ImageReference]) -> dict[GUN, Revocation]:
    """Return what is to be revoked in each collection: without a tag, all. Raises: UsageError (a digest)."""
    tags: dict[GUN, set[str] | None] = {}
    for reference in references:
        if reference.digest:
            raise UsageError("revoke takes a tag, not a digest")
        known = tags.get(reference.gun, set())
        tags[reference.gun] = None if known is None or reference.tag is None else {*known, reference.tag}
    alone = sum(1 if of is None else len(of) for of in tags.values()) == 1
    return {
        gun: Revocation(gun=gun, tags=None if of is None else frozenset(of), must_be_there=alone)
        for gun, of in tags.items()
    }
