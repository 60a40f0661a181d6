"""The command line of `trust-server events`."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Annotated, Any, Final

import typer
from typer.core import TyperGroup

from trustserver.admin.store_options import Config, Data, Database
from trustserver.settings import GivenSettings


class ListedByDefault(TyperGroup):
    """A group whose command `list` is meant where none is named: `events NAME` is `events list NAME`."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Put the command in front of what is for it."""
        if not args or (args[0] not in self.commands and args[0] not in ctx.help_option_names):
            args = ["list", *args]
        return super().parse_args(ctx, args)


app = typer.Typer(help="The record of changes: who changed what, and when.", cls=ListedByDefault, rich_markup_mode=None)


@app.command("list")
def list_events(  # noqa: PLR0917 - Typer makes options of the parameters
    name: Annotated[str | None, typer.Argument(help="The collection; without it, all of them.")] = None,
    since: Annotated[
        str, typer.Option("--since", metavar="DATE|NUMBER", help="The day, the time or the event to begin with.")
    ] = "",
    as_json: Annotated[bool, typer.Option("--json", help="Everything, as one JSON document a line.")] = False,  # noqa: FBT002
    data: Data = None,
    database: Database = None,
    config: Config = None,
) -> None:
    """Every change of a collection, or of all: number, time, what it was, who made it. `list` may be left out."""
    from trustserver.admin.commands import list_events as run

    given = GivenSettings(data=data, database=database)
    run(given, os.environ, config, name=name, since=since, as_json=as_json)


@app.command("erase")
def erase(
    subject: Annotated[str, typer.Argument(help="As `events` names them, such as registry-token:alice.")],
    data: Data = None,
    database: Database = None,
    config: Config = None,
) -> None:
    """Erase a subject, with addresses and programs, from the record, lists and tombstones; the events stay."""
    from trustserver.admin.commands import erase_subject as run
    from trustserver.process.kernel_clock import now

    run(subject, GivenSettings(data=data, database=database), os.environ, config, at=now())


EXAMPLES: Final[Mapping[str, tuple[str, str]]] = {
    "events list": (
        "trust-server events list",
        "trust-server events list registry.example.com/team/app --since 2026-11-30 --json",
    ),
    "events erase": (
        "trust-server events erase registry-token:alice",
        "trust-server events erase registry-token:alice --data /var/lib/trust-server",
    ),
}
