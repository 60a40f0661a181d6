"""Loaded at the start of each Python program that a test starts: it notes at its end which functions it has reached.

The names are those of mutmut, in a file of their own below the folder that the variable names.
"""

import os

REACHED = "MUTANTS_REACHED"

if REACHED in os.environ:
    import atexit
    import tempfile

    def _note() -> None:
        from mutmut.state import state

        with tempfile.NamedTemporaryFile("w", dir=os.environ[REACHED], delete=False) as file:
            file.writelines(f"{name}\n" for name in state()._stats)

    atexit.register(_note)
