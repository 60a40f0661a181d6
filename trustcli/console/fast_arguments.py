"""Argument parsing for commands that must start fast: argparse instead of Typer, with our errors (docs/adr/0005)."""

from __future__ import annotations

import argparse
from typing import NoReturn

from trustcli.errors import UsageError
from trustdata.suggestion import did_you_mean
from trustdata.usage_words import usage_sentence


class FastParser(argparse.ArgumentParser):
    """An ArgumentParser that raises UsageError instead of ending the program."""

    def error(self, message: str) -> NoReturn:
        words = message.partition("unrecognized arguments: ")[2].split()
        option = next((word.partition("=")[0] for word in words if word.startswith("--")), None)
        meant = did_you_mean(option, self._option_string_actions) if option else ""
        raise UsageError(usage_sentence(message) + meant)
