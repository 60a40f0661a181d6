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
    begin = "from keys.back_ends import leave_out_back_ends\nleave_out_back_ends()"  # as our programs begin
    program = f"import sys\n{begin}\nbefore = set(sys.modules)\n{code}\nprint('\\n'.join(set(sys.modules) - before))"
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=False, timeout=60
    )
    assert done.returncode == 0, done.stderr
    return set(done.stdout.split())
