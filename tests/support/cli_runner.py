"""Run the commands of a Typer application in this process."""

from __future__ import annotations

from functools import cache
from typing import Any
from unittest import mock

import typer.main
import typer.testing


class CliRunner(typer.testing.CliRunner):
    """Typer's own, which makes the parsers of an application once: for each run they take as long as many commands."""

    def invoke(self, *args: Any, **options: Any) -> typer.testing.Result:
        with mock.patch.object(typer.testing, "_get_command", _command):
            return super().invoke(*args, **options)


@cache
def _command(app: typer.Typer) -> object:
    return typer.main.get_command(app)
