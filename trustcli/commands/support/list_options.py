"""The options with which a command takes names from a file; what the files may hold: `name_lists`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, TypeAlias

import typer

NamesFile: TypeAlias = Annotated[
    Path | None,
    typer.Option("--names", metavar="FILE", help="Names of collections, one a line; - is standard input."),
]
ImagesFile: TypeAlias = Annotated[
    Path | None, typer.Option("--images", metavar="FILE", help="Images, one a line; - is standard input.")
]
