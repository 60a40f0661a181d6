"""Argument parsing for commands that must start fast: argparse instead of Typer, with our errors (docs/adr/0005)."""

from __future__ import annotations

import argparse
from typing import NoReturn

from trustcli.errors import UsageError


class FastParser(argparse.ArgumentParser):
    """An ArgumentParser that raises UsageError instead of ending the program."""

    def error(self, message: str) -> NoReturn:
        raise UsageError(message)
