"""`trust init`: create collections, alike, from options or from a template. What is done: `support/making`."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer

from trustcli.commands.support.change_options import OnlyPlan
from trustcli.commands.support.creation import decide_recovery, recovery_choice
from trustcli.commands.support.list_options import NamesFile
from trustcli.commands.support.making import Making
from trustcli.commands.support.many import carry_out, plan_each
from trustcli.commands.support.name_lists import collection_names, real_names
from trustcli.commands.support.names import parse_format
from trustcli.commands.support.template import Template, read_template, signer_options
from trustcli.errors import UsageError
from trustcli.session import Session

app = typer.Typer(add_completion=False, rich_markup_mode=None)


@app.command("init")
def command(
    ctx: typer.Context,
    names: Annotated[list[str] | None, typer.Argument(metavar="NAME...")] = None,
    names_file: NamesFile = None,
    template_file: Annotated[
        Path | None,
        typer.Option(
            "--template", metavar="FILE", help="A TOML file that says what they are like, instead of the options."
        ),
    ] = None,
    recovery_key: Annotated[
        str | None,
        typer.Option(metavar="FILE|URI", help="Recovery root key: a file, made if it does not exist, or a key URI."),
    ] = None,
    no_recovery_key: Annotated[
        bool, typer.Option("--no-recovery-key", help="No recovery key: a lost root key cannot be replaced.")
    ] = False,
    format_: Annotated[
        str | None, typer.Option("--format", help="Wire format: tuf (default); notary for docker and notary.")
    ] = None,
    root_key: Annotated[
        list[str] | None, typer.Option(help="Root key in the store (id or name); may be repeated.")
    ] = None,
    threshold: Annotated[int | None, typer.Option(min=1, help="How many root keys must sign a root (1).")] = None,
    signer: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME=FILE", help="A signer, and a public key (PEM), or a key URI; may be repeated."),
    ] = None,
    plan_: OnlyPlan = False,
) -> int:
    """Make collections: root, targets, server-held snapshot and timestamp."""
    session: Session = ctx.obj
    guns = collection_names(names, names_file)
    choice = recovery_choice(recovery_key, none=no_recovery_key)
    if template_file is not None:
        if choice or format_ or root_key or threshold or signer:
            raise UsageError("--template says what the collections shall be like; leave the other options out")
        template = read_template(template_file, at=session.at)
    else:
        template = Template(
            wire=parse_format(format_ or "tuf"),
            recovery=choice,
            root_keys=tuple(root_key or ()),
            threshold=threshold or 1,
            signers=signer_options(session, signer or ()),
        )
    decision = decide_recovery(session, template.recovery)
    # One name that somebody types is to be made now; a list, or a template, says how things shall be.
    alike = len(guns) > 1 or names_file is not None or template_file is not None or bool(template.signers)
    if alike:
        real_names(session, guns)  # whoever asks for a collection as it shall be changes one that is there
    making = Making(session, replace(template, recovery=decision), alike=alike)
    if plan_:
        return plan_each(session, guns, making.plan)
    outcomes = carry_out(session, guns, check=making.plan, do=making.make)
    made = outcomes.rows("done", "nothing to do")
    return outcomes.report(**({"gun": guns[0], **made[0]} if len(guns) == 1 and made else {}))
