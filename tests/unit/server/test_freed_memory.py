"""Freed memory goes back to the system."""

from __future__ import annotations

import platform
import subprocess
import sys

import pytest

from trustserver.process.heap import LARGE_BLOCK

pytestmark = pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="other C libraries have no such settings")

_PAGES = """
import re, sys
from pathlib import Path
from trustserver.process.heap import give_free_pages_back, give_large_blocks_back

def kilobytes():
    return int(re.search(r"VmRSS:\\s+(\\d+)", Path("/proc/self/status").read_text())[1])

"""
# Blocks lie one above the other, and glibc gives back what is above the last one in use by itself. So the last block
# stays in use in both programs: then all that goes back was given back on purpose.
_LARGE = f"""
assert sys.argv[1] == "as-it-is" or give_large_blocks_back()
bytes({LARGE_BLOCK * 4})  # glibc keeps blocks up to this size from now on, unless it is told not to
before = kilobytes()
kept = [bytes(b"x" * {LARGE_BLOCK * 4 - 100}) for _ in range(20)]
last = [bytes(600) for _ in range(2000)]
taken = kilobytes() - before
del kept
print((kilobytes() - before) * 100 // taken)
"""
_SMALL = """
before = kilobytes()
kept = [bytes(1000) for _ in range(100_000)]
last = [bytes(1000) for _ in range(10)]
taken = kilobytes() - before
del kept
if sys.argv[1] != "as-it-is":
    give_free_pages_back()
print((kilobytes() - before) * 100 // taken)
"""
_ARENAS = """
import ctypes, threading
assert sys.argv[1] == "as-it-is" or give_large_blocks_back()
together = threading.Barrier(5)

def work():
    kept = bytes(100_000)
    together.wait()
    together.wait()

threads = [threading.Thread(target=work) for _ in range(4)]
for thread in threads:
    thread.start()
together.wait()
library = ctypes.CDLL(None)
library.malloc_info(0, ctypes.c_void_p.in_dll(library, "stdout"))
library.fflush(None)
together.wait()
"""


def told(program: str, way: str) -> str:
    ran = subprocess.run([sys.executable, "-c", _PAGES + program, way], capture_output=True, text=True, check=True)
    return ran.stdout


@pytest.mark.parametrize("program", [_LARGE, _SMALL], ids=["large blocks", "pages between small blocks"])
def test_most_of_what_was_freed_is_given_back(program: str) -> None:
    assert int(told(program, "given-back")) < 40, "per cent of what was taken"
    assert int(told(program, "as-it-is")) > 60, "glibc does it by itself: this test proves nothing"


def test_threads_share_two_heaps() -> None:
    assert told(_ARENAS, "given-back").count("<heap nr=") <= 2
    assert told(_ARENAS, "as-it-is").count("<heap nr=") > 2, "glibc does it by itself: this test proves nothing"
