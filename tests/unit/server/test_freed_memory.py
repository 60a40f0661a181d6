"""Freed memory goes back to the system."""

from __future__ import annotations

import platform
import re
import subprocess
import sys

import pytest

_PROGRAM = """
import re, sys, threading
from pathlib import Path
from trustserver.process.heap import give_free_pages_back, give_large_blocks_back

def pages():
    return int(re.search(r"VmRSS:\\s+(\\d+)", Path("/proc/self/status").read_text())[1])

assert sys.argv[1] == "back" or give_large_blocks_back()
before = pages()

def work():
    kept = []
    for _ in range(20):
        kept.append(bytes(4_700_000))
        kept.append([bytes(1000) for _ in range(1000)])
    del kept

for _ in range(3):
    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
if sys.argv[1] == "back":
    give_free_pages_back()
print((pages() - before) // 1024)
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="other C libraries have no such settings")
@pytest.mark.parametrize("way", ["little", "back"])
def test_what_threads_have_freed_is_not_kept(way: str) -> None:
    done = subprocess.run([sys.executable, "-c", _PROGRAM, way], capture_output=True, text=True, check=True)
    [kept] = re.findall(r"\d+", done.stdout)
    assert int(kept) < 40, "of 400 MB"
