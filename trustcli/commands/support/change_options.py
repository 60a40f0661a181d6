"""The options of commands that change something: `--plan` shows what would be done, `--yes` does it without asking."""

from __future__ import annotations

from typing import Annotated, TypeAlias

import typer

OnlyPlan: TypeAlias = Annotated[
    bool, typer.Option("--plan", help="Show what would be done; nothing is written or sent.")
]
WithoutAsking: TypeAlias = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")]
AgreeToAlias: TypeAlias = Annotated[
    bool, typer.Option("--yes", "-y", help="Change the collection that an alias means; do not ask.")
]
"""`--yes` of a command that asks nothing else."""
