"""`trust revoke`: remove a tag, or all tags, from every role that the keys here can sign.

It fails if the tag is still released afterwards. With `--digest` or `--signer`, what tags stand for says which: in the
collections that are named, in those of a pattern, or in all that are known here.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Annotated

import typer

from trustcli.commands.support.aliases import agree_to_aliases
from trustcli.commands.support.change_options import OnlyPlan, WithoutAsking
from trustcli.commands.support.confirmation import confirm_or_stop
from trustcli.commands.support.list_options import ImagesFile, NamesFile
from trustcli.commands.support.name_lists import image_references
from trustcli.commands.support.owner_decisions import AcceptExpired, AcceptUnsigned, StartEmpty, owner_decisions
from trustcli.commands.support.revocation import (
    Revocation,
    carry_out_revocations,
    plan_revocations,
    revocations_refused,
)
from trustcli.commands.support.selection import NONE_KNOWN, Everywhere, Globs, chosen_collections
from trustcli.errors import UsageError
from trustcli.registry.reference import ImageReference
from trustcli.session import Session
from trustdata.counting import counted
from trustdata.digest import hex_of, parse_digest
from trustdata.editing.entry_choice import EntryChoice
from trustdata.gun import GUN
from trustdata.roles import signer_role

app = typer.Typer(add_completion=False, rich_markup_mode=None)


@app.command("revoke")
def command(
    ctx: typer.Context,
    images: Annotated[list[str] | None, typer.Argument(metavar="IMAGE[:TAG]...")] = None,
    images_file: ImagesFile = None,
    digest: Annotated[
        list[str] | None,
        typer.Option(metavar="sha256:HEX", help="Every tag with this digest, also as a platform; IMAGE is then NAME."),
    ] = None,
    signer: Annotated[
        str | None, typer.Option(metavar="SIGNER", help="Every tag that this signer lists; IMAGE is then NAME.")
    ] = None,
    names_file: NamesFile = None,
    globs: Globs = None,
    all_: Everywhere = False,
    yes: WithoutAsking = False,
    plan_: OnlyPlan = False,
    accept_unsigned: AcceptUnsigned = None,
    accept_expired: AcceptExpired = None,
    start_empty: StartEmpty = None,
) -> int:
    """Remove tags, or all tags, from every role that we can sign."""
    session: Session = ctx.obj
    choice = _choice(digest, signer)
    if choice is None and (names_file is not None or globs or all_):
        raise UsageError("--names, --glob and --all go with --digest or --signer: tags are named one by one")
    if choice is not None and images_file is not None:
        raise UsageError("--images goes with tags; with --digest or --signer collections are named: --names FILE")
    if choice is None:
        revocations = grouped(image_references(images, images_file))
    else:
        named = chosen_collections(session, images, names_file, globs=globs, everywhere=all_)
        alone = len(named) == 1 and not all_ and not globs
        revocations = {gun: Revocation(gun=gun, tags=None, choice=choice, must_be_there=alone) for gun in named}
    if not revocations:
        session.output.notice(f"{NONE_KNOWN}: nothing to do")
    decisions = owner_decisions(
        guns=tuple(revocations),
        accept_unsigned=accept_unsigned,
        accept_expired=accept_expired,
        start_empty=start_empty,
    )
    agree_to_aliases(session, revocations, yes=yes or plan_)
    if plan_:
        return plan_revocations(session, revocations, decisions)
    what = _described(revocations, choice)
    if not yes and (outcomes := revocations_refused(session, revocations, decisions)) is not None:
        return outcomes.report()
    confirm_or_stop(session, f"Revoke {what}?", yes=yes, nothing="nothing was revoked", to=f"revoke {what}")
    outcomes = carry_out_revocations(session, revocations, decisions)
    if len(revocations) != 1:
        return outcomes.report()
    (gun,) = revocations
    (row,) = outcomes.rows("done", "nothing to do") or [{}]
    return outcomes.report(gun=gun, **row)


def _choice(digests: Sequence[str] | None, signer: str | None) -> EntryChoice | None:
    """Return what tags must stand for; None if tags are named. Raises: UsageError, InvalidName."""
    if digests and signer is not None:
        raise UsageError("--digest and --signer are two questions: ask one at a time")
    if digests:
        return EntryChoice(digests=frozenset(hex_of(parse_digest(digest)) for digest in digests))
    return None if signer is None else EntryChoice(signer=signer_role(signer))


def _described(revocations: Mapping[GUN, Revocation], choice: EntryChoice | None) -> str:
    """Return what would be revoked, in words: of many collections their number, since they are listed before."""
    if choice is None or len(revocations) == 1:
        return ", ".join(map(str, revocations.values()))
    return f"{choice} in {counted(len(revocations), 'collection')}"


def grouped(references: Iterable[ImageReference]) -> dict[GUN, Revocation]:
    """Return what is to be revoked in each collection: without a tag, all. Raises: UsageError (a digest)."""
    tags: dict[GUN, set[str] | None] = {}
    for reference in references:
        if reference.digest:
            every = f"every tag that stands for this digest: trust revoke {reference.gun} --digest {reference.digest}"
            raise UsageError(f"revoke takes a tag, whatever it stands for; {every}")
        known = tags.get(reference.gun, set())
        tags[reference.gun] = None if known is None or reference.tag is None else {*known, reference.tag}
    alone = sum(1 if of is None else len(of) for of in tags.values()) == 1
    return {
        gun: Revocation(gun=gun, tags=None if of is None else frozenset(of), must_be_there=alone)
        for gun, of in tags.items()
    }
