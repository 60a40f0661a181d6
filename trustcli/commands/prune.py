"""`trust prune`: revoke tags that are signed, and that the registry no longer has.

1. look      at each released tag in the registry; only its own word that there is no such manifest counts (404 with
             MANIFEST_UNKNOWN), and everything else keeps the tag
2. ask       with the list of what is gone
3. revoke    as `trust revoke` does, all tags of a collection in one publish
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Annotated

import typer

from trustcli.commands.support.change_options import OnlyPlan, WithoutAsking
from trustcli.commands.support.confirmation import confirm_or_stop
from trustcli.commands.support.list_options import NamesFile
from trustcli.commands.support.many import carry_out, plan_each
from trustcli.commands.support.name_lists import named_collections, real_names
from trustcli.commands.support.planning import Planning
from trustcli.commands.support.revocation import Revocation, plan_revocation, revoke
from trustcli.console.failure_table import row_for
from trustcli.console.output import failure_document
from trustcli.errors import RemoteUnreachable
from trustcli.publish.bulk.work import Done
from trustcli.publish.plan import Plan
from trustcli.registry.reference import parse_reference
from trustcli.session import Session
from trustdata.counting import counted
from trustdata.editing.owner_roles import NOTHING_DECIDED
from trustdata.errors import TrustError, shown
from trustdata.gun import GUN
from trustdata.verification.target_lookup import each_released

app = typer.Typer(add_completion=False, rich_markup_mode=None)


@app.command("prune")
def command(
    ctx: typer.Context,
    names: Annotated[list[str] | None, typer.Argument(metavar="NAME...")] = None,
    names_file: NamesFile = None,
    yes: WithoutAsking = False,
    plan_: OnlyPlan = False,
) -> int:
    """Revoke signed tags that the registry no longer has."""
    session: Session = ctx.obj
    guns = real_names(session, named_collections(session, names, names_file))
    looks = {gun: _look(session, gun) for gun in guns}
    for look in looks.values():
        _tell(session, look)

    def check(planning: Planning, gun: GUN) -> Sequence[Plan]:
        revocation = looks[gun].revocation()
        if revocation is None:
            return [Plan(gun=gun, places={}, note="nothing has to change")]
        return [plan_revocation(session, planning, revocation, NOTHING_DECIDED)]

    def do(gun: GUN) -> Done:
        look = looks[gun]
        revocation = look.revocation()
        if revocation is None:
            return Done(changed=False, note=f"{gun}: nothing to do", row={**look.row(), "revoked": []})
        done = revoke(session, revocation, NOTHING_DECIDED)
        return Done(changed=done.changed, lines=done.lines, note=done.note, row={**look.row(), **done.row})

    if plan_:
        return plan_each(session, guns, check)
    number = sum(len(look.gone) for look in looks.values())
    if number:
        tags = counted(number, "tag")
        question = f"Revoke {tags} that the registry no longer has?"
        confirm_or_stop(session, question, yes=yes, nothing="nothing was revoked", to=f"revoke {tags}")
    outcomes = carry_out(session, guns, check=check, do=do, blank=lambda _: {**_Look(gun=GUN("")).row(), "revoked": []})
    for look in looks.values():
        for error in look.unjudged.values():
            outcomes.add_status(row_for(error).status)
    return outcomes.report()


@dataclass(frozen=True, slots=True, kw_only=True)
class _Look:
    """What the registry says about the released tags of one collection.

    `kept`: how many it has. `unjudged`: why it is not known of a tag. `failure`: why the collection cannot be read.
    """

    gun: GUN
    gone: tuple[str, ...] = ()
    kept: int = 0
    unjudged: dict[str, TrustError] = field(default_factory=dict)
    failure: TrustError | None = None

    def revocation(self) -> Revocation | None:
        """Return what is to be revoked; None if nothing is. Raises: the failure."""
        if self.failure is not None:
            raise self.failure
        return Revocation(gun=self.gun, tags=frozenset(self.gone)) if self.gone else None

    def row(self) -> dict[str, object]:
        unjudged = [{"tag": tag, "error": failure_document(error)} for tag, error in self.unjudged.items()]
        return {"gone": list(self.gone), "kept": self.kept, "unjudged": unjudged}


def _look(session: Session, gun: GUN) -> _Look:
    """Ask the registry for each released tag; no error is raised. A registry that fails is not asked again."""
    gone: list[str] = []
    unjudged: dict[str, TrustError] = {}
    kept = 0
    try:
        tags = list(_released(session, gun))
    except TrustError as failure:
        return _Look(gun=gun, failure=failure)
    registry = session.registry()
    broken: TrustError | None = None
    for tag in tags:
        try:
            if broken is not None:
                raise broken
            if registry.has(parse_reference(f"{gun}:{tag}")):
                kept += 1
            else:
                gone.append(tag)
        except TrustError as error:
            unjudged[tag] = error
            broken = error if isinstance(error, RemoteUnreachable) else None
    return _Look(gun=gun, gone=tuple(gone), kept=kept, unjudged=unjudged)


def _released(session: Session, gun: GUN) -> Iterator[str]:
    roles = Planning(session).collection(gun).owner_roles()
    return (target.tag for target in each_released(roles.sound()))


def _tell(session: Session, look: _Look) -> None:
    for tag in look.gone:
        session.output.notice(f"{look.gun}:{shown(tag)} is signed, and no longer in the registry")
    for tag, error in look.unjudged.items():
        session.output.warn(f"{look.gun}:{shown(tag)} is kept, since it cannot be judged: {error}")
