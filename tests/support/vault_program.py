"""Vault as a program, for guides: python -m tests.support.vault_program PORT."""

from __future__ import annotations

import sys
import threading

from keys.algorithms import generate
from tests.support.key_services import Vault


def main() -> None:
    """Hold one new key, `release` in version 3, until the program is ended."""
    Vault(generate(), port=int(sys.argv[1]))
    threading.Event().wait()


if __name__ == "__main__":
    main()
