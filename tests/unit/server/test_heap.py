"""Memory that was freed is given back to the system."""

from __future__ import annotations

import ctypes
import subprocess
import sys

import pytest

from trustserver.process import heap

_FREED = """
import ctypes, sys
from trustserver.process import heap

def resident():
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * 4096

if sys.argv[1] == "set":
    assert heap.give_large_blocks_back()
held = []
for _ in range(20):  # a small block after each large one, as in a server that goes on working
    large = bytearray(16 * 1024 * 1024)
    large[::4096] = b"x" * len(large[::4096])
    held += [large, bytearray(100_000)]
held[::2] = [None] * 20
print(resident())
"""


@pytest.mark.skipif(not hasattr(ctypes.CDLL(None), "mallopt"), reason="this C library has no mallopt")
def test_what_uploads_have_freed_is_given_back() -> None:
    done = subprocess.run([sys.executable, "-c", _FREED, "set"], capture_output=True, text=True, check=True)
    assert int(done.stdout) < 100 * 1024 * 1024


def test_a_c_library_without_it(monkeypatch: pytest.MonkeyPatch) -> None:
    def none(_: object) -> object:
        return object()

    monkeypatch.setattr(ctypes, "CDLL", none)
    assert not heap.give_large_blocks_back()
