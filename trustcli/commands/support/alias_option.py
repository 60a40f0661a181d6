"""The option by which whoever calls agrees beforehand that an alias means another collection."""

from __future__ import annotations

from typing import Annotated, TypeAlias

import typer

AgreeToAlias: TypeAlias = Annotated[
    bool, typer.Option("--yes", "-y", help="Change the collection that an alias means; do not ask.")
]
