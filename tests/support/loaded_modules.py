"""Tell which modules some code loads, in a Python of its own."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def modules_loaded_by(code: str) -> set[str]:
    """Run the code in a new Python and give the names of all modules that it has loaded.

    Without those that were there before the code began: what measures coverage starts with the program, and loads
    sockets and parsers of its own. Raises: AssertionError with the program's error if the code fails.
    """
    program = f"import sys\nbefore = set(sys.modules)\n{code}\nprint('\\n'.join(set(sys.modules) - before))"
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=False, timeout=60
    )
    assert done.returncode == 0, done.stderr
    return set(done.stdout.split())
