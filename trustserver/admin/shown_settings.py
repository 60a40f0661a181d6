"""`trust-server settings`: print the settings that the server would run with, without opening a database."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from pathlib import Path

import typer

from trustserver.settings import GivenSettings, as_toml, load


def show_settings(given: GivenSettings, environ: Mapping[str, str], config: Path | None) -> None:
    """Print every setting with its value and where that comes from, as TOML that `--config` accepts.

    A setting without a value is a comment. Raises: StartRefused if a value is wrong.
    """
    sourced = load(given, environ, config)
    for field in fields(sourced.settings):
        value, source = getattr(sourced.settings, field.name), sourced.sources[field.name]
        unset = value is None or value in ("", ())
        typer.echo(f"# {field.name} is not set" if unset else f"{field.name} = {as_toml(value)}  # {source}")
