"""The options by which every command of the operator finds the store: folder, database, and the file of settings."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, TypeAlias

import typer

Config: TypeAlias = Annotated[
    Path | None, typer.Option("--config", help="TOML file with the same names as the options.")
]
Data: TypeAlias = Annotated[
    Path | None, typer.Option("--data", help="Folder of database, seal key and TLS files. [./trust-server-data]")
]
Database: TypeAlias = Annotated[
    str | None, typer.Option("--database", help="Database URL. [SQLite in the data folder]")
]
