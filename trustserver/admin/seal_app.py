"""The command line of `trust-server seal`."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Final

import typer

from trustserver.admin.store_options import Config, Data, Database
from trustserver.settings import GivenSettings

app = typer.Typer(
    help="The seal key, with which server-held keys are encrypted.", no_args_is_help=True, rich_markup_mode=None
)


@app.callback()
def _group() -> None:
    """Make a group of it, although there is one command."""


@app.command("rotate")
def rotate(  # noqa: PLR0917 - Typer makes options of the parameters
    next_seal_key: Annotated[
        Path | None, typer.Option("--next-seal-key", help="The new seal key; a running server must know it, too.")
    ] = None,
    plan: Annotated[bool, typer.Option("--plan", help="Say what would be done, and change nothing.")] = False,  # noqa: FBT002
    seal_key: Annotated[Path | None, typer.Option("--seal-key", help="The present seal key. [DATA/seal.key]")] = None,
    data: Data = None,
    database: Database = None,
    config: Config = None,
) -> None:
    """Seal all server-held keys with another seal key, while the server serves; if interrupted, run it again."""
    from trustserver.admin.reseal import rotate_seal as run
    from trustserver.process.kernel_clock import now

    given = GivenSettings(data=data, database=database, seal_key=seal_key, next_seal_key=next_seal_key)
    if not run(given, os.environ, config, plan=plan, at=now()):
        raise typer.Exit(1)


EXAMPLES: Final[Mapping[str, tuple[str, str]]] = {
    "seal rotate": (
        "trust-server seal rotate --next-seal-key next.key --plan",
        "trust-server seal rotate --next-seal-key next.key --config /etc/trust-server.toml",
    ),
}
