"""`trust plugin`: install `docker trust` as a plugin of Docker's CLI."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from trustcli.config.docker_config import docker_config_dir
from trustcli.console.exit_codes import DONE
from trustcli.hooks import plugin_files
from trustcli.session import Session

app = typer.Typer(add_completion=False, rich_markup_mode=None, no_args_is_help=True)

_Dir = Annotated[
    Path | None,
    typer.Option("--dir", metavar="DIR", help="Docker's folder of plugins. [$DOCKER_CONFIG/cli-plugins]"),
]
_NEXT = "docker 29 and newer: docker trust --help; older ones, which have a trust of their own: docker ctrust --help"


@app.callback()
def _group() -> None:
    """Put `docker trust` back into Docker's CLI."""


@app.command("install")
def install(ctx: typer.Context, folder: _Dir = None) -> int:
    """Write docker-trust and docker-ctrust, which start this installation."""
    session: Session = ctx.obj
    written = plugin_files.install(_folder(session, folder))
    for file in written:
        session.output.result(str(file))
    session.output.notice(_NEXT)
    session.output.document({"files": [str(file) for file in written], "exit": DONE})
    return DONE


@app.command("uninstall")
def uninstall(ctx: typer.Context, folder: _Dir = None) -> int:
    """Remove what `install` wrote; other programs' plugins stay."""
    session: Session = ctx.obj
    place = _folder(session, folder)
    removed = plugin_files.uninstall(place)
    for file in removed:
        session.output.result(f"removed {file}")
    if not removed:
        session.output.notice(f"nothing of ours lies in {place}")
    session.output.document({"removed": [str(file) for file in removed], "exit": DONE})
    return DONE


def _folder(session: Session, given: Path | None) -> Path:
    return (given or docker_config_dir(session.environ) / plugin_files.FOLDER).absolute()
