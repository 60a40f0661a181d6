"""The command line of `trust-server access`."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Final

import typer

from trustserver.settings import GivenSettings

app = typer.Typer(help="Who may do what.", no_args_is_help=True, rich_markup_mode=None)

Config = Annotated[Path | None, typer.Option("--config", help="TOML file with the same names as the options.")]
Access = Annotated[Path | None, typer.Option("--access", help="The file of access rules.")]


@app.command("check")
def check(file: Annotated[Path, typer.Argument(help="The file of access rules.")]) -> None:
    """Check a file of access rules, as the server does at its start; warn of what looks like a mistake."""
    from trustserver.admin.access import check_rules as run

    run(file)


@app.command("explain")
def explain(
    subject: Annotated[str, typer.Argument(help="Who asks: anonymous, token:ci, user:alice.")],
    name: Annotated[str, typer.Argument(help="The collection.")],
    access: Access = None,
    config: Config = None,
) -> None:
    """Show for each right whether somebody has it on a collection, and which rule decides."""
    from trustserver.admin.access import explain as run

    run(subject, name, GivenSettings(access=access), os.environ, config)


EXAMPLES: Final[Mapping[str, tuple[str, str]]] = {
    "access check": ("trust-server access check access.toml", "trust-server access check /etc/trust-access.toml"),
    "access explain": (
        "trust-server access explain token:ci registry.example.com/team/app --access access.toml",
        "trust-server access explain anonymous registry.example.com/team/app --config /etc/trust-server.toml",
    ),
}
