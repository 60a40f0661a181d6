"""The names of the wire formats in pins, lock files and storage. Importing them imports neither format."""

from __future__ import annotations

from typing import Final

TUF_1_0: Final = "tuf-1.0"
NOTARY_V1: Final = "notary-v1"
FORMAT_NAMES: Final = (TUF_1_0, NOTARY_V1)
