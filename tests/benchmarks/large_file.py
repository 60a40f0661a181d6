"""What attacks on readers need: see under_attack.py."""

from __future__ import annotations

from typing import Final

from tests.benchmarks.our_server import BenchCollection, OurServer
from tests.support.attackers import Target, slow_readers
from trustdata.gun import parse_gun

_NOBODY: Final = Target(host="", port=0)
_TAGS: Final = 42_000
"""So many that targets.json has 4.7 MB."""


def large_file(server: OurServer) -> None:
    """Begin a collection of the attacker's whose targets do not fit into the kernel's buffers."""
    _begin(server, _NOBODY.gun)


def large_files(server: OurServer) -> None:
    """Begin many such collections."""
    for name in slow_readers.file_names(_NOBODY):
        _begin(server, name)


def _begin(server: OurServer, name: str) -> None:
    collection = BenchCollection(server, parse_gun(name))
    collection.init()
    collection.send(collection.next_upload(range(_TAGS)))
