"""`trust revoke`: remove a tag, or all, from every role that we can sign; fails if it is still released afterwards."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated

import typer

from keys.errors import KeyNotFound
from trustcli.client.publisher import Roles
from trustcli.commands.init import confirm
from trustcli.commands.tag_movement import NOTHING, tag_changed
from trustcli.exit_codes import DONE, UsageError
from trustcli.reference import ImageReference, parse_reference
from trustcli.session import Session
from trustdata.editing import repository_editor
from trustdata.editing.repository_editor import Contents, EditTerms
from trustdata.errors import NotSigned, PublishRefused, shown
from trustdata.expiry import TUF_LIFETIMES
from trustdata.gun import GUN
from trustdata.roles import signer_name
from trustdata.verification.target_lookup import Target, released

app = typer.Typer(add_completion=False, rich_markup_mode=None)


@app.command("revoke")
def command(
    ctx: typer.Context,
    image: Annotated[str, typer.Argument(metavar="IMAGE[:TAG]")],
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
) -> int:
    """Remove a tag, or all tags, from every role that we can sign."""
    session: Session = ctx.obj
    reference = parse_reference(image)
    if reference.digest:
        raise UsageError("revoke takes a tag, not a digest")
    what = f"{reference.gun}:{reference.tag}" if reference.tag else f"all tags of {reference.gun}"
    if not yes and not confirm(session, f"Revoke {what}?"):
        raise UsageError(f"nothing was revoked; to revoke {what} without being asked: --yes")
    removed = revoke(session, reference)
    for tag in removed:
        session.output.result(f"revoked {reference.gun}:{shown(tag)}")
    session.output.document({"gun": reference.gun, "revoked": list(removed), "exit": DONE})
    return DONE


def revoke(session: Session, reference: ImageReference) -> tuple[str, ...]:
    """Remove the tag (all, if the reference has none); returns the tags that are released no more.

    Raises: NotSigned (nothing to revoke), KeyNotFound (names who can), PublishRefused (still released), TagChanged
    (somebody has signed it as something else since we first looked), Remote...
    """
    collection = session.collection(reference.gun)
    keys = session.held_keys()
    terms = EditTerms(at=session.at, lifetimes=TUF_LIFETIMES)
    before: dict[str, Target] | None = None

    def edit(roles: Roles) -> Contents:
        nonlocal before
        there = released(roles)
        wanted = {tag: there[tag] for tag in sorted(there) if reference.tag in (None, tag)}
        if before is None:
            before = wanted
        _check_unmoved(reference.gun, before, wanted, roles)
        listed = {tag for role in roles.values() for tag in getattr(role.content, "targets", ())}
        if not before and not (reference.tag in listed if reference.tag else listed):
            raise NotSigned(gun=reference.gun, tag=reference.tag or "")
        mine = repository_editor.signable_roles(roles, keys.held())
        changed = repository_editor.remove_tags(
            roles, [reference.tag] if reference.tag else None, from_roles=mine, terms=terms
        )
        if not changed and wanted:
            who = ", ".join(map(signer_name, repository_editor.signers_of(roles))) or "the holder of the repository key"
            raise KeyNotFound(key=f"that can remove {next(iter(wanted))} from {reference.gun} (who can: {who})")
        return changed

    session.publisher(collection, keys).publish(edit)
    after = session.collection(reference.gun).owner_roles()
    left = {tag: target for tag, target in released(after).items() if reference.tag in (None, tag)}
    _check_unmoved(reference.gun, before or {}, left, after)
    for tag, target in left.items():
        raise PublishRefused(role=target.role, reason=f"{tag} is still released; its signers must revoke it")
    return tuple(before or {})


def _check_unmoved(gun: GUN, before: Mapping[str, Target], now: Mapping[str, Target], roles: Roles) -> None:
    """What is released still is what we came to revoke, as far as it is released. Raises: TagChanged."""
    for tag, target in now.items():
        if tag not in before or before[tag].digest != target.digest:
            raise tag_changed(gun, tag, target, roles, ours=NOTHING)
