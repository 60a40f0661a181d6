"""`trust doctor`: report what is wrong here and what to do about it. Exit status 0 only if nothing is wrong."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Final

import typer
from typer.core import TyperGroup

from trustcli.commands.support.command_help import HELP_OPTIONS
from trustcli.doctor.findings import Finding, finding_lines, findings_document, findings_status
from trustcli.errors import UsageError
from trustcli.session import Session
from trustdata.errors import shown

CONTAINERD_CONFIG: Final = Path("/etc/containerd/config.toml")
_DEFAULT: Final = "NAME"
"""The name of the command that takes every first word that is no subcommand: `trust doctor [NAME]`."""


class DoctorGroup(TyperGroup):
    """A command group with one default command, for a first argument that is not the name of a subcommand."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        known = args and (args[0] in self.commands or args[0] in HELP_OPTIONS)
        return super().parse_args(ctx, args if known or _DEFAULT not in self.commands else [_DEFAULT, *args])


app = typer.Typer(add_completion=False, rich_markup_mode=None, cls=DoctorGroup, no_args_is_help=False)


@app.callback()
def _group() -> None:
    """Find what is wrong here, and say what to do."""


@app.command(_DEFAULT)
def name(
    ctx: typer.Context,
    name: Annotated[
        str, typer.Argument(metavar="[NAME]", help="without it: this machine, and every pin in short")
    ] = "",
) -> int:
    """Find what is wrong here: server, registry, credentials, certificates, clock, keys, pins, memory, expiry."""
    from trustcli.doctor.examination import examine
    from trustcli.registry.reference import parse_reference

    if not name:
        return report(ctx.obj, examine(ctx.obj, None))
    reference = parse_reference(name)
    if reference.tag is not None or reference.digest is not None:
        raise UsageError(f"{shown(name)}: doctor looks at a whole collection; leave out the tag")
    return report(ctx.obj, examine(ctx.obj, reference))


@app.command("containerd")
def containerd(
    ctx: typer.Context,
    config: Annotated[
        Path, typer.Option("--config", metavar="FILE", help="the configuration that containerd reads")
    ] = CONTAINERD_CONFIG,
) -> int:
    """Find every way by which an image can reach this node unverified."""
    from trustcli.doctor.containerd.node import check_node

    return report(ctx.obj, check_node(config))


def report(session: Session, findings: list[Finding]) -> int:
    """Print the findings and return the exit status."""
    for line in finding_lines(findings):
        session.output.result(line)
    session.output.document(findings_document(findings))
    return findings_status(findings)
